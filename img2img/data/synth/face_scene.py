"""Around a face: what is behind it, neck and clothes, and the camera."""

from dataclasses import dataclass
from math import pi

import cv2
import numpy as np

from img2img.data.sample import Image
from img2img.data.synth.face_head import spline
from img2img.data.synth.face_portrait import Portrait
from img2img.data.synth.kitchen_canvas import (
    Cover,
    Field,
    Points,
    Rng,
    any_colour,
    disc,
    grain,
    log_uniform,
    tube,
)
from img2img.data.synth.textures import draw_texture


def background(portrait: Portrait, rng: Rng, *, plain: bool) -> None:
    """Fills the canvas: one colour, a gradient, a texture, blurred things, or lights."""
    image = portrait.canvas.image
    height, width = image.shape[1:]
    kind = rng.choice(
        ["plain", "gradient", "texture", "blurred", "lights"], p=[0.15, 0.2, 0.13, 0.42, 0.1]
    )
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
    scene: Field = half.astype(np.float32) * np.float32(1 / 255)
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
        canvas.paint(
            cover, np.clip(any_colour(rng) + 0.4, 0, 1.2), None, opacity=rng.uniform(0.2, 0.8)
        )


# ------------------------------------------------------------------------------------------- body


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """The body's own frame in the picture: the neck's upper end, right and down a unit long;
    the neck's half width, and how far below its end the shoulders begin."""

    top: Points
    axes: Points
    neck: float
    drop: float

    def at(self, *flat: tuple[float, float]) -> Points:
        """(N, 2) picture points."""
        placed: Points = self.top + np.array(flat) @ self.axes
        return placed

    def own(self, cover: Cover) -> tuple[Field, Field]:
        """Right and down (h, w) in this frame of a window's pixels."""
        x, y = cover.grid
        x, y = x - np.float32(self.top[0]), y - np.float32(self.top[1])
        (a, b), (c, d) = (self.axes / (self.axes[0] @ self.axes[0])).tolist()
        return x * a + y * b, x * c + y * d


def body(portrait: Portrait, rng: Rng, *, scarf: Field | None) -> None:
    """Neck and shoulders; `scarf` is the colour that covers the neck."""
    turn = portrait.face.shot.turn
    roll = 0.4 * np.arctan2(turn[1, 0], turn[0, 0]) + rng.normal(0, 0.06)
    right = np.array([np.cos(roll), np.sin(roll)])
    frame = _Frame(
        top=portrait.face.shot.project(np.array([0.0, 0.7, -0.95]))[:2],
        axes=np.stack([right, (-right[1], right[0])]) * portrait.px,
        neck=rng.uniform(0.6, 0.88),
        drop=rng.uniform(1.5, 2.0),
    )
    _neck(portrait, frame, scarf)
    _clothes(portrait, rng, frame)


def _neck(portrait: Portrait, frame: _Frame, scarf: Field | None) -> None:
    canvas, wide, drop = portrait.canvas, frame.neck, frame.drop
    edge = [(wide, -0.4), (wide * 0.97, 0.5), (wide, drop - 0.45), (wide + 0.25, drop + 0.1)]
    right = spline(frame.at(*edge, (wide + 0.3, drop + 1.2)), 6)
    left = spline(frame.at(*((-x, y) for x, y in edge), (-wide - 0.3, drop + 1.2)), 6)
    cover = canvas.cover(np.concatenate([right, left[::-1]]))
    if not cover.alpha.size:
        return
    across, below = frame.own(cover)
    bend = np.clip(across / (wide + 0.1), -0.99, 0.99)
    lx, _, lz = (float(value) for value in canvas.toward)
    ambient = canvas.lamp.ambient
    direct = np.clip(0.1 + bend * lx + np.sqrt(1 - bend**2) * lz, 0.05, 1.2)
    light = ambient * (0.8 - 0.25 * bend**2) + (1 - ambient) * direct
    chin = np.exp(-((np.clip(below - 0.5, 0, 9) / 0.75) ** 2))
    light = light * (1 - (0.3 + 0.3 * canvas.lamp.shadows) * chin)
    canvas.paint(cover, (portrait.skin if scarf is None else scarf) * light, None)
    for side in () if scarf is not None else (-1, 1):
        tendon = [(side * wide * 0.85, 0.7), (side * 0.5, drop - 0.2), (side * 0.1, drop + 0.35)]
        way = spline(frame.at(*tendon), 5)
        strip = canvas.cover(*tube(way, np.full(len(way), 0.07 * portrait.px)), margin=3)
        canvas.darken(strip, 0.15, 0.06 * portrait.px)


