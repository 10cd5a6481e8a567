"""What is chosen on validation faces when a training of keypoints ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from img2img.data.sample import Dataset, Sample
from img2img.tasks.base import Run
from img2img.tasks.keypoint_options import KeypointOptions
from img2img.tasks.point_coding import best_decoder
from img2img.vision.calibration import fit_calibration
from img2img.vision.heatmaps import DECODERS
from img2img.vision.keypoints import HIT_WITHIN

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
        options = replace(options, decoder=_best_decoder(task, network, faces))
    without = type(task)(replace(options, calibration=()), task.training)
    return replace(options, calibration=_calibration(without, network(without.options), faces))


def _best_decoder(task: Keypoints, network: Network, faces: Sequence[Sample]) -> str:
    # Any decoder that is no graph has the heatmaps as its network's output.
    options = replace(task.options, decoder="contours")
    run = network(options)
    errors = dict.fromkeys(DECODERS, 0.0)
    for face in faces:
        crop = task.rough_crop(face)
        maps = run(crop.apply(face.image, options.image_size))["heatmaps"]
        for name, decode in DECODERS.items():
            cells = decode(maps, options.sigma).in_pixels(options.stride).points
            found = crop.to_picture(cells, options.image_size)
            error = task.relative_errors(found, face)
            errors[name] += float(error[np.isfinite(error)].sum())
    return best_decoder(errors)


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
