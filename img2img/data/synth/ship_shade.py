"""The ship under soft light: a window of the picture with its colours and its cover."""

from dataclasses import dataclass
from math import ceil, floor
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.synth.ship_light import Light
from img2img.data.synth.ship_mesh import Mesh
from img2img.data.synth.ship_paint import Paint, sides, texels
from img2img.data.synth.ship_pose import Matrix, to_camera
from img2img.data.synth.ship_raster import NEAREST, Seen, bounds, rasterise

Field = NDArray[Any]

_SMALL_PX = 384
"""Frames up to this side get a finer grid: their barrels are thinner than a pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A ship in a frame: `pose` (4, 4), `camera` (3, 3) and the `size` (H, W)."""

    pose: Matrix
    camera: Matrix
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A window of the picture: where it lies, colours (h, w, 3) float32 times cover, and the
    cover (h, w, 1) in 0…1."""

    rows: slice
    columns: slice
    colours: Field
    cover: Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A mesh in a fine grid of `width` points: the corners there (T, 3, 2), their 1 / depth
    (T, 3), and what is `seen` of it."""

    flat: Field
    nearness: Field
    width: int
    seen: Seen


def visible_share(mesh: Mesh, view: View) -> float:
    """Share of the ship's pixels inside the frame, of those that an endless frame would show."""
    flat, nearness = _flat(mesh, view)
    low, high = bounds(flat.reshape(-1, 2))
    height, width = view.size
    if (low >= -0.5).all() and high[0] <= width - 0.5 and high[1] <= height - 0.5:
        return 1.0
    left, top = floor(low[0]), floor(low[1])
    columns, rows = ceil(high[0]) - left + 1, ceil(high[1]) - top + 1
    seen = rasterise(flat - (left, top), nearness, (rows, columns))
    x, y = seen.place % columns + left, seen.place // columns + top
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return float(inside.mean()) if len(inside) else 0.0


def render(mesh: Mesh, view: View, paint: Paint, light: Light) -> Cut | None:
    """The part of the ship in the frame; None if none is."""
    flat, nearness = _flat(mesh, view)
    low, high = bounds(flat.reshape(-1, 2))
    left, top = max(floor(low[0]), 0), max(floor(low[1]), 0)
    right, bottom = min(ceil(high[0]) + 1, view.size[1]), min(ceil(high[1]) + 1, view.size[0])
    if right <= left or bottom <= top:
        return None
    n = 3 if max(view.size) <= _SMALL_PX else 2
    height, width = (bottom - top) * n, (right - left) * n
    # A pixel's n × n points lie evenly about its centre.
    fine = (flat - (left, top)) * n + (n - 1) / 2
    seen = rasterise(fine, nearness, (height, width))
    if not len(seen.place):
        return None
    grid = Grid(flat=fine, nearness=nearness, width=width, seen=seen)
    colours = _colours(mesh, grid, paint, light.seen_from(view.pose))
    canvas = np.zeros((height * width, 4), np.float32)
    canvas[seen.place, :3] = colours
    canvas[seen.place, 3] = 1
    small: Any = cv2.resize(
        canvas.reshape(height, width, 4), (right - left, bottom - top),
        interpolation=cv2.INTER_AREA,
    )  # fmt: skip
    return Cut(
        rows=slice(top, bottom), columns=slice(left, right),
        colours=small[..., :3], cover=small[..., 3:],
    )  # fmt: skip


def _flat(mesh: Mesh, view: View) -> tuple[Field, Field]:
    """Corners in pixels (T, 3, 2) and 1 / depth (T, 3), of triangles before the camera."""
    seen = to_camera(mesh.corners.reshape(-1, 3), view.pose) @ view.camera.T
    nearness = 1 / np.maximum(seen[:, 2:], NEAREST)
    flat = seen[:, :2] * nearness
    return flat.reshape(-1, 3, 2), nearness.reshape(-1, 3)


def _corner_values(mesh: Mesh, paint: Paint, light: Light) -> Field:
    """(T, 3, 6) at the corners: the colour under the light, highlights, and the place in the
    atlas. `light` is in the model frame."""
    matter, shine = light.on(mesh.corners, mesh.normals)
    matter *= paint.colours[mesh.material][:, None]
    shine *= paint.gloss[mesh.material][:, None]
    return np.concatenate([matter, shine[..., None], texels(mesh.corners, sides(mesh))], axis=2)


def _colours(mesh: Mesh, grid: Grid, paint: Paint, light: Light) -> Field:
    """(P, 3) float32 of what is seen in a grid. `light` is in the model frame."""
    seen = grid.seen
    drawn = np.zeros(len(mesh.corners), bool)
    drawn[seen.triangle] = True
    number = (np.cumsum(drawn) - 1)[seen.triangle]
    # What is linear on the surface is, times 1 / depth, linear on the screen.
    values = _corner_values(mesh.part(drawn), paint, light)
    weighted = values * grid.nearness[drawn][..., None]
    y, x = np.divmod(seen.place, grid.width)
    planes = _interpolated(grid.flat[drawn], weighted, number, x, y)
    planes *= (1 / seen.nearness).astype(np.float32)
    # Triangles seen from the edge have slopes without end: rounding must not lead out of the atlas.
    low, high = bounds(values)
    np.clip(planes, low.min(0)[:, None], high.max(0)[:, None], out=planes)
    across, down = planes[4:].astype(np.intp)
    colours: Field = (planes[:3] * paint.at(across, down) + planes[3]).T
    return colours


def _interpolated(flat: Field, values: Field, number: Field, x: Field, y: Field) -> Field:
    """(K, P) float32: what varies linearly over triangles with corners (T, 3, 2) and values
    (T, 3, K) there, in the triangles of these numbers (P,) at x and y (P,)."""
    one, two = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    area = one[:, 0] * two[:, 1] - two[:, 0] * one[:, 1]
    rise_one, rise_two = values[:, 1] - values[:, 0], values[:, 2] - values[:, 0]
    slope_x = (rise_one * two[:, 1:] - rise_two * one[:, 1:]) / area[:, None]
    slope_y = (rise_two * one[:, :1] - rise_one * two[:, :1]) / area[:, None]
    x, y = (x - flat[number, 0, 0]).astype(np.float32), (y - flat[number, 0, 1]).astype(np.float32)
    start, across, down = (
        np.take(np.ascontiguousarray(table.T, np.float32), number, axis=1)
        for table in (values[:, 0], slope_x, slope_y)
    )
    across *= x
    down *= y
    start += across
    start += down
    return start
