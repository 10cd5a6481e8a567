"""`img2img eval`."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from img2img.cli.options import (
    Camera,
    Data,
    Device,
    EngineName,
    Finder,
    JsonOut,
    NoFlip,
    Quiet,
    Smooth,
    TaskName,
    Weights,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from img2img.data.sample import Sample
    from img2img.engine.runtime import Runtime
    from img2img.inference.evaluate import Evaluation, Measurement

AllowPython = Annotated[
    bool,
    typer.Option(
        "--allow-python", help="Run Python code that the weights name (python:FILE.py:FUNCTION)."
    ),
]


def evaluate(
    task: TaskName,
    weights: Weights = None,
    data: Data = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="train, val, test or all.", show_default="test of divided data, else all"
        ),
    ] = None,
    minimum: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="METRIC=X", help="Exit 4 if the metric is lower."),
    ] = None,
    maximum: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="METRIC=X", help="Exit 4 if the metric is higher."),
    ] = None,
    json: JsonOut = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write thresholds as JUnit XML.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also write report.html, samples/ (pictures), pictures.jsonl (a row each) and the "
            "task's curves/ (CSV), if it has any.",
        ),
    ] = None,
    worst: Annotated[
        int, typer.Option(min=0, metavar="N", help="Worst pictures to show in --out.")
    ] = 8,
    find: Annotated[
        bool,
        typer.Option(
            "--find", help="keypoints: look for the faces in whole photos; --finder implies it."
        ),
    ] = False,
    finder: Finder = None,
    no_flip: NoFlip = False,
    camera: Camera = None,
    smooth: Smooth = None,
    baselines: Annotated[
        bool, typer.Option(help="Measure the honest baselines beside the weights.")
    ] = True,
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
    """Measure weights on labelled pictures, with bootstrap 95 % intervals, beside baselines.

    Exit codes: 0 done, 2 an unknown metric or option, 3 unusable data or weights, 4 a threshold
    is not met.
    """
    from img2img.cli.console import say, write_json
    from img2img.cli.measuring import given, ranks_joined
    from img2img.report.evaluation import check_folder, write_evaluation

    limits = _limits(minimum or [], ">=") + _limits(maximum or [], "<=")
    if out is not None:
        check_folder(out)
    finds = find or finder is not None
    asked = given(
        find=finds or None, finder=finder, flip=False if no_flip else None, camera=camera,
        smooth=smooth,
    )  # fmt: skip
    with ranks_joined() as runtime:
        measurement = _measure(
            task, weights, runtime=runtime, data=data, split=split, device=device, engine=engine,
            tile=tile, download=download, baselines=baselines, allow_python=allow_python,
            quiet=quiet, needed=[limit["metric"] for limit in limits],
            asked=asked,
        )  # fmt: skip
    if not runtime.leads:
        return
    outcome = measurement.to_json()
    checked = [_check(limit, outcome["metrics"]) for limit in limits]
    outcome["thresholds"] = checked
    if json != "-":
        _show(outcome)
    write_json(outcome, json)
    if junit is not None:
        _write_junit(junit, outcome)
    if out is not None:
        write_evaluation(out, measurement, outcome, n_worst=worst)
        say(f"written: {out / 'report.html'}", quiet=quiet)
    _refuse_missed(checked, outcome["metrics"])


def _measure(
    task_name: str,
    weights: str | None,
    *,
    runtime: "Runtime",
    data: str | None,
    split: str | None,
    device: str,
    engine: str,
    tile: int | None,
    download: bool,
    baselines: bool,
    allow_python: bool,
    quiet: bool,
    needed: list[str],
    asked: dict[str, Any],
) -> "Measurement":
    """The weights measured beside the baselines; `needed` names metrics that there must be."""
    from img2img.cli.measuring import attach_companion, chosen_samples, measured, opened
    from img2img.errors import UsageError, unknown_name
    from img2img.inference.evaluate import Measurement
    from img2img.inference.predictor import Predictor
    from img2img.inference.session import task_of

    session = opened(task_name, weights, engine=engine, device=device)
    task = task_of(session.card, task_name, allow_python=allow_python)
    task.ask(asked)
    if task.goes_in_order and runtime.world > 1:
        raise UsageError("--smooth goes from frame to frame: measure with one process.")
    if asked.get("find"):
        attach_companion(task, engine=engine, device=device)
    for metric in needed:
        if metric not in task.metrics:
            raise unknown_name("metric", metric, task.metrics)
    name, part, samples = chosen_samples(
        task, session.card, data=data, split=split, download=download
    )
    predictor = Predictor(task, session, tile=tile)

    def run(answer: "Callable[[Sample], Any]", label: str) -> "Evaluation":
        return measured(task, answer, samples, runtime=runtime, label=label, quiet=quiet)

    return Measurement(
        predictor=predictor,
        data=name,
        part=part,
        samples=samples,
        evaluation=run(predictor.run_sample, "evaluating"),
        baselines={label: run(answer, label) for label, answer in task.baselines().items()}
        if baselines
        else {},
    )


def _limits(texts: list[str], op: str) -> list[dict[str, Any]]:
    from img2img.errors import UsageError

    limits = []
    for text in texts:
        match = re.fullmatch(r"(\w+)=([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)", text)
        if match is None or not math.isfinite(float(match[2])):
            flag = "--min" if op == ">=" else "--max"
            raise UsageError(f"{flag} takes metric=number, not {text!r}.")
        limits.append({"metric": match[1], "op": op, "limit": float(match[2])})
    return limits


def _check(limit: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    value = metrics[limit["metric"]]["value"]
    below = value is not None and value <= limit["limit"]
    above = value is not None and value >= limit["limit"]
    return {**limit, "ok": above if limit["op"] == ">=" else below}


def _refuse_missed(checked: list[dict[str, Any]], metrics: dict[str, Any]) -> None:
    from img2img.errors import ThresholdError

    missed = [entry for entry in checked if not entry["ok"]]
    if missed:
        worst = missed[0]
        value = metrics[worst["metric"]]["value"]
        shown = "unknown" if value is None else f"{value:.6g}"
        raise ThresholdError(
            f"{len(missed)} of {len(checked)} thresholds missed: {worst['metric']} is {shown}, "
            f"not {worst['op']} {worst['limit']:g}."
        )


def metric_rows(outcome: dict[str, Any]) -> list[list[str]]:
    """Name, value, interval and baselines of every metric, as a table shows them."""
    from img2img.cli.console import number

    rows = []
    for name, entry in outcome["metrics"].items():
        beside = (number(values.get(name)) for values in outcome["baselines"].values())
        rows.append([name, number(entry["value"]), interval(entry), *beside])
    return rows


def interval(entry: dict[str, float | None]) -> str:
    """`low … high` as a table shows it, nothing where there is none."""
    from img2img.cli.console import number

    low, high = entry["low"], entry["high"]
    return "" if low is None else f"{number(low)} … {number(high)}"


def print_tables(outcome: dict[str, Any]) -> None:
    """The task's tables, each under its name and what it is about."""
    from img2img.cli.console import number, print_table
    from img2img.report.html import share

    for name, table in outcome["tables"].items():
        shown = share if table["shares"] else number
        rows = [[row, *map(shown, values)]
                for row, values in zip(table["rows"], table["values"], strict=True)]  # fmt: skip
        print()
        print_table([table["corner"], *table["columns"]], rows, title=f"{name}: {table['about']}")


