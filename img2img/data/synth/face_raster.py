"""Surfaces of quads in the picture: which of them is seen at each pixel, and what lies there."""

from dataclasses import dataclass
from math import ceil, floor

import cv2
import numpy as np

from img2img.data.synth.kitchen_canvas import Cover, Field, Points


@dataclass(frozen=True, slots=True)
class Rendered:
    """A surface in a window of the picture: how much of each pixel it covers, its attributes
    (K, h, w) and its depth (h, w)."""

    cover: Cover
    values: Field
    depth: Field


def rasterise(
    seen: Points, attributes: Field, size: tuple[int, int], *, facing: int = 1
) -> Rendered | None:
    """A grid (N, M, 3) of x, y in pixels and depth, with attributes (N, M, K), in a picture (H, W).

    Quads that turn their front (`facing` 1), their back (-1) or either (0) to the viewer are drawn
    from far to near; what is on a quad varies linearly. None if none is in the picture.
    """
    data = np.concatenate([attributes, seen[..., 2:]], axis=-1)
    corners, values = _quads(seen[..., :2]), _quads(data)
    diagonals = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    area = diagonals[0][:, 0] * diagonals[1][:, 1] - diagonals[0][:, 1] * diagonals[1][:, 0]
    low, high = corners.min(1), corners.max(1)
    inside = ((high > 0) & (low < (size[1], size[0]))).all(1)
    chosen = np.flatnonzero(inside & (area * facing > 0) if facing else inside)
    if not chosen.size:
        return None
    chosen = chosen[np.argsort(values[chosen, :, -1].mean(1), kind="stable")]
    corners, values = corners[chosen], values[chosen]
    low, high = corners.min((0, 1)), corners.max((0, 1))
    left, top = max(floor(low[0]) - 1, 0), max(floor(low[1]) - 1, 0)
    right, bottom = min(ceil(high[0]) + 2, size[1]), min(ceil(high[1]) + 2, size[0])
    if right <= left or bottom <= top:
        return None
    ids = _ids(corners - (left, top), bottom - top, right - left)
    alpha = cv2.resize((ids > 0).astype(np.float32), (right - left, bottom - top),
                       interpolation=cv2.INTER_AREA)  # fmt: skip
    # The nearest quad of the four subpixels: later ones have larger numbers.
    nearest = np.maximum(np.maximum(ids[::2, ::2], ids[1::2, ::2]),
                         np.maximum(ids[::2, 1::2], ids[1::2, 1::2]))  # fmt: skip
    looked_up = _planes(np.maximum(nearest - 1, 0), corners - (left, top), values)
    cover = Cover(slice(top, bottom), slice(left, right), alpha)
    return Rendered(cover, looked_up[:-1], looked_up[-1])


def _quads(grid: Field) -> Field:
    """(Q, 4, K) of a grid (N, M, K)."""
    around = (grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1])
    return np.stack(around, axis=2).reshape(-1, 4, grid.shape[-1])


def _ids(corners: Points, height: int, width: int) -> Field:
    """(2 height, 2 width) int32: 0 where no quad is, else its number from 1."""
    ids = np.zeros((2 * height, 2 * width), np.int32)
    fine = np.rint((corners.clip(-4000, 4000) * 2 + 0.5) * 16).astype(np.int32)
    for number, corner in enumerate(fine, start=1):
        cv2.fillConvexPoly(ids, corner, number, shift=4)
    return ids


def _planes(ids: Field, corners: Points, values: Field) -> Field:
    """(K, h, w): the plane nearest to the values of a pixel's quad, at the pixel."""
    middle, mean = corners.mean(1), values.mean(1)
    away, rise = corners - middle[:, None], values - mean[:, None]
    # The ridge keeps quads seen from the edge from having endless slopes.
    xx, yy = (away**2).sum(1).T + 0.3
    xy = away.prod(-1).sum(1)
    right = np.einsum("qc,qck->qk", away[..., 0], rise)
    down = np.einsum("qc,qck->qk", away[..., 1], rise)
    scale = (1 / (xx * yy - xy * xy))[:, None]
    slope_x = (yy[:, None] * right - xy[:, None] * down) * scale
    slope_y = (xx[:, None] * down - xy[:, None] * right) * scale
    origin = mean - slope_x * middle[:, :1] - slope_y * middle[:, 1:]
    tables = (table.T.astype(np.float32) for table in (origin, slope_x, slope_y))
    start, across, along = (np.take(table, ids, axis=1) for table in tables)
    height, width = ids.shape
    across *= np.arange(width, dtype=np.float32)[None, :]
    along *= np.arange(height, dtype=np.float32)[:, None]
    start += across
    start += along
    return start


def normals(points: Points) -> Field:
    """Unit normals (N, M, 3) of a grid of points with x right, y down and z to the viewer, whose
    rows go down and whose columns go to the right where it faces the viewer."""
    down, right = np.gradient(points, axis=(0, 1))
    normal = np.cross(right, down)
    length: Field = np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    return normal / length
