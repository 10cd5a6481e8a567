"""Options: every way to write a value ends in the same configuration, or in one sentence."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.config import (
    Config,
    DataOptions,
    TaskOptions,
    TrainOptions,
    option,
    parse_option,
    parse_set,
    read_config,
    read_toml,
)
from img2img.errors import UsageError
from img2img.option_values import check_groups, parse_duration_s
from img2img.registry import load_task, task_names

KINDS = {"train": TrainOptions, "data": DataOptions, "task": TaskOptions}
text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


def _values(hint: Any, metadata: Any) -> st.SearchStrategy[Any]:
    """Valid values of an option."""
    arms = get_args(hint)
    if type(None) in arms:
        inner = next(arm for arm in arms if arm is not type(None))
        # Text and TOML cannot say "none" of an option that may be any text.
        return _values(inner, metadata) if inner is str else st.none() | _values(inner, metadata)
    if get_origin(hint) is Literal:
        return st.sampled_from(arms)
    if metadata["check"] is parse_duration_s:
        return st.sampled_from(["90s", "10m", "1.5h"])
    if metadata["check"] is check_groups:
        return st.sampled_from(["auto", "none", "clusters", "column:scene", r"pattern:^(\w+)_"])
    if get_origin(hint) is tuple:
        return st.lists(st.sampled_from(["^a/:2", "b:3"]), min_size=1, max_size=2).map(tuple)
    low, high = metadata["low"], metadata["high"]
    return {
        bool: st.booleans(),
        int: st.integers(None if low is None else int(low), None if high is None else int(high)),
        float: st.floats(low, high, allow_nan=False, allow_infinity=False),
        str: text,
    }[hint]


@st.composite
def layers(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """{group: {option: value}} of some options."""
    chosen: dict[str, dict[str, Any]] = {}
    for group, kind in KINDS.items():
        hints = get_type_hints(kind)
        for entry in dataclasses.fields(kind):
            if draw(st.integers(0, 3)) == 0:
                value = draw(_values(hints[entry.name], entry.metadata))
                chosen.setdefault(group, {})[entry.name] = value
    return chosen


@settings(deadline=None)
@given(values=layers())
def test_a_configuration_survives_json(values: dict[str, dict[str, Any]]) -> None:
    config = Config.resolve("sobel", KINDS, [("file", values)])
    saved = json.loads(json.dumps(config.to_json(), allow_nan=False))
    again = Config.resolve(saved["task"], KINDS, [("run", saved["options"])])
    assert again.groups == config.groups
    for group, options in values.items():
        for name, value in options.items():
            assert getattr(config.groups[group], name) == value
            assert config.origins[f"{group}.{name}"] == "file"


def _as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return "none" if value is None else str(value)


@settings(deadline=None)
@given(values=layers())
def test_text_of_a_flag_means_the_same_as_the_value(values: dict[str, dict[str, Any]]) -> None:
    pairs = [
        f"{group}.{name}={_as_text(value)}"
        for group, options in values.items()
        for name, value in options.items()
    ]
    by_text = Config.resolve("sobel", KINDS, [("flag", parse_set(pairs))])
    by_value = Config.resolve("sobel", KINDS, [("flag", values)])
    assert by_text.groups == by_value.groups


@settings(deadline=None)
@given(values=layers())
def test_toml_means_the_same_as_the_value(
    values: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = []
    for group, options in values.items():
        lines.append(f"[{group}]")
        for name, value in options.items():
            if isinstance(value, float):
                lines.append(
                    f"{name} = {value!r}" if "e" not in repr(value) else f"{name} = {value:e}"
                )
                options[name] = float(lines[-1].partition("= ")[2])
            else:
                written = "none" if value is None else value
                # TOML's basic strings are JSON's, apart from DEL and surrogate escapes.
                lines.append(f"{name} = {json.dumps(written, ensure_ascii=False)}".replace(
                    "\x7f", "\\u007f"))  # fmt: skip
    path = tmp_path_factory.mktemp("toml") / "options.toml"
    path.write_text("\n".join(lines), encoding="utf-8", newline="")
    by_file = Config.resolve("sobel", KINDS, [("options.toml", read_toml(path))])
    assert by_file.groups == Config.resolve("sobel", KINDS, [("flag", values)]).groups


def test_later_layers_win_and_say_so() -> None:
    config = Config.resolve("sobel", KINDS, [
        ("task default", {"train": {"lr": 0.1, "seed": 1, "epochs": 3}}),
        ("my.toml", {"train": {"lr": 0.2, "seed": 2}}),
        ("flag", {"train": {"lr": "0.3"}}),
    ])  # fmt: skip
    train = config.train
    assert (train.lr, train.seed, train.epochs, train.batch_size) == (0.3, 2, 3, 16)
    origins = {key: origin for key, _, origin in config.items()}
    assert origins["train.lr"] == "flag"
    assert origins["train.seed"] == "my.toml"
    assert origins["train.epochs"] == "task default"
    assert origins["train.batch_size"] == "default"


def test_every_option_is_described_and_its_default_is_valid() -> None:
    for group, kind in KINDS.items():
        for entry in dataclasses.fields(kind):
            assert entry.metadata["help"].endswith("."), entry.name
            assert parse_option(kind, group, entry.name, entry.default) == entry.default


def test_options_are_the_same_as_text() -> None:
    """As `--set` and flags give them, whole numbers to choose from too."""
    for name in task_names():
        kind = load_task(name).Options
        for entry in dataclasses.fields(kind):
            if isinstance(entry.default, str | int | float):
                text = str(entry.default)
                assert parse_option(kind, "task", entry.name, text) == entry.default, entry.name


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("batch_size", "0", "--batch-size cannot be '0': it must be at least 1"),
        ("batch_size", "1.5", "a whole number"),
        ("batch_size", 1.5, "a whole number"),
        ("batch_size", True, "a whole number"),
        ("batch_size", "none", "a whole number"),
        ("lr", "fast", "--lr cannot be 'fast': it must be a number"),
        ("lr", "nan", "a number"),
        ("lr", -1, "at least 0"),
        ("ema", "1.5", "at most 1"),
        ("compile", "perhaps", "true or false"),
        ("optimizer", "adan", r"choose from adamw, adam, sgd \(did you mean 'adam'\?\)"),
        ("schedule", "cosin", "did you mean 'cosine'"),
        ("schedule", "xyz", "plateau[.]"),
        ("schedule", 3, "choose from"),
        ("beta1", "1", "beta1 cannot be '1': it must be at most 0.999999"),
        ("beta2", 1, "at most 0.999999"),
        ("seed", "99999999999", "--seed cannot be '99999999999': it must be at most 2147483647"),
        ("max_time", "10x", "--max-time cannot be '10x'"),
        ("name", 3, "text"),
        ("lr", [1], "a number"),
    ],
)
def test_wrong_values_are_refused_by_name(name: str, value: Any, named: str) -> None:
    with pytest.raises(UsageError, match=named) as caught:
        parse_option(TrainOptions, "train", name, value)
    assert "\n" not in str(caught.value)


@dataclasses.dataclass(frozen=True)
class _Odd:
    side: int = option(3, "Side.", low=1, odd=True)
    blur: int | None = option(None, "Side, 0 for none.", low=0, odd=True)


def test_even_numbers_are_refused_where_odd_ones_are_wanted() -> None:
    for name in ("side", "blur"):
        with pytest.raises(UsageError, match=f"task.{name} cannot be '4': it must be odd"):
            parse_option(_Odd, "task", name, "4")
        assert parse_option(_Odd, "task", name, "5") == 5
    assert parse_option(_Odd, "task", "blur", "0") == 0
    assert parse_option(_Odd, "task", "blur", "none") is None


@pytest.mark.parametrize("value", ["inf", float("inf"), "-inf"])
def test_numbers_without_end_are_refused(value: Any) -> None:
    """They cannot be saved as JSON."""
    with pytest.raises(UsageError, match="lr"):
        parse_option(TrainOptions, "train", "lr", value)


@pytest.mark.parametrize(
    ("groups", "nearest"),
    [
        ({"trian": {"lr": 1}}, "train"),
        ({"train": {"learning_rate": 1}}, "unknown option 'train.learning_rate'"),
        ({"train": {"batchsize": 1}}, "did you mean 'train.batch_size'"),
        ({"task": {"imagesize": 1}}, "did you mean 'task.image_size'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(groups: Any, nearest: str) -> None:
    with pytest.raises(UsageError, match=nearest):
        Config.resolve("sobel", KINDS, [("flag", groups)])


def test_options_in_groups_of_numbers() -> None:
    @dataclasses.dataclass(frozen=True)
    class Options:
        sizes: tuple[int, ...] = option((1,), "Sizes.")

    assert parse_option(Options, "task", "sizes", "3,4") == (3, 4)
    assert parse_option(Options, "task", "sizes", [3, 4]) == (3, 4)
    with pytest.raises(UsageError, match="sizes"):
        parse_option(Options, "task", "sizes", "3,x")


@pytest.mark.parametrize("pair", ["lr=1", "train.lr", "train.=1", "=", "a.b.c=1"])
def test_set_takes_only_its_own_form(pair: str) -> None:
    with pytest.raises(UsageError, match=r"group\.option=value"):
        parse_set([pair])


def test_set_keeps_everything_after_the_first_equals_sign() -> None:
    assert parse_set(["task.filter=kernel:a=b.txt", "task.filter=x"]) == {"task": {"filter": "x"}}
    assert parse_set(["task.filter=kernel:a=b.txt"]) == {"task": {"filter": "kernel:a=b.txt"}}


@pytest.mark.parametrize(
    ("content", "named"),
    [(b"lr = 1", "under a group"), (b"[train", "not valid TOML"), (b"\xff", "cannot be read")],
)
def test_files_that_are_no_options_are_refused(content: bytes, named: str, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_bytes(content)
    with pytest.raises(UsageError, match=named):
        read_toml(tmp_path / "my.toml")
    with pytest.raises(UsageError, match="cannot be read"):
        read_toml(tmp_path / "missing.toml")


def test_a_saved_configuration_is_read_back(tmp_path: Path) -> None:
    config = Config.resolve("sobel", KINDS, [("flag", {"train": {"ema": 0.5}})])
    (tmp_path / "config.json").write_text(json.dumps(config.to_json()), encoding="utf-8")
    assert read_config(tmp_path / "config.json") == config.to_json()


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("30", 30)]
)
def test_durations_have_units(written: str, seconds: float) -> None:
    assert parse_duration_s(written) == seconds


@pytest.mark.parametrize("written", ["", "0s", "0", "-1s", "10 m", "1d", "m"])
def test_durations_of_another_form_are_refused(written: str) -> None:
    with pytest.raises(UsageError, match="--max-time"):
        parse_duration_s(written)
