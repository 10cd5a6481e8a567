"""What is behind the ship: nebulae and stars, or photographs.

A sky is (H, W, 3) float32 RGB, about 0…1.
"""

from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.images import find_pictures, read
from img2img.data.sample import Image
from img2img.data.synth.ship_pose import Rng
from img2img.data.synth.textures import draw_texture
from img2img.errors import DataError

Field = NDArray[Any]

_KEPT_PX = 640
"""Photographs are kept at this shorter side."""
_KEPT = 64


class Photos:
    """The pictures of a folder as backgrounds; the last ones are kept in memory.

    Raises:
        DataError: the folder has no picture.
    """

    def __init__(self, folder: Path) -> None:
        self.paths = find_pictures(folder)
        if not self.paths:
            raise DataError(f"{folder} has no pictures to use as backgrounds.")
        self._kept: dict[Path, Image] = {}

    @property
    def digest(self) -> str:
        """Changes with the names and sizes of the files."""
        names = "".join(f"|{path.name}:{path.stat().st_size}" for path in self.paths)
        return f"-photos{hashed(names)}"

    def sky(self, rng: Rng, size: tuple[int, int]) -> Field:
        """A random part of a random picture."""
        photo = self._photo(self.paths[int(rng.integers(len(self.paths)))])
        return _scaled(_window(rng, photo, size), rng)

    def _photo(self, path: Path) -> Image:
        if path not in self._kept:
            photo = read(path)
            scale = _KEPT_PX / min(photo.shape[:2])
            if scale < 1:
                photo = np.asarray(
                    cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA),
                    np.uint8,
                )
            if len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[path] = photo
        return self._kept[path]


def textured(rng: Rng, size: tuple[int, int]) -> Field:
    """A generated texture, drawn small: its look counts, not its detail."""
    shorter = max(48, ceil(min(size) / 2))
    texture = draw_texture(rng, shorter, shorter)
    return _scaled(_window(rng, texture, size), rng)


