"""Around a face: what is behind it, neck and clothes, glasses, and what hides it."""

from math import pi

import cv2
import numpy as np

from img2img.data.sample import Image
from img2img.data.synth.face_head import spline
from img2img.data.synth.face_portrait import SKINS, Portrait
from img2img.data.synth.kitchen_canvas import (
    Field,
    Points,
    Rng,
    any_colour,
    disc,
    grain,
    grey,
    log_uniform,
    pick,
    tube,
)
from img2img.data.synth.textures import draw_texture


def background(portrait: Portrait, rng: Rng, *, plain: bool) -> None:
    """Fills the canvas: one colour, a gradient, a texture, blurred things, or lights."""
    image = portrait.canvas.image
    height, width = image.shape[1:]
    kind = rng.choice(["plain", "gradient", "texture", "blurred", "lights"], p=[0.15, 0.2, 0.2, 0.35, 0.1])
    image[:] = any_colour(rng)
    if plain or kind == "plain":
        return
    if kind == "gradient" or kind == "lights":
        ends = np.stack([any_colour(rng)[:, :, 0] for _ in range(4)], axis=-1).reshape(3, 2, 2)
        for plane, corners in zip(image, ends, strict=True):
            plane[:] = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
        if kind == "lights":
            _lights(portrait, rng)
        return
    half = draw_texture(rng, (height + 1) // 2, (width + 1) // 2)
    scene = half.astype(np.float32) * np.float32(1 / 255)
    if kind == "blurred":
        scene = cv2.GaussianBlur(scene, (0, 0), log_uniform(rng, 0.008, 0.06) * width)
    image[:] = np.moveaxis(cv2.resize(scene, (width, height)), -1, 0)


def _lights(portrait: Portrait, rng: Rng) -> None:
    """Bright discs out of focus."""
    canvas = portrait.canvas
    canvas.image *= np.float32(rng.uniform(0.2, 0.7))
    size = max(canvas.image.shape)
    radius = rng.uniform(0.01, 0.06) * size
    for _ in range(int(rng.integers(4, 20))):
        centre = rng.uniform(0, size, 2)
        cover = canvas.cover(disc(centre, radius * rng.uniform(0.6, 1.2)), margin=2)
        canvas.paint(cover, np.clip(any_colour(rng) + 0.4, 0, 1.2), None, opacity=rng.uniform(0.2, 0.8))


# ------------------------------------------------------------------------------------------- body


def _body(portrait: Portrait, rng: Rng) -> tuple[Points, Points, Points]:
    """The neck's upper end (2,), and the body's right and down in the picture, a unit long."""
    face = portrait.face
    turn = face.shot.turn
    roll = 0.4 * np.arctan2(turn[1, 0], turn[0, 0]) + rng.normal(0, 0.06)
    right = np.array([np.cos(roll), np.sin(roll)]) * portrait.px
    down = np.array([-np.sin(roll), np.cos(roll)]) * portrait.px
    top = face.shot.project(np.array([0.0, 0.7, -0.95]))[:2]
    return top, right, down


def body(portrait: Portrait, rng: Rng, *, scarf: Field | None) -> None:
    """Neck and shoulders; `scarf` is the colour that covers the neck."""
    top, right, down = _body(portrait, rng)
    wide = rng.uniform(0.6, 0.88)
    drop = rng.uniform(1.5, 2.0)
    canvas = portrait.canvas

    def place(*flat: tuple[float, float]) -> Points:
        return top + np.array(flat) @ np.stack([right, down])

    left = spline(place((-wide, -0.4), (-wide * 0.97, 0.5), (-wide, drop - 0.45), (-wide - 0.55, drop + 0.15)), 6)
    other = spline(place((wide + 0.55, drop + 0.15), (wide, drop - 0.45), (wide * 0.97, 0.5), (wide, -0.4)), 6)
    low = place((wide + 0.6, drop + 1.2), (-wide - 0.6, drop + 1.2))
    neck = canvas.cover(np.concatenate([left, low[::-1], other]))
    if neck.alpha.size:
        colour = portrait.skin if scarf is None else scarf
        x, y = neck.grid
        across = ((x - top[0]) * right[0] + (y - top[1]) * right[1]) / (portrait.px**2 * (wide + 0.1))
        bend = np.clip(across, -1, 1)
        lx, _, lz = (float(v) for v in canvas.toward)
        ambient = canvas.lamp.ambient
        light = ambient * (0.8 - 0.25 * bend**2) + (1 - ambient) * np.clip(
            0.1 + bend * lx + np.sqrt(1 - bend**2 * 0.98) * lz, 0.05, 1.2)
        below = ((x - top[0]) * down[0] + (y - top[1]) * down[1]) / portrait.px**2
        chin = np.exp(-(np.clip(below - 0.5, 0, 9) / 0.75) ** 2)
        light = light * (1 - (0.3 + 0.3 * canvas.lamp.shadows) * chin)
        tint = 1 - chin * np.array([0.0, 0.05, 0.07], np.float32).reshape(3, 1, 1)
        canvas.paint(neck, colour * tint * light.astype(np.float32), None)
        if scarf is None:
            for side in (-1, 1):
                way = spline(place((side * wide * 0.85, 0.7), (side * 0.5, drop - 0.2), (side * 0.1, drop + 0.35)), 5)
                canvas.darken(canvas.cover(*tube(way, np.full(len(way), 0.07 * portrait.px)), margin=3), 0.15, 0.06 * portrait.px)
    _clothes(portrait, rng, place, (wide, drop))


def _clothes(portrait: Portrait, rng: Rng, place: object, sizes: tuple[float, float]) -> None:
    canvas = portrait.canvas
    wide, drop = sizes
    at = place  # type: ignore[assignment]
    slope, span = rng.uniform(0.25, 0.8), rng.uniform(2.5, 3.6)
    neckline = rng.choice([rng.uniform(-0.1, 0.2), rng.uniform(0.3, 0.7), rng.uniform(0.7, 1.3)])
    sharp = rng.random() < 0.5
    centre = [(-wide * 0.5, drop + 0.6 * neckline), (0.0, drop + neckline), (wide * 0.5, drop + 0.6 * neckline)]
    outline = [
        (-span - 0.4, drop + 6.0), (-span, drop + slope + 0.9), (-span + 0.35, drop + slope + 0.2),
        (-wide - 0.35, drop - 0.02), (-wide - 0.02, drop - 0.25),
    ]
    mirrored = [(-x, y) for x, y in outline[::-1]]
    if sharp:
        shape = np.concatenate([spline(at(*outline), 5), at((0.0, drop + neckline)), spline(at(*mirrored), 5)])
    else:
        shape = np.concatenate([spline(at(*outline, *centre, *mirrored), 5)])
    colour = any_colour(rng)
    cover = canvas.cover(shape)
    if not cover.alpha.size:
        return
    folds = 1 + 0.12 * grain(rng, cover.alpha.shape, max(0.35 * portrait.px, 2), max(0.8 * portrait.px, 2))
    cloth = colour * folds
    if rng.random() < 0.3:
        x, y = cover.grid
        turn, period = rng.uniform(0, pi), portrait.px * log_uniform(rng, 0.08, 0.6)
        wave = np.sin((x * np.cos(turn) + y * np.sin(turn)) * (2 * pi / period))
        stripes = np.clip(wave * 6, -1, 1) * 0.5 + 0.5
        cloth = cloth + stripes * (any_colour(rng) - colour)
    light = 0.75 + 0.2 * canvas.ramp(cover, canvas.lamp.shadows)
    canvas.paint(cover, cloth * light, None)
    edge = spline(at(*([outline[-1]] + ([(0.0, drop + neckline)] if sharp else centre) + [mirrored[0]])), 1 if sharp else 5)
    trim = canvas.cover(*tube(edge, np.full(len(edge), 0.09 * portrait.px)))
    canvas.paint(trim, colour * rng.uniform(0.4, 1.1), None, opacity=0.8)


# ----------------------------------------------------------------------------------------- camera


def photograph(rng: Rng, image: Field, lamp_colour: Field) -> Image:
    """The picture (H, W, 3) uint8 that a camera takes of a planar scene (3, H, W)."""
    scene = image * lamp_colour.astype(np.float32).reshape(3, 1, 1)
    gain, gamma = log_uniform(rng, 0.6, 1.5), log_uniform(rng, 0.7, 1.35)
    scene = cv2.merge(tuple(np.clip(scene, 0, 2) * np.float32(gain)))
    scene = cv2.pow(scene, gamma) + np.float32(max(rng.normal(-0.02, 0.05), 0))
    colour = 0.0 if rng.random() < 0.12 else rng.uniform(0.6, 1.25)
    mean = scene.mean(2, keepdims=True)
    scene = mean + (scene - mean) * np.float32(colour)
    size = max(scene.shape) / 256
    if rng.random() < 0.5:
        scene = cv2.GaussianBlur(scene, (0, 0), log_uniform(rng, 0.3, 1.8) * size)
    if rng.random() < 0.12:
        scale = rng.uniform(0.25, 0.6)
        small = cv2.resize(scene, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        scene = cv2.resize(small, scene.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.6:
        scene = cv2.scaleAdd(rng.standard_normal(scene.shape, np.float32), log_uniform(rng, 0.003, 0.06), scene)
    picture = digital(scene)
    if rng.random() < 0.4:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))])
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return picture


def digital(scene: Field) -> Image:
    """(H, W, 3) uint8: scaled, rounded and saturated."""
    return np.asarray(cv2.addWeighted(scene, 255, scene, 0, 0, dtype=cv2.CV_8U), np.uint8)
