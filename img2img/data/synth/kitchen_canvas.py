"""What kitchens are drawn with: a pinhole camera above a table, a lamp, and a canvas of polygons.

World points are in centimetres: x right, y away from the camera, z up, the table at z = 0.
Picture points (x, y) are in pixels, pixel centres at integers. Scenes are planar float32 RGB
(3, H, W), about 0…1; a colour is (3, 1, 1), so that a field (h, w) of brightness multiplies it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, cos, floor, log, pi, sin
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

# Any, because OpenCV's stubs promise no more of what they return.
Field = NDArray[Any]
Points = NDArray[Any]
Rng = np.random.Generator

_FAR_PX = 8000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """A pinhole camera: `axes` are its right, down and forward as rows (3, 3), `eye` in cm."""

    axes: Field
    eye: Field
    focal_px: float
    height: int
    width: int

    @classmethod
    def above(cls, *, pitch: float, roll: float, span_cm: float, size: tuple[int, int]) -> Self:
        """Looks at the table's origin, where the longer side of `size` (H, W) covers `span_cm`.

        `pitch` is 0 from straight above and pi/2 along the table, `roll` turns the picture.
        """
        side = max(size)
        distance = max(1.3 * span_cm, 24.0)
        forward = np.array([0, sin(pitch), -cos(pitch)])
        right = np.array([1.0, 0, 0])
        down = np.cross(forward, right)
        axes = np.stack(
            [cos(roll) * right + sin(roll) * down, cos(roll) * down - sin(roll) * right, forward]
        )
        focal = distance * side / span_cm
        eye = -forward * distance
        return cls(axes=axes, eye=eye, focal_px=focal, height=size[0], width=size[1])

    def project(self, points: Points) -> Points:
        """(N, 2) picture points of (N, 3) world points; those behind the eye go far away."""
        seen = (points - self.eye) @ self.axes.T
        flat = seen[:, :2] * (self.focal_px / np.maximum(seen[:, 2:], 2.0))
        flat += ((self.width - 1) / 2, (self.height - 1) / 2)
        near: Points = flat.clip(-_FAR_PX, _FAR_PX)
        return near

    def px_per_cm(self, point: Points) -> float:
        """The size of a centimetre at a world point (3,)."""
        return self.focal_px / max(float(self.axes[2] @ (point - self.eye)), 2.0)

    def rays(self, x: Field, y: Field) -> tuple[Field, Field, Field]:
        """World x and y in cm (H, W) where the picture points x (1, W) and y (H, 1) meet the
        table, and whether they do."""
        x = (x - (self.width - 1) / 2) / self.focal_px
        y = (y - (self.height - 1) / 2) / self.focal_px
        right, down, forward = self.axes.tolist()
        fall = -(x * right[2] + (y * down[2] + forward[2]))
        reach = float(self.eye[2]) / np.maximum(fall, 0.02)
        world_x = reach * (x * right[0] + (y * down[0] + forward[0])) + float(self.eye[0])
        world_y = reach * (x * right[1] + (y * down[1] + forward[1])) + float(self.eye[1])
        return world_x, world_y, fall > 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Lamp:
    """The light: a shadow falls `slope` (2,) cm aside for each cm of height and spreads by
    `softness` of its height; `ambient` in 0…1 comes from everywhere. `shadows` in 0…1."""

    slope: Field
    softness: float
    ambient: float
    shadows: float
    colour: Field

    @property
    def toward(self) -> Field:
        """Unit vector (3,) to the lamp, in world coordinates."""
        vector = np.array([-self.slope[0], -self.slope[1], 1.0])
        unit: Field = vector / np.linalg.norm(vector)
        return unit


@dataclass(frozen=True, slots=True)
class Cover:
    """How much of each pixel a shape covers: `alpha` (h, w) in 0…1 over a window."""

    rows: slice
    columns: slice
    alpha: Field

    @property
    def grid(self) -> tuple[Field, Field]:
        """x (1, w) and y (h, 1) of the window's pixels, in picture coordinates."""
        x = np.arange(self.columns.start, self.columns.stop, dtype=np.float32)[None, :]
        y = np.arange(self.rows.start, self.rows.stop, dtype=np.float32)[:, None]
        return x, y

    def times(self, factor: Field) -> "Cover":
        return Cover(self.rows, self.columns, self.alpha * factor)


