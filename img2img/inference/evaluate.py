"""Measuring a predictor on samples: rows a picture, metrics with intervals over groups."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Dataset, Sample
from img2img.inference.predictor import Predictor
from img2img.tasks.base import Curve, Table, Task
from img2img.vision.metrics import percentile_intervals

Columns = dict[str, NDArray[np.float64]]
Metrics = dict[str, float | None]
"""{metric: value}, None where it is not finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What each picture gave, in the order of the data set; no picture is left out."""

    ids: list[str]
    groups: list[str]
    rows: Columns

    def metrics(self, task: Task[Any, Any]) -> Metrics:
        """The metrics over all pictures; None where one is not finite."""
        return _named(task, task.summarise(self.rows, np.ones(len(self.ids))))

    def each(self, task: Task[Any, Any]) -> list[Metrics]:
        """The metrics of every picture alone."""
        one = np.ones(1)
        return [
            _named(task, task.summarise({k: v[i : i + 1] for k, v in self.rows.items()}, one))
            for i in range(len(self.ids))
        ]

    def intervals(self, task: Task[Any, Any]) -> dict[str, tuple[float, float] | None]:
        """Bootstrap 95 % intervals over groups; None with one group."""
        if len(set(self.groups)) < 2:
            return dict.fromkeys(self.metrics(task))
        return percentile_intervals(self.rows, self.groups, task.summarise)

    def tables(self, task: Task[Any, Any]) -> Mapping[str, Table]:
        """The task's tables over all pictures."""
        return task.tables(self.rows, np.ones(len(self.ids)))

    def curves(self, task: Task[Any, Any]) -> Mapping[str, Curve]:
        """The task's curves over all pictures."""
        return task.curves(self.rows, np.ones(len(self.ids)))

    def to_json(self, task: Task[Any, Any]) -> dict[str, Metrics]:
        """{metric: {value, low, high}}."""
        intervals = self.intervals(task)
        table: dict[str, Metrics] = {}
        for name, value in self.metrics(task).items():
            low, high = intervals[name] or (None, None)
            table[name] = {"value": value, "low": low, "high": high}
        return table

    def at(self, indices: Sequence[int]) -> "Evaluation":
        """The pictures of these indices, in that order."""
        return Evaluation(
            ids=[self.ids[i] for i in indices],
            groups=[self.groups[i] for i in indices],
            rows={name: column[list(indices)] for name, column in self.rows.items()},
        )

    def regrouped(self, group_of: Mapping[str, str]) -> "Evaluation":
        """The same with the groups {id: group}; a picture without one is alone."""
        return replace(self, groups=[group_of.get(sample) or sample for sample in self.ids])


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Weights measured on the samples of a part of some data, the baselines beside them."""

    predictor: Predictor
    data: str
    part: str
    samples: Dataset
    evaluation: Evaluation
    baselines: Mapping[str, Evaluation]

    def to_json(self) -> dict[str, Any]:
        """The object of `eval --json`, without its thresholds."""
        task, session = self.predictor.task, self.predictor.session
        tables = self.evaluation.tables(task)
        return {
            "task": task.name,
            "weights": {"name": session.name, "sha256": session.sha256},
            "data": self.data,
            "split": self.part,
            "n": len(self.samples),
            "metrics": self.evaluation.to_json(task),
            "baselines": {name: one.metrics(task) for name, one in self.baselines.items()},
            "tables": {name: table.to_json() for name, table in tables.items()},
        }


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


def joined(parts: Iterable[Evaluation]) -> Evaluation:
    """Evaluations of different pictures as one."""
    parts = list(parts)
    return Evaluation(
        ids=[sample for part in parts for sample in part.ids],
        groups=[group for part in parts for group in part.groups],
        rows={name: np.concatenate([part.rows[name] for part in parts]) for name in parts[0].rows},
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


def _named(task: Task[Any, Any], values: Mapping[str, float]) -> Metrics:
    """The task's metrics in their order."""
    return {
        name: float(values[name]) if math.isfinite(values[name]) else None
        for name in task.metrics
        if name in values
    }
