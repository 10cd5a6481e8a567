"""From a network to a file that answers pictures of any size, and what it lost by it."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from img2img.data.sample import Dataset
from img2img.errors import RunError
from img2img.inference.archive import ArchiveSession
from img2img.inference.predictor import Predictor
from img2img.inference.session import OnnxSession, Session
from img2img.inference.simplify import simplify
from img2img.inference.weights import KEY, Card
from img2img.models.network import Network
from img2img.tasks.base import Task

OPSET = 18


class _Answer(nn.Module):
    """The network from picture to answer, outputs in order."""

    def __init__(self, network: Network, outputs: list[str]) -> None:
        super().__init__()
        self.network = network
        self.outputs = outputs

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        answers = self.network.answer(image)
        return tuple(answers[name] for name in self.outputs)


def export_onnx(network: Network, card: Card, path: Path) -> None:
    """Writes `path`: uint8 RGB (B, H, W, 3) of any size in, the decoded outputs out, the card
    inside. The file is compared with torch on two sizes before it takes its name.

    Raises:
        RunError: the exported file answers differently.
    """
    network = network.to("cpu").eval()
    beside = path.with_name(f".{path.name}.part.onnx")
    example = _example(network)
    # Not only the network in evaluation mode: the exporter puts what it is given back into the mode
    # it found, and a new module is in training mode, which would change the network's own answers.
    answer = _Answer(network, card.outputs).eval()
    # Tracing instead of torch.export: 0.1 s against 6 s for filternet, 3 s against 17 s for a
    # ResNet U-Net (torch 2.15, two cores), with the same dynamic sizes and the same answers.
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            torch.onnx.export(
                answer,
                (example,),
                beside,
                input_names=["input"],
                output_names=card.outputs,
                dynamic_axes=_dynamic_axes(network, card, example),
                opset_version=OPSET,
                dynamo=False,
            )
        simplify(beside, stride=network.stride)
        write_card(beside, card)
        compare(network, OnnxSession(beside, name=path.name))
        beside.replace(path)
    except torch.onnx.OnnxExporterError as error:
        raise RunError(f"{card.model} cannot be exported: {error}.") from error
    finally:
        beside.unlink(missing_ok=True)


def _example(network: Network) -> Tensor:
    """Pictures whose sizes are nothing special, such as 1 or a multiple of the stride."""
    return torch.zeros((2, 2 * network.stride + 9, network.stride + 7, 3), dtype=torch.uint8)


def _dynamic_axes(network: Network, card: Card, example: Tensor) -> dict[str, dict[int, str]]:
    """{input or output: {axis: name}} of the sizes that vary with the picture's; of outputs
    that are no maps, such as points, the batch alone."""
    larger = torch.zeros((example.shape[0], example.shape[1] + network.stride,
                          example.shape[2] + 2 * network.stride, 3), dtype=torch.uint8)  # fmt: skip
    answers, others = network.answer(example), network.answer(larger)
    varying = {"input": {0: "batch", 1: "height", 2: "width"}}
    for name in card.outputs:
        shapes = zip(answers[name].shape, others[name].shape, strict=True)
        sizes = [axis for axis, (one, other) in enumerate(shapes) if one != other]
        is_map = sizes == [1, 2]  # as large as the picture, or coarser
        at = "" if is_map and answers[name].shape[1:3] == example.shape[1:3] else f"_of_{name}"
        named = {
            axis: f"{side}{at}" for axis, side in zip(sizes, ("height", "width"), strict=False)
        }
        varying[name] = {0: "batch"} | named
    return varying


class _SymbolicSizes(TorchFunctionMode):
    """Lets torch.export follow sizes where it would take the example's for the only ones."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.as_tensor and isinstance(args[0], torch.SymInt):
            return torch.scalar_tensor(args[0], dtype=torch.int64)
        result = func(*args, **(kwargs or {}))
        # Whether a cut leaves its memory contiguous depends on sizes; whether a copy is, does not.
        if func is torch.Tensor.__getitem__ and _cuts(args[1]):
            return result.clone(memory_format=torch.contiguous_format)
        return result


def _cuts(index: Any) -> bool:
    entries = index if isinstance(index, tuple) else (index,)
    return any(isinstance(e, slice) and isinstance(e.stop, torch.SymInt) for e in entries)


class _SymbolicAnswer(_Answer):
    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        with _SymbolicSizes():
            return super().forward(image)


@contextmanager
def _symbolic_sizes() -> Iterator[None]:
    """Settings under which torch.export makes one graph for pictures of all sizes."""
    from timm.layers import padding
    from torch.fx.experimental import _config as config

    def of_even_sizes(x: int, kernel_size: int, stride: int, dilation: int) -> int:
        return max(dilation * (kernel_size - 1) + 1 - stride, 0)

    # TensorFlow's padding rounds a quotient of the size, which costs torch.export minutes to
    # simplify. Pictures are padded to multiples of the stride: whatever halves them, they are even.
    before, padding.get_same_padding = padding.get_same_padding, of_even_sizes
    try:
        # Without it 0 and 1 are not sizes as any other.
        with config.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
            yield
    finally:
        padding.get_same_padding = before


