"""Exported graphs without what no picture changes."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from img2img.inference.export import export_onnx
from img2img.inference.session import OnnxSession
from img2img.inference.weights import Card
from img2img.models.network import ImageHead, Network

STRIDE = 4


class _Same(nn.Module):
    """A convolution of stride 2 that pads as TensorFlow does, by the size it is given."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, 4, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        missing = [2 * (torch.as_tensor(n + 1) // 2 - 1) + 3 - n for n in x.shape[-2:]]
        rows, columns = (n.clamp(min=0) for n in missing)
        return self.conv(F.pad(x, (columns // 2, columns - columns // 2,
                                   rows // 2, rows - rows // 2)))  # fmt: skip


class _Body(nn.Module):
    """Down twice and up to the sizes on the way, as decoders do."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.deeper = _Same(3), _Same(4)
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        middle = self.down(x)
        deep = F.interpolate(self.deeper(middle), size=middle.shape[-2:], mode="nearest")
        wide = F.interpolate(deep + middle, size=x.shape[-2:], mode="bilinear")
        return self.head(wide)


class _EvenSizes(nn.Module):
    """Pads odd sizes, and no others: nothing of that is constant."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return (
            F.avg_pool2d(self.conv(F.pad(x, (0, width % 2, 0, height % 2))), 2)
            .repeat_interleave(2, 2)
            .repeat_interleave(2, 3)[..., :height, :width]
        )


def _exported(body: nn.Module, path: Path, *, stride: int) -> tuple[Network, onnx.ModelProto]:
    torch.manual_seed(0)
    network = Network(body, ImageHead(1), stride=stride).eval()
    card = Card(task="sobel", model="filternet", options={}, stride=stride, halo_px=None,
                outputs=["value", "image"], version="0")  # fmt: skip
    export_onnx(network, card, path)
    return network, onnx.load(path)


def _check_answers(network: Network, path: Path) -> None:
    session = OnnxSession(path, name="w")
    rng = np.random.default_rng(0)
    for shape in ((1, 1, 3), (2, 6, 7), (1, 31, 64), (1, 300, 9), (3, 5, 401)):
        images = rng.integers(0, 256, (*shape, 3), np.uint8)
        with torch.inference_mode():
            expected = network.answer(torch.from_numpy(images))["value"].numpy()
        np.testing.assert_allclose(session(images)["value"], expected, atol=1e-2)


def test_sizes_that_only_seem_to_vary_become_constants(tmp_path: Path) -> None:
    path = tmp_path / "w.onnx"
    network, model = _exported(_Body(), path, stride=STRIDE)
    body = [node for node in model.graph.node if node.name.startswith("/network/body")]
    assert sorted(node.op_type for node in body) == ["Add", *["Conv"] * 3, *["Resize"] * 2]
    assert all(len(node.input) == 3 for node in body if node.op_type == "Resize")
    assert {entry.domain for entry in model.opset_import} == {""}
    onnx.checker.check_model(model, full_check=True)
    _check_answers(network, path)


def test_sizes_that_vary_still_do(tmp_path: Path) -> None:
    path = tmp_path / "w.onnx"
    network, model = _exported(_EvenSizes(), path, stride=1)
    assert "Pad" in {node.op_type for node in model.graph.node}
    _check_answers(network, path)


@pytest.mark.parametrize("stride", [1, 32])
def test_a_network_without_sizes_stays_as_it_is(tmp_path: Path, stride: int) -> None:
    network, model = _exported(nn.Conv2d(3, 1, 1), tmp_path / "w.onnx", stride=stride)
    assert [n.op_type for n in model.graph.node if n.name.startswith("/network/body")] == ["Conv"]
    _check_answers(network, tmp_path / "w.onnx")
