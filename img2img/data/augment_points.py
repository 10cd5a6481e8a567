"""Random views of a face with points: one warp that the points follow, then light and occlusion."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.config import option
from img2img.data.crop import Crop
from img2img.data.light import Light, LightOptions
from img2img.data.sample import Image
from img2img.vision.schemas import Schema

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PointAugmentOptions(LightOptions):
    """How training samples with points vary."""

    rotation_deg: float = option(14.0, "Deviation of turns.", unit="degrees", low=0.0, high=180.0)
    scale: float = option(0.12, "Deviation of the scale's logarithm.", low=0.0, high=1.0)
    shift: float = option(0.05, "Deviation of shifts, as a share of the side.", low=0.0, high=1.0)
    aspect: float = option(0.05, "Deviation of the logarithm of width : height.", low=0.0, high=1.0)
    perspective: float = option(
        0.03, "Deviation of the corners' shifts, as a share of the side.", low=0.0, high=0.2
    )
    flip: bool = option(
        True, "Mirror half of the samples, left and right points changing places; not where a "
        "schema names no pairs.",
    )  # fmt: skip
    occlusion: float = option(0.3, "Share of samples that are partly covered.", low=0.0, high=1.0)


class PointAugmenter:
    """Random pictures (size, size, 3) of crops of a picture, with their points: functions of the
    arguments and the generator alone. A point that is covered, or outside, stays where it is."""

    def __init__(self, options: PointAugmentOptions, schema: Schema, *, size: int) -> None:
        self.options = options
        self.size = size
        self._order = schema.flip_order
        self._flips = options.flip and schema.can_flip
        self._light = Light(options, size=size)

    def __call__(
        self, image: Image, points: Floats, crop: Crop, rng: np.random.Generator
    ) -> tuple[Image, Floats]:
        """(size, size, 3) uint8 and points (P, 2) on it, of a picture (H, W, 3) with points (P, 2)
        and the crop that shows the face upright."""
        options = self.options
        k = options.strength
        turn, zoom, across, down = rng.normal(size=4).clip(-2.5, 2.5) * k
        crop = crop.moved(
            shift=(options.shift * across, options.shift * down),
            scale=float(np.exp(options.scale * zoom)),
            angle_rad=float(np.deg2rad(options.rotation_deg) * turn),
        )
        flips = self._flips and bool(rng.random() < 0.5 * k)
        matrix = self._bent(rng) @ np.vstack([crop.matrix(self.size), [0, 0, 1]])
        if flips:
            matrix = np.array([[-1.0, 0, self.size - 1], [0, 1, 0], [0, 0, 1]]) @ matrix
        canvas = warp_perspective(image, matrix, self.size)
        moved = projected(points, matrix)
        moved = moved[self._order] if flips else moved
        canvas = self._light(canvas, rng)
        if rng.random() < k * options.occlusion:
            canvas = covered_up(canvas, rng)
        return canvas, moved

    def _bent(self, rng: np.random.Generator) -> Floats:
        """(3, 3) of the canvas to itself: aspect, and corners that move."""
        options, side = self.options, self.size
        wide = np.exp(options.aspect * options.strength * rng.normal() / 2)
        middle = (side - 1) / 2
        corners = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]]) * side / 2
        shift = rng.normal(size=(4, 2)).clip(-2.5, 2.5) * options.perspective * side
        goal = corners * [wide, 1 / wide] + options.strength * shift
        matrix = cv2.getPerspectiveTransform(
            (corners + middle).astype(np.float32), (goal + middle).astype(np.float32)
        )
        return np.asarray(matrix, np.float64)


def warp_perspective(image: Image, matrix: Floats, side: int) -> Image:
    """(side, side, 3): a picture laid on a canvas by a homography (3, 3), black where it ends;
    blurred before it is made much smaller."""
    scale = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    while scale < 0.6 and min(image.shape[:2]) >= 8:
        height, width = image.shape[:2]
        image = np.asarray(
            cv2.resize(image[: height // 2 * 2, : width // 2 * 2], (width // 2, height // 2),
                       interpolation=cv2.INTER_AREA)
        )  # fmt: skip
        matrix = matrix @ np.array([[2.0, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
        scale *= 2
    return np.asarray(cv2.warpPerspective(image, matrix, (side, side), flags=cv2.INTER_LINEAR))


def projected(points: Floats, matrix: Floats) -> Floats:
    """(P, 2) where a homography (3, 3) brings points (P, 2)."""
    laid = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    moved: Floats = laid[:, :2] / laid[:, 2:]
    return moved


def covered_up(image: Image, rng: np.random.Generator) -> Image:
    """A copy with one or two bars or discs of a colour, or of noise, over it."""
    image = image.copy()
    side = image.shape[0]
    for _ in range(int(rng.integers(1, 3))):
        mask = np.zeros((side, side), np.uint8)
        centre = rng.uniform(0, side, 2).astype(int).tolist()
        axes = (side * rng.uniform(0.04, 0.22, 2)).astype(int).clip(1).tolist()
        if rng.random() < 0.5:
            cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        else:
            box = cv2.boxPoints((centre, [2 * a for a in axes], float(rng.uniform(0, 180))))
            cv2.fillPoly(mask, [box.astype(np.int32)], 1)
        there = mask > 0
        paint = rng.integers(0, 256, 3)
        noise = rng.normal(0, rng.choice([0.0, 30.0]), (int(there.sum()), 3))
        image[there] = np.clip(paint + noise, 0, 255).astype(np.uint8)
    return image
