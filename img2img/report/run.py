"""The report of a run: its best weights looked at on a few samples, pictures, and one page."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from img2img.config import read_config
from img2img.data.sample import Record, Sample, Splits
from img2img.engine.events import Listener, Pictured
from img2img.inference.evaluate import Evaluation, collect
from img2img.inference.predictor import Predictor
from img2img.inference.session import open_session
from img2img.inference.weights import find_weights
from img2img.report import html, sections
from img2img.report.gallery import gallery, section, write_sheets
from img2img.report.sections import Looked, Row
from img2img.tasks.base import Task

MOST_SAMPLES = 24
MOST_PIXELS = 12_000_000
"""Limits of what a report measures, so that it takes seconds; the first three always count."""
_SURE_SAMPLES = 3
N_WORST = 4
"""How many of the worst of them are shown."""


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
    metrics = looked.evaluation.each(task)
    shown = gallery(task, predictor, looked.samples, metrics, n_worst=N_WORST)
    # The last step, not the best one: trackers take no pictures of the past.
    step = max((int(row["step"]) for row in rows), default=0)
    for path in write_sheets(out / "samples", shown):
        for listener in listeners:
            listener(Pictured(step=step, path=path))
    config = read_config(out / "config.json")
    name = config["options"]["train"].get("name") or out.resolve().name
    parts = [
        sections.head(name, task, session.card, rows, splits),
        sections.curves(rows, task.best.metric, session.card.facts.get("step")),
        sections.measured(task, looked),
        section("Pictures", task, shown),
        sections.configuration(config, task),
        sections.data(splits),
        sections.environment(session.card),
    ]
    html.write_page(out / "report.html", f"{name}: {task.name}", parts)


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
        evaluation=measured(predictor.run_sample),
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


def _read_rows(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
