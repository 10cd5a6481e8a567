"""Generated textures with the statistics of photographs, to learn image filters on.

Occluding shapes over a power law of sizes ("dead leaves": Lee, Mumford and Huang, Int. J. of
Computer Vision 41, 2001) give the edges and the 1/f² power of photographs; noise, patterns, text
and channels that vary on their own give a filter what photographs rarely show.

A scene is (H, W, 3) float32 RGB, about 0…1 and free to go beyond, until `_photograph` turns it
into a picture.
"""

from collections.abc import Callable
from math import ceil, log, pi
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Image
from img2img.data.synth.generated import Generated

# Any, because OpenCV's stubs promise no more of what they return.
Scene = NDArray[Any]
Labels = NDArray[np.int32]
Rng = np.random.Generator


class Textures(Generated):
    """Generated textures."""

    kind = "texture"
    version = 1

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Image:
        return draw_texture(rng, height, width)


def draw_texture(rng: np.random.Generator, height: int, width: int) -> Image:
    """A picture (height, width, 3) uint8 RGB, a function of the state of `rng` alone."""
    scene = _scene(rng, height, width)
    if rng.random() < 0.2:
        scene = _collage(rng, scene, _scene(rng, height, width))
    if rng.random() < 0.2:
        scene = _lettered(rng, scene)
    if rng.random() < 0.2:
        scene = _untied(rng, scene)
    return _photograph(rng, scene)


def _scene(rng: Rng, height: int, width: int) -> Scene:
    kinds: tuple[tuple[Callable[[Rng, int, int], Scene], float], ...] = (
        (_leaves, 0.6),
        (_cloud, 0.14),
        (_pattern, 0.1),
        (_blocks, 0.08),
        (_gradient, 0.08),
    )
    draw, _ = kinds[rng.choice(len(kinds), p=[share for _, share in kinds])]
    return draw(rng, height, width)


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(log(low), log(high))))


def _grid(height: int, width: int) -> tuple[Scene, Scene]:
    """x (1, W) and y (H, 1) in pixels."""
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    return x, y


def _palette(rng: Rng, n: int) -> Scene:
    """`n` colours (n, 3) in 0…1 that could belong together, from grey to fully saturated."""
    mode = rng.random()
    if mode < 0.2:
        return rng.beta(0.3, 0.3, (n, 3)).astype(np.float32)
    if mode < 0.4:
        return rng.random((n, 3), dtype=np.float32)
    light = rng.beta(0.8, 1.0, (n, 1))
    chroma = 0.0 if mode < 0.5 else rng.uniform(0.03, 0.25)
    tint = rng.normal(0, 0.08, 3) + rng.normal(0, chroma, (n, 3))
    return np.clip(light + tint * (chroma > 0), 0, 1).astype(np.float32)


# ---------------------------------------------------------------------------------- dead leaves


def _leaves(rng: Rng, height: int, width: int) -> Scene:
    return _fill(rng, _leaf_map(rng, height, width))


def _leaf_map(rng: Rng, height: int, width: int) -> Labels:
    """Which leaf is seen at each pixel: (H, W) int32, 0 where none lies.

    Sizes follow r⁻³ between two radii, which makes the picture look alike at every scale.
    """
    r_max = max(height, width) / 2
    r_min = min(_log_uniform(rng, 1.5, 7), r_max / 2)
    mean_area = 2 * pi * r_min**2 * log(r_max / r_min)
    n = min(500, ceil(rng.uniform(0.7, 3) * height * width / mean_area))
    radii = r_min / np.sqrt(1 - rng.random(n) * (1 - (r_min / r_max) ** 2))
    centres = rng.uniform((0, 0), (width, height), (n, 2))
    labels = np.zeros((height, width), np.int32)
    for label, outline in enumerate(_outlines(rng, centres, radii), start=1):
        cv2.fillPoly(labels, [outline], label)
    return labels


