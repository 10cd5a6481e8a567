"""`img2img crossval`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from img2img.cli.options import Flags, JsonOut, Quiet, TaskName, with_option_flags
from img2img.cli.train import ConfigFile, Settings


@with_option_flags
def crossval(
    task: TaskName,
    flags: Flags,
    folds: Annotated[int, typer.Option(min=2, metavar="N", help="How many folds.")] = 3,
    fold: Annotated[
        int | None,
        typer.Option(min=0, metavar="K", help="Train this fold alone; without it all of them."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the runs; one that exists is gone on with.",
            show_default="runs/TASK-crossval",
        ),
    ] = None,
    set_: Settings = None,
    config: ConfigFile = None,
    json: JsonOut = None,
    quiet: Quiet = False,
) -> None:
    """Train once a fold and measure each on the groups it never saw; pool the measurements.

    `--set data.groups=…` says what no division may tear apart. Nothing is kept for validation
    unless data.val_share asks for it: each fold's last weights are measured. Exit codes as of
    `train`; run again to go on.
    """
    from img2img.cli.console import say
    from img2img.config import parse_set, read_toml
    from img2img.engine.crossval import fold_config, refuse_other_folds, summary
    from img2img.engine.runtime import running
    from img2img.errors import UsageError

    layers: list[Any] = [("flag", flags), ("flag", parse_set(set_ or []))]
    if config is not None:
        layers.insert(0, (config.name, read_toml(config)))
    if fold is not None and fold >= folds:
        raise UsageError(f"--fold {fold} is none of 0…{folds - 1}.")
    folder = out or Path("runs") / f"{task}-crossval"
    chosen = range(folds) if fold is None else [fold]
    resolved = {k: fold_config(task, layers, folds=folds, fold=k) for k in chosen}
    first = resolved[chosen[0]]
    refuse_other_folds(first, folder)  # before hours of training, which could not be pooled
    with running(first.train.device) as runtime:
        for k, one in resolved.items():
            say(f"fold {k} of {folds}", quiet=quiet or not runtime.leads)
            _run(one, runtime, folder / f"fold-{k}", quiet=quiet or not runtime.leads)
    if runtime.leads:
        say("measuring the baselines on what was held out", quiet=quiet)
        _show(summary(first, folder), folder, json)


def _run(config: Any, runtime: Any, out: Path, *, quiet: bool) -> None:
    from img2img.cli.console import TrainingConsole
    from img2img.engine.crossval import run_fold
    from img2img.registry import load_task
    from img2img.report.run import write_report

    with TrainingConsole(load_task(config.task).best.metric) as console:
        listeners: list[Any] = [] if quiet else [console]
        run_fold(config, runtime, out=out, listeners=listeners, report=write_report)


def _show(outcome: dict[str, Any], folder: Path, json: str | None) -> None:
    from img2img.cli.console import print_table, write_json
    from img2img.cli.evaluate import metric_rows, print_tables
    from img2img.registry import load_task

    folder.mkdir(parents=True, exist_ok=True)
    write_json(outcome, str(folder / "crossval.json"))
    write_json(outcome, json)
    if json == "-":
        return
    done, folds = outcome["measured_folds"], outcome["folds"]
    title = (
        f"{outcome['task']}: {len(done)} of {folds} folds of {outcome['data']}, "
        f"{outcome['n']} held-out samples, {outcome['n_groups']} groups ({outcome['groups']})"
    )
    columns = ["metric", "value", "95 % interval", *outcome["baselines"]]
    print_table(columns, metric_rows(outcome), title=title)
    print_tables(outcome)
    print()
    _print_parts(outcome, load_task(outcome["task"]).best.metric)
    print(folder / "crossval.json")


def _print_parts(outcome: dict[str, Any], main: str) -> None:
    """A row a fold, a row a group, and the row of them all, by the main metric, the baselines
    beside it and the other metrics behind."""
    from img2img.cli.console import number, print_table
    from img2img.cli.evaluate import interval

    others = [name for name in outcome["metrics"] if name != main]
    rows = []
    for name, part in _parts(outcome).items():
        entry = part["metrics"][main]
        note = "*" if part.get("over") == "look-alike pictures" and entry["low"] is not None else ""
        beside = (number(values.get(main)) for values in part["baselines"].values())
        more = (number(part["metrics"][other]["value"]) for other in others)
        rows.append([name, str(part["n"]), number(entry["value"]), f"{interval(entry)}{note}",
                     *beside, *more])  # fmt: skip
    columns = ["held out", "n", main, "95 % interval", *(f"{b}: {main}" for b in
               outcome["baselines"]), *others]  # fmt: skip
    title = f"by fold and group (baselines: {main}; * over look-alike pictures of the one group)"
    print_table(columns, rows, title=title)


def _parts(outcome: dict[str, Any]) -> dict[str, Any]:
    """{name: part} of the folds, the groups, at most fifty of them, and all; where a fold is a
    group, it has the group's name."""
    folds, groups = outcome["by_fold"], outcome["by_group"]
    alone = {fold: part["groups"][0] for fold, part in folds.items() if len(part["groups"]) == 1}
    names = {f"fold {fold}{f': {alone[fold]}' if alone.get(fold) in groups else ''}": part
             for fold, part in folds.items()}  # fmt: skip
    rest = {name: part for name, part in groups.items() if name not in alone.values()}
    return names | (rest if len(rest) <= 50 else {}) | {"all": outcome}
