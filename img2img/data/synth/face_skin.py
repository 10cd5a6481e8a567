"""The skin of a head under a light: its shade, blush, freckles, folds, beard and stubble."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from img2img.data.synth.face_layout import LEFT_EYE, RIGHT_EYE
from img2img.data.synth.face_portrait import Portrait, mottled
from img2img.data.synth.face_raster import Rendered, normals, rasterise
from img2img.data.synth.kitchen_canvas import Cover, Field, Points, Rng, grain, grey

_COLUMNS = np.concatenate([
    np.linspace(-np.pi, -np.pi / 2, 6)[:-1],
    np.pi / 2 * (lambda u: 0.5 * u + 0.5 * u**3)(np.linspace(-1, 1, 31)),
    np.linspace(np.pi / 2, np.pi, 6)[1:],
])  # fmt: skip
"""Angles of the rings' points: dense about the nose."""


def head(portrait: Portrait, rng: Rng) -> Rendered | None:
    """Paints the bare head and notes where it is."""
    face = portrait.face
    solid = face.surface.ring(_COLUMNS[None], face.surface.heights(38)[:, None])
    turned = normals(solid @ face.shot.turn.T)
    attributes = np.concatenate([turned, solid[..., :2]], axis=-1)
    rendered = rasterise(face.shot.project(solid), attributes, face.size)
    if rendered is None:
        return None
    cover = rendered.cover
    _smooth(rendered, 0.03 * portrait.px + 0.3)
    portrait.canvas.paint(cover, _lit(portrait, rendered, _albedo(portrait, rng, rendered)), None)
    window = cover.rows, cover.columns
    portrait.head[window] = cover.alpha
    portrait.depth[window] = np.where(cover.alpha > 0, rendered.depth, -99)
    return rendered


def _smooth(rendered: Rendered, blur_px: float) -> None:
    """Rounds the normals, the first three attributes, where the quads meet."""
    mask = (rendered.cover.alpha > 0).astype(np.float32)
    planes = cv2.merge((*(rendered.values[:3] * mask), mask))
    soft = cv2.split(cv2.GaussianBlur(planes, (0, 0), blur_px))
    length = np.sqrt(soft[0] ** 2 + soft[1] ** 2 + soft[2] ** 2)
    rendered.values[:3] = np.stack(soft[:3]) / np.maximum(length, 1e-3)


def _lit(portrait: Portrait, rendered: Rendered, albedo: Field) -> Field:
    """(3, h, w) of skin under the lamp: light that has been under the skin comes back red."""
    canvas = portrait.canvas
    nx, ny, nz = rendered.values[:3]
    lx, ly, lz = (float(value) for value in canvas.toward)
    ambient = canvas.lamp.ambient
    facing = nx * lx + ny * ly + nz * lz
    soft = 0.25
    direct = np.clip((facing + soft) / (1 + soft), 0, 1)
    light = ambient * (0.62 + 0.3 * nz - 0.14 * ny) + (1 - ambient) * (0.12 + 1.05 * direct)
    light = np.clip(
        light * (1 - 0.5 * canvas.lamp.shadows * _nose_shadow(portrait, rendered)), 0.02, 2
    )
    spread = np.stack([cv2.pow(light, power) for power in (0.88, 1.04, 1.1)])
    halfway = nx * lx + ny * ly + nz * (lz + 1)
    glance = cv2.pow(np.clip(halfway / np.sqrt(lx**2 + ly**2 + (lz + 1) ** 2), 0, 1), 24)
    lit: Field = albedo * spread + np.float32(portrait.gloss) * glance * (0.4 + 0.6 * direct)
    return lit


