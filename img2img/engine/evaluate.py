"""Measuring a predictor on samples: rows a picture, metrics with intervals over groups."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Dataset, Sample
from img2img.engine.events import finite
from img2img.tasks.base import Task
from img2img.vision.metrics import percentile_intervals

Columns = dict[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What each picture gave, in the order of the data set."""

    ids: list[str]
    groups: list[str]
    rows: Columns

    def metrics(self, task: Task[Any, Any]) -> dict[str, float | None]:
        """The metrics over all pictures; None where one is not finite."""
        values = task.summarise(self.rows, np.ones(len(self.ids)))
        return {name: finite(values[name]) for name in task.metrics if name in values}

    def intervals(self, task: Task[Any, Any]) -> dict[str, tuple[float, float] | None]:
        """Bootstrap 95 % intervals over groups."""
        return percentile_intervals(self.rows, self.groups, task.summarise)

    def to_json(self, task: Task[Any, Any]) -> dict[str, dict[str, float | None]]:
        """{metric: {value, low, high}}."""
        intervals = self.intervals(task)
        table: dict[str, dict[str, float | None]] = {}
        for name, value in self.metrics(task).items():
            low, high = intervals[name] or (None, None)
            table[name] = {"value": value, "low": low, "high": high}
        return table


Row = tuple[int, str, str, dict[str, float]]


def measure_rows(
    task: Task[Any, Any],
    answer: Callable[[Sample], Any],
    dataset: Dataset,
    indices: Sequence[int],
    progress: Callable[[], None] = lambda: None,
) -> list[Row]:
    """(index, id, group, numbers) of these samples; `answer` gives the task's result."""
    rows: list[Row] = []
    for index in indices:
        sample = dataset[index]
        rows.append((index, sample.id, sample.group, task.measure(answer(sample), sample)))
        progress()
    return rows


def collect(rows: list[Row]) -> Evaluation:
    """The rows of all processes as one table, ordered by sample: one process and eight give the
    same numbers to the last bit."""
    ordered = sorted(rows, key=lambda row: row[0])
    names = list(ordered[0][3])
    columns = {name: np.array([row[3][name] for row in ordered], np.float64) for name in names}
    return Evaluation(
        ids=[row[1] for row in ordered], groups=[row[2] for row in ordered], rows=columns
    )


def paired_difference(
    task: Task[Any, Any], a: Evaluation, b: Evaluation
) -> dict[str, dict[str, float | None]]:
    """{metric: {a, b, difference, low, high}}: B minus A on the same pictures, with the bootstrap
    interval of the difference over groups."""
    paired = {f"a.{k}": v for k, v in a.rows.items()} | {f"b.{k}": v for k, v in b.rows.items()}

    def difference(rows: Any, weights: NDArray[np.float64]) -> dict[str, float]:
        first, second = (
            task.summarise({k[2:]: v for k, v in rows.items() if k[0] == side}, weights)
            for side in "ab"
        )
        return {name: second[name] - first[name] for name in first}

    intervals = percentile_intervals(paired, a.groups, difference)
    of_a, of_b = a.metrics(task), b.metrics(task)
    table: dict[str, dict[str, float | None]] = {}
    for name in of_a:
        x, y = of_a[name], of_b[name]
        low, high = intervals[name] or (None, None)
        gap = None if x is None or y is None else y - x
        table[name] = {"a": x, "b": y, "difference": gap, "low": low, "high": high}
    return table
