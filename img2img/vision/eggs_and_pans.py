"""Eggs and pans by colour and shape, without learning: a baseline, and names for regions."""

from collections.abc import Iterator
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
    for _, index, region in sorted(found, key=lambda one: -one[0]):
        part = layers[index][region.rows, region.columns]
        mask = region.core if index == EGG else region.whole
        if not (part & mask).any():
            part |= mask
    classes = np.where(layers[EGG] > 0, EGG, np.where(layers[PAN] > 0, PAN, BACKGROUND))
    height, width = image.shape[:2]
    large = cv2.resize(
        classes.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
    )
    return np.asarray(large, np.uint8)


def name_region(image: Image, region: NDArray[np.bool_]) -> tuple[int, float]:
    """Whether a region of a picture (H, W, 3) uint8 RGB is background, egg or pan, by the colour
    and shape of its largest part, and how surely in 0…1.

    Args:
        image: the picture.
        region: (H, W), true where the region is.
    """
    return name_regions(image, [region])[0]


def _small_copy(image: Image) -> _Copy:
    height, width = image.shape[:2]
    factor = SIDE_PX / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image[..., :3], size, interpolation=how)
    lab = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), (3, 3), 0)
    steps = cv2.morphologyEx(lab, cv2.MORPH_GRADIENT, _DISC).astype(np.float32)
    return _Copy(lab, (steps * np.float32([0.4, 1, 1])).max(axis=2))


