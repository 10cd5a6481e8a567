"""Glasses, and what hides a part of a face: hands, things, bars, microphones."""

from math import pi

import numpy as np

from img2img.data.synth.face_head import spline
from img2img.data.synth.face_portrait import SKINS, Portrait
from img2img.data.synth.kitchen_canvas import (
    Canvas,
    Cover,
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


def glasses(portrait: Portrait, rng: Rng) -> None:
    """Frames about the eyes, from thin wires to thick horn, clear or dark."""
    face, canvas = portrait.face, portrait.canvas
    layout = face.surface.layout
    tall, wide = rng.uniform(0.17, 0.32), rng.uniform(0.34, 0.44)
    square, thick = log_uniform(rng, 2, 6), log_uniform(rng, 0.012, 0.07)
    dark = rng.random() < 0.3
    tint = np.clip(any_colour(rng) * 0.3, 0, 0.4) if rng.random() < 0.3 else grey(0.03)
    frame = pick(rng, ((0.04, 0.04, 0.04), (0.25, 0.13, 0.07), (0.6, 0.55, 0.4), (0.6, 0.6, 0.62), (0.5, 0.08, 0.1)), 0.2)
    angles = np.linspace(0, 2 * pi, 40, endpoint=False)
    c, s = np.cos(angles), np.sin(angles)
    unit = np.column_stack([np.sign(c) * np.abs(c) ** (2 / square), np.sign(s) * np.abs(s) ** (2 / square)])
    unit[:, 0] *= np.where(unit[:, 1] > 0, 0.94, 1.0)
    lowered = rng.uniform(0.0, 0.1)
    inner = []
    for part, side in ((slice(36, 42), -1), (slice(42, 48), 1)):
        middle = layout[part].mean(0) * (1.06, 1) + (0, lowered)
        flat = middle + unit * (wide, tall)
        # Lenses lie in a plane before the eyes that bends back a little.
        solid = np.column_stack([flat, 0.3 - 0.3 * np.abs(flat[:, 0]) ** 2])
        rim = face.shot.project(solid)[:, :2]
        lens = canvas.cover(rim)
        if dark:
            x, y = lens.grid
            fade = np.clip(0.97 - 0.25 * (y - rim[:, 1].min()) / max(float(np.ptp(rim[:, 1])), 1) + 0 * x, 0, 1)
            canvas.paint(lens.times(fade.astype(np.float32)), tint, None)
        if rng.random() < 0.5 or dark:
            lo, hi = np.sort(rng.uniform(-0.9, 0.9, 2))
            gleam = middle + np.array([(lo, -0.8), (hi, -0.8), (hi - 0.4, 0.8), (lo - 0.4, 0.8)]) * (wide, tall)
            depth = 0.3 - 0.3 * np.abs(gleam[:, 0]) ** 2
            shape = face.shot.project(np.column_stack([gleam, depth]))[:, :2]
            cover = canvas.cover(shape)
            inside = np.zeros(face.size, np.float32)
            inside[lens.rows, lens.columns] = lens.alpha
            canvas.paint(cover.times(inside[cover.rows, cover.columns]), grey(1.0), None, opacity=rng.uniform(0.05, 0.3))
        closed = np.concatenate([rim, rim[:1]])
        canvas.fill(frame, None, *tube(closed, np.full(41, max(thick * portrait.px, 0.8))))
        inner.append(solid[np.abs(solid[:, 0]).argmin()] * (1, 0, 1) + (0, middle[1] - 0.06, 0))
        hinge = solid[np.abs(solid[:, 0]).argmax()] * (1, 0, 1) + (0, middle[1] - 0.06, 0)
        back = np.array([side * (abs(float(layout[0 if side < 0 else 16, 0])) + 0.04), -0.05, -1.0])
        arm = face.shot.project(np.stack([hinge, (hinge + back) / 2, back]))
        if arm[1, 2] > portrait_depth(portrait, arm[1]) - 0.25:
            canvas.fill(frame * 0.8, None, *tube(arm[:, :2], np.full(3, max(thick * 0.9 * portrait.px, 0.7))))
    bridge = np.stack([inner[0], (inner[0] + inner[1]) / 2 + (0, -0.03, 0.06), inner[1]])
    way = face.shot.project(spline(bridge, 4))[:, :2]
    canvas.fill(frame, None, *tube(way, np.full(len(way), max(thick * portrait.px, 0.8))))


def portrait_depth(portrait: Portrait, point: Points) -> float:
    """The head's depth at a picture point (x, y, …)."""
    height, width = portrait.face.size
    x, y = int(np.clip(point[0], 0, width - 1)), int(np.clip(point[1], 0, height - 1))
    return float(portrait.depth[y, x])


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
    """Four fingers from below or aside, of the person's skin or another's."""
    canvas, px = portrait.canvas, portrait.px
    skin = portrait.skin if rng.random() < 0.8 else pick(rng, SKINS, 0.05)
    points = portrait.face.points
    target = points[rng.choice([2, 4, 6, 8, 10, 12, 14, 48, 54])] + rng.normal(0, 0.15, 2) * px
    turn = rng.normal(-pi / 2, 0.7)
    out, aside = np.array([np.cos(turn), np.sin(turn)]) * px, np.array([-np.sin(turn), np.cos(turn)]) * px
    palm = target - out * 1.0
    wrist = palm - out * 1.5
    limbs = [(np.stack([wrist - out * 4, wrist, palm]), np.array([1.3, 0.95, 1.25]))]
    for place in (-0.48, -0.16, 0.16, 0.46):
        tip = target + aside * place * rng.uniform(0.8, 1.3) + out * (0.5 - 0.8 * abs(place) + rng.normal(0, 0.1))
        root = palm + aside * place
        limbs.append((np.stack([root, (root + tip) / 2 + aside * rng.normal(0, 0.05), tip]), np.array([0.34, 0.31, 0.26])))
    side = rng.choice([-1, 1])
    limbs.append((np.stack([wrist + aside * side * 0.3, palm + aside * side * 0.75 - out * 0.2, palm + aside * side * 0.85 + out * 0.35]), np.array([0.5, 0.38, 0.28])))
    for way, widths in limbs:
        shapes = tube(way, widths * px)
        canvas.darken(canvas.cover(*shapes, margin=0.2 * px, fine=1), 0.35, 0.15 * px)
        cover = canvas.cover(*shapes)
        if cover.alpha.size:
            relief = canvas.relief(cover, float(widths.mean()) * px * 0.5)
            canvas.paint(cover, skin * (0.3 + 0.65 * relief), None)


def _thing(portrait: Portrait, rng: Rng) -> None:
    """A card, phone or cup: a polygon with round corners and something on it."""
    canvas, px = portrait.canvas, portrait.px
    centre = portrait.face.points[int(rng.integers(68))] + rng.normal(0, 0.5, 2) * px
    wide, tall, turn = rng.uniform(0.3, 0.8) * px, rng.uniform(0.3, 1.0) * px, rng.normal(0, 0.5)
    axes = np.array([[np.cos(turn) * wide, np.sin(turn) * wide], [-np.sin(turn) * tall, np.cos(turn) * tall]])
    square = rng.uniform(2, 8)
    angles = np.linspace(0, 2 * pi, 40, endpoint=False)
    c, s = np.cos(angles), np.sin(angles)
    unit = np.column_stack([np.sign(c) * np.abs(c) ** (2 / square), np.sign(s) * np.abs(s) ** (2 / square)])
    canvas.darken(canvas.cover(centre + unit @ axes * 1.1, margin=0.1 * px, fine=1), 0.3, 0.1 * px)
    canvas.fill(any_colour(rng), None, centre + unit @ axes, light=0.3)
    if rng.random() < 0.6:
        canvas.fill(any_colour(rng), None, centre + unit @ axes * rng.uniform(0.4, 0.92), light=0.2)


def _bar(portrait: Portrait, rng: Rng) -> None:
    """One to three straight bars across the picture."""
    canvas, px = portrait.canvas, portrait.px
    turn, colour = rng.uniform(0, pi), any_colour(rng)
    way = np.array([np.cos(turn), np.sin(turn)]) * 3 * max(portrait.face.size)
    for _ in range(int(rng.integers(1, 4))):
        middle = portrait.face.points.mean(0) + rng.normal(0, 1.0, 2) * px
        width = rng.uniform(0.05, 0.3) * px
        canvas.fill(colour, None, *tube(np.stack([middle - way, middle + way]), np.array([width, width])), light=0.2)


def _microphone(portrait: Portrait, rng: Rng) -> None:
    canvas, px = portrait.canvas, portrait.px
    head = portrait.face.points[57] + rng.normal(0, (0.5, 0.3), 2) * px + (0, 0.4 * px)
    foot = head + np.array([rng.normal(0, 1.2), rng.uniform(2, 4)]) * px
    canvas.fill(grey(rng.uniform(0.02, 0.3)), None, *tube(np.stack([head, foot]), np.array([0.25, 0.35]) * px), light=0.2)
    canvas.fill(grey(rng.uniform(0.1, 0.5)), None, disc(head, rng.uniform(0.22, 0.34) * px, 24), light=0.5)
