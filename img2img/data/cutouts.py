"""Objects cut out of labelled pictures, to be pasted into others.

Source: Ghiasi et al.: Simple copy-paste is a strong data augmentation method, CVPR 2021
(arXiv:2012.07177).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.augment import AugmentOptions, random_linear, warp_classes
from img2img.data.sample import Dataset, Image, Record
from img2img.data.view import View
from img2img.data.warp import Matrix, warp_image
from img2img.vision.classes import IGNORE, Classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutout:
    """An object: `pixels` (h, w, 4) uint8 RGBA, `classes` (h, w) with 0 around it, and `light`,
    (3,) the mean colour of its picture."""

    pixels: Image
    classes: Classes
    light: NDArray[np.float64]


class Cutouts:
    """Objects of a labelled data set, to be pasted into other pictures.

    Objects that touch each other, such as an egg in a pan, stay together.

    Args:
        dataset: samples with `labels["classes"]`; others are passed over.
        most: objects kept, in equal parts for every class that is the main one of an object; at
            least one a class.
        n_pictures: labelled pictures looked at, from as many groups as there are. The first
            training step waits until they are read.
    """

    LONGEST_PX = 320
    SMALLEST_SHARE = 5e-4

    def __init__(self, dataset: Dataset, *, most: int = 100, n_pictures: int = 60) -> None:
        found: dict[int, list[Cutout]] = defaultdict(list)
        for image, classes in islice(_labelled(dataset, at_most=4 * n_pictures), n_pictures):
            for cutout in _cut_out(image, classes):
                main = int(np.bincount(cutout.classes.ravel())[1:].argmax()) + 1
                if len(found[main]) < most:
                    found[main].append(cutout)
        quota = max(1, most // max(1, len(found)))
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


def _labelled(dataset: Dataset, *, at_most: int) -> Iterator[tuple[Image, Classes]]:
    """(image, classes) of samples of which any pixel has a label, among the first `at_most`."""
    for index in _by_turns(dataset.records)[:at_most]:
        sample = dataset[index]
        classes = sample.labels.get("classes")
        if classes is not None and (classes != IGNORE).any():
            yield sample.image, classes.astype(np.uint8, copy=False)


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
    linear = zoom * random_linear(options, rng)
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
