"""What a head wears: hair of many cuts, caps, hats and scarves; and its ears."""

from dataclasses import dataclass
from math import pi

import cv2
import numpy as np

from img2img.data.synth.face_head import AXIS_Z, CROWN, Surface, spline
from img2img.data.synth.face_portrait import Portrait
from img2img.data.synth.face_raster import Rendered, normals, rasterise
from img2img.data.synth.kitchen_canvas import Cover, Field, Points, Rng, any_colour, grain, tube

N_ANGLES = 57
_THETA = np.linspace(-pi, pi, N_ANGLES)
_FRONT = np.abs(_THETA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A shell about the head from the crown down to `border` (N_ANGLES,), the height at each angle;
    `thick` (N_ANGLES,) in the unit. `strands` 0 is cloth."""

    border: Field
    thick: Field
    colour: Field
    strands: float
    over_ears: bool
    gloss: float
    thin: float = 0.0
    """How much skin is seen through."""


CUTS = {
    "bald": 0.06, "buzz": 0.1, "receding": 0.08, "short": 0.26, "full": 0.12, "bob": 0.1,
    "long": 0.17, "afro": 0.05, "tied": 0.08,
}  # fmt: skip
"""Cuts of hair, and how often each is seen."""

_THICKNESS = {
    "buzz": (0.02, 0.03), "afro": (0.35, 0.8), "full": (0.2, 0.38), "bob": (0.12, 0.3),
    "long": (0.12, 0.3), "tied": (0.04, 0.1),
}  # fmt: skip


def random_hair(rng: Rng, portrait: Portrait) -> Shell | None:
    """A cut of hair; None is a bald head."""
    cut = str(rng.choice([*CUTS], p=[*CUTS.values()] / np.sum([*CUTS.values()])))
    if cut == "bald":
        return None
    long = cut in ("bob", "long")
    border = _hairline(rng, cut)
    if long:
        length = rng.uniform(0.9, 1.7) if cut == "bob" else rng.uniform(1.7, 3.8)
        drop = np.clip((_FRONT - rng.uniform(1.1, 1.5)) / 0.15, 0, 1)
        border = border * (1 - drop) + length * drop
    if cut not in ("receding", "buzz", "tied") and rng.random() < (0.45 if long else 0.35):
        border = _fringed(rng, border)
    wave = 0.015 if cut == "buzz" else 0.05
    # A parting: one side stands out farther than the other.
    lean = 1 + rng.normal(0, 0.25) * np.sin(_THETA) + 0.1 * _ripples(rng)
    thick = rng.uniform(*_THICKNESS.get(cut, (0.08, 0.2))) * np.clip(lean, 0.5, 1.6)
    return Shell(
        border=border + wave * _ripples(rng), thick=thick, colour=portrait.hair,
        strands=float(rng.uniform(0.1, 0.4)), gloss=float(rng.uniform(0, 0.25)),
        over_ears=long or (cut in ("full", "afro") and rng.random() < 0.5),
        thin=float(rng.uniform(0.2, 0.6)) if cut == "buzz" else 0.0,
    )  # fmt: skip


def _hairline(rng: Rng, cut: str) -> Field:
    """(N_ANGLES,): forehead, temples, before the ears, nape."""
    side, nape = rng.uniform(-0.1, 0.4), rng.uniform(0.6, 1.1)
    forehead = rng.uniform(-1.7, -1.2) if cut == "receding" else rng.normal(-1.12, 0.1)
    temple = -1.3 if cut == "receding" else forehead + 0.08
    angles = [0, 0.75, 1.1, 1.4, 1.65, 1.9, pi]
    tall = [forehead, temple, -0.55, side, side - 0.05, nape, nape]
    return np.interp(_FRONT, angles, tall)


def _ripples(rng: Rng) -> Field:
    """(N_ANGLES,) smooth noise around the head."""
    noise = np.pad(rng.normal(0, 1, N_ANGLES), 1, mode="wrap")
    return np.convolve(noise, [0.3, 0.4, 0.3], "valid")


def _fringed(rng: Rng, border: Field) -> Field:
    """Hair over the forehead, down to the brows or a little over them."""
    kind = rng.choice(["straight", "side"], p=[0.4, 0.6])
    if kind == "straight":
        low = rng.uniform(-0.65, -0.12)
        fringe = low + 0.25 * (_THETA / 0.9) ** 2 * rng.uniform(-0.3, 1)
        near = rng.uniform(0.8, 1.2) > _FRONT
    else:
        side = rng.choice([-1, 1])
        fringe = rng.uniform(-0.95, -0.4) + side * _THETA * rng.uniform(0.2, 0.7)
        near = _FRONT < 1.1
    return np.where(near, np.maximum(border, fringe), border)


def random_headwear(rng: Rng) -> tuple[Shell, float]:
    """A cap, hat, band or scarf, and how far its brim reaches before the face (0: none; negative:
    all round)."""
    kind = rng.choice(["beanie", "cap", "hat", "scarf"], p=[0.25, 0.3, 0.2, 0.25])
    colour = any_colour(rng)
    low = rng.uniform(-0.85, -0.5)
    border = low + (0.15 + rng.uniform(-0.1, 0.35)) * (1 - np.cos(_THETA)) / 2
    thick = np.full(N_ANGLES, rng.uniform(0.08, 0.2))
    brim = 0.0
    if kind == "cap":
        brim = rng.uniform(0.5, 0.9)
    if kind == "hat":
        brim, thick = -rng.uniform(0.4, 0.9), thick + 0.15
    if kind == "scarf":
        start = rng.uniform(0.95, 1.2)
        drop = np.clip((_FRONT - start) / 0.35, 0, 1) ** 0.7
        border = low * (1 - drop) + 2.6 * drop - 0.15
    return (
        Shell(border=border, thick=thick, colour=colour, strands=0.0, over_ears=kind == "scarf",
              gloss=0.05 * float(rng.random())),
        float(brim),
    )  # fmt: skip


def shell(portrait: Portrait, rng: Rng, worn: Shell, *, facing: int) -> None:
    """Paints the near side of a shell (`facing` 1) or what is seen of its inside (-1)."""
    face = portrait.face
    solid, way = _solid(face.surface, worn)
    turned = normals(solid @ face.shot.turn.T)
    t, theta = np.broadcast_arrays(way[:, None], _THETA)
    attributes = np.concatenate([turned, t[..., None], theta[..., None]], axis=-1)
    rendered = rasterise(face.shot.project(solid), attributes, face.size, facing=facing)
    if rendered is None:
        return
    look, cover = _look(portrait, rng, worn, rendered), _nearer(portrait, rendered)
    if facing < 0:
        portrait.canvas.paint(cover, look * np.float32(0.45), None)
        return
    if worn.strands:
        cell = max(0.02 * portrait.px, 1)
        ragged = grain(rng, cover.alpha.shape, cell, 4 * cell)
        fringe = np.clip((1 - rendered.values[3]) / 0.05 + 0.35 + 0.5 * ragged, 0, 1)
        cover = cover.times(fringe * np.float32(1 - worn.thin))
    _shadowed(portrait, cover)
    portrait.canvas.paint(cover, look, None)


def _nearer(portrait: Portrait, rendered: Rendered) -> Cover:
    """Where the head does not hide what is rendered."""
    cover = rendered.cover
    return cover.times(rendered.depth > portrait.depth[cover.rows, cover.columns] - 0.12)


def _shadowed(portrait: Portrait, cover: Cover) -> None:
    """What a shell throws on the face, away from the lamp."""
    canvas = portrait.canvas
    shift = np.array([-canvas.toward[0], max(-canvas.toward[1], 0.2)]) * 0.12 * portrait.px
    spread = cv2.GaussianBlur(cover.alpha, (0, 0), 0.05 * portrait.px + 0.3)
    move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    fallen = cv2.warpAffine(spread, move, cover.alpha.shape[::-1])
    shown = portrait.head[cover.rows, cover.columns] * fallen
    strength = np.float32(0.25 + 0.35 * canvas.lamp.shadows)
    canvas.image[:, cover.rows, cover.columns] *= 1 - strength * shown


def _solid(surface: Surface, worn: Shell) -> tuple[Points, Field]:
    """(16, N_ANGLES, 3) of a shell, and its rows' way from the crown (0) to the border (1)."""
    way = np.linspace(0, 1, 16)
    tall = CROWN + (1 - np.cos(way * pi / 2))[:, None] * (worn.border - CROWN)
    thick = np.broadcast_to(worn.thick, tall.shape)
    if worn.strands:
        # Hair that ends on the skin gets thin there, hair that hangs does not.
        thick = thick * (1 - 0.75 * way[:, None] ** 6 * (worn.border < 0.5))
    return _shell_points(surface, tall, thick), way


def _shell_points(surface: Surface, tall: Field, thick: Field) -> Points:
    """(N, N_ANGLES, 3): the head `thick` farther out; below the ears a shell hangs down."""
    theta = np.broadcast_to(_THETA, tall.shape)
    under = np.minimum(tall, 0.15)
    solid = surface.ring(theta, under)
    top = np.clip((-0.6 - under) / 1.25, 0, 1)
    flat = np.hypot(solid[..., 0], solid[..., 2] - AXIS_Z)
    grow = 1 + (thick * np.sqrt(1 - 0.9 * top**2)) / np.maximum(flat, 0.25)
    solid[..., 0] *= grow
    solid[..., 2] = AXIS_Z + (solid[..., 2] - AXIS_Z) * grow
    solid[..., 1] = tall - thick * top
    return solid


def _look(portrait: Portrait, rng: Rng, worn: Shell, rendered: Rendered) -> Field:
    """(3, h, w): cloth or strands under the lamp."""
    lamp = portrait.canvas.lamp
    lx, ly, lz = (float(value) for value in portrait.canvas.toward)
    nx, ny, nz, t, theta = rendered.values
    facing = np.clip(nx * lx + ny * ly + nz * lz, 0, 1)
    light = lamp.ambient * (0.65 + 0.3 * np.abs(nz)) + (1 - lamp.ambient) * (0.25 + 0.9 * facing)
    if not worn.strands:
        folds = grain(rng, nx.shape, max(0.5 * portrait.px, 2), max(0.16 * portrait.px, 2))
        cloth: Field = worn.colour * (light * (1 + 0.06 * folds))
        return cloth
    # Strands run from the crown to the border, at about one angle.
    table = rng.standard_normal(512, np.float32)
    table += 0.8 * np.repeat(rng.standard_normal(128, np.float32), 4)
    curl = rng.uniform(0, 5) * np.sin(t * rng.uniform(3, 12) + theta * 3)
    place = (theta + pi) * np.float32(480 / (2 * pi)) + t * rng.normal(0, 6) + curl
    strands = np.take(table, place.astype(np.int32) & 511)
    strands = cv2.GaussianBlur(strands, (0, 0), 0.006 * portrait.px + 0.35)
    band = np.exp(-(((ny - ly * 0.6 + 0.15) / 0.22) ** 2)) * np.clip(nz + 0.2, 0, 1)
    colour = worn.colour * (light * np.clip(1 + worn.strands * strands, 0.3, 2))
    shine = np.float32(worn.gloss) * band * (1 + 0.5 * strands)
    look: Field = colour + shine * (0.35 + 0.65 * worn.colour)
    return look


def brim(portrait: Portrait, rng: Rng, worn: Shell, reach: float) -> None:
    """The brim of a cap (before the face) or of a hat (round it, `reach` negative)."""
    face = portrait.face
    front = np.clip(np.cos(_THETA) * 1.4 - 0.1, 0, 1) ** 0.5 if reach > 0 else np.ones(N_ANGLES)
    inner = _shell_points(face.surface, worn.border[None] - 0.03, worn.thick)
    outer = inner.copy()
    away = inner - (0, 0, AXIS_Z)
    away[..., 1] = 0
    away /= np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-6)
    outer += away * (abs(reach) * front)[:, None]
    outer[..., 1] += 0.14 * front + rng.uniform(-0.12, 0.1) * front
    grid = np.concatenate([inner, (inner + outer) / 2, outer])
    rendered = rasterise(face.shot.project(grid), grid[..., :1], face.size, facing=0)
    if rendered is None:
        return
    window = _nearer(portrait, rendered)
    under = face.shot.turn[1, 2] > 0.1
    light = (0.45 if under else 0.8) + 0.2 * portrait.canvas.lamp.ambient
    _shadowed(portrait, window)
    portrait.canvas.paint(window, worn.colour * np.float32(light), None)