_NOWHERE = Cover(slice(0, 0), slice(0, 0), np.zeros((0, 0), np.float32))


class Canvas:
    """A scene (3, H, W) under a lamp, and the class at every pixel's centre (H, W) uint8."""

    def __init__(self, pose: Pose, lamp: Lamp) -> None:
        self.pose = pose
        self.lamp = lamp
        self.image: Field = np.zeros((3, pose.height, pose.width), np.float32)
        self.classes = np.zeros((pose.height, pose.width), np.uint8)
        self.toward = pose.axes @ lamp.toward * (1, 1, -1)
        """The lamp's direction in the picture: right, down, to the viewer."""

    def cover(self, *shapes: Points, margin: float = 0, fine: int = 0) -> Cover:
        """The union of polygons (N, 2), in a window `margin` pixels wider than they are.

        `fine` subpixels a side, or as many as edges need.
        """
        every = np.concatenate(shapes)
        x, y = every.min(0).tolist()
        left, top = max(floor(x - margin), 0), max(floor(y - margin), 0)
        x, y = every.max(0).tolist()
        right = min(ceil(x + margin) + 1, self.pose.width)
        bottom = min(ceil(y + margin) + 1, self.pose.height)
        if right <= left or bottom <= top:
            return _NOWHERE
        window = Cover(slice(top, bottom), slice(left, right), _NOWHERE.alpha)
        return Cover(window.rows, window.columns, self.alpha(window, *shapes, fine=fine))

    def alpha(self, window: Cover, *shapes: Points, fine: int = 0) -> Field:
        """(h, w) in 0…1: how much of each pixel of a window the polygons cover."""
        left, top = window.columns.start, window.rows.start
        width, height = window.columns.stop - left, window.rows.stop - top
        if not width * height:
            return np.zeros((0, 0), np.float32)
        fine = fine or (4 if width * height < 3000 else 2)
        ink = np.zeros((height * fine, width * fine), np.uint8)
        shift = (0.5 - left - 0.5 / fine, 0.5 - top - 0.5 / fine)
        for shape in shapes:
            inner = np.rint((shape + shift) * (fine * 16)).astype(np.int32)
            cv2.fillPoly(ink, [inner], 255, shift=4)
        if fine == 1:
            return ink * np.float32(1 / 255)
        coarse: Field = cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA)
        return coarse * np.float32(1 / 255)

    def paint(
        self, cover: Cover, colour: Field, label: int | None = 0, *, opacity: float = 1
    ) -> None:
        """Lays a colour (3, 1, 1) or field (3, h, w) over the scene; None leaves the classes."""
        if not cover.alpha.size:
            return
        window = self.image[:, cover.rows, cover.columns]
        share = cover.alpha * np.float32(opacity)
        window += share * (np.asarray(colour, np.float32) - window)
        if label is not None:
            self.classes[cover.rows, cover.columns][cover.alpha > 0.5] = label

    def fill(
        self,
        colour: Field,
        label: int | None,
        *shapes: Points,
        light: float = 0,
        opacity: float = 1,
    ) -> Cover:
        """Paints polygons; `light` is how much brighter they get toward the lamp."""
        cover = self.cover(*shapes)
        if light and cover.alpha.size:
            colour = colour * (1 + self.ramp(cover, light))
        self.paint(cover, colour, label, opacity=opacity)
        return cover

    def ramp(self, cover: Cover, strength: float) -> Field:
        """(h, w) from -strength to strength toward the lamp's side of the picture."""
        height, width = cover.alpha.shape
        lx, ly = self.toward[:2] * (strength / max(float(np.hypot(*self.toward[:2])), 1e-6))
        x = np.linspace(-lx, lx, width, dtype=np.float32)
        y = np.linspace(-ly, ly, height, dtype=np.float32)
        slope: Field = x[None] + y[:, None]
        return slope

    def darken(self, cover: Cover, strength: float, blur_px: float) -> None:
        """A shadow of the covered pixels, `strength` in 0…1."""
        if strength <= 0 or not cover.alpha.size:
            return
        alpha = _softened(cover.alpha, blur_px)
        self.image[:, cover.rows, cover.columns] *= 1 - np.float32(strength) * alpha

    def glow(self, cover: Cover, strength: float, blur_px: float) -> None:
        """Light on the covered pixels, or the lack of it where `strength` is negative."""
        if cover.alpha.size:
            alpha = _softened(cover.alpha, blur_px)
            self.image[:, cover.rows, cover.columns] += np.float32(strength) * alpha

    def shadow(self, points: Points, ground: float = 0.0) -> None:
        """The shadow of the hull of world points (N, 3) on the plane z = ground."""
        lamp = self.lamp
        if lamp.shadows <= 0:
            return
        high = points[:, 2:] - ground
        flat = np.column_stack([points[:, :2] + high * lamp.slope, np.full(len(points), ground)])
        scale = self.pose.px_per_cm(flat.mean(0))
        tall = float(high.max())
        contact = ((0.12 * tall, 0.5),) if lamp.softness > 0.2 else ()
        for spread, strength in ((lamp.softness * tall, 1.0), *contact):
            blur_px = min(spread * scale, 0.2 * max(self.classes.shape))
            cover = self.cover(hull(self.pose.project(flat)), margin=1.5 * blur_px, fine=1)
            self.darken(cover, lamp.shadows * strength, blur_px)

    def lit(
        self, cover: Cover, outline: Points, albedo: Field, *, gloss: float, shine: float = 20
    ) -> Field:
        """(3, h, w) of a round body with a convex outline, `albedo` (3, 1, 1) or (3, h, w).

        The normals are those of a bowl under the outline; `gloss` is the highlight's strength
        and `shine` its sharpness.
        """
        nx, ny, nz = _normals(cover, outline)
        lx, ly, lz = (float(value) for value in self.toward)
        facing = nx * lx + ny * ly + nz * lz
        ambient = self.lamp.ambient
        light = ambient * (0.75 + 0.25 * nz) + (1 - ambient) * 1.25 * np.clip(facing, 0, 1)
        # The highlight is sharpest on the normal halfway between the lamp and the viewer.
        scale = 1 / float(np.linalg.norm([lx, ly, lz + 1]))
        halfway = (nx * lx + ny * ly + nz * (lz + 1)) * scale
        glance = cv2.pow(np.clip(halfway, 0, 1), shine)
        body: Field = albedo * light + gloss * glance
        return body

    def relief(self, cover: Cover, half_width_px: float) -> Field:
        """(h, w) brightness, about 1, of a covered shape as if its edge were rounded."""
        inside = np.pad(cover.alpha > 0.5, 1).astype(np.uint8)
        deep = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
        bulge = 1 - np.clip(deep / max(half_width_px, 1), 0, 1)
        tall = np.sqrt(1 - bulge * bulge)
        slope_x = cv2.Sobel(tall, cv2.CV_32F, 1, 0, scale=half_width_px / 8)
        slope_y = cv2.Sobel(tall, cv2.CV_32F, 0, 1, scale=half_width_px / 8)
        lean = -(slope_x * self.toward[0] + slope_y * self.toward[1])
        light: Field = 0.62 + 0.38 * tall + 0.35 * np.clip(lean, -1, 1)
        return light[1:-1, 1:-1]


