"""Masks as they are found on disk, turned into classes."""

from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.vision.classes import IGNORE, Classes, ClassSet
from img2img.vision.types import Image

_CLOSE_LEVELS = 32
_CLOSE_TO_IGNORED_LEVELS = 8
_REACH_PX = 3

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """The classes of a mask, and how far its values were from those of the class set.

    `classes` (H, W) are indices, `IGNORE` where the mask has the ignored colour. `n_moved` pixels
    were not exactly a class's value, `n_unknown` are like no class and have none beside them;
    `unknown_values` are the most frequent of these, as `task.classes` names values.
    """

    classes: Classes
    n_moved: int
    n_unknown: int
    unknown_values: tuple[str, ...]


def repair(mask: Image, classes: ClassSet) -> Repaired:
    """What a mask (H, W) or (H, W, 3) uint8 RGB means, whose values may be smeared.

    A pixel within 32 levels of a class's value, in every channel, is of that class; any other one
    is of the nearest class within 3 px, and of the class with the nearest value if there is none.
    """
    index, distance = _nearest_value(mask, classes)
    doubtful = distance > _CLOSE_LEVELS
    n_moved = int(np.count_nonzero(distance))
    n_unknown, unknown_values = 0, ()
    if doubtful.any():
        lost = _spread(index, doubtful)
        n_unknown, unknown_values = len(lost[0]), frequent_values(mask[lost])
    return Repaired(
        classes=index, n_moved=n_moved, n_unknown=n_unknown, unknown_values=unknown_values
    )


def frequent_values(values: Image, n: int = 5) -> tuple[str, ...]:
    """The most frequent of values (N,) or (N, 3), as `task.classes` names them."""
    if values.ndim == 1:
        return tuple(str(value) for value, _ in Counter(values.tolist()).most_common(n))
    counts = Counter(map(tuple, values.tolist()))
    return tuple("#{:02x}{:02x}{:02x}".format(*value) for value, _ in counts.most_common(n))


def _nearest_value(mask: Image, classes: ClassSet) -> tuple[Classes, NDArray[np.uint8]]:
    colours = np.array([*classes.colours, *([classes.ignore] if classes.ignore else [])], np.int16)
    if mask.ndim == 2 and classes.is_grey:
        distances = np.abs(np.arange(256, dtype=np.int16)[:, None] - colours[:, 0])
        nearest = distances.argmin(1)
        index = nearest.astype(np.uint8)
        index[nearest == len(classes)] = IGNORE
        return cv2.LUT(mask, index), cv2.LUT(mask, distances.min(1).astype(np.uint8))
    image = mask if mask.ndim == 3 else cv2.merge((mask, mask, mask))
    index = np.zeros(mask.shape[:2], np.uint8)
    best = np.full(mask.shape[:2], 255, np.uint8)
    for at, colour in enumerate(colours):
        distance = np.abs(image.astype(np.int16) - colour).max(2).astype(np.uint8)
        closer = distance < best
        index[closer] = at if at < len(classes) else IGNORE
        best[closer] = distance[closer]
    return index, best


def _spread(index: Classes, doubtful: Flags) -> tuple[NDArray[np.intp], ...]:
    """Gives doubtful pixels the class of the nearest other pixel; where those are that have none
    within reach."""
    reach = _REACH_PX
    padded = cv2.copyMakeBorder(index, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
    unsure = cv2.copyMakeBorder(
        doubtful.astype(np.uint8), reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=1
    )
    rows, columns = np.nonzero(doubtful)
    open_ = np.ones(len(rows), bool)
    found = index[rows, columns]
    offsets = [(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    for y, x in sorted(offsets, key=lambda at: at[0] ** 2 + at[1] ** 2):
        if 0 < y * y + x * x <= reach * reach:
            at = rows + reach + y, columns + reach + x
            hit = open_ & (unsure[at] == 0)
            found[hit] = padded[at][hit]
            open_ &= ~hit
    index[rows, columns] = found
    return rows[open_], columns[open_]
