"""From a network to an `.onnx` file that answers pictures of any size, and what it lost by it."""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from img2img.data.sample import Dataset
from img2img.errors import RunError
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
    example = torch.zeros((2, 2 * network.stride + 9, network.stride + 7, 3), dtype=torch.uint8)
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
        compare(network, beside)
        beside.replace(path)
    except torch.onnx.OnnxExporterError as error:
        raise RunError(f"{card.model} cannot be exported: {error}.") from error
    finally:
        beside.unlink(missing_ok=True)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The task's best metric of an exported file and of the network it came from."""

    metric: str
    reference: float
    exported: float
    n: int


def gate(
    task: Task[Any, Any],
    reference: Session,
    exported: Session,
    samples: Dataset,
    *,
    tolerance: float,
) -> Verdict:
    """Measures both on the same samples.

    Args:
        tolerance: what may be lost: of a share, such as `miou`, in the share itself (0.005 is half
            a point); of an error or a figure in decibels as a part of the reference's figure.

    Raises:
        RunError: the exported form is worse than that, with both figures.
    """
    ours, theirs = (_best_metric(task, session, samples) for session in (reference, exported))
    verdict = Verdict(metric=task.best.metric, reference=ours, exported=theirs, n=len(samples))
    is_gain = task.best.mode == "max"
    loss = ours - theirs if is_gain else theirs - ours
    # Half a point of a share is the same loss at every share; of an error, half its size is not.
    allowed = tolerance * (max(1.0, abs(ours)) if is_gain else abs(ours))
    if not loss <= allowed:
        raise RunError(
            f"{verdict.metric} {'falls' if is_gain else 'rises'} from {ours:.6g} (torch) to "
            f"{theirs:.6g} (exported) on {len(samples)} samples, by more than {allowed:.3g} "
            f"(--tolerance {tolerance:g}); nothing was written."
        )
    return verdict


def _best_metric(task: Task[Any, Any], session: Session, samples: Dataset) -> float:
    predictor = Predictor(task, session)
    rows = [task.measure(predictor.run_sample(sample), sample) for sample in samples]
    columns = {name: np.array([row[name] for row in rows], np.float64) for name in rows[0]}
    return task.summarise(columns, np.ones(len(rows)))[task.best.metric]


def write_card(path: Path, card: Card) -> None:
    """Puts the card into an `.onnx` file's metadata."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {KEY: card.to_json()})
    onnx.save(model, path)


def compare(network: Network, path: Path, *, tolerance: float = 1e-3) -> None:
    """Checks that ONNX Runtime answers as torch does, on noise of two sizes.

    Args:
        tolerance: greatest difference of float outputs, relative to their greatest value.

    Raises:
        RunError: it does not.
    """
    session = OnnxSession(path, name=path.name)
    rng = np.random.default_rng(0)
    for height, width in ((33, 50), (1, 1)):
        images = rng.integers(0, 256, (1, height, width, 3), np.uint8)
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
                    f"{height}×{width}; nothing was written."
                )
