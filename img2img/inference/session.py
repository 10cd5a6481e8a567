"""One network behind one call: ONNX Runtime, or torch (`torch_session`) where a GPU is asked for.

A session takes pictures (B, H, W, 3) uint8 and gives named arrays with a leading batch axis.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from img2img.data.sample import Image
from img2img.errors import UsageError, WeightsError
from img2img.inference.weights import KEY, Card, WeightsFiles, sha256

if TYPE_CHECKING:
    from img2img.tasks.base import Arrays, Task

Engine = Literal["auto", "onnx", "torch"]


class Session(Protocol):
    """What runs a network."""

    card: Card
    name: str
    sha256: str

    def __call__(self, images: Image, outputs: tuple[str, ...] = ()) -> "Arrays":
        """Outputs by name for pictures (B, H, W, 3) uint8; all of them if none is named."""
        ...


class OnnxSession:
    """Runs an `.onnx` file on ONNX Runtime.

    Raises:
        WeightsError: the file is cut, foreign or not runnable.
    """

    def __init__(self, path: Path, *, name: str) -> None:
        import onnxruntime as ort
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        options = ort.SessionOptions()
        options.log_severity_level = 3
        # Idle threads that spin double the CPU time of a short process.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Arenas keep the peak of every size they ever saw; pictures come in all sizes.
        options.enable_cpu_mem_arena = False
        broken = (state.InvalidProtobuf, state.InvalidGraph, state.Fail, state.InvalidArgument,
                  state.NoSuchFile, state.RuntimeException, state.NotImplemented)  # fmt: skip
        try:
            self._session = ort.InferenceSession(
                path, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except broken:
            raise WeightsError(f"{path} is cut or no ONNX file.") from None
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.card = Card.from_json(metadata.get(KEY), str(path))
        self.name = name
        self.sha256 = sha256(path)

    def __call__(self, images: Image, outputs: tuple[str, ...] = ()) -> "Arrays":
        names = list(outputs or self.card.outputs)
        answers = self._session.run(names, {"input": images})
        return dict(zip(names, answers, strict=True))


def open_session(files: WeightsFiles, *, engine: Engine = "auto", device: str = "auto") -> Session:
    """A session for weights: ONNX Runtime where it can be, torch where a CUDA device is asked
    for or only a `.safetensors` exists.

    Raises:
        WeightsError: the files cannot be used, or not with that engine.
        UsageError: engine and device contradict each other.
    """
    wants_torch = engine == "torch" or device.startswith("cuda")
    if engine == "onnx" and device.startswith("cuda"):
        raise UsageError("--engine onnx runs on the CPU: leave out --device cuda.")
    if files.onnx is not None and not wants_torch:
        return OnnxSession(files.onnx, name=files.name)
    if engine == "onnx":
        raise WeightsError(f"{files.name} has no .onnx file; run `img2img export` first.")
    if files.safetensors is None:
        raise WeightsError(f"{files.name} has no .safetensors file beside it, which torch needs.")
    from img2img.inference.torch_session import open_torch

    return open_torch(files.safetensors, name=files.name, device=device)


def task_of(card: Card, expected: str | None = None) -> "Task[Any, Any]":
    """The task that wrote the weights, with its options.

    Raises:
        WeightsError: the weights are of another task than `expected`.
    """
    from img2img.config import parse_option
    from img2img.registry import load_task

    if expected is not None and card.task != expected:
        raise WeightsError(f"these weights are for the task {card.task}, not {expected}.")
    kind = load_task(card.task)
    try:
        options = {
            name: parse_option(kind.Options, "task", name, value)
            for name, value in card.options.get("task", {}).items()
        }
    except UsageError as error:
        raise WeightsError(f"the weights carry an option this version lacks: {error}") from None
    return kind(kind.Options(**options))
