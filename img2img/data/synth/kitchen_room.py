"""The table of a generated kitchen, and the room behind it."""

from collections.abc import Callable
from math import cos, pi, sin

import cv2
import numpy as np

from img2img.data.synth.kitchen_canvas import (
    Canvas,
    Field,
    Points,
    Rng,
    any_colour,
    grain,
    grey,
    log_uniform,
    pick,
    tinted,
)
from img2img.data.synth.textures import draw_texture

_TABLES = (
    (0.62, 0.43, 0.25),
    (0.78, 0.62, 0.42),
    (0.36, 0.22, 0.14),
    (0.9, 0.89, 0.87),
    (0.95, 0.95, 0.95),
    (0.06, 0.06, 0.06),
    (0.13, 0.13, 0.14),
    (0.3, 0.31, 0.32),
    (0.42, 0.45, 0.46),
    (0.6, 0.6, 0.6),
)


def table(rng: Rng, canvas: Canvas, *, rich: bool) -> Points:
    """Fills the picture: a table, and a room where the table ends.

    Gives world points x, y (N, 2) in cm of some pixels where the table is.
    """
    height, width = canvas.classes.shape
    room = _room(rng, height, width) if rich else grey(0.5)
    x, y = np.arange(width, dtype=np.float32)[None], np.arange(height, dtype=np.float32)[:, None]
    world_x, world_y, meets = canvas.pose.rays(x, y)
    far = rng.uniform(0.3, 1.2) * max(canvas.pose.eye[2], 30) + rng.uniform(0, 60)
    sides = np.where(rng.random(3) < 0.5, rng.uniform(15, 90, 3), 1e4).tolist()
    on_table = meets & (world_y < far) & (world_x < sides[0]) & (world_x > -sides[1])
    on_table &= world_y > -sides[2]
    top = _top(rng, canvas, world_x, world_y) if rich else grey(0.45)
    canvas.image[:] = room + cv2.blur(on_table.astype(np.float32), (3, 3)) * (top - room)
    seen_at = np.flatnonzero(on_table)
    some = seen_at[rng.integers(0, len(seen_at), 512)] if len(seen_at) else seen_at
    return np.column_stack([world_x.ravel()[some], world_y.ravel()[some]])


def _top(rng: Rng, canvas: Canvas, world_x: Field, world_y: Field) -> Field:
    """The table's surface (3, H, W) as the camera sees it, turned at random."""
    side = int(np.clip(max(canvas.classes.shape), 32, 512))
    tile = cv2.merge(tuple(_texture(rng, side)))
    turn = rng.choice([0.0, rng.uniform(0, 2 * pi)])
    px = side / (float(canvas.pose.eye[2]) * log_uniform(rng, 0.5, 1.5) + 5)
    right, down = cos(turn) * px, sin(turn) * px
    u = world_x * right + world_y * down + side / 2
    v = world_y * right - world_x * down + side / 2
    return np.stack(
        cv2.split(cv2.remap(tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    )


def _room(rng: Rng, height: int, width: int) -> Field:
    """What is behind the table (3, H or 1, W or 1): blurred shapes, a flat wall or darkness."""
    if rng.random() < 0.4:
        return tinted(rng, (0.6, 0.57, 0.53), 0.3) * rng.uniform(0.1, 1.4)
    small = (max(height // 2, 8), max(width // 2, 8))
    far: Field = draw_texture(rng, *small).astype(np.float32) / 255
    far = cv2.GaussianBlur(far, (0, 0), log_uniform(rng, 0.3, 4))
    room = cv2.resize(faded(far, rng.uniform(0.1, 0.8)), (width, height))
    return np.moveaxis(room * np.float32(rng.uniform(0.3, 1.1)), -1, 0)


def faded(scene: Field, colour: float) -> Field:
    """The scene (H, W, 3) with this share of its colour: 0 is grey."""
    weights = (1 - colour) * np.array([0.3, 0.59, 0.11]) + colour * np.eye(3)
    return cv2.transform(scene, weights.astype(np.float32))


def _texture(rng: Rng, side: int) -> Field:
    """A table's surface (3, side, side)."""
    base = pick(rng, _TABLES, 0.06)
    if rng.random() < 0.15:
        base = any_colour(rng)
    kinds: tuple[Callable[[Rng, int, Field], Field], ...] = (
        _wood,
        _stone,
        _tiles,
        _cloth,
        _brushed,
        _plain,
    )
    if rng.random() < 0.12:
        drawn = draw_texture(rng, side // 2, side // 2).astype(np.float32) / 255
        return np.moveaxis(cv2.resize(faded(drawn, rng.uniform(0, 1)), (side, side)), -1, 0)
    draw = kinds[rng.choice(len(kinds), p=(0.2, 0.25, 0.1, 0.12, 0.08, 0.25))]
    return np.ascontiguousarray(draw(rng, side, base), np.float32)


def _wood(rng: Rng, side: int, base: Field) -> Field:
    shape = (side, side)
    veins = grain(rng, shape, side / 2, rng.uniform(1.5, 6))
    veins += grain(rng, shape, side / 3, side / 12)
    field: Field = base * (1 + rng.uniform(0.02, 0.14) * veins)
    if rng.random() < 0.5:
        planks = int(rng.integers(2, 9))
        tones = np.repeat(rng.normal(1, 0.08, planks), -(-side // planks))[:side]
        field *= tones[:, None]
        field[:, :: -(-side // planks)] *= 0.6
    return field


def _stone(rng: Rng, side: int, base: Field) -> Field:
    shape = (side, side)
    field = base * (1 + rng.uniform(0.02, 0.15) * grain(rng, shape, side / rng.uniform(3, 12)))
    field *= 1 + rng.uniform(0, 0.1) * grain(rng, shape, rng.uniform(1, 4))
    if rng.random() < 0.4:
        specks = grain(rng, shape, rng.uniform(1.5, 4)) > rng.uniform(1.2, 2.2)
        field = np.where(specks, any_colour(rng), field)
    return field


def _tiles(rng: Rng, side: int, base: Field) -> Field:
    field = _stone(rng, side, base)
    period, gap = int(side / rng.uniform(2, 9)) + 3, int(rng.integers(1, 4))
    lines = np.arange(side) % period < gap
    joint = base * rng.choice([0.5, 0.75, 1.3])
    field[:, lines], field[..., lines] = joint, joint
    return field


def _cloth(rng: Rng, side: int, base: Field) -> Field:
    """Stripes or checks over a weave."""
    other = any_colour(rng)
    phase = np.arange(side) * (2 * pi * rng.uniform(3, 25) / side)
    wave = np.sign(np.sin(phase) + rng.uniform(-0.6, 0.6))
    rows, columns = wave[:, None] * (rng.random() < 0.6), wave[None]
    share = np.clip(0.5 + 0.25 * (rows + columns), 0, 1)
    weave = 0.05 * grain(rng, (side, side), 1.5) + 0.04 * grain(rng, (side, side), side / 6)
    field: Field = (base + (other - base) * share * rng.uniform(0.2, 1)) * (1 + weave)
    return field


def _brushed(rng: Rng, side: int, base: Field) -> Field:
    base = tinted(rng, (0.55, 0.55, 0.55), 0.2)
    shape = (side, side)
    strokes = 0.06 * grain(rng, shape, side / 2, 1) + 0.15 * grain(rng, shape, side / 3)
    field: Field = base * (1 + strokes)
    return field


def _plain(rng: Rng, side: int, base: Field) -> Field:
    mottle = grain(rng, (side, side), side / rng.uniform(2, 60))
    field: Field = base * (1 + rng.uniform(0, 0.04) * mottle)
    return field
