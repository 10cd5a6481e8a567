"""Eyes, brows, nose and mouth, drawn from the points of a face and nothing else."""

from math import pi

import cv2
import numpy as np

from img2img.data.synth.face_head import spline
from img2img.data.synth.face_layout import LEFT_BROW, LEFT_EYE, RIGHT_BROW, RIGHT_EYE
from img2img.data.synth.face_portrait import Portrait, ribbons, shared
from img2img.data.synth.kitchen_canvas import (
    Cover,
    Field,
    Points,
    Rng,
    disc,
    grain,
    grey,
    pick,
)

IRISES = (
    (0.13, 0.08, 0.05), (0.24, 0.14, 0.08), (0.36, 0.24, 0.12), (0.38, 0.37, 0.2),
    (0.34, 0.45, 0.33), (0.35, 0.5, 0.6), (0.5, 0.57, 0.62),
)  # fmt: skip

LIPSTICKS = ((0.7, 0.1, 0.14), (0.62, 0.15, 0.25), (0.8, 0.35, 0.36), (0.4, 0.08, 0.12))

_EYES = ((RIGHT_EYE, 0), (LEFT_EYE, 1))


def _loop(points: Points, *corners: int) -> Points:
    """A closed outline through the points in order, sharp at two corners (positions)."""
    a, b = corners
    around = np.concatenate([points[a:], points[: a + 1]])
    turn = b - a + 1
    return np.concatenate([spline(around[:turn], 6)[:-1], spline(around[turn - 1 :], 6)[:-1]])


def eyes(portrait: Portrait, rng: Rng) -> None:
    """Both eyes with their lids; the irises look the same way."""
    gaze = rng.normal(0, (0.07, 0.025)) * (rng.random() < 0.85)
    iris = pick(rng, IRISES, 0.08)
    if portrait.skin[0, 0, 0] < 0.75 or portrait.hair.mean() < 0.08:
        iris = pick(rng, IRISES[:2], 0.1)
    style = rng.random(4)
    for part, side in _EYES:
        _eye(portrait, part, gaze, iris, side)
        _lids(portrait, part, style, side)


def _eye(portrait: Portrait, part: slice, gaze: Points, iris: Field, side: int) -> None:
    """White, iris, pupil and highlight within the lids."""
    face, canvas = portrait.face, portrait.canvas
    points, depth = face.points[part], float(face.seen[part, 2].max())
    cover = portrait.on_head(_loop(points, 0, 3), depth=depth)
    if not cover.alpha.size:
        return
    ambient, ahead = canvas.lamp.ambient, max(float(canvas.toward[2]), 0.2)
    light = 0.35 + 0.6 * (0.8 * ambient + (1 - ambient) * ahead)
    open_px = max(float(np.linalg.norm(points[[1, 2]].mean(0) - points[[4, 5]].mean(0))), 1.0)
    # The upper lid throws a shadow on the ball.
    _, y = cover.grid
    fall = np.clip(((y - float(points[:4, 1].mean())) / open_px + 0.45) * 1.2, 0.45, 1)
    canvas.paint(cover, _tone(0.9, 0.87, 0.85) * light * fall, None)
    layout = face.surface.layout[part]
    wide = float(layout[3, 0] - layout[0, 0])
    centre = layout.mean(0) * (1, 0.75) + layout[[0, 3]].mean(0) * (0, 0.25) + gaze * wide / 0.38
    middle, radius_px = face.at(*centre), 0.21 * wide * portrait.px
    ring = disc(np.zeros(2), radius_px, 28) @ face.shot.turn[:2, :2].T
    for size, colour in ((1.0, iris * 0.5), (0.86, iris), (0.42, grey(0.015))):
        inside = shared(canvas.cover(middle + ring * size), cover)
        canvas.paint(inside, colour * np.float32(light * 1.1), None)
    spark = disc(middle + (canvas.toward[:2] * 0.4 + (0.05, -0.1)) * radius_px, 0.2 * radius_px, 10)
    canvas.paint(shared(canvas.cover(spark), cover), grey(1.0), None, opacity=0.85)
    flesh = disc(points[0 if side else 3], 0.04 * portrait.px, 10)
    pink = portrait.skin * _tone(0.95, 0.66, 0.62)
    canvas.paint(shared(canvas.cover(flesh), cover), pink, None, opacity=0.8)


