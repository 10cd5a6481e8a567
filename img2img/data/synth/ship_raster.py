"""Triangles in a picture: which of them is seen at each point of a fine grid, by a depth buffer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[Any]

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
    # One entry for each grid point of each row: the place is the row's first plus a count.
    total = int(rows.count.sum())
    steps = np.arange(total) - np.repeat(np.cumsum(rows.count) - rows.count, rows.count)
    place = np.repeat(rows.start, rows.count) + steps
    depth = np.repeat(rows.nearness, rows.count) + np.repeat(rows.slope, rows.count) * steps
    scale = _DEPTH_STEPS / (2 * float(nearness.max(initial=1e-9)))
    key = (depth * scale).astype(np.int64) << _ID_BITS
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
    (ax, ay), (bx, by), (cx, cy) = np.moveaxis(flat, 0, 2)
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    first = np.maximum(np.ceil(flat[..., 1].min(1)), 0).astype(np.int64)
    last = np.minimum(np.ceil(flat[..., 1].max(1)), height).astype(np.int64)
    kept = np.flatnonzero((area < 0) & (last > first))
    n_rows = (last - first)[kept]
    triangle = np.repeat(kept, n_rows)
    y = np.arange(n_rows.sum()) - np.repeat(np.cumsum(n_rows) - n_rows - first[kept], n_rows)
    left, right = _ends(flat, triangle, y)
    begin = np.clip(np.ceil(left), 0, width).astype(np.int64)
    count = np.maximum(np.clip(np.ceil(right), 0, width).astype(np.int64) - begin, 0)
    rise_b, rise_c = (nearness[:, 1:] - nearness[:, :1]).T
    area = np.where(area < 0, area, -1.0)
    slope_x = (rise_b * (cy - ay) - rise_c * (by - ay)) / area
    slope_y = (rise_c * (bx - ax) - rise_b * (cx - ax)) / area
    origin = nearness[:, 0] - slope_x * ax - slope_y * ay
    at_begin = origin[triangle] + slope_x[triangle] * begin + slope_y[triangle] * y
    return _Rows(
        triangle=triangle,
        start=y * width + begin,
        count=count,
        nearness=at_begin,
        slope=slope_x[triangle],
    )


def _ends(flat: Field, triangle: NDArray[np.int64], y: Field) -> tuple[Field, Field]:
    """The x at which rows of triangles begin and end, (N,) each."""
    order = np.argsort(flat[..., 1], axis=1)
    ordered = np.take_along_axis(flat, order[..., None], axis=1)
    (ax, ay), (bx, by), (cx, cy) = np.moveaxis(ordered, 0, 2)
    long, upper, lower = (
        np.where(fall > 0, run / np.where(fall > 0, fall, 1.0), 0.0)
        for run, fall in ((cx - ax, cy - ay), (bx - ax, by - ay), (cx - bx, cy - by))
    )
    one = ax[triangle] + (y - ay[triangle]) * long[triangle]
    above = y < by[triangle]
    other = np.where(
        above,
        ax[triangle] + (y - ay[triangle]) * upper[triangle],
        bx[triangle] + (y - by[triangle]) * lower[triangle],
    )
    return np.minimum(one, other), np.maximum(one, other)
