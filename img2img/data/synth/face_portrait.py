"""A portrait in the making: the face's geometry, a canvas, its colours, and strokes on the skin."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from img2img.data.synth.face_head import Face
from img2img.data.synth.kitchen_canvas import (
    Canvas,
    Cover,
    Field,
    Lamp,
    Points,
    Pose,
    Rng,
    grain,
    pick,
    tinted,
)

SKINS = (
    (0.98, 0.84, 0.76), (0.95, 0.77, 0.66), (0.93, 0.74, 0.6), (0.88, 0.67, 0.53),
    (0.8, 0.59, 0.44), (0.7, 0.49, 0.35), (0.57, 0.38, 0.27), (0.45, 0.29, 0.2),
    (0.34, 0.22, 0.155), (0.25, 0.16, 0.12),
)  # fmt: skip
"""From the lightest to the darkest, in the light of a white wall."""

HAIRS = (
    (0.05, 0.045, 0.045), (0.09, 0.065, 0.05), (0.17, 0.11, 0.07), (0.28, 0.18, 0.11),
    (0.45, 0.31, 0.18), (0.72, 0.57, 0.36), (0.45, 0.17, 0.08), (0.45, 0.44, 0.43),
    (0.8, 0.79, 0.77),
)  # fmt: skip


@dataclass(kw_only=True)
class Portrait:
    """What the parts of a picture draw on and agree about."""

    face: Face
    canvas: Canvas
    skin: Field
    hair: Field
    age: float
    """0 young, 1 old."""
    made_up: float
    """0 without, 1 with much make-up."""
    gloss: float
    depth: Field = field(init=False)
    """(H, W): depth of the head at each pixel, far behind where it is not."""
    head: Field = field(init=False)
    """(H, W) in 0…1: the head's cover."""

    def __post_init__(self) -> None:
        self.depth = np.full(self.face.size, -99, np.float32)
        self.head = np.zeros(self.face.size, np.float32)

    @property
    def px(self) -> float:
        """A distance of the pupils, in pixels."""
        return self.face.unit_px

    def on_head(self, *shapes: Points, depth: float, margin: float = 0) -> Cover:
        """Polygons (N, 2) on the skin, where no nearer part of the head hides them."""
        cover = self.canvas.cover(*shapes, margin=margin)
        window = cover.rows, cover.columns
        seen = (self.depth[window] < depth + 0.13) * self.head[window]
        return cover.times(seen) if cover.alpha.size else cover

    def line(self, way: Points, width: float | Points, *, depth: float, soft: float = 0.0) -> Cover:
        """A stroke along picture points (N, 2), `width` in the unit, blurred by `soft` of it."""
        widths = np.maximum(np.broadcast_to(np.asarray(width) * self.px, len(way)), 0.35)
        stroke = ribbons(way[None], widths)[0]
        cover = self.on_head(stroke, depth=depth, margin=3 * soft * self.px)
        if soft * self.px < 0.4 or not cover.alpha.size:
            return cover
        blurred = cv2.GaussianBlur(cover.alpha, (0, 0), soft * self.px)
        return Cover(cover.rows, cover.columns, blurred)

    def shade(self, cover: Cover, strength: float) -> None:
        """Darkens skin where it is folded; red light is lost last."""
        if cover.alpha.size:
            loss = np.float32(strength) * cover.alpha
            tint = np.array([0.75, 1.0, 1.1], np.float32).reshape(3, 1, 1)
            self.canvas.image[:, cover.rows, cover.columns] *= np.clip(1 - loss * tint, 0, 2)


def random_portrait(rng: Rng, face: Face, lamp: Lamp) -> Portrait:
    """An empty canvas, and the colours of the person."""
    height, width = face.size
    pose = Pose.above(pitch=0.0, roll=0.0, span_cm=100.0, size=(height, width))
    tone = rng.random()
    index = min(int(tone * len(SKINS)), len(SKINS) - 1)
    age = float(rng.beta(1.2, 1.8))
    # Light hair goes with light skin, grey with age.
    shares = np.array([3, 3, 2, 1.5, 1.2, 1, 0.5, 0.1 + 1.5 * age, 1.5 * age**2])
    if index > 4:
        shares[3:7] *= 0.1
        shares[7:] *= 0.5
    hair = tinted(rng, HAIRS[rng.choice(len(HAIRS), p=shares / shares.sum())], 0.1)
    if rng.random() < 0.04:
        hair = rng.random((3, 1, 1)).astype(np.float32)
    return Portrait(
        face=face, canvas=Canvas(pose, lamp), skin=pick(rng, SKINS[index : index + 1], 0.05),
        hair=hair, age=age, made_up=float(rng.choice([0.0, rng.random()])),
        gloss=float(np.exp(rng.uniform(np.log(0.03), np.log(0.35)))),
    )  # fmt: skip


def random_lamp(rng: Rng) -> Lamp:
    """A light from any side before the face, soft or hard."""
    aside, down = rng.normal(0, 0.75), rng.normal(-0.45, 0.5)
    hardness = float(rng.choice([rng.uniform(0.0, 0.35), rng.uniform(0.3, 0.75)]))
    return Lamp(
        slope=np.array([-aside, down]), softness=0.5, ambient=1 - hardness, shadows=hardness,
        colour=np.exp(rng.normal(0, 0.06, 3)),
    )  # fmt: skip


def mottled(rng: Rng, cover: Cover, px: float) -> Field:
    """(h, w) about 1: skin is not of one colour."""
    shape = cover.alpha.shape
    field = 0.02 * grain(rng, shape, max(px / 2, 2)) + 0.012 * grain(rng, shape, max(px / 20, 1))
    return 1 + field.astype(np.float32)


def ribbons(ways: Points, widths: Field) -> Points:
    """(K, 2 N, 2): polygons of thick lines (K, N, 2), `widths` (N,) in pixels, with flat ends."""
    along = np.gradient(ways, axis=1)
    along /= np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6)
    aside = along[..., ::-1] * (-1, 1) * (widths / 2)[:, None]
    return np.concatenate([ways + aside, (ways - aside)[:, ::-1]], axis=1)


def shared(shape: Cover, other: Cover) -> Cover:
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

    return Cover(rows, columns, cut(shape.alpha, shape) * cut(other.alpha, other))
