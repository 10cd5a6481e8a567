"""Eggs and pans, and what holds them: dishes, cartons, hands."""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

from img2img.data.synth.kitchen_canvas import (
    Canvas,
    Cover,
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
    ring,
    tinted,
    tube,
)

EGG, PAN = 1, 2

SHELLS = ((0.94, 0.93, 0.91), (0.9, 0.8, 0.66), (0.74, 0.47, 0.31), (0.58, 0.33, 0.21))
SKINS = (
    (0.95, 0.79, 0.69),
    (0.87, 0.66, 0.52),
    (0.74, 0.53, 0.4),
    (0.55, 0.37, 0.27),
    (0.37, 0.24, 0.17),
    (0.25, 0.16, 0.12),
)


# ------------------------------------------------------------------------------------------ eggs


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
    return points + (spot - (0, 0, points[:, 2].min()))


def egg(
    canvas: Canvas, rng: Rng, seat: Seat, *, peeled: bool, look: Field | None = None,
    length: float | None = None, upright: bool = False, sunk: float = 0.0,
) -> Points:  # fmt: skip
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
    """(3, h, w): smooth, with the yolk as a faint shade under it."""
    field: Field = look * (1 + 0.025 * grain(rng, shape, max(max(shape) / 3, 1)))
    return field


def _sparkle(canvas: Canvas, rng: Rng, outline: Points) -> None:
    """A few small mirror images of lamps and windows on something wet."""
    middle, reach = outline.mean(0), float(np.ptp(outline, axis=0).max()) / 2
    for _ in range(rng.integers(1, 4)):
        spot = middle + canvas.toward[:2] * reach * 0.5 + rng.normal(0, 0.22, 2) * reach
        shape = blob(rng, reach * rng.uniform(0.03, 0.13), rough=0.5, n=16) * (1, rng.uniform(0.4, 1.6))  # fmt: skip
        cover = canvas.cover(shape + spot)
        inside = canvas.alpha(cover, outline) if cover.alpha.size else 1
        canvas.paint(cover.times(inside), grey(1), None, opacity=rng.uniform(0.4, 1))


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
    white = _flat(canvas, flat, seat.spot + (0, 0, 0.25))
    canvas.shadow(np.column_stack([flat + seat.spot[:2], np.full(len(flat), seat.spot[2] + 0.5)]), seat.spot[2])  # fmt: skip
    cover = _visible(canvas, seat, white)
    if not cover.alpha.size:
        return
    scale = canvas.pose.px_per_cm(seat.spot)
    look = tinted(rng, (0.93, 0.91, 0.86)) * (1 + 0.04 * grain(rng, cover.alpha.shape, max(scale, 1)))  # fmt: skip
    look = look * canvas.relief(cover, scale * rng.uniform(0.4, 1.2))
    if rng.random() < 0.4:
        crust = 1 - canvas.alpha(cover, (white - white.mean(0)) * 0.9 + white.mean(0))
        look = look + crust * (tinted(rng, (0.65, 0.42, 0.2)) - look) * 0.7
    canvas.paint(cover, look, EGG)
    _sparkle(canvas, rng, white)
    for _ in range(1 + (rng.random() < 0.1)):
        spot = seat.spot + (*rng.normal(0, radius / 6, 2), 0.6)
        _yolk(canvas, rng, seat, spot, rng.uniform(1.5, 2.3))


def _flat(canvas: Canvas, outline: Points, spot: Points) -> Points:
    """The picture of a level outline (N, 2) in cm around a world point."""
    level = np.column_stack([outline + spot[:2], np.full(len(outline), spot[2])])
    return canvas.pose.project(level)


def _yolk(canvas: Canvas, rng: Rng, seat: Seat, spot: Points, radius: float) -> None:
    outline = _flat(canvas, blob(rng, radius, rough=0.06), spot)
    cover = _visible(canvas, seat, outline)
    look = pick(rng, ((0.98, 0.7, 0.12), (0.95, 0.52, 0.08), (0.96, 0.82, 0.4)))
    if cover.alpha.size:
        canvas.paint(cover, canvas.lit(cover, outline, look, gloss=rng.uniform(0, 0.7), shine=40), EGG)  # fmt: skip


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


# --------------------------------------------------------------------------------------- vessels


