"""Heads that end in points: what they answer, and that ONNX Runtime answers the same."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from img2img.inference.export import export_onnx
from img2img.inference.session import OnnxSession
from img2img.inference.weights import Card
from img2img.models.network import Network
from img2img.models.point_heads import HeatmapHead, PointHead
from img2img.vision.heatmap_tensors import draw
from img2img.vision.heatmaps import to_cells

torch.set_num_threads(1)

BEFORE = {
    "linear": lambda maps: maps,
    "sigmoid": lambda maps: maps.clamp(1e-6, 1 - 1e-6).logit(),
    "softmax": lambda maps: maps.clamp(min=1e-9).log() + 3,
}


@pytest.mark.parametrize("decoder", ["least_squares", "softargmax"])
@pytest.mark.parametrize("activation", BEFORE)
def test_a_perfect_map_is_a_sure_point(activation: str, decoder: str) -> None:
    pixels = torch.tensor([[[50.25, 40.5], [83.0, 61.0]]])
    maps = BEFORE[activation](draw(to_cells(pixels, 4), (24, 32), 1.5))
    head = PointHead(2, sigma=1.5, activation=activation, stride=4, decoder=decoder)
    answer = head(maps)
    assert tuple(answer) == head.outputs
    torch.testing.assert_close(answer["points"], pixels, atol=0.1, rtol=0)
    assert (answer["confidence"] > 0.85).all()
    expected = (torch.eye(2) * 36).expand(1, 2, 2, 2)
    torch.testing.assert_close(answer["covariance"], expected, atol=1.0, rtol=0)
    heatmaps = HeatmapHead(2, sigma=1.5, activation=activation)(maps)["heatmaps"]
    torch.testing.assert_close(
        heatmaps, draw(to_cells(pixels, 4), (24, 32), 1.5), atol=1e-2, rtol=0
    )


def _network(stride: int, activation: str, decoder: str) -> Network:
    torch.manual_seed(0)
    head = PointHead(5, sigma=1.5, activation=activation, stride=stride, decoder=decoder)
    body = nn.Conv2d(3, 5, 5, stride=stride, padding=2)
    return Network(body, head, stride=stride, map_stride=stride)


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("decoder", ["least_squares", "softargmax"])
@pytest.mark.parametrize("activation", BEFORE)
def test_onnx_gives_the_same_points_at_every_size(
    activation: str, decoder: str, stride: int, tmp_path: Path
) -> None:
    network = _network(stride, activation, decoder)
    card = Card(task="sobel", model="filternet", options={}, stride=stride, halo_px=None,
                outputs=list(PointHead.outputs), version="0")  # fmt: skip
    export_onnx(network, card, tmp_path / "w.onnx")
    session = OnnxSession(tmp_path / "w.onnx", name="w")
    rng = np.random.default_rng(0)
    for n, height, width in ((2, 40, 56), (1, 64, 33), (3, 1, 1), (1, 2, 9)):
        images = rng.integers(0, 256, (n, height, width, 3), np.uint8)
        with torch.inference_mode():
            expected = network.answer(torch.from_numpy(images))
        for name, ours in session(images).items():
            assert ours.shape == expected[name].shape
            np.testing.assert_allclose(ours, expected[name].numpy(), rtol=1e-3, atol=2e-3)


def test_points_are_decoded_in_float32_under_lower_precision() -> None:
    network = _network(4, "linear", "least_squares")
    with torch.autocast("cpu", torch.bfloat16):
        maps: Tensor = network(torch.zeros(1, 16, 16, 3, dtype=torch.uint8))
        assert maps.dtype == torch.bfloat16
        assert network.answer(torch.zeros(1, 16, 16, 3, dtype=torch.uint8))["points"].dtype == (
            torch.float32
        )
