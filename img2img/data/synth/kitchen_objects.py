"""Vessels: dishes, frying pans and egg cartons."""

from collections.abc import Callable
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
    grey,
    hull,
    log_uniform,
    pick,
    raised,
    ring,
    tinted,
    tube,
)
from img2img.data.synth.kitchen_eggs import Seat, flat_outline

PAN = 2
"""The class of frying pans, with their handles."""

Thing = Callable[[Canvas, Rng, Points], None]
"""Draws one thing at a spot."""

DARK = ((0.05, 0.05, 0.05), (0.12, 0.12, 0.13), (0.2, 0.2, 0.22))
STEEL = ((0.6, 0.6, 0.6), (0.75, 0.75, 0.73), (0.45, 0.45, 0.47))


# --------------------------------------------------------------------------------------- vessels


def vessel(
    canvas: Canvas,
    rng: Rng,
    spot: Points,
    *,
    radius: float,
    foot: float,
    height: float,
    wall: Field,
    floor: Field,
    label: int = 0,
    lip: float = 0.3,
) -> Seat:
    """An open round vessel: outside and rim of colour `wall`, inside of colour `floor`.

    `radius` is the rim's and `foot` the base's, in cm. Gives the seat inside.
    """
    z = float(spot[2])
    rim, base = ring(spot, radius, z + height), ring(spot, foot, z)
    project = canvas.pose.project
    canvas.shadow(np.concatenate([rim, base]), z)
    light = rng.uniform(0.05, 0.3)
    canvas.fill(wall * 0.8, label, hull(project(np.concatenate([rim, base]))), light=light)
    canvas.fill(wall * rng.uniform(1.0, 1.35), label, project(rim), light=light)
    opening = project(ring(spot, radius - lip, z + height * 0.98))
    cover = canvas.cover(opening)
    inner = max(min(foot, radius - lip) * 0.97, 0.1)
    deep = ring(spot, inner, z + min(0.4, height / 3))
    if cover.alpha.size:
        slope = canvas.ramp(cover, -rng.uniform(0.1, 0.45))
        canvas.paint(cover, floor * rng.uniform(0.7, 1.05) * (1 + slope), label)
        bottom = cover.times(canvas.alpha(cover, project(deep)))
        canvas.paint(bottom, floor * (1 + canvas.ramp(bottom, rng.uniform(-0.15, 0.15))), label)
    near = np.linspace(-pi, 0, 24)
    front = np.concatenate(
        [_arc(spot, radius - lip, z + height, near), _arc(spot, foot, z, near[::-1])]
    )
    return Seat(raised(spot, min(0.4, height / 3)), inner, (project(front),))


def _arc(centre: Points, radius: float, z: float, angles: Points) -> Points:
    x, y = centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)
    return np.column_stack([x, y, np.full(len(angles), z)])


def dish(canvas: Canvas, rng: Rng, spot: Points, radius: float, *, deep: bool = False) -> Seat:
    """A plate, or a bowl where it is deep, mostly white."""
    look = pick(rng, ((0.95, 0.95, 0.94), (0.93, 0.92, 0.88), (0.9, 0.86, 0.76)), 0.02)
    if rng.random() < 0.3:
        look = any_colour(rng)
    height = radius * (rng.uniform(0.4, 0.8) if deep else rng.uniform(0.08, 0.16))
    seat = vessel(
        canvas,
        rng,
        spot,
        radius=radius,
        foot=radius * rng.uniform(0.5, 0.72),
        height=height,
        wall=look,
        floor=look * rng.uniform(0.9, 1.05),
        lip=0.15,
    )
    for _ in range(rng.integers(0, 4)):
        share = rng.uniform(0.5, 0.97)
        stripe = look * 0.8 if rng.random() < 0.6 else any_colour(rng)
        hoop(canvas, raised(spot, height * max(2 * share - 1, 0.05)), radius * share, stripe)
    if rng.random() < 0.3 and not deep:
        n = int(rng.integers(12, 48))
        _beads(canvas, rng, ring(spot, radius * 0.9, spot[2] + height * 0.8, n))
    _gleam(canvas, rng, raised(spot, height / 2), radius)
    return seat


def hoop(canvas: Canvas, spot: Points, radius: float, colour: Field) -> None:
    """A thin line, half transparent, along a level circle; it leaves the classes."""
    half_width = max(0.06, 0.35 / canvas.pose.px_per_cm(spot))
    z = float(spot[2])
    cover = canvas.cover(canvas.pose.project(ring(spot, radius + half_width, z)))
    if cover.alpha.size:
        inner = canvas.pose.project(ring(spot, max(radius - half_width, 0), z))
        canvas.paint(cover.times(1 - canvas.alpha(cover, inner)), colour, None, opacity=0.5)


