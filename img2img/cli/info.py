"""`img2img info`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from img2img.cli.options import complete_task

if TYPE_CHECKING:
    from img2img.inference.weights import Card, WeightsFiles

# Tensors of a network that are no parameters: statistics and what normalises pictures.
_BUFFERS = ("mean", "std", "running_mean", "running_var", "num_batches_tracked")


def info(
    weights: Annotated[
        str,
        typer.Argument(
            metavar="WEIGHTS",
            help="An .onnx, a .safetensors, a run folder, or a task for its shipped weights.",
            autocompletion=complete_task,
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    filters: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the filters of the first convolution."),
    ] = None,
) -> None:
    """Show what weights know of themselves: task, network, options, how good they are.

    A task's name means the weights that ship for it; write ./NAME for a folder of that name.
    Exit codes: 0 done, 2 no such task, 3 unusable weights.
    """
    from img2img.cli.console import print_table, write_json

    if filters is not None:
        _draw_filters(weights, filters)
    facts = _facts(weights)
    if json:
        write_json(facts, "-")
        return
    print_table(("what", "value"), _rows(facts), title=facts["name"])


def _facts(weights: str) -> dict[str, Any]:
    from dataclasses import asdict

    files, shipped = _find(weights)
    card = _card(files, weights)
    graph = _graph(files.onnx) if files.onnx is not None else None
    note = files.onnx.with_suffix(".md") if shipped and files.onnx else None
    n_parameters = _count(files.safetensors) if files.safetensors else (graph or {}).get("count")
    return {
        "name": files.name,
        **{key: value for key, value in asdict(card).items() if key != "outputs"},
        "parameters": n_parameters,
        "inputs": graph["inputs"] if graph else {"input": "uint8 [batch, height, width, 3]"},
        "outputs": graph["outputs"] if graph else dict.fromkeys(card.outputs),
        "files": [_file(path) for path in (files.onnx, files.safetensors) if path is not None],
        "card": str(note) if note is not None and note.is_file() else None,
    }


def _draw_filters(weights: str, path: Path) -> None:
    """Writes the picture of the first convolution on three channels.

    Raises:
        WeightsError: there is no .safetensors, or no such convolution.
    """
    from torch import nn

    from img2img.data.images import write
    from img2img.errors import WeightsError
    from img2img.inference.torch_session import load_network
    from img2img.report.filters import filter_sheet

    files, _ = _find(weights)
    if files.safetensors is None:
        raise WeightsError(f"--filters needs the .safetensors file of {files.name}.")
    network = load_network(files.safetensors, _card(files, weights))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.in_channels == 3:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, filter_sheet(layer.weight.detach().numpy()))
            return
    raise WeightsError(f"{files.name} has no convolution on the picture's three channels.")


def _find(weights: str) -> "tuple[WeightsFiles, bool]":
    """The files, and whether they are shipped ones."""
    from img2img.errors import unknown_name
    from img2img.inference.weights import find_weights
    from img2img.registry import task_names

    if weights in task_names():
        return find_weights(None, weights), True
    path = Path(weights)
    if not path.exists() and path.name == weights and not path.suffix:
        raise unknown_name("task", weights, task_names())
    return find_weights(weights, ""), False


def _card(files: "WeightsFiles", weights: str) -> "Card":
    """The card of the file that was named; of a folder, of what `predict` would use. An `.onnx`
    beside it is opened in any case, so that a cut one is told."""
    from img2img.inference.session import OnnxSession
    from img2img.inference.weights import KEY, Card, read_header

    stored = files.safetensors
    runnable = OnnxSession(files.onnx, name=files.name) if files.onnx is not None else None
    if stored is not None and (runnable is None or weights.endswith(stored.suffix)):
        return Card.from_json(read_header(stored).get(KEY), str(stored))
    assert runnable is not None
    return runnable.card


def _graph(path: Path) -> dict[str, Any]:
    """{inputs, outputs: {name: type and shape}, count of parameters} of an `.onnx` file."""
    import math

    import onnx

    graph = onnx.load(path).graph
    # Whole numbers are indices and shapes, except in a quantised graph.
    real = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}
    counted = [math.prod(tensor.dims) for tensor in graph.initializer
               if tensor.dims and not _is_buffer(tensor.name)
               and (tensor.data_type in real or tensor.name.endswith("_quantized"))]  # fmt: skip
    return {
        "inputs": {value.name: _shape(value) for value in graph.input},
        "outputs": {value.name: _shape(value) for value in graph.output},
        "count": sum(counted),
    }


def _shape(value: Any) -> str:
    import onnx

    tensor = value.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    sizes = [size.dim_param or str(size.dim_value) for size in tensor.shape.dim]
    return f"{kind} [{', '.join(sizes)}]"


def _count(path: Path) -> int:
    """Parameters of the network in a `.safetensors` file, from its header."""
    import math

    from safetensors import SafetensorError, safe_open

    from img2img.errors import WeightsError

    try:
        with safe_open(path, framework="numpy") as file:
            return sum(
                math.prod(file.get_slice(key).get_shape())
                for key in file.keys()  # noqa: SIM118
                if key.startswith("network.") and not _is_buffer(key)
            )
    except SafetensorError:
        raise WeightsError(f"{path} is cut or no safetensors file.") from None


def _is_buffer(name: str) -> bool:
    # Quantised graphs keep a scale and a zero point beside every weight.
    return name.rpartition(".")[2] in _BUFFERS or name.endswith(("_scale", "_zero_point"))


def _file(path: Path) -> dict[str, Any]:
    from img2img.inference.weights import sha256

    return {"path": str(path), "bytes": path.stat().st_size, "sha256": sha256(path)}


def _rows(facts: dict[str, Any]) -> list[list[str]]:
    halo = facts["halo_px"]
    rows = [
        ["task", facts["task"]],
        ["model", facts["model"]],
        ["parameters", f"{facts['parameters']:,}"],
        *(["input", f"{name} {shape}"] for name, shape in facts["inputs"].items()),
        *(["output", f"{name} {shape or ''}".rstrip()] for name, shape in facts["outputs"].items()),
        ["stride", f"{facts['stride']} pixels"],
        ["halo", "the whole picture" if halo is None else f"{halo} pixels"],
        *([f"option {key}", _flat(value)] for key, value in _telling(facts).items()),
        *([key, _flat(value)] for key, value in facts["facts"].items()),
        ["written by", f"img2img {facts['version']}, format {facts['format']}"],
    ]
    for file in facts["files"]:
        rows.append(["file", f"{file['path']} ({_size(file['bytes'])})"])
        rows.append(["sha256", file["sha256"]])
    return [*rows, ["card", facts["card"]]] if facts["card"] else rows


def _telling(facts: dict[str, Any]) -> dict[str, Any]:
    """The options that are not the general defaults; all of the task's and the model's own."""
    from dataclasses import fields

    from img2img.config import DataOptions, TrainOptions

    usual = {"train": TrainOptions, "data": DataOptions}
    telling: dict[str, Any] = {}
    for group, options in facts["options"].items():
        known = fields(usual[group]) if group in usual else ()
        defaults = {entry.name: entry.default for entry in known}
        for name, value in options.items():
            if (name not in defaults or defaults[name] != value) and name != "name":
                telling[f"{group}.{name}"] = value
    return telling


def _flat(value: Any) -> str:
    from img2img.cli.console import number

    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(entry)}" for key, entry in value.items())
    return number(value) if value is None or isinstance(value, float) else str(value)


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.1f} kB"
