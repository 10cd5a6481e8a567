"""Eggs and pans by colour and shape, without learning: a baseline, and names for regions."""

import math
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

_BLOCK = np.ones((3, 3), np.uint8)
_MARGIN_PX = 6
_THRESHOLDS = 14
_ENOUGH = 0.3
_MOST = {EGG: 4, PAN: 1}
# (fact, where likeness is 0, where it is 1), set by hand on the 320 pictures of eggs and pans.
_EGG = (("roundness", 0.95, 0.99), ("aspect", 1.9, 1.4), ("core", 0.7, 0.92), ("cut", 1, 0),
        ("size", 0.35, 0.2), ("sharpness", 0, 8), ("standing_out", 0, 10))  # fmt: skip
_BROWN = (("yellow", 0, 15), ("yellow", 45, 36), ("red", -12, -5), ("light", 15, 40))
_WHITE = (("light", 45, 75), ("lighter", 0, 15), ("red", 12, 6), ("red", -12, -6),
          ("yellow", 36, 24))  # fmt: skip
_PAN = (("roundness", 0.88, 0.97), ("aspect", 2.2, 1.6), ("core", 0.5, 0.7), ("cut", 1, 0),
        ("size", 0.012, 0.025), ("size", 0.3, 0.2), ("sharpness", 2, 14), ("lighter", 5, -8),
        ("light", 60, 35), ("colour", 16, 7))  # fmt: skip
_KINDS = ((EGG, _EGG + _BROWN), (EGG, _EGG + _WHITE), (PAN, _PAN))


class _Region(NamedTuple):
    """Where a candidate lies, filled, and its round part, without handles and fingers."""

    place: tuple[slice, slice]
    whole: cv2.typing.MatLike
    core: cv2.typing.MatLike


def find_eggs_and_pans(image: Image) -> Classes:
    """(H, W) uint8: 0 background, 1 egg, 2 pan, for a picture (H, W, 3) uint8 RGB of any size.

    Thresholds of lightness and of both colours give regions; those whose shape and colour are most
    like an egg's or a pan's are kept, the best first, where no other one of their class lies.
    """
    lab = _small_lab(image)
    regions = [region for mask, box in _candidates(lab) if (region := _region(mask, box))]
    scores = np.array([_scores(lab, region) for region in regions]).reshape(-1, 2)
    classes = np.zeros(lab.shape[:2], np.uint8)
    for index in (PAN, EGG):  # eggs lie in pans
        likeness = scores[:, index - EGG]
        taken: list[Image] = []
        for i in np.argsort(-likeness, kind="stable"):
            if len(taken) == _MOST[index] or likeness[i] < max(_ENOUGH, likeness.max() / 2):
                break
            layer = np.zeros_like(classes)
            layer[regions[i].place] = regions[i].core if index == EGG else regions[i].whole
            if not any((layer & other).any() for other in taken):
                taken.append(layer)
                classes[layer > 0] = index
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.resize(classes, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def name_region(image: Image, region: NDArray[np.bool_]) -> tuple[int, float]:
    """Whether a region is background (0), egg (1) or pan (2), by the colour and shape of its
    largest part, and how surely in 0…1.

    Args:
        image: the picture, (H, W, 3) uint8 RGB.
        region: (H, W), true where the region is.
    """
    lab = _small_lab(image)
    mask = cv2.resize(region.astype(np.uint8), lab.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    found = _region(mask > 0, cv2.boundingRect(mask))
    scores = (0.0, 0.0) if found is None else _scores(lab, found)
    best = max(scores)
    return (EGG + scores.index(best), best) if best >= _ENOUGH else (BACKGROUND, 1 - best)


def _small_lab(image: Image) -> cv2.typing.MatLike:
    """CIELAB in its own units, float32."""
    height, width = image.shape[:2]
    factor = SIDE_PX / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, size, interpolation=how).astype(np.float32) / 255
    return cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), (3, 3), 0)