def _outlines(
    rng: Rng, centres: NDArray[np.float64], radii: NDArray[np.float64]
) -> NDArray[np.int32]:
    """A closed outline (n, 24, 2) in pixels of each leaf: disc, ellipse, rectangle or polygon.

    All have 24 points, those with fewer corners repeat them, so that all are made at once.
    """
    n = len(radii)
    kinds = rng.choice(4, size=n, p=rng.dirichlet([0.7] * 4))
    disc, rectangle, polygon = (kinds == kind for kind in range(3))
    n_corners = np.select([rectangle, polygon], [4, rng.integers(3, 10, n)], 24)[:, None]
    corner = np.arange(24) * n_corners // 24
    angles = (corner * (2 * pi / n_corners) + pi / 4).astype(np.float32)
    reach = np.where(polygon[:, None], rng.uniform(0.3, 1, (n, 24)), 1)
    reach = (np.take_along_axis(reach, corner, axis=1) * radii[:, None]).astype(np.float32)
    aspects = np.where(disc, 1, np.exp(rng.uniform(-1.2, 0, n))).astype(np.float32)[:, None]
    along, across = np.cos(angles) * reach, np.sin(angles) * reach * aspects
    turns = rng.uniform(0, 2 * pi, (n, 1)) * (rng.random() < 0.7)
    x = along * np.cos(turns) - across * np.sin(turns)
    y = along * np.sin(turns) + across * np.cos(turns)
    return np.rint(np.stack([x, y], axis=-1) + centres[:, None]).astype(np.int32)


def _fill(rng: Rng, labels: Labels) -> Scene:
    """The scene of a leaf map: each leaf flat, shaded, grained or striped."""
    height, width = labels.shape
    n = int(labels.max()) + 1
    scene = np.take(_palette(rng, n), labels, axis=0)
    if rng.random() < 0.5:
        scene += _shading(rng, labels, n)
    if rng.random() < 0.5:
        strength = _some(rng, n, share=0.5) * _log_uniform(rng, 0.02, 0.25)
        grain = _noise(rng, height, width, alpha=rng.uniform(0, 2.5))
        grain *= np.take(strength, labels)[..., None]
        scene += grain
    if rng.random() < 0.3:
        scene += _stripes(rng, labels, n)[..., None]
    return scene


def _some(rng: Rng, n: int, *, share: float) -> Scene:
    """A strength in 0…1 for each of `n` leaves, 0 for all but a share of them."""
    return (rng.random(n) * (rng.random(n) < share)).astype(np.float32)


def _shading(rng: Rng, labels: Labels, n: int) -> Scene:
    """A linear gradient over each leaf, mostly of its lightness, somewhat of its colour."""
    x, y = _grid(*labels.shape)
    slopes = rng.normal(0, 0.5, (2, n, 1)) + rng.normal(0, 0.2, (2, n, 3))
    steep, tall = (slopes * _some(rng, n, share=0.7)[:, None]).astype(np.float32)
    shade = np.take(steep, labels, axis=0)
    shade *= (x / x.size - 0.5)[..., None]
    down = np.take(tall, labels, axis=0)
    down *= (y / y.size - 0.5)[..., None]
    shade += down
    return shade


def _stripes(rng: Rng, labels: Labels, n: int) -> Scene:
    """(H, W) waves over some leaves, each with its own direction and a period of 2 to 20 px."""
    x, y = _grid(*labels.shape)
    angles = rng.uniform(0, pi, n)
    waves = 2 * pi / np.exp(rng.uniform(log(2), log(20), n))
    strength = _some(rng, n, share=0.4) * rng.uniform(0.05, 0.3)
    right, down = np.stack([np.cos(angles), np.sin(angles)]) * waves
    phase = np.take(right.astype(np.float32), labels) * x
    phase += np.take(down.astype(np.float32), labels) * y
    np.sin(phase, out=phase)
    phase *= np.take(strength.astype(np.float32), labels)
    return phase


# ---------------------------------------------------------------------- noise, patterns, gradients


def _noise(rng: Rng, height: int, width: int, *, alpha: float) -> Scene:
    """Gaussian noise (H, W, 3) of deviation 1 and power about 1/f^alpha.

    Its channels are grey, independent, or tied to one another by a random degree.
    """
    tie = rng.choice([0.0, 1.0, rng.random()])
    if tie == 1:
        field = _octaves(rng, (height, width), (), alpha=alpha)
        return cv2.merge([field] * 3)
    field = _octaves(rng, (height, width), (3,), alpha=alpha)
    if tie == 0:
        return field
    mixing = np.full((3, 3), tie / np.sqrt(3)) + np.eye(3) * (1 - tie)
    return cv2.transform(field, mixing.astype(np.float32))


