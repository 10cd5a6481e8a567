"""Cross-validation: one run a fold, each measured on the groups that it never saw."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from img2img.config import Config, DataOptions, Layer
from img2img.data.sample import Dataset, Sample, Splits
from img2img.data.split import check_unchanged
from img2img.engine.events import Listener
from img2img.engine.run import load_config, prepare, read_json, resolve, train, write_json
from img2img.engine.runtime import Runtime
from img2img.errors import DataError, UsageError
from img2img.inference.evaluate import Evaluation, collect, joined, measure_rows
from img2img.inference.predictor import Predictor
from img2img.inference.session import open_session
from img2img.inference.weights import find_weights
from img2img.registry import load_task
from img2img.tasks.base import Task

Report = Callable[[Path, Task[Any, Any], Splits, list[Listener]], None]
"""What writes the report of a run."""

ROWS = "rows.json"
"""What a fold's run was measured at, a row a held-out sample."""
MOST_COMPARED = 5000
"""Pictures that are compared with one another at most: the time grows with their square."""
_MEASURE_ANEW = "delete it and run again, which measures the fold anew"
_UNKNOWN = object()
_MACHINE = {"train.precision", "train.workers", "train.device", "train.name", "train.track",
            "data.download"}  # fmt: skip


def fold_config(task: str, layers: list[Layer], *, folds: int, fold: int) -> Config:
    """The configuration of one fold. Without `data.val_share` nothing is kept for validation: the
    last weights count, so that nothing is chosen and every other sample is learned from.

    Raises:
        UsageError: an unknown task, option or value.
    """
    defaults: Layer = ("cross-validation", {"data": {"val_share": 0.0}})
    division: Layer = ("cross-validation", {"data": {"folds": folds, "fold": fold}})
    return resolve(task, [defaults, *layers, division])


def run_fold(
    config: Config, runtime: Runtime, *, out: Path, listeners: list[Listener], report: Report
) -> None:
    """Trains the fold's run in `out` and measures it, or goes on where it stopped; a fold that
    was measured is left alone.

    Raises:
        UsageError: `out` holds a run with other options.
        DataError: the data cannot be used.
        Interrupted: stopped by a signal, after saving.
    """
    began = (out / "config.json").is_file()
    if began:
        _refuse_other_options(out, config)
        config = load_config(out, [])
    if (out / ROWS).is_file():
        return
    plan = prepare(config, runtime, init=None, fresh=not began)
    train(plan, runtime, out=out, resume=began, listeners=listeners, report=report)
    held_out = plan.splits.parts["test"]
    predictor = Predictor(plan.task, open_session(find_weights(str(out), config.task)))
    measure(plan.task, predictor.run_sample, held_out, runtime, out=out)


def measure(
    task: Task[Any, Any],
    answer: Callable[[Sample], Any],
    held_out: Dataset,
    runtime: Runtime,
    *,
    out: Path,
) -> None:
    """Measures `answer` on what a fold held out, shared out over the processes; the leader writes
    the rows into the fold's run."""
    mine = range(runtime.rank, len(held_out), runtime.world)
    rows = runtime.gather(measure_rows(task, answer, held_out, mine))
    if runtime.leads:
        _write_rows(out / ROWS, collect(rows))
    runtime.barrier()


def refuse_other_folds(config: Config, out: Path) -> None:
    """Refuses to pool folds that were not trained alike.

    Raises:
        UsageError: a fold in `out` was measured with other options.
        DataError: the configuration of one is damaged.
    """
    for fold, run in _measured_runs(config, out).items():
        _refuse_other_options(run, _of_fold(config, fold))


