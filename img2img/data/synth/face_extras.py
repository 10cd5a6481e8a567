"""Glasses, and what hides a part of a face: hands, things, bars, microphones."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import cv2
import numpy as np

from img2img.data.synth.face_head import spline
from img2img.data.synth.face_layout import LEFT_EYE, RIGHT_EYE
from img2img.data.synth.face_portrait import SKINS, Portrait, shared
from img2img.data.synth.kitchen_canvas import (
    Field,
    Points,
    Rng,
    any_colour,
    disc,
    grey,
    log_uniform,
    pick,
    tube,
)

# ---------------------------------------------------------------------------------------- glasses


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lens:
    """Half width and height in the unit, how square, how thick the frame is, and the colours."""

    sizes: Points
    square: float
    thick: float
    frame: Field
    tint: Field | None


FRAMES = (
    (0.04, 0.04, 0.04), (0.25, 0.13, 0.07), (0.6, 0.55, 0.4), (0.6, 0.6, 0.62), (0.5, 0.08, 0.1),
)  # fmt: skip


def glasses(portrait: Portrait, rng: Rng) -> None:
    """Frames about the eyes, from thin wires to thick horn, clear or dark."""
    face, canvas = portrait.face, portrait.canvas
    shade = np.clip(any_colour(rng) * 0.3, 0, 0.4) if rng.random() < 0.3 else grey(0.03)
    lens = _Lens(
        sizes=rng.uniform((0.34, 0.17), (0.44, 0.32)),
        square=log_uniform(rng, 2, 6),
        thick=max(log_uniform(rng, 0.012, 0.07) * portrait.px, 0.8),
        frame=pick(rng, FRAMES, 0.2),
        tint=shade if rng.random() < 0.3 else None,
    )
    lowered = rng.uniform(0.0, 0.1)
    inner = []
    for part, side in ((RIGHT_EYE, -1), (LEFT_EYE, 1)):
        middle = face.surface.layout[part].mean(0) * (1.06, 1) + (0, lowered)
        _glass(portrait, rng, lens, middle)
        ends = _before(middle + lens.sizes * ((-side * 0.97, -0.2), (side * 0.97, -0.2)))
        inner.append(ends[0])
        _arm(portrait, lens, ends[1], side)
    bridge = np.stack([inner[0], (inner[0] + inner[1]) / 2 + (0, -0.03, 0.06), inner[1]])
    way = face.shot.project(spline(bridge, 4))[:, :2]
    canvas.fill(lens.frame, None, *tube(way, np.full(len(way), lens.thick)))


def _before(flat: Points) -> Points:
    """(N, 3): places before the eyes, on a surface that bends back a little."""
    return np.column_stack([flat, 0.3 - 0.3 * flat[:, 0] ** 2])


def _rounded(square: float) -> Points:
    """(40, 2): a curve between a circle (2) and the square of side 2 (much more)."""
    angles = np.linspace(0, 2 * pi, 40, endpoint=False)
    turn = np.column_stack([np.cos(angles), np.sin(angles)])
    curve: Points = np.sign(turn) * np.abs(turn) ** (2 / square)
    return curve


def _glass(portrait: Portrait, rng: Rng, lens: _Lens, middle: Points) -> None:
    """One lens with its rim and what it mirrors."""
    canvas, shot = portrait.canvas, portrait.face.shot
    outline = _rounded(lens.square)
    outline[:, 0] *= np.where(outline[:, 1] > 0, 0.94, 1.0)
    rim = shot.project(_before(middle + outline * lens.sizes))[:, :2]
    pane = canvas.cover(rim)
    if lens.tint is not None and pane.alpha.size:
        _, y = pane.grid
        fade = 0.97 - 0.25 * (y - np.float32(rim[:, 1].min())) / max(float(np.ptp(rim[:, 1])), 1)
        canvas.paint(pane.times(np.clip(fade, 0, 1)), lens.tint, None)
    if rng.random() < 0.5:
        left, right = np.sort(rng.uniform(-0.9, 0.9, 2))
        gleam = [(left, -0.8), (right, -0.8), (right - 0.4, 0.8), (left - 0.4, 0.8)]
        shape = shot.project(_before(middle + np.array(gleam) * lens.sizes))[:, :2]
        bright = shared(canvas.cover(shape), pane)
        canvas.paint(bright, grey(1.0), None, opacity=rng.uniform(0.05, 0.3))
    canvas.fill(lens.frame, None, *tube(np.concatenate([rim, rim[:1]]), np.full(41, lens.thick)))


def _arm(portrait: Portrait, lens: _Lens, hinge: Points, side: int) -> None:
    """From the lens to the ear, where the head does not hide it."""
    face = portrait.face
    temple = abs(float(face.surface.layout[8 + 8 * side, 0])) + 0.04
    back = np.array([side * temple, hinge[1] - 0.02, -0.95])
    way = face.shot.project(
        np.stack([hinge, hinge * (0.1, 0.5, 0.7) + back * (0.9, 0.5, 0.3), back])
    )
    height, width = face.size
    x, y = np.clip(np.rint(way[1, :2]), 0, (width - 1, height - 1)).astype(int)
    if way[1, 2] > portrait.depth[y, x] - 0.1:
        arm = tube(way[:, :2], np.full(3, lens.thick * 0.9))
        portrait.canvas.fill(lens.frame * 0.8, None, *arm)


# -------------------------------------------------------------------------------------- occlusion


def occluders(portrait: Portrait, rng: Rng) -> None:
    """A hand, a thing or bars before a part of the face."""
    kind = rng.choice(["hand", "thing", "bar", "microphone"], p=[0.4, 0.25, 0.15, 0.2])
    if kind == "hand":
        _hand(portrait, rng)
    elif kind == "thing":
        _thing(portrait, rng)
    elif kind == "bar":
        _bar(portrait, rng)
    else:
        _microphone(portrait, rng)


def _hand(portrait: Portrait, rng: Rng) -> None:
    """Fingers, a palm and an arm, of the person's skin or another's."""
    px = portrait.px
    skin = portrait.skin if rng.random() < 0.8 else pick(rng, SKINS, 0.05)
    near = portrait.face.points[rng.choice([2, 4, 6, 8, 10, 12, 14, 48, 54])]
    target, turn = near + rng.normal(0, 0.15, 2) * px, rng.normal(-pi / 2, 0.7)
    out = np.array([np.cos(turn), np.sin(turn)]) * px
    aside = np.array([-out[1], out[0]])
    palm, wrist = target - out, target - out * 2.5
    _limb(portrait, [wrist - out * 4, wrist, palm], (1.3, 0.95, 1.25), skin)
    for place in (-0.48, -0.16, 0.16, 0.46):
        long = 0.5 - 0.8 * abs(place) + rng.normal(0, 0.1)
        tip = target + aside * place * rng.uniform(0.8, 1.3) + out * long
        root = palm + aside * place
        bend = (root + tip) / 2 + aside * rng.normal(0, 0.05)
        _limb(portrait, [root, bend, tip], (0.34, 0.31, 0.26), skin)
    side = aside * rng.choice([-1, 1])
    thumb = [wrist + side * 0.3, palm + side * 0.75 - out * 0.2, palm + side * 0.85 + out * 0.35]
    _limb(portrait, thumb, (0.5, 0.38, 0.28), skin)


def _limb(
    portrait: Portrait, way: Sequence[Points], widths: tuple[float, ...], skin: Field
) -> None:
    """A thick line through picture points, `widths` in the unit, with its shadow."""
    canvas, px = portrait.canvas, portrait.px
    shapes = tube(np.stack(way), np.array(widths) * px)
    canvas.darken(canvas.cover(*shapes, margin=0.2 * px, fine=1), 0.35, 0.15 * px)
    cover = canvas.cover(*shapes)
    if cover.alpha.size:
        width_px = float(np.mean(widths)) * px
        relief = cv2.GaussianBlur(canvas.relief(cover, width_px / 2), (0, 0), 0.06 * width_px + 0.3)
        canvas.paint(cover, skin * (0.3 + 0.65 * relief), None)


def _thing(portrait: Portrait, rng: Rng) -> None:
    """A card, phone or cup: a polygon with round corners and something on it."""
    canvas, px = portrait.canvas, portrait.px
    centre = portrait.face.points[int(rng.integers(68))] + rng.normal(0, 0.5, 2) * px
    wide, tall, turn = rng.uniform(0.3, 0.8) * px, rng.uniform(0.3, 1.0) * px, rng.normal(0, 0.5)
    along = np.array([np.cos(turn), np.sin(turn)])
    shape = _rounded(rng.uniform(2, 8)) @ np.stack(
        [along * wide, (-along[1] * tall, along[0] * tall)]
    )
    canvas.darken(canvas.cover(centre + shape * 1.1, margin=0.1 * px, fine=1), 0.3, 0.1 * px)
    canvas.fill(any_colour(rng), None, centre + shape, light=0.3)
    if rng.random() < 0.6:
        canvas.fill(any_colour(rng), None, centre + shape * rng.uniform(0.4, 0.92), light=0.2)


def _bar(portrait: Portrait, rng: Rng) -> None:
    """One to three straight bars across the picture."""
    canvas, px = portrait.canvas, portrait.px
    turn, colour = rng.uniform(0, pi), any_colour(rng)
    way = np.array([np.cos(turn), np.sin(turn)]) * 3 * max(portrait.face.size)
    for _ in range(int(rng.integers(1, 4))):
        middle = portrait.face.points.mean(0) + rng.normal(0, 1.0, 2) * px
        width = rng.uniform(0.05, 0.3) * px
        canvas.fill(
            colour,
            None,
            *tube(np.stack([middle - way, middle + way]), np.array([width, width])),
            light=0.2,
        )


def _microphone(portrait: Portrait, rng: Rng) -> None:
    canvas, px = portrait.canvas, portrait.px
    head = portrait.face.points[57] + rng.normal(0, (0.5, 0.3), 2) * px + (0, 0.4 * px)
    foot = head + np.array([rng.normal(0, 1.2), rng.uniform(2, 4)]) * px
    canvas.fill(
        grey(rng.uniform(0.02, 0.3)),
        None,
        *tube(np.stack([head, foot]), np.array([0.25, 0.35]) * px),
        light=0.2,
    )
    canvas.fill(
        grey(rng.uniform(0.1, 0.5)), None, disc(head, rng.uniform(0.22, 0.34) * px, 24), light=0.5
    )
