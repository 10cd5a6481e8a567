"""Every option of a training, its default, unit and limits; and how the four layers combine.

An option is a field of a frozen dataclass. Order of the layers: default < task default < file <
flag. A value may come as text (a flag, `--set`) or as a TOML value; `Config.resolve` checks both
in the same way and remembers where each value came from.
"""

import dataclasses
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_type_hints

from img2img.errors import UsageError, unknown_name
from img2img.option_values import (
    check_groups,
    limit_broken,
    parse_duration_s,
    parse_repeat,
    parse_value,
)

Layer = tuple[str, Mapping[str, Mapping[str, Any]]]
"""Where values come from (`task default`, a file's name, `flag`), and {group: {option: value}}."""


def option(
    default: Any,
    help: str,
    *,
    flag: str = "",
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    odd: bool = False,
    check: Callable[[Any], object] | None = None,
    panel: str = "",
    local: bool = False,
    on_page: bool = True,
    needs: str = "",
    unless: str = "",
) -> Any:
    """A dataclass field that is an option.

    Args:
        flag: its command-line flag, if it has one.
        odd: whether numbers must be odd; 0 stands for none where `low` allows it.
        check: raises UsageError for a value that does not fit.
        local: whether it names a file of the user's machine, which weights do not tell on, and
            which is uploaded to the page of `img2img demo`.
        on_page: whether that page asks it, where it is a question to one prediction.
        needs: `group.option` without which, at 0 or none, this one has no effect; left out: that
            of the group's class variable `switch`, if it has one.
        unless: `group.option` with which it has none.
    """
    metadata = {
        "help": help,
        "flag": flag,
        "unit": unit,
        "low": low,
        "high": high,
        "odd": odd,
        "check": check,
        "panel": panel,
        "local": local,
        "on_page": on_page,
        "needs": needs,
        "unless": unless,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """How a network is trained, whatever the task."""

    epochs: int | None = option(
        None, "Passes over the training samples.", flag="--epochs", low=1, panel="Budget"
    )
    steps: int | None = option(None, "Optimiser steps.", flag="--steps", low=1, panel="Budget")
    max_time: str | None = option(
        None,
        "Training time before the closing phase, such as 90s, 10m or 2h.",
        flag="--max-time",
        check=parse_duration_s,
        panel="Budget",
    )
    epoch_size: int | None = option(
        None,
        "Samples that make an epoch (cycling with fresh augmentation); left out: all.",
        flag="--epoch-size",
        low=1,
        panel="Budget",
    )
    early_stopping: int | None = option(
        None, "Stop after this many validations without a better one.", low=1, panel="Budget"
    )
    batch_size: int = option(
        16, "Samples of one step, over all processes.", flag="--batch-size", low=1, panel="Learning"
    )
    micro_batch: int | None = option(
        None,
        "Samples that one process holds at once; gradients accumulate up to the batch size.",
        low=1,
    )
    lr: float = option(1e-3, "Peak learning rate.", flag="--lr", low=0.0, panel="Learning")
    optimizer: Literal["adamw", "adam", "sgd"] = option(
        "adamw", "Optimiser.", flag="--optimizer", panel="Learning"
    )
    # torch's Adam takes no momentum of 1.
    beta1: float = option(0.9, "First momentum of Adam, momentum of SGD.", low=0.0, high=0.999999)
    beta2: float = option(0.999, "Second momentum of Adam.", low=0.0, high=0.999999)
    weight_decay: float = option(0.01, "Weight decay (AdamW: decoupled).", low=0.0)
    schedule: Literal["constant", "linear", "cosine", "one-cycle", "plateau"] = option(
        "cosine",
        "Course of the learning rate; linear: constant for half the budget, then down to a "
        "thousandth.",
        flag="--schedule",
        panel="Learning",
    )
    warmup_steps: int = option(0, "Steps of linear warm-up.", low=0)
    plateau_patience: int = option(3, "Validations without a better one before lr / 10.", low=1)
    clip_norm: float | None = option(None, "Greatest norm of the gradient.", low=0.0)
    ema: float | None = option(
        None, "Decay of the moving average of the weights that is validated and saved.",
        low=0.0, high=1.0,
    )  # fmt: skip
    frozen_stages: int = option(
        0, "Stages of the encoder, from the picture on, that never learn; each halves the picture.",
        low=0,
    )  # fmt: skip
    freeze_encoder_epochs: int = option(0, "First epochs in which the encoder stays.", low=0)
    polish_steps: int = option(
        0, "L-BFGS iterations on one fixed batch after the last epoch.", low=0
    )
    polish_samples: int = option(16, "Samples of that batch.", low=1)
    polish_float64: bool = option(True, "Polish in float64.")
    seed: int = option(
        0, "Seed of everything random.", flag="--seed", low=0, high=2**31 - 1, panel="Learning"
    )
    device: str = option("auto", "auto, cpu, cuda or cuda:N.", flag="--device", panel="Machine")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = option(
        "auto", "Number format of the network.", flag="--precision", panel="Machine"
    )
    compile: bool = option(
        False, "Compile the network with torch.compile.", flag="--compile", panel="Machine"
    )
    channels_last: bool = option(True, "Keep feature maps channels-last in memory.")
    workers: int | None = option(
        None,
        "Loader processes; left out: none on a CPU, up to 8 on a GPU.",
        flag="--workers",
        low=0,
        panel="Machine",
    )
    cache_mb: int = option(4096, "Budget of the cache of decoded pictures.", unit="MiB", low=0)
    log_every: int = option(20, "Steps between two rows of the log.", low=1)
    save_every: int | None = option(
        None,
        "Steps between two saves; left out: each epoch and every five minutes.",
        flag="--save-every",
        low=1,
        panel="Run",
    )
    val_samples: int | None = option(
        64, "Validation samples measured during training; none: all.", low=1
    )
    name: str = option("", "Name of the run in reports and trackers.", flag="--name", panel="Run")
    track: Literal["none", "tensorboard", "wandb"] = option(
        "none", "Also log to this tracker (an extra of the package).", flag="--track", panel="Run"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataOptions:
    """Which pictures, and how they are divided."""

    source: str | None = option(
        None,
        "Folder or name of the data; left out: the task's own generated data.",
        flag="--data",
        panel="Data",
        local=True,
    )
    n_generated: int | None = option(
        None, "Generated training samples, when the data are generated; none: the task's.", low=1
    )
    val_share: float = option(0.1, "Share of groups kept for validation.", low=0.0, high=0.9)
    test_share: float = option(0.1, "Share of groups kept for the test.", low=0.0, high=0.9)
    split_seed: int = option(
        0, "Seed of the division into train, val and test.", low=0, high=2**31 - 1
    )
    groups: str = option(
        "auto",
        "What no division tears apart: auto (column `group` of groups.csv, if it is there), none, "
        "clusters (pictures that look alike), moments (those whose labels are alike as well), "
        "faces (people, and faces that look alike), column:NAME or pattern:REGEX (its first "
        "group).",
        check=check_groups,
    )
    repeat: tuple[str, ...] = option(
        (), "Training samples that count several times in an epoch, as REGEX:TIMES of their ids, "
        "such as ^lfpw/:4.", check=lambda rules: [parse_repeat(rule) for rule in rules],
    )  # fmt: skip
    folds: int | None = option(
        None, "Parts of equal size for a cross-validation, of which one is the test.", low=2
    )
    fold: int = option(0, "Which of the folds is the test, from 0.", low=0)
    pseudo: str | None = option(
        None,
        "Folder of pictures without labels, or with masks of `img2img label`, to learn from as "
        "well.",
        flag="--pseudo",
        panel="Data",
        local=True,
    )
    download: bool = option(
        False, "Allow downloads (data sets, pretrained encoders).", flag="--download", panel="Data"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Options that every task has; a task's own options derive from this class."""

    image_size: int = option(
        128, "Side of the square the network learns on.", flag="--image-size", unit="pixels",
        low=1, high=65536, panel="Data",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """The architecture; the options of the named family join this group."""

    name: str = option("", "Architecture, see `img2img models`.", flag="--model", panel="Learning")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Resolved options of one run: {group: options}, and where each value came from."""

    task: str
    groups: Mapping[str, Any]
    origins: Mapping[str, str]

    @property
    def train(self) -> TrainOptions:
        return self.groups["train"]  # type: ignore[no-any-return]

    @property
    def data(self) -> DataOptions:
        return self.groups["data"]  # type: ignore[no-any-return]

    @property
    def model(self) -> Any:
        return self.groups["model"]

    @property
    def task_options(self) -> Any:
        return self.groups["task"]

    @classmethod
    def resolve(cls, task: str, schema: Mapping[str, type], layers: Sequence[Layer]) -> Self:
        """Combine `layers`, later ones winning, over the defaults of `schema` {group: dataclass}.

        Raises:
            UsageError: a group, option or value that does not exist, with the nearest right name.
        """
        values: dict[str, dict[str, Any]] = {group: {} for group in schema}
        origins: dict[str, str] = {}
        for source, groups in layers:
            for group, options in groups.items():
                if group not in schema:
                    raise unknown_name("option group", group, schema)
                for name, value in options.items():
                    values[group][name] = parse_option(schema[group], group, name, value)
                    origins[f"{group}.{name}"] = source
        built = {group: kind(**values[group]) for group, kind in schema.items()}
        return cls(task=task, groups=built, origins=origins)

    def items(self) -> Iterator[tuple[str, Any, str]]:
        """(group.option, value, where it came from) of every option."""
        for group, options in self.groups.items():
            for name, value in dataclasses.asdict(options).items():
                key = f"{group}.{name}"
                yield key, value, self.origins.get(key, "default")

    def check_effects(self) -> None:
        """Refuses what somebody set and what has no effect beside the other options.

        Raises:
            UsageError: such an option, with the one that makes it so.
        """
        values = {key: value for key, value, _ in self.items()}
        for key, _, origin in self.items():
            if origin in ("default", "task default"):
                continue
            group, metadata = self.groups[key.partition(".")[0]], self._metadata(key)
            needs: str = metadata.get("needs", "") or getattr(group, "switch", key)
            unless = metadata.get("unless")
            if needs != key and not values[needs]:
                label = self._metadata(needs).get("flag") or needs
                raise UsageError(
                    f"{key} has no effect without {label}: set that as well, or leave {key} out."
                )
            if unless and values[unless]:
                raise UsageError(f"{key} has no effect with {unless}: leave one of them out.")

    def _metadata(self, key: str) -> Mapping[str, Any]:
        group, _, name = key.partition(".")
        entries = {entry.name: entry for entry in dataclasses.fields(self.groups[group])}
        return entries[name].metadata

    def to_json(self) -> dict[str, Any]:
        """A JSON object from which `resolve` builds the same configuration again."""
        groups = {
            group: {
                name: list(value) if isinstance(value, tuple) else value  # JSON knows no tuples
                for name, value in dataclasses.asdict(options).items()
            }
            for group, options in self.groups.items()
        }
        return {"task": self.task, "options": groups, "origins": dict(self.origins)}


def parse_option(kind: type, group: str, name: str, value: Any) -> Any:
    """`value` in the type of field `name` of dataclass `kind`, within its limits.

    Raises:
        UsageError: the option does not exist or the value does not fit.
    """
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}
    if name not in fields:
        raise unknown_name("option", f"{group}.{name}", (f"{group}.{known}" for known in fields))
    metadata = fields[name].metadata
    label = metadata.get("flag") or f"{group}.{name}"
    try:
        parsed = parse_value(get_type_hints(kind)[name], value)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{label} cannot be {value!r}: {error}.") from None
    if wrong := limit_broken(parsed, metadata):
        raise UsageError(f"{label} cannot be {value!r}: it must be {wrong}.")
    check = metadata.get("check")
    if check is not None and parsed is not None:
        check(parsed)
    return parsed


def parse_set(pairs: list[str]) -> dict[str, dict[str, str]]:
    """{group: {option: text}} of `--set group.option=value` arguments.

    Raises:
        UsageError: an argument has another form.
    """
    groups: dict[str, dict[str, str]] = {}
    for pair in pairs:
        match = re.fullmatch(r"(\w+)\.(\w+)=(.*)", pair, flags=re.DOTALL)
        if match is None:
            raise UsageError(f"--set takes group.option=value, not {pair!r}.")
        group, name, value = match.groups()
        groups.setdefault(group, {})[name] = value
    return groups


def read_toml(path: Path) -> dict[str, dict[str, Any]]:
    """{group: {option: value}} of a TOML file.

    Raises:
        UsageError: the file is missing, no TOML, or holds values outside a group.
    """
    try:
        groups = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} cannot be read: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"--config {path} is not valid TOML: {error}.") from None
    for group, options in groups.items():
        if not isinstance(options, dict):
            raise UsageError(f"--config {path}: write {group!r} under a group such as [train].")
    return groups


def read_config(path: Path) -> dict[str, Any]:
    """The JSON object that `Config.to_json` wrote."""
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
