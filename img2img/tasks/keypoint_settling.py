"""What is chosen on validation faces when a training of keypoints ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from img2img.data.sample import Dataset, Sample
from img2img.tasks.base import Run
from img2img.tasks.keypoint_options import KeypointOptions
from img2img.tasks.point_coding import choose_decoder
from img2img.vision.calibration import fit_calibration
from img2img.vision.heatmaps import Maps
from img2img.vision.keypoints import HIT_WITHIN
from img2img.vision.metrics import Floats

if TYPE_CHECKING:
    from img2img.tasks.keypoints import Keypoints

Network = Callable[[KeypointOptions], Run]
"""The trained network, decoded as options ask for."""
_N_FACES = 256


def settled_options(task: Keypoints, network: Network, val: Dataset) -> KeypointOptions:
    """The options of a task with the decoder that has the least error, if none is chosen, and with
    what confidence is worth; both on up to 256 validation faces, and left alone without any."""
    options = task.options
    if not len(val):
        return options
    every = max(1, -(-len(val) // _N_FACES))
    faces = [val[index] for index in range(0, len(val), every)]
    if options.decoder == "auto" and options.way == "heatmaps":
        # Any decoder that is no graph has the heatmaps as its network's output.
        maps = _maps(task, network(replace(options, decoder="contours")), faces)
        options = replace(options, decoder=choose_decoder(maps, options))
    without = type(task)(replace(options, calibration=()), task.training)
    return replace(options, calibration=_calibration(without, network(without.options), faces))


def _maps(
    task: Keypoints, run: Run, faces: Sequence[Sample]
) -> Iterator[tuple[Maps, Floats, float]]:
    """Heatmaps of each face in its rough box, the truth on them in pixels of the network's picture,
    and the length there that errors are divided by."""
    size = task.options.image_size
    for face in faces:
        crop = task.rough_crop(face)
        maps = run(crop.apply(face.image, size))["heatmaps"]
        truth = np.asarray(face.labels["points"], np.float64)
        yield maps, crop.to_canvas(truth, size), task.length_px(face) * size / crop.side


def _calibration(task: Keypoints, run: Run, faces: Sequence[Sample]) -> tuple[float, float]:
    """Of the confidences that a task gives without one: a hit is a point where a confidence of 1
    promises it."""
    confidences, hits = [], []
    for sample in faces:
        face = task.answer_sample(sample, run)[0]
        error = task.relative_errors(face.points, sample)
        known = np.isfinite(error)
        confidences.append(face.confidence[known])
        hits.append(error[known] < HIT_WITHIN)
    return fit_calibration(np.concatenate(confidences), np.concatenate(hits))
