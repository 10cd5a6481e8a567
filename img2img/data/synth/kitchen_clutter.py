"""What lies about in kitchens and on desks and is neither egg nor pan, much of it as round."""

from collections.abc import Callable
from itertools import pairwise
from math import cos, pi, sin

import numpy as np

from img2img.data.synth.kitchen_canvas import (
    Canvas,
    Field,
    Points,
    Rng,
    any_colour,
    blob,
    curve,
    disc,
    grain,
    grey,
    hull,
    log_uniform,
    pick,
    raised,
    ring,
    tinted,
    tube,
)
from img2img.data.synth.kitchen_objects import dish, vessel

Thing = Callable[[Canvas, Rng, Points], None]

_DARK = ((0.05, 0.05, 0.05), (0.12, 0.12, 0.13), (0.2, 0.2, 0.22))
_STEEL = ((0.6, 0.6, 0.6), (0.75, 0.75, 0.73), (0.45, 0.45, 0.47))


# ----------------------------------------------------------------------------------- round decoys


def _roundish(canvas: Canvas, rng: Rng, points: Points, look: Field, gloss: float) -> Points:
    """A convex body of world points (N, 3); gives its outline in the picture."""
    canvas.shadow(points, float(points[:, 2].min()))
    outline = hull(canvas.pose.project(points))
    cover = canvas.cover(outline)
    if cover.alpha.size:
        size = max(cover.alpha.shape)
        cell = max(size / log_uniform(rng, 2, 30), 1)
        skin = look * (1 + rng.uniform(0, 0.12) * grain(rng, cover.alpha.shape, cell))
        canvas.paint(cover, canvas.lit(cover, outline, skin, gloss=gloss, shine=30))
    return outline


def _sphere(centre: Points, radii: Points) -> Points:
    t = np.linspace(0, pi, 13)[:, None]
    angles = (np.arange(20) * (2 * pi / 20))[None]
    x, y, z = np.sin(t) * np.cos(angles), np.sin(t) * np.sin(angles), np.cos(t)
    unit = np.stack(np.broadcast_arrays(x, y, z), axis=-1)
    points: Points = unit.reshape(-1, 3) * radii + centre
    return points


