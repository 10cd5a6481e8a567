"""The forms of an exported network: kinds of files, weights in fp16 or int8, int8 throughout."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import onnx

from img2img.data.sample import Image
from img2img.errors import RunError
from img2img.inference.archive import ArchiveSession
from img2img.inference.export import export_archive, export_onnx, write_card
from img2img.inference.openvino_session import OpenVinoSession, export_openvino
from img2img.inference.session import OnnxSession, Session
from img2img.inference.weights import Card
from img2img.models.network import Network

Numbers = Literal["fp32", "fp16", "int8-weights", "int8"]

_LEAST_ROUNDED = 64
"""Tensors with fewer values stay as they are: they weigh nothing, and scales are among them."""
_LEAST_CAST = 4096
"""Tensors with fewer values are rounded, but stored in fp32: a cast costs more time to open than
it saves bytes."""


def export_form(
    network: Network,
    card: Card,
    path: Path,
    *,
    numbers: Numbers = "fp32",
    pictures: Sequence[Image] = (),
) -> None:
    """Writes `path` in the form that the end of its name says: `.onnx`; `.xml` (OpenVINO, with a
    `.bin` beside it; not with int8-weights); `.pt2` (torch.export, in fp32).

    Args:
        pictures: what int8 calibrates on, as in `export_int8`.

    Raises:
        RunError: the network cannot take that form.
        UsageError: OpenVINO is asked for and not installed.
    """
    if path.suffix == ".pt2":
        export_archive(network, card, path)
        return
    with TemporaryDirectory(prefix=".form-", dir=path.parent) as folder:
        source, written = Path(folder) / "fp32.onnx", Path(folder) / "written.onnx"
        export_onnx(network, card, source)
        is_onnx = path.suffix == ".onnx"
        if numbers == "int8":
            export_int8(source, card, written, pictures)
        elif numbers == "int8-weights":
            export_int8_weights(source, card, written)
        elif numbers == "fp16" and is_onnx:
            export_fp16(source, card, written)
        else:
            written = source
        if is_onnx:
            written.replace(path)
        else:
            stated = {} if numbers == "fp32" else {"numbers": numbers}
            card = replace(card, facts=card.facts | stated)
            export_openvino(written, card, path, fp16=numbers == "fp16")


def open_form(path: Path) -> Session:
    """A session for a file that `export_form` has just written; an archive of others may run code.

    Raises:
        WeightsError: it cannot be used.
    """
    kinds: dict[str, Callable[..., Session]] = {
        ".pt2": ArchiveSession, ".xml": OpenVinoSession, ".onnx": OnnxSession,
    }  # fmt: skip
    return kinds[path.suffix](path, name=path.name)


def files_of(path: Path) -> list[Path]:
    """The files of a form, the named one last."""
    return [path.with_suffix(".bin"), path] if path.suffix == ".xml" else [path]


def export_fp16(source: Path, card: Card, path: Path) -> None:
    """Writes `path`: the exported network `source` with its weights stored in fp16, half the size.
    They are cast when the file is opened, so that the arithmetic stays in fp32."""
    model = onnx.load(source)
    _store_fp16(model.graph)
    onnx.save(model, path)
    write_card(path, replace(card, facts=card.facts | {"numbers": "fp16"}))


def export_int8_weights(source: Path, card: Card, path: Path) -> None:
    """Writes `path`: the exported network `source` with the weights of its convolutions stored in
    int8, a scale for every channel that they put out, and the others in fp16: a quarter of the
    size. They are brought back when the file is opened, so that the arithmetic stays in fp32."""
    model = onnx.load(source)
    axes = {node.input[1]: int(node.op_type == "ConvTranspose")
            for node in model.graph.node if node.op_type in _CONVOLUTIONS}  # fmt: skip
    nodes, scales = [], []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if tensor.name not in axes or values.size < _LEAST_CAST:
            continue
        name, axis = tensor.name, axes[tensor.name]
        others = tuple(i for i in range(values.ndim) if i != axis)
        scale = np.maximum(np.abs(values).max(axis=others, keepdims=True) / 127, 1e-12)
        tensor.CopyFrom(
            onnx.numpy_helper.from_array(np.rint(values / scale).astype(np.int8), f"{name}.int8")
        )
        scales.append(onnx.numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"))
        # Not DequantizeLinear, which ONNX Runtime leaves to every run.
        to = onnx.TensorProto.FLOAT
        nodes += [
            onnx.helper.make_node("Cast", [f"{name}.int8"], [f"{name}.levels"], to=to),
            onnx.helper.make_node("Mul", [f"{name}.levels", f"{name}.scale"], [name]),
        ]
    model.graph.initializer.extend(scales)
    _put_first(model.graph, nodes)
    _store_fp16(model.graph)
    onnx.save(model, path)
    write_card(path, replace(card, facts=card.facts | {"numbers": "int8 weights"}))


def _store_fp16(graph: onnx.GraphProto) -> None:
    casts = []
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _LEAST_ROUNDED:
            continue
        if tensor.name.endswith(".scale"):
            continue
        name, stored = tensor.name, f"{tensor.name}.fp16"
        rounded = values.astype(np.float16)
        if values.size < _LEAST_CAST:
            tensor.CopyFrom(onnx.numpy_helper.from_array(rounded.astype(np.float32), name))
            continue
        tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    _put_first(graph, casts)


def _put_first(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    after = [*nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(after)


# What is quantised inside the body; normalisation before it and decoding after it stay in fp32.
_INT8_OPS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Mul", "Concat", "Relu", "Clip",
             "Sigmoid", "MaxPool", "AveragePool", "GlobalAveragePool", "Resize")  # fmt: skip
_BODY = "/network/body/"
_CONVOLUTIONS = ("Conv", "ConvTranspose")


def export_int8(source: Path, card: Card, path: Path, pictures: Sequence[Image]) -> None:
    """Writes `path`: the exported network `source` quantised statically to int8, a scale for
    every channel of a weight, the ranges of activations as they are on `pictures`. Of more than two
    convolutions the first (with the depthwise block that may follow it) and the last stay in fp32.

    Args:
        source: what `export_onnx` wrote.
        pictures: (H, W, 3) uint8 RGB each, as the network sees them in training.

    Raises:
        RunError: the network has nothing that can be quantised.
    """
    from onnxruntime import quantization

    reader: Any = _Calibration(pictures)
    model = onnx.shape_inference.infer_shapes(onnx.load(source))
    with _silenced():
        quantization.quantize_static(
            model,
            path,
            reader,
            op_types_to_quantize=list(_INT8_OPS),
            per_channel=True,
            nodes_to_exclude=_in_fp32(model.graph),
            activation_type=quantization.QuantType.QUInt8,
        )
    if not any(node.op_type == "QuantizeLinear" for node in onnx.load(path).graph.node):
        raise RunError(f"nothing in {card.model} can be quantised: export it without --int8.")
    write_card(path, replace(card, facts=card.facts | {"numbers": "int8"}))


def _in_fp32(graph: onnx.GraphProto) -> list[str]:
    """The nodes that are not quantised: those outside the body, the convolutions at its ends."""
    outside = [node.name for node in graph.node if not node.name.startswith(_BODY)]
    convolutions = [node for node in graph.node if node.op_type in _CONVOLUTIONS]
    if len(convolutions) <= 2:
        return outside
    # Without the whole first block of an EfficientNet in fp32 three times as many pixels change.
    n_first = 3 if _is_depthwise(convolutions[1]) else 1
    return [*outside, *(node.name for node in (*convolutions[:n_first], convolutions[-1]))]


def _is_depthwise(node: onnx.NodeProto) -> bool:
    return any(entry.name == "group" and entry.i > 1 for entry in node.attribute)


class _Calibration:
    """Hands pictures to ONNX Runtime's calibration one by one, as its protocol asks."""

    def __init__(self, pictures: Sequence[Image]) -> None:
        self._pictures = iter(pictures)

    def get_next(self) -> dict[str, Image] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {"input": np.ascontiguousarray(picture[None])}


@contextmanager
def _silenced() -> Iterator[None]:
    """The quantiser talks through the root logger, of matters its callers cannot change."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
