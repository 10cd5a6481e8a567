"""Exported networks stored smaller, or computed in int8."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from img2img.errors import RunError
from img2img.inference.compression import export_fp16, export_int8, export_int8_weights
from img2img.inference.export import export_onnx
from img2img.inference.session import OnnxSession
from img2img.inference.weights import Card
from img2img.models.network import ImageHead, Network

CARD = Card(task="sobel", model="filternet", options={}, stride=1, halo_px=None,
            outputs=["value", "image"], version="0")  # fmt: skip


def _pictures(*shapes: tuple[int, int]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]


def _exported(path: Path, body: nn.Module) -> None:
    export_onnx(Network(body, ImageHead(1)), CARD, path)


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("export") / "fp32.onnx"
    body = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU6(), nn.Conv2d(16, 96, 3, padding=1), nn.ReLU(),
        nn.Conv2d(96, 96, 3, padding=1, groups=96), nn.ReLU6(), nn.Conv2d(96, 1, 1),
    )  # fmt: skip
    _exported(path, body)
    return path


def test_int8_answers_pictures_of_any_size_nearly_as_fp32(fp32: Path, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    export_int8(fp32, CARD, path, _pictures((16, 24), (20, 20)))
    small, large = OnnxSession(path, name="int8"), OnnxSession(fp32, name="fp32")
    assert small.card.facts["numbers"] == "int8"
    assert small.card.outputs == large.card.outputs
    assert path.stat().st_size < 0.5 * fp32.stat().st_size
    for image in _pictures((1, 1), (33, 18)):
        value, expected = (session(image[None])["value"] for session in (small, large))
        assert value.shape == expected.shape
        assert 0 < np.abs(value - expected).max() < 0.05 * 255


def test_the_first_and_the_last_convolution_stay_in_fp32(fp32: Path, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    export_int8(fp32, CARD, path, _pictures((16, 24)))
    graph = onnx.load(path).graph
    stored = {tensor.name: tensor.data_type for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    kinds = []
    for node in graph.node:
        if node.op_type == "Conv":
            name = node.input[1]
            kinds.append(stored[name] if name in stored else stored[made_by[name].input[0]])
    fp32_, int8 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT8
    assert kinds == [fp32_, int8, int8, fp32_]


def test_a_network_without_anything_to_quantise_is_refused(tmp_path: Path) -> None:
    class Nothing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.abs()[:, :1]

    _exported(tmp_path / "fp32.onnx", Nothing())
    with pytest.raises(RunError, match="without --int8"):
        export_int8(tmp_path / "fp32.onnx", CARD, tmp_path / "int8.onnx", _pictures((4, 4)))


def test_fp16_computes_in_fp32_with_rounded_weights(fp32: Path, tmp_path: Path) -> None:
    path = tmp_path / "fp16.onnx"
    export_fp16(fp32, CARD, path)
    assert path.stat().st_size < 0.7 * fp32.stat().st_size
    rounded = onnx.load(fp32)
    for tensor in rounded.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= 64:
            half = values.astype(np.float16).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, tensor.name))
    onnx.save(rounded, tmp_path / "rounded.onnx")
    (image,) = _pictures((9, 7))
    answers = [OnnxSession(tmp_path / name, name=name)(image[None])["value"]
               for name in ("fp16.onnx", "rounded.onnx")]  # fmt: skip
    np.testing.assert_array_equal(*answers)


def test_int8_weights_are_a_quarter_and_answer_nearly_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 1, 1),
    )  # fmt: skip
    nn.init.constant_(body[-1].bias, 0.5)  # type: ignore[arg-type]
    _exported(tmp_path / "fp32.onnx", body)
    export_int8_weights(tmp_path / "fp32.onnx", CARD, tmp_path / "small.onnx")
    sizes = [(tmp_path / name).stat().st_size for name in ("fp32.onnx", "small.onnx")]
    assert sizes[1] < 0.32 * sizes[0]
    small, large = (OnnxSession(tmp_path / f"{name}.onnx", name=name) for name in ("small", "fp32"))
    assert small.card.facts["numbers"] == "int8 weights"
    for image in _pictures((1, 1), (33, 18)):
        value, expected = (session(image[None])["value"] for session in (small, large))
        assert 0 < np.abs(value - expected).max() < 0.01 * 255