def _normals(cover: Cover, outline: Points) -> tuple[Field, Field, Field]:
    """Unit normals (right, down, to the viewer), each (h, w)."""
    middle = (outline.min(0) + outline.max(0)) / 2
    x, y = cover.grid
    x, y = x - np.float32(middle[0]), y - np.float32(middle[1])
    shape = (y.size, x.size)
    x, y = np.broadcast_to(x, shape).copy(), np.broadcast_to(y, shape).copy()
    radius, angle = cv2.cartToPolar(x, y)
    edge = outline - middle
    steps = np.arange(256) * (2 * pi / 256)
    reach = np.interp(steps, np.arctan2(edge[:, 1], edge[:, 0]), np.hypot(*edge.T), period=2 * pi)
    reach = np.maximum(reach, 0.3).astype(np.float32)
    reach = reach[(angle * np.float32(256 / (2 * pi))).astype(np.int32) & 255]
    share = np.minimum(radius / reach, 0.999)
    scale = share / np.maximum(radius, 1e-3)
    return x * scale, y * scale, np.sqrt(1 - share * share)


def _softened(alpha: Field, blur_px: float) -> Field:
    """Two box filters: near a Gaussian, and as fast at any width."""
    side = int(blur_px) | 1
    if side < 3:
        return alpha
    once = cv2.blur(alpha, (side, side), borderType=cv2.BORDER_REPLICATE)
    return cv2.blur(once, (side, side), borderType=cv2.BORDER_REPLICATE)


