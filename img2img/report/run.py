"""The report of a run: its best weights looked at on a few samples, pictures, and one page."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from img2img.config import read_config
from img2img.data.images import write
from img2img.data.sample import Record, Sample, Splits
from img2img.engine.evaluate import Evaluation, collect
from img2img.engine.events import Listener, Pictured, finite
from img2img.inference.predictor import Predictor
from img2img.inference.session import open_session
from img2img.inference.weights import find_weights
from img2img.report import html, sections
from img2img.report.draw import Panel, fit, panels, sheet
from img2img.report.sections import Looked, Row, Shown
from img2img.tasks.base import Task

MOST_SAMPLES = 24
MOST_PIXELS = 12_000_000
"""Limits of what a report measures, so that it takes seconds; the first three always count."""
_SURE_SAMPLES = 3


def write_report(
    out: Path, task: Task[Any, Any], splits: Splits, listeners: Sequence[Listener]
) -> None:
    """Writes `samples/*.png` and `report.html` into the run folder `out`, from its best weights.

    Every picture is told to the listeners.

    Raises:
        DataError: a sample became unreadable.
        WeightsError: the run has no usable weights.
        InputError: a picture cannot be written.
    """
    session = open_session(find_weights(str(out), task.name))
    predictor = Predictor(task, session)
    rows = _read_rows(out / "metrics.jsonl")
    looked = _look(task, predictor, splits)
    shown = _choose(task, predictor, looked)
    # The last step, not the best one: trackers take no pictures of the past.
    step = max((int(row["step"]) for row in rows), default=0)
    for path in _write_pictures(out / "samples", shown):
        for listener in listeners:
            listener(Pictured(step=step, path=path))
    config = read_config(out / "config.json")
    name = config["options"]["train"].get("name") or out.resolve().name
    parts = [
        sections.head(name, task, session.card, rows, splits),
        sections.curves(rows, task.best.metric, session.card.facts.get("step")),
        sections.measured(task, looked),
        html.section("Pictures", *(sections.pictured(task, one) for one in shown)),
        sections.configuration(config, task),
        sections.data(splits),
        sections.environment(session.card),
    ]
    _write_text(out / "report.html", html.page(f"{name}: {task.name}", parts))


# ---- looking at samples


def _look(task: Task[Any, Any], predictor: Predictor, splits: Splits) -> Looked:
    part = "val" if splits.parts.get("val") else "train"
    everything = splits.parts[part]
    samples = everything.subset(_spread(everything.records))
    indices = range(len(samples))
    # Decoded once for all answers: reading is a third of the time.
    kept = [samples[index] for index in indices]

    def measured(answer: Callable[[Sample], Any]) -> Evaluation:
        return collect([
            (index, sample.id, sample.group, task.measure(answer(sample), sample))
            for index, sample in enumerate(kept)
        ])  # fmt: skip

    return Looked(
        part=part,
        samples=samples,
        n_all=len(everything),
        evaluation=measured(lambda sample: predictor.run(sample.image)),
        baselines={name: measured(answer).metrics(task)
                   for name, answer in task.baselines().items()},
    )  # fmt: skip


def _spread(records: Sequence[Record]) -> list[int]:
    """Indices of up to 24 records, evenly spread, within the budget of pixels."""
    count = min(MOST_SAMPLES, len(records))
    spread = [i * len(records) // count for i in range(count)]
    pixels = np.cumsum([records[i].height * records[i].width for i in spread])
    within = int((pixels <= MOST_PIXELS).sum())
    return spread[: max(_SURE_SAMPLES, within)]


def _choose(task: Task[Any, Any], predictor: Predictor, looked: Looked) -> list[Shown]:
    """The best, the median and the worst sample by the task's metric, each once."""
    values = _values(task, looked.evaluation)
    known = [i for i, value in enumerate(values) if value is not None]
    ordered = sorted(known, key=lambda i: values[i] or 0.0, reverse=task.best.mode == "max")
    if len(ordered) >= 2:
        places = {"best": ordered[0], "worst": ordered[-1]}
        if len(ordered) >= 3:
            places = {"best": ordered[0], "median": ordered[len(ordered) // 2],
                      "worst": ordered[-1]}  # fmt: skip
    else:
        places = {"sample": (ordered or [0])[0]}
    return [_show(task, predictor, looked.samples[i], rank=rank, value=values[i])
            for rank, i in places.items()]  # fmt: skip


def _values(task: Task[Any, Any], evaluation: Evaluation) -> list[float | None]:
    """The metric that chooses the best epoch, of each sample alone."""
    one = np.ones(1)
    return [
        finite(float(task.summarise(
            {name: column[i : i + 1] for name, column in evaluation.rows.items()}, one
        )[task.best.metric]))
        for i in range(len(evaluation.ids))
    ]  # fmt: skip


def _show(
    task: Task[Any, Any], predictor: Predictor, sample: Sample, *, rank: str, value: float | None
) -> Shown:
    shown = panels(task, sample, predictor.run(sample.image))
    # A whole sheet of full-size photos would be kept for nothing.
    fitted = [Panel(caption=one.caption, image=fit(one.image)) for one in shown]
    return Shown(rank=rank, id=sample.id, value=value, panels=fitted)


# ---- files


def _write_pictures(folder: Path, shown: Sequence[Shown]) -> list[Path]:
    """Writes a sheet a sample; sheets of an earlier report of this run go."""
    folder.mkdir(exist_ok=True)
    for rank in ("best", "median", "worst", "sample"):
        for old in folder.glob(f"{rank}-*.png"):
            old.unlink()
    paths = []
    for one in shown:
        path = folder / f"{one.rank}-{_file_name(one.id)}.png"
        write(path, sheet(one.panels))
        paths.append(path)
    return paths


def _file_name(sample_id: str) -> str:
    """A sample's id as part of a file name; what had to be changed is told apart by a digest."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", sample_id).strip("-.")[:80]
    if safe and safe == sample_id:
        return safe
    digest = hashlib.sha256(sample_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe}-{digest}" if safe else digest


def _write_text(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    # Names of files may hold bytes that are no UTF-8.
    beside.write_text(text, encoding="utf-8", errors="replace")
    beside.replace(path)


def _read_rows(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