# -------------------------------------------------------------------------------------------- ears


def ear(portrait: Portrait, rng: Rng, side: int, out: float) -> None:
    """One ear (`side` -1 or 1), that stands out by `out` of the unit."""
    face, canvas = portrait.face, portrait.canvas
    outline = np.array([
        (0.0, 0.0), (-0.05, -0.16), (0.02, -0.28), (0.16, -0.32), (0.3, -0.2), (0.32, 0.0),
        (0.25, 0.22), (0.14, 0.4), (0.05, 0.46), (0.0, 0.36),
    ])  # fmt: skip
    root = face.surface.ring(np.array(side * 1.62), np.array(0.2))
    back = np.array([side * out, 0.03, -0.95 * np.sqrt(max(1 - out**2, 0.1))])

    def place(flat: Points) -> Points:
        solid = root + flat[:, :1] * back + flat[:, 1:] * (0, 1.0, 0)
        seen: Points = face.shot.project(solid)[:, :2]
        return seen

    shape = place(spline(outline, 5, closed=True))
    cover = canvas.cover(shape)
    if not cover.alpha.size:
        return
    lx, _, lz = (float(v) for v in canvas.toward)
    light = canvas.lamp.ambient * 0.85 + (1 - canvas.lamp.ambient) * np.clip(
        0.35 + 0.6 * side * lx + 0.3 * lz, 0.15, 1.2
    )
    red = np.array([1.02, 0.88, 0.85], np.float32).reshape(3, 1, 1)
    canvas.paint(cover, portrait.skin * red * np.float32(light), None)
    rim = place(spline((outline[1:8] - (0.13, 0.03)) * 0.72 + (0.13, 0.03), 4))
    fold = canvas.cover(*tube(rim, np.full(len(rim), max(0.035 * portrait.px, 0.5))), margin=2)
    canvas.darken(fold, 0.3, 0.02 * portrait.px)
    hole = place(np.array([(0.06, 0.0), (0.14, -0.06), (0.18, 0.06), (0.1, 0.16), (0.05, 0.12)]))
    canvas.darken(canvas.cover(hole, margin=2), 0.45, 0.04 * portrait.px)