def vessel(
    canvas: Canvas, rng: Rng, spot: Points, *, radius: float, foot: float, height: float,
    wall: Field, floor: Field, label: int = 0, lip: float = 0.3,
) -> Seat:  # fmt: skip
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
    return Seat(spot + (0, 0, min(0.4, height / 3)), inner, (project(front),))


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
        canvas, rng, spot, radius=radius, foot=radius * rng.uniform(0.5, 0.72), height=height,
        wall=look, floor=look * rng.uniform(0.9, 1.05), lip=0.15,
    )  # fmt: skip
    for _ in range(rng.integers(0, 4)):
        share = rng.uniform(0.5, 0.97)
        stripe = look * 0.8 if rng.random() < 0.6 else any_colour(rng)
        hoop(canvas, spot + (0, 0, height * max(2 * share - 1, 0.05)), radius * share, stripe)
    if rng.random() < 0.3 and not deep:
        _beads(canvas, rng, ring(spot, radius * 0.9, spot[2] + height * 0.8, int(rng.integers(12, 48))))  # fmt: skip
    _gleam(canvas, rng, spot + (0, 0, height / 2), radius)
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
    place = spot + (*rng.normal(0, radius * 0.45, 2), 0)
    shape = blob(rng, radius * rng.uniform(0.08, 0.35), rough=0.5, n=30) * (1, rng.uniform(0.2, 1))
    blur = radius * canvas.pose.px_per_cm(spot) * rng.uniform(0.02, 0.2)
    cover = canvas.cover(_flat(canvas, shape, place), margin=1.5 * blur)
    if cover.alpha.size:
        inside = canvas.alpha(cover, canvas.pose.project(ring(spot, radius * 0.95, spot[2])))
        soft = cover.times(inside)
        canvas.glow(soft, rng.uniform(0.1, 0.6), blur)


# ------------------------------------------------------------------------------------------ pans

_COATS = ((0.07, 0.07, 0.07), (0.13, 0.13, 0.14), (0.22, 0.24, 0.23), (0.3, 0.34, 0.33))
_METALS = ((0.62, 0.62, 0.62), (0.74, 0.73, 0.71), (0.45, 0.45, 0.47))
_PAINTS = ((0.7, 0.1, 0.1), (0.15, 0.3, 0.55), (0.72, 0.4, 0.22), (0.85, 0.8, 0.68), (0.2, 0.5, 0.4))  # fmt: skip


def pan(canvas: Canvas, rng: Rng, spot: Points, radius: float, *, handles: bool = True) -> tuple[Seat, Points]:  # fmt: skip
    """A frying pan of this rim radius in cm; gives its seat and the handle's line (N, 3)."""
    inside = pick(rng, _COATS) if rng.random() < 0.8 else pick(rng, _METALS)
    if rng.random() < 0.06:
        inside = tinted(rng, (0.85, 0.82, 0.75))
    draw = rng.random()
    outside = inside if draw < 0.55 else pick(rng, _COATS + _METALS if draw < 0.8 else _PAINTS)
    height = radius * rng.uniform(0.1, 0.36)
    turn = rng.uniform(0, 2 * pi)
    line = _handle_line(rng, spot, radius, height, turn)
    grip = outside if rng.random() < 0.3 else pick(rng, (*_COATS, *_COATS, *_METALS, (0.45, 0.28, 0.15)))  # fmt: skip
    if handles and sin(turn) > 0:
        _handle(canvas, rng, line, grip)
    seat = vessel(
        canvas, rng, spot, radius=radius, foot=radius * rng.uniform(0.7, 0.93), height=height,
        wall=outside, floor=inside, label=PAN, lip=rng.uniform(0.2, 0.6),
    )  # fmt: skip
    if handles and sin(turn) <= 0:
        _handle(canvas, rng, line, grip)
    _worn(canvas, rng, seat, inside)
    if handles and rng.random() < 0.5:
        _rivets(canvas, rng, spot + (0, 0, height * 0.6), radius * 0.94, turn)
    _gleam(canvas, rng, seat.spot, seat.radius)
    return seat, line


def _handle_line(rng: Rng, spot: Points, radius: float, height: float, turn: float) -> Points:
    """(12, 3): from just inside the rim outward, level or rising."""
    length = radius * rng.uniform(0.85, 1.7)
    out = np.linspace(0, 1, 12)
    rise = height * rng.uniform(0.6, 0.95) + length * rng.uniform(0, 0.35) * out ** rng.uniform(0.7, 2)  # fmt: skip
    reach = radius * 0.96 + length * out
    return np.column_stack([cos(turn) * reach, sin(turn) * reach, rise]) + spot


def _handle(canvas: Canvas, rng: Rng, line: Points, look: Field) -> None:
    """A long handle: a narrow neck, often of metal, and a wider grip, often with a hole."""
    along = line[-1] - line[0]
    aside = np.array([-along[1], along[0], 0]) / max(float(np.hypot(*along[:2])), 1e-6)
    neck, grip = rng.uniform(0.8, 2.2), rng.uniform(1.6, 3.4)
    n_neck = int(rng.integers(2, 5))
    out = np.linspace(0, 1, len(line))
    width = np.where(np.arange(len(line)) < n_neck, neck, grip * (0.8 + 0.35 * out * rng.uniform(0, 1)))  # fmt: skip
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


