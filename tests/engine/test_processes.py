"""Two processes under torchrun give what one gives with the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

PIX2PIX = (
    "--model", "pix2pix", "--set", "model.width=2", "--set", "model.depth=4",
    "--set", "model.norm=instance", "--set", "model.dropout=0",
    "--set", "adversarial.width=2", "--set", "adversarial.patch=16",
    "--set", "adversarial.norm=instance",
)  # fmt: skip
"""Without batch norm and dropout, which differ from process to process."""


def _train(photos: Path, out: Path, *options: str, processes: int) -> None:
    launch = ["-m", "img2img"]
    if processes > 1:
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
                  str(processes), "-m", "img2img"]  # fmt: skip
    options = ("train", "sobel", "--data", str(photos), "--out", str(out), "--epochs", "4",
               "--batch-size", "4", "--image-size", "32", "--device", "cpu",
               "--epoch-size", "8",
               "--set", "train.log_every=2", "--set", "train.polish_steps=0", *options)  # fmt: skip
    done = subprocess.run(
        [sys.executable, *launch, *options], capture_output=True, text=True, timeout=240,
        check=False, env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out), "only the leading process prints the run folder"


def _rows(run: Path) -> list[dict[str, Any]]:
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), PIX2PIX], ids=["filternet", "pix2pix"])
def test_two_processes_equal_one(options: tuple[str, ...], photos: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    _train(photos, one, *options, processes=1)
    _train(photos, two, *options, processes=2)

    ours = load_file(two / "last" / "checkpoint.safetensors")
    theirs = load_file(one / "last" / "checkpoint.safetensors")
    assert ours.keys() == theirs.keys()
    for key in (key for key in ours if key.startswith(("network.", "objective."))):
        torch.testing.assert_close(ours[key], theirs[key], atol=1e-5, rtol=0)

    rows_of_two, rows_of_one = _rows(two), _rows(one)
    assert [(r["kind"], r["step"]) for r in rows_of_two] == [
        (r["kind"], r["step"]) for r in rows_of_one
    ]
    for mine, other in zip(rows_of_two, rows_of_one, strict=True):
        if mine["kind"] == "validation":
            assert mine["metrics"] == pytest.approx(other["metrics"], rel=1e-4)
