"""Laser bolts that the ship fires, drawn over frames whose pose is known.

A bolt flies straight on in the world, whatever the ship does after it was fired, and the ship hides
what lies behind it. Light adds up before it is brought to 8 bits: a bolt's middle burns to white,
its glow stays red.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.data.synth.ship_parts import Shape, ship_mesh
from img2img.data.synth.ship_raster import NEAREST, nearness_map
from img2img.vision.camera import Camera
from img2img.vision.distortion import distorted
from img2img.vision.types import Image

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Field = NDArray[Any]
Lights = tuple[Floats, Floats, Floats]
"""Glowing rods: their ends (N, 2, 3) in the world, their radii (N,) and how bright they are, (N,)
in 0…1."""

MUZZLES = np.array([[x, -0.1, z] for x in (-0.145, 0.145) for z in (-0.01, 0.01)])
"""(4, 3): where bolts begin, in the model frame; they fly towards −y."""
PAIRS = ((0, 3), (1, 2))
"""The muzzles that fire together: one above and one below, the pairs in turn."""

_RADIUS = 0.002
_FLASHES = ((-0.085, -0.102, 0.0048, 1.0), (-0.083, -0.090, 0.0034, 0.25))
"""The fire at a muzzle in the frame of its shot and in the next: y of both ends, radius and
brightness."""
_COLOURS = np.array(
    [[9.0, 5.0, 3.8, 0.0], [1.5, 0.10, 0.05, 1.1], [0.42, 0.03, 0.02, 0.35]], np.float32
)
"""Of a bolt's middle, of the glow round it and of its far shine: light in red, green and blue, and
the dark in green and blue that lets it look red before a bright sky."""
_GLOW_RADII, _HALO_RADII, _REACH_RADII = 3.2, 7.0, 26.0
_AT_REACH = (1 + (_REACH_RADII / _HALO_RADII) ** 2) ** -2
_BLEEDS = 0.3
"""Share of the glow that is seen before a ship that hides the bolt."""
_THINNEST_PX = 0.42
"""Radius, in a frame of 256 pixels, below which a bolt gets fainter instead of thinner."""
_FADES_AFTER = 0.75
"""Share of its way."""
_SMALL_PX = 384
"""Up to this side barrels are thinner than a pixel: what hides a bolt is told on a finer grid."""


@dataclass(slots=True, kw_only=True)
class Lasers:
    """Bolts in flight over successive frames: `step`, then `draw`, for each.

    A pair of muzzles fires `every` so many frames. Bolts are of a `length`, fly at a `speed` a
    frame and die after a `reach`, all in units of the world, in which a ship is about 0.35 long.
    """

    every: int = 5
    speed: float = 0.075
    length: float = 0.14
    reach: float = 3.0
    _starts: Floats = field(default_factory=lambda: np.zeros((0, 3)), init=False, repr=False)
    _ways: Floats = field(default_factory=lambda: np.zeros((0, 3)), init=False, repr=False)
    _flown: Floats = field(default_factory=lambda: np.zeros(0), init=False, repr=False)
    _n_shots: int = field(default=0, init=False, repr=False)
    _since_shot: int | None = field(default=None, init=False, repr=False)

    def step(self, pose: Floats | None) -> None:
        """One frame on: bolts fly on, and the next pair leaves its muzzles where it is due and the
        pose (4, 4), object to world, is known."""
        alive = self._flown + self.speed < self.reach + self.length
        self._starts, self._ways = self._starts[alive], self._ways[alive]
        self._flown = self._flown[alive] + self.speed
        self._since_shot = None if self._since_shot is None else self._since_shot + 1
        if pose is not None and (self._since_shot is None or self._since_shot >= self.every):
            self._fire(pose)

    def draw(self, image: Image, pose: Floats | None, camera: Camera) -> Image:
        """The picture (H, W, 3) uint8 RGB with the bolts of this frame, a copy.

        The ship at a pose (4, 4), object to world, hides them; without one, nothing does.

        Raises:
            DataError: the camera is one of a picture of other proportions.
        """
        camera = camera.resized(image.shape[1], image.shape[0])
        drawn = image.copy()
        rods = [*_rods(self._bolts(), camera), *_rods(self._flashes(pose), camera)]
        if not rods:
            return drawn
        low = np.min([rod.low for rod in rods], axis=0)
        high = np.max([rod.high for rod in rods], axis=0)
        light = np.zeros((*(high - low)[::-1], 4), np.float32)
        ship = None if pose is None else _ship(pose, camera, low, high)
        for rod in rods:
            rod.shine(light, ship, low)
        left = np.exp(-light)
        window = drawn[low[1] : high[1], low[0] : high[0]]
        behind = window.astype(np.float32)
        behind[..., 1:] *= left[..., 3:]
        # A screen of all lights at once: each takes its share of the dark that is left.
        window[:] = 255.5 - (255 - behind) * left[..., :3]
        return drawn

    def _fire(self, pose: Floats) -> None:
        starts = _in_world(self._pair(self._n_shots), pose)
        way = -pose[:3, 1] / np.linalg.norm(pose[:3, 1])
        self._starts = np.concatenate([self._starts, starts])
        self._ways = np.concatenate([self._ways, np.tile(way, (len(starts), 1))])
        self._flown = np.concatenate([self._flown, np.full(len(starts), self.speed)])
        self._n_shots += 1
        self._since_shot = 0

    @staticmethod
    def _pair(shot: int) -> Floats:
        return MUZZLES[list(PAIRS[shot % len(PAIRS)])]

    def _bolts(self) -> Lights:
        ways = np.stack([self._flown, self._flown - self.length], axis=1).clip(0, self.reach)
        ends = self._starts[:, None] + ways[..., None] * self._ways[:, None]
        left = (1 - self._flown / (self.reach + self.length)) / (1 - _FADES_AFTER)
        return ends, np.full(len(ends), _RADIUS), left.clip(0, 1)

    def _flashes(self, pose: Floats | None) -> Lights:
        age = self._since_shot
        if pose is None or age is None or age >= len(_FLASHES):
            return np.zeros((0, 2, 3)), np.zeros(0), np.zeros(0)
        *y, radius, bright = _FLASHES[age]
        ends = np.repeat(self._pair(self._n_shots - 1)[:, None], 2, axis=1)
        ends[..., 1] = y
        return _in_world(ends, pose), np.full(len(ends), radius), np.full(len(ends), bright)


def _in_world(points: Floats, pose: Floats) -> Floats:
    moved: Floats = points @ pose[:3, :3].T + pose[:3, 3]
    return moved


@cache
def _triangles() -> Floats:
    return np.asarray(ship_mesh(Shape()).corners)


def _ship(pose: Floats, camera: Camera, low: Ints, high: Ints) -> Field:
    """(N, h, w): 1 / depth of the ship at N points of each pixel from x, y `low` up to `high`, 0
    beside it."""
    intrinsics = camera.matrix
    intrinsics[:2, 2] -= low
    width, height = (high - low).tolist()
    n = 2 if max(camera.width, camera.height) <= _SMALL_PX else 1
    triangles = _in_world(_triangles(), camera.from_world @ pose)
    found = nearness_map(triangles, intrinsics, (height, width), fine=n)
    return found.reshape(height, n, width, n).transpose(1, 3, 0, 2).reshape(n * n, height, width)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rod:
    """A glowing rod in a picture, its far end first: `start` (2,) in pixels and the `way` (2,) to
    the other end; for both ends, the `radius` in pixels, the `nearness` (1 / depth) and how bright
    it is. It shines on pixels from x, y `low` (2,) up to `high` (2,)."""

    start: Floats
    way: Floats
    radius: Floats
    nearness: Floats
    bright: Floats
    low: Ints
    high: Ints

    def shine(self, light: Field, ship: Field | None, origin: Ints) -> None:
        """Adds the rod's light, but for what a ship hides, to (h, w, 4) whose first pixel is x, y
        `origin` of the picture."""
        share, off = self._nearest()
        bright, near = (
            np.float32(pair[0]) + share * np.float32(pair[1] - pair[0])
            for pair in (self.bright, self.nearness)
        )
        (left, top), (right, bottom) = self.low - origin, self.high - origin
        seen: Any = np.float32(1)
        if ship is not None:
            seen = (ship[:, top:bottom, left:right] <= near).mean(0, dtype=np.float32)
        core = bright * seen * np.exp(-0.5 * off)
        bright *= _BLEEDS + (1 - _BLEEDS) * seen
        glow = bright * np.exp(-0.5 / _GLOW_RADII**2 * off)
        halo = bright * np.maximum(np.square(1 / (1 + off / _HALO_RADII**2)) - _AT_REACH, 0)
        light[top:bottom, left:right] += np.stack([core, glow, halo], axis=-1) @ _COLOURS

    def _nearest(self) -> tuple[Field, Field]:
        """Where on the rod, 0…1, what shines on each of its pixels (h, w), and how far that is off
        in radii, squared."""
        x, y = (
            np.arange(*ends, dtype=np.float32) for ends in zip(self.low, self.high, strict=True)
        )
        x, y = x - np.float32(self.start[0]), (y - np.float32(self.start[1]))[:, None]
        (dx, dy), grows = self.way.astype(np.float32), np.float32(self.radius[1] - self.radius[0])
        radius = np.float32(self.radius[0])
        along = x * dx + y * dy
        # The share of the way where |pixel − point| / radius is least: the zero of its derivative.
        # There is none for pixels beyond the tip of the cone that the rod is a part of.
        below = radius * (dx * dx + dy * dy) + grows * along
        share = np.ones_like(along)
        np.divide(radius * along + grows * (x * x + y * y), below, out=share, where=below > 1e-9)
        share = share.clip(0, 1)
        off = np.square(x - share * dx) + np.square(y - share * dy)
        return share, off / np.square(radius + share * grows)


def _rods(lights: Lights, camera: Camera) -> Iterator[_Rod]:
    """What a camera may see of rods, cut where they come too near."""
    ends, radii, bright = lights
    ends = _in_world(ends, camera.from_world)
    order = np.argsort(-ends[..., 2], axis=1)[..., None]
    far, near = np.moveaxis(np.take_along_axis(ends, order, axis=1), 1, 0)
    depth, gap = far[:, 2:], far[:, 2:] - near[:, 2:]
    near = far + ((depth - NEAREST) / np.maximum(gap, 1e-9)).clip(0, 1) * (near - far)
    for k in np.flatnonzero(depth[:, 0] > NEAREST):
        rod = _rod(np.stack([far[k], near[k]]), radii[k], bright[k], camera)
        if (rod.low < rod.high).all():
            yield rod


def _rod(ends: Floats, radius: float, bright: float, camera: Camera) -> _Rod:
    """Of ends (2, 3) in the camera's frame, the far one first."""
    nearness = 1 / ends[:, 2]
    straight = ends[:, :2] * nearness[:, None]
    bent = distorted(straight, camera.distortion)
    # Far outside of the picture a lens is not known.
    pixels = np.where(np.isfinite(bent), bent, straight) * [camera.fx, camera.fy]
    pixels += [camera.cx, camera.cy]
    size = np.array([camera.width, camera.height])
    true = radius * camera.fx * nearness
    radii = np.maximum(true, _THINNEST_PX * max(size.max() / 256, 1))
    around = _REACH_RADII * radii[:, None]
    # What comes up to the lens fades before it is cut there.
    fades = (1.6 * (1 - NEAREST * nearness)).clip(0, 1)
    return _Rod(
        start=pixels[0], way=pixels[1] - pixels[0], radius=radii, nearness=nearness,
        bright=bright * fades * true / radii,
        low=np.ceil((pixels - around).min(0)).clip(0, size).astype(int),
        high=np.floor((pixels + around).max(0) + 1).clip(0, size).astype(int),
    )  # fmt: skip
