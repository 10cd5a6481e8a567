"""Eyes, brows, nose and mouth, drawn from the points of a face and nothing else."""

from math import pi

import cv2
import numpy as np

from img2img.data.synth.face_head import spline
from img2img.data.synth.face_portrait import Portrait
from img2img.data.synth.kitchen_canvas import Cover, Field, Points, Rng, disc, grain, grey, pick, tube

IRISES = (
    (0.13, 0.08, 0.05), (0.24, 0.14, 0.08), (0.36, 0.24, 0.12), (0.38, 0.37, 0.2),
    (0.34, 0.45, 0.33), (0.35, 0.5, 0.6), (0.5, 0.57, 0.62),
)  # fmt: skip

_EYES = ((36, slice(36, 42), 0), (42, slice(42, 48), 1))


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
    for _, part, side in _EYES:
        _eye(portrait, part, gaze, iris, side)
        _lids(portrait, part, style, side)


def _eye(portrait: Portrait, part: slice, gaze: Points, iris: Field, side: int) -> None:
    face, canvas = portrait.face, portrait.canvas
    points, depth = face.points[part], float(face.seen[part, 2].max())
    outline = _loop(points, 0, 3)
    cover = portrait.on_head(outline, depth=depth)
    if not cover.alpha.size:
        return
    layout = face.surface.layout[part]
    open_px = float(np.linalg.norm(points[[1, 2]].mean(0) - points[[4, 5]].mean(0)))
    x, y = cover.grid
    light = canvas.lamp.ambient * 0.8 + (1 - canvas.lamp.ambient) * max(float(canvas.toward[2]), 0.2)
    upper = points[[0, 1, 2, 3]].mean(0)
    # The lid throws a shadow on the ball.
    fall = np.clip(((y - upper[1]) / max(open_px, 1.0) + 0.45) * 1.2, 0.45, 1)
    white = np.array([0.9, 0.87, 0.85], np.float32).reshape(3, 1, 1) * np.float32(0.3 + 0.65 * light)
    canvas.paint(cover, white * (fall + 0 * x), None)
    wide = float(layout[3, 0] - layout[0, 0])
    centre = layout.mean(0) * (1, 0.75) + layout[[0, 3]].mean(0) * (0, 0.25) + gaze * wide / 0.38
    radius = 0.21 * wide * (0.98 + 0.06 * portrait.gloss)
    ring = face.shot.turn[:2, :2] * (portrait.px * radius)
    middle = face.at(centre[0], centre[1])
    unit = disc(np.zeros(2), 1.0, 28) @ ring.T
    eye = cover.alpha
    shine = np.float32(0.35 + 0.75 * light)
    for size, colour in ((1.0, iris * 0.5), (0.86, iris), (0.42, grey(0.015))):
        shape = canvas.cover(middle + unit * size)
        inside = _shared(shape, cover, eye)
        canvas.paint(inside, colour * shine, None)
    canvas.image[:, cover.rows, cover.columns] *= np.where(eye > 0, 1 - (1 - fall) * 0.5 * eye, 1)
    toward = canvas.toward[:2] * 0.6 + (0.1, -0.15)
    spark = canvas.cover(disc(middle + (toward * (1, 1)) @ ring.T * 0.6, 0.2 * radius * portrait.px, 10))
    canvas.paint(_shared(spark, cover, eye), grey(1.0), None, opacity=0.85)
    inner = points[3] if side == 0 else points[0]
    flesh = canvas.cover(disc(inner, 0.045 * portrait.px, 10))
    canvas.paint(_shared(flesh, cover, eye), portrait.skin * grey(1) * (0.9, 0.6, 0.58) if False else
                 portrait.skin * np.array([0.95, 0.66, 0.62], np.float32).reshape(3, 1, 1), None, opacity=0.8)


def _shared(shape: Cover, other: Cover, alpha: Field) -> Cover:
    """A shape only where another cover is."""
    rows = slice(max(shape.rows.start, other.rows.start), min(shape.rows.stop, other.rows.stop))
    columns = slice(
        max(shape.columns.start, other.columns.start), min(shape.columns.stop, other.columns.stop)
    )
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return Cover(slice(0, 0), slice(0, 0), np.zeros((0, 0), np.float32))

    def cut(field: Field, of: Cover) -> Field:
        cut_out: Field = field[
            rows.start - of.rows.start : rows.stop - of.rows.start,
            columns.start - of.columns.start : columns.stop - of.columns.start,
        ]
        return cut_out

    return Cover(rows, columns, cut(shape.alpha, shape) * cut(alpha, other))


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
    for part, inner in ((slice(17, 22), 1), (slice(22, 27), 0)):
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
        portrait.canvas.paint(Cover(cover.rows, cover.columns, soft * hairs), colour, None, opacity=dense)
        if portrait.px > 25:
            _hairs(portrait, rng, (upper, lower), colour, depth)


