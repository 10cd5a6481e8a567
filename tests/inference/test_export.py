"""Exported files: what varies in their shapes, and that the network stays as it was."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from torch import Tensor, nn

from img2img.errors import RunError
from img2img.inference.export import export_onnx, gate
from img2img.inference.session import OnnxSession, task_of
from img2img.inference.weights import Card, find_weights
from img2img.models.network import Head, Network


class _MapAndPoint(Head):
    """A map of the picture's size and one number a picture."""

    outputs = ("map", "point")

    def __init__(self) -> None:
        super().__init__()
        self.n_maps = 1

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        return {"map": maps.permute(0, 2, 3, 1), "point": maps.mean((2, 3))}


def _body() -> nn.Module:
    body = nn.Sequential(nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1))
    nn.init.constant_(body[1].running_mean, 3.0)
    return body


@pytest.fixture
def network() -> Network:
    return Network(_body(), _MapAndPoint())


@pytest.fixture
def card() -> Card:
    return Card(task="sobel", model="filternet", options={}, stride=1, halo_px=0,
                outputs=["map", "point"], version="0")  # fmt: skip


def _axes(path: Path) -> dict[str, list[str | int]]:
    graph = onnx.load(path).graph
    return {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in [*graph.input, *graph.output]
    }


def test_only_maps_vary_in_height_and_width(network: Network, card: Card, tmp_path: Path) -> None:
    path = tmp_path / "w.onnx"
    export_onnx(network, card, path)
    axes = _axes(path)
    assert axes["input"] == ["batch", "height", "width", 3]
    assert axes["map"] == ["batch", "height", "width", 1]
    assert axes["point"] == ["batch", 1]
    assert [file.name for file in tmp_path.iterdir()] == ["w.onnx"]
    answers = OnnxSession(path, name="w")(np.zeros((3, 5, 4, 3), np.uint8))
    assert answers["map"].shape == (3, 5, 4, 1)
    assert answers["point"].shape == (3, 1)


def test_batch_statistics_are_the_trained_ones(
    network: Network, card: Card, tmp_path: Path
) -> None:
    """torch's exporter once left the network in training mode, where it answers otherwise."""
    export_onnx(network.train(), card, tmp_path / "w.onnx")
    assert not any(module.training for module in network.modules())
    assert float(network.body[1].running_mean) == 3.0  # type: ignore[index]


def test_the_gate_compares_the_best_metric(sobel_run: Path, exact_run: Path) -> None:
    files = {run: find_weights(str(run), "sobel").onnx for run in (sobel_run, exact_run)}
    bad, good = (OnnxSession(path, name="w") for path in files.values() if path is not None)
    task = task_of(good.card)
    samples = task.generate(1, size=32, seed=0)["train"]
    verdict = gate(task, bad, good, samples, tolerance=0.0)
    assert verdict.exported > 80 > verdict.reference
    with pytest.raises(RunError, match="psnr falls from"):
        gate(task, good, bad, samples, tolerance=0.01)
