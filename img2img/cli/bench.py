"""`img2img bench`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from img2img.cli.options import Data, Device, JsonOut, Quiet, TaskName, Weights

if TYPE_CHECKING:
    from img2img.config import Layer
    from img2img.engine.benchmark import Figure
    from img2img.engine.runtime import Runtime

WHAT = ("loop", "data", "predict", "throughput", "startup")


def bench(
    task: TaskName,
    what: Annotated[
        str, typer.Option(metavar="|".join((*WHAT, "all")), help="What is measured.")
    ] = "all",
    model: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Architecture that loop and data train.",
                     show_default="the task's"),
    ] = None,
    data: Data = None,
    weights: Weights = None,
    image_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="Side of the training squares (pixels).")
    ] = 128,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Samples of one step.")] = 16,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    steps: Annotated[
        int, typer.Option(min=1, metavar="N", help="Steps (or pictures) of one measurement.")
    ] = 10,
    pictures: Annotated[
        int, typer.Option(min=4, metavar="N", help="Pictures that throughput is measured on.")
    ] = 200,
    repeats: Annotated[int, typer.Option(min=1, metavar="N", help="Measurements of each.")] = 7,
    device: Device = "auto",
    json: JsonOut = None,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Measure what our own machinery costs, beside the least that does the same.

    loop: our training loop over a bare one (same network, optimiser, batches). data: the loader
    on a warm cache. predict: one picture, whole process, beside `import torch`. throughput: many
    pictures, beside a bare loop on ONNX Runtime, and the memory on the way. startup: --help.
    Compared things run in turns; figures are medians with the least and the greatest.
    Exit codes: 0 done, 2 a wrong option, 3 unusable data or weights.
    """
    from img2img.cli.console import say, write_json
    from img2img.engine.runtime import running
    from img2img.errors import UsageError, WeightsError, unknown_name

    if what not in (*WHAT, "all"):
        raise unknown_name("benchmark", what, (*WHAT, "all"))
    options: dict[str, dict[str, Any]] = {
        "data": {"source": data}, "task": {"image_size": image_size},
        "train": {"batch_size": batch_size, "precision": precision, "device": device},
    }  # fmt: skip
    if model is not None:
        options["model"] = {"name": model}
    with running(device) as runtime:
        from img2img.engine.benchmark import to_json

        results: dict[str, list[Figure]] = {}
        for part in WHAT if what == "all" else (what,):
            say(f"measuring {part}", quiet=quiet)
            if part in ("loop", "data"):
                results[part] = _trained(
                    part, task, [("flag", options)], runtime, steps=steps, repeats=repeats
                )
            elif part == "startup":
                results[part] = _startup(repeats)
            else:
                measure = _predicted if part == "predict" else _passed
                try:
                    results[part] = measure(task, weights, device=device, steps=steps,
                                            pictures=pictures, repeats=repeats)  # fmt: skip
                except (WeightsError, UsageError) as error:
                    # Of `all`, what this task has no weights for, or no bare loop, is left out.
                    if what != "all" or weights is not None:
                        raise
                    say(f"{part} is left out: {error}")
        outcome = to_json(task, runtime.device, results)
    write_json(outcome, json)
    if json != "-":
        _show(outcome)


def _trained(
    part: str, task: str, layers: "list[Layer]", runtime: "Runtime", *, steps: int, repeats: int
) -> "list[Figure]":
    from img2img.engine import benchmark

    measure = {"loop": benchmark.bench_loop, "data": benchmark.bench_data}[part]
    plan = benchmark.plan_for(task, layers, runtime, steps=steps)
    with benchmark.opened_trainer(plan, runtime) as trainer:
        return measure(trainer, repeats=repeats)


def _startup(repeats: int) -> "list[Figure]":
    from img2img.engine.benchmark import bench_startup

    return bench_startup(repeats=repeats)


def _predicted(
    task: str, weights: str | None, *, device: str, steps: int, pictures: int, repeats: int
) -> "list[Figure]":
    from img2img.engine.benchmark import bench_predict

    return bench_predict(task, weights, device=device, repeats=repeats, n_pictures=steps)


def _passed(
    task: str, weights: str | None, *, device: str, steps: int, pictures: int, repeats: int
) -> "list[Figure]":
    from img2img.engine.throughput import bench_throughput

    return bench_throughput(task, weights, repeats=repeats, n_pictures=pictures)


def _show(outcome: dict[str, Any]) -> None:
    from img2img.cli.console import number, print_table

    versions = ", ".join(f"{name} {version}" for name, version in outcome["versions"].items())
    title = f"{outcome['device']} ({outcome['threads']} threads), {outcome['date']}, {versions}"
    rows = [
        [what, name, *(number(entry[key]) for key in ("median", "low", "high")), str(entry["n"])]
        for what, figures in outcome["results"].items()
        for name, entry in figures.items()
    ]
    print_table(("what", "figure", "median", "least", "greatest", "n"), rows, title=title)
