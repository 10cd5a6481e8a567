"""OpenVINO's own format (`.xml` with a `.bin`): written from an exported network, and run."""

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from img2img.data.sample import Image
from img2img.errors import UsageError, WeightsError
from img2img.inference.session import failed
from img2img.inference.weights import KEY, Card, sha256
from img2img.tasks.base import Arrays

_BIN_KEY = f"{KEY}_bin_sha256"
_UNKNOWN = "0" * 64


def check_openvino() -> None:
    """Whether OpenVINO is installed, told without loading it.

    Raises:
        UsageError: it is not.
    """
    if importlib.util.find_spec("openvino") is None:
        raise UsageError("an .xml needs an extra: pip install 'img2img[openvino]'.")


def export_openvino(source: Path, card: Card, path: Path, *, fp16: bool = False) -> None:
    """Writes `path`, an `.xml`, and the `.bin` beside it: the exported network `source` (`.onnx`)
    with the card and the digest of the `.bin` in its runtime information. `fp16` stores weights at
    half the size, which OpenVINO computes with in fp32.

    Raises:
        UsageError: OpenVINO is not installed.
    """
    openvino = _openvino()
    model = openvino.Core().read_model(source)
    model.set_rt_info(card.to_json(), [KEY])
    model.set_rt_info(_UNKNOWN, [_BIN_KEY])
    openvino.save_model(model, path, compress_to_fp16=fp16)
    # Both files are written at once, and the digest is known after.
    before, key, after = path.read_text(encoding="utf-8").partition(f"<{_BIN_KEY} ")
    after = after.replace(_UNKNOWN, sha256(path.with_suffix(".bin")), 1)
    path.write_text(before + key + after, encoding="utf-8")


class OpenVinoSession:
    """Runs an `.xml` file, with the `.bin` beside it, on the CPU.

    Raises:
        UsageError: OpenVINO is not installed.
        WeightsError: the file is cut, foreign or not runnable, or the `.bin` is of another export.
    """

    def __init__(self, path: Path, *, name: str) -> None:
        openvino = _openvino()
        # Where a CPU has bfloat16, OpenVINO would compute in it unasked.
        options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        try:
            model = openvino.Core().read_model(path)
            # It gives the thread that compiles a signal stack of its own; of two models the one
            # that goes first takes the other's away, and the next signal would end the process.
            with ThreadPoolExecutor(1) as thread:
                self._run = thread.submit(openvino.compile_model, model, "CPU", options).result()
        except RuntimeError:
            raise WeightsError(
                f"{path} is cut or no OpenVINO file, or the .bin beside it is not its own: export "
                "both again."
            ) from None
        self.sha256 = sha256(path.with_suffix(".bin"))
        if _text(model, _BIN_KEY) not in (None, self.sha256):
            raise WeightsError(f"{path} and its .bin are of different exports: export both again.")
        self.card = Card.from_json(_text(model, KEY), str(path))
        names = {output.any_name for output in model.outputs}
        if {entry.any_name for entry in model.inputs} != {"input"} or not {
            *self.card.outputs
        } <= names:
            raise WeightsError(f"{path} has other inputs or outputs than its img2img card says.")
        self.name = name

    def __call__(self, images: Image, outputs: tuple[str, ...] = ()) -> Arrays:
        try:
            answers = self._run({"input": np.ascontiguousarray(images)})
        except (RuntimeError, MemoryError) as error:
            raise failed("OpenVINO", images, error) from None
        return {name: answers[name] for name in outputs or self.card.outputs}


def _text(model: Any, key: str) -> str | None:
    """An entry of the runtime information."""
    return str(model.get_rt_info([key]).astype(str)) if model.has_rt_info([key]) else None


def _openvino() -> ModuleType:
    """The library, without its converter: importing that sends usage data to its maker."""
    converter = "openvino.tools.ovc"
    is_hidden = converter not in sys.modules
    if is_hidden:
        sys.modules[converter] = None  # type: ignore[assignment]
    try:
        check_openvino()
        import openvino

        module: ModuleType = openvino
        return module
    finally:
        if is_hidden:
            del sys.modules[converter]