def _octaves(rng: Rng, size: tuple[int, int], channels: tuple[int, ...], *, alpha: float) -> Scene:
    """A sum of white noise of every octave: (H, W, *channels), deviation 1.

    The power of noise on cells of s pixels is s² times its variance below 1/s, so a deviation of
    s^(alpha/2 - 1) gives s^alpha at f = 1/s.
    """
    gain = 2 ** (alpha / 2 - 1)
    field: Scene = np.zeros((1, 1, *channels), np.float32)
    for octave in reversed(range(max(1, max(size).bit_length() - 2))):
        rows, columns = (ceil(side / 2**octave) for side in size)
        field = cv2.resize(field, (columns, rows), interpolation=cv2.INTER_LINEAR)
        fresh = rng.standard_normal((rows, columns, *channels), np.float32)
        field = cv2.scaleAdd(field, gain, fresh)
    field /= max(float(field[::4, ::4].std()), 0.1)
    return field


def _cloud(rng: Rng, height: int, width: int) -> Scene:
    """1/f^alpha noise around a colour."""
    field = _noise(rng, height, width, alpha=rng.uniform(0.8, 2.8))
    field *= np.float32(_log_uniform(rng, 0.08, 0.5))
    return field + _palette(rng, 1)


def _blocks(rng: Rng, height: int, width: int) -> Scene:
    """Noise on cells of 1 to 16 pixels: white, in two values, or a few specks on a colour."""
    cell = int(_log_uniform(rng, 1, 17))
    shape = (ceil(height / cell), ceil(width / cell), rng.choice([1, 3], p=[0.3, 0.7]))
    cells = rng.random(shape, dtype=np.float32) - np.float32(0.5)
    mode = rng.random()
    if mode < 0.3:
        cells = np.sign(cells) * np.float32(0.5)
    elif mode < 0.5:
        cells *= np.abs(cells) > rng.uniform(0.35, 0.5)
    cells = np.broadcast_to(cells, (*shape[:2], 3))
    field = cells.repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width]
    return field * np.float32(_log_uniform(rng, 0.1, 2)) + _palette(rng, 1)


def _pattern(rng: Rng, height: int, width: int) -> Scene:
    """Stripes or a checkerboard, soft or hard, of one grid or of a grid for each channel."""
    x, y = _grid(height, width)
    n_grids = rng.choice([1, 3])
    periods = np.exp(rng.uniform(log(2), log(64), n_grids))
    angles = rng.uniform(0, 2 * pi, n_grids)
    if rng.random() < 0.4:
        angles, periods = np.rint(angles / (pi / 2)) * (pi / 2), np.rint(periods / 2) * 2
    right, down = (np.stack([np.cos(angles), np.sin(angles)]) * pi / periods).astype(np.float32)
    x, y = x[..., None] + np.float32(0.5), y[..., None] + np.float32(0.5)
    wave = np.sin(2 * (x * right + y * down))
    if rng.random() < 0.5:
        wave = np.sin(x * right + y * down) * np.sin(y * right - x * down)
    hardness = _log_uniform(rng, 1, 30)
    wave = np.clip(wave * np.float32(hardness), -1, 1) * np.float32(0.5) + np.float32(0.5)
    dark, light = _palette(rng, 2)
    scene: Scene = wave * (light - dark) + dark
    return scene


def _gradient(rng: Rng, height: int, width: int) -> Scene:
    """Two to five colours along a line or a radius."""
    x, y = _grid(height, width)
    x, y = x / width - np.float32(rng.random()), y / height - np.float32(rng.random())
    angle = rng.uniform(0, 2 * pi)
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    if rng.random() < 0.5:
        along = np.sqrt(x * x + y * y * np.float32(_log_uniform(rng, 0.3, 3)))
    along = along - along.min()
    stops = _palette(rng, int(rng.integers(2, 6)))
    ramp = cv2.resize(stops[None], (4096, 1), interpolation=cv2.INTER_LINEAR)[0]
    steps = along * np.float32(4095 / max(float(along.max()), 1e-6))
    scene: Scene = np.take(ramp, steps.astype(np.int32), axis=0)
    return scene


# ------------------------------------------------------------------------------------ composing


