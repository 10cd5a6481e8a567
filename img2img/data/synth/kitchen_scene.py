"""What a generated kitchen shows: who stands where, under which lamp, seen from where."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import pi

import numpy as np

from img2img.data.synth import kitchen_clutter as clutter
from img2img.data.synth import kitchen_decoys as decoys
from img2img.data.synth.kitchen_canvas import (
    Canvas,
    Field,
    Lamp,
    Points,
    Pose,
    Rng,
    grey,
    log_uniform,
    pick,
    raised,
    tinted,
)
from img2img.data.synth.kitchen_eggs import SHELLS, Seat, egg, fried, half
from img2img.data.synth.kitchen_hands import hand
from img2img.data.synth.kitchen_objects import (
    PAN,
    carton,
    dish,
    hoop,
    pan,
)
from img2img.data.synth.kitchen_room import table


def draw_scene(rng: Rng, size: tuple[int, int], without: frozenset[str]) -> Canvas:
    """A kitchen of `size` (H, W) pixels, before a camera adds its faults."""
    plan = _plan(rng, without)
    pose = _pose(rng, plan, size, aslant="aslant" not in without)
    canvas = Canvas(pose, _lamp(rng, without))
    ground = table(rng, canvas, rich="surroundings" not in without)
    _Scene(rng, canvas, ground, without).draw(plan)
    return canvas


@dataclass(frozen=True, slots=True)
class _Plan:
    """How many pans and groups of eggs a picture is about, and whether there is a cooker."""

    n_pans: int
    n_groups: int
    hob: bool


def _plan(rng: Rng, without: frozenset[str]) -> _Plan:
    n_pans = int(rng.choice(3, p=(0.42, 0.48, 0.1)))
    n_groups = int(rng.choice(4, p=(0.42, 0.36, 0.15, 0.07))) if n_pans else int(rng.integers(1, 4))
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
        rng = self.rng
        things: list[_Job | None] = []
        wide = self.canvas.pose.eye[2] > 40
        for name, kinds in (("clutter", clutter.CLUTTER), ("decoys", decoys.DECOYS)):
            n = int(rng.integers(0, 8 if wide else 4)) if name not in self.without else 0
            for pick_one in rng.integers(0, len(kinds), n):
                thing, radius = kinds[pick_one]
                things.append(self._place(partial(thing, self.canvas, rng), radius))
        return things

    def _place(
        self,
        draw: Callable[[Points], None],
        radius: float,
        *,
        tries: int = 6,
        burners: bool = False,
    ) -> _Job | None:
        """A thing at a free place of the table that the picture shows, or None."""
        rng = self.rng
        for _ in range(tries if len(self.ground) else 0):
            x, y = self.ground[rng.integers(len(self.ground))] + rng.normal(0, 1, 2)
            if burners and self.burners and rng.random() < 0.6:
                x, y = self.burners[rng.integers(len(self.burners))][:2]
            pose = self.canvas.pose
            # Nothing reaches behind the eye: its outline would flood the picture.
            if pose.axes[2] @ (np.array([x, y, 0.0]) - pose.eye) < 1.5 * radius:
                continue
            if all(np.hypot(x - a, y - b) > 0.9 * (radius + c) for a, b, c in self.taken):
                self.taken.append((x, y, radius))
                return float(y), partial(draw, np.array([x, y, 0.0]))
        return None

    def _hob(self) -> None:
        """A cooker with plates, rings or grates, flat on the table."""
        rng, canvas = self.rng, self.canvas
        look = pick(rng, ((0.05, 0.05, 0.06), (0.92, 0.92, 0.92), (0.7, 0.7, 0.7)))
        x, y = rng.normal(0, 12, 2)
        n_x, n_y, pitch = int(rng.integers(1, 3)), int(rng.integers(1, 3)), rng.uniform(20, 28)
        half_size = np.array([n_x, n_y]) * pitch / 2 + 2
        corners = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * half_size + np.array([x, y])
        level = np.column_stack([corners, np.full(4, 0.0)])
        canvas.fill(look, 0, canvas.pose.project(level), light=0.1)
        kind = rng.integers(3)
        for i in range(n_x):
            for j in range(n_y)[::-1]:
                spot = np.array(
                    [x + (i - (n_x - 1) / 2) * pitch, y + (j - (n_y - 1) / 2) * pitch, 0]
                )
                self._burner(spot, int(kind))
                self.burners.append(spot)

    def _burner(self, spot: Points, kind: int) -> None:
        rng, canvas = self.rng, self.canvas
        radius = rng.uniform(7, 10)
        if kind == 0:
            decoys.hot_plate(canvas, rng, spot, radius)
        elif kind == 1:
            hoop(canvas, spot, radius, grey(0.9))
        else:
            decoys.hot_plate(canvas, rng, spot, radius * 0.45)
            for turn in np.array([0, pi / 2]) + rng.uniform(0, 0.3):
                arm = np.array([np.cos(turn), np.sin(turn), 0])
                line = raised(spot, 2) + np.array([[-1.3], [0], [1.3]]) * arm * radius
                clutter.rod(canvas, line, np.full(3, 1.0), grey(0.08))

    # ------------------------------------------------------------------------- eggs and pans

    def _pan_at(self, spot: Points) -> None:
        rng, canvas = self.rng, self.canvas
        seat, line = pan(
            canvas, rng, spot, rng.uniform(8, 16), handles="handles" not in self.without
        )
        draw = rng.random()
        if draw < 0.35 and self.kinds:
            self._eggs_in(seat, int(rng.integers(1, 5)))
        elif draw < 0.47 and "clutter" not in self.without:
            before = canvas.classes == PAN
            clutter.crumbs(canvas, rng, seat.spot, seat.radius * 0.7)
            canvas.classes[before] = PAN
        if rng.random() < 0.3 and "hands" not in self.without:
            at = canvas.pose.project(line[6:9]).mean(0)
            self.held.append((at, 1.2 * canvas.pose.px_per_cm(line[7])))

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
                    egg(
                        canvas,
                        rng,
                        seat,
                        peeled=False,
                        look=self._shell(),
                        length=length,
                        upright=True,
                        sunk=1.5,
                    )
        else:
            self._eggs_in(Seat(spot, 7), 1)

    def _eggs_in(self, seat: Seat, n: int) -> None:
        """Up to `n` eggs side by side within a seat, the far ones first."""
        rng = self.rng
        placed: list[Points] = []
        kind = self._kind()
        room = max(seat.radius - 3, 0.01)
        for _ in range(4 * n):
            turn, reach = rng.uniform(0, 2 * pi), room * np.sqrt(rng.random())
            spot = seat.spot + np.array([reach * np.cos(turn), reach * np.sin(turn), 0])
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
        stray = self.rng.random() < 0.2
        return pick(self.rng, SHELLS, 0.03) if stray else tinted(self.rng, self.look, 0.03)

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
                grips = ("point", "pinch", "over", "rest")
                grip = grips[rng.choice(4, p=(0.4, 0.35, 0.15, 0.1))]
                hand(canvas, rng, at, cm, grip=grip, reach=reach)

    def _cm(self) -> float:
        return self.canvas.pose.px_per_cm(np.zeros(3))