def _nose_shadow(portrait: Portrait, rendered: Rendered) -> Field:
    """(h, w) in 0…1: what the nose keeps the light from."""
    x, y = rendered.values[3:5]
    tip, (px, py) = portrait.face.surface.layout[30], portrait.face.surface.layout[33].tolist()
    lx, ly, lz = (float(value) for value in portrait.canvas.toward)
    reach, py = 0.35 / max(lz, 0.3), py - 0.06
    # Away from the segment between the base of the nose and where the tip's shadow falls.
    sx, sy = float(tip[0]) - lx * reach - px, -ly * reach * 0.6
    x, y = x - px, y - py
    along = np.clip((x * sx + y * sy) / (sx * sx + sy * sy + 1e-6), 0, 1)
    away = np.hypot(x - along * sx, y - along * sy)
    blob: Field = np.exp(-((away / 0.15) ** 2)) * (1 - 0.5 * along)
    return blob


def _albedo(portrait: Portrait, rng: Rng, rendered: Rendered) -> Field:
    """(3, h, w): redder cheeks and nose, darker about the eyes."""
    layout = portrait.face.surface.layout
    front = np.clip(rendered.values[2] * 2, 0, 1)
    x, y = layout[30]
    cheeks = sum(_spot(rendered, (x + side, y - 0.02), 0.3, 0.24) for side in (-0.62, 0.62))
    nose = _spot(rendered, (x, y), 0.2, 0.16)
    middles = (layout[eye].mean(0) for eye in (RIGHT_EYE, LEFT_EYE))
    eyes = sum(_spot(rendered, middle, 0.34, 0.2) for middle in middles)
    blush = rng.uniform(0, 0.12) + 0.1 * portrait.made_up
    red = front * (blush * cheeks + rng.uniform(0, 0.1) * nose)
    dark = front * eyes * (rng.uniform(0.02, 0.14) + 0.08 * portrait.age)
    tint = np.stack([1 + 0.35 * red - 0.8 * dark, 1 - 0.8 * red - dark, 1 - 0.7 * red - 0.9 * dark])
    albedo: Field = portrait.skin * mottled(rng, rendered.cover, portrait.px) * tint
    return albedo


def _spot(
    rendered: Rendered, at: Points | tuple[float, float], across: float, along: float
) -> Field:
    """(h, w) in 0…1: a soft spot on the head, placed and sized in the frame of the layout."""
    away_x = (rendered.values[3] - np.float32(at[0])) * np.float32(1 / across)
    away_y = (rendered.values[4] - np.float32(at[1])) * np.float32(1 / along)
    spot: Field = np.exp(-(away_x * away_x) - away_y * away_y)
    return spot


# -------------------------------------------------------------------------------- folds and spots


def freckles(portrait: Portrait, rng: Rng, rendered: Rendered) -> None:
    """Freckles on cheeks and nose, or some moles."""
    cover = rendered.cover
    x, y = rendered.values[3:5]
    spots = grain(rng, cover.alpha.shape, max(0.035 * portrait.px, 1.2))
    where = np.exp(-(((np.abs(x) - 0.35) / 0.4) ** 2) - ((y - 0.4) / 0.25) ** 2)
    strength = np.clip(spots - 0.9, 0, 1) * where * rng.uniform(0.2, 0.6)
    portrait.shade(cover.times(strength), 0.7)


def wrinkles(portrait: Portrait, rng: Rng) -> None:
    """From wings of the nose to the mouth, on the forehead, under and beside the eyes."""
    expression, layout = portrait.face.expression, portrait.face.surface.layout
    depth, smile = 0.02 + 0.28 * portrait.age, max(expression.smile, 0)
    folds = []
    for side, wing, corner, eye in ((-1, 31, 48, RIGHT_EYE), (1, 35, 54, LEFT_EYE)):
        near, far = layout[wing] + (side * 0.05, -0.06), layout[corner] + (side * 0.12, 0.02)
        middle = (near + far) / 2 + (side * (0.06 + 0.06 * smile), -0.03)
        folds.append(_Fold(np.stack([near, middle, far]), depth + 0.28 * smile, 0.035))
        low = layout[eye].mean(0) + np.array([(-0.2, 0.16), (0.02, 0.2), (0.22, 0.15)])
        folds.append(_Fold(low, 0.6 * depth + rng.uniform(0, 0.12), 0.03))
        outer = layout[36 if side < 0 else 45]
        for slope in (-0.1, 0.02, 0.12) if portrait.age > 0.45 else ():
            way = outer + np.array([(side * 0.06, slope * 0.3), (side * 0.2, slope)])
            folds.append(_Fold(way, 0.7 * depth, 0.012))
    lifted = max(*expression.brows, 0)
    if portrait.age > 0.35 or lifted > 0.1:
        for height in (-0.62, -0.76, -0.9)[: int(rng.integers(1, 4))]:
            x = np.linspace(-0.5, 0.5, 5) * rng.uniform(0.7, 1.2)
            way = np.column_stack([x, height + rng.normal(0, 0.01, 5) - lifted * 0.5])
            folds.append(_Fold(way, 0.5 * depth + 0.5 * lifted, 0.014))
    _fold(portrait, folds)


