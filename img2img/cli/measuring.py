"""What `eval`, `compare` and `export` share: weights measured on a data set."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from img2img.cli.console import progress_bar

if TYPE_CHECKING:
    from img2img.data.sample import Dataset, Sample, Splits
    from img2img.engine.runtime import Runtime
    from img2img.inference.evaluate import Evaluation
    from img2img.inference.session import Session
    from img2img.inference.weights import Card
    from img2img.tasks.base import Task


@contextmanager
def ranks_joined() -> "Iterator[Runtime]":
    """The runtime that shares samples out; torch is loaded only under `torchrun`."""
    from img2img.engine.runtime import Runtime, ranks, running

    if ranks()[1] > 1:
        with running("cpu") as runtime:
            yield runtime
    else:
        yield Runtime(device=None)  # type: ignore[arg-type]


def opened(task: str, weights: str | None, *, engine: str, device: str) -> "Session":
    """The session for `--weights`, whose task must be `task`."""
    from typing import get_args

    from img2img.engine.runtime import local_device
    from img2img.errors import unknown_name
    from img2img.inference.session import Engine, check_device, open_session
    from img2img.inference.weights import find_weights
    from img2img.registry import load_task

    load_task(task)
    if engine not in get_args(Engine):
        raise unknown_name("engine", engine, get_args(Engine))
    check_device(device)
    files = find_weights(weights, task)
    if engine == "torch" or device.startswith("cuda") or files.onnx is None:
        device = local_device(device)
    return open_session(files, engine=engine, device=device)  # type: ignore[arg-type]


def given(**questions: Any) -> dict[str, Any]:
    """{question: value} of the flags that were given, for `Task.ask`; None: it was not."""
    return {name: value for name, value in questions.items() if value is not None}


def attach_companion(task: "Task[Any, Any]", *, engine: str, device: str) -> None:
    """Lets the task's companion look at pictures first, where what is asked needs that."""
    from img2img.inference.predictor import attach

    attach(task, lambda name, weights: opened(name, weights, engine=engine, device=device))


def chosen_samples(
    task: "Task[Any, Any]", card: "Card", *, data: str | None, split: str | None, download: bool
) -> "tuple[str, str, Dataset]":
    """(name of the data, split, samples) that `--data` and `--split` mean; data that are not
    divided are divided as the training of the weights did it."""
    from img2img.errors import unknown_name

    if split not in (None, "train", "val", "test", "all"):
        raise unknown_name("split", str(split), ("train", "val", "test", "all"))
    is_part = split in ("train", "val", "test")
    splits = splits_of(task, card, data=data, download=download, folded=is_part)
    part, samples = splits.pick(split)
    return splits.name, part, samples


def splits_of(
    task: "Task[Any, Any]", card: "Card", *, data: str | None, download: bool, folded: bool
) -> "Splits":
    """The data, divided as the training of the weights did it; with `folded` into its folds too, if
    it had some and the data do not state their parts."""
    from dataclasses import replace

    from img2img.config import DataOptions

    options = DataOptions(source=data, download=download, **division(card))
    splits = task.splits(options)
    folds = fold_of(card)
    if folds and folded and not splits.stated:
        splits = task.splits(replace(options, **folds))
    return splits


def division(card: "Card") -> dict[str, Any]:
    """The options that divided the training's data, as far as the weights tell; without the folds,
    which data that state their parts refuse."""
    return _stored(card, "val_share", "test_share", "split_seed", "groups")


def fold_of(card: "Card") -> dict[str, Any]:
    """The folds of the training's data and which of them was the test; empty if there are none."""
    stored = _stored(card, "folds", "fold")
    return stored if stored.get("folds") is not None else {}


def _stored(card: "Card", *known: str) -> dict[str, Any]:
    from img2img.config import DataOptions, parse_option
    from img2img.errors import UsageError, WeightsError

    stored = card.options.get("data", {})
    names = [name for name in known if name in stored]
    try:
        return {name: parse_option(DataOptions, "data", name, stored[name]) for name in names}
    except UsageError as error:
        raise WeightsError(f"the weights do not fit this version: {error}") from None


def measured(
    task: "Task[Any, Any]",
    answer: "Callable[[Sample], Any]",
    samples: "Dataset",
    *,
    runtime: "Runtime",
    label: str,
    quiet: bool,
) -> "Evaluation":
    """The evaluation of `answer` on all samples, shared out over the processes."""
    from img2img.inference.evaluate import collect, measure_rows

    mine = range(runtime.rank, len(samples), runtime.world)
    with progress_bar(label, len(mine), quiet=quiet or not runtime.leads) as advance:
        rows = measure_rows(task, answer, samples, mine, advance)
    return collect(runtime.gather(rows))