def _beads(canvas: Canvas, rng: Rng, points: Points) -> None:
    """A ring of small ornaments on a plate's rim, or of its flutes' highlights."""
    size = canvas.pose.px_per_cm(points.mean(0)) * rng.uniform(0.15, 0.5)
    colour = grey(1) if rng.random() < 0.6 else any_colour(rng)
    shapes = [disc(spot, size, 8) for spot in canvas.pose.project(points)]
    canvas.fill(colour, None, *shapes, opacity=rng.uniform(0.3, 0.9))


def _gleam(canvas: Canvas, rng: Rng, spot: Points, radius: float) -> None:
    """A broad soft highlight on something glossy."""
    if rng.random() < 0.4:
        return
    place = spot + np.append(rng.normal(0, radius * 0.45, 2), 0)
    shape = blob(rng, radius * rng.uniform(0.08, 0.35), rough=0.5, n=30) * (1, rng.uniform(0.2, 1))
    blur = radius * canvas.pose.px_per_cm(spot) * rng.uniform(0.06, 0.25)
    cover = canvas.cover(flat_outline(canvas, shape, place), margin=1.5 * blur)
    if cover.alpha.size:
        inside = canvas.alpha(cover, canvas.pose.project(ring(spot, radius * 0.95, spot[2])))
        soft = cover.times(inside)
        canvas.glow(soft, rng.uniform(0.1, 0.6), blur)


# ------------------------------------------------------------------------------------------ pans

_COATS = ((0.07, 0.07, 0.07), (0.13, 0.13, 0.14), (0.22, 0.24, 0.23), (0.3, 0.34, 0.33))
_METALS = ((0.62, 0.62, 0.62), (0.74, 0.73, 0.71), (0.45, 0.45, 0.47))
_PAINTS = (
    (0.7, 0.1, 0.1),
    (0.15, 0.3, 0.55),
    (0.72, 0.4, 0.22),
    (0.85, 0.8, 0.68),
    (0.2, 0.5, 0.4),
)


_GRIPS = (*_COATS, *_COATS, *_METALS, (0.45, 0.28, 0.15))


def pan(
    canvas: Canvas, rng: Rng, spot: Points, radius: float, *, handles: bool = True
) -> tuple[Seat, Points]:
    """A frying pan of this rim radius in cm; gives its seat and the handle's line (N, 3)."""
    inside = pick(rng, _COATS) if rng.random() < 0.8 else pick(rng, _METALS)
    if rng.random() < 0.06:
        inside = tinted(rng, (0.85, 0.82, 0.75))
    draw = rng.random()
    outside = inside if draw < 0.55 else pick(rng, _COATS + _METALS if draw < 0.8 else _PAINTS)
    height = radius * rng.uniform(0.1, 0.36)
    turn = rng.uniform(0, 2 * pi)
    line = _handle_line(rng, spot, radius, height, turn)
    grip = outside if rng.random() < 0.3 else pick(rng, _GRIPS)
    if handles and sin(turn) > 0:
        _handle(canvas, rng, line, grip)
    seat = vessel(
        canvas,
        rng,
        spot,
        radius=radius,
        foot=radius * rng.uniform(0.7, 0.93),
        height=height,
        wall=outside,
        floor=inside,
        label=PAN,
        lip=rng.uniform(0.2, 0.6),
    )
    if handles and sin(turn) <= 0:
        _handle(canvas, rng, line, grip)
    _worn(canvas, rng, seat, inside)
    if handles and rng.random() < 0.5:
        _rivets(canvas, rng, raised(spot, height * 0.6), radius * 0.94, turn)
    _gleam(canvas, rng, seat.spot, seat.radius)
    return seat, line


def _handle_line(rng: Rng, spot: Points, radius: float, height: float, turn: float) -> Points:
    """(12, 3): from just inside the rim outward, level or rising."""
    length = radius * rng.uniform(0.85, 1.7)
    out = np.linspace(0, 1, 12)
    start, slope = height * rng.uniform(0.6, 0.95), length * rng.uniform(0, 0.35)
    rise = start + slope * out ** rng.uniform(0.7, 2)
    reach = radius * 0.96 + length * out
    return np.column_stack([cos(turn) * reach, sin(turn) * reach, rise]) + spot


