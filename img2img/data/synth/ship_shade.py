"""The ship under soft light: a window of the picture with its colours and its cover."""

from dataclasses import dataclass
from math import ceil, floor
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.synth.ship_mesh import Mesh
from img2img.data.synth.ship_paint import Paint, look_up, sides
from img2img.data.synth.ship_pose import EYE_Z, Matrix, Rng, to_camera
from img2img.data.synth.ship_raster import Seen, rasterise

Field = NDArray[Any]

FINE = 3
"""Points of the fine grid along a pixel's side."""
_NEAREST = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A ship in a frame: `pose` (4, 4), `camera` (3, 3) and the `size` (H, W)."""

    pose: Matrix
    camera: Matrix
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """Lamps far away and the sky around, in the world: `towards` (L, 3) are unit vectors to the
    lamps of `colours` (L, 3); `above` and `below` (3,) is what comes from all of the sky along
    `up` (3,) and against it."""

    towards: Field
    colours: Field
    up: Field
    above: Field
    below: Field
    sharpness: float = 24.0

    @classmethod
    def studio(cls) -> Self:
        """A soft white light from behind the camera, above it."""
        towards = np.array([[-0.35, 0.55, 0.75], [0.7, -0.2, 0.55]])
        return cls(
            towards=towards / np.linalg.norm(towards, axis=1, keepdims=True),
            colours=np.array([[0.42, 0.42, 0.42], [0.14, 0.14, 0.15]]),
            up=np.array([0, 0.6, 0.8]), above=np.full(3, 0.56), below=np.full(3, 0.34),
        )  # fmt: skip

    @classmethod
    def random(cls, rng: Rng) -> Self:
        """One to three lamps, mostly on the camera's side, of almost white light."""
        n = int(rng.integers(1, 4))
        towards = rng.standard_normal((n, 3))
        towards[:, 2] = np.abs(towards[:, 2]) if rng.random() < 0.8 else towards[:, 2]
        up = rng.standard_normal(3)
        strength = rng.uniform(0.15, 0.75) / np.arange(1, n + 1)[:, None]
        sky = rng.uniform(0.25, 0.65) * np.exp(rng.normal(0, 0.08, 3))
        return cls(
            towards=towards / np.linalg.norm(towards, axis=1, keepdims=True),
            colours=strength * np.exp(rng.normal(0, 0.1, (n, 3))),
            up=up / np.linalg.norm(up), above=sky, below=sky * rng.uniform(0.35, 0.95),
            sharpness=float(np.exp(rng.uniform(1.8, 4.2))),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A window of the picture: where it lies, colours (h, w, 3) float32 times cover, and the
    cover (h, w, 1) in 0…1."""

    rows: slice
    columns: slice
    colours: Field
    cover: Field


def visible_share(mesh: Mesh, view: View) -> float:
    """Share of the ship's pixels inside the frame, of those that an endless frame would show."""
    flat, nearness = _flat(mesh, view)
    low, high = flat.min((0, 1)), flat.max((0, 1))
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
    low, high = flat.min((0, 1)), flat.max((0, 1))
    left, top = max(floor(low[0]), 0), max(floor(low[1]), 0)
    right, bottom = min(ceil(high[0]) + 1, view.size[1]), min(ceil(high[1]) + 1, view.size[0])
    if right <= left or bottom <= top:
        return None
    height, width = (bottom - top) * FINE, (right - left) * FINE
    # A pixel's FINE points lie evenly about its centre.
    fine = (flat - (left, top)) * FINE + (FINE - 1) / 2
    seen = rasterise(fine, nearness, (height, width))
    if not len(seen.place):
        return None
    spots = np.stack([seen.place % width, seen.place // width], axis=1)
    pixels = (spots - (FINE - 1) / 2) / FINE + (left, top)
    canvas = np.zeros((height * width, 4), np.float32)
    canvas[seen.place, :3] = _shaded(mesh, view, paint, light, (seen, pixels, spots, fine))
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
    nearness = 1 / np.maximum(seen[:, 2:], _NEAREST)
    flat = seen[:, :2] * nearness
    return flat.reshape(-1, 3, 2), nearness.reshape(-1, 3)