def ball(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A ball of any colour, marked by seams or a band so that it is no egg."""
    radius = rng.uniform(1.8, 5)
    look = any_colour(rng)
    centre = raised(spot, radius)
    outline = _roundish(canvas, rng, _sphere(centre, np.full(3, radius)), look, rng.uniform(0, 0.6))
    ink = any_colour(rng)
    tilt = rng.uniform(0, pi)
    lean = np.array([[cos(tilt), 0, sin(tilt)], [0, 1, 0], [-sin(tilt), 0, cos(tilt)]])
    band = ring(np.zeros(3), radius, rng.uniform(-0.3, 0.5) * radius) @ lean + centre
    toward_eye = (band - centre) @ canvas.pose.axes[2] < 0
    if toward_eye.sum() > 3:
        line = canvas.pose.project(band[toward_eye])
        width = np.full(len(line), radius * rng.uniform(0.1, 0.5) * canvas.pose.px_per_cm(centre))
        cover = canvas.cover(*(disc(p, w / 2, 10) for p, w in zip(line, width, strict=True)))
        if cover.alpha.size:
            canvas.paint(cover.times(canvas.alpha(cover, outline)), ink, None, opacity=0.8)


_PRODUCE: tuple[tuple[tuple[float, float, float], tuple[float, float, float], float], ...] = (
    ((0.85, 0.15, 0.08), (3.2, 3.2, 2.7), 0.5),
    ((0.75, 0.45, 0.2), (3.6, 3.6, 3.2), 0.25),
    ((0.55, 0.12, 0.25), (3.4, 3.4, 3.1), 0.3),
    ((0.72, 0.6, 0.4), (4.6, 3.3, 2.9), 0.0),
    ((0.6, 0.45, 0.28), (5.0, 3.2, 2.8), 0.0),
    ((0.95, 0.8, 0.15), (4.0, 3.0, 3.0), 0.2),
    ((0.4, 0.65, 0.15), (3.6, 3.6, 3.3), 0.3),
    ((0.95, 0.5, 0.1), (3.8, 3.8, 3.6), 0.1),
    ((0.9, 0.87, 0.82), (2.5, 2.5, 1.8), 0.0),
    ((0.25, 0.15, 0.3), (6.0, 3.5, 3.3), 0.5),
)


def produce(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A tomato, onion, potato, lemon, apple, orange, garlic or aubergine."""
    colour, radii, gloss = _PRODUCE[rng.integers(len(_PRODUCE))]
    scale = rng.uniform(0.75, 1.2)
    size = np.array(radii) * scale * np.exp(rng.normal(0, 0.06, 3))
    points = _sphere(np.zeros(3), size)
    points *= 1 + 0.12 * np.sin(points[:, :1] * rng.uniform(0.3, 1) + rng.uniform(0, 6))
    turn = rng.uniform(0, 2 * pi)
    spun = np.column_stack(
        [
            points[:, 0] * cos(turn) - points[:, 1] * sin(turn),
            points[:, 0] * sin(turn) + points[:, 1] * cos(turn),
            points[:, 2] - points[:, 2].min(),
        ]
    )
    outline = _roundish(canvas, rng, spun + spot, tinted(rng, colour, 0.08), gloss)
    if rng.random() < 0.6:
        top = spot + np.append(rng.normal(0, 0.5, 2), size[2] * 1.9)
        stem = canvas.pose.project(top[None])[0]
        shape = blob(rng, 0.7 * canvas.pose.px_per_cm(spot), rough=0.8, n=16) + stem
        cover = canvas.cover(shape)
        if cover.alpha.size:
            look = pick(rng, ((0.2, 0.35, 0.1), (0.35, 0.25, 0.15)))
            canvas.paint(cover.times(canvas.alpha(cover, outline)), look, None)


def coin(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A coin, cap, washer, roll of tape or other small disc or ring."""
    radius, height = rng.uniform(0.9, 3.5), rng.uniform(0.1, 2.0)
    look = pick(rng, (*_STEEL, *_DARK, (0.8, 0.65, 0.35), (0.85, 0.85, 0.83), (0.7, 0.4, 0.25)))
    rim, foot = ring(spot, radius, height, 28), ring(spot, radius, 0, 28)
    canvas.shadow(np.concatenate([rim, foot]))
    canvas.fill(look * 0.6, 0, hull(canvas.pose.project(np.concatenate([rim, foot]))), light=0.3)
    canvas.fill(look, 0, canvas.pose.project(rim), light=0.15)
    inner = ring(spot, radius * rng.uniform(0.3, 0.9), height, 28)
    tone = look * rng.choice([0.4, rng.uniform(0.8, 1.2)])
    canvas.fill(tone, 0, canvas.pose.project(inner), light=-0.2)


def hot_plate(canvas: Canvas, rng: Rng, spot: Points, radius: float | None = None) -> None:
    """A dark disc as broad as a pan: a hot plate, a trivet, a turntable, a record."""
    radius = radius or rng.uniform(6, 14)
    height = rng.uniform(0.2, 2.0)
    look = pick(rng, _DARK)
    rim, foot = ring(spot, radius, spot[2] + height), ring(spot, radius, spot[2])
    canvas.shadow(np.concatenate([rim, foot]), float(spot[2]))
    body = hull(canvas.pose.project(np.concatenate([rim, foot])))
    canvas.fill(pick(rng, _STEEL) if rng.random() < 0.5 else look * 0.7, 0, body, light=0.3)
    for share in np.sort(rng.uniform(0.05, 0.97, rng.integers(1, 6)))[::-1]:
        level = ring(spot, radius * share, spot[2] + height)
        canvas.fill(look * rng.uniform(0.6, 1.5), 0, canvas.pose.project(level), light=0.1)


def lid(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A pot's lid with its knob, of glass or metal."""
    radius = rng.uniform(7, 14)
    look = pick(rng, (*_STEEL, *_DARK, (0.6, 0.65, 0.65)))
    opacity = rng.choice([1.0, rng.uniform(0.3, 0.7)])
    low, high = ring(spot, radius, 0.3), ring(spot, radius * 0.4, radius * 0.22)
    canvas.shadow(np.concatenate([low, high]))
    canvas.fill(pick(rng, _STEEL), 0, canvas.pose.project(low), light=0.3)
    outline = hull(canvas.pose.project(np.concatenate([ring(spot, radius * 0.95, 0.5), high])))
    cover = canvas.cover(outline)
    if cover.alpha.size:
        canvas.paint(cover, canvas.lit(cover, outline, look, gloss=0.5, shine=8), opacity=opacity)
    knob = _sphere(raised(spot, radius * 0.25 + 1), np.array([1.8, 1.8, 1.3]))
    _roundish(canvas, rng, knob, pick(rng, _DARK), 0.4)


def cup(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A cup, glass, jar or tin, empty or with a drink."""
    radius, height = rng.uniform(2.8, 5), rng.uniform(3, 12)
    look = any_colour(rng) if rng.random() < 0.6 else tinted(rng, (0.93, 0.92, 0.9))
    inside = pick(rng, ((0.15, 0.08, 0.04), (0.9, 0.9, 0.88), (0.45, 0.3, 0.18), (0.3, 0.3, 0.3)))
    vessel(
        canvas,
        rng,
        spot,
        radius=radius,
        foot=radius * rng.uniform(0.6, 1),
        height=height,
        wall=look,
        floor=inside,
    )


def plate(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """An empty plate or bowl, or one with a meal that is no egg."""
    seat = dish(canvas, rng, spot, rng.uniform(6, 13), deep=rng.random() < 0.4)
    if rng.random() < 0.5:
        crumbs(canvas, rng, seat.spot, reach=seat.radius * 0.6)


def pot(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A deep pot with two ears and no long handle."""
    radius = rng.uniform(8, 13)
    look = pick(rng, (*_STEEL, *_DARK, (0.65, 0.12, 0.1)))
    for turn in (0.0, pi):
        ear = spot + np.array([cos(turn) * radius * 1.08, sin(turn) * radius, radius * 0.7])
        canvas.fill(look * 0.8, 0, canvas.pose.project(ring(ear, radius * 0.2, float(ear[2]), 20)))
    vessel(
        canvas,
        rng,
        spot,
        radius=radius,
        foot=radius * 0.95,
        height=radius * rng.uniform(0.7, 1.2),
        wall=look,
        floor=any_colour(rng) * 0.8,
    )


# ----------------------------------------------------------------------------------- flat, angular


def _rectangle(rng: Rng, spot: Points, wide: float, deep: float) -> Points:
    """A level rectangle (4, 3) of the world, turned at random."""
    turn = rng.uniform(0, 2 * pi)
    axes = np.array([[cos(turn), sin(turn), 0], [-sin(turn), cos(turn), 0]])
    corners: Points = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * (wide / 2, deep / 2) @ axes
    return corners + spot


def _block(canvas: Canvas, foot: Points, height: float, look: Field) -> Points:
    """A straight body on a level foot (N, 3); gives its top in the picture."""
    top = raised(foot, height)
    canvas.shadow(np.concatenate([foot, top]), float(foot[0, 2]))
    flat, low = canvas.pose.project(top), canvas.pose.project(foot)
    middle = foot.mean(0)
    for i in range(len(foot)):
        j = (i + 1) % len(foot)
        outward = (foot[i] + foot[j]) / 2 - middle
        if outward @ (canvas.pose.eye - foot[i]) > 0:
            facing = outward @ canvas.lamp.toward / max(float(np.linalg.norm(outward)), 1e-6)
            shade = 0.6 + 0.3 * float(facing)
            canvas.fill(look * shade, 0, np.array([low[i], low[j], flat[j], flat[i]]))
    canvas.fill(look, 0, flat, light=0.08)
    return flat


def box(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A box, book, phone, board or carton of milk, often with something printed on it."""
    wide, deep = log_uniform(rng, 4, 30), log_uniform(rng, 3, 22)
    height = log_uniform(rng, 0.4, 14)
    look = any_colour(rng)
    flat = _block(canvas, _rectangle(rng, spot, wide, deep), height, look)
    for _ in range(rng.integers(0, 4)):
        canvas.fill(any_colour(rng), 0, *_cells(flat, rng.random(4)), opacity=0.8)


def _cells(quad: Points, corners: Points) -> list[Points]:
    """Rectangles (4, 2) in a picture's quad (4, 2), from corners left, top, right, bottom (N, 4)
    in shares of it."""
    cells = np.atleast_2d(corners)
    u, v = cells[:, [0, 2, 2, 0], None], cells[:, [1, 1, 3, 3], None]
    top, bottom = quad[0] * (1 - u) + quad[1] * u, quad[3] * (1 - u) + quad[2] * u
    return list(top * (1 - v) + bottom * v)


def paper(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A sheet with lines of text or with a marker of black squares."""
    size = rng.uniform(5, 20)
    quad = canvas.pose.project(_rectangle(rng, spot, size, size * rng.uniform(1, 1.4)))
    canvas.fill(tinted(rng, (0.92, 0.92, 0.9), 0.02), 0, quad, light=0.05)
    if rng.random() < 0.5:
        canvas.fill(grey(0.06), 0, *_cells(quad, np.array([0.1, 0.1, 0.9, 0.9])))
        squares = np.argwhere(rng.random((4, 4)) < 0.45) / 6 + 0.2
        if len(squares):
            canvas.fill(grey(0.92), 0, *_cells(quad, np.hstack([squares, squares + 0.16])))
        return
    rows = np.linspace(0.1, 0.9, rng.integers(3, 14))
    ends = rng.uniform(0.4, 0.9, len(rows))
    lines = np.stack([np.full(len(rows), 0.1), rows, ends, rows + 0.025], axis=1)
    canvas.fill(grey(0.3), 0, *_cells(quad, lines))


def laptop(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A grey or black keyboard, with or without a screen behind it."""
    look = pick(rng, (*_STEEL, *_DARK))
    wide, deep = rng.uniform(28, 38), rng.uniform(18, 25)
    foot = _rectangle(rng, spot, wide, deep)
    flat = _block(canvas, foot, 1.5, look)
    keys = look * 0.3 if look.mean() > 0.3 else look * 1.8
    u, v = np.meshgrid(np.linspace(0.06, 0.88, 12), np.linspace(0.1, 0.5, 5))
    board = np.stack([u, v, u + 0.055, v + 0.075], axis=-1).reshape(-1, 4)
    canvas.fill(keys, 0, *_cells(flat, board))
    canvas.fill(look * 0.9, 0, *_cells(flat, np.array([0.35, 0.65, 0.65, 0.95])))
    if rng.random() < 0.5:
        up = raised(foot[:2], 1.5)
        screen = canvas.pose.project(np.concatenate([up, raised(up[::-1], deep)]))
        canvas.fill(look * 0.6, 0, screen)
        canvas.fill(any_colour(rng), 0, *_cells(screen, np.array([0.05, 0.05, 0.95, 0.95])))


def cutlery(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A knife, spoon, fork, whisk or spatula: a bar with a wider end, like a pan's handle."""
    length, turn = rng.uniform(12, 32), rng.uniform(0, 2 * pi)
    along = np.array([cos(turn), sin(turn), 0]) * length
    line = raised(spot, 0.6) + np.linspace(-0.5, 0.5, 10)[:, None] * along
    look = pick(rng, (*_STEEL, *_DARK, (0.65, 0.45, 0.25)))
    width = np.full(10, rng.uniform(0.6, 1.8))
    width[7:] = rng.uniform(0.8, 7) * np.array([0.7, 1, 0.8])
    rod(canvas, line, width, look)
    if rng.random() < 0.5:
        rod(canvas, line[:5], width[:5] * 1.3, pick(rng, _DARK))


def rod(canvas: Canvas, line: Points, width_cm: Field, look: Field) -> None:
    """A rounded bar along a world line (N, 3)."""
    canvas.shadow(line, 0.0)
    scale = canvas.pose.px_per_cm(line.mean(0))
    cover = canvas.cover(*tube(canvas.pose.project(line), np.maximum(width_cm * scale, 0.7)))
    if cover.alpha.size:
        shade = canvas.relief(cover, max(float(width_cm.mean()) * scale / 2, 1))
        canvas.paint(cover, look * shade * 1.1)


def cable(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A winding cable, string or strap."""
    knots = spot + np.column_stack([rng.normal(0, 16, (5, 2)), np.full(5, 0.3)])
    line = curve(knots, 28)
    scale = canvas.pose.px_per_cm(spot)
    width = np.full(28, max(rng.uniform(0.3, 0.9) * scale, 0.8))
    look = pick(rng, (*_DARK, (0.9, 0.9, 0.9), (0.2, 0.3, 0.6)))
    shapes = tube(canvas.pose.project(line), width)
    canvas.fill(look, 0, *shapes)


def bottle(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A standing bottle, can, salt cellar or moka pot."""
    radius, height = rng.uniform(2, 4.5), rng.uniform(6, 26)
    look = pick(
        rng,
        (*_DARK, *_STEEL, (0.2, 0.4, 0.15), (0.7, 0.15, 0.1), (0.9, 0.9, 0.85), (0.4, 0.22, 0.08)),
    )
    neck = rng.uniform(0.3, 1.0)
    rings = [
        ring(spot, radius, 0, 20),
        ring(spot, radius, height * 0.7, 20),
        ring(spot, radius * neck, height, 20),
    ]
    canvas.shadow(np.concatenate(rings))
    parts = [hull(canvas.pose.project(np.concatenate(pair))) for pair in pairwise(rings)]
    cover = canvas.cover(*parts)
    if cover.alpha.size:
        shade = canvas.relief(cover, radius * canvas.pose.px_per_cm(spot))
        canvas.paint(cover, look * shade)
    canvas.fill(any_colour(rng), 0, canvas.pose.project(rings[-1]), light=0.3)


def crumbs(canvas: Canvas, rng: Rng, spot: Points, reach: float = 12) -> None:
    """Food in pieces, spills and dark spots."""
    look = pick(
        rng,
        (
            (0.7, 0.3, 0.2),
            (0.4, 0.55, 0.15),
            (0.85, 0.75, 0.5),
            (0.15, 0.1, 0.08),
            (0.9, 0.9, 0.85),
            (0.8, 0.5, 0.2),
        ),
        0.1,
    )
    size = log_uniform(rng, 0.3, max(reach / 6, 0.5))
    for _ in range(rng.integers(1, 14)):
        outline = blob(rng, size * rng.uniform(0.5, 1.3), rough=0.8, n=20)
        place = spot[:2] + rng.normal(0, reach / 2.5, 2)
        level = np.column_stack([outline + place, np.full(len(outline), spot[2] + 0.1)])
        tone = look * rng.uniform(0.8, 1.15)
        canvas.fill(tone, 0, canvas.pose.project(level), light=0.2, opacity=rng.uniform(0.7, 1))


def mat(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A cloth, tray, sheet of paper or board, wide and flat."""
    foot = _rectangle(rng, spot, rng.uniform(15, 50), rng.uniform(12, 35))
    look = any_colour(rng) if rng.random() < 0.6 else pick(rng, ((0.7, 0.5, 0.3), (0.9, 0.9, 0.88)))
    flat = _block(canvas, foot, rng.uniform(0.05, 2), look)
    if rng.random() < 0.5:
        left = np.linspace(0.05, 0.9, rng.integers(3, 12))
        stripes = np.stack([left, left * 0, left + 0.04, left * 0 + 1], axis=1)
        canvas.fill(look * 0.8, 0, *_cells(flat, stripes), opacity=0.6)


def gripper(canvas: Canvas, rng: Rng, at: Points, reach_px: float) -> None:
    """Two jaws of a robot's hand, or of tongs, at the sides of a thing in the picture."""
    look = pick(rng, (*_STEEL, *_DARK, (0.88, 0.88, 0.86)))
    turn = rng.uniform(0, pi)
    out, aside = np.array([cos(turn), sin(turn)]), np.array([-sin(turn), cos(turn)])
    broad = reach_px * rng.uniform(0.3, 0.9)
    wrist = at + out * reach_px * rng.uniform(2, 3)
    for side in (-1, 1):
        near = at + aside * side * (reach_px * 0.85 + broad / 2)
        near = near - out * reach_px * rng.uniform(0, 0.6)
        line = np.array([near, near + out * reach_px, wrist + aside * side * reach_px * 0.6])
        canvas.fill(look * rng.uniform(0.7, 1), 0, *tube(line, np.full(3, broad)), light=0.3)
    far = wrist + out * 3 * max(canvas.classes.shape)
    widths = np.array([1.0, 1.4]) * reach_px
    canvas.fill(look * 0.8, 0, *tube(np.array([wrist, far]), widths), light=0.3)


DECOYS: tuple[tuple[Thing, float], ...] = (
    (ball, 3.5),
    (produce, 9),
    (coin, 2.5),
    (hot_plate, 12),
    (lid, 12),
    (cup, 5),
    (plate, 11),
    (pot, 12),
)
"""Round things, each with the radius in cm that keeps others away."""

CLUTTER: tuple[tuple[Thing, float], ...] = (
    (box, 9),
    (paper, 9),
    (laptop, 18),
    (cutlery, 6),
    (cable, 3),
    (bottle, 4),
    (crumbs, 8),
    (mat, 5),
)
