"""Cross-validation: one run a fold, each measured on the groups that it never saw."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from img2img.config import Config, DataOptions, Layer
from img2img.data.sample import Splits
from img2img.engine.evaluate import Evaluation, collect, measure_rows
from img2img.engine.events import Listener
from img2img.engine.run import load_config, prepare, resolve, train
from img2img.engine.runtime import Runtime
from img2img.errors import DataError, UsageError
from img2img.inference.predictor import Predictor
from img2img.inference.session import open_session
from img2img.inference.weights import find_weights
from img2img.registry import load_task
from img2img.tasks.base import Task

Report = Callable[[Path, Task[Any, Any], Splits, list[Listener]], None]
"""What writes the report of a run."""

ROWS = "rows.json"
"""What a fold's run was measured at, a row a held-out sample."""
_MACHINE = {"train.precision", "train.workers", "train.device", "train.name", "train.track"}


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
    rows = measure_rows(
        plan.task, lambda sample: predictor.run(sample.image), held_out, range(len(held_out))
    )
    _write_rows(out / ROWS, collect(rows))


def pooled(out: Path, folds: int) -> tuple[Evaluation, list[int]]:
    """The rows of all folds that were measured, and which folds those are.

    Raises:
        DataError: none was.
    """
    paths = {fold: out / f"fold-{fold}" / ROWS for fold in range(folds)}
    found = {fold: _read_rows(path) for fold, path in paths.items() if path.is_file()}
    if not found:
        raise DataError(f"{out} holds no measured fold.")
    parts = list(found.values())
    rows = {name: np.concatenate([part.rows[name] for part in parts]) for name in parts[0].rows}
    ids = [sample for part in parts for sample in part.ids]
    groups = [group for part in parts for group in part.groups]
    return Evaluation(ids=ids, groups=groups, rows=rows), list(found)


def by_group(
    task: Task[Any, Any], evaluation: Evaluation, data: DataOptions
) -> dict[str, dict[str, Any]]:
    """{group of the data themselves: {n, metrics}}, whatever the folds were made of; empty where
    the data state no groups."""
    splits = task.splits(replace(data, groups="auto", folds=None))
    group_of = {record.id: record.group for record in splits.whole.records}
    names = np.array([group_of.get(sample, "") for sample in evaluation.ids])
    table = {}
    for name in sorted(set(names.tolist()) - {""}):
        where = (names == name).astype(np.float64)
        values = task.summarise(evaluation.rows, where)
        metrics = {key: value if np.isfinite(value) else None for key, value in values.items()}
        table[name] = {"n": int(where.sum()), "metrics": metrics}
    return table


def summary(config: Config, out: Path, *, baselines: bool = True) -> dict[str, Any]:
    """The object of `crossval --json`: metrics pooled over all held-out samples, with intervals
    over groups, the baselines on the same samples, and a row a group.

    Raises:
        DataError: no fold was measured.
    """
    task = load_task(config.task).configured(config)
    folds = config.data.folds or 0
    evaluation, measured = pooled(out, folds)
    splits = task.splits(config.data)
    by_id = {record.id: index for index, record in enumerate(splits.whole.records)}
    beside = task.baselines() if baselines else {}
    indices = [by_id[sample] for sample in evaluation.ids]
    return {
        "task": config.task,
        "data": splits.name,
        "groups": config.data.groups,
        "folds": folds,
        "measured_folds": measured,
        "n": len(evaluation.ids),
        "n_groups": len(set(evaluation.groups)),
        "metrics": evaluation.to_json(task),
        "baselines": {
            name: collect(measure_rows(task, answer, splits.whole, indices)).metrics(task)
            for name, answer in beside.items()
        },
        "by_group": by_group(task, evaluation, config.data),
    }


def _refuse_other_options(out: Path, config: Config) -> None:
    saved = json.loads((out / "config.json").read_text(encoding="utf-8"))["options"]
    for group, options in config.to_json()["options"].items():
        for name, value in options.items():
            before = saved.get(group, {}).get(name)
            if f"{group}.{name}" not in _MACHINE and before != value:
                raise UsageError(
                    f"{out} was trained with {group}.{name}={before!r}, not {value!r}: choose "
                    "another --out."
                )


def _write_rows(path: Path, evaluation: Evaluation) -> None:
    rows = {name: column.tolist() for name, column in evaluation.rows.items()}
    content = {"ids": evaluation.ids, "groups": evaluation.groups, "rows": rows}
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(json.dumps(content) + "\n", encoding="utf-8")
    beside.replace(path)


def _read_rows(path: Path) -> Evaluation:
    content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    rows = {name: np.array(column, np.float64) for name, column in content["rows"].items()}
    return Evaluation(ids=content["ids"], groups=content["groups"], rows=rows)
