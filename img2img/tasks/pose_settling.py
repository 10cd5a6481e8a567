"""What is chosen on validation frames when a training of poses ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from img2img.data.sample import Dataset, Sample
from img2img.tasks.base import Run
from img2img.tasks.corner_finder import first_crop, near_crop
from img2img.tasks.point_coding import choose_decoder
from img2img.vision.calibration import fit_calibration
from img2img.vision.deviation import fit_deviation, rotation_scale
from img2img.vision.heatmaps import Maps
from img2img.vision.metrics import Floats
from img2img.vision.pose import rotation_error_deg

if TYPE_CHECKING:
    from img2img.tasks.ship_options import ShipOptions
    from img2img.tasks.xwing import XWing

Network = Callable[["ShipOptions"], Run]
"""The trained network, decoded as options ask for."""
HIT_WITHIN = 5 / 256
"""Corners this near, over the frame's longer side, are what a confidence of 1 promises."""
_N_FRAMES = 256


def settled_options(task: XWing, network: Network, val: Dataset) -> ShipOptions:
    """The options of a task with the decoder that has the least error, if none is chosen, and with
    what confidences, widths of heatmaps and stated deviations are worth; all on up to 256
    validation frames, and left alone without any."""
    if not len(val):
        return task.options
    every = max(1, -(-len(val) // _N_FRAMES))
    frames = [val[index] for index in range(0, len(val), every)]
    options = replace(task.options, calibration=(), deviation=())
    if options.decoder == "auto" and options.way == "heatmaps":
        # Any decoder that is no graph has the heatmaps as its network's output.
        probe = replace(options, decoder="contours")
        maps = _maps(type(task)(probe, task.training), network(probe), frames)
        options = replace(options, decoder=choose_decoder(maps, options))
    run = network(options)
    options = _with_calibration(type(task)(options, task.training), run, frames)
    return _with_scale(type(task)(options, task.training), run, frames)


def _maps(task: XWing, run: Run, frames: Sequence[Sample]) -> Iterator[tuple[Maps, Floats, float]]:
    """Heatmaps of each frame, seen close to the ship, the truth on them in pixels of the network's
    picture, and the frame's longer side there."""
    size = task.options.image_size
    for frame in frames:
        truth = np.asarray(frame.labels["points"], np.float64)
        crop = near_crop(truth, frame.image) or first_crop(frame.image)
        maps = run(crop.apply(frame.image, size))["heatmaps"]
        yield maps, crop.to_canvas(truth, size), max(frame.image.shape) * size / crop.side


def _with_calibration(task: XWing, run: Run, frames: Sequence[Sample]) -> ShipOptions:
    """The options with what confidences and widths of heatmaps are worth."""
    from img2img.tasks.xwing import camera_of

    errors, widths, sure, hit = [], [], [], []
    for frame in frames:
        truth = np.asarray(frame.labels["points"], np.float64)
        crop, decoded = task.finder.closest_look(frame.image, camera_of(frame), run)
        peaks, seen = task.coding.peaks(decoded), task.finder.corners(decoded, crop)
        errors.append(peaks.points - crop.to_canvas(truth, task.options.image_size))
        widths.append(np.sqrt(np.trace(peaks.covariance, axis1=1, axis2=2) / 2))
        far = np.linalg.norm(seen.points - truth, axis=1) / max(frame.image.shape)
        sure.append(seen.confidence)
        hit.append(far < HIT_WITHIN)
    deviation = fit_deviation(np.concatenate(errors), np.concatenate(widths))
    return replace(
        task.options,
        calibration=fit_calibration(np.concatenate(sure), np.concatenate(hit)),
        deviation=tuple(round(number, 5) for number in (*deviation, 1.0)),
    )


def _with_scale(task: XWing, run: Run, frames: Sequence[Sample]) -> ShipOptions:
    """The options with what the stated deviation of a pose is worth."""
    errors, stated = [], []
    for frame in frames:
        fit = task.answer_sample(frame, run).fit
        if fit.pose is not None:
            truth = np.asarray(frame.labels["pose"], np.float64)
            errors.append(float(rotation_error_deg(fit.pose, truth)))
            stated.append(fit.rotation_deviation_deg)
    if not errors:
        return task.options
    scale = round(rotation_scale(np.array(errors), np.array(stated)), 4)
    return replace(task.options, deviation=(*task.options.deviation[:2], scale))