def _tone(red: float, green: float, blue: float) -> Field:
    return np.array([red, green, blue], np.float32).reshape(3, 1, 1)


def _lids(portrait: Portrait, part: slice, style: Points, side: int) -> None:
    """Lashes on the edges, and the fold above."""
    face = portrait.face
    points, depth = face.points[part], float(face.seen[part, 2].max())
    upper, lower = spline(points[:4], 6), spline(points[[3, 4, 5, 0]], 6)
    tall = face.expression.eyes[side]
    along = np.linspace(0, 1, len(upper))
    outward = along if side else along[::-1]
    lash = (0.028 + 0.035 * portrait.made_up) * (0.55 + 0.7 * outward) * np.sin(0.4 + 2.4 * along)
    dark = np.float32(0.35) * portrait.hair * portrait.skin + grey(0.02)
    cover = portrait.line(upper, np.maximum(lash, 0.012), depth=depth)
    portrait.canvas.paint(cover, dark, None, opacity=0.85)
    rim = portrait.line(lower, 0.022, depth=depth, soft=0.008)
    portrait.shade(rim, 0.25 + 0.45 * portrait.made_up + 0.2 * style[0])
    fold_px = portrait.px * (0.045 + 0.06 * style[1])
    up = -face.shot.turn[:2, 1] * fold_px
    crease = upper + up * np.sin(along * pi * 0.8 + 0.4)[:, None]
    strength = 0.15 + 0.4 * style[2]
    portrait.shade(portrait.line(crease, 0.022, depth=depth, soft=0.012), strength)
    if portrait.made_up > 0.3:
        shadow = portrait.on_head(np.concatenate([upper, crease[::-1]]), depth=depth)
        portrait.shade(shadow, 0.5 * portrait.made_up * style[3])
    elif tall < 0.5:
        lid = portrait.line((upper + crease) / 2, 0.05, depth=depth, soft=0.02)
        portrait.canvas.glow(lid, 0.05, 0)


def brows(portrait: Portrait, rng: Rng) -> None:
    """Hairs along the five points of each brow; these mark its upper third."""
    face = portrait.face
    thick = 0.1 * float(np.exp(rng.normal(0, 0.35)))
    dense, tidy = rng.uniform(0.45, 0.95), rng.random()
    colour = portrait.hair * rng.uniform(0.5, 1.0) + grey(0.01)
    for part, inner in ((RIGHT_BROW, 1), (LEFT_BROW, 0)):
        knots, depth = face.points[part], float(face.seen[part, 2].max())
        way = spline(knots, 6)
        inward = np.linspace(0, 1, len(way)) if inner else np.linspace(1, 0, len(way))
        body = thick * np.interp(inward, [0, 0.12, 0.6, 0.95, 1], [0.2, 0.5, 0.95, 1, 0.8])
        down = face.shot.turn[:2, 1] * portrait.px
        upper, lower = way - down * body[:, None] * 0.35, way + down * body[:, None] * 0.65
        shape = np.concatenate([upper, lower[::-1]])
        cover = portrait.on_head(shape, depth=depth, margin=0.05 * portrait.px)
        if not cover.alpha.size:
            continue
        soft = cv2.GaussianBlur(cover.alpha, (0, 0), 0.012 * portrait.px + 0.3)
        cell = max(0.02 * portrait.px, 1.0)
        hairs = np.clip(1 + (0.5 - 0.4 * tidy) * grain(rng, soft.shape, cell), 0.2, 1)
        portrait.canvas.paint(
            Cover(cover.rows, cover.columns, soft * hairs), colour, None, opacity=dense
        )
        if portrait.px > 25:
            _hairs(portrait, rng, (upper, lower), colour, depth)


