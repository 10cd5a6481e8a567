"""A head as a surface through the 68 points of a face, and how a camera sees it.

The frame of `face_layout`, with z to the viewer and 0 at the eyes. A head is a stack of level
rings: the angle θ runs from -pi (back) through -pi/2 (the contour at the
picture's left) and 0 (front) to pi.
"""

from dataclasses import dataclass
from functools import cached_property
from math import cos, pi, radians, sin

import numpy as np

from img2img.data.synth.face_layout import (
    JAW,
    Expression,
    Person,
    layout_of,
    random_expression,
    random_person,
)
from img2img.data.synth.kitchen_canvas import Field, Points, Rng

CROWN = -1.85
AXIS_Z = -0.95
"""Where the rings' middles lie, about the ears."""

_TABLE = 160
_JAW_Z = (-1.05, -1.05, -1.03, -0.97, -0.85, -0.62, -0.28, 0.02, 0.13)


class Surface:
    """The head of a face whose points from the front are `layout` (68, 2)."""

    def __init__(self, layout: Points, *, nose_out: float, smile: float) -> None:
        self.layout = layout
        self.nose_out = 0.42 * nose_out
        self.smile = max(smile, 0.0)
        self.chin = float(layout[8, 1])
        contours = [_contour(layout[side]) for side in (JAW, slice(16, None, -1))]
        self._y = np.linspace(CROWN, self.chin, _TABLE)
        self._right, self._left = (np.interp(self._y, way[:, 1], way[:, 0]) for way in contours)
        middle = layout[[27, 30, 33, 51, 57, 8]]
        self._middle = np.interp(self._y, np.maximum.accumulate(middle[:, 1]), middle[:, 0])
        self._front = _blunted(np.interp(self._y, *self._profile()))
        sides = (layout[:9, 1] + layout[16:7:-1, 1]) / 2
        self._side = _blunted(np.interp(self._y, np.maximum.accumulate(sides), _JAW_Z))
        self._side[self._y < -1.2] = AXIS_Z
        back = ((CROWN, 0), (-1.7, 0.6), (-1.4, 1.0), (-0.8, 1.35), (0, 1.3), (0.5, 1.0),
                (0.9, 0.55), (1.2, 0.3), (self.chin, 0))  # fmt: skip
        self._back = np.interp(self._y, *np.array(back).T)

    def _profile(self) -> tuple[Points, Points]:
        """Heights and depths of the middle of the face, without the nose."""
        y = self.layout[:, 1]
        knots = np.array([
            (CROWN, AXIS_Z), (-1.75, -0.55), (-1.5, -0.2), (-1.2, 0.02), (-0.75, 0.18),
            (y[21:23].mean(), 0.25), (y[27], 0.16), (y[33], 0.3), (y[51], 0.36), (y[57], 0.34),
            (0.45 * y[8] + 0.55 * y[57], 0.26), (y[8] - 0.16, 0.32), (y[8], 0.13),
        ])  # fmt: skip
        return np.maximum.accumulate(knots[:, 0]), knots[:, 1]

    def heights(self, n: int) -> Points:
        """(n,) of rings from the crown to the chin, denser where the head closes."""
        t = np.linspace(0, 1, n)
        t = t - 0.13 * np.sin(2 * pi * t)
        return CROWN + t * (self.chin - CROWN)

    def ring(self, theta: Field, y: Field) -> Points:
        """(…, 3) of angles and heights, which broadcast; heights are kept on the head."""
        theta, y = np.broadcast_arrays(theta, np.clip(y, CROWN, self.chin))
        middle, right, left, front, side, back = (
            np.interp(y, self._y, table)
            for table in (
                self._middle, self._right, self._left, self._front, self._side, self._back,
            )
        )  # fmt: skip
        c, s = np.cos(theta), np.sin(theta)
        x = middle + np.where(s > 0, left - middle, middle - right) * s
        z = side + np.where(c > 0, front - side, back) * c
        z = z + np.where(c > 0, self._relief(x - middle, x, y), 0)
        return np.stack([x, y, z], axis=-1)

    def at(self, x: Field, y: Field, lift: float = 0.0) -> Points:
        """(…, 3): the point of the front half at this place, `lift` nearer to the viewer."""
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        middle, right, left = (
            np.interp(y, self._y, table) for table in (self._middle, self._right, self._left)
        )
        half = np.where(x > middle, left - middle, middle - right)
        theta = np.arcsin(np.clip((x - middle) / np.maximum(half, 1e-6), -1, 1))
        placed = self.ring(theta, y)
        placed[..., 0] = x
        placed[..., 1] = y
        placed[..., 2] += lift
        return placed

    def _relief(self, across: Field, x: Field, y: Field) -> Field:
        """How far nose, sockets, lips and cheeks stand out, (…)."""
        layout = self.layout
        top, tip, base = (float(layout[i, 1]) for i in (27, 30, 33))
        wings = float(layout[35, 0] - layout[31, 0]) / 2
        ridge = np.interp(
            y,
            [top - 0.2, top, top + 0.35 * (tip - top), tip - 0.06, tip, (tip + base) / 2, base,
             base + 0.08],
            self.nose_out * np.array([0.0, 0.16, 0.45, 0.95, 1.0, 0.75, 0.2, 0.0]),
        )  # fmt: skip
        wide = np.interp(y, [top, tip - 0.15, tip, base], np.array([0.6, 0.72, 1.0, 1.05]) * wings)
        out = ridge * np.exp(-(np.abs(across / wide) ** 2.4))
        for eye in (layout[36:42], layout[42:48]):
            cx, cy = eye.mean(0)
            out = out - 0.1 * np.exp(-(((x - cx) / 0.3) ** 2) - ((y - cy) / 0.2) ** 2)
            bulge = np.exp(-(((x - cx * 1.25) / 0.3) ** 2) - ((y - tip + 0.05) / 0.28) ** 2)
            out = out + (0.04 + 0.1 * self.smile) * bulge
        lips = layout[48:60].mean(0)
        tall = max(0.17, float(np.ptp(layout[48:60, 1])) * 0.5)
        swell = np.exp(-((across / 0.38) ** 2) - ((y - lips[1]) / tall) ** 2)
        relief: Field = out + 0.07 * swell
        return relief


