"""`img2img compare`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from img2img.cli.evaluate import AllowPython
from img2img.cli.options import Data, Device, EngineName, JsonOut, Quiet, TaskName

if TYPE_CHECKING:
    from img2img.inference.session import Session
    from img2img.tasks.base import Task


def compare(
    task: TaskName,
    a: Annotated[
        str,
        typer.Argument(metavar="A", help="An .onnx, a .safetensors, a run folder or `shipped`."),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The same, compared with A.")],
    data: Data = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="train, val, test or all.", show_default="test of divided data, else all"
        ),
    ] = None,
    json: JsonOut = None,
    device: Device = "auto",
    engine: EngineName = "auto",
    tile: Annotated[
        int | None,
        typer.Option(min=0, metavar="PX", help="Side of tiles (pixels); 0: never tile."),
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Allow downloads of data.")] = False,
    allow_python: AllowPython = False,
    quiet: Quiet = False,
) -> None:
    """Measure two weights on the same pictures: B minus A, with paired 95 % intervals.

    A star marks a difference whose bootstrap interval leaves out zero. Exit codes: 0 done, 2 a
    wrong option, 3 unusable data or weights.
    """
    from img2img.cli.console import say, write_json
    from img2img.cli.measuring import chosen_samples, measured, opened, ranks_joined
    from img2img.inference.evaluate import paired_difference
    from img2img.inference.predictor import Predictor
    from img2img.inference.session import task_of

    sessions = [opened(task, None if name == "shipped" else name, engine=engine, device=device)
                for name in (a, b)]  # fmt: skip
    tasks = [task_of(session.card, task, allow_python=allow_python) for session in sessions]
    _refuse_other_answers(*tasks)
    judge = tasks[0]
    with ranks_joined() as runtime:
        name, part, samples = chosen_samples(
            judge, sessions[0].card, data=data, split=split, download=download
        )
        if runtime.leads:
            say(_caution(sessions), quiet=quiet or not _caution(sessions))
        predictors = [
            Predictor(own, session, tile=tile) for own, session in zip(tasks, sessions, strict=True)
        ]
        first, second = (
            measured(
                judge,
                predictor.run_sample,
                samples,
                runtime=runtime,
                label=f"measuring {label}",
                quiet=quiet,
            )
            for label, predictor in zip("AB", predictors, strict=True)
        )
    outcome = {
        "task": task,
        **{label: {"name": session.name, "path": path, "sha256": session.sha256}
           for label, path, session in zip("ab", (a, b), sessions, strict=True)},
        "data": name,
        "split": part,
        "n": len(samples),
        "metrics": paired_difference(judge, first, second),
    }  # fmt: skip
    if not runtime.leads:
        return
    write_json(outcome, json)
    if json != "-":
        _show(outcome)


def _refuse_other_answers(a: "Task[Any, Any]", b: "Task[Any, Any]") -> None:
    """Weights whose results have other numbers, such as points of two schemas."""
    from itertools import zip_longest

    from img2img.errors import UsageError

    for ours, theirs in zip_longest(a.columns, b.columns, fillvalue="nothing"):
        if ours != theirs:
            raise UsageError(
                f"A and B answer different things and cannot be compared: where A has {ours}, B "
                f"has {theirs}."
            )


def _caution(sessions: "list[Session]") -> str:
    """A sentence where the two were trained for different things or on other parts of the data,
    else nothing."""
    from img2img.cli.measuring import division, fold_of

    ours, theirs = (
        session.card.options.get("task", {}) | division(session.card) | fold_of(session.card)
        for session in sessions
    )
    differing = [
        f"{name} ({ours.get(name)}, {theirs.get(name)})"
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]
    if not differing:
        return ""
    return f"note: A and B differ in {', '.join(differing)}; both are measured by A's options."


def _show(outcome: dict[str, Any]) -> None:
    from img2img.cli.console import number, print_table

    rows = []
    for name, entry in outcome["metrics"].items():
        low, high = entry["low"], entry["high"]
        interval = "" if low is None else f"{number(low)} … {number(high)}"
        is_clear = low is not None and (low > 0 or high < 0)
        rows.append([name, number(entry["a"]), number(entry["b"]), number(entry["difference"]),
                     interval, "*" if is_clear else ""])  # fmt: skip
    title = (
        f"{outcome['task']}: A {outcome['a']['path']}, B {outcome['b']['path']} on "
        f"{outcome['data']} ({outcome['split']}, {outcome['n']} samples)"
    )
    print_table(["metric", "A", "B", "B − A", "95 % interval", ""], rows, title=title)
