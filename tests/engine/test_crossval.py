"""Cross-validation: every sample held out once, in a run that never saw its group."""

import json
from pathlib import Path

import pytest
from support import Outcome, img2img, sentence

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


def test_a_fold_beyond_the_last_is_refused(labelled: Path, tmp_path: Path) -> None:
    outcome = _crossval(labelled, tmp_path / "cv", "--fold", 3, cwd=tmp_path)
    assert outcome.code == 2
    assert "--fold 3" in sentence(outcome)
