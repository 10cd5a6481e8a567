"""Samples worth seeing: the best, the median and the worst, with their pictures and figures."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from img2img.data.images import write
from img2img.data.sample import Dataset
from img2img.inference.predictor import Predictor
from img2img.report import html
from img2img.report.draw import Panel, fit, panels, sheet
from img2img.tasks.base import Best, Task

_RANKS = ("best", "median", "worst", "sample")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A sample worth seeing: how it ranks (`best`, `median`, `worst-1` for the very worst, or
    `sample` where there is no rank), its metric, and its pictures."""

    rank: str
    id: str
    value: float | None
    panels: Sequence[Panel]


def ranked(values: Sequence[float | None], best: Best, *, n_worst: int) -> dict[str, int]:
    """{rank: index} of the best, the median and the worst values, each index once; unknown values
    have no rank, and one that stands alone is a `sample`."""
    known = [(value, i) for i, value in enumerate(values) if value is not None]
    known.sort(key=lambda entry: entry[0], reverse=best.mode == "max")
    ordered = [i for _, i in known]
    if len(ordered) < 2:
        return {"sample": (ordered or [0])[0]}
    middle = len(ordered) // 2 if len(ordered) > 2 else 0
    places = {"best": ordered[0]}
    if middle:
        places["median"] = ordered[middle]
    worst = ordered[:middle:-1][:n_worst]
    width = len(str(len(worst)))  # so that files sort by rank
    return places | {f"worst-{place:0{width}}": i for place, i in enumerate(worst, start=1)}


def gallery(
    task: Task[Any, Any],
    predictor: Predictor,
    samples: Dataset,
    metrics: Sequence[Mapping[str, float | None]],
    *,
    n_worst: int,
) -> list[Shown]:
    """Samples worth seeing by the task's metric; `metrics` are those of each sample alone.

    Raises:
        DataError: a sample became unreadable.
    """
    values = [one.get(task.best.metric) for one in metrics]
    shown = []
    for rank, index in ranked(values, task.best, n_worst=n_worst).items():
        sample = samples[index]
        figure = f"{task.best.metric} {html.figure(values[index])}"
        drawn = panels(task, sample, predictor.run_sample(sample), figure=figure)
        # A whole sheet of full-size photos would be kept for nothing.
        fitted = [Panel(caption=one.caption, image=fit(one.image)) for one in drawn]
        shown.append(Shown(rank=rank, id=sample.id, value=values[index], panels=fitted))
    return shown


def section(title: str, task: Task[Any, Any], shown: Iterable[Shown]) -> str:
    """The pictures of every sample under its rank and figure."""
    return html.section(title, *(_pictured(task, one) for one in shown))


def _pictured(task: Task[Any, Any], one: Shown) -> str:
    rank = one.rank.replace("-", " ").capitalize()
    title = f"{rank}: {one.id}, {task.best.metric} {html.figure(one.value)}"
    return html.pictures(title, [(panel.caption, panel.image) for panel in one.panels])


def write_sheets(folder: Path, shown: Sequence[Shown]) -> list[Path]:
    """Writes a picture a sample, `RANK-ID.png`; those of an earlier report go.

    Raises:
        InputError: a picture cannot be written.
    """
    folder.mkdir(exist_ok=True)
    for rank in _RANKS:
        for old in folder.glob(f"{rank}-*.png"):
            old.unlink()
    paths = [folder / f"{one.rank}-{file_name(one.id)}.png" for one in shown]
    for path, one in zip(paths, shown, strict=True):
        write(path, sheet(one.panels))
    return paths


def file_name(sample_id: str) -> str:
    """A sample's id as part of a file name; what had to be changed is told apart by a digest."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", sample_id).strip("-.")[:80]
    if safe and safe == sample_id:
        return safe
    digest = hashlib.sha256(sample_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe}-{digest}" if safe else digest
