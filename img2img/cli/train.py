"""`img2img train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from img2img.cli.options import Flags, Quiet, TaskName, with_option_flags

Out = Annotated[
    Path | None,
    typer.Option(help="The run folder, empty or new.", show_default="runs/TASK-N"),
]
Resume = Annotated[
    Path | None,
    typer.Option(metavar="RUN", help="Go on with this run exactly where it stopped."),
]
Init = Annotated[
    str | None, typer.Option(metavar="shipped|WEIGHTS", help="Start from these weights.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="GROUP.OPTION=VALUE", help="Any other option, see --dry-run."),
]
ConfigFile = Annotated[Path | None, typer.Option(help="TOML file of options, in groups.")]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Show every option, size, memory, steps and time; train nothing."
    ),
]


@with_option_flags
def train(
    task: TaskName,
    flags: Flags,
    out: Out = None,
    resume: Resume = None,
    init: Init = None,
    set_: Settings = None,
    config: ConfigFile = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Train a network; leaves a run folder whose weights need no flags to use.

    Under torchrun the same command trains on all its processes. Exit codes: 0 done, 2 a wrong
    option, 3 unusable data, 75 interrupted and saved (go on with --resume).
    """
    from img2img.config import parse_set, read_toml
    from img2img.engine.run import load_config, prepare, resolve
    from img2img.engine.runtime import running
    from img2img.errors import Img2ImgError, UsageError

    layers: list[Any] = [("flag", flags), ("flag", parse_set(set_ or []))]
    if config is not None:
        layers.insert(0, (config.name, read_toml(config)))
    if resume is not None:
        if out not in (None, resume) or init is not None:
            raise UsageError(
                "--resume writes into the run it goes on with: leave out --out and --init."
            )
        resolved = load_config(resume, [layer for layer in layers if layer[1]])
        if resolved.task != task:
            raise UsageError(f"--resume {resume} is a run of {resolved.task}, not of {task}.")
    else:
        resolved = resolve(task, layers)
    with running(resolved.train.device) as runtime:
        run = resume or _new_folder(task, out, runtime, reserve=not dry_run)
        try:
            plan = prepare(resolved, runtime, init=init, fresh=resume is None)
        except Img2ImgError:
            if resume is None and out is None and runtime.leads and run.is_dir():
                run.rmdir()
            raise
        if dry_run:
            from img2img.cli.dry_run import show

            show(plan, runtime, run)
            return
        _train(plan, runtime, run, resumed=resume is not None, quiet=quiet)


def _new_folder(task: str, out: Path | None, runtime: Any, *, reserve: bool) -> Path:
    """The folder of a new run; the leader chooses it, and takes it unless nothing is trained."""
    from img2img.engine.run import check_new, next_run_folder, reserve_run_folder

    folder = out
    if folder is None and runtime.leads:
        folder = reserve_run_folder(task) if reserve else next_run_folder(task)
    folder = Path(runtime.from_leader(str(folder)))
    check_new(folder)
    runtime.barrier()
    return folder


def _train(plan: Any, runtime: Any, run: Path, *, resumed: bool, quiet: bool) -> None:
    from img2img.cli.console import TrainingConsole, number, say
    from img2img.engine.run import train as train_run
    from img2img.engine.trackers import tracker
    from img2img.report.run import write_report

    config = plan.config
    with TrainingConsole(plan.task.best.metric) as console:
        listeners: list[Any] = [] if quiet else [console]
        if runtime.leads and config.train.track != "none":
            listeners.append(tracker(config, run))
        finished = train_run(
            plan, runtime, out=run, resume=resumed, listeners=listeners, report=write_report
        )
    if runtime.leads:
        best = finished.best
        say(f"{best['metric']} {number(best['value'])} at step {best['step']}", quiet=quiet)
        print(run)
        say(f"use it with `img2img predict {config.task} photo.jpg --weights {run}`", quiet=quiet)
