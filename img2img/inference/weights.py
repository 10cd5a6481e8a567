"""Weights files: where they are, and what travels inside them.

The same JSON object travels in an `.onnx` (metadata) and in a `.safetensors` (header), under the
key `img2img`: all that is needed to preprocess, run and read the network without a flag.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from img2img.errors import WeightsError

KEY = "img2img"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What weights know of themselves.

    `options` holds {group: {option: value}} of the training; `facts` what a reader may want to
    know (when, on what device, how good), which nothing computes with.
    """

    task: str
    model: str
    options: dict[str, dict[str, Any]]
    stride: int
    halo_px: int | None
    outputs: list[str]
    version: str
    facts: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None, where: str) -> Self:
        """The card in `text`.

        Raises:
            WeightsError: no card, or one of another format.
        """
        if text is None:
            raise WeightsError(f"{where} was not written by img2img; export it with img2img.")
        try:
            fields = json.loads(text)
            found = fields["format"]
            card = cls(**fields)
            card._check_types()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise WeightsError(f"{where} carries a damaged img2img card.") from None
        if found != FORMAT:
            raise WeightsError(f"{where} has format {found}; this version reads format {FORMAT}.")
        return card

    def _check_types(self) -> None:
        """Raises TypeError where a field holds something else than it says."""
        texts = (self.task, self.model, self.version, *self.outputs)
        numbers = (self.stride, self.format, 0 if self.halo_px is None else self.halo_px)
        objects = (self.options, *self.options.values(), self.facts)
        is_right = (
            isinstance(self.outputs, list)
            and all(isinstance(text, str) for text in texts)
            and all(type(number) is int and number >= 0 for number in numbers)
            and self.stride >= 1
            and all(isinstance(entry, dict) for entry in objects)
        )
        if not is_right:
            raise TypeError


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFiles:
    """The files of one set of weights, as far as they exist."""

    name: str
    onnx: Path | None
    safetensors: Path | None


def shipped_folder() -> Path:
    """Where the package keeps the weights it ships."""
    return Path(__file__).parent.parent / "weights"


def find_weights(path: str | None, task: str) -> WeightsFiles:
    """The files that `--weights` means: an `.onnx`, a `.safetensors`, a run folder; without a
    path, or with `shipped`, the weights shipped for `task`. A file that is named stands alone:
    one beside it may be of another training.

    Raises:
        WeightsError: there is no such file, or it is of another kind.
    """
    if path is None or path == "shipped":
        base = shipped_folder() / task
        files = _pair(base.with_suffix(".onnx"), base.with_suffix(".safetensors"), task)
        if files.onnx is None and files.safetensors is None:
            raise WeightsError(f"no weights ship for {task}; train some and pass --weights.")
        return files
    given = Path(path)
    if given.is_dir():
        return _of_run(given)
    if given.suffix not in (".onnx", ".safetensors"):
        why = "." if given.exists() else ", and nothing of that name exists."
        if given.exists() and given.suffix in (".xml", ".bin", ".pt2"):
            why = ": write an .onnx of the run it came from with `img2img export`."
        raise WeightsError(
            f"the weights {path} are no .onnx file, .safetensors file or run folder{why}"
        )
    if not given.is_file():
        raise WeightsError(f"the weights {path} do not exist.")
    return _pair(given, given, given.name)


def _of_run(run: Path) -> WeightsFiles:
    for checkpoint in (run / "best", run / "last"):
        file = checkpoint / "checkpoint.safetensors"
        if file.is_file():
            onnx = run / "best.onnx"
            files = _pair(onnx, file, run.name)
            return files if checkpoint.name == "best" else _pair(file, file, run.name)
    raise WeightsError(f"the weights {run} are a folder without a run's best/ or last/ checkpoint.")


def _pair(onnx: Path, safetensors: Path, name: str) -> WeightsFiles:
    return WeightsFiles(
        name=name,
        onnx=onnx if onnx.suffix == ".onnx" and onnx.is_file() else None,
        safetensors=(
            safetensors if safetensors.suffix == ".safetensors" and safetensors.is_file() else None
        ),
    )


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_header(path: Path) -> dict[str, str]:
    """The string metadata of a `.safetensors` file, read without any tensor library.

    Raises:
        WeightsError: the file is cut or no safetensors.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(100 << 20, path.stat().st_size):
                raise ValueError("no header")
            header = json.loads(file.read(length))
        end = max((spec["data_offsets"][1] for key, spec in header.items() if key[:2] != "__"),
                  default=0)  # fmt: skip
        if path.stat().st_size < 8 + length + end:
            raise ValueError("cut")
        return dict(header.get("__metadata__", {}))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise WeightsError(f"{path} is cut or no safetensors file.") from None
