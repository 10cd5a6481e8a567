"""`img2img data make`, `check` and `preview`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from img2img.cli.options import Data, JsonOut, Quiet, TaskName

if TYPE_CHECKING:
    from img2img.config import Config
    from img2img.data.sample import Dataset, Splits
    from img2img.tasks.base import Task

app = typer.Typer(help="Make, check and look at data.", no_args_is_help=True)

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="GROUP.OPTION=VALUE", help="An option of `task` or `data`."),
]
Download = Annotated[bool, typer.Option("--download", help="Allow downloads of data.")]


@app.command()
def make(
    task: TaskName,
    n: Annotated[
        int | None,
        typer.Option(
            "--n",
            min=1,
            metavar="N",
            help="Training samples; val and test get an eighth of that each; of --data, at most.",
            show_default="as many as a training generates, or as there are in --data",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Pictures to make the data of; left out: they are generated."),
    ] = None,
    filter: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="translate: what makes the inputs, noise, blur, grey or edges (task.filter).",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="An empty or new folder.", show_default="data/TASK"),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="PX",
            help="Side of generated pictures (pixels); those of --data keep theirs.",
            show_default="256",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of generated pictures.")] = 0,
    set_: Set = None,
    quiet: Quiet = False,
) -> None:
    """Write the task's generated data, or samples of --data, as files, ready for --data.

    Exit codes: 0 done, 1 a file cannot be written, 2 a wrong option or a folder that is not
    empty, 3 unusable data, or the task generates none.
    """
    from img2img.cli.console import progress_bar
    from img2img.errors import InputError, UsageError

    sets = [*(set_ or []), *([f"task.filter={filter}"] if filter else [])]
    adapter, config = _adapter(task, sets, data=data)
    folder = out or Path("data") / task
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise UsageError(f"--out {folder} is not empty: choose another folder.")
    if data is None:
        parts = adapter.generate(n or adapter.n_generated, size=size or 256, seed=seed)
    elif size is not None:
        raise UsageError("--size is of generated pictures: those of --data keep theirs.")
    else:
        parts = _first(adapter.splits(config.data), n)
    total = sum(map(len, parts.values()))
    with progress_bar("drawing", total, quiet=quiet) as advance:
        for part, samples in parts.items():
            try:
                (folder / part).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"{folder} cannot be written: {error.strerror}.") from None
            for sample in samples:
                adapter.write_sample(folder / part, sample)
                advance()
    print(folder)


@app.command()
def check(
    task: TaskName,
    data: Data = None,
    json: JsonOut = None,
    set_: Set = None,
    download: Download = False,
) -> None:
    """Find what is wrong with data before a training does: unreadable, doubled, odd samples.

    Exit codes: 0 nothing or only warnings, 2 a wrong option, 3 training would fail.
    """
    from img2img.cli.console import say, write_json
    from img2img.errors import DataError

    adapter, config = _adapter(task, set_ or [], data=data, download=download)
    report = adapter.check(config.data)
    source = config.data.source
    write_json({"task": task, "data": source, **report.to_json()}, json)
    for problem in report.problems if json != "-" else ():
        print(f"{'problem' if problem.fatal else 'warning'}: {problem.kind}: {problem.message}")
    for note in report.notes if json != "-" else ():
        print(f"note: {note}")
    n_fatal = sum(problem.fatal for problem in report.problems)
    n_warnings = len(report.problems) - n_fatal
    name = source or "the generated data"
    counts = f"{report.n_pictures} pictures, problems: {n_fatal}, warnings: {n_warnings}"
    if report.fatal:
        raise DataError(f"{name} cannot be trained on: {counts}.")
    say(f"{name}: {counts}.")


@app.command()
def preview(
    task: TaskName,
    data: Data = None,
    split: Annotated[str, typer.Option(help="train, val, test or all.")] = "train",
    n: Annotated[int, typer.Option("--n", min=1, metavar="N", help="Samples.")] = 16,
    augmented: Annotated[
        bool, typer.Option("--augmented/--plain", help="With or without augmentation.")
    ] = True,
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("preview.png"),
    set_: Set = None,
    download: Download = False,
) -> None:
    """Draw what training sees: each sample's picture beside its target.

    Exit codes: 0 done, 1 the picture cannot be written, 2 a wrong option, 3 unusable data.
    """
    import numpy as np

    from img2img.data.images import is_picture, write
    from img2img.errors import InputError, UsageError, unknown_name
    from img2img.report.draw import grid, label

    if split not in ("train", "val", "test", "all"):
        raise unknown_name("split", split, ("train", "val", "test", "all"))
    if not is_picture(out):
        raise UsageError(f"--out {out} is no picture's name: write for example preview.png.")
    adapter, config = _adapter(task, set_ or [], data=data, download=download)
    splits = adapter.splits(config.data)
    _, samples = splits.pick(split)
    if augmented and splits.parts.get("train"):
        adapter.prepare(splits.parts["train"])
    shown = []
    for index in range(min(n, len(samples))):
        # The generator of the first epoch with the default seed, so that this is what it trains on.
        rng = np.random.default_rng([0, 0, index]) if augmented else None
        sample = samples[index]
        pictures = adapter.preview(adapter.targets(sample, rng))
        shown.append(label(grid(pictures, len(pictures)), sample.id))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}.") from None
    write(out, grid(shown, min(4, len(shown))))
    print(out)


def _first(splits: "Splits", n: int | None) -> "Mapping[str, Dataset]":
    """{part: samples}: up to `n` of train, and an eighth of that of each other part."""
    if n is None:
        return splits.parts
    limits = {"train": n}
    return {
        part: samples.subset(range(min(len(samples), limits.get(part, max(1, n // 8)))))
        for part, samples in splits.parts.items()
    }


def _adapter(
    task: str, sets: list[str], *, data: str | None = None, download: bool = False
) -> "tuple[Task[Any, Any], Config]":
    """The task with its options, as a training would resolve them, and the configuration."""
    from img2img.config import Config, DataOptions, parse_set
    from img2img.registry import load_task

    kind = load_task(task)
    flags: dict[str, Any] = {"download": download}
    if data is not None:
        flags["source"] = data
    schema: dict[str, type] = {"data": DataOptions, "task": kind.Options, **kind.groups}
    given: list[Any] = [("flag", {"data": flags}), ("flag", parse_set(sets))]
    options: Any = Config.resolve(task, schema, given).task_options
    fitting = kind.defaults_for(options, kind.defaults["model"]["name"], source=data)
    own: list[Any] = [
        ("task default", {group: values for group, values in layer.items() if group in schema})
        for layer in (kind.defaults, fitting)
    ]
    config = Config.resolve(task, schema, [*own, *given])
    return kind.configured(config), config