def _hairs(
    portrait: Portrait, rng: Rng, edges: tuple[Points, Points], colour: Field, depth: float
) -> None:
    """Single hairs, from near the lower edge up and away from the nose."""
    upper, lower = edges
    n = 40
    last = len(upper) - 1
    share = rng.random(n) * last
    start = _along(lower, share) * 0.8 + _along(upper, share) * 0.2
    bridge = portrait.face.points[27]
    nearer = np.linalg.norm(bridge - lower[0]) < np.linalg.norm(bridge - lower[-1])
    away = rng.uniform(0.7, 3, n) * (1 if nearer else -1)
    end = _along(upper, np.clip(share + away, 0, last))
    widths = np.array([1.0, 0.5]) * max(0.008 * portrait.px, 0.4)
    strokes = ribbons(np.stack([start, end], axis=1), widths)
    cover = portrait.on_head(*strokes, depth=depth)
    portrait.canvas.paint(cover, colour * 0.6, None, opacity=0.5)


def _along(way: Points, share: Field) -> Points:
    steps = np.arange(len(way))
    return np.column_stack([np.interp(share, steps, way[:, i]) for i in (0, 1)])


def nose(portrait: Portrait, rng: Rng) -> None:
    """Nostrils, wings, and the edge under the tip."""
    face, canvas = portrait.face, portrait.canvas
    points, px = face.points, portrait.px
    depth = float(face.seen[31:36, 2].max())
    base = portrait.line(spline(points[31:36], 5), 0.03, depth=depth, soft=0.02)
    portrait.shade(base, rng.uniform(0.15, 0.35))
    down = face.shot.turn[:2, 1] * px
    # Nostrils show the more the further the head leans back.
    lean = float(np.clip(0.055 - 0.1 * face.shot.turn[1, 2], 0.018, 0.12))
    for wing, near in ((31, 32), (35, 34)):
        depth = float(face.seen[[wing, near], 2].mean()) - 0.02
        heart = points[near] * 0.6 + points[wing] * 0.25 + points[33] * 0.15 - down * lean * 0.6
        axes = np.stack([(points[wing] - points[33]) * 0.24, down * lean * 0.7])
        cover = portrait.on_head(heart + disc(np.zeros(2), 1.0, 18) @ axes, depth=depth, margin=1.5)
        if cover.alpha.size:
            soft = cv2.GaussianBlur(cover.alpha, (0, 0), 0.01 * px + 0.3)
            blurred = Cover(cover.rows, cover.columns, soft)
            canvas.paint(blurred, portrait.skin * 0.16, None, opacity=0.85)
        aside = points[wing] - points[33]
        bow = points[wing] + np.stack([0 * aside, 0.15 * aside - 0.08 * down, -0.2 * down])
        fold = portrait.line(spline(bow, 5), 0.022, depth=depth, soft=0.016)
        portrait.shade(fold, 0.2 + 0.25 * canvas.lamp.shadows)
    place = disc(points[30] + canvas.toward[:2] * 0.05 * px, 0.05 * px, 12)
    tip = canvas.cover(place, margin=0.15 * px)
    if tip.alpha.size:
        shown = portrait.head[tip.rows, tip.columns]
        canvas.glow(tip.times(shown), portrait.gloss * 0.6, 0.08 * px)


def mouth(portrait: Portrait, rng: Rng) -> None:
    """Lips, and what they leave open with teeth and tongue."""
    face = portrait.face
    points, depth = face.points, float(face.seen[48:68, 2].max())
    lips = portrait.on_head(_loop(points[48:60], 0, 6), depth=depth, margin=1)
    if not lips.alpha.size:
        return
    _lips(portrait, rng, lips)
    hole = portrait.on_head(_loop(points[60:68], 0, 4), depth=depth)
    gap = float(np.linalg.norm(points[62] - points[66])) / portrait.px
    if hole.alpha.size and gap > 0.015:
        portrait.canvas.paint(hole, portrait.skin * _tone(0.14, 0.07, 0.065), None)
        _inside(portrait, rng, hole, gap)
    line = spline(points[[60, 61, 62, 63, 64]], 5)
    width = 0.016 * (1 - 0.5 * min(gap / 0.1, 1))
    portrait.shade(portrait.line(line, width, depth=depth, soft=0.004), 0.65)
    for corner, near in ((48, 60), (54, 64)):
        spot = portrait.line(points[[corner, near]], 0.04, depth=depth, soft=0.025)
        portrait.shade(spot, 0.4)