def hull(points: Points) -> Points:
    """The convex hull (M, 2) of picture points."""
    convex: Points = cv2.convexHull(points.astype(np.float32))
    return convex[:, 0]


def raised(points: Points, cm: float) -> Points:
    """World points (…, 3) moved up."""
    higher: Points = points + np.array([0, 0, cm])
    return higher


def ring(centre: Points, radius: float, z: float, n: int = 48) -> Points:
    """A level circle (n, 3) of the world, around `centre` (x, y, …)."""
    points = np.full((n, 3), z, np.float64)
    points[:, :2] = _circle(n) * radius + centre[:2]
    return points


@cache
def _circle(n: int) -> Points:
    """The unit circle's points (n, 2)."""
    angles = np.arange(n) * (2 * pi / n)
    return np.column_stack([np.cos(angles), np.sin(angles)])


def disc(centre: Points, radius: float, n: int = 20) -> Points:
    """A circle (n, 2) in the picture."""
    return _circle(n) * radius + centre[:2]


def blob(rng: Rng, radius: float, *, rough: float, n: int = 60) -> Points:
    """An irregular outline (n, 2) around 0."""
    angles = np.arange(n) * (2 * pi / n)
    reach = np.ones(n)
    for wave in range(2, 8):
        reach += rough * rng.normal() / wave * np.cos(wave * angles + rng.uniform(0, 2 * pi))
    reach = radius * np.clip(reach, 0.3, 1.8)
    return _circle(n) * reach[:, None]


def tube(points: Points, widths: Points) -> list[Points]:
    """Polygons of a thick line through picture points (N, 2): a disc at each, quads between."""
    radii = np.asarray(widths)[:, None] / 2
    discs = points[:, None] + _circle(16) * radii[:, None]
    along = points[1:] - points[:-1]
    along = along / np.maximum(np.hypot(along[:, :1], along[:, 1:]), 1e-6)
    aside = along[:, ::-1] * (-1, 1)
    a, b = aside * radii[:-1], aside * radii[1:]
    quads = np.stack([points[:-1] + a, points[1:] + b, points[1:] - b, points[:-1] - a], axis=1)
    return [*discs, *quads]


def curve(knots: Points, n: int = 12) -> Points:
    """A smooth line (n, D) from the first knot to the last: their Bézier curve."""
    t = np.linspace(0, 1, n)[:, None, None]
    layers = np.repeat(np.asarray(knots, float)[None], n, axis=0)
    while layers.shape[1] > 1:
        layers = layers[:, :-1] * (1 - t) + layers[:, 1:] * t
    return layers[:, 0]


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(log(low), log(high))))


def grain(rng: Rng, shape: tuple[int, int], cell: float, cell_y: float | None = None) -> Field:
    """Smooth noise (h, w) of deviation near 1 with features of `cell` pixels."""
    rows, columns = ceil(shape[0] / (cell_y or cell)) + 1, ceil(shape[1] / cell) + 1
    coarse = rng.standard_normal((rows, columns), np.float32)
    fine: Field = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return fine


def tinted(rng: Rng, colour: tuple[float, ...] | Field, spread: float = 0.04) -> Field:
    """A colour (3, 1, 1) near this one; `spread` is of its light, a third of that of its hue."""
    light = np.exp(rng.normal(0, spread) + rng.normal(0, spread / 3, 3))
    near = np.ravel(colour) * light + rng.normal(0, spread / 2)
    tint: Field = np.clip(near, 0.01, 1).astype(np.float32).reshape(3, 1, 1)
    return tint


def grey(light: float) -> Field:
    """The grey (3, 1, 1) of this brightness."""
    return np.full((3, 1, 1), light, np.float32)


def any_colour(rng: Rng) -> Field:
    """A colour (3, 1, 1): half of the time a grey, else more or less saturated."""
    light = rng.uniform(0.03, 0.95)
    hue = rng.random((3, 1, 1)) - 0.5
    chroma = rng.choice([0.0, rng.uniform(0, 0.4), rng.uniform(0.3, 1.2)])
    colour: Field = np.clip(light + hue * chroma, 0.01, 1).astype(np.float32)
    return colour


def pick(rng: Rng, colours: Sequence[tuple[float, float, float]], spread: float = 0.04) -> Field:
    """One of these colours (3, 1, 1), slightly changed."""
    return tinted(rng, colours[int(rng.integers(len(colours)))], spread)