def _collage(rng: Rng, under: Scene, over: Scene) -> Scene:
    """One scene through the holes of another, or half transparent over it."""
    height, width = under.shape[:2]
    if rng.random() < 0.3:
        share = np.float32(rng.uniform(0.3, 0.7))
        return under * share + over * (1 - share)
    threshold = rng.uniform(-0.5, 0.5)
    coarse = rng.normal(0, 1, (rng.integers(2, 6), rng.integers(2, 6))).astype(np.float32)
    hills = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.where((hills > threshold)[..., None], over, under)


_LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,:;-+()"))


def _lettered(rng: Rng, scene: Scene) -> Scene:
    """The scene with one to six lines of text on it, each in its own colour."""
    height, width = scene.shape[:2]
    for colour in _palette(rng, int(rng.integers(1, 7))):
        ink = np.zeros((height, width), np.uint8)
        text = "".join(rng.choice(_LETTERS, rng.integers(3, 20)))
        origin = (int(rng.uniform(-0.2, 0.6) * width), int(rng.uniform(0.05, 1) * height))
        scale, weight = _log_uniform(rng, 0.3, 3), int(rng.integers(1, 4))
        font = int(rng.integers(0, 8))
        cv2.putText(ink, text, origin, font, scale, 255, weight, cv2.LINE_AA)
        top, bottom = _rows_of(ink)
        share = ink[top:bottom, :, None] * np.float32(1 / 255)
        scene[top:bottom] += (colour - scene[top:bottom]) * share
    return scene


def _rows_of(ink: Image) -> tuple[int, int]:
    """First row with ink and the row after the last one; (0, 0) where there is none."""
    rows = np.flatnonzero(ink.any(axis=1))
    return (int(rows[0]), int(rows[-1]) + 1) if rows.size else (0, 0)


def _untied(rng: Rng, scene: Scene) -> Scene:
    """The scene with each channel mirrored and shifted on its own, so that no edge is shared."""
    height, width = scene.shape[:2]
    flips = (slice(None), slice(None, None, -1))
    channels = [
        np.roll(
            scene[flips[rng.integers(2)], flips[rng.integers(2)], channel],
            (rng.integers(height), rng.integers(width)),
            axis=(0, 1),
        )
        for channel in rng.permutation(3)
    ]
    return np.stack(channels, axis=-1)


# --------------------------------------------------------------------------------------- camera


def _photograph(rng: Rng, scene: Scene) -> Image:
    """The picture a camera takes of a scene: blur, exposure, sensor noise, 8 bits, JPEG."""
    if rng.random() < 0.35:
        scene = cv2.GaussianBlur(scene, (0, 0), _log_uniform(rng, 0.35, 1.3))
    scene = _exposed(rng, scene)
    if rng.random() < 0.4:
        noise = rng.standard_normal(scene.shape, dtype=np.float32)
        if rng.random() < 0.5:
            noise *= np.sqrt(np.clip(scene, 0.02, 1))
        scene = cv2.scaleAdd(noise, _log_uniform(rng, 0.003, 0.1), scene)
    # Scales, rounds and saturates in one pass, five times faster than NumPy in four.
    picture: NDArray[Any] = cv2.addWeighted(scene, 255, scene, 0, 0, dtype=cv2.CV_8U)
    if rng.random() < 0.2:
        picture = _compressed(picture, quality=int(rng.integers(30, 96)))
    return picture


def _exposed(rng: Rng, scene: Scene) -> Scene:
    """The scene as it is, under another light, or with contrast up to clipped black and white."""
    mode = rng.random()
    if mode < 0.3:
        return scene
    if mode < 0.5:
        height, width = scene.shape[:2]
        lamp = np.exp(rng.normal(0, 0.5, (3, 3, 1)) + rng.normal(0, 0.15, (3, 3, 3)))
        return scene * cv2.resize(lamp.astype(np.float32), (width, height))
    gains = _log_uniform(rng, 0.4, 4) * np.exp(rng.normal(0, 0.2, 3))
    grey = np.array(cv2.mean(scene)[:3])
    middle = np.clip(grey + rng.normal(0, 0.15), 0.1, 0.9)
    return cv2.transform(scene, np.column_stack([np.diag(gains), middle - gains * grey]))


def _compressed(picture: Image, *, quality: int) -> Image:
    """The picture after JPEG at this quality (0…100)."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(decoded, np.uint8)
