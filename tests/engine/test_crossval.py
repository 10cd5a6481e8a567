"""Cross-validation: every sample held out once, in a run that never saw its group."""

import json
from pathlib import Path

import numpy as np
import pytest
from support import Outcome, img2img, sentence

from img2img.config import DataOptions
from img2img.data.sample import Sample
from img2img.engine.crossval import HeldOut, _by_name
from img2img.inference.evaluate import collect, measure_rows
from img2img.tasks.segmentation import Segmentation, SegmentationOptions, Segmented

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