def _show(outcome: dict[str, Any]) -> None:
    from img2img.cli.console import print_table

    about = f"{outcome['data']} ({outcome['split']}, {outcome['n']} samples)"
    title = f"{outcome['task']}: {outcome['weights']['name']} on {about}"
    columns = ["metric", "value", "95 % interval", *outcome["baselines"]]
    print_table(columns, metric_rows(outcome), title=title)
    print_tables(outcome)
    for entry in outcome["thresholds"]:
        verdict = "met" if entry["ok"] else "MISSED"
        print(f"{entry['metric']} {entry['op']} {entry['limit']:g}: {verdict}")


def _write_junit(path: Path, outcome: dict[str, Any]) -> None:
    from xml.etree import ElementTree as Xml

    cases = outcome["thresholds"]
    failed = sum(not case["ok"] for case in cases)
    suite = Xml.Element("testsuite", name=f"img2img eval {outcome['task']}",
                        tests=str(len(cases)), failures=str(failed))  # fmt: skip
    for case in cases:
        name = f"{case['metric']} {case['op']} {case['limit']:g}"
        element = Xml.SubElement(suite, "testcase", classname=outcome["task"], name=name)
        if not case["ok"]:
            value = outcome["metrics"][case["metric"]]["value"]
            Xml.SubElement(element, "failure", message=f"{case['metric']} is {value}")
    path.write_bytes(Xml.tostring(suite, encoding="utf-8", xml_declaration=True))