def export_archive(network: Network, card: Card, path: Path) -> None:
    """Writes `path`, a `torch.export` archive: uint8 RGB (B, H, W, 3) of any size in, the decoded
    outputs of the card out, as a tuple; the card is an extra file of it. It is compared with torch
    on two sizes before it takes its name.

    Raises:
        RunError: torch.export cannot follow the network, or the archive answers differently.
    """
    network = network.to("cpu").eval()
    beside = path.with_name(f".{path.name}.part.pt2")
    answer = _SymbolicAnswer(network, card.outputs).eval()
    sizes = (dict.fromkeys(range(3), torch.export.Dim.AUTO),)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _symbolic_sizes(), torch.no_grad():
                program = torch.export.export(answer, (_example(network),), dynamic_shapes=sizes)
            torch.export.save(program, beside, extra_files={KEY: card.to_json()})
            compare(network, ArchiveSession(beside, name=path.name), shapes=_ARCHIVE_SHAPES)
        beside.replace(path)
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise RunError(
            f"torch.export cannot follow {card.model}: {reason}; write an .onnx."
        ) from error
    finally:
        beside.unlink(missing_ok=True)


_SHAPES = ((1, 33, 50), (1, 1, 1))
_ARCHIVE_SHAPES = ((1, 33, 50), (3, 64, 96))
"""Pictures of one pixel, or one cell of the maps, are not among them: torch lays tensors out
differently there, so that some archives, filternet's among them, refuse such pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The task's best metric of an exported file and of the network it came from.

    `loss` is how much worse the file is, `allowed` how much it may be, both in the metric's units.
    """

    metric: str
    reference: float
    exported: float
    n: int
    loss: float
    allowed: float

    @property
    def passed(self) -> bool:
        """Whether the file is good enough; a figure that is not a number is not."""
        return self.loss <= self.allowed


def judge(
    task: Task[Any, Any], reference: float, exported: float, *, n: int, tolerance: float
) -> Verdict:
    """What two figures of the task's best metric on `n` samples mean.

    Args:
        tolerance: what may be lost: of a share, such as `miou`, in the share itself (0.005 is half
            a point); of an error or a figure in decibels as a part of the reference's figure.
    """
    is_gain = task.best.mode == "max"
    return Verdict(
        metric=task.best.metric,
        reference=reference,
        exported=exported,
        n=n,
        loss=reference - exported if is_gain else exported - reference,
        # Half a point of a share is the same loss at every share; of an error, half its size is
        # not.
        allowed=tolerance * (max(1.0, abs(reference)) if is_gain else abs(reference)),
    )


def gate(
    task: Task[Any, Any],
    reference: Session,
    exported: Session,
    samples: Dataset,
    *,
    tolerance: float,
) -> Verdict:
    """Measures both on the same samples; `tolerance` as in `judge`.

    Raises:
        RunError: the exported form is worse than that, with both figures.
    """
    ours, theirs = (best_metric(task, session, samples) for session in (reference, exported))
    verdict = judge(task, ours, theirs, n=len(samples), tolerance=tolerance)
    if not verdict.passed:
        raise RunError(
            f"{verdict.metric} {'falls' if task.best.mode == 'max' else 'rises'} from {ours:.6g} "
            f"(torch) to {theirs:.6g} (exported) on {len(samples)} samples, by more than "
            f"{verdict.allowed:.3g} (--tolerance {tolerance:g}); nothing was written."
        )
    return verdict


def best_metric(task: Task[Any, Any], session: Session, samples: Dataset) -> float:
    """The figure that the task chooses epochs by, of a session on samples."""
    predictor = Predictor(task, session)
    rows = [task.measure(predictor.run_sample(sample), sample) for sample in samples]
    columns = {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}
    return task.summarise(columns, np.ones(len(rows)))[task.best.metric]


def write_card(path: Path, card: Card) -> None:
    """Puts the card into an `.onnx` file's metadata."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {KEY: card.to_json()})
    onnx.save(model, path)


def compare(
    network: Network,
    session: Session,
    *,
    shapes: Sequence[tuple[int, int, int]] = _SHAPES,
    tolerance: float = 1e-3,
) -> None:
    """Checks that a session answers as torch does, on noise.

    Args:
        shapes: (B, H, W) of the noise.
        tolerance: greatest difference of float outputs, relative to their greatest value.

    Raises:
        RunError: it does not.
    """
    rng = np.random.default_rng(0)
    for shape in shapes:
        images = rng.integers(0, 256, (*shape, 3), np.uint8)
        answers = session(images)
        with torch.inference_mode():
            expected = network.answer(torch.from_numpy(images))
        for name, ours in answers.items():
            theirs = expected[name].numpy()
            if ours.dtype.kind != "f":
                continue
            gap = float(np.abs(ours - theirs).max()) / max(1.0, float(np.abs(theirs).max()))
            if not gap <= tolerance:
                raise RunError(
                    f"the exported {name} differs from torch's by {gap:.2g} of its range at "
                    f"{shape[1]}×{shape[2]}; nothing was written."
                )