def _handle(canvas: Canvas, rng: Rng, line: Points, look: Field) -> None:
    """A long handle: a narrow neck, often of metal, and a wider grip, often with a hole."""
    along = line[-1] - line[0]
    aside = np.array([-along[1], along[0], 0]) / max(float(np.hypot(*along[:2])), 1e-6)
    neck, grip = rng.uniform(0.8, 2.2), rng.uniform(1.6, 3.4)
    n_neck = int(rng.integers(2, 5))
    out = np.linspace(0, 1, len(line))
    swell = grip * (0.8 + 0.35 * out * rng.uniform(0, 1))
    width = np.where(np.arange(len(line)) < n_neck, neck, swell)
    canvas.shadow(np.concatenate([line + aside, line - aside]), float(line[0, 2]) - 3)
    thick = rng.uniform(0.5, 1.8)
    metal = pick(rng, _METALS) if rng.random() < 0.5 else look
    _strip(canvas, line[: n_neck + 1], aside, width[: n_neck + 1], metal, thick=thick * 0.5)
    _strip(canvas, line[n_neck:], aside, width[n_neck:], look, thick=thick)
    if rng.random() < 0.6:
        spot = line[-1] - along * rng.uniform(0.02, 0.08)
        slot = np.array([spot, spot - along * rng.uniform(0.01, 0.08)])
        hole = canvas.pose.project(slot)
        size = grip * rng.uniform(0.25, 0.45) * canvas.pose.px_per_cm(spot)
        canvas.fill(look * 0.35, PAN, *tube(hole, np.full(2, size)))


def _strip(
    canvas: Canvas, line: Points, aside: Points, width: Field, look: Field, *, thick: float
) -> None:
    """A flat bar along a world line, with a round end."""
    project = canvas.pose.project
    top = _ribbon(line, aside, width)
    under = project(raised(top, -thick))
    flat = project(top)
    sides = [hull(np.concatenate([flat[i], under[i]])) for i in _quads(len(line), len(top))]
    cover = canvas.cover(flat, under, *sides)
    scale = canvas.pose.px_per_cm(line.mean(0))
    if cover.alpha.size:
        shade = canvas.relief(cover, max(float(width.max()) / 2 * scale, 1))
        canvas.paint(cover, np.clip(look, 0.04, 1) * shade * 1.1, PAN)


def _ribbon(line: Points, aside: Points, width: Field) -> Points:
    """The outline (M, 3) of a level band of these widths (N,) around a line (N, 3)."""
    left, right = line + aside * width[:, None] / 2, line - aside * width[:, None] / 2
    end = line[-1] - line[-2]
    end = end / max(float(np.linalg.norm(end)), 1e-6)
    angles = np.linspace(0, pi, 9)[1:-1, None]
    cap = line[-1] + width[-1] / 2 * (np.cos(angles) * aside + np.sin(angles) * end * 0.8)
    return np.concatenate([left, cap, right[::-1]])


def _quads(n: int, total: int) -> list[list[int]]:
    """Indices of the pieces between neighbours of a ribbon: left, left, right, right."""
    return [[i, i + 1, total - 1 - i - 1, total - 1 - i] for i in range(n - 1)]


def _worn(canvas: Canvas, rng: Rng, seat: Seat, look: Field) -> None:
    """The base's marks: rings, a paler or darker middle, oil, crumbs."""
    project = canvas.pose.project
    floor = project(ring(seat.spot, seat.radius, seat.spot[2]))
    cover = canvas.cover(floor)
    if not cover.alpha.size:
        return
    scale = canvas.pose.px_per_cm(seat.spot)
    open_to_view = cover.times(1 - canvas.alpha(cover, *seat.hidden_by))
    mottle = grain(rng, cover.alpha.shape, max(scale * log_uniform(rng, 0.1, 4), 1))
    window = canvas.image[:, cover.rows, cover.columns]
    window *= 1 + mottle * open_to_view.alpha * np.float32(rng.uniform(0, 0.08))
    if rng.random() < 0.35:
        sheen = rng.uniform(0.02, 0.35) * (0.6 + canvas.ramp(cover, rng.uniform(-0.5, 0.5)))
        canvas.glow(open_to_view.times(sheen), 1.0, 0)
    if rng.random() < 0.4:
        outline = blob(rng, seat.radius * rng.uniform(0.3, 0.8), rough=0.4)
        patch = canvas.cover(flat_outline(canvas, outline, seat.spot))
        if patch.alpha.size:
            patch = patch.times(canvas.alpha(patch, floor))
            canvas.glow(patch, rng.uniform(-0.05, 0.12), seat.radius * scale * 0.15)
    if rng.random() < 0.4:
        for share in rng.uniform(0.1, 1, rng.integers(1, 6)):
            tone = look * rng.uniform(0.5, 1.7)
            hoop(canvas, seat.spot, seat.radius * share, tone)


