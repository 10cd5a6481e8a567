"""Random views of a labelled picture: one warp to the network's canvas, pasted objects, light.

Geometry is a (2, 3) matrix from points x, y of the original to points of the canvas, pixel centres
at integers, so that whatever belongs to the picture (classes, points) can follow it.
"""

import os
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.config import option
from img2img.data.sample import Dataset, Image, Record
from img2img.data.view import View
from img2img.vision.classes import IGNORE, Classes

Matrix = NDArray[np.float64]
"""(2, 3): (x, y, 1) of the original to (x, y) of the canvas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentOptions:
    """How training samples vary."""

    strength: float = option(
        1.0, "Factor on all options of this group; 0: no augmentation.", low=0.0, high=1.0
    )
    rotation_deg: float = option(
        40.0, "Greatest turn to either side.", unit="degrees", low=0.0, high=180.0
    )
    scale: float = option(
        4.0, "Greatest zoom in, its root the greatest zoom out; objects stay between 2 % and "
        "75 % of the side where they can.", low=1.0, high=16.0,
    )  # fmt: skip
    shift: float = option(0.1, "Greatest shift, as a share of the side.", low=0.0, high=1.0)
    shear: float = option(0.15, "Greatest shear, as a tangent.", low=0.0, high=1.0)
    aspect: float = option(1.25, "Greatest change of width : height.", low=1.0, high=4.0)
    flip: bool = option(True, "Mirror half of the samples left to right.")
    flip_vertical: bool = option(False, "Mirror half of the samples upside down.")
    colour: float = option(
        0.8, "Strength of changes of brightness, contrast, saturation, hue, gamma and white "
        "balance, and of turning grey.", low=0.0, high=1.0,
    )  # fmt: skip
    blur: float = option(0.2, "Share of samples that lose sharpness.", low=0.0, high=1.0)
    noise: float = option(0.25, "Share of samples with sensor noise.", low=0.0, high=1.0)
    compression: float = option(0.2, "Share of samples with JPEG artefacts.", low=0.0, high=1.0)
    shadow: float = option(0.3, "Share of samples with uneven light.", low=0.0, high=1.0)
    dropout: float = option(
        0.15, "Share of samples in which rectangles are covered and ignored.", low=0.0, high=1.0
    )
    copy_paste: float = option(
        0.4, "Share of samples that get objects of other samples.", low=0.0, high=1.0
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
    """A random map of a picture to a canvas of `size` pixels; at strength 0 `letterbox_matrix`.

    Without `focus` any part of the picture may be in sight.
    """
    fit = letterbox_matrix(height, width, size)
    zoom = _random_zoom(options, rng, focus.side / max(height, width) if focus else None)
    linear = zoom * _random_linear(options, rng)
    inner = np.array([width * fit[0, 0], height * fit[1, 1]])
    # Zooming sets free the part of the picture, or of the canvas, that need not be in sight.
    reach = inner * abs(zoom - 1) / 2 + options.strength * options.shift * size
    move = rng.uniform(-1, 1, 2) * reach
    centre = np.full(2, (size - 1) / 2)
    if focus is not None:
        at = fit @ np.array([focus.x, focus.y, 1.0])
        aim = rng.uniform(-0.35, 0.35, 2) * size
        move = np.clip(aim - linear @ (at - centre), -reach, reach)
    turn = np.column_stack([linear, centre + move - linear @ centre])
    matrix: Matrix = turn @ np.vstack([fit, [0.0, 0.0, 1.0]])
    return matrix


def _random_zoom(options: AugmentOptions, rng: np.random.Generator, share: float | None) -> float:
    """Log-uniform; `share` is what the object in focus takes of the side before it."""
    low, high = options.scale**-0.5, options.scale  # further out, the canvas is mostly black
    if share is not None:
        low, high = max(low, min(1.0, SMALLEST / share)), min(high, max(1.0, LARGEST / share))
    return float(np.exp(options.strength * rng.uniform(np.log(low), np.log(high))))


def _random_linear(options: AugmentOptions, rng: np.random.Generator) -> Matrix:
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


SUPERSAMPLING = 1.5
"""Pixels per canvas pixel, to within a factor √2, to which a picture is halved before it is warped:
means of blocks and the triangle of bilinear interpolation together blur like `INTER_AREA` alone
where they are √3 (variance of 1/12 square pixel)."""


def warp_image(image: Image, matrix: Matrix, height: int, width: int) -> Image:
    """(height, width, C) canvas with `image` (H, W, C) on it, C of 3 or 4.

    Where the canvas does not show the picture (`covered`) its values mean nothing.
    """
    n_pixels = 1 / (SUPERSAMPLING * np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    for _ in range(max(0, round(np.log2(n_pixels)))):
        image, matrix = _halved(image, matrix)
    # One pixel carried on gives the border its colour; warping with BORDER_REPLICATE is slow.
    image = np.asarray(cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REPLICATE))
    matrix = matrix @ np.array([[1.0, 0.0, -1.0], [0.0, 1.0, -1.0], [0.0, 0.0, 1.0]])
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR))


def _halved(image: Image, matrix: Matrix) -> tuple[Image, Matrix]:
    """Means of two by two pixels, which OpenCV takes five times faster than any other area, and
    the matrix from them; sides that have few pixels keep them."""
    height, width = image.shape[:2]
    x, y = (2 if side >= 32 else 1 for side in (width, height))
    new = (width // x, height // y)
    image = np.asarray(
        cv2.resize(image[: new[1] * y, : new[0] * x], new, interpolation=cv2.INTER_AREA)
    )
    to_old = np.array([[x, 0.0, (x - 1) / 2], [0.0, y, (y - 1) / 2], [0.0, 0.0, 1.0]])
    return image, matrix @ to_old


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


# ---- objects of other pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutout:
    """An object: `pixels` (h, w, 4) uint8 RGBA, `classes` (h, w) with 0 around it, and `light`,
    (3,) the mean colour of its picture."""

    pixels: Image
    classes: Classes
    light: NDArray[np.float64]


class Cutouts:
    """Objects of a labelled data set, to be pasted into other pictures (Ghiasi et al. 2021,
    arXiv:2012.07177). Objects that touch each other, such as an egg in a pan, stay together.

    Args:
        dataset: samples with `labels["classes"]`; others are passed over.
        most: objects kept, in equal parts for every class that is the main one of an object.
    """

    LONGEST_PX = 320
    SMALLEST_SHARE = 5e-4

    def __init__(self, dataset: Dataset, *, most: int = 200) -> None:
        found: dict[int, list[Cutout]] = defaultdict(list)
        for n_seen, index in enumerate(_by_turns(dataset.records)[: 4 * most]):
            if n_seen >= most and all(len(kind) >= most // len(found) for kind in found.values()):
                break
            sample = dataset[index]
            classes = sample.labels.get("classes")
            if classes is None:
                continue
            for cutout in _cut_out(sample.image, classes.astype(np.uint8, copy=False)):
                main = int(np.bincount(cutout.classes.ravel())[1:].argmax()) + 1
                if len(found[main]) < most:
                    found[main].append(cutout)
        quota = most // max(1, len(found))
        self.by_class = {main: found[main][:quota] for main in sorted(found)}

    def __len__(self) -> int:
        return sum(map(len, self.by_class.values()))

    def paste(
        self, image: Image, classes: Classes, rng: np.random.Generator
    ) -> tuple[Image, Classes]:
        """Copies of `image` (H, W, 3) and `classes` (H, W) with one to three objects on them."""
        image, classes = image.copy(), classes.copy()
        light = _light(image)
        for _ in range(int(rng.integers(1, 4)) if self.by_class else 0):
            kind = list(self.by_class.values())[rng.integers(len(self.by_class))]
            cutout = kind[rng.integers(len(kind))]
            _lay(cutout, image, classes, rng, gain=_gain(light, cutout.light, rng))
        return image, classes


def _by_turns(records: Sequence[Record]) -> list[int]:
    """Indices in an order that gives every group its turn: frames of a film look alike."""
    order = np.random.default_rng(0).permutation(len(records)).tolist()
    seen: dict[str, int] = defaultdict(int)
    turns = []
    for index in order:
        group = records[index].group or records[index].id
        turns.append(seen[group])
        seen[group] += 1
    return [order[place] for place in np.argsort(turns, kind="stable")]


def _cut_out(image: Image, classes: Classes) -> list[Cutout]:
    """The whole objects of a picture."""
    is_object = (classes != 0) & (classes != IGNORE)
    n_objects, numbers, stats, _ = cv2.connectedComponentsWithStats(is_object.astype(np.uint8))
    height, width = classes.shape
    light, cutouts = _light(image), []
    for number, (x, y, w, h, area) in enumerate(stats[1:n_objects].tolist(), start=1):
        is_cut = x == 0 or y == 0 or x + w == width or y + h == height
        if is_cut or area < Cutouts.SMALLEST_SHARE * classes.size:
            continue
        margin = 3
        part = np.s_[max(0, y - margin) : y + h + margin, max(0, x - margin) : x + w + margin]
        own = np.where(numbers[part] == number, classes[part], 0).astype(np.uint8)
        pixels = np.dstack([image[part], _soft(own)])
        cutouts.append(_bounded(Cutout(pixels=pixels, classes=own, light=light)))
    return cutouts


def _bounded(cutout: Cutout) -> Cutout:
    height, width = cutout.classes.shape
    if max(height, width) <= Cutouts.LONGEST_PX:
        return cutout
    view = View.letterbox(height, width, Cutouts.LONGEST_PX)
    part = np.s_[view.top : view.top + view.inner[0], view.left : view.left + view.inner[1]]
    pixels, classes = view.apply(cutout.pixels), view.apply(cutout.classes, labels=True)
    return Cutout(pixels=pixels[part], classes=classes[part], light=cutout.light)


def _soft(classes: Classes) -> Classes:
    """Opacity 0…255 of an object, a pixel inside of its outline where its surroundings shine
    through."""
    mask = (classes != 0).astype(np.uint8) * 255
    if min(mask.shape) > 24:
        mask = np.asarray(cv2.erode(mask, np.ones((3, 3), np.uint8)))
    return np.asarray(cv2.GaussianBlur(mask, (5, 5), 1.0))


def _light(image: Image) -> NDArray[np.float64]:
    """(3,) mean colour, of all but the black that surrounds a picture on a canvas."""
    few = image[::4, ::4].reshape(-1, 3)
    lit = few[few.any(axis=1)]
    return lit.mean(axis=0) if lit.size else np.full(3, 128.0)


def _gain(
    here: NDArray[np.float64], there: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """(3,) factors that bring an object more or less into the light of another picture."""
    ratio = np.clip((here + 8) / (there + 8), 0.4, 2.5) ** rng.uniform(0, 1)
    return (ratio * rng.uniform(0.8, 1.2)).astype(np.float32)


def _lay(
    cutout: Cutout,
    image: Image,
    classes: Classes,
    rng: np.random.Generator,
    *,
    gain: NDArray[np.float32],
) -> None:
    """Pastes an object into `image` and `classes`, at a random place, turn and size."""
    matrix, (height, width) = _random_pose(cutout.classes.shape, max(classes.shape), rng)
    patch = warp_image(cutout.pixels, matrix, height, width)
    own = warp_classes(cutout.classes, matrix, height, width, fill=0)
    y, x = _random_place(classes, rng)
    top, left = y - height // 2, x - width // 2
    there = np.s_[max(0, top) : top + height, max(0, left) : left + width]
    here = np.s_[max(0, -top) :, max(0, -left) :]
    target = image[there]
    patch, own = (array[here][: target.shape[0], : target.shape[1]] for array in (patch, own))
    opacity = np.where(own == 0, np.minimum(patch[..., 3], 127), patch[..., 3])
    share = (opacity.astype(np.float32) / 255)[..., None]
    colour = np.minimum(patch[..., :3] * gain, 255)
    target[:] = np.rint(target + share * (colour - target))
    is_own = opacity >= 128
    classes[there][is_own] = own[is_own]


def _random_pose(
    shape: tuple[int, ...], side: int, rng: np.random.Generator
) -> tuple[Matrix, tuple[int, int]]:
    """The map of a cut-out of `shape` (height, width) to a patch, and the patch's shape."""
    share = np.exp(rng.uniform(np.log(0.04), np.log(0.6)))
    zoom = min(1.5, share * side / max(shape))  # larger would be blurred
    options = AugmentOptions(rotation_deg=180.0, shear=0.1, aspect=1.2)
    linear = zoom * _random_linear(options, rng)
    old = np.array([shape[1], shape[0]])
    new = np.ceil(np.abs(linear) @ old).astype(int) + 1
    move = (new - 1) / 2 - linear @ ((old - 1) / 2)
    return np.column_stack([linear, move]), (int(new[1]), int(new[0]))