def _lips(portrait: Portrait, rng: Rng, lips: Cover) -> None:
    """Over the whole mouth; the light is that of the skin under them."""
    canvas, points = portrait.canvas, portrait.face.points
    depth = float(portrait.face.seen[48:68, 2].max())
    if rng.random() < 0.55 * portrait.made_up + 0.05:
        tone, share = pick(rng, LIPSTICKS, 0.1), rng.uniform(0.4, 0.95)
    else:
        tone, share = portrait.skin * _tone(0.86, 0.6, 0.58), rng.uniform(0.35, 0.95)
    under = canvas.image[:, lips.rows, lips.columns]
    light = under.mean(0) / max(float(portrait.skin.mean()), 0.05)
    edge = cv2.GaussianBlur(lips.alpha, (0, 0), 0.012 * portrait.px + 0.25)
    cell = max(0.03 * portrait.px, 1)
    creased = np.clip(light * (1 + 0.06 * grain(rng, edge.shape, cell, 3 * cell)), 0.1, 1.5)
    soft = Cover(lips.rows, lips.columns, edge)
    canvas.paint(soft, tone * creased, None, opacity=float(share))
    upper = np.concatenate([spline(points[48:55], 4), spline(points[[64, 63, 62, 61, 60]], 4)])
    shade = 0.22 * max(-float(canvas.toward[1]), 0.1) + 0.08
    portrait.shade(portrait.on_head(upper, depth=depth), shade)
    full = (points[[56, 57, 58]] + points[[65, 66, 67]]) / 2
    shine = portrait.line(full, 0.06, depth=depth, soft=0.04)
    canvas.glow(shine, float(rng.uniform(0.01, 0.05) + portrait.gloss * 0.4), 0)
    below = points[[58, 57, 56]] + portrait.face.shot.turn[:2, 1] * 0.06 * portrait.px
    portrait.shade(portrait.line(below, 0.09, depth=depth, soft=0.05), 0.25)


def _inside(portrait: Portrait, rng: Rng, hole: Cover, gap: float) -> None:
    """A tongue, teeth behind the upper lip and sometimes the lower one; `gap` in the unit."""
    canvas, points = portrait.canvas, portrait.face.points
    down = portrait.face.shot.turn[:2, 1] * portrait.px
    upper, lower = spline(points[60:65], 5), spline(points[[60, 67, 66, 65, 64]], 5)
    if gap > 0.2 and rng.random() < 0.7:
        axes = np.stack([(points[65] - points[67]) * 0.8, down * gap * 0.4])
        shape = points[65:68].mean(0) + disc(np.zeros(2), 1.0, 20) @ axes
        red = _tone(0.72, 0.32, 0.3) * (0.25 + 0.4 * portrait.skin.max())
        canvas.paint(shared(canvas.cover(shape), hole), red, None)
    if rng.random() < 0.85:
        _teeth(portrait, rng, hole, (upper, down * rng.uniform(0.08, 0.16)))
    if rng.random() < 0.25 and gap > 0.1:
        _teeth(portrait, rng, hole, (lower, -down * rng.uniform(0.03, 0.09)))
    depth = float(portrait.face.seen[48:68, 2].max())
    shadow = portrait.line(upper, 0.03, depth=depth, soft=0.02)
    canvas.darken(shared(shadow, hole), 0.4, 0)


def _teeth(portrait: Portrait, rng: Rng, hole: Cover, row: tuple[Points, Points]) -> None:
    """A row of teeth along an edge of the lips, as tall as a vector (2,) in the picture."""
    canvas = portrait.canvas
    edge, tall = row
    ends = edge + tall * np.sin(np.linspace(0.5, pi - 0.5, len(edge)))[:, None]
    teeth = shared(canvas.cover(np.concatenate([edge - tall * 0.5, ends[::-1]])), hole)
    ambient, ahead = canvas.lamp.ambient, max(float(canvas.toward[2]), 0.0)
    light = 0.3 + 0.55 * ambient + 0.45 * (1 - ambient) * ahead
    canvas.paint(teeth, _tone(0.95, 0.92, 0.84) * np.float32(light * rng.uniform(0.7, 1)), None)
    places = np.linspace(0.2, 0.8, 7) * (len(edge) - 1)
    ways = np.stack([_along(edge, places), _along(ends, places)], axis=1)
    gaps = ribbons(ways, np.full(2, 0.008 * portrait.px))
    canvas.darken(shared(canvas.cover(*gaps), hole), 0.25, 0)