def _clothes(portrait: Portrait, rng: Rng, frame: _Frame) -> None:
    canvas, wide, drop = portrait.canvas, frame.neck, frame.drop
    slope, span = rng.uniform(0.25, 0.8), rng.uniform(2.5, 3.6)
    low = drop + float(rng.choice([rng.uniform(-0.1, 0.2), rng.uniform(0.3, 1.2)]))
    outer = [
        (-span - 0.4, drop + 6.0), (-span, drop + slope + 0.9), (-span + 0.35, drop + slope + 0.2),
        (-wide - 0.35, drop - 0.02), (-wide - 0.02, drop - 0.25),
    ]  # fmt: skip
    mirrored = [(-x, y) for x, y in outer[::-1]]
    bow = 0.6 * low + 0.4 * drop
    neckline = [(-wide * 0.5, bow), (0.0, low), (wide * 0.5, bow)]
    if rng.random() < 0.5:  # a V
        neckline = [(0.0, low)] * 3
    shape = spline(frame.at(*outer, *neckline, *mirrored), 5)
    colour = any_colour(rng)
    cover = canvas.cover(shape)
    if not cover.alpha.size:
        return
    cell = max(0.35 * portrait.px, 2)
    cloth = colour * (1 + 0.05 * grain(rng, cover.alpha.shape, cell, 2.3 * cell))
    if rng.random() < 0.3:
        across, below = frame.own(cover)
        turn, period = rng.uniform(0, pi), log_uniform(rng, 0.08, 0.6)
        wave = np.sin((across * np.cos(turn) + below * np.sin(turn)) * (2 * pi / period))
        cloth = cloth + np.clip(wave * 3 + 0.5, 0, 1) * (any_colour(rng) - colour)
    canvas.paint(cover, cloth * (0.75 + 0.2 * canvas.ramp(cover, canvas.lamp.shadows)), None)
    way = spline(frame.at(outer[-1], *neckline, mirrored[0]), 5)
    trim = tube(way, np.full(len(way), 0.09 * portrait.px))
    canvas.fill(colour * rng.uniform(0.4, 1.1), None, *trim, opacity=0.8)


# ----------------------------------------------------------------------------------------- camera


def photograph(rng: Rng, portrait: Portrait) -> Image:
    """The picture (H, W, 3) uint8 that a camera takes: exposure, lens, sensor, 8 bits, JPEG."""
    scene = _exposed(rng, portrait)
    size = max(scene.shape) / 256
    if rng.random() < 0.5:
        scene = cv2.GaussianBlur(scene, (0, 0), log_uniform(rng, 0.3, 1.8) * size)
    if rng.random() < 0.12:
        scale = rng.uniform(0.25, 0.6)
        small = cv2.resize(scene, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        scene = cv2.resize(small, scene.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.6:
        noise = rng.standard_normal(scene.shape, np.float32)
        scene = cv2.scaleAdd(noise, log_uniform(rng, 0.003, 0.06), scene)
    picture = digital(scene)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))]
        _, data = cv2.imencode(".jpg", picture, quality)
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return picture


def _exposed(rng: Rng, portrait: Portrait) -> Field:
    """(H, W, 3): exposed for the face or for all, with the sensor's curve, somewhat paler."""
    scene = cv2.merge(tuple(portrait.canvas.image))
    face = cv2.mean(scene, (portrait.head > 0.5).astype(np.uint8))[:3]
    share = rng.uniform(0.3, 1)
    light = max(
        share * float(np.mean(face)) + (1 - share) * float(np.mean(cv2.mean(scene)[:3])), 0.05
    )
    gain = float(np.clip((0.42 / light) ** 0.55, 0.6, 2.2)) * log_uniform(rng, 0.65, 1.4)
    colour = 0.0 if rng.random() < 0.1 else rng.uniform(0.6, 1.25)
    mix = np.eye(3) * colour + (1 - colour) / 3
    scene = cv2.transform(scene, (mix * portrait.canvas.lamp.colour * gain).astype(np.float32))
    scene = cv2.pow(np.clip(scene, 0, 2), log_uniform(rng, 0.75, 1.3))
    exposed: Field = scene + np.float32(max(rng.normal(-0.02, 0.05), 0))
    return exposed


def digital(scene: Field) -> Image:
    """(H, W, 3) uint8: scaled, rounded and saturated."""
    return np.asarray(cv2.addWeighted(scene, 255, scene, 0, 0, dtype=cv2.CV_8U), np.uint8)