def _strip(canvas: Canvas, line: Points, aside: Points, width: Field, look: Field, *, thick: float) -> None:  # fmt: skip
    """A flat bar along a world line, with a round end."""
    project = canvas.pose.project
    top = _ribbon(line, aside, width)
    under = project(top - (0, 0, thick))
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
    mottle = np.float32(rng.uniform(0, 0.08)) * grain(rng, cover.alpha.shape, max(scale * log_uniform(rng, 0.1, 4), 1))  # fmt: skip
    window = canvas.image[:, cover.rows, cover.columns]
    window *= 1 + mottle * open_to_view.alpha
    if rng.random() < 0.35:
        sheen = rng.uniform(0.02, 0.35) * (0.6 + canvas.ramp(cover, rng.uniform(-0.5, 0.5)))
        canvas.glow(open_to_view.times(sheen), 1.0, 0)
    if rng.random() < 0.4:
        patch = canvas.cover(_flat(canvas, blob(rng, seat.radius * rng.uniform(0.3, 0.8), rough=0.4), seat.spot))  # fmt: skip
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


def carton(canvas: Canvas, rng: Rng, spot: Points) -> list[Seat]:
    """A tray with cups in two or more rows, often with its lid; gives the seats of its cups."""
    look = pick(rng, ((0.62, 0.6, 0.56), (0.75, 0.73, 0.68), (0.85, 0.5, 0.3), (0.55, 0.6, 0.7), (0.8, 0.78, 0.6)))  # fmt: skip
    n_rows, n_columns = int(rng.choice([2, 2, 2, 3, 5])), int(rng.integers(2, 7))
    pitch, height, turn = rng.uniform(4.7, 5.4), rng.uniform(3.0, 4.5), rng.choice([rng.normal(0, 0.15), rng.uniform(0, 2 * pi)])  # fmt: skip
    axes = np.array([[cos(turn), sin(turn), 0], [-sin(turn), cos(turn), 0]])
    half_size = np.array([n_columns * pitch / 2 + 0.8, n_rows * pitch / 2 + 0.8])
    if rng.random() < 0.6:
        lid = spot + axes[1] * (2 * half_size[1]) + (0, 0, height * 0.6)
        _slab(canvas, rng, lid, axes, half_size, 1.5, look)
        if rng.random() < 0.6:
            _print(canvas, rng, lid + (0, 0, 1.5), axes, half_size * 0.8)
    _slab(canvas, rng, spot, axes, half_size, height, look)
    across = (np.arange(n_columns) - (n_columns - 1) / 2) * pitch
    back = (np.arange(n_rows) - (n_rows - 1) / 2) * pitch
    spots = [spot + axes[0] * x + axes[1] * y for y in back[::-1] for x in across]
    for cup in spots:
        hole = canvas.pose.project(ring(cup, pitch * 0.44, height, 24))
        canvas.fill(look * 0.6, 0, hole, light=-0.3)
    for cup in spots if rng.random() < 0.6 else []:
        peak = cup + (axes[0] + axes[1]) * pitch / 2
        cone = np.concatenate([ring(peak, pitch * 0.22, height, 12), ring(peak, pitch * 0.1, height + 1.2, 8)])  # fmt: skip
        canvas.fill(look * 1.08, 0, hull(canvas.pose.project(cone)), light=0.3)
    return [Seat(cup + (0, 0, height * 0.45), pitch / 2) for cup in spots]


def _slab(
    canvas: Canvas, rng: Rng, spot: Points, axes: Points, half_size: Points, height: float, look: Field
) -> None:  # fmt: skip
    """A box with rough sides that stands on its spot."""
    corners = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * half_size
    foot = spot + corners @ axes
    top = foot + (0, 0, height)
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


# ---------------------------------------------------------------------------------------- hands


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
    _limb(canvas, rng, np.array([knuckles + out * cm * 2.0, wrist]), np.array([7.5, 6.0]) * cm, skin)  # fmt: skip
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
    rng: Rng, grip: str, i: int, at: Points, out: Points, aside: Points, cm: float, reach: float, root: Points
) -> Points:  # fmt: skip
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
        nail = tube(np.array([line[0] + along * 0.2 * cm, line[0] - along * 0.5 * cm]), np.array([0.8, 0.85]) * cm)  # fmt: skip
        canvas.fill(skin * 0.65 + 0.32 * skin.max(), None, *nail, opacity=0.7)


def _limb(canvas: Canvas, rng: Rng, line: Points, widths: Points, skin: Field) -> None:
    shapes = tube(line, widths)
    width = float(widths.mean())
    drop = canvas.lamp.slope * (1, -1) * width * 0.4
    canvas.darken(canvas.cover(*(shape + drop for shape in shapes), margin=width / 2), canvas.lamp.shadows * 0.35, width * 0.5)  # fmt: skip
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