def measured_folds(config: Config, out: Path) -> dict[int, Evaluation]:
    """{fold: its rows} of the folds that were measured.

    Raises:
        UsageError: one was trained with other options.
        DataError: none was measured, the data changed since, or a file is damaged.
    """
    runs = _measured_runs(config, out)
    if not runs:
        raise DataError(f"{out} holds no measured fold.")
    refuse_other_folds(config, out)
    found = {fold: _read_rows(run / ROWS) for fold, run in runs.items()}
    _refuse_repeated(found, out)
    task = load_task(config.task).configured(config)
    for fold, run in runs.items():
        splits = task.splits(_of_fold(config, fold).data)
        check_unchanged(read_json(run / "split.json"), splits)
        if set(found[fold].ids) != {record.id for record in splits.parts["test"].records}:
            raise DataError(f"{run / ROWS} does not hold what {run} held out; {_MEASURE_ANEW}.")
        if found[fold].rows.keys() != next(iter(found.values())).rows.keys():
            raise DataError(f"{run / ROWS} holds other numbers than other folds; {_MEASURE_ANEW}.")
    return found


def _measured_runs(config: Config, out: Path) -> dict[int, Path]:
    """{fold: its run} of the folds that were measured."""
    runs = {fold: out / f"fold-{fold}" for fold in range(config.data.folds or 0)}
    return {fold: run for fold, run in runs.items() if (run / ROWS).is_file()}


def _of_fold(config: Config, fold: int) -> Config:
    return replace(config, groups={**config.groups, "data": replace(config.data, fold=fold)})


