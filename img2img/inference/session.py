"""One network behind one call: ONNX Runtime, or torch (`torch_session`) where a GPU is asked for.

A session takes pictures (B, H, W, 3) uint8 and gives named arrays with a leading batch axis.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from img2img.data.sample import Image
from img2img.errors import RunError, UsageError, WeightsError
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
        """Outputs by name for pictures (B, H, W, 3) uint8; all of them if none is named.

        Raises:
            RunError: the engine fails on these pictures, for example for lack of memory.
        """
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
        self._failures = (*broken, state.EPFail, RuntimeError, MemoryError, ValueError)
        try:
            self._session = ort.InferenceSession(
                path, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except broken:
            raise WeightsError(f"{path} is cut or no ONNX file.") from None
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.card = Card.from_json(metadata.get(KEY), str(path))
        given = {value.name for value in self._session.get_inputs()}
        if given != {"input"} or not {*self.card.outputs} <= self._names():
            raise WeightsError(f"{path} has other inputs or outputs than its img2img card says.")
        self.name = name
        self.sha256 = sha256(path)

    def _names(self) -> set[str]:
        return {value.name for value in self._session.get_outputs()}

    def __call__(self, images: Image, outputs: tuple[str, ...] = ()) -> "Arrays":
        names = list(outputs or self.card.outputs)
        try:
            answers = self._session.run(names, {"input": images})
        except self._failures as error:
            raise failed("ONNX Runtime", images, error) from None
        return dict(zip(names, answers, strict=True))


def answered(session: Session, pictures: Image, outputs: tuple[str, ...] = ()) -> "Arrays":
    """What a session says of one picture (H, W, 3), without a batch axis, or of several
    (B, H, W, 3)."""
    if pictures.ndim == 4:
        return session(pictures, outputs)
    return {name: array[0] for name, array in session(pictures[None], outputs).items()}


def failed(engine: str, images: Image, error: BaseException) -> RunError:
    """The error for pictures that an engine failed on."""
    height, width = images.shape[1:3]
    reason = " ".join(str(error).split())[:200] or "out of memory"
    return RunError(f"{engine} failed on a picture of {width}×{height} pixels: {reason}")


def check_device(name: str) -> None:
    """Whether `name` can be a device, told without torch.

    Raises:
        UsageError: it can't.
    """
    if re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", name) is None:
        raise UsageError(f"--device cannot be {name!r}: choose auto, cpu, cuda or cuda:N.")


def open_session(files: WeightsFiles, *, engine: Engine = "auto", device: str = "auto") -> Session:
    """A session for weights: ONNX Runtime where it can be, torch where a CUDA device is asked
    for or only a `.safetensors` exists.

    Raises:
        WeightsError: the files cannot be used, or not with that engine.
        UsageError: no such device, or engine and device contradict each other.
    """
    check_device(device)
    wants_torch = engine == "torch" or device.startswith("cuda")
    if engine == "onnx" and device.startswith("cuda"):
        raise UsageError("--engine onnx runs on the CPU: leave out --device cuda.")
    if files.onnx is not None and not wants_torch:
        return OnnxSession(files.onnx, name=files.name)
    if engine == "onnx":
        raise WeightsError(f"{files.name} has no .onnx file; run `img2img export` first.")
    if files.safetensors is None:
        raise WeightsError(
            f"{files.name} is for ONNX Runtime: torch (--device cuda, --engine torch) needs the "
            ".safetensors file."
        )
    from img2img.inference.torch_session import open_torch

    return open_torch(files.safetensors, name=files.name, device=device)


def task_of(
    card: Card, expected: str | None = None, *, allow_python: bool = False
) -> "Task[Any, Any]":
    """The task that wrote the weights, with its options.

    Args:
        card: what the weights know of themselves.
        expected: the task they must be of.
        allow_python: whether an option may name Python code, which runs as soon as the truth is
            computed. A prediction never does that and may always allow it.

    Raises:
        WeightsError: the weights are of another task than `expected`, of one that does not exist,
            carry an unknown option or name Python code.
    """
    from img2img.config import parse_option
    from img2img.registry import load_task

    if expected is not None and card.task != expected:
        raise WeightsError(f"these weights are for the task {card.task}, not {expected}.")
    values = card.options.get("task", {})
    code = next((value for value in values.values() if _names_python(value)), None)
    if code is not None and not allow_python:
        raise WeightsError(
            f"these weights name Python code ({code}): pass --allow-python if you trust it."
        )
    try:
        kind = load_task(card.task)
        options = {
            name: parse_option(kind.Options, "task", name, value) for name, value in values.items()
        }
        return kind(kind.Options(**options))
    except UsageError as error:
        raise WeightsError(f"the weights do not fit this version: {error}") from None


def _names_python(value: Any) -> bool:
    if isinstance(value, list):
        return any(_names_python(entry) for entry in value)
    return isinstance(value, str) and "python:" in value
