"""Masks as they are found on disk, turned into classes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.vision.classes import IGNORE, Classes, ClassSet
from img2img.vision.types import Image

_CLOSE_LEVELS = 32
_CLOSE_TO_IGNORED_LEVELS = 8
_REACH_PX = 3
_N_TOLD = 5
# A ramp as flat as 32 levels a pixel (a mask enlarged eight times) is in a class's range for two
# pixels, and reaches the next class's range within five.
_RAMP_PX = 5
_NEARBY = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _RAMP_PX + 1, 2 * _RAMP_PX + 1))
_SOLID = np.ones((3, 3), np.uint8)
_NONE = np.uint8(255)  # index of no class, and not of the ignored colour either

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """The classes of a mask, and how far its values were from those of the class set.

    `classes` (H, W) are indices, `IGNORE` where the mask has the ignored colour. `n_moved` pixels
    were not exactly a class's value; `n_unknown` are like no class and have none beside them.
    `values` are the most frequent of the latter, in the form of `task.classes`; or, where there
    are none and all is one class, of the former.
    """

    classes: Classes
    n_moved: int
    n_unknown: int
    values: tuple[str, ...]


def repair(mask: Image, classes: ClassSet) -> Repaired:
    """What a mask (H, W) or (H, W, 3) uint8 RGB means, whose values may be smeared.

    A pixel within 32 levels of a class's value, in every channel, is of that class (of the ignored
    colour: 8 levels). Any other one is of the nearest class within 3 px, or of the class with the
    nearest value if there is none. Where a mask has such other pixels, its edges are ramps; a line
    thinner than three pixels between two classes, on whose way from one value to the other its own
    lies, is then part of their edge and no object.
    """
    table = _Table.of(classes)
    entry, distance = _nearest_value(mask, table)
    doubtful = distance > _CLOSE_LEVELS
    if classes.ignore is not None:
        doubtful |= (entry == len(classes)) & (distance > _CLOSE_TO_IGNORED_LEVELS)
    n_moved, n_unknown = int(np.count_nonzero(distance)), 0
    values: tuple[str, ...] = ()
    if doubtful.any():
        lost = _spread(entry, doubtful, _ramps(entry, doubtful, table), mask, table)
        n_unknown, values = len(lost), _frequent(lost)
    if n_moved and not n_unknown and (entry == entry[0, 0]).all():
        values = _frequent(mask[distance > 0])
    if classes.ignore is not None:
        entry[entry == len(classes)] = IGNORE
    return Repaired(classes=entry, n_moved=n_moved, n_unknown=n_unknown, values=values)


def value_text(value: int | Sequence[int]) -> str:
    """A grey value or a colour (R, G, B) as `task.classes` takes it."""
    if isinstance(value, int):
        return str(value)
    return "#{:02x}{:02x}{:02x}".format(*value)


def _frequent(values: NDArray[np.uint8]) -> tuple[str, ...]:
    """The most frequent of values (N,) or (N, 3)."""
    listed = values.tolist()
    counts = Counter(listed if values.ndim == 1 else map(tuple, listed))
    return tuple(value_text(value) for value, _ in counts.most_common(_N_TOLD))


@dataclass(frozen=True, slots=True)
class _Table:
    """The colours (K, 3) int16 of the classes, the ignored one last; and for each of them the
    pairs of others between which it lies, so that a ramp from one to the other passes it."""

    colours: NDArray[np.int16]
    around: tuple[tuple[tuple[int, int], ...], ...]

    @staticmethod
    @lru_cache(maxsize=8)
    def of(classes: ClassSet) -> "_Table":
        every = [*classes.colours, *([classes.ignore] if classes.ignore else [])]
        colours = np.array(every, np.int16)
        return _Table(colours, tuple(_around(index, colours) for index in range(len(colours))))


def _around(index: int, colours: NDArray[np.int16]) -> tuple[tuple[int, int], ...]:
    points = colours.astype(np.float64)
    start, way = points[:, None], points[None, :] - points[:, None]
    length = np.maximum(np.square(way).sum(2), 1)
    along = ((points[index] - start) * way).sum(2) / length
    gap = np.abs(start + along[..., None] * way - points[index]).max(2)
    passed = (along > 0) & (along < 1) & (gap <= _CLOSE_LEVELS)
    return tuple((int(a), int(b)) for a, b in np.argwhere(np.triu(passed)))


def _nearest_value(mask: Image, table: _Table) -> tuple[Classes, NDArray[np.uint8]]:
    """(index into the table, levels from its colour) of every pixel."""
    if mask.ndim == 2:
        levels = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
        looked_up: Any = [cv2.LUT(mask, row) for row in _nearest_colour(levels, table)]
        return looked_up[0], looked_up[1]
    # Neighbours in a row mostly have one colour: each run of equal pixels is looked up once.
    packed = cv2.cvtColor(np.ascontiguousarray(mask), cv2.COLOR_RGB2RGBA).view(np.uint32).ravel()
    starts = np.flatnonzero(np.append(True, packed[1:] != packed[:-1]))
    runs = np.diff(starts, append=packed.size)
    colours = packed[starts].view(np.uint8).reshape(-1, 4)[:, :3]
    entry, distance = _nearest_colour(colours, table)
    return (entry.repeat(runs).reshape(mask.shape[:2]),
            distance.repeat(runs).reshape(mask.shape[:2]))  # fmt: skip


def _nearest_colour(
    colours: NDArray[np.uint8], table: _Table
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """As `_nearest_value`, of colours (N, 3): two arrays (N,)."""
    planes = np.ascontiguousarray(colours.T)
    entry, nearest = np.zeros(len(colours), np.uint8), np.full(len(colours), 255, np.uint8)
    for at, colour in enumerate(table.colours.tolist()):
        gaps = (
            np.maximum(plane, level) - np.minimum(plane, level)
            for plane, level in zip(planes, colour, strict=True)
        )
        gap = reduce(np.maximum, gaps)
        entry[gap < nearest] = at
        np.minimum(gap, nearest, out=nearest)
    return entry, nearest


def _ramps(entry: Classes, doubtful: Flags, table: _Table) -> Flags:
    """Pixels of thin lines that are crossings from one class to another by way of a third."""
    found = np.zeros(doubtful.size, bool)
    labels = np.where(doubtful, _NONE, entry)
    # The opening of every class at once: what 3 × 3 pixels of one class cover is not thin.
    solid = cv2.erode(labels, _SOLID) == cv2.dilate(labels, _SOLID)
    covered = np.asarray(cv2.dilate(solid.view(np.uint8), _SOLID)).view(bool)
    has_pairs = np.array([bool(pairs) for pairs in table.around])
    thin = np.flatnonzero(~doubtful & ~covered & has_pairs[entry])
    kinds, near = entry.ravel()[thin], _near(labels, thin)
    for index in np.flatnonzero(np.bincount(kinds)).tolist():
        crosses = np.zeros(len(thin), bool)
        for one, other in table.around[index]:
            crosses |= near[one] & near[other]
        found[thin[crosses & (kinds == index)]] = True
    return found.reshape(doubtful.shape)


def _near(labels: Classes, places: NDArray[np.int64]) -> Flags:
    """(256, N): which labels lie within `_RAMP_PX` of N places, given as flat indices."""
    rows, columns = np.divmod(places, labels.shape[1])
    width = labels.shape[1] + 2 * _RAMP_PX
    framed = np.pad(labels, _RAMP_PX, constant_values=_NONE).ravel()
    near, each = np.zeros((256, len(places)), bool), np.arange(len(places))
    for y, x in np.argwhere(_NEARBY).tolist():
        near[framed[(rows + y) * width + columns + x], each] = True
    return near


def _spread(
    entry: Classes, doubtful: Flags, edges: Flags, mask: Image, table: _Table
) -> NDArray[np.uint8]:
    """Gives doubtful pixels and those of edges the entry of the nearest other pixel, of several
    the one with the nearest value; returns the values (N,) or (N, 3) of pixels that have none."""
    unsure = doubtful | edges
    rows, columns = np.divmod(np.flatnonzero(unsure), entry.shape[1])
    limits = np.where(edges[rows, columns], _RAMP_PX**2, _REACH_PX**2)
    values = mask[rows, columns]
    levels = values.reshape(len(rows), -1).astype(np.int16)
    # A frame of unsure pixels, and flat arrays: then a neighbour is one number away.
    known, sure = np.pad(entry, _RAMP_PX).ravel(), np.pad(~unsure, _RAMP_PX).ravel()
    width = entry.shape[1] + 2 * _RAMP_PX
    places = (rows + _RAMP_PX) * width + columns + _RAMP_PX
    open_ = np.ones(len(rows), bool)
    for squared, ring in _RINGS:
        trying = np.flatnonzero(open_ & (limits >= squared))
        if not len(trying):
            break
        found, gap = np.zeros(len(trying), np.uint8), np.full(len(trying), 256, np.int16)
        for y, x in ring:
            there = places[trying] + (y * width + x)
            hits = np.flatnonzero(sure[there])
            given = known[there[hits]]
            gaps = np.abs(levels[trying[hits]] - table.colours[given]).max(1)
            closer = gaps < gap[hits]
            found[hits[closer]], gap[hits[closer]] = given[closer], gaps[closer]
        done = trying[gap < 256]
        entry[rows[done], columns[done]] = found[gap < 256]
        open_[done] = False
    return values[open_]


def _rings(radius: int) -> Sequence[tuple[int, list[tuple[int, int]]]]:
    """(squared distance, the offsets y, x that are so far away), the nearest first."""
    reach = range(-radius, radius + 1)
    rings: dict[int, list[tuple[int, int]]] = {}
    for y in reach:
        for x in reach:
            rings.setdefault(y * y + x * x, []).append((y, x))
    return [(squared, rings[squared]) for squared in sorted(rings) if 0 < squared <= radius**2]


_RINGS = _rings(_RAMP_PX)
