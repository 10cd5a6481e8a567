"""Random views of a labelled picture: one warp to the network's canvas, pasted objects, light.

Geometry is a (2, 3) matrix from points x, y of the original to points of the canvas, pixel centres
at integers, so that whatever belongs to the picture (classes, points) can follow it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.config import option
from img2img.data.light import Light, LightOptions, redefined
from img2img.data.sample import Image
from img2img.data.view import View
from img2img.data.warp import Matrix, warp_image
from img2img.vision.classes import IGNORE, Classes

if TYPE_CHECKING:
    from img2img.data.cutouts import Cutouts


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentOptions(LightOptions):
    """How training samples vary."""

    rotation_deg: float = option(
        20.0, "Greatest turn to either side.", unit="degrees", low=0.0, high=180.0
    )
    scale: float = option(
        2.0, "Greatest zoom in, its root the greatest zoom out; objects stay between 2 % and "
        "75 % of the side where they can.", low=1.0, high=16.0,
    )  # fmt: skip
    shift: float = option(0.1, "Greatest shift, as a share of the side.", low=0.0, high=1.0)
    shear: float = option(0.05, "Greatest shear, as a tangent.", low=0.0, high=1.0)
    aspect: float = option(1.1, "Greatest change of width : height.", low=1.0, high=4.0)
    flip: bool = option(True, "Mirror half of the samples left to right.")
    flip_vertical: bool = option(False, "Mirror half of the samples upside down.")
    colour: float = redefined("colour", 0.5)
    noise: float = redefined("noise", 0.25)
    shadow: float = redefined("shadow", 0.3)
    dropout: float = option(
        0.15, "Share of samples in which rectangles are covered and ignored.", low=0.0, high=1.0
    )
    crop: float = option(
        1.0, "Side of the square of the canvas that a training sample shows, as a share; smaller "
        "is faster, and shows small objects in more pixels.", low=0.1, high=1.0,
    )  # fmt: skip
    copy_paste: float = option(
        0.3, "Share of samples that get objects of other samples.", low=0.0, high=1.0
    )


# ---- geometry


class Focus(NamedTuple):
    """An object that zooming keeps in sight: its centre and longest side in original pixels."""

    x: float
    y: float
    side: float


SMALLEST, LARGEST = 0.02, 0.75
"""Shares of the canvas' side beyond which zooming shrinks or enlarges no object in focus."""


def letterbox_matrix(height: int, width: int, size: int) -> Matrix:
    """What `View.letterbox` does to points."""
    view = View.letterbox(height, width, size)
    x = (view.scale_x, 0.0, 0.5 * view.scale_x + view.left - 0.5)
    y = (0.0, view.scale_y, 0.5 * view.scale_y + view.top - 0.5)
    return np.array([x, y])


def find_focus(classes: Classes, rng: np.random.Generator) -> Focus | None:
    """A random object of a random class other than the background, or None if there is none."""
    step = max(1, max(classes.shape) // 120)  # coarse: this only aims
    coarse = classes[::step, ::step]
    present = 1 + np.flatnonzero(np.bincount(coarse.ravel(), minlength=256)[1:IGNORE])
    if not present.size:
        return None
    mask = (coarse == rng.choice(present)).astype(np.uint8)
    n_objects, _, stats, centres = cv2.connectedComponentsWithStats(mask)
    number = int(rng.integers(1, n_objects))
    x, y = centres[number] * step
    side = max(stats[number, cv2.CC_STAT_WIDTH], stats[number, cv2.CC_STAT_HEIGHT]) * step
    return Focus(float(x), float(y), float(side))


def random_matrix(
    options: AugmentOptions,
    rng: np.random.Generator,
    height: int,
    width: int,
    size: int,
    *,
    focus: Focus | None = None,
) -> Matrix:
    """A random map of a picture to the window, `options.crop`, of a canvas of `size` pixels; at
    strength 0, and where the window is the canvas, `letterbox_matrix`.

    Without `focus` any part of the picture may be in sight.
    """
    fit = letterbox_matrix(height, width, size)
    window = window_side(options, size)
    zoom = _random_zoom(options, rng, focus.side / max(height, width) if focus else None)
    linear = zoom * random_linear(options, rng)
    inner = np.array([width * fit[0, 0], height * fit[1, 1]])
    # Either the picture is larger than the window, or it may lie anywhere in it.
    spare = abs(inner * zoom - window) / 2 if options.strength else 0.0
    reach = spare + options.strength * options.shift * window
    move = rng.uniform(-1, 1, 2) * reach
    centre = np.full(2, (size - 1) / 2)
    if focus is not None:
        at = fit @ np.array([focus.x, focus.y, 1.0])
        aim = rng.uniform(-0.35, 0.35, 2) * window
        move = np.clip(aim - linear @ (at - centre), -reach, reach)
    middle = np.full(2, (window - 1) / 2)
    turn = np.column_stack([linear, middle + move - linear @ centre])
    matrix: Matrix = turn @ np.vstack([fit, [0.0, 0.0, 1.0]])
    return matrix


def window_side(options: AugmentOptions, size: int) -> int:
    """Pixels of the side of a training sample of a canvas of `size` pixels."""
    return max(1, round(options.crop * size))


def _random_zoom(options: AugmentOptions, rng: np.random.Generator, share: float | None) -> float:
    """Log-uniform; `share` is what the object in focus takes of the side before it."""
    low, high = options.scale**-0.5, options.scale  # further out, the canvas is mostly black
    if share is not None:
        low, high = max(low, min(1.0, SMALLEST / share)), min(high, max(1.0, LARGEST / share))
    return float(np.exp(options.strength * rng.uniform(np.log(low), np.log(high))))


def random_linear(options: AugmentOptions, rng: np.random.Generator) -> Matrix:
    """(2, 2) flips, then aspect, shear and rotation."""
    strength = options.strength
    turn, lean, stretch = rng.uniform(-1, 1, 3) * strength
    flips = rng.random(2) < 0.5 * strength * np.array([options.flip, options.flip_vertical])
    angle = np.deg2rad(options.rotation_deg) * turn
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1.0, options.shear * lean], [0.0, 1.0]])
    wide = options.aspect ** (stretch / 2)
    linear: Matrix = rotation @ shear @ np.diag(np.where(flips, -1, 1) * [wide, 1 / wide])
    return linear