def _hairs(
    portrait: Portrait, rng: Rng, edges: tuple[Points, Points], colour: Field, depth: float
) -> None:
    """Single hairs, from the lower edge up and outward."""
    upper, lower = edges
    n = 40
    share = rng.random(n) * (len(upper) - 1)
    start = _along(lower, share) * 0.8 + _along(upper, share) * 0.2
    outward = np.sign(np.linspace(-1, 1, n) * 0 + (lower[-1, 0] - lower[0, 0]))
    away = 1.5 if float(np.linalg.norm(portrait.face.points[27] - lower[0])) < float(
        np.linalg.norm(portrait.face.points[27] - lower[-1])) else -1.5
    end = _along(upper, np.clip(share + away * rng.uniform(0.5, 2, n), 0, len(upper) - 1))
    del outward
    width = max(0.008 * portrait.px, 0.4)
    strokes = [shape for a, b in zip(start, end, strict=True) for shape in tube(np.array([a, b]), np.array([width, width / 2]))[2:]]
    cover = portrait.on_head(*strokes, depth=depth)
    portrait.canvas.paint(cover, colour * 0.6, None, opacity=0.5)


def _along(way: Points, share: Field) -> Points:
    steps = np.arange(len(way))
    return np.column_stack([np.interp(share, steps, way[:, i]) for i in (0, 1)])


def nose(portrait: Portrait, rng: Rng) -> None:
    """Nostrils, wings and the edge under the tip."""
    face, canvas = portrait.face, portrait.canvas
    points, px = face.points, portrait.px
    depth = float(face.seen[31:36, 2].max()) + 0.1
    down = face.shot.turn[:2, 1] * px
    base = spline(points[31:36], 5)
    portrait.shade(portrait.line(base, 0.03, depth=depth, soft=0.02), rng.uniform(0.2, 0.45))
    # The nostrils show the more the further the head leans back.
    lean = float(np.clip(0.055 - 0.1 * face.shot.turn[1, 2], 0.018, 0.12))
    middle = points[33]
    for wing, near in ((31, 32), (35, 34)):
        heart = points[near] * 0.6 + points[wing] * 0.25 + middle * 0.15 - down * lean * 0.6
        across = (points[wing] - middle) * 0.24
        shape = heart + disc(np.zeros(2), 1.0, 18) @ np.stack([across, down * lean * 0.7])
        cover = portrait.on_head(shape, depth=depth, margin=1.5)
        if cover.alpha.size:
            soft = cv2.GaussianBlur(cover.alpha, (0, 0), 0.01 * px + 0.3)
            canvas.paint(Cover(cover.rows, cover.columns, soft), portrait.skin * 0.16, None, opacity=0.85)
        curl = np.array([points[wing], points[wing] * 1.15 - middle * 0.15 - down * 0.08,
                         points[wing] * 1.02 - middle * 0.02 - down * 0.2])
        fold = portrait.line(spline(curl, 5), 0.022, depth=depth, soft=0.016)
        portrait.shade(fold, 0.22 + 0.3 * canvas.lamp.shadows)
    tip = canvas.cover(disc(points[30] + canvas.toward[:2] * 0.05 * px, 0.05 * px, 12), margin=0.15 * px)
    if tip.alpha.size:
        window = tip.rows, tip.columns
        canvas.glow(tip.times(portrait.head[window]), portrait.gloss * 0.6, 0.08 * px)


def mouth(portrait: Portrait, rng: Rng) -> None:
    """What the lips leave open with teeth and tongue, then the lips."""
    face = portrait.face
    points, depth = face.points, float(face.seen[48:68, 2].max())
    outer, inner = _loop(points[48:60], 0, 6), _loop(points[60:68], 0, 4)
    lips = portrait.on_head(outer, depth=depth, margin=1)
    if not lips.alpha.size:
        return
    _lips(portrait, rng, lips)
    hole = portrait.on_head(inner, depth=depth)
    open_px = float(np.linalg.norm(points[62] - points[66]))
    if hole.alpha.size and open_px > 0.015 * portrait.px:
        portrait.canvas.paint(hole, portrait.skin * 0.12 * np.array([1.2, 0.6, 0.55], np.float32).reshape(3, 1, 1), None)
        _inside(portrait, rng, hole, depth)
    line = spline(points[[60, 61, 62, 63, 64]], 5)
    width = 0.016 * (1 - 0.5 * min(open_px / (0.1 * portrait.px), 1))
    portrait.shade(portrait.line(line, width, depth=depth, soft=0.004), 0.65)
    for corner, near in ((48, 60), (54, 64)):
        spot = portrait.line(points[[corner, near]], 0.04, depth=depth, soft=0.025)
        portrait.shade(spot, 0.4)