def _rivets(canvas: Canvas, rng: Rng, centre: Points, reach: float, turn: float) -> None:
    n, size = int(rng.integers(2, 4)), rng.uniform(0.3, 0.6)
    angles = turn + (np.arange(n) - (n - 1) / 2) * 0.12
    for spot in _arc(centre, reach, float(centre[2]), angles):
        centre_px = canvas.pose.project(spot[None])[0]
        size_px = size * canvas.pose.px_per_cm(spot)
        canvas.fill(grey(rng.uniform(0.3, 0.8)), PAN, disc(centre_px, size_px, 10), light=0.4)


# -------------------------------------------------------------------------------------- cartons


_PULPS = (
    (0.62, 0.6, 0.56),
    (0.75, 0.73, 0.68),
    (0.85, 0.5, 0.3),
    (0.55, 0.6, 0.7),
    (0.8, 0.78, 0.6),
)


def carton(canvas: Canvas, rng: Rng, spot: Points) -> list[Seat]:
    """A tray with cups in two or more rows, often with its lid; gives the seats of its cups."""
    look = pick(rng, _PULPS)
    n_rows, n_columns = int(rng.choice([2, 2, 2, 3, 5])), int(rng.integers(2, 7))
    pitch, height = rng.uniform(4.7, 5.4), rng.uniform(3.0, 4.5)
    turn = rng.choice([rng.normal(0, 0.15), rng.uniform(0, 2 * pi)])
    axes = np.array([[cos(turn), sin(turn), 0], [-sin(turn), cos(turn), 0]])
    half_size = np.array([n_columns * pitch / 2 + 0.8, n_rows * pitch / 2 + 0.8])
    if rng.random() < 0.6:
        lid = raised(spot, height * 0.6) + axes[1] * (2 * half_size[1])
        _slab(canvas, rng, lid, axes, half_size, 1.5, look)
        if rng.random() < 0.6:
            _print(canvas, rng, raised(lid, 1.5), axes, half_size * 0.8)
    _slab(canvas, rng, spot, axes, half_size, height, look)
    across = (np.arange(n_columns) - (n_columns - 1) / 2) * pitch
    back = (np.arange(n_rows) - (n_rows - 1) / 2) * pitch
    spots = [spot + axes[0] * x + axes[1] * y for y in back[::-1] for x in across]
    for cup in spots:
        hole = canvas.pose.project(ring(cup, pitch * 0.44, height, 24))
        canvas.fill(look * 0.6, 0, hole, light=-0.3)
    for cup in spots if rng.random() < 0.6 else []:
        peak = cup + (axes[0] + axes[1]) * pitch / 2
        low, top = ring(peak, pitch * 0.22, height, 12), ring(peak, pitch * 0.1, height + 1.2, 8)
        cone = hull(canvas.pose.project(np.concatenate([low, top])))
        canvas.fill(look * 1.08, 0, cone, light=0.3)
    return [Seat(raised(cup, height * 0.45), pitch / 2) for cup in spots]


def _slab(
    canvas: Canvas,
    rng: Rng,
    spot: Points,
    axes: Points,
    half_size: Points,
    height: float,
    look: Field,
) -> None:
    """A box with rough sides that stands on its spot."""
    corners = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * half_size
    foot = spot + corners @ axes
    top = raised(foot, height)
    canvas.shadow(np.concatenate([foot, top]), float(spot[2]))
    outline = hull(canvas.pose.project(np.concatenate([foot, top])))
    canvas.fill(look * 0.65, 0, outline, light=0.2)
    cover = canvas.cover(canvas.pose.project(top))
    if cover.alpha.size:
        rough = 1 + 0.05 * grain(rng, cover.alpha.shape, 2) + canvas.ramp(cover, 0.1)
        canvas.paint(cover, look * rough, 0)


def _print(canvas: Canvas, rng: Rng, spot: Points, axes: Points, half_size: Points) -> None:
    """Lines of dark bars, as text is from afar."""
    ink = pick(rng, ((0.1, 0.2, 0.5), (0.1, 0.1, 0.1), (0.6, 0.1, 0.1)))
    for row in np.linspace(-0.7, 0.7, rng.integers(2, 6)):
        left, right = np.sort(rng.uniform(-1, 1, 2))
        tall = rng.uniform(0.05, 0.12)
        corners = np.array([[left, row], [right, row], [right, row + tall], [left, row + tall]])
        level = spot + (corners * half_size) @ axes
        canvas.fill(ink, None, canvas.pose.project(level), opacity=0.7)