def warp_classes(
    classes: Classes, matrix: Matrix, height: int, width: int, *, fill: int
) -> Classes:
    """(height, width) canvas with the nearest class at every pixel, `fill` outside."""
    return np.asarray(
        cv2.warpAffine(classes, matrix, (width, height), flags=cv2.INTER_NEAREST, borderValue=fill)
    )


def covered(matrix: Matrix, height: int, width: int, size: int) -> NDArray[np.bool_]:
    """(size, size): which pixels of the canvas show the picture of `height` × `width` pixels."""
    inverse = cv2.invertAffineTransform(matrix).astype(np.float32)
    place = np.arange(size, dtype=np.float32)
    x, y = (row[0] * place + (row[1] * place + row[2])[:, None] for row in inverse)
    within: NDArray[np.bool_] = (np.abs(x - (width - 1) / 2) < width / 2) & (
        np.abs(y - (height - 1) / 2) < height / 2
    )
    return within


def _within(canvas: Image, inside: NDArray[np.bool_]) -> Image:
    """A copy, black outside."""
    return np.asarray(cv2.bitwise_and(canvas, canvas, mask=inside.view(np.uint8)))


# ---- light


def _dropped(image: Image, classes: Classes, rng: np.random.Generator) -> tuple[Image, Classes]:
    """Copies with one to four rectangles of one colour, which are no class."""
    image, classes = image.copy(), classes.copy()
    height, width = classes.shape
    for _ in range(int(rng.integers(1, 5))):
        h, w = (np.ceil(rng.uniform(0.05, 0.25, 2) * [height, width])).astype(int)
        y, x = rng.integers(height), rng.integers(width)
        there = np.s_[max(0, y - h // 2) : y + h - h // 2, max(0, x - w // 2) : x + w - w // 2]
        image[there] = rng.integers(0, 256, 3)
        classes[there] = IGNORE
    return image, classes


class Augmenter:
    """Random square windows (side, side), `options.crop` of canvases of `size` pixels, of pictures
    with their classes: functions of the arguments and the generator alone. Inputs are never
    written to. Outside of the picture the canvas is black and its class `IGNORE`."""

    def __init__(self, options: AugmentOptions, *, size: int) -> None:
        self.options = options
        self.size = size
        self._light = Light(options, size=size)

    def __call__(
        self,
        image: Image,
        classes: Classes,
        rng: np.random.Generator,
        paste: "Cutouts | None" = None,
    ) -> tuple[Image, Classes]:
        """An image (side, side, 3) uint8 and its classes (side, side), of an image (H, W, 3) and
        classes (H, W); objects of `paste` are put on a share of them."""
        return self._lit(*self._placed(image, classes, rng, paste), rng)

    def weak(
        self, image: Image, classes: Classes, rng: np.random.Generator
    ) -> tuple[Image, Classes]:
        """As a call, of geometry alone."""
        canvas, marks, inside = self._placed(image, classes, rng)
        return _within(canvas, inside), marks

    def pair(
        self,
        image: Image,
        classes: Classes,
        rng: np.random.Generator,
        paste: "Cutouts | None" = None,
    ) -> tuple[Image, Image, Classes, NDArray[np.bool_]]:
        """(weak, strong, classes, inside): one geometry and the same pasted objects; only the
        strong image changes in light, and has covered rectangles, which are `IGNORE` in the
        classes. `inside` (side, side) says where the picture is."""
        canvas, marks, inside = self._placed(image, classes, rng, paste)
        strong, marks = self._lit(canvas, marks, inside, rng)
        return _within(canvas, inside), strong, marks, inside

    def _placed(
        self,
        image: Image,
        classes: Classes,
        rng: np.random.Generator,
        paste: "Cutouts | None" = None,
    ) -> tuple[Image, Classes, NDArray[np.bool_]]:
        """(canvas, its classes, where the picture is): geometry and pasted objects."""
        height, width = classes.shape
        # One in five looks anywhere: backgrounds must be seen at every size as well.
        focus = find_focus(classes, rng) if rng.random() < 0.8 else None
        matrix = random_matrix(self.options, rng, height, width, self.size, focus=focus)
        side = window_side(self.options, self.size)
        canvas = warp_image(image, matrix, side, side)
        marks = warp_classes(classes, matrix, side, side, fill=IGNORE)
        inside = covered(matrix, height, width, side)
        if paste is not None and rng.random() < self.options.strength * self.options.copy_paste:
            canvas, marks = paste.paste(canvas, marks, rng)
        marks[~inside] = IGNORE  # pasted ones, and what OpenCV's rounding lets in at the border
        return canvas, marks, inside

    def _lit(
        self, canvas: Image, marks: Classes, inside: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[Image, Classes]:
        canvas = self._light(canvas, rng)
        if rng.random() < self.options.strength * self.options.dropout:
            canvas, marks = _dropped(canvas, marks, rng)
            marks[~inside] = IGNORE
        return _within(canvas, inside), marks