def _random_place(classes: Classes, rng: np.random.Generator) -> tuple[int, int]:
    """Row and column, where there are labels; one in four on an object, since eggs lie in pans."""
    labelled = classes != IGNORE
    on_object = labelled & (classes != 0) & (rng.random() < 0.25)
    for candidates in map(np.flatnonzero, (on_object, labelled)):
        if candidates.size:
            row, column = divmod(int(rng.choice(candidates)), classes.shape[1])
            return row, column
    return int(rng.integers(classes.shape[0])), int(rng.integers(classes.shape[1]))


# ---- light and camera


def _photometric(options: AugmentOptions) -> Any:
    """An albumentations pipeline of what light, lens, sensor and codec do to colours."""
    # Its import asks PyPI for news, which no training may wait for.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations as A

    k, c = options.strength, options.strength * options.colour
    jitter = A.ColorJitter(
        brightness=(1 - 0.5 * c, 1 + 0.5 * c), contrast=(1 - 0.5 * c, 1 + 0.5 * c),
        saturation=(1 - 0.7 * c, 1 + 0.7 * c), hue=(-0.06 * c, 0.06 * c), p=0.8 * min(1, 2 * c),
    )  # fmt: skip
    smooth = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}
    return A.Compose([
        A.OneOf([
            A.RandomShadow((0, 0, 1, 1), shadow_dimension=4, shadow_intensity_range=(0.2, 0.5)),
            A.Illumination(mode="gaussian", intensity_range=(0.05, 0.2), sigma_range=(0.3, 1.0)),
        ], p=k * options.shadow),
        jitter,
        A.RandomGamma((100 - 45 * c, 100 + 80 * c), p=0.3 * min(1, 2 * c)),
        A.PlanckianJitter(p=0.35 * c),
        A.RandomToneCurve(scale=0.1, per_channel=True, p=0.25 * c),
        A.ToGray(p=0.08 * c),
        A.OneOf([
            A.GaussianBlur(sigma_limit=(0.4, 1.6)),
            A.MotionBlur(blur_limit=(3, 9)),
            A.Downscale(scale_range=(0.35, 0.8), interpolation_pair=smooth),
        ], p=k * options.blur),
        A.OneOf([
            A.GaussNoise(std_range=(0.01, 0.06)),
            A.GaussNoise(std_range=(0.01, 0.06), per_channel=False),
            A.GaussNoise(std_range=(0.01, 0.06), noise_scale_factor=0.5),
        ], p=k * options.noise),
        A.ImageCompression(quality_range=(25, 90), p=k * options.compression),
    ])  # fmt: skip


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
    """Random (size, size) canvases of pictures with their classes, functions of the arguments and
    the generator alone. Inputs are never written to. Outside of the picture the canvas is black
    and its class `IGNORE`."""

    def __init__(self, options: AugmentOptions, *, size: int) -> None:
        self.options = options
        self.size = size
        # Of one pixel albumentations makes one with one channel.
        is_lit = options.strength > 0 and size > 1
        self._photometric = _photometric(options) if is_lit else None

    def __call__(
        self,
        image: Image,
        classes: Classes,
        rng: np.random.Generator,
        paste: Cutouts | None = None,
    ) -> tuple[Image, Classes]:
        """An image (size, size, 3) uint8 and its classes (size, size), of an image (H, W, 3) and
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
        paste: Cutouts | None = None,
    ) -> tuple[Image, Image, Classes, NDArray[np.bool_]]:
        """(weak, strong, classes, inside): one geometry and the same pasted objects; only the
        strong image changes in light, and has covered rectangles, which are `IGNORE` in the
        classes. `inside` (size, size) says where the picture is."""
        canvas, marks, inside = self._placed(image, classes, rng, paste)
        strong, marks = self._lit(canvas, marks, inside, rng)
        return _within(canvas, inside), strong, marks, inside

    def _placed(
        self,
        image: Image,
        classes: Classes,
        rng: np.random.Generator,
        paste: Cutouts | None = None,
    ) -> tuple[Image, Classes, NDArray[np.bool_]]:
        """(canvas, its classes, where the picture is): geometry and pasted objects."""
        height, width = classes.shape
        # One in five looks anywhere: backgrounds must be seen at every size as well.
        focus = find_focus(classes, rng) if rng.random() < 0.8 else None
        matrix = random_matrix(self.options, rng, height, width, self.size, focus=focus)
        canvas = warp_image(image, matrix, self.size, self.size)
        marks = warp_classes(classes, matrix, self.size, self.size, fill=IGNORE)
        inside = covered(matrix, height, width, self.size)
        if paste is not None and rng.random() < self.options.strength * self.options.copy_paste:
            canvas, marks = paste.paste(canvas, marks, rng)
        marks[~inside] = IGNORE  # pasted ones, and what OpenCV's rounding lets in at the border
        return canvas, marks, inside

    def _lit(
        self, canvas: Image, marks: Classes, inside: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[Image, Classes]:
        if self._photometric is not None:
            # Not `set_random_seed`: it gives one seed to all transforms, which then coincide.
            self._photometric.set_random_state(rng, random.Random(int(rng.integers(2**63))))  # noqa: S311
            canvas = self._photometric(image=canvas)["image"]
        if rng.random() < self.options.strength * self.options.dropout:
            canvas, marks = _dropped(canvas, marks, rng)
            marks[~inside] = IGNORE
        return _within(canvas, inside), marks