def _lips(portrait: Portrait, rng: Rng, lips: Cover) -> None:
    canvas, points = portrait.canvas, portrait.face.points
    depth = float(portrait.face.seen[48:68, 2].max())
    pink = np.array([0.86, 0.6, 0.58], np.float32).reshape(3, 1, 1)
    if rng.random() < 0.55 * portrait.made_up + 0.05:
        paint = ((0.7, 0.1, 0.14), (0.62, 0.15, 0.25), (0.8, 0.35, 0.36), (0.4, 0.08, 0.12))
        tone, share = pick(rng, paint, 0.1), rng.uniform(0.4, 0.95)
    else:
        tone, share = portrait.skin * pink, rng.uniform(0.35, 0.95)
    window = lips.rows, lips.columns
    under = canvas.image[:, lips.rows, lips.columns]
    light = under.mean(0) / max(float(portrait.skin.mean()), 0.05)
    edge = cv2.GaussianBlur(lips.alpha, (0, 0), 0.012 * portrait.px + 0.25)
    creased = 1 + 0.06 * grain(rng, edge.shape, max(0.03 * portrait.px, 1), max(0.1 * portrait.px, 1))
    soft = Cover(*window, edge)
    canvas.paint(soft, tone * np.clip(light * creased, 0.1, 1.5), None, opacity=float(share))
    upper = np.concatenate([spline(points[48:55], 4), spline(points[[64, 63, 62, 61, 60]], 4)])
    shade = 0.22 * max(-float(canvas.toward[1]), 0.1) + 0.08
    portrait.shade(portrait.on_head(upper, depth=depth), shade)
    full = (points[[56, 57, 58]] + points[[65, 66, 67]]) / 2
    shine = portrait.line(full, 0.06, depth=depth, soft=0.04)
    canvas.glow(shine, float(rng.uniform(0.02, 0.08) + portrait.gloss * 0.4), 0)
    below = points[[58, 57, 56]] + portrait.face.shot.turn[:2, 1] * 0.06 * portrait.px
    portrait.shade(portrait.line(below, 0.09, depth=depth, soft=0.05), 0.3)


def _inside(portrait: Portrait, rng: Rng, hole: Cover, depth: float) -> None:
    """Teeth behind the upper lip, sometimes behind the lower one, and a tongue."""
    canvas, points = portrait.canvas, portrait.face.points
    down = portrait.face.shot.turn[:2, 1] * portrait.px
    upper, lower = spline(points[60:65], 5), spline(points[[60, 67, 66, 65, 64]], 5)
    gap = float(np.linalg.norm(points[62] - points[66])) / portrait.px
    if gap > 0.2 and rng.random() < 0.7:
        low = (points[[67, 66, 65]] * 1.0).mean(0)
        shape = low + disc(np.zeros(2), 1.0, 20) @ np.stack([(points[65] - points[67]) * 0.8, down * gap * 0.4])
        tongue = _shared(canvas.cover(shape), hole, hole.alpha)
        red = np.array([0.72, 0.32, 0.3], np.float32).reshape(3, 1, 1)
        canvas.paint(tongue, red * (0.25 + 0.4 * portrait.skin.max()), None)
    if rng.random() < 0.85:
        _teeth(portrait, rng, hole, (upper, down * min(rng.uniform(0.08, 0.16), 1.0)))
    if rng.random() < 0.25 and gap > 0.1:
        _teeth(portrait, rng, hole, (lower, -down * rng.uniform(0.03, 0.09)))
    shadow = portrait.line(upper, 0.03, depth=depth, soft=0.02)
    canvas.darken(_shared(shadow, hole, hole.alpha), 0.4, 0)


def _teeth(portrait: Portrait, rng: Rng, hole: Cover, row: tuple[Points, Points]) -> None:
    canvas = portrait.canvas
    edge, tall = row
    arch = np.sin(np.linspace(0.5, pi - 0.5, len(edge)))[:, None]
    ends = edge + tall * arch
    shape = np.concatenate([edge - tall * 0.5, ends[::-1]])
    teeth = _shared(canvas.cover(shape), hole, hole.alpha)
    light = 0.3 + 0.6 * canvas.lamp.ambient + 0.3 * (1 - canvas.lamp.ambient) * max(float(canvas.toward[2]), 0)
    white = np.array([0.95, 0.92, 0.84], np.float32).reshape(3, 1, 1) * np.float32(light * rng.uniform(0.7, 1))
    canvas.paint(teeth, white, None)
    gaps = [tube(np.array([_along(edge, s)[0], _along(ends, s)[0]]), np.array([1.0, 1.0]) * 0.008 * portrait.px)[2]
            for s in np.linspace(0.2, 0.8, 7)[:, None] * (len(edge) - 1)]
    canvas.darken(_shared(canvas.cover(*gaps), hole, hole.alpha), 0.25, 0)
