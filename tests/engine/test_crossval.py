"""Cross-validation: every sample held out once, in a run that never saw its group."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Outcome, img2img, sentence

from img2img.config import DataOptions
from img2img.data.sample import Sample
from img2img.data.split import split_to_json
from img2img.engine.crossval import (
    HeldOut,
    _by_name,
    _look_alikes,
    _read_rows,
    fold_config,
    measure,
    measured_folds,
    summary,
)
from img2img.engine.runtime import Runtime
from img2img.errors import DataError, UsageError
from img2img.inference.evaluate import collect, measure_rows
from img2img.tasks.segmentation import Segmentation, Segmented
from img2img.tasks.segmentation_options import SegmentationOptions

N = 6


TINY = ("--model", "unet", "--set", "model.width=4", "--set", "model.depth=2", "--image-size", 32,
        "--steps", 2, "--batch-size", 2, "--set", "train.warmup_steps=0")  # fmt: skip


def _crossval(labelled: Path, out: Path, *more: object, cwd: Path) -> Outcome:
    return img2img(
        "crossval", "segmentation", "--data", labelled, "--folds", 3, "--out", out, *TINY, *more,
        cwd=cwd,
    )  # fmt: skip


@pytest.mark.slow
def test_every_sample_is_held_out_once(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "cv"
    done = _crossval(labelled, out, "--json", "-", cwd=tmp_path)
    assert done.code == 0, done.err
    summary = done.json
    assert summary["n"] == N
    assert summary["n_groups"] == 3
    assert summary["measured_folds"] == [0, 1, 2]
    assert summary["metrics"]["miou"]["value"] is not None
    assert set(summary["by_group"]) == {"scene0", "scene1", "scene2"}
    assert [part["n"] for part in summary["by_fold"].values()] == [2, 2, 2]
    assert summary["tables"]["confusion"]["rows"] == ["background", "egg", "pan"]
    held_out = []
    for fold in range(3):
        split = json.loads((out / f"fold-{fold}" / "split.json").read_text())
        rows = json.loads((out / f"fold-{fold}" / "rows.json").read_text())
        assert set(rows["ids"]) == set(split["test"])
        assert not set(split["test"]) & set(split["train"])
        held_out += rows["ids"]
    assert sorted(held_out) == [f"{index}.png" for index in range(N)]
    again = _crossval(labelled, out, "--json", "-", cwd=tmp_path)
    assert again.json == summary
    other = _crossval(labelled, out, "--lr", "0.5", cwd=tmp_path)
    assert other.code == 2
    assert "train.lr" in other.err


@pytest.mark.slow
def test_folds_one_at_a_time_are_pooled_and_used_again(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "cv"
    one = _crossval(labelled, out, "--fold", 1, "--json", "-", cwd=tmp_path)
    assert one.code == 0, one.err
    assert one.json["measured_folds"] == [1]
    rows = out / "fold-1" / "rows.json"
    config = out / "fold-1" / "config.json"
    written = rows.stat().st_mtime_ns
    # As if an earlier version had made it, which did not have the option yet.
    saved = json.loads(config.read_text())
    del saved["options"]["train"]["plateau_patience"]
    config.write_text(json.dumps(saved))
    done = _crossval(labelled, out, cwd=tmp_path)
    assert done.code == 0, done.err
    assert rows.stat().st_mtime_ns == written
    summary = json.loads((out / "crossval.json").read_text())
    assert summary["measured_folds"] == [0, 1, 2]
    assert summary["by_fold"]["1"]["metrics"]["miou"] == one.json["by_fold"]["1"]["metrics"]["miou"]
    lines = {line.split("  ")[0]: line for line in done.out.splitlines()}
    for fold, part in summary["by_fold"].items():
        (scene,) = part["groups"]
        assert f"fold {fold}: {scene}" in lines
        assert (
            part["metrics"]["miou"]["value"]
            == summary["by_group"][scene]["metrics"]["miou"]["value"]
        )
    assert "colour_and_shape: miou" in lines["held out"]
    assert lines["all"].split()[1] == "6"
    assert "truth ↓ answer →" in done.out


def test_a_scene_leaves_out_classes_and_has_an_interval_over_look_alikes(labelled: Path) -> None:
    task = Segmentation(SegmentationOptions())
    data = DataOptions(source=str(labelled), folds=3)
    samples = task.splits(data).whole
    rows = measure_rows(task, lambda sample: _without_pan(task, sample), samples, range(N))
    evaluation = collect(rows)
    assert len(set(evaluation.groups)) == 3
    held_out = HeldOut(evaluation=evaluation, baselines={"same": evaluation})
    scene = [i for i, group in enumerate(evaluation.groups) if group == "scene0"]
    for index in scene:  # no pixel of this scene is pan in truth
        for name in ("confusion.2.0", "confusion.2.1", "confusion.2.2"):
            evaluation.rows[name][index] = 0
    alike = {sample: f"cluster {index}" for index, sample in enumerate(evaluation.ids)}
    table = _by_name(task, held_out, {"scene0": scene, "all": range(N)}, alike)
    metrics = table["scene0"]["metrics"]
    assert metrics["iou_pan"] == {"value": None, "low": None, "high": None}
    known = [metrics[f"iou_{name}"]["value"] for name in ("background", "egg")]
    assert metrics["miou"]["value"] == pytest.approx(sum(known) / 2)
    assert table["scene0"]["over"] == "look-alike pictures"
    assert metrics["miou"]["low"] is not None
    assert table["all"]["over"] == "groups"
    assert table["all"]["n_groups"] == 3
    assert (
        _by_name(task, held_out, {"scene0": scene}, {})["scene0"]["metrics"]["miou"]["low"] is None
    )
    assert table["scene0"]["baselines"]["same"]["miou"] == metrics["miou"]["value"]


def _without_pan(task: Segmentation, sample: Sample) -> Segmented:
    truth = task.truth(sample)
    return Segmented(np.where(truth.classes == 2, 0, truth.classes).astype(np.uint8),
                     truth.confidence)  # fmt: skip


def test_a_fold_beyond_the_last_is_refused(labelled: Path, tmp_path: Path) -> None:
    outcome = _crossval(labelled, tmp_path / "cv", "--fold", 3, cwd=tmp_path)
    assert outcome.code == 2
    assert "--fold 3" in sentence(outcome)


@dataclass
class Ranks:
    """One of two processes, after the other gave `others`."""

    rank: int
    others: list[Any] = field(default_factory=list)
    given: list[Any] = field(default_factory=list)
    world: int = 2

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def gather(self, rows: list[Any]) -> list[Any]:
        self.given = rows
        return [*rows, *self.others]

    def barrier(self) -> None:
        pass


def _config(data: Path, fold: int, **train: object) -> Any:
    options = {"data": {"source": str(data)}, "train": train}
    return fold_config("segmentation", [("flag", options)], folds=3, fold=fold)


def _measured(data: Path, out: Path, **train: object) -> Path:
    """Three folds as `run_fold` leaves them, whose answers lack the pans."""
    task = Segmentation(SegmentationOptions())
    for fold in range(3):
        config = _config(data, fold, **train)
        splits = task.splits(config.data)
        run = out / f"fold-{fold}"
        run.mkdir(parents=True)
        (run / "config.json").write_text(json.dumps(config.to_json()))
        (run / "split.json").write_text(json.dumps(split_to_json(splits)))
        measure(
            task, lambda sample: _without_pan(task, sample), splits.parts["test"],
            Runtime(device=None), out=run,  # type: ignore[arg-type]
        )  # fmt: skip
    return out


def test_folds_of_other_options_are_not_pooled(labelled: Path, tmp_path: Path) -> None:
    out = _measured(labelled, tmp_path / "cv")
    assert summary(_config(labelled, 0), out)["n"] == N
    saved = json.loads((out / "fold-1" / "config.json").read_text())
    saved["options"]["train"] |= {"lr": 0.5, "workers": 3}
    (out / "fold-1" / "config.json").write_text(json.dumps(saved))
    with pytest.raises(UsageError, match=r"fold-1 was trained with train\.lr"):
        summary(_config(labelled, 0), out)
    shutil.rmtree(out / "fold-0")
    early = img2img("crossval", "segmentation", "--data", labelled, "--fold", 0, "--out", out,
                    cwd=tmp_path)  # fmt: skip
    assert early.code == 2
    assert "fold-1 was trained with train.lr" in sentence(early)
    assert not (out / "fold-0").exists()


def test_other_options_of_the_machine_are_pooled(labelled: Path, tmp_path: Path) -> None:
    out = _measured(labelled, tmp_path / "cv")
    saved = json.loads((out / "fold-1" / "config.json").read_text())
    saved["options"]["train"] |= {"workers": 3, "precision": "bf16", "device": "cuda"}
    saved["options"]["data"]["download"] = True
    (out / "fold-1" / "config.json").write_text(json.dumps(saved))
    assert list(measured_folds(_config(labelled, 0), out)) == [0, 1, 2]


def test_folds_of_data_that_changed_are_not_pooled(labelled: Path, tmp_path: Path) -> None:
    data = shutil.copytree(labelled, tmp_path / "data")
    out = _measured(data, tmp_path / "cv")
    for kind in ("images", "masks"):
        (data / kind / "3.png").unlink()
    with pytest.raises(DataError, match=r"1 removed \(3\.png\)"):
        summary(_config(data, 0), out)


def test_a_sample_held_out_twice_is_refused(labelled: Path, tmp_path: Path) -> None:
    out = _measured(labelled, tmp_path / "cv")
    shutil.copy(out / "fold-0" / "rows.json", out / "fold-2" / "rows.json")
    with pytest.raises(DataError, match=r"twice, in the folds 0 and 2"):
        summary(_config(labelled, 0), out)
    shutil.rmtree(out / "fold-0")
    with pytest.raises(DataError, match=r"fold-2.rows\.json does not hold what"):
        summary(_config(labelled, 1), out)


class Unknown(Segmentation):
    """A task one of whose numbers is not known of any picture."""

    def measure(self, result: Segmented, sample: Sample) -> dict[str, float]:
        return {"known": 0.1 * len(sample.id), "unknown": float("nan")}


def test_rows_are_json_without_nan(labelled: Path, tmp_path: Path) -> None:
    task = Unknown(SegmentationOptions())
    whole = task.splits(DataOptions(source=str(labelled))).whole
    runtime: Any = Runtime(device=None)  # type: ignore[arg-type]
    measure(task, lambda sample: _without_pan(task, sample), whole, runtime, out=tmp_path)
    path = tmp_path / "rows.json"
    content = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert content["rows"]["unknown"] == [None] * N
    read = _read_rows(path)
    assert read.ids == [record.id for record in whole.records]
    assert np.isnan(read.rows["unknown"]).all()
    assert read.rows["known"].tolist() == [0.1 * len(sample) for sample in read.ids]


@pytest.mark.parametrize("name", ["config.json", "split.json", "rows.json"])
@pytest.mark.parametrize("content", ['{"options": ', "[]", "{}"])
def test_a_damaged_file_is_told(name: str, content: str, labelled: Path, tmp_path: Path) -> None:
    out = _measured(labelled, tmp_path / "cv")
    (out / "fold-1" / name).write_text(content)
    with pytest.raises(DataError):
        measured_folds(_config(labelled, 0), out)


def test_a_damaged_configuration_is_one_sentence(labelled: Path, tmp_path: Path) -> None:
    run = tmp_path / "cv" / "fold-0"
    run.mkdir(parents=True)
    (run / "config.json").write_text('{"options": ')
    done = img2img("crossval", "segmentation", "--data", labelled, "--fold", 0, "--out", "cv",
                   "--quiet", cwd=tmp_path)  # fmt: skip
    assert done.code == 3
    assert "config.json cannot be read" in sentence(done)


def test_processes_share_out_what_is_measured(labelled: Path, tmp_path: Path) -> None:
    task = Segmentation(SegmentationOptions())
    whole = task.splits(DataOptions(source=str(labelled))).whole
    other: Any = Ranks(rank=1)
    leader: Any = Ranks(rank=0)

    def answer(sample: Sample) -> Segmented:
        return _without_pan(task, sample)

    measure(task, answer, whole, other, out=tmp_path)
    assert not list(tmp_path.iterdir()), "only the leader writes"
    assert len(other.given) == N // 2
    leader.others = other.given
    measure(task, answer, whole, leader, out=tmp_path)
    assert len(leader.given) == N // 2
    assert _read_rows(tmp_path / "rows.json").ids == [record.id for record in whole.records]


@pytest.mark.slow
def test_two_processes_leave_the_folds_of_one(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "cv"
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "img2img", "crossval", "segmentation", "--data", str(labelled), "--folds", "2",
         "--out", str(out), "--device", "cpu", *map(str, TINY), "--json", "-"],
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout, parse_constant=pytest.fail)
    assert told["measured_folds"] == [0, 1]
    assert told["n"] == N


def test_an_interval_within_one_group_goes_by_look_alone(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = _measured(labelled, tmp_path / "cv")
    config = _config(labelled, 0)
    evaluation = measured_folds(config, out)[0]
    asked = []
    splits = Segmentation.splits
    monkeypatch.setattr(
        Segmentation,
        "splits",
        lambda task, data: (asked.append(data.groups), splits(task, data))[1],
    )
    held_out = HeldOut(evaluation=evaluation, baselines={})
    alike = _look_alikes(Segmentation(SegmentationOptions()), held_out, [[0, 1]], config.data)
    assert asked == ["clusters"]
    assert set(alike) == {f"{index}.png" for index in range(N)}
