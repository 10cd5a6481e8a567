"""Eggs in their shell, boiled and fried, as solids on a table."""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

from img2img.data.synth.kitchen_canvas import (
    Canvas,
    Cover,
    Field,
    Points,
    Rng,
    blob,
    disc,
    grain,
    grey,
    hull,
    log_uniform,
    pick,
    raised,
    tinted,
)

EGG = 1
"""The class of eggs."""

SHELLS = ((0.94, 0.93, 0.91), (0.9, 0.8, 0.66), (0.74, 0.47, 0.31), (0.58, 0.33, 0.21))


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a thing lies: a point (3,) of the world in cm, the radius around it that is free,
    and picture polygons that hide what lies there (the near wall of a vessel)."""

    spot: Points
    radius: float = 100.0
    hidden_by: tuple[Points, ...] = ()


def egg_points(rng: Rng, spot: Points, *, length: float, upright: bool = False) -> Points:
    """Surface points (N, 3) of an egg in cm that rests on its spot."""
    lift = pi / 2 if upright else rng.choice([0, rng.uniform(-0.3, 0.3), rng.uniform(-1.5, 1.5)])
    turn = rng.uniform(0, 2 * pi)
    along = np.array([cos(lift) * cos(turn), cos(lift) * sin(turn), sin(lift)])
    aside = np.array([-sin(turn), cos(turn), 0.0])
    over = np.cross(along, aside)
    t = np.cos(np.linspace(0, pi, 19))[:, None]
    angles = (np.arange(24) * (2 * pi / 24))[None]
    slim = rng.uniform(0.68, 0.84)
    girth = slim * np.sqrt(np.clip(1 - t * t, 0, 1)) * (1 - rng.uniform(0.04, 0.2) * t)
    points = (
        np.broadcast_to(t, (19, 24))[..., None] * along
        + (girth * np.cos(angles))[..., None] * aside
        + (girth * np.sin(angles))[..., None] * over
    ).reshape(-1, 3) * (length / 2)
    resting: Points = points + raised(spot, -points[:, 2].min())
    return resting


def egg(
    canvas: Canvas,
    rng: Rng,
    seat: Seat,
    *,
    peeled: bool,
    look: Field | None = None,
    length: float | None = None,
    upright: bool = False,
    sunk: float = 0.0,
) -> Points:
    """A whole egg; `look` is its colour, and what lies lower than `sunk` is hidden by its cup.

    Gives its outline in the picture.
    """
    points = egg_points(rng, seat.spot, length=length or rng.uniform(4.6, 6.6), upright=upright)
    ground = float(seat.spot[2]) + sunk
    points = points[points[:, 2] >= ground]
    canvas.shadow(points, ground)
    outline = hull(canvas.pose.project(points))
    cover = _visible(canvas, seat, outline)
    if not cover.alpha.size:
        return outline
    if look is None:
        look = pick(rng, ((0.95, 0.94, 0.89), (0.9, 0.87, 0.78))) if peeled else pick(rng, SHELLS)
    skin = _peel(rng, look, cover.alpha.shape) if peeled else _shell(rng, look, cover.alpha.shape)
    gloss = rng.uniform(0.2, 0.7) if peeled else rng.choice([0.0, rng.uniform(0, 0.3)])
    shine = log_uniform(rng, 20, 200) if peeled else log_uniform(rng, 4, 40)
    canvas.paint(cover, canvas.lit(cover, outline, skin, gloss=gloss, shine=shine), EGG)
    if peeled or rng.random() < 0.1:
        _sparkle(canvas, rng, outline)
    if not peeled and rng.random() < 0.08:
        _stamp(canvas, rng, outline)
    return outline


def _visible(canvas: Canvas, seat: Seat, *shapes: Points) -> Cover:
    """What is seen of a thing on its seat."""
    cover = canvas.cover(*shapes)
    if seat.hidden_by and cover.alpha.size:
        cover = cover.times(1 - canvas.alpha(cover, *seat.hidden_by))
    return cover


def _shell(rng: Rng, look: Field, shape: tuple[int, int]) -> Field:
    """(3, h, w): the colour with pores, clouds and, now and then, speckles."""
    size = max(shape)
    field = look * (1 + 0.02 * grain(rng, shape, max(size / 4, 1)))
    field *= 1 + rng.uniform(0, 0.04) * grain(rng, shape, max(size / 50, 1))
    if rng.random() < 0.3:
        specks = grain(rng, shape, max(size / rng.uniform(15, 40), 1)) > rng.uniform(1.6, 2.6)
        field = np.where(specks, field * rng.uniform(0.55, 1.15), field)
    return field


def _peel(rng: Rng, look: Field, shape: tuple[int, int]) -> Field:
    """(3, h, w): smooth, with a faint shade."""
    field: Field = look * (1 + 0.025 * grain(rng, shape, max(max(shape) / 3, 1)))
    return field


def _sparkle(canvas: Canvas, rng: Rng, outline: Points) -> None:
    """A few small mirror images of lamps and windows on something wet."""
    middle, reach = outline.mean(0), float(np.ptp(outline, axis=0).max()) / 2
    for _ in range(rng.integers(1, 4)):
        spot = middle + canvas.toward[:2] * reach * 0.5 + rng.normal(0, 0.22, 2) * reach
        shape = blob(rng, reach * rng.uniform(0.03, 0.13), rough=0.5, n=16)
        shape = shape * (1, rng.uniform(0.4, 1.6))
        cover = canvas.cover(shape + spot)
        canvas.paint(
            cover.times(canvas.alpha(cover, outline)), grey(1), None, opacity=rng.uniform(0.4, 1)
        )


def _stamp(canvas: Canvas, rng: Rng, outline: Points) -> None:
    """A row of small red or dark marks, as printed on eggs."""
    middle, reach = outline.mean(0), float(np.ptp(outline, axis=0).min()) / 2
    turn, ink = rng.uniform(0, 2 * pi), pick(rng, ((0.7, 0.15, 0.15), (0.3, 0.2, 0.3)))
    for step in np.linspace(-0.4, 0.4, 9):
        spot = middle + reach * step * np.array([cos(turn), sin(turn)])
        canvas.fill(ink, None, disc(spot, reach * rng.uniform(0.02, 0.05), 6), opacity=0.7)


def fried(canvas: Canvas, rng: Rng, seat: Seat) -> None:
    """A fried egg: an irregular white with one yolk, rarely two."""
    radius = rng.uniform(4.0, 6.5)
    flat = blob(rng, radius, rough=rng.uniform(0.15, 0.5))
    white = flat_outline(canvas, flat, raised(seat.spot, 0.25))
    canvas.shadow(level_outline(flat, raised(seat.spot, 0.5)), float(seat.spot[2]))
    cover = _visible(canvas, seat, white)
    if not cover.alpha.size:
        return
    scale = canvas.pose.px_per_cm(seat.spot)
    look = tinted(rng, (0.93, 0.91, 0.86))
    look = look * (1 + 0.04 * grain(rng, cover.alpha.shape, max(scale, 1)))
    look = look * canvas.relief(cover, scale * rng.uniform(0.4, 1.2))
    if rng.random() < 0.4:
        crust = 1 - canvas.alpha(cover, (white - white.mean(0)) * 0.9 + white.mean(0))
        look = look + crust * (tinted(rng, (0.65, 0.42, 0.2)) - look) * 0.7
    canvas.paint(cover, look, EGG)
    _sparkle(canvas, rng, white)
    for _ in range(1 + (rng.random() < 0.1)):
        spot = seat.spot + np.append(rng.normal(0, radius / 6, 2), 0.6)
        _yolk(canvas, rng, seat, spot, rng.uniform(1.5, 2.3))


def flat_outline(canvas: Canvas, outline: Points, spot: Points) -> Points:
    """The picture of a level outline (N, 2) in cm around a world point."""
    return canvas.pose.project(level_outline(outline, spot))


def level_outline(outline: Points, spot: Points) -> Points:
    """World points (N, 3) of a level outline (N, 2) in cm around a world point."""
    return np.column_stack([outline + spot[:2], np.full(len(outline), spot[2])])


def _yolk(canvas: Canvas, rng: Rng, seat: Seat, spot: Points, radius: float) -> None:
    outline = flat_outline(canvas, blob(rng, radius, rough=0.06), spot)
    cover = _visible(canvas, seat, outline)
    look = pick(rng, ((0.98, 0.7, 0.12), (0.95, 0.52, 0.08), (0.96, 0.82, 0.4)))
    if cover.alpha.size:
        body = canvas.lit(cover, outline, look, gloss=rng.uniform(0, 0.7), shine=40)
        canvas.paint(cover, body, EGG)


def half(canvas: Canvas, rng: Rng, seat: Seat) -> None:
    """A boiled egg cut in two, its yolk up."""
    points = egg_points(rng, seat.spot, length=rng.uniform(4.8, 6.2), upright=False)
    low = points[:, 2] < seat.spot[2] + 2.1
    canvas.shadow(points[low], seat.spot[2])
    body = hull(canvas.pose.project(points[low]))
    look = tinted(rng, (0.94, 0.93, 0.9), 0.02)
    cover = _visible(canvas, seat, body)
    if not cover.alpha.size:
        return
    canvas.paint(cover, canvas.lit(cover, body, look, gloss=0.2), EGG)
    top = points[low].copy()
    top[:, 2] = seat.spot[2] + 2.1
    canvas.paint(_visible(canvas, seat, hull(canvas.pose.project(top))), look * 0.97, EGG)
    middle = np.append(top[:, :2].mean(0) + rng.normal(0, 0.2, 2), top[0, 2])
    _yolk(canvas, rng, seat, middle, rng.uniform(1.2, 1.6))
