"""Hands and arms that reach into the picture, over what lies there."""

from math import cos, pi, sin

import numpy as np

from img2img.data.synth.kitchen_canvas import (
    Canvas,
    Field,
    Points,
    Rng,
    any_colour,
    curve,
    grain,
    pick,
    tube,
)

SKINS = (
    (0.95, 0.79, 0.69),
    (0.87, 0.66, 0.52),
    (0.74, 0.53, 0.4),
    (0.55, 0.37, 0.27),
    (0.37, 0.24, 0.17),
    (0.25, 0.16, 0.12),
)


def hand(canvas: Canvas, rng: Rng, at: Points, cm: float, *, grip: str, reach: float) -> None:
    """A hand with its arm, from the picture's border to a picture point.

    `cm` is the size of a centimetre in pixels there, `reach` the held thing's radius in pixels,
    and `grip` one of "point", "pinch", "over" and "rest".
    """
    skin, turn = pick(rng, SKINS, 0.05), rng.normal(pi / 2, 0.9)
    cm = cm * rng.uniform(0.85, 1.2)
    out, aside = np.array([cos(turn), sin(turn)]), np.array([-sin(turn), cos(turn)])
    side = rng.choice([-1, 1])
    start = at + out * (reach * 0.85)
    knuckles = start + out * cm * rng.uniform(4, 7) + aside * side * cm * rng.uniform(-1, 2)
    if grip == "point":
        _finger(canvas, rng, [start, (start + knuckles) / 2, knuckles], cm, skin)
    wrist = knuckles + out * cm * rng.uniform(7, 10)
    _arm(canvas, rng, wrist, out, cm, skin)
    palm = np.array([knuckles + out * cm * 2.0, wrist])
    _limb(canvas, rng, palm, np.array([7.5, 6.0]) * cm, skin)
    spread = np.linspace(-1, 1, 4)
    for i, offset in enumerate(spread):
        root = knuckles + aside * offset * 2.9 * cm + out * cm * (1.0 + 0.5 * abs(offset))
        tip = _tip(rng, grip, i, at, out, aside * side, cm, reach, root)
        bend = (root + tip) / 2 + aside * offset * cm * rng.uniform(0, 1.5)
        _finger(canvas, rng, [tip, bend, root], cm, skin)
    thumb = knuckles + aside * side * 3.4 * cm + out * cm * 5
    near = at - aside * side * -reach * 0.9 + out * reach * 0.1
    tip = thumb - out * 4 * cm + aside * side * cm if grip in ("point", "rest") else near
    _finger(canvas, rng, [tip, (tip + thumb) / 2 + aside * side * cm * 1.4, thumb], cm * 1.15, skin)


def _tip(
    rng: Rng,
    grip: str,
    i: int,
    at: Points,
    out: Points,
    aside: Points,
    cm: float,
    reach: float,
    root: Points,
) -> Points:
    """Where the tip of finger `i` (0…3) lies."""
    if grip == "rest":
        return root - out * cm * rng.uniform(5, 8)
    if grip == "over":
        return at - aside * reach * (0.5 - 0.33 * i) - out * reach * rng.uniform(-0.2, 0.5)
    if grip == "pinch" and i < 2:
        return at - aside * reach * 0.9 + out * reach * (0.8 * i - 0.2)
    return root - out * cm * rng.uniform(1.0, 2.5)


def _finger(canvas: Canvas, rng: Rng, knots: list[Points], cm: float, skin: Field) -> None:
    """From the tip (the first knot) to the root, often with a nail."""
    line = curve(np.array(knots), 6)
    _limb(canvas, rng, line, np.linspace(1.45, 2.0, len(line)) * cm, skin)
    if rng.random() < 0.6:
        along = line[0] - line[1]
        along = along / max(float(np.hypot(*along)), 1e-6)
        ends = np.array([line[0] + along * 0.2 * cm, line[0] - along * 0.5 * cm])
        nail = tube(ends, np.array([0.8, 0.85]) * cm)
        canvas.fill(skin * 0.65 + 0.32 * skin.max(), None, *nail, opacity=0.7)


def _limb(canvas: Canvas, rng: Rng, line: Points, widths: Points, skin: Field) -> None:
    shapes = tube(line, widths)
    width = float(widths.mean())
    drop = canvas.lamp.slope * (1, -1) * width * 0.4
    fallen = canvas.cover(*(shape + drop for shape in shapes), margin=width / 2, fine=1)
    canvas.darken(fallen, canvas.lamp.shadows * 0.35, width * 0.5)
    cover = canvas.cover(*shapes)
    if cover.alpha.size:
        look = skin * (1 + 0.03 * grain(rng, cover.alpha.shape, max(width / 3, 1)))
        canvas.paint(cover, look * (0.45 + 0.55 * canvas.relief(cover, width / 2)), 0)


def _arm(canvas: Canvas, rng: Rng, wrist: Points, out: Points, cm: float, skin: Field) -> None:
    """The forearm, bare or in a sleeve, straight to beyond the border."""
    far = wrist + out * min(60 * cm, 3.0 * max(canvas.classes.shape))
    _limb(canvas, rng, np.array([wrist, far]), np.array([5.5, 9]) * cm, skin)
    if rng.random() < 0.6:
        cuff = wrist + (far - wrist) * rng.uniform(0, 0.5)
        cloth = any_colour(rng) * rng.choice([0.2, 0.5, 1.0])
        _limb(canvas, rng, np.array([cuff, far]), np.array([8, 12]) * cm, cloth)
