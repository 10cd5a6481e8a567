"""`img2img eval`."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from img2img.cli.options import Data, Device, EngineName, JsonOut, Quiet, TaskName, Weights

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
    from img2img.cli.console import write_json
    from img2img.cli.measuring import evaluated, ranks_joined
    from img2img.errors import ThresholdError

    limits = _limits(minimum or [], ">=") + _limits(maximum or [], "<=")
    with ranks_joined() as runtime:
        outcome = evaluated(
            task, weights, runtime=runtime, data=data, split=split, device=device, engine=engine,
            tile=tile, download=download, baselines=baselines, allow_python=allow_python,
            quiet=quiet, needed=[limit["metric"] for limit in limits],
        )  # fmt: skip
    checked = [_check(limit, outcome["metrics"]) for limit in limits]
    outcome["thresholds"] = checked
    if not runtime.leads:
        return
    if json != "-":
        _show(outcome)
    write_json(outcome, json)
    if junit is not None:
        _write_junit(junit, outcome)
    missed = [entry for entry in checked if not entry["ok"]]
    if missed:
        worst = missed[0]
        value = outcome["metrics"][worst["metric"]]["value"]
        shown = "unknown" if value is None else f"{value:.6g}"
        raise ThresholdError(
            f"{len(missed)} of {len(checked)} thresholds missed: {worst['metric']} is {shown}, "
            f"not {worst['op']} {worst['limit']:g}."
        )


def _limits(texts: list[str], op: str) -> list[dict[str, Any]]:
    from img2img.errors import UsageError

    limits = []
    for text in texts:
        match = re.fullmatch(r"(\w+)=([-+]?[\d.]+(?:[eE][-+]?\d+)?)", text)
        if match is None:
            flag = "--min" if op == ">=" else "--max"
            raise UsageError(f"{flag} takes metric=number, not {text!r}.")
        limits.append({"metric": match[1], "op": op, "limit": float(match[2])})
    return limits


def _check(limit: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    value = metrics[limit["metric"]]["value"]
    below = value is not None and value <= limit["limit"]
    above = value is not None and value >= limit["limit"]
    return {**limit, "ok": above if limit["op"] == ">=" else below}


def metric_rows(outcome: dict[str, Any]) -> list[list[str]]:
    """Name, value, interval and baselines of every metric, as a table shows them."""
    from img2img.cli.console import number

    rows = []
    for name, entry in outcome["metrics"].items():
        low, high = entry["low"], entry["high"]
        interval = "" if low is None else f"{number(low)} … {number(high)}"
        beside = (number(values.get(name)) for values in outcome["baselines"].values())
        rows.append([name, number(entry["value"]), interval, *beside])
    return rows


def _show(outcome: dict[str, Any]) -> None:
    from img2img.cli.console import print_table

    about = f"{outcome['data']} ({outcome['split']}, {outcome['n']} samples)"
    title = f"{outcome['task']}: {outcome['weights']['name']} on {about}"
    columns = ["metric", "value", "95 % interval", *outcome["baselines"]]
    print_table(columns, metric_rows(outcome), title=title)
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