def _candidates(lab: cv2.typing.MatLike) -> Iterator[tuple[NDArray[np.bool_], Sequence[int]]]:
    """(mask, box x y w h) of the connected parts above, or for lightness also below, thresholds."""
    light, red, yellow = cv2.split(lab)
    for plane in (light, -light, red, yellow, (red + yellow) / 2):
        low, high = np.percentile(plane, (1, 99.8))
        for limit in np.linspace(low, high, _THRESHOLDS):
            above = cv2.morphologyEx((plane > limit).astype(np.uint8), cv2.MORPH_OPEN, _BLOCK)
            _, labels, facts, _ = cv2.connectedComponentsWithStats(above, connectivity=4)
            shares = facts[:, cv2.CC_STAT_AREA] / plane.size
            shares[0] = 0  # what is not above
            for part in np.flatnonzero((shares > 0.0006) & (shares < 0.4)):
                yield labels == part, facts[part, :4].tolist()


def _region(mask: NDArray[np.bool_], box: Sequence[int]) -> _Region | None:
    """None where it is too small to have a shape, or the whole picture."""
    x, y, width, height = box
    rows = slice(max(0, y - _MARGIN_PX), y + height + _MARGIN_PX)
    columns = slice(max(0, x - _MARGIN_PX), x + width + _MARGIN_PX)
    whole = mask[rows, columns].astype(np.uint8)
    outlines, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    whole = np.zeros_like(whole)
    cv2.drawContours(whole, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    # Opened with 0.45 of the radius of the largest disc in it, by distances, as discs are large.
    depth = cv2.distanceTransform(np.pad(whole, 1), cv2.DIST_L2, 5)
    kept = depth > 0.45 * depth.max()
    near = cv2.distanceTransform((~kept).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    core = whole & (near <= 0.45 * depth.max()).astype(np.uint8)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(core)
    core = (labels == 1 + facts[1:, cv2.CC_STAT_AREA].argmax()).astype(np.uint8)
    has_shape = cv2.erode(core, _BLOCK).any() and not core.all()
    return _Region((rows, columns), whole, core) if has_shape else None


def _scores(lab: cv2.typing.MatLike, region: _Region) -> tuple[float, float]:
    """How much it is like an egg, and like a pan, each in 0…1."""
    facts = _facts(lab, region)
    likeness = {EGG: 0.0, PAN: 0.0}
    for index, ramps in _KINDS:
        parts = ((facts[name] - zero) / (one - zero) for name, zero, one in ramps)
        likeness[index] = max(likeness[index], math.prod(min(1, max(0, part)) for part in parts))
    return likeness[EGG], likeness[PAN]


def _facts(lab: cv2.typing.MatLike, region: _Region) -> dict[str, float]:
    core, near = region.core, lab[region.place]
    inner, wide = cv2.erode(core, _BLOCK), cv2.dilate(core, _BLOCK)
    light, red, yellow, _ = cv2.mean(near, inner)
    ring = cv2.dilate(wide, _BLOCK, iterations=2) - wide
    light_beside, _, yellow_beside, _ = cv2.mean(near, ring)
    moments = cv2.moments(core, binaryImage=True)
    area = moments["m00"]
    size = area / (lab.shape[0] * lab.shape[1])
    steps = cv2.morphologyEx(near, cv2.MORPH_GRADIENT, _BLOCK)[inner != wide]
    # What is large is near, and blurred.
    sharpness = np.percentile(steps.max(axis=1), 20) * np.clip(np.sqrt(size / 0.004), 1, 4)
    # The ellipse with the region's second moments; a pixel is a square, no point: 1/12.
    xx, yy, xy = (moments[key] / area for key in ("mu20", "mu02", "mu11"))
    minor, major = np.linalg.eigvalsh([[xx + 1 / 12, xy], [xy, yy + 1 / 12]])
    place = np.zeros(lab.shape[:2], np.uint8)
    place[region.place] = core
    cut = sum(int(side.sum()) for side in (place[0], place[-1], place[:, 0], place[:, -1]))
    return {
        "roundness": area / (4 * np.pi * np.sqrt(minor * major)), "aspect": np.sqrt(major / minor),
        "core": area / int(region.whole.sum()), "cut": cut / np.sqrt(area), "size": size,
        "light": light, "red": red, "yellow": yellow, "colour": max(abs(red), abs(yellow)),
        "lighter": light - light_beside,
        "standing_out": yellow - yellow_beside + max(0.0, light - light_beside),
        "sharpness": sharpness,
    }  # fmt: skip
