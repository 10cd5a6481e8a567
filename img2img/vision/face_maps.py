"""Faces as maps on arrays: places encoded for a network that finds them, and read back.

A place is (x, y, side, angle): the centre and the side of a square round a face, in pixels, and how
far the face is turned, in radians clockwise as seen. Cells of a map are those of `heatmaps`.

Source: Zhou, Wang, Krähenbühl: Objects as Points, 2019, with a side and an angle for its box.
"""

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.vision.heatmaps import to_cells, to_pixels
from img2img.vision.metrics import Floats

Places = Floats
"""(N, 4) float64: x, y and side in pixels, angle in radians."""

UNIT_PX = 64.0
"""Side of a face whose map of the side's logarithm is 0."""
SPREAD = 0.1
"""Deviation of a face's Gaussian in the map of centres, in sides of the face."""
LEAST_SPREAD = 0.6
"""Its least deviation, in cells."""
TOLD_ABOVE = 0.5
"""Value of the Gaussian from which on a cell tells the place of the face."""
SAME_WITHIN = 0.4
"""Two places are one face if their centres are this near, in sides of the larger one."""


# ---- geometry


def moved(places: Places, matrix: Floats) -> Places:
    """(N, 4) places where a similarity (2, 3) brings them; a mirrored face stands upright where the
    face did: its right and left points change their names."""
    centres = places[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    determinant = float(np.linalg.det(matrix[:, :2]))
    across = np.stack([np.cos(places[:, 3]), np.sin(places[:, 3])], axis=1) @ matrix[:, :2].T
    across *= np.sign(determinant)
    sides = places[:, 2] * math.sqrt(abs(determinant))
    return np.column_stack([centres, sides, np.arctan2(across[:, 1], across[:, 0])])


def distances(places: Places, place: Places) -> Floats:
    """(N,) of the centres of places (N, 4) from that of a place (4,), in pixels."""
    return np.asarray(np.hypot(places[:, 0] - place[0], places[:, 1] - place[1]))


def distinct(places: Places, scores: Floats) -> NDArray[np.intp]:
    """Indices of the places that are no surer one again, the surest first."""
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        others = places[kept]
        reach = SAME_WITHIN * np.maximum(others[:, 2], places[index, 2])
        if not (distances(others, places[index]) < reach).any():
            kept.append(index)
    return np.array(kept, np.intp)


# ---- maps


def encoded(
    places: Places, shape: tuple[int, int], stride: int, *, sides: tuple[float, float]
) -> dict[str, NDArray[np.float32]]:
    """What a network should answer, on maps of `shape` (h, w) cells.

    - `heat` (h, w): a Gaussian a face, 1 in the cell of its centre.
    - `known` (h, w): 0 where faces are that are smaller or larger than `sides` (px), which a
      network at this scale is neither to find nor to pass over; else 1.
    - `place` (5, h, w): of the nearest face: the way from the cell's centre to the face's, x and y
      in cells, the logarithm of the side over `UNIT_PX`, sine and cosine of the angle.
    - `told` (h, w): how much each cell's `place` counts: the heat, where it reaches `TOLD_ABOVE`.
    """
    heat, known, told = np.zeros(shape), np.ones(shape), np.zeros(shape)
    place = np.zeros((5, *shape))
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    for x, y, side, angle in places.tolist():
        across, down = to_cells(np.array([x, y]), stride).tolist()
        cell = round(down), round(across)
        inside = 0 <= cell[0] < shape[0] and 0 <= cell[1] < shape[1]
        if not (inside and sides[0] <= side <= sides[1]):
            known[np.hypot(columns - across, rows - down) * stride < side / 2] = 0
            continue
        sigma = max(LEAST_SPREAD, SPREAD * side / stride)
        drawn = np.exp(-((columns - cell[1]) ** 2 + (rows - cell[0]) ** 2) / (2 * sigma**2))
        nearest = (drawn >= TOLD_ABOVE) & (drawn > told)
        heat = np.maximum(heat, drawn)
        told[nearest] = drawn[nearest]
        maps = (across - columns, down - rows, math.log(side / UNIT_PX), math.sin(angle),
                math.cos(angle))  # fmt: skip
        for plane, values in zip(place, maps, strict=True):
            plane[nearest] = np.broadcast_to(values, shape)[nearest]
    known[heat == 1] = 1
    maps_by_name = {"heat": heat, "known": known, "place": place, "told": told}
    return {name: array.astype(np.float32) for name, array in maps_by_name.items()}


def peaks(
    decoded: Mapping[str, NDArray[Any]], *, least: float, most: int = 100
) -> tuple[Places, Floats]:
    """(places (N, 4), scores (N,)) of a decoded picture, in pixels of the network's picture: the
    cells that no neighbour surpasses, with at least the probability `least`, the `most` surest.

    Args:
        decoded: `probability` (h, w), `centre` (h, w, 2), `side` and `angle` (h, w), as
            `models.face_head` gives them.
    """
    probability = np.asarray(decoded["probability"], np.float32)
    greatest = cv2.dilate(probability, np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero((probability >= greatest) & (probability >= least))
    scores = probability[rows, columns].astype(np.float64)
    best = np.argsort(-scores, kind="stable")[:most]
    rows, columns = rows[best], columns[best]
    places = np.column_stack([
        decoded["centre"][rows, columns], decoded["side"][rows, columns],
        decoded["angle"][rows, columns],
    ])  # fmt: skip
    return places.astype(np.float64), scores[best]


def cell_centres(shape: tuple[int, int], stride: int) -> Floats:
    """(h, w, 2): the centres of cells in pixels, x and y."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    return np.asarray(to_pixels(np.stack([columns, rows], axis=-1), stride), np.float64)


# ---- scales


def levels(longest: int, *, coarsest: int, finest: int) -> list[int]:
    """Longest sides at which a picture is looked at, in pixels: octaves from `coarsest` on, up to
    its own and `finest`; the first two in any case, so that a small picture's faces are large
    enough."""
    sizes = [coarsest, 2 * coarsest]
    while 2 * sizes[-1] <= min(longest, finest):
        sizes.append(2 * sizes[-1])
    return sizes


def tiles(length: int, *, longest: int, overlap: int) -> list[tuple[int, int]]:
    """(start, end) of pieces of equal length, to a pixel, that cover `length` and overlap."""
    n = 1 if length <= longest else math.ceil((length - overlap) / (longest - overlap))
    side = math.ceil((length + (n - 1) * overlap) / n)
    return [
        (start, start + side)
        for start in (round(i * (length - side) / max(1, n - 1)) for i in range(n))
    ]
