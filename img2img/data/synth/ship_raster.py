"""Triangles in a picture: which of them is seen at each point of a fine grid, by a depth buffer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[Any]

NEAREST = 0.05
"""Depth before which nothing is drawn."""
_ID_BITS = 16
_DEPTH_STEPS = 2.0**40


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What lies nearest at the points of a grid that anything covers, (P,) each: the `place` in
    the grid (row by row), the number of the `triangle`, and 1 / depth there."""

    place: NDArray[np.int64]
    triangle: NDArray[np.int64]
    nearness: Field


def rasterise(flat: Field, nearness: Field, size: tuple[int, int]) -> Seen:
    """The visible parts of triangles in a grid (H, W).

    Surfaces may cut through each other. A triangle that shows its back is left out.

    Args:
        flat: (T, 3, 2) x and y of the corners, grid points at integers; corners that run
            counter-clockwise on the screen (y down) show the front. At most 65,536 triangles.
        nearness: (T, 3) 1 / depth of the corners, positive.
    """
    rows = _rows(flat, nearness, size)
    # One entry for each grid point of each row: what a row has, and what grows by the step.
    before = np.cumsum(rows.count) - rows.count
    steps = np.arange(rows.count.sum())
    place = np.repeat(rows.start - before, rows.count) + steps
    depth = np.repeat(rows.slope, rows.count) * steps
    depth += np.repeat(rows.nearness - rows.slope * before, rows.count)
    scale = _DEPTH_STEPS / (2 * float(nearness.max(initial=1e-9)))
    depth *= scale
    key = depth.astype(np.int64)
    key <<= _ID_BITS
    key += np.repeat(rows.triangle, rows.count)
    nearest = np.full(size[0] * size[1], -1, np.int64)
    np.maximum.at(nearest, place, key)
    covered = np.flatnonzero(nearest >= 0)
    found = nearest[covered]
    return Seen(
        place=covered,
        triangle=found & ((1 << _ID_BITS) - 1),
        nearness=(found >> _ID_BITS) / scale,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Rows of triangles, (N,) each: where one starts in the grid, how many points it covers, the
    nearness at the first and its change from point to point."""

    triangle: NDArray[np.int64]
    start: NDArray[np.int64]
    count: NDArray[np.int64]
    nearness: Field
    slope: Field


def _rows(flat: Field, nearness: Field, size: tuple[int, int]) -> _Rows:
    """All rows of all triangles that show their front."""
    height, width = size
    one, two = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    area = one[:, 0] * two[:, 1] - two[:, 0] * one[:, 1]
    low, high = bounds(flat.swapaxes(0, 1))
    met = ((high > -0.5) & (low < (width, height))).all(1)
    first = np.maximum(np.ceil(low[:, 1]), 0).astype(np.int64)
    last = np.minimum(np.ceil(high[:, 1]), height).astype(np.int64)
    kept = np.flatnonzero(met & (area < 0) & (last > first))
    flat, nearness, area, one, two = (each[kept] for each in (flat, nearness, area, one, two))
    first, last = first[kept], last[kept]
    n_rows = last - first
    triangle = np.repeat(np.arange(len(kept)), n_rows)
    y = np.arange(n_rows.sum()) - np.repeat(np.cumsum(n_rows) - n_rows - first, n_rows)
    left, right = _ends(flat, triangle, y)
    begin = np.clip(np.ceil(left), 0, width).astype(np.int64)
    count = np.maximum(np.clip(np.ceil(right), 0, width).astype(np.int64) - begin, 0)
    rises = (nearness[:, 1:] - nearness[:, :1]).T
    slope_x = (rises[0] * two[:, 1] - rises[1] * one[:, 1]) / area
    slope_y = (rises[1] * one[:, 0] - rises[0] * two[:, 0]) / area
    origin = nearness[:, 0] - slope_x * flat[:, 0, 0] - slope_y * flat[:, 0, 1]
    at_begin = origin[triangle] + slope_x[triangle] * begin + slope_y[triangle] * y
    return _Rows(
        triangle=kept[triangle],
        start=y * width + begin,
        count=count,
        nearness=at_begin,
        slope=slope_x[triangle],
    )


def _ends(flat: Field, triangle: NDArray[np.int64], y: Field) -> tuple[Field, Field]:
    """The x at which rows of triangles begin and end, (N,) each."""
    order = np.argsort(flat[..., 1], axis=1)
    ordered = np.take_along_axis(flat, order[..., None], axis=1)
    across, down = np.ascontiguousarray(ordered.T)
    # The long side, and the two that a row meets above and below the middle corner. x of a row is
    # a base and a slope times y, the same numbers for both triangles of a side.
    upper, lower = [0, 0, 1], [2, 1, 2]
    fall, run = down[lower] - down[upper], across[lower] - across[upper]
    slope = np.where(fall > 0, run / np.where(fall > 0, fall, 1.0), 0.0)
    base = across[upper] - slope * down[upper]
    short = triangle + len(flat) * (1 + (y >= down[1][triangle]))
    one = base[0][triangle] + slope[0][triangle] * y
    other = base.ravel()[short] + slope.ravel()[short] * y
    return np.minimum(one, other), np.maximum(one, other)


def bounds(points: Field) -> tuple[Field, Field]:
    """The lowest and highest x, y over the first axis of points (N, …, 2): (…, 2) each."""
    # One reduction along memory each: twenty times as fast as along an axis with two entries.
    planes = np.ascontiguousarray(np.moveaxis(points, 0, -1))
    return planes.min(-1), planes.max(-1)


def nearness_map(triangles: Field, camera: Field, size: tuple[int, int], *, fine: int = 1) -> Field:
    """(H · fine, W · fine): 1 / depth of what is nearest at each point of a grid over a frame
    (H, W), 0 where nothing is. A pixel's fine × fine points lie evenly about its centre.

    Args:
        triangles: (T, 3, 3) corners before the camera: x right, y down, z the depth. At most
            65,536; those that come nearer than `NEAREST` are left out.
        camera: (3, 3) intrinsics, pixel centres at integers.
    """
    before = triangles[(triangles[..., 2] > NEAREST).all(axis=1)]
    seen = before @ camera.T
    nearness = 1 / seen[..., 2]
    flat = seen[..., :2] * nearness[..., None]
    height, width = size[0] * fine, size[1] * fine
    found = rasterise(flat * fine + (fine - 1) / 2, nearness, (height, width))
    nearest = np.zeros(height * width)
    nearest[found.place] = found.nearness
    return nearest.reshape(height, width)