@dataclass(frozen=True, slots=True)
class _Fold:
    """A line through places of the layout (N, 2), how dark and how wide it is."""

    way: Points
    strength: float
    width: float


def _fold(portrait: Portrait, folds: Sequence[_Fold]) -> None:
    """Soft dark lines that end in points."""
    face, steps = portrait.face, np.linspace(0, 1, 9)
    dense = np.stack([
        [np.interp(steps, np.linspace(0, 1, len(fold.way)), line) for line in fold.way.T]
        for fold in folds
    ])  # fmt: skip
    seen = face.shot.project(face.surface.at(dense[:, 0], dense[:, 1]))
    taper = np.sin(np.linspace(0.25, np.pi - 0.25, 9))
    for fold, way in zip(folds, seen, strict=True):
        depth = float(way[:, 2].mean())
        cover = portrait.line(way[:, :2], fold.width * taper, depth=depth, soft=0.7 * fold.width)
        portrait.shade(cover, min(fold.strength, 0.6))


# ------------------------------------------------------------------------------------------ beards


def beard(portrait: Portrait, rng: Rng, rendered: Rendered) -> None:
    """Stubble, moustache, goatee or full beard, painted before the lips."""
    x, y = np.abs(rendered.values[3]), rendered.values[4]
    layout = portrait.face.surface.layout
    kind = rng.choice(["stubble", "moustache", "goatee", "full"], p=[0.4, 0.15, 0.15, 0.3])
    base, mouth, low = layout[33, 1], layout[54, 1], layout[57, 1]
    border = np.interp(x, [0, 0.3, 0.42, 0.55, 0.85, 1.0], [
        base + 0.06, base + 0.1, mouth - 0.12, mouth + 0.05, 0.95, 0.2,
    ]).astype(np.float32)  # fmt: skip
    ragged = 0.03 * grain(rng, x.shape, max(portrait.px / 10, 1))
    where = np.clip((y - border + ragged) / 0.12, 0, 1)
    if kind in ("moustache", "goatee"):
        where = where * np.clip((0.5 - x + ragged) / 0.1, 0, 1)
    if kind == "moustache":
        where = where * np.clip((mouth + 0.06 - y) / 0.06, 0, 1)
    # Hair is thinnest beside the tuft under the lower lip.
    where = where * (1 - 0.6 * np.exp(-(((x - 0.22) / 0.12) ** 2) - ((y - low - 0.08) / 0.07) ** 2))
    strength = rng.uniform(0.12, 0.5) if kind == "stubble" else rng.uniform(0.6, 0.97)
    hairs = grain(rng, x.shape, max(0.014 * portrait.px, 1), max(0.035 * portrait.px, 1))
    alpha = where * strength * np.clip(0.85 + 0.3 * hairs, 0, 1)
    light = np.clip(0.6 + 0.4 * (rendered.values[:3] * _column(portrait)).sum(0), 0.3, 1.2)
    colour = portrait.hair * (light * (0.9 + 0.12 * hairs)) + grey(0.015)
    cover = Cover(rendered.cover.rows, rendered.cover.columns, rendered.cover.alpha * alpha)
    portrait.canvas.paint(cover, colour, None)


def _column(portrait: Portrait) -> Field:
    return np.asarray(portrait.canvas.toward, np.float32).reshape(3, 1, 1)
