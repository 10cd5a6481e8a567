"""The report of an evaluation: a row a picture, the worst pictures, curves, and one page."""

import csv
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from img2img import __version__
from img2img.errors import InputError, UsageError
from img2img.inference.evaluate import Measurement, Metrics
from img2img.report import html, sections
from img2img.report.gallery import file_name, gallery, section, write_sheets
from img2img.tasks.base import Curve

ROWS = "pictures.jsonl"


def check_folder(out: Path) -> None:
    """Refuses a folder whose own report would be overwritten.

    Raises:
        UsageError: `out` is a file or a run folder.
    """
    if out.is_file():
        raise UsageError(f"--out {out} is a file: name a folder.")
    if (out / "config.json").is_file():
        raise UsageError(f"--out {out} is a run, which has a report of its own: name another.")


def write_evaluation(
    out: Path, measurement: Measurement, outcome: Mapping[str, Any], *, n_worst: int
) -> None:
    """Writes `pictures.jsonl`, `samples/*.png`, `report.html` and, for a task that has curves,
    `curves/*.csv` into the folder `out`.

    Args:
        out: is made; an earlier evaluation in it is replaced.
        measurement: what was measured.
        outcome: its object of `eval --json`, with thresholds.
        n_worst: how many of the worst pictures are shown.

    Raises:
        DataError: a sample became unreadable.
        InputError: the folder cannot be written.
    """
    metrics = measurement.evaluation.each(measurement.predictor.task)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write_rows(out / ROWS, measurement, metrics)
        _write_curves(out / "curves", measurement.evaluation.curves(measurement.predictor.task))
        _write_page(out, measurement, outcome, metrics, n_worst=n_worst)
    except OSError as error:
        raise InputError(f"--out {out} cannot be written: {error.strerror}.") from None


def _write_page(
    out: Path,
    measurement: Measurement,
    outcome: Mapping[str, Any],
    metrics: Sequence[Metrics],
    *,
    n_worst: int,
) -> None:
    predictor, samples = measurement.predictor, measurement.samples
    task = predictor.task
    shown = gallery(task, predictor, samples, metrics, n_worst=n_worst)
    write_sheets(out / "samples", shown)
    parts = [
        _head(measurement, outcome),
        html.section(
            "Metrics",
            html.paragraph(_about(measurement), soft=True),
            sections.metrics(outcome["metrics"], outcome["baselines"], main=task.best.metric),
            *(sections.tabled(*entry) for entry in measurement.evaluation.tables(task).items()),
            *_curves(measurement),
        ),
        html.section("Thresholds", _thresholds(outcome)),
        section("Pictures", task, shown),
    ]
    html.write_page(out / "report.html", f"{outcome['weights']['name']}: {task.name}", parts)


def _head(measurement: Measurement, outcome: Mapping[str, Any]) -> str:
    task, card = measurement.predictor.task, measurement.predictor.session.card
    facts = [
        (task.best.metric, html.figure(outcome["metrics"][task.best.metric]["value"])),
        ("samples", str(len(measurement.samples))),
        ("data", f"{measurement.data} ({measurement.part})"),
        ("model", card.model),
        ("SHA-256 of the weights", outcome["weights"]["sha256"][:12]),
        ("date", datetime.now(UTC).date().isoformat()),
        ("img2img", __version__),
    ]
    return html.header(outcome["weights"]["name"], f"{task.name}, evaluated", facts)


def _about(measurement: Measurement) -> str:
    evaluation = measurement.evaluation
    n, n_groups = len(evaluation.ids), len(set(evaluation.groups))
    told = f"{n} samples in {n_groups} groups"
    return f"{told}; intervals are bootstrap 95 % over groups." if n_groups > 1 else f"{told}."


def _curves(measurement: Measurement) -> list[str]:
    """Each curve of the weights with those of the baselines."""
    task = measurement.predictor.task
    beside = {label: one.curves(task) for label, one in measurement.baselines.items()}
    return [
        sections.curved(name, {"network": curve, **{b: one[name] for b, one in beside.items()}})
        for name, curve in measurement.evaluation.curves(task).items()
    ]


def _thresholds(outcome: Mapping[str, Any]) -> str:
    rows = [
        [f"{entry['metric']} {entry['op']} {entry['limit']:g}", "met" if entry["ok"] else "missed"]
        for entry in outcome["thresholds"]
    ]
    return html.table(["threshold", "verdict"], rows) if rows else ""


def _write_rows(path: Path, measurement: Measurement, metrics: Sequence[Metrics]) -> None:
    """A JSON object a picture: its id, its group, its metrics and those of the baselines."""
    task, evaluation = measurement.predictor.task, measurement.evaluation
    beside = {name: one.each(task) for name, one in measurement.baselines.items()}
    lines = [
        json.dumps({
            "id": sample,
            "group": group,
            "metrics": metrics[index],
            "baselines": {name: each[index] for name, each in beside.items()},
        }, allow_nan=False)
        for index, (sample, group) in enumerate(
            zip(evaluation.ids, evaluation.groups, strict=True)
        )
    ]  # fmt: skip
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_curves(folder: Path, curves: Mapping[str, Curve]) -> None:
    """A CSV file a curve, its labels in the first row."""
    for name, curve in curves.items():
        folder.mkdir(exist_ok=True)
        points = zip(curve.x.tolist(), curve.y.tolist(), strict=True)
        with (folder / f"{file_name(name)}.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow([curve.x_label, curve.y_label])
            table.writerows([f"{x:.10g}", f"{y:.10g}"] for x, y in points)
