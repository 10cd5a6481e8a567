"""What lies about in kitchens and on desks and is neither egg nor pan, nor round."""

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
    grey,
    hull,
    log_uniform,
    pick,
    raised,
    ring,
    tinted,
    tube,
)
from img2img.data.synth.kitchen_objects import DARK, STEEL, Thing


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
    look = pick(rng, (*STEEL, *DARK))
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
    look = pick(rng, (*STEEL, *DARK, (0.65, 0.45, 0.25)))
    width = np.full(10, rng.uniform(0.6, 1.8))
    width[7:] = rng.uniform(0.8, 7) * np.array([0.7, 1, 0.8])
    rod(canvas, line, width, look)
    if rng.random() < 0.5:
        rod(canvas, line[:5], width[:5] * 1.3, pick(rng, DARK))


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
    look = pick(rng, (*DARK, (0.9, 0.9, 0.9), (0.2, 0.3, 0.6)))
    shapes = tube(canvas.pose.project(line), width)
    canvas.fill(look, 0, *shapes)


def bottle(canvas: Canvas, rng: Rng, spot: Points) -> None:
    """A standing bottle, can, salt cellar or moka pot."""
    radius, height = rng.uniform(2, 4.5), rng.uniform(6, 26)
    look = pick(
        rng,
        (*DARK, *STEEL, (0.2, 0.4, 0.15), (0.7, 0.15, 0.1), (0.9, 0.9, 0.85), (0.4, 0.22, 0.08)),
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
    look = pick(rng, (*STEEL, *DARK, (0.88, 0.88, 0.86)))
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