def _refuse_repeated(parts: Mapping[int, Evaluation], out: Path) -> None:
    fold_of: dict[str, int] = {}
    for fold, part in parts.items():
        for sample in part.ids:
            if sample in fold_of:
                raise DataError(
                    f"{out} holds {sample} twice, in the folds {fold_of[sample]} and {fold}: no "
                    "sample is held out twice; choose another --out."
                )
            fold_of[sample] = fold


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Rows of samples that a run never saw, and what the baselines gave on the same ones."""

    evaluation: Evaluation
    baselines: Mapping[str, Evaluation]

    def at(self, indices: Sequence[int]) -> "HeldOut":
        """Some of the samples."""
        return HeldOut(
            evaluation=self.evaluation.at(indices),
            baselines={name: one.at(indices) for name, one in self.baselines.items()},
        )

    def to_json(self, task: Task[Any, Any]) -> dict[str, Any]:
        """Their number, the metrics with intervals over groups, and those of the baselines."""
        return {
            "n": len(self.evaluation.ids),
            "n_groups": len(set(self.evaluation.groups)),
            "metrics": self.evaluation.to_json(task),
            "baselines": {name: one.metrics(task) for name, one in self.baselines.items()},
        }


def summary(config: Config, out: Path, *, baselines: bool = True) -> dict[str, Any]:
    """The object of `crossval --json`: what was measured on all held-out samples together, on
    those of each fold, and on each group that the data themselves state.

    A fold or group that is one single group has its intervals over look-alike pictures
    (`data.groups=clusters`) instead, with `over` saying so.

    Raises:
        UsageError: a measured fold was trained with other options.
        DataError: no fold was measured, the data changed since, or a file is damaged.
    """
    task = load_task(config.task).configured(config)
    parts = measured_folds(config, out)
    splits = task.splits(config.data)
    held_out = _held_out(task, parts, splits.whole, baselines=baselines)
    evaluation = held_out.evaluation
    fold_of = {sample: fold for fold, part in parts.items() for sample in part.ids}
    whole = held_out.to_json(task)
    tables = evaluation.tables(task)
    by_fold = _members([str(fold_of[sample]) for sample in evaluation.ids])
    by_group = _members(_stated_groups(task, evaluation.ids, config.data))
    if all(len(indices) == 1 for indices in by_group.values()):
        by_group = {}
    alike = _look_alikes(task, held_out, [*by_fold.values(), *by_group.values()], config.data)
    return {
        "task": config.task,
        "data": splits.name,
        "groups": config.data.groups,
        "folds": config.data.folds,
        "measured_folds": list(parts),
        **whole,
        "tables": {name: table.to_json() for name, table in tables.items()},
        "by_fold": _by_name(task, held_out, by_fold, alike),
        "by_group": _by_name(task, held_out, by_group, alike),
    }


def _held_out(
    task: Task[Any, Any], parts: Mapping[int, Evaluation], whole: Dataset, *, baselines: bool
) -> HeldOut:
    """The folds as one, in the order of the data."""
    evaluation = joined(parts.values())
    index_of = {record.id: index for index, record in enumerate(whole.records)}
    order = sorted(range(len(evaluation.ids)), key=lambda i: index_of[evaluation.ids[i]])
    evaluation = evaluation.at(order)
    indices = [index_of[sample] for sample in evaluation.ids]
    beside = task.baselines() if baselines else {}
    return HeldOut(
        evaluation=evaluation,
        baselines={
            name: collect(measure_rows(task, answer, whole, indices))
            for name, answer in beside.items()
        },
    )


def _members(names: Sequence[str]) -> dict[str, list[int]]:
    """{name: indices of its samples}, in the order of the names; samples without one stay out."""
    return {
        name: [index for index, other in enumerate(names) if other == name]
        for name in sorted(set(names) - {""})
    }


def _stated_groups(task: Task[Any, Any], ids: Sequence[str], data: DataOptions) -> list[str]:
    """The group that the data themselves state of each sample, whatever the folds are made of."""
    splits = task.splits(replace(data, groups="auto", folds=None))
    group_of = {record.id: record.group for record in splits.whole.records}
    return [group_of.get(sample, "") for sample in ids]


def _by_name(
    task: Task[Any, Any],
    held_out: HeldOut,
    members: Mapping[str, Sequence[int]],
    alike: Mapping[str, str],
) -> dict[str, dict[str, Any]]:
    """{name: what was measured on its samples}; classes that they lack are left out."""
    table = {}
    for name, indices in members.items():
        part, over = held_out.at(indices), "groups"
        groups = part.evaluation.groups
        if alike and len(set(groups)) == 1:
            over = "look-alike pictures"
            part = replace(part, evaluation=part.evaluation.regrouped(alike))
        table[name] = {**part.to_json(task), "over": over, "groups": sorted(set(groups))}
    return table


def _look_alikes(
    task: Task[Any, Any],
    held_out: HeldOut,
    parts: Sequence[Sequence[int]],
    data: DataOptions,
) -> dict[str, str]:
    """{id: cluster of look-alike pictures}, empty where no part needs it: neighbouring frames of a
    film are not independent, so that an interval over single pictures would be too narrow."""
    groups = held_out.evaluation.groups
    lone = any(len(part) > 1 and len({groups[i] for i in part}) == 1 for part in parts)
    if not lone or len(groups) > MOST_COMPARED:
        return {}
    splits = task.splits(replace(data, groups="clusters", folds=None))
    return {record.id: record.group for record in splits.whole.records}


def _refuse_other_options(out: Path, config: Config) -> None:
    content = read_json(out / "config.json")
    saved = content.get("options")
    if not isinstance(saved, dict) or not {"task", "origins"} <= content.keys():
        raise DataError(f"{out / 'config.json'} holds no options of a run; train anew.")
    for group, options in config.to_json()["options"].items():
        for name, value in options.items():
            before = saved.get(group, {}).get(name, _UNKNOWN)
            origin = config.origins.get(f"{group}.{name}", "default")
            if before is _UNKNOWN and origin in ("default", "task default"):
                continue  # an option that came with a later version, and that nobody asked for
            if f"{group}.{name}" not in _MACHINE and before != value:
                raise UsageError(
                    f"{out} was trained with {group}.{name}={before!r}, not {value!r}: choose "
                    "another --out."
                )


def _write_rows(path: Path, evaluation: Evaluation) -> None:
    """JSON has no word for NaN, which is what a picture without a class gives: null."""
    rows = {
        name: [None if math.isnan(value) else value for value in column.tolist()]
        for name, column in evaluation.rows.items()
    }
    write_json(path, {"ids": evaluation.ids, "groups": evaluation.groups, "rows": rows})


def _read_rows(path: Path) -> Evaluation:
    content = read_json(path, advice=_MEASURE_ANEW)
    try:
        ids, groups = list(content["ids"]), list(content["groups"])
        rows = {name: np.array(column, np.float64) for name, column in content["rows"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        ids, groups, rows = [], [], {}
    if not rows or {len(groups), *map(len, rows.values())} != {len(ids)}:
        raise DataError(f"{path} holds no measured samples; {_MEASURE_ANEW}.")
    return Evaluation(ids=ids, groups=groups, rows=rows)