def _contour(jaw: Points) -> Points:
    """(N, 2) from the crown to the chin along one side: skull, temple, then the jaw's points."""
    skull = np.array([0.0, 0.33, 0.6, 0.86, 1.0, 1.03]) * jaw[0, 0]
    tall = np.array([CROWN, -1.8, -1.68, -1.35, -0.85, -0.4])
    whole = np.concatenate([np.column_stack([skull, tall]), jaw[:9]])
    whole = spline(whole, 6)
    whole[:, 1] = np.maximum.accumulate(whole[:, 1])
    return whole


def _blunted(table: Points) -> Points:
    """The table with its corners rounded; the ends stay."""
    wide = np.pad(table, 4, mode="reflect", reflect_type="odd")
    soft: Points = np.convolve(wide, np.full(9, 1 / 9), mode="valid")
    return soft


def spline(knots: Points, n: int, *, closed: bool = False) -> Points:
    """A Catmull-Rom curve (M, D) through the knots (N, D), `n` points from one to the next."""
    k = np.asarray(knots, float)
    padded = (
        np.concatenate([k[-1:], k, k[:2]])
        if closed
        else np.concatenate([2 * k[:1] - k[1:2], k, 2 * k[-1:] - k[-2:-1]])
    )
    t = (np.arange(n) / n)[None, :, None]
    a, b, c, d = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    way = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    way = way.reshape(-1, k.shape[1])
    return way if closed else np.concatenate([way, k[-1:]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A camera: `turn` (3, 3) of the head, its distance in the unit, px a unit and the place (2,)
    of the head's origin."""

    turn: Field
    distance: float
    scale_px: float = 1.0
    place: Points

    def project(self, points: Points) -> Points:
        """(…, 3): x, y in pixels, and the depth toward the viewer in the unit."""
        seen = points @ self.turn.T
        nearer = self.distance / np.maximum(self.distance - seen[..., 2:], 0.5)
        flat = seen[..., :2] * (nearer * self.scale_px) + self.place
        return np.concatenate([flat, seen[..., 2:]], axis=-1)


@dataclass(frozen=True, kw_only=True)
class Face:
    """All of a face that its points depend on."""

    person: Person
    expression: Expression
    surface: Surface
    shot: Shot
    size: tuple[int, int]

    @cached_property
    def seen(self) -> Points:
        """(68, 3): x, y in pixels, and the depth."""
        return _seen(self.surface, self.shot)

    @property
    def points(self) -> Points:
        return self.seen[:, :2]

    @property
    def unit_px(self) -> float:
        return self.shot.scale_px

    def at(self, x: Field | float, y: Field | float, lift: float = 0.0) -> Points:
        """(…, 2) picture points of places of the front half, in the frame of the layout."""
        flat: Points = self.shot.project(self.surface.at(np.asarray(x), np.asarray(y), lift))[
            ..., :2
        ]
        return flat


def random_face(rng: Rng, size: tuple[int, int], roll_deg: float) -> Face:
    """A face that fills 25 to 80 % of the shorter side of the picture (H, W)."""
    person, expression = random_person(rng), random_expression(rng)
    layout = layout_of(person, expression) + rng.normal(0, 0.006, (68, 2))
    surface = Surface(layout, nose_out=person.nose_out, smile=expression.smile)
    yaw = rng.normal(0, 20) if rng.random() < 0.75 else rng.uniform(-60, 60)
    pitch = rng.normal(0, 7) if rng.random() < 0.85 else rng.uniform(-30, 30)
    roll = rng.normal(0, roll_deg) if rng.random() < 0.9 else rng.uniform(-3.75, 3.75) * roll_deg
    turn = _turn(np.clip(yaw, -60, 60), np.clip(pitch, -30, 30), np.clip(roll, -45, 45))
    near = Shot(turn=turn, distance=float(rng.uniform(7, 25)), place=np.zeros(2))
    flat = _seen(surface, near)[:, :2]
    low, high = flat.min(0), flat.max(0)
    share = np.exp(rng.uniform(np.log(0.25), np.log(0.8)))
    scale = float(share * min(size) / (high - low).max())
    free = (np.array(size[::-1]) - (high - low) * scale) / 2
    aside = np.clip(rng.normal(0, 0.35, 2), -0.9, 0.9)
    place = (np.array(size[::-1]) - 1) / 2 + aside * free - (low + high) / 2 * scale
    shot = Shot(turn=turn, distance=near.distance, scale_px=scale, place=place)
    return Face(person=person, expression=expression, surface=surface, shot=shot, size=size)


def _turn(yaw: float, pitch: float, roll: float) -> Field:
    """(3, 3): the nose `yaw` degrees to the right, `pitch` down, then the picture by `roll`."""
    a, b, c = radians(yaw), radians(pitch), radians(roll)
    around_y = np.array([[cos(a), 0, sin(a)], [0, 1, 0], [-sin(a), 0, cos(a)]])
    around_x = np.array([[1, 0, 0], [0, cos(b), sin(b)], [0, -sin(b), cos(b)]])
    around_z = np.array([[cos(c), -sin(c), 0], [sin(c), cos(c), 0], [0, 0, 1]])
    turn: Field = around_z @ around_x @ around_y
    return turn


def _seen(surface: Surface, shot: Shot) -> Points:
    """(68, 3) of the layout; the jaw follows the visible contour, as the convention wants.

    On the far side of a turned head the jaw is where its rings are widest in the picture. On both
    sides its points lie at equal distances in the picture.
    """
    layout = surface.layout
    seen = shot.project(surface.at(layout[:, 0], layout[:, 1]))
    outward = shot.turn[:2, 0] / max(float(np.hypot(*shot.turn[:2, 0])), 1e-6)
    theta = np.linspace(pi / 2, pi / 9, 24)
    for side, rows in ((-1, np.arange(9)), (1, np.arange(16, 7, -1))):
        rings = shot.project(surface.ring(side * theta, layout[rows[:8], 1][:, None]))
        widest = (rings[..., :2] @ outward * side).argmax(1)
        edge = np.concatenate([rings[np.arange(8), widest], seen[8:9]])
        seen[rows] = _evenly(spline(edge, 8), 9)
    return seen


def _evenly(way: Points, n: int) -> Points:
    """(n, 3): points along a way (N, 3) at equal distances in the picture."""
    steps = np.hypot(*np.diff(way[:, :2], axis=0).T)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    places = np.linspace(0, length[-1], n)
    return np.column_stack([np.interp(places, length, line) for line in way.T])
