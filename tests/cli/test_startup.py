"""Which modules a command loads; how long it takes is for `img2img bench`."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from img2img.data.images import write

LISTING = """
import json, sys
from img2img.cli.app import main
sys.argv = ["img2img", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
finally:
    sys.stderr.write(json.dumps(sorted(sys.modules)))
"""
HEAVY = {"torch", "torchvision", "torchmetrics", "segmentation_models_pytorch", "timm", "onnx",
         "albumentations", "scipy", "sklearn", "matplotlib", "pandas"}  # fmt: skip
NUMERIC = {"numpy", "cv2", "onnxruntime", "safetensors"}


def loaded(*arguments: object) -> set[str]:
    """Top-level modules in `sys.modules` after the command."""
    done = subprocess.run(
        [sys.executable, "-c", LISTING, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    write(path, np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    return path


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    # pydantic: typer reads options with it, 0.1 s that asking for help need not cost.
    assert not loaded(*arguments) & (HEAVY | NUMERIC | {"pydantic"})


@pytest.mark.parametrize("command", ["eval", "predict", "export", "compare", "info", "bench"])
def test_help_of_every_command_is_light(command: str) -> None:
    assert not loaded(command, "--help") & (HEAVY | NUMERIC)


def test_a_prediction_loads_no_torch(photo: Path, sobel_run: Path) -> None:
    found = loaded("predict", "sobel", photo, "--weights", sobel_run, "--device", "cpu")
    assert "onnxruntime" in found  # the list is that of a prediction
    assert not found & HEAVY


@pytest.mark.parametrize("task", ["sobel", "segmentation", "keypoints", "faces", "xwing"])
def test_shipped_weights_predict_without_torch(task: str, photo: Path) -> None:
    assert not loaded("predict", task, photo, "--device", "cpu") & HEAVY