def nebula(rng: Rng, size: tuple[int, int]) -> Field:
    """Clouds in one or two colours, mostly blue and violet, on almost black."""
    # Clouds have no edges: half the size is enough for them.
    half = (ceil(size[0] / 2), ceil(size[1] / 2))
    base = _log_uniform(rng, 0.004, 0.05) * np.exp(rng.normal(0, 0.4, 3)) * (0.5, 0.6, 1.6)
    sky = np.empty((*half, 3), np.float32)
    sky[:] = base
    for _ in range(int(rng.integers(1, 4))):
        cloud = _clouds(rng, half, rough=rng.uniform(0.5, 0.8))
        cloud = np.maximum(cloud - np.float32(rng.uniform(-1.6, 0.7)), 0)
        cloud = cv2.pow(cloud, rng.uniform(0.8, 2.2))
        colour = _nebula_colour(rng) * _log_uniform(rng, 0.04, 0.48)
        sky += cv2.merge([cloud * np.float32(each) for each in colour]).reshape(sky.shape)
    if rng.random() < 0.5:
        dust = np.maximum(_clouds(rng, half, rough=0.65), 0)
        sky *= np.exp(-np.float32(rng.uniform(0.3, 1.5)) * dust)[..., None]
    return cv2.resize(sky, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def stars(rng: Rng, sky: Field) -> None:
    """Adds stars: many faint, a few bright ones with a glow."""
    height, width = sky.shape[:2]
    layer = np.zeros((height, width), np.float32)
    n = int(_log_uniform(rng, 5, 600) * height * width / 256**2)
    rows, columns = rng.integers(0, height, n), rng.integers(0, width, n)
    layer[rows, columns] = rng.uniform(0.02, 1, n).astype(np.float32) ** 4 * 1.6
    blur = rng.uniform(0.35, 0.8) * max(height, width) / 256
    layer = cv2.GaussianBlur(layer, (0, 0), blur) * np.float32(1 + 5 * blur**2)
    for _ in range(int(rng.integers(0, 14))):
        _glow(rng, layer)
    tint = np.exp(rng.normal(0, 0.12, 3)) * (0.9, 0.97, 1.1)
    sky += cv2.merge([layer * np.float32(each) for each in tint]).reshape(sky.shape)


def bodies(rng: Rng, sky: Field) -> None:
    """Adds what a detector might take for a ship: moons, grey wrecks, beams of light, dots."""
    height, width = sky.shape[:2]
    shade: Field = _clouds(rng, (ceil(height / 2), ceil(width / 2)), rough=0.7) * np.float32(0.12)
    shade = cv2.resize(shade, (width, height)) + np.float32(1)
    for _ in range(int(rng.integers(1, 5))):
        ink = np.zeros((height, width), np.uint8)
        colour = rng.uniform(0.1, 0.9) * np.exp(rng.normal(0, 0.15, 3))
        kind = rng.choice(4, p=(0.25, 0.4, 0.2, 0.15))
        (_moon, _wreck, _beam, _dots)[kind](rng, ink)
        if kind >= 2:
            colour = colour / colour.max() * rng.uniform(0.1, 1, 3)
        left, top, w, h = cv2.boundingRect(ink)
        window = np.s_[top : top + h, left : left + w]
        body = shade[window][..., None] * colour.astype(np.float32)
        sky[window] += (body - sky[window]) * (ink[window] * np.float32(1 / 255))[..., None]


def _place(rng: Rng, ink: Image) -> Field:
    """(2,) x and y anywhere."""
    place: Field = rng.uniform(0, 1, 2) * ink.shape[::-1]
    return place


def _moon(rng: Rng, ink: Image) -> None:
    radius = max(ink.shape) * _log_uniform(rng, 0.01, 0.3)
    cv2.circle(ink, _spot(_place(rng, ink)), int(radius * 16), 255, cv2.FILLED, cv2.LINE_AA, 4)


def _wreck(rng: Rng, ink: Image) -> None:
    around = rng.normal(0, 1, (int(rng.integers(3, 8)), 2))
    around *= max(ink.shape) * _log_uniform(rng, 0.01, 0.09)
    hull: Any = cv2.convexHull((around + _place(rng, ink)).astype(np.float32))
    cv2.fillPoly(ink, [np.rint(hull * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)


def _beam(rng: Rng, ink: Image) -> None:
    place, way = _place(rng, ink), rng.normal(0, max(ink.shape) * 0.2, 2)
    weight = int(rng.integers(1, 4))
    cv2.line(ink, _spot(place - way), _spot(place + way), 255, weight, cv2.LINE_AA, 4)


def _dots(rng: Rng, ink: Image) -> None:
    """As somebody marks points with."""
    radius = int(16 * max(ink.shape) / 256 * rng.uniform(1, 3))
    for _ in range(int(rng.integers(2, 10))):
        cv2.circle(ink, _spot(_place(rng, ink)), radius, 255, cv2.FILLED, cv2.LINE_AA, 4)


def hashed(text: str) -> str:
    """Twelve hexadecimal digits of a text."""
    return sha256(text.encode()).hexdigest()[:12]


def _spot(place: Field) -> list[int]:
    """A point in sixteenths of a pixel."""
    return [int(each) for each in np.rint(place * 16)]


def _glow(rng: Rng, layer: Field) -> None:
    """Adds a bright star to a plane (H, W)."""
    height, width = layer.shape
    sigma = _log_uniform(rng, 0.5, 2.5) * max(height, width) / 256
    reach = ceil(5 * sigma)
    x, y = int(rng.integers(width)), int(rng.integers(height))
    rows = np.arange(max(y - reach, 0), min(y + reach + 1, height))
    columns = np.arange(max(x - reach, 0), min(x + reach + 1, width))
    squared = (rows[:, None] - y) ** 2 + (columns - x) ** 2
    light = np.exp(-squared / (2 * sigma**2)) + 0.12 * np.exp(-np.sqrt(squared) / (1.2 * sigma))
    layer[rows[:, None], columns] += light * rng.uniform(0.15, 1)


def _clouds(rng: Rng, size: tuple[int, int], *, rough: float) -> Field:
    """(H, W) float32 noise of deviation about 1; `rough` is the share of an octave in the one
    that is twice as coarse."""
    height, width = size
    side = max(size)
    stretch = np.exp(rng.normal(0, 0.3))
    total: Field = np.zeros((height, width), np.float32)
    cells, share, weight = 2.0, 1.0, 0.0
    while cells < side / 1.5:
        grid = (ceil(cells * height / side * stretch) + 3, ceil(cells * width / side) + 3)
        noise = rng.standard_normal(grid, np.float32) * np.float32(share)
        kind = cv2.INTER_CUBIC if cells < side / 8 else cv2.INTER_LINEAR
        total += cv2.resize(noise, (width, height), interpolation=kind)
        weight += share**2
        cells, share = cells * 2.1, share * rough
    return total * np.float32(1 / np.sqrt(weight))


def _nebula_colour(rng: Rng) -> Field:
    """(3,) with a largest entry of 1."""
    hues = ((0.10, 0.22, 1.0), (0.05, 0.35, 1.0), (0.55, 0.30, 1.0), (0.9, 0.45, 1.0),
            (0.25, 0.85, 1.0), (1.0, 0.55, 0.35))  # fmt: skip
    hue = np.array(hues[int(rng.choice(len(hues), p=(0.32, 0.2, 0.22, 0.12, 0.09, 0.05)))])
    colour = hue * np.exp(rng.normal(0, 0.25, 3))
    if rng.random() < 0.08:
        colour = rng.uniform(0.05, 1, 3)
    brightest: Field = colour / colour.max()
    return brightest


def _window(rng: Rng, picture: Image, size: tuple[int, int]) -> Image:
    """A random part of a picture, of the proportions of `size`, at that size; often mirrored."""
    height, width = size
    full = min(picture.shape[0] / height, picture.shape[1] / width)
    scale = full * rng.uniform(0.45, 1)
    h, w = max(int(height * scale), 1), max(int(width * scale), 1)
    top = int(rng.integers(picture.shape[0] - h + 1))
    left = int(rng.integers(picture.shape[1] - w + 1))
    part = picture[top : top + h, left : left + w]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    smaller = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    resized: Any = cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=smaller)
    return np.asarray(resized, np.uint8)


def _scaled(picture: Image, rng: Rng) -> Field:
    """A picture as a sky, often darker than it was."""
    light = _log_uniform(rng, 0.25, 1.0) / 255
    return picture.astype(np.float32) * np.float32(light)


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
