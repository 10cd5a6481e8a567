"""Names of tasks and models, those of installed packages included."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from img2img import registry
from img2img.errors import UsageError

TASK = '''"""Brightness: every pixel twice as bright."""

import numpy as np

from img2img.tasks.sobel import Filtered, Sobel


class Brightness(Sobel):
    """Twice as bright, from outside."""

    def targets(self, sample, rng):
        encoded = super().targets(sample, rng)
        grey = encoded["image"].mean(axis=2, keepdims=True).astype(np.float32)
        return encoded | {"target": np.clip(2 * grey, 0, 255)}
'''
MODEL = """from dataclasses import dataclass

from torch import nn

from img2img.config import ModelOptions, option
from img2img.models.network import Network


class Pointwise:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options(ModelOptions):
        bias: bool = option(True, "Whether it has a bias.")

    @classmethod
    def network(cls, options, head):
        return Network(nn.Conv2d(3, head.n_maps, 1, bias=options.bias), head, halo_px=0)
"""


@pytest.fixture
def package(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that has a package with a task, a model and a broken task."""
    site = tmp_path / "site"
    (site / "brighter").mkdir(parents=True)
    (site / "brighter" / "__init__.py").write_text("")
    (site / "brighter" / "task.py").write_text(TASK)
    (site / "brighter" / "model.py").write_text(MODEL)
    info = site / "brighter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brighter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[img2img.tasks]\nbrightness = brighter.task:Brightness\n"
        "[img2img.models]\npointwise = brighter.model:Pointwise\n"
    )
    return os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}


def _run(environment: dict[str, str], *arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "img2img", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False, env=environment,
    )  # fmt: skip


def test_a_task_of_another_package_is_listed(package: dict[str, str]) -> None:
    done = _run(package, "tasks")
    assert done.returncode == 0, done.stderr
    assert "brightness" in done.stdout
    assert "Twice as bright, from outside." in done.stdout
    assert "sobel" in done.stdout


def test_a_task_and_a_model_of_another_package_are_trained_and_predict(
    package: dict[str, str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = _run(
        package, "train", "brightness", "--model", "pointwise", "--set", "model.bias=false",
        "--steps", 2, "--batch-size", 2, "--image-size", 16, "--set", "data.n_generated=4",
        "--set", "train.val_samples=1", "--device", "cpu", "--out", run,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert config["task"] == "brightness"
    assert config["options"]["model"] == {"name": "pointwise", "bias": False}
    assert (run / "best.onnx").is_file()
    lost = _run({**package, "PYTHONPATH": ""}, "train", "brightness", "--steps", 1)
    assert lost.returncode == 2
    assert "unknown task 'brightness'" in lost.stderr


def test_a_package_that_cannot_be_imported_is_named(package: dict[str, str]) -> None:
    (Path(package["PYTHONPATH"]) / "brighter" / "task.py").write_text("import no_such_module\n")
    done = _run(package, "train", "brightness")
    assert done.returncode == 2
    assert "no_such_module" in done.stderr
    assert "brighter.task:Brightness" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_built_in_names_load_and_come_first() -> None:
    assert registry.task_names()[: len(registry.TASKS)] == list(registry.TASKS)
    for name in registry.TASKS:
        assert registry.load_task(name).name == name
    for name in registry.MODELS:
        assert registry.load_model(name) is not None
    assert registry.load_model("unet:resnet18") is None


def test_unknown_tasks_are_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'sobel'"):
        registry.load_task("sobol")
