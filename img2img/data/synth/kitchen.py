"""Generated kitchens, to learn the segmentation of eggs and frying pans on.

A table seen by a camera at a random place, what lies on it as solids in centimetres, and much that
looks alike: white balls and plates, hot plates and lids. Every picture is drawn from polygons, so
the class of each pixel is exact. Nothing is taken from photographs.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from math import pi
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Dataset, Image, Record, Sample, Splits
from img2img.data.synth import kitchen_clutter as clutter
from img2img.data.synth.kitchen_canvas import (
    Canvas,
    Field,
    Lamp,
    Points,
    Pose,
    Rng,
    any_colour,
    grain,
    grey,
    log_uniform,
    ring,
    tinted,
)
from img2img.data.synth.kitchen_objects import (
    SHELLS,
    Seat,
    carton,
    dish,
    egg,
    fried,
    half,
    hand,
    pan,
    pick,
)
from img2img.data.synth.textures import draw_texture

VERSION = 1
"""Part of every digest: raise it whenever a change alters a pixel."""

PARTS: tuple[str, ...] = (
    "shell",
    "peeled",
    "fried",
    "pans",
    "handles",
    "aslant",
    "hosts",
    "hands",
    "clutter",
    "decoys",
    "surroundings",
    "shadows",
    "camera",
)
"""What `without` can switch off: eggs in shell, boiled and fried; pans, and their handles; views
other than from above; plates, bowls and cartons under eggs; hands and grippers; angular and round
things; patterned tables and rooms; shadows; the camera's faults. Without all three kinds of eggs
no pixel is egg, and without pans none is pan."""


class Kitchens(Dataset):
    """`n` pictures of `size` × `size` pixels; each is a function of `seed` and its index alone.

    `pixels` gives RGB and the class (0 background, 1 egg, 2 pan) as a fourth channel. The indices
    are `first`, `first + step`, …, so that parts with another `first` share none.
    """

    planes: ClassVar[int] = 4

    def __init__(
        self,
        n: int,
        *,
        seed: int,
        size: int = 256,
        first: int = 0,
        step: int = 1,
        without: frozenset[str] = frozenset(),
    ) -> None:
        if unknown := without - set(PARTS):
            raise ValueError(f"without has {sorted(unknown)}; choose of {', '.join(PARTS)}")
        indices = range(first, first + n * step, step)
        less = "".join(f"-{part}" for part in sorted(without))
        super().__init__([_record(index, seed=seed, size=size, less=less) for index in indices])
        self.seed = seed
        self.without = without

    def pixels(self, record: Record) -> Image:
        rng = np.random.default_rng([VERSION, self.seed, record.index])
        picture, classes = draw_kitchen(rng, record.height, record.width, self.without)
        return np.dstack([picture, classes])

    def sample(self, record: Record, pixels: Image) -> Sample:
        return Sample(
            id=record.id,
            group=record.group or record.id,
            image=pixels[..., :3],
            labels={"classes": pixels[..., 3]},
        )


def _record(index: int, *, seed: int, size: int, less: str) -> Record:
    return Record(
        id=f"kitchen-{index:06d}",
        digest=f"kitchens-v{VERSION}-seed{seed}-index{index}-size{size}{less}",
        height=size,
        width=size,
        index=index,
    )


def kitchen_splits(
    n_train: int,
    *,
    n_val: int = 64,
    n_test: int = 64,
    size: int = 256,
    seed: int = 0,
    without: frozenset[str] = frozenset(),
) -> Splits:
    """Generated kitchens for training, validation and test, of `size` × `size` pixels.

    Each part takes every third index, so that a part may grow and no picture of another changes.
    """
    counts = {"train": n_train, "val": n_val, "test": n_test}
    parts = {
        part: Kitchens(n, seed=seed, size=size, first=first, step=len(counts), without=without)
        for first, (part, n) in enumerate(counts.items())
    }
    whole = copy.copy(parts["train"])
    whole.records = tuple(record for part in parts.values() for record in part.records)
    return Splits(name="generated kitchens", parts=parts, stated=True, whole=whole)


def draw_kitchen(
    rng: np.random.Generator, height: int, width: int, without: frozenset[str] = frozenset()
) -> tuple[Image, NDArray[np.uint8]]:
    """A picture (height, width, 3) uint8 RGB and its classes (height, width) uint8: 0, 1 egg,
    2 pan. A function of the state of `rng` and of `without`, a set of `PARTS`, alone."""
    plan = _plan(rng, without)
    pose = _pose(rng, plan, (height, width), aslant="aslant" not in without)
    canvas = Canvas(pose, _lamp(rng, without))
    ground = _table(rng, canvas, rich="surroundings" not in without)
    _Scene(rng, canvas, ground, without).draw(plan)
    return _photograph(rng, cv2.merge(tuple(canvas.image)), canvas.lamp, faults="camera" not in without), canvas.classes  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Plan:
    """How many pans and groups of eggs a picture is about, and whether there is a cooker."""

    n_pans: int
    n_groups: int
    hob: bool


def _plan(rng: Rng, without: frozenset[str]) -> _Plan:
    n_pans = int(rng.choice(3, p=(0.42, 0.48, 0.1)))
    n_groups = int(rng.choice(4, p=(0.25, 0.45, 0.2, 0.1))) if n_pans else int(rng.integers(1, 4))
    if rng.random() < 0.09:
        n_pans = n_groups = 0
    if "pans" in without:
        n_pans = 0
    if without >= {"shell", "peeled", "fried"}:
        n_groups = 0
    hob = rng.random() < (0.3 if n_pans else 0.1) and "decoys" not in without
    return _Plan(n_pans, n_groups, hob)


def _pose(rng: Rng, plan: _Plan, size: tuple[int, int], *, aslant: bool) -> Pose:
    """From above in two of five pictures; from 10 cm wide, for an egg, to a whole table."""
    pitch = abs(rng.normal(0, 0.12))
    roll = rng.uniform(0, 2 * pi)
    if aslant and rng.random() < 0.6:
        pitch, roll = rng.uniform(0.2, 1.4), rng.normal(0, 0.08)
    near = 0.15 if plan.n_pans else 0.55
    span = log_uniform(rng, 10, 35) if rng.random() < near else log_uniform(rng, 32, 150)
    return Pose.above(pitch=pitch, roll=roll, span_cm=span, size=size)


def _lamp(rng: Rng, without: frozenset[str]) -> Lamp:
    turn, reach = rng.uniform(0, 2 * pi), abs(rng.normal(0, 0.7))
    shadows = 0.0 if "shadows" in without else rng.uniform(0.1, 0.75)
    return Lamp(
        slope=np.array([np.cos(turn), np.sin(turn)]) * min(reach, 1.8),
        softness=log_uniform(rng, 0.05, 1.0),
        ambient=rng.uniform(0.25, 0.85),
        shadows=shadows,
        colour=np.exp(rng.normal(0, 0.12) * np.array([1, 0, -1]) + rng.normal(0, 0.04, 3)),
    )


# ------------------------------------------------------------------------------- table and room

_TABLES = (
    (0.62, 0.43, 0.25), (0.78, 0.62, 0.42), (0.36, 0.22, 0.14), (0.9, 0.89, 0.87), (0.95, 0.95, 0.95),
    (0.06, 0.06, 0.06), (0.13, 0.13, 0.14), (0.3, 0.31, 0.32), (0.42, 0.45, 0.46), (0.6, 0.6, 0.6),
)  # fmt: skip


def _table(rng: Rng, canvas: Canvas, *, rich: bool) -> Points:
    """Fills the picture: a table, and a room where the table ends.

    Gives the world points x, y (N, 2) in cm of the pixels where the table is.
    """
    height, width = canvas.classes.shape
    room = _room(rng, height, width) if rich else grey(0.5)
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    world_x, world_y, meets = canvas.pose.rays(x, y)
    far = rng.uniform(0.3, 1.2) * max(canvas.pose.eye[2], 30) + rng.uniform(0, 60)
    sides = np.where(rng.random(3) < 0.5, rng.uniform(15, 90, 3), 1e4)
    on_table = meets & (world_y < far) & (world_x < sides[0]) & (world_x > -sides[1])
    on_table &= world_y > -sides[2]
    side = int(np.clip(max(height, width), 32, 512))
    tile = _texture(rng, side) if rich else np.full((3, side, side), 0.45, np.float32)
    turn = rng.choice([0.0, rng.uniform(0, 2 * pi)])
    cm = side / (canvas.pose.eye[2] * log_uniform(rng, 0.5, 1.5) + 5)
    u = (world_x * np.cos(turn) + world_y * np.sin(turn)) * cm
    v = (world_y * np.cos(turn) - world_x * np.sin(turn)) * cm
    u, v = u.astype(np.float32) + side / 2, v.astype(np.float32) + side / 2
    seen = cv2.remap(cv2.merge(tuple(tile)), u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    share = cv2.blur(on_table.astype(np.float32), (3, 3))
    canvas.image[:] = room + share * (np.moveaxis(seen, -1, 0) - room)
    return np.column_stack([world_x[on_table], world_y[on_table]])


def _room(rng: Rng, height: int, width: int) -> Field:
    """What is behind the table (3, H or 1, W or 1): blurred shapes, a flat wall or darkness."""
    if rng.random() < 0.4:
        return tinted(rng, (0.6, 0.57, 0.53), 0.3) * rng.uniform(0.1, 1.4)
    small = (max(height // 2, 8), max(width // 2, 8))
    far = draw_texture(rng, *small).astype(np.float32) / 255
    far = cv2.GaussianBlur(far, (0, 0), log_uniform(rng, 0.3, 4))
    room = cv2.resize(_faded(far, rng.uniform(0.1, 0.8)), (width, height))
    return np.moveaxis(room * np.float32(rng.uniform(0.3, 1.1)), -1, 0)


def _faded(scene: Field, colour: float) -> Field:
    """The scene (H, W, 3) with this share of its colour: 0 is grey."""
    weights = (1 - colour) * np.array([0.3, 0.59, 0.11]) + colour * np.eye(3)
    return cv2.transform(scene, weights.astype(np.float32))


def _texture(rng: Rng, side: int) -> Field:
    """A table's surface (3, side, side)."""
    base = pick(rng, _TABLES, 0.06)
    if rng.random() < 0.15:
        base = any_colour(rng)
    kinds: tuple[Callable[[Rng, int, Field], Field], ...] = (_wood, _stone, _tiles, _cloth, _brushed, _plain)  # fmt: skip
    if rng.random() < 0.12:
        drawn = draw_texture(rng, side // 2, side // 2).astype(np.float32) / 255
        return np.moveaxis(cv2.resize(_faded(drawn, rng.uniform(0, 1)), (side, side)), -1, 0)
    draw = kinds[rng.choice(len(kinds), p=(0.2, 0.25, 0.1, 0.12, 0.08, 0.25))]
    return np.ascontiguousarray(draw(rng, side, base), np.float32)


def _wood(rng: Rng, side: int, base: Field) -> Field:
    shape = (side, side)
    veins = grain(rng, shape, side / 2, rng.uniform(1.5, 6)) + grain(rng, shape, side / 3, side / 12)  # fmt: skip
    field: Field = base * (1 + rng.uniform(0.02, 0.14) * veins)
    if rng.random() < 0.5:
        planks = int(rng.integers(2, 9))
        tones = np.repeat(rng.normal(1, 0.08, planks), -(-side // planks))[:side]
        field *= tones[:, None]
        field[:, :: -(-side // planks)] *= 0.6
    return field


def _stone(rng: Rng, side: int, base: Field) -> Field:
    shape = (side, side)
    field = base * (1 + rng.uniform(0.02, 0.15) * grain(rng, shape, side / rng.uniform(3, 12)))
    field *= 1 + rng.uniform(0, 0.1) * grain(rng, shape, rng.uniform(1, 4))
    if rng.random() < 0.4:
        specks = grain(rng, shape, rng.uniform(1.5, 4)) > rng.uniform(1.2, 2.2)
        field = np.where(specks, any_colour(rng), field)
    return field


def _tiles(rng: Rng, side: int, base: Field) -> Field:
    field = _stone(rng, side, base)
    period, gap = int(side / rng.uniform(2, 9)) + 3, int(rng.integers(1, 4))
    lines = np.arange(side) % period < gap
    joint = base * rng.choice([0.5, 0.75, 1.3])
    field[:, lines], field[..., lines] = joint, joint
    return field


def _cloth(rng: Rng, side: int, base: Field) -> Field:
    """Stripes or checks over a weave."""
    other = any_colour(rng)
    wave = np.sign(np.sin(np.arange(side) * (2 * pi / (side / rng.uniform(3, 25)))) + rng.uniform(-0.6, 0.6))  # fmt: skip
    rows, columns = wave[:, None] * (rng.random() < 0.6), wave[None]
    share = np.clip(0.5 + 0.25 * (rows + columns), 0, 1)
    field = base + (other - base) * share * rng.uniform(0.2, 1)
    return field * (1 + 0.05 * grain(rng, (side, side), 1.5) + 0.04 * grain(rng, (side, side), side / 6))  # fmt: skip


def _brushed(rng: Rng, side: int, base: Field) -> Field:
    base = tinted(rng, (0.55, 0.55, 0.55), 0.2)
    field: Field = base * (1 + 0.06 * grain(rng, (side, side), side / 2, 1) + 0.15 * grain(rng, (side, side), side / 3))  # fmt: skip
    return field


def _plain(rng: Rng, side: int, base: Field) -> Field:
    field: Field = base * (1 + rng.uniform(0, 0.04) * grain(rng, (side, side), side / rng.uniform(2, 60)))  # fmt: skip
    return field


# ----------------------------------------------------------------------------------------- scene


_Job = tuple[float, Callable[[], None]]
"""How far away a thing stands (its y), and what draws it."""


class _Scene:
    """Puts things on the table, far ones first, none inside another."""

    def __init__(self, rng: Rng, canvas: Canvas, ground: Points, without: frozenset[str]) -> None:
        self.rng = rng
        self.canvas = canvas
        self.ground = ground
        self.without = without
        self.burners: list[Points] = []
        self.taken: list[tuple[float, float, float]] = []
        kinds = (("shell", 0.68), ("peeled", 0.2), ("fried", 0.12))
        self.kinds = [(kind, share) for kind, share in kinds if kind not in without]
        self.look = pick(rng, SHELLS)
        self.held: list[tuple[Points, float]] = []

    def draw(self, plan: _Plan) -> None:
        """Everything on the table, and the hands over it."""
        if plan.hob:
            self._hob()
        jobs = [self._place(self._pan_at, 11, tries=30, burners=True) for _ in range(plan.n_pans)]
        jobs += [self._place(self._eggs_at, 5, tries=30) for _ in range(plan.n_groups)]
        jobs += self._others()
        for _, job in sorted((job for job in jobs if job), key=lambda job: -job[0]):
            job()
        self._hands()

    def _others(self) -> list[_Job | None]:
        """Jobs for clutter and decoys."""
        rng, things = self.rng, []
        wide = self.canvas.pose.eye[2] > 40
        for name, kinds in (("clutter", clutter.CLUTTER), ("decoys", clutter.DECOYS)):
            n = int(rng.integers(0, 8 if wide else 4)) if name not in self.without else 0
            for pick_one in rng.integers(0, len(kinds), n):
                thing, radius = kinds[pick_one]
                things.append(self._place(lambda spot, draw=thing: draw(self.canvas, rng, spot), radius))  # fmt: skip
        return things

    def _place(
        self, draw: Callable[[Points], None], radius: float, *, tries: int = 6, burners: bool = False
    ) -> _Job | None:
        """A thing at a free place of the table that the picture shows, or None."""
        rng = self.rng
        for _ in range(tries if len(self.ground) else 0):
            x, y = self.ground[rng.integers(len(self.ground))] + rng.normal(0, 1, 2)
            if burners and self.burners and rng.random() < 0.6:
                x, y = self.burners[rng.integers(len(self.burners))][:2]
            if all(np.hypot(x - a, y - b) > 0.9 * (radius + c) for a, b, c in self.taken):
                self.taken.append((x, y, radius))
                spot = np.array([x, y, 0.0])
                return float(y), lambda: draw(spot)
        return None

    def _hob(self) -> None:
        """A cooker with plates, rings or grates, flat on the table."""
        rng, canvas = self.rng, self.canvas
        look = pick(rng, ((0.05, 0.05, 0.06), (0.92, 0.92, 0.92), (0.7, 0.7, 0.7)))
        x, y = rng.normal(0, 12, 2)
        n_x, n_y, pitch = int(rng.integers(1, 3)), int(rng.integers(1, 3)), rng.uniform(20, 28)
        half_size = np.array([n_x, n_y]) * pitch / 2 + 2
        corners = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * half_size + (x, y)
        level = np.column_stack([corners, np.full(4, 0.0)])
        canvas.fill(look, 0, canvas.pose.project(level), light=0.1)
        kind = rng.integers(3)
        for i in range(n_x):
            for j in range(n_y)[::-1]:
                spot = np.array([x + (i - (n_x - 1) / 2) * pitch, y + (j - (n_y - 1) / 2) * pitch, 0])
                self._burner(spot, int(kind))
                self.burners.append(spot)

    def _burner(self, spot: Points, kind: int) -> None:
        rng, canvas = self.rng, self.canvas
        radius = rng.uniform(7, 10)
        if kind == 0:
            clutter.hot_plate(canvas, rng, spot, radius)
        elif kind == 1:
            line = canvas.pose.project(ring(spot, radius, 0))
            inner = canvas.pose.project(ring(spot, radius * 0.96, 0))
            cover = canvas.cover(line)
            if cover.alpha.size:
                canvas.paint(cover.times(1 - canvas.alpha(cover, inner)), grey(0.6), None)
        else:
            clutter.hot_plate(canvas, rng, spot, radius * 0.45)
            for turn in np.arange(4) * (pi / 2) + rng.uniform(0, 0.3):
                arm = np.array([np.cos(turn), np.sin(turn), 0])
                line = spot + np.linspace(0.35, 1.3, 4)[:, None] * arm * radius + (0, 0, 2)
                clutter.rod(canvas, line, np.full(4, 1.0), grey(0.08))

    # ------------------------------------------------------------------------- eggs and pans

    def _pan_at(self, spot: Points) -> None:
        rng, canvas = self.rng, self.canvas
        seat, line = pan(
            canvas, rng, spot, rng.uniform(8, 16), handles="handles" not in self.without
        )
        draw = rng.random()
        if draw < 0.45 and self.kinds:
            self._eggs_in(seat, int(rng.integers(1, 5)))
        elif draw < 0.55 and "clutter" not in self.without:
            before = canvas.classes == 2
            clutter.crumbs(canvas, rng, seat.spot, seat.radius * 0.7)
            canvas.classes[before] = 2
        if rng.random() < 0.3 and "hands" not in self.without:
            self.held.append((canvas.pose.project(line[6:9]).mean(0), 1.2 * canvas.pose.px_per_cm(line[7])))  # fmt: skip

    def _eggs_at(self, spot: Points) -> None:
        """A group of eggs: bare, or in a dish or carton."""
        rng, canvas = self.rng, self.canvas
        draw = rng.random() if "hosts" not in self.without else 0
        if draw < 0.5:
            self._eggs_in(Seat(spot, 7), int(rng.choice([1, 1, 1, 2, 3, 4])))
        elif draw < 0.82:
            deep = rng.random() < 0.3
            seat = dish(canvas, rng, spot, rng.uniform(5, 13), deep=deep)
            self._eggs_in(seat, int(rng.choice([1, 1, 2, 3, 6])))
        elif "shell" not in self.without:
            share = rng.choice([1.0, rng.uniform(0.3, 1)])
            for seat in carton(canvas, rng, spot):
                if rng.random() < share:
                    length = rng.uniform(5.2, 6.2)
                    egg(canvas, rng, seat, peeled=False, look=self._shell(), length=length, upright=True, sunk=1.5)  # fmt: skip
        else:
            self._eggs_in(Seat(spot, 7), 1)

    def _eggs_in(self, seat: Seat, n: int) -> None:
        """Up to `n` eggs side by side within a seat, the far ones first."""
        rng, placed = self.rng, []
        kind = self._kind()
        room = max(seat.radius - 3, 0.01)
        for _ in range(4 * n):
            turn, reach = rng.uniform(0, 2 * pi), room * np.sqrt(rng.random())
            spot = seat.spot + (reach * np.cos(turn), reach * np.sin(turn), 0)
            apart = 7.5 if kind == "fried" else 5.0
            if len(placed) < n and all(np.hypot(*(spot - other)[:2]) > apart for other in placed):
                placed.append(spot)
        for spot in sorted(placed, key=lambda spot: -spot[1]):
            self._egg(Seat(spot, 3, seat.hidden_by), kind if rng.random() < 0.85 else self._kind())

    def _egg(self, seat: Seat, kind: str) -> None:
        rng, canvas = self.rng, self.canvas
        if kind == "fried":
            fried(canvas, rng, seat)
        elif kind == "peeled" and rng.random() < 0.3:
            half(canvas, rng, seat)
        else:
            peeled = kind == "peeled"
            outline = egg(canvas, rng, seat, peeled=peeled, look=None if peeled else self._shell())
            reach = float(np.ptp(outline, axis=0).max()) / 2
            if rng.random() < 0.25 and "hands" not in self.without:
                self.held.append((outline.mean(0), reach))

    def _shell(self) -> Field:
        """The scene's shells are of one sort, but for a few."""
        return tinted(self.rng, self.look if self.rng.random() < 0.8 else SHELLS[self.rng.integers(4)], 0.03)  # fmt: skip

    def _kind(self) -> str:
        shares = np.array([share for _, share in self.kinds])
        return self.kinds[self.rng.choice(len(shares), p=shares / shares.sum())][0]

    def _hands(self) -> None:
        """Hands at some of what is held, and sometimes one that holds nothing."""
        rng, canvas = self.rng, self.canvas
        if "hands" in self.without:
            return
        if not self.held and rng.random() < 0.12:
            at = rng.random(2) * (canvas.pose.width, canvas.pose.height)
            self.held.append((at, 3 * self._cm()))
        for at, reach in self.held[:2]:
            if rng.random() < 0.12:
                clutter.gripper(canvas, rng, at, reach)
            else:
                cm = max(self._cm(), reach / 4.0)
                hand(canvas, rng, at, cm, grip=str(rng.choice(["point", "pinch", "over", "rest"], p=(0.4, 0.35, 0.15, 0.1))), reach=reach)  # fmt: skip

    def _cm(self) -> float:
        return self.canvas.pose.px_per_cm(np.zeros(3))


# ---------------------------------------------------------------------------------------- camera


def _photograph(rng: Rng, scene: Field, lamp: Lamp, *, faults: bool) -> Image:
    """The picture a camera takes of a scene: light, lens, sensor, 8 bits, JPEG."""
    if faults:
        scene = _exposed(rng, scene * lamp.colour.astype(np.float32))
        scene = _lens(rng, scene)
        if rng.random() < 0.6:
            noise = rng.standard_normal(scene.shape, np.float32)
            scene = cv2.scaleAdd(noise, log_uniform(rng, 0.003, 0.06), scene)
    picture: NDArray[Any] = cv2.convertScaleAbs(np.clip(scene, 0, 1), alpha=255)
    picture = picture.reshape(*scene.shape)
    if faults and rng.random() < 0.35:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))])
        decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
        picture = np.asarray(decoded, np.uint8)
    return picture


def _exposed(rng: Rng, scene: Field) -> Field:
    """Uneven light over the table, the exposure and the sensor's curve."""
    height, width = scene.shape[:2]
    if rng.random() < 0.6:
        falloff = np.exp(rng.normal(0, rng.uniform(0.05, 0.4), (3, 3, 1)) + rng.normal(0, 0.02, (3, 3, 3)))  # fmt: skip
        scene = scene * cv2.resize(falloff.astype(np.float32), (width, height))
    gain, gamma, lift = log_uniform(rng, 0.6, 1.6), log_uniform(rng, 0.65, 1.35), max(rng.normal(0, 0.04), 0)  # fmt: skip
    scene = cv2.pow(np.clip(scene * np.float32(gain), 0, 2), gamma) + np.float32(lift)
    return _faded(scene, rng.uniform(0.4, 1.25))


def _lens(rng: Rng, scene: Field) -> Field:
    """Blur out of focus or from motion, and dark corners."""
    side = max(scene.shape)
    draw = rng.random()
    if draw < 0.4:
        scene = cv2.GaussianBlur(scene, (0, 0), log_uniform(rng, 0.3, 1.6) * max(side / 256, 0.5))
    elif draw < 0.5:
        scene = cv2.filter2D(scene, -1, _streak(rng, int(rng.integers(3, 9))))
    if rng.random() < 0.3:
        scene = scene * _vignette(rng, *scene.shape[:2])
    return scene


def _streak(rng: Rng, length: int) -> Field:
    kernel = np.zeros((length, length), np.float32)
    middle, turn = (length - 1) / 2, rng.uniform(0, pi)
    ends = [(round(middle + s * middle * np.cos(turn)), round(middle + s * middle * np.sin(turn))) for s in (-1, 1)]  # fmt: skip
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return kernel / kernel.sum()


def _vignette(rng: Rng, height: int, width: int) -> Field:
    """(H, W, 1): corners that darken, or the black surround of a round lens."""
    x = (np.arange(width, dtype=np.float32) - width / 2)[None] / max(width, height)
    y = (np.arange(height, dtype=np.float32) - height / 2)[:, None] / max(width, height)
    radius = np.sqrt((x - rng.normal(0, 0.03)) ** 2 + (y - rng.normal(0, 0.03)) ** 2)
    if rng.random() < 0.3:
        edge, soft = rng.uniform(0.42, 0.6), log_uniform(rng, 0.01, 0.1)
        return np.clip((edge - radius) / soft + 0.5, 0.02, 1).astype(np.float32)[..., None]
    return (1 / (1 + rng.uniform(0.5, 3) * radius**2)).astype(np.float32)[..., None]
