"""The exactly invertible map between original pixels and network pixels."""

from dataclasses import dataclass, replace
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Where a picture of `height` × `width` pixels lies inside the network's canvas.

    A point (x, y) of the original, pixel centres at integers, lies at
    `((x + 0.5) * scale_x + left - 0.5, (y + 0.5) * scale_y + top - 0.5)` on the canvas.
    """

    height: int
    width: int
    canvas_height: int
    canvas_width: int
    scale_x: float = 1.0
    scale_y: float = 1.0
    left: int = 0
    top: int = 0

    @classmethod
    def whole(cls, height: int, width: int) -> Self:
        """The picture as it is."""
        return cls(height=height, width=width, canvas_height=height, canvas_width=width)

    @classmethod
    def letterbox(cls, height: int, width: int, size: int) -> Self:
        """The picture scaled to fit a square of `size` pixels, centred, its aspect kept to
        within half a pixel (which the separate scales make exact)."""
        inner = cls.scaled(height, width, size / max(height, width))
        left = (size - inner.canvas_width) // 2
        top = (size - inner.canvas_height) // 2
        return replace(inner, canvas_height=size, canvas_width=size, left=left, top=top)

    @classmethod
    def scaled(cls, height: int, width: int, factor: float) -> Self:
        """The picture scaled, to whole pixels, and nothing round it."""
        inner_height = max(1, round(height * factor))
        inner_width = max(1, round(width * factor))
        return cls(
            height=height,
            width=width,
            canvas_height=inner_height,
            canvas_width=inner_width,
            scale_x=inner_width / width,
            scale_y=inner_height / height,
        )

    @property
    def inner(self) -> tuple[int, int]:
        """(height, width) in pixels that the picture covers on the canvas."""
        return round(self.height * self.scale_y), round(self.width * self.scale_x)

    def apply(self, image: Image, *, fill: int = 0, labels: bool = False) -> Image:
        """The canvas (canvas_height, canvas_width, C) with the picture on it.

        `labels` says that values are classes, of which the nearest is taken, never a mean.
        """
        if (self.canvas_height, self.canvas_width) == image.shape[:2] == self.inner:
            return image
        inner = (_nearest if labels else _resize)(image, *self.inner)
        shape = (self.canvas_height, self.canvas_width, *image.shape[2:])
        canvas = np.full(shape, fill, image.dtype)
        height, width = self.inner
        canvas[self.top : self.top + height, self.left : self.left + width] = inner
        return canvas

    def restore_image(self, canvas: NDArray[Any]) -> NDArray[Any]:
        """The picture's own part of `canvas`, at the picture's own size, interpolated.

        Scores of classes are restored with this, before the argmax: their edges are then finer
        than the canvas. Classes themselves need `restore_classes`.
        """
        return _resize(self._inner_of(canvas), self.height, self.width)

    def restore_classes(self, canvas: NDArray[Any]) -> NDArray[Any]:
        """As `restore_image`, for classes and masks: each pixel takes the nearest value."""
        return _nearest(self._inner_of(canvas), self.height, self.width)

    def _inner_of(self, canvas: NDArray[Any]) -> NDArray[Any]:
        height, width = self.inner
        return canvas[self.top : self.top + height, self.left : self.left + width]

    def to_canvas(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(…, 2) points x, y of the original on the canvas."""
        scale, shift = self._affine()
        return (np.asarray(points, np.float64) + 0.5) * scale + shift - 0.5

    def to_original(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(…, 2) points x, y of the canvas in the original."""
        scale, shift = self._affine()
        return (np.asarray(points, np.float64) + 0.5 - shift) / scale - 0.5

    def _affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        scale = np.array([self.scale_x, self.scale_y], np.float64)
        return scale, np.array([self.left, self.top], np.float64)


def _resize(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    if image.shape[:2] == (height, width):
        return image
    shrinks = height < image.shape[0] or width < image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, (width, height), interpolation=how)
    return resized.reshape(height, width, *image.shape[2:])


def _nearest(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """By index, because cv2 resizes neither bool nor int64."""
    rows = (np.arange(height) * 2 + 1) * image.shape[0] // (2 * height)
    columns = (np.arange(width) * 2 + 1) * image.shape[1] // (2 * width)
    nearest: NDArray[Any] = image[rows[:, None], columns]
    return nearest
