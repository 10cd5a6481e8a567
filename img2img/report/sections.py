"""The sections of a run's page, each as markup from what was found."""

import dataclasses
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from img2img.config import DataOptions, ModelOptions, TrainOptions
from img2img.data.sample import Dataset, Record, Splits
from img2img.inference.evaluate import Evaluation, Metrics
from img2img.inference.weights import Card
from img2img.report import html
from img2img.report.plots import Series, line_chart
from img2img.tasks.base import Curve, Table, Task

_PACKAGES = ("img2img", "torch", "torchvision", "segmentation-models-pytorch", "onnx",
             "onnxruntime", "numpy", "opencv-python-headless")  # fmt: skip
_POLISH = "polish"
"""Name of the loss of the closing phase, `engine.polish`."""
_DEFAULTS = ("default", "task default")

Row = dict[str, Any]
"""A row of `metrics.jsonl`."""
Cells = list[str | tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a report measured on some samples of one part of the data, `n_all` in all; the
    metrics of the baselines by their names."""

    part: str
    samples: Dataset
    n_all: int
    evaluation: Evaluation
    baselines: Mapping[str, Metrics]


def head(name: str, task: Task[Any, Any], card: Card, rows: Sequence[Row], splits: Splits) -> str:
    """The top: what was trained, how good it became, when and where."""
    best = card.facts.get("val", {}).get(task.best.metric)
    last: Row = rows[-1] if rows else {}
    facts = [
        (f"{task.best.metric} while training", html.figure(best)),
        ("best step", html.figure(card.facts.get("step"))),
        ("steps", html.figure(max((row["step"] for row in rows), default=None))),
        ("time", _duration(last.get("elapsed_s"))),
        ("training samples", str(len(splits.parts["train"]))),
        ("model", card.model),
        ("device", str(card.facts.get("device", "–"))),
        ("date", str(card.facts.get("date", "–"))),
    ]
    about = (type(task).__doc__ or "").strip().partition("\n")[0]
    lead = f"{task.name}: {about}" if about else task.name
    return html.header(name, lead, facts)


_OF_OPPONENTS = {
    "discriminator_accuracy": "patches that the discriminator judges right",
    "spread": "how much answers vary, beside truths",
}
"""What adversarial trainings log beside losses, with titles."""


def curves(rows: Sequence[Row], metric: str, best_step: int | None) -> str:
    """Charts over the steps of the training, from the rows of its log."""
    # The closing phase stays at one step and has no learning rate or speed.
    closing = [row for row in rows if _POLISH in row.get("losses", ())]
    steps = [row for row in rows if row["kind"] == "step" and _POLISH not in row["losses"]]
    checks = [row for row in rows if row["kind"] == "validation"]
    mark = None if best_step is None else (float(best_step), "best")
    names = sorted({name for row in checks for name in row["metrics"]}, key=lambda n: n != metric)
    of_metrics = {name: _chart([_of(checks, "metrics", name)], name, mark=mark) for name in names}
    logged = sorted({name for row in steps for name in row["losses"]})
    losses = [name for name in logged if name not in _OF_OPPONENTS]
    main = [
        ("loss", _chart([_of(steps, "losses", name) for name in losses], "loss", log=True)),
        *((title, _chart([_of(steps, "losses", name)], title))
          for name, title in _OF_OPPONENTS.items() if name in logged),
        (f"{metric} (validation)", of_metrics.pop(metric, "")),
        ("polishing", _polishing(closing)),
        ("learning rate", _chart([_plain(steps, "lr")], "learning rate")),
        ("speed", _chart([_plain(steps, "samples_per_s")], "speed", unit="samples/s")),
        ("waiting for data",
         _chart([_plain(steps, "wait_share", 100.0)], "waiting for data", unit="% of the time")),
    ]  # fmt: skip
    others = html.charts(of_metrics.items())
    short = "The training was shorter than one interval of the log (train.log_every)."
    return html.section(
        "Curves",
        "" if steps else html.paragraph(short, soft=True),
        html.charts(main),
        html.folded(f"{len(of_metrics)} more validation metrics", others) if others else "",
    )


def _chart(series: Sequence[Series], title: str, **options: Any) -> str:
    return line_chart(series, title=title, **options)


def _polishing(rows: Sequence[Row]) -> str:
    losses = [row["losses"][_POLISH] for row in rows]
    series = Series(name="loss", x=range(1, len(rows) + 1), y=losses)
    return line_chart([series], title="polishing", unit="loss", x_label="interval", log=True)


def _of(rows: Sequence[Row], group: str, name: str) -> Series:
    return Series(name=name, x=[r["step"] for r in rows], y=[r[group].get(name) for r in rows])


def _plain(rows: Sequence[Row], name: str, factor: float = 1.0) -> Series:
    values = [None if row[name] is None else row[name] * factor for row in rows]
    return Series(name=name, x=[row["step"] for row in rows], y=values)


def measured(task: Task[Any, Any], looked: Looked) -> str:
    """The table of metrics with intervals, the baselines beside them, and the task's tables."""
    n = len(looked.evaluation.ids)
    where = {"val": "validation", "train": "training"}[looked.part]
    told = f"The best weights on {n} of {looked.n_all} {where} samples"
    told += "; intervals are bootstrap 95 % over groups." if n > 1 else "."
    if looked.baselines:
        told += " Beside them the baselines on the same samples."
    seen = "There are no validation samples: the network has learned from these very pictures."
    return html.section(
        "Metrics",
        html.paragraph(told, soft=True),
        html.paragraph(seen) if looked.part == "train" else "",
        metrics(looked.evaluation.to_json(task), looked.baselines, main=task.best.metric),
        *(tabled(name, table) for name, table in looked.evaluation.tables(task).items()),
        *(curved(name, {"network": one}) for name, one in looked.evaluation.curves(task).items()),
    )


def metrics(values: Mapping[str, Metrics], baselines: Mapping[str, Metrics], *, main: str) -> str:
    """A table of {metric: {value, low, high}} with the baselines beside; `main` stands out."""
    rows = [
        [name, html.figure(entry["value"]), _interval(entry),
         *(html.figure(beside.get(name)) for beside in baselines.values())]
        for name, entry in values.items()
    ]  # fmt: skip
    names = (name.replace("_", " ") for name in baselines)
    return html.table(["metric", "value", "95 % interval", *names], rows, figures=True, main=main)


def tabled(name: str, table: Table) -> str:
    """A task's table under its name, shares as heat."""
    columns = [table.corner, *table.columns]
    rows = list(zip(table.rows, table.to_json()["values"], strict=True))
    if table.shares:
        drawn = html.heat_table(columns, rows)
    else:
        cells = [[row, *map(html.figure, values)] for row, values in rows]
        drawn = html.table(columns, cells, figures=True)
    return html.subsection(name.capitalize(), html.paragraph(table.about, soft=True), drawn)


def curved(name: str, lines: Mapping[str, Curve]) -> str:
    """A task's curve under its name: {whose answers: curve} over the axes of the first."""
    first = next(iter(lines.values()))
    series = [
        Series(name=label.replace("_", " "), x=curve.x.tolist(), y=curve.y.tolist())
        for label, curve in lines.items()
    ]
    title = name.replace("_", " ").capitalize()
    drawn = line_chart(series, title=title, unit=first.y_label, x_label=first.x_label)
    about = html.paragraph(first.about, soft=True)
    return html.subsection(title, about, html.charts([("", drawn)])) if drawn else ""


def _interval(entry: Metrics) -> str:
    if entry["low"] is None:
        return "–"
    return f"{html.figure(entry['low'])} … {html.figure(entry['high'])}"


def configuration(config: Mapping[str, Any], task: Task[Any, Any]) -> str:
    """Every option with its origin: the changed ones, the defaults folded."""
    kinds = {"train": TrainOptions, "data": DataOptions, "model": ModelOptions,
             "task": task.Options}  # fmt: skip
    changed: list[Cells] = []
    rest: list[Cells] = []
    for group, options in config["options"].items():
        for name, value in options.items():
            origin = config["origins"].get(f"{group}.{name}", "default")
            help, unit = _told_of(kinds.get(group), name)
            row: Cells = [(f"{group}.{name}", help), f"{_option(value)} {unit}".strip(), origin]
            (rest if origin in _DEFAULTS else changed).append(row)
    columns = ["option", "value", "from"]
    return html.section(
        "Configuration",
        html.table(columns, changed) if changed else html.paragraph("Every option is a default."),
        html.folded(f"{len(rest)} defaults", html.table(columns, rest)) if rest else "",
    )


def _told_of(kind: type | None, name: str) -> tuple[str, str]:
    """(help, unit) of an option; empty for those that a model family adds."""
    fields = dataclasses.fields(kind) if kind is not None else ()
    metadata: Mapping[str, Any] = next(
        (entry.metadata for entry in fields if entry.name == name), {}
    )
    return str(metadata.get("help", "")), str(metadata.get("unit", ""))


def _option(value: Any) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'


def data(splits: Splits) -> str:
    """How many samples each part has, and their sizes."""
    rows = [
        [part, str(len(samples)), str(len({r.group or r.id for r in samples.records})),
         _sizes(samples.records)]
        for part, samples in splits.parts.items()
    ]  # fmt: skip
    how = "divided by the data themselves" if splits.stated else "divided by share of groups"
    return html.section(
        "Data",
        html.paragraph(f"{splits.name}, {how}.", soft=True),
        html.table(["part", "samples", "groups", "sizes (pixels)"], rows),
    )


def _sizes(records: Sequence[Record]) -> str:
    """Widths × heights: the one there is, or the smallest and the greatest by area."""
    sizes = sorted({(r.width, r.height) for r in records}, key=lambda size: size[0] * size[1])
    if not sizes:
        return "–"
    ends = [f"{width} × {height}" for width, height in (sizes[0], sizes[-1])]
    return ends[0] if len(sizes) == 1 else f"{ends[0]} … {ends[1]} ({len(sizes)} sizes)"


def environment(card: Card) -> str:
    """Device, date and versions."""
    versions = [(name, _version(name)) for name in _PACKAGES]
    rows = [
        ["device", str(card.facts.get("device", "–"))],
        ["date", str(card.facts.get("date", "–"))],
        ["Python", platform.python_version()],
        ["system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"],
        *([name, found] for name, found in versions if found),
    ]
    return html.section("Environment", html.table(["what", "value"], rows))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
