"""An exported graph without what it need not compute: what no picture changes becomes constant.

Tracing writes every size into the graph as arithmetic: TensorFlow's padding, the size a decoder
enlarges to. Most of it gives the same for every picture, since the network pads itself to its
stride. Without it a session opens in half the time, and padding melts into the convolutions.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import numpy_helper

_LONG_PX = 1283
"""Longer than any length that a network could be suspected of treating as a special case."""

Values = dict[str, NDArray[Any]]


def simplify(path: Path, *, stride: int) -> None:
    """Rewrites an exported network so that it computes the same with fewer nodes.

    What follows from sizes alone is observed on pictures of five sizes, 1 pixel to 1283; what is
    the same in all of them becomes a constant. ONNX Runtime then folds constants and drops what
    nothing reads; the file keeps to standard operators.

    Args:
        path: an `.onnx` file with one input, uint8 (B, H, W, 3).
        stride: what the network pads its pictures to multiples of.
    """
    model = onnx.load(path)
    _freeze_sizes(model, list(_observed(model, stride)))
    onnx.save(model, path)
    with TemporaryDirectory(prefix=".simplify-", dir=path.parent) as folder:
        written = Path(folder) / "simple.onnx"
        options = _options()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(written)
        ort.InferenceSession(path, sess_options=options, providers=["CPUExecutionProvider"])
        written.replace(path)
    _drop_unused_domains(path)


def _options() -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return options


def _sizes(stride: int) -> Sequence[tuple[int, int, int]]:
    """(B, H, W) of pictures that differ in all that could matter."""
    return ((1, 1, 1), (2, stride, stride + 1), (3, 2 * stride + 1, stride),
            (1, _LONG_PX, 2), (1, 2, _LONG_PX))  # fmt: skip


def _observed(model: onnx.ModelProto, stride: int) -> Iterator[Values]:
    """For every size, the values that follow from sizes and that other nodes read, and the shapes
    of what is resized (under the tensor's name with `_SHAPE` behind)."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    shapes = [
        onnx.helper.make_node("Shape", [name], [name + _SHAPE])
        for name in dict.fromkeys(node.input[0] for node in _resizes(model.graph))
    ]
    probe.graph.node.extend(shapes)
    names = [*_read_sizes(model.graph), *(node.output[0] for node in shapes)]
    if not names:
        return
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = ort.InferenceSession(
        probe.SerializeToString(), sess_options=_options(), providers=["CPUExecutionProvider"]
    )
    for size in _sizes(stride):
        picture = np.zeros((*size, 3), np.uint8)
        yield dict(zip(names, session.run(names, {"input": picture}), strict=True))


_SHAPE = ".shape"


def _resizes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Nodes that resize to a size."""
    return [node for node in graph.node if node.op_type == "Resize" and len(node.input) == 4]


def _read_sizes(graph: onnx.GraphProto) -> list[str]:
    """Tensors that follow from sizes alone, and that are read by a node which needs more."""
    constant = {tensor.name for tensor in graph.initializer} | {""}
    sized: set[str] = set()
    read: dict[str, None] = {}
    for node in graph.node:
        # What a branch or loop reads beside its inputs stands inside it.
        is_plain = bool(node.input) and not _bodies(node)
        follows = is_plain and {*node.input} <= constant | sized
        if node.op_type == "Constant" or (follows and {*node.input} <= constant):
            constant.update(node.output)
        elif node.op_type == "Shape" or follows:
            sized.update(node.output)
        else:
            read.update(dict.fromkeys(name for name in node.input if name in sized))
    return list(read)


def _freeze_sizes(model: onnx.ModelProto, observed: Sequence[Values]) -> None:
    """Turns values that are the same in every observation into constants, and resizing to sizes
    that vary into resizing by a factor where that is always the same."""
    graph = model.graph
    for node in _resizes(graph):
        factors = _factors(node, observed)
        if factors is not None:
            name = f"{node.output[0]}.factors"
            graph.initializer.append(numpy_helper.from_array(factors, name))
            node.input[2:] = [name]
    first, *others = observed or [{}]
    frozen = {
        name: value
        for name, value in first.items()
        if not name.endswith(_SHAPE) and all(np.array_equal(value, other[name]) for other in others)
    }
    for node in graph.node:
        for at, name in enumerate(node.output):
            if name in frozen:
                node.output[at] = f"{name}.computed"
        # Padding melts into a convolution only where no empty name stands for its value.
        while node.input and not node.input[-1]:
            node.input.pop()
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in frozen.items())
    _drop_unread(graph)


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Drops nodes that no output needs, which ONNX Runtime would not."""
    read = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if read.isdisjoint(node.output):
            continue
        kept.append(node)
        read.update(node.input)
        read.update(name for body in _bodies(node) for inner in body.node for name in inner.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The graphs inside a branch or loop, at every depth."""
    own = [body for entry in node.attribute for body in (entry.g, *entry.graphs) if body.node]
    return [*own, *(deep for body in own for inner in body.node for deep in _bodies(inner))]


def _factors(node: onnx.NodeProto, observed: Sequence[Values]) -> NDArray[np.float32] | None:
    """What a resizing multiplies sizes by, an axis; None if that varies or no factor gives it."""
    before = np.array([values[node.input[0] + _SHAPE] for values in observed])
    after = np.array([values.get(node.input[3], ()) for values in observed])
    if before.shape != after.shape:
        return None
    factors: NDArray[np.float32] = (after[0] / before[0]).astype(np.float32)
    return factors if (np.floor(before * factors) == after).all() else None


def _drop_unused_domains(path: Path) -> None:
    """ONNX Runtime declares all its own operators, also where none is used."""
    model = onnx.load(path)
    used = {node.domain for node in model.graph.node}
    kept = [entry for entry in model.opset_import if entry.domain in used | {""}]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.save(model, path)
