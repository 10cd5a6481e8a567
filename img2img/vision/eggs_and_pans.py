"""Eggs and pans by colour and shape, without learning: a baseline, and names for regions."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.vision.classes import Classes
from img2img.vision.types import Image

BACKGROUND, EGG, PAN = range(3)

SIDE_PX = 320
"""Longer side of the copy that is looked at."""

_Mask = NDArray[np.uint8]
_DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
_WIDE = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
_BLOCK = np.ones((3, 3), np.uint8)
_MARGIN_PX = 6
_LAB_SCALE = np.array([100 / 255, 1, 1])
_LAB_SHIFT = np.array([0, 128, 128])
_THRESHOLDS = 16
_ENOUGH = {EGG: 0.3, PAN: 0.3}
"""Scores from which a region is one; as all constants below, set by hand on 320 pictures."""


class _Copy(NamedTuple):
    """A small picture: CIELAB (h, w, 3) uint8 as OpenCV has it, and its gradient (h, w)."""

    lab: Image
    gradient: NDArray[np.float32]


class _Region(NamedTuple):
    """Where a candidate lies, filled, and its round part, without handles and fingers."""

    rows: slice
    columns: slice
    whole: _Mask
    core: _Mask


def find_eggs_and_pans(image: Image) -> Classes:
    """(H, W) uint8: 0 background, 1 egg, 2 pan, for a picture (H, W, 3) uint8 RGB of any size.

    Thresholds of lightness and of both colours give regions; those whose shape and colour are most
    like an egg's or a pan's are kept, the best first, where no other one of their class lies.
    """
    copy = _small_copy(image)
    found = [
        (score, index, region)
        for mask, box in _candidates(copy.lab)
        if (region := _region(mask, box)) is not None
        for index, score in enumerate(_scores(copy, region), start=EGG)
        if score >= _ENOUGH[index]
    ]
    layers = {index: np.zeros(copy.lab.shape[:2], np.uint8) for index in (PAN, EGG)}
    left = {EGG: 4, PAN: 1}
    best = {i: max((f[0] for f in found if f[1]==i),default=0) for i in (1,2)}
    for score, index, region in sorted(found, key=lambda one: -one[0]):
        part = layers[index][region.rows, region.columns]
        mask = region.core if index == EGG else region.whole
        if left[index] and not (part & mask).any() and score>=.5*best[index]:
            part |= mask
            left[index] -= 1
    classes = np.where(layers[EGG] > 0, EGG, np.where(layers[PAN] > 0, PAN, BACKGROUND))
    height, width = image.shape[:2]
    large = cv2.resize(classes.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(large, np.uint8)


def name_region(image: Image, region: NDArray[np.bool_]) -> tuple[int, float]:
    """Whether a region of a picture (H, W, 3) uint8 RGB is background, egg or pan, by the colour
    and shape of its largest part, and how surely in 0…1.

    Args:
        image: the picture.
        region: (H, W), true where the region is.
    """
    copy = _small_copy(image)
    size = copy.lab.shape[1::-1]
    mask = cv2.resize(region.astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    found = _region(np.asarray(mask, np.uint8), cv2.boundingRect(mask))
    scores = (0.0, 0.0) if found is None else _scores(copy, found)
    index = EGG if scores[0] / _ENOUGH[EGG] >= scores[1] / _ENOUGH[PAN] else PAN
    score = scores[index - EGG]
    return (index, score) if score >= _ENOUGH[index] else (BACKGROUND, 1 - max(scores))


def _small_copy(image: Image) -> _Copy:
    height, width = image.shape[:2]
    factor = SIDE_PX / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image[..., :3], size, interpolation=how)
    lab = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), (3, 3), 0)
    steps = cv2.morphologyEx(lab, cv2.MORPH_GRADIENT, _DISC).astype(np.float32)
    return _Copy(lab, (steps * np.float32([0.4, 1, 1])).max(axis=2))


def _candidates(lab: Image) -> Iterator[tuple[_Mask, Sequence[int]]]:
    """(mask, box x y w h) of the connected parts above, or for lightness also below, thresholds."""
    light, green_red, blue_yellow = cv2.split(lab)
    warmth = cv2.addWeighted(green_red, 0.5, blue_yellow, 0.5, 0)
    for plane in (light, green_red, blue_yellow, warmth, cv2.bitwise_not(light)):
        low, high = np.percentile(plane, (1, 99.8))
        for limit in np.unique(np.linspace(low, high, _THRESHOLDS).astype(int)):
            above = cv2.morphologyEx((plane > limit).astype(np.uint8), cv2.MORPH_OPEN, _BLOCK)
            n, labels, facts, _ = cv2.connectedComponentsWithStats(above, connectivity=4)
            for part in range(1, n):
                if 0.0006 < facts[part, cv2.CC_STAT_AREA] / plane.size < 0.4:
                    yield labels == part, facts[part, :4]


def _region(mask: _Mask, box: Sequence[int]) -> _Region | None:
    """None where it is too small to have a shape."""
    x, y, width, height = box
    rows = slice(max(0, y - _MARGIN_PX), y + height + _MARGIN_PX)
    columns = slice(max(0, x - _MARGIN_PX), x + width + _MARGIN_PX)
    part = mask[rows, columns].astype(np.uint8)
    outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    whole = np.zeros_like(part)
    cv2.drawContours(whole, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    core = _without_limbs(whole)
    return _Region(rows, columns, whole, core) if cv2.erode(core, _DISC).any() else None


def _without_limbs(mask: _Mask) -> _Mask:
    """The largest part that is left of a mask when it is opened with 0.45 of the radius of the
    largest disc in it; by distances, as the discs are large."""
    depth = cv2.distanceTransform(
        cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 5
    )
    radius = 0.45 * float(depth.max())
    near = cv2.distanceTransform((depth <= radius).astype(np.uint8), cv2.DIST_L2, 5) <= radius
    opened = near[1:-1, 1:-1].astype(np.uint8) & mask
    n, labels, facts, _ = cv2.connectedComponentsWithStats(opened)
    return (labels == 1 + facts[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8) if n > 1 else mask


def _scores(copy: _Copy, region: _Region) -> tuple[float, float]:
    """How much it is like an egg and like a pan, each in 0…1."""
    lab = copy.lab[region.rows, region.columns]
    core = region.core
    inner, edge = cv2.erode(core, _DISC), cv2.morphologyEx(core, cv2.MORPH_GRADIENT, _DISC)
    ring = cv2.dilate(core, _WIDE) - cv2.dilate(core, _DISC)
    mean = np.array(cv2.mean(lab, inner)[:3]) * _LAB_SCALE - _LAB_SHIFT
    beside = np.array(cv2.mean(lab, ring)[:3]) * _LAB_SCALE - _LAB_SHIFT
    light, green_red, blue_yellow = mean
    lighter, _, yellower = mean - beside
    area = int(core.sum())
    roundness, aspect = _ellipse(core)
    step = float(np.percentile(copy.gradient[region.rows, region.columns][edge > 0], 20))
    share, size = area / int(region.whole.sum()), area / copy.gradient.size
    # A region that the picture's border cuts has no shape of its own.
    rows, columns = region.rows, region.columns
    height, width = copy.gradient.shape
    cut = (
        core[0].sum() * (rows.start == 0)
        + core[-1].sum() * (rows.stop >= height)
        + core[:, 0].sum() * (columns.start == 0)
        + core[:, -1].sum() * (columns.stop >= width)
    ) / np.sqrt(area)
    F.append(
        dict(
            light=light,
            a=green_red,
            b=blue_yellow,
            dl=lighter,
            db=yellower,
            round=roundness,
            aspect=aspect,
            step=step,
            share=share,
            size=size,
            cut=float(cut),
        )
    )
    warm = _ramp(blue_yellow, 0, 15) * _ramp(blue_yellow, 45, 36) * _ramp(light, 15, 40)
    pale = _ramp(light, 45, 70) * _ramp(lighter, 0, 12) * _ramp(abs(green_red), 12, 6)
    round_ = _ramp(roundness, 0.93, 0.985) * _ramp(cut, 1, 0)
    egg = (
        max(warm, 0.8 * pale) * round_ * _ramp(aspect, 1.9, 1.4)
        * _ramp(share, 0.7, 0.92) * _ramp(step, 0, 8*min(1, (0.004/size)**.5)) * _ramp(size, 0.35, 0.2)
        * _ramp(yellower + max(0, lighter), 0, 10)
    )
    dark = _ramp(light, 60, 35) * _ramp(abs(blue_yellow), 14, 6) * _ramp(abs(green_red), 14, 6)
    pan = (
        dark * _ramp(roundness, 0.88, 0.97) * _ramp(aspect, 2.2, 1.6) * _ramp(share, 0.5, 0.7)
        * _ramp(size, 0.012, 0.025) * _ramp(size, 0.3, 0.2) * _ramp(cut, 1, 0) * _ramp(step, 0, 4) * _ramp(lighter, 5, -8)
        * (0.6 + 0.4 * _ramp(share, 1, 0.93))
    )
    return float(egg), float(pan)


def _ellipse(mask: _Mask) -> tuple[float, float]:
    """How near a mask's area is to that of the ellipse with its second moments (1: it is one), and
    that ellipse's ratio of axes, at least 1."""
    moments = cv2.moments(mask, binaryImage=True)
    area = moments["m00"]
    # A pixel is a square, not a point: 1/12.
    xx, yy = (moments[key] / area + 1 / 12 for key in ("mu20", "mu02"))
    mean, gap = (xx + yy) / 2, np.hypot((xx - yy) / 2, moments["mu11"] / area)
    return area / (4 * np.pi * np.sqrt(mean**2 - gap**2)), np.sqrt((mean + gap) / (mean - gap))


def _ramp(value: float, zero: float, one: float) -> float:
    """0 at `zero` and beyond, 1 at `one` and beyond, linear between them."""
    return min(1.0, max(0.0, (value - zero) / (one - zero)))


F = []
