"""Round things in kitchens that are taken for eggs and pans, and are neither."""

from math import cos, pi, sin

import numpy as np

from img2img.data.synth.kitchen_canvas import (
    Canvas,
    Field,
    Points,
    Rng,
    any_colour,
    blob,
    disc,
    grain,
    hull,
    log_uniform,
    pick,
    raised,
    ring,
    tinted,
)
from img2img.data.synth.kitchen_clutter import crumbs
from img2img.data.synth.kitchen_objects import DARK, STEEL, Thing, dish, vessel


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
    look = pick(rng, (*STEEL, *DARK, (0.8, 0.65, 0.35), (0.85, 0.85, 0.83), (0.7, 0.4, 0.25)))
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
    look = pick(rng, DARK)
    rim, foot = ring(spot, radius, spot[2] + height), ring(spot, radius, spot[2])
    canvas.shadow(np.concatenate([rim, foot]), float(spot[2]))
    body = hull(canvas.pose.project(np.concatenate([rim, foot])))
    canvas.fill(pick(rng, STEEL) if rng.random() < 0.5 else look * 0.7, 0, body, light=0.3)
    for share in np.sort(rng.uniform(0.05, 0.97, rng.integers(1, 6)))[::-1]:
        level = ring(spot, radius * share, spot[2] + height)
        canvas.fill(look * rng.uniform(0.6, 1.5), 0, canvas.pose.project(level), light=0.1)


def lid(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A pot's lid with its knob, of glass or metal."""
    radius = rng.uniform(7, 14)
    look = pick(rng, (*STEEL, *DARK, (0.6, 0.65, 0.65)))
    opacity = rng.choice([1.0, rng.uniform(0.3, 0.7)])
    low, high = ring(spot, radius, 0.3), ring(spot, radius * 0.4, radius * 0.22)
    canvas.shadow(np.concatenate([low, high]))
    canvas.fill(pick(rng, STEEL), 0, canvas.pose.project(low), light=0.3)
    outline = hull(canvas.pose.project(np.concatenate([ring(spot, radius * 0.95, 0.5), high])))
    cover = canvas.cover(outline)
    if cover.alpha.size:
        canvas.paint(cover, canvas.lit(cover, outline, look, gloss=0.5, shine=8), opacity=opacity)
    knob = _sphere(raised(spot, radius * 0.25 + 1), np.array([1.8, 1.8, 1.3]))
    _roundish(canvas, rng, knob, pick(rng, DARK), 0.4)


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
    look = pick(rng, (*STEEL, *DARK, (0.65, 0.12, 0.1)))
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
