"""A square cut out of a picture and turned upright: what a network of faces looks at."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Image
from img2img.data.warp import Matrix, warp_image
from img2img.vision.schemas import Schema

FILL = 0.68
"""Share of a crop's side that the longer side of the box round the points takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """A square of a picture: its centre (`x`, `y`) and `side` in pixels of the picture, pixel
    centres at integers, and how far it is turned, clockwise as the picture is seen."""

    x: float
    y: float
    side: float
    angle_rad: float = 0.0

    @classmethod
    def whole(cls, height: int, width: int) -> Self:
        """The picture as it is, in the middle of the smallest square round it."""
        return cls(x=(width - 1) / 2, y=(height - 1) / 2, side=max(height, width))

    @classmethod
    def of_box(cls, box: NDArray[np.floating[Any]], angle_rad: float = 0.0) -> Self:
        """Round a box (4,) x0, y0, x1, y1 about the points of a face."""
        x0, y0, x1, y1 = (float(edge) for edge in box)
        side = max(x1 - x0, y1 - y0, 1.0) / FILL
        return cls(x=(x0 + x1) / 2, y=(y0 + y1) / 2, side=side, angle_rad=angle_rad)

    @classmethod
    def of_points(cls, points: NDArray[np.floating[Any]], schema: Schema) -> Self | None:
        """Upright round points (P, 2), as far as they are not missing; None where fewer than two
        are known. What is upright, the pairs of left and right points say together."""
        seen = points[np.isfinite(points).all(axis=1)]
        if len(seen) < 2:
            return None
        angle = upright_angle(points, schema)
        cos, sin = math.cos(angle), math.sin(angle)
        turn = np.array([[cos, -sin], [sin, cos]])  # of the crop's axes to the picture's
        laid = seen @ turn
        x, y = turn @ ((laid.min(axis=0) + laid.max(axis=0)) / 2)
        side = float(np.ptp(laid, axis=0).max()) / FILL
        return cls(x=float(x), y=float(y), side=max(side, 1.0), angle_rad=angle)

    def matrix(self, size: int) -> Matrix:
        """(2, 3): points of the picture to those of a canvas of `size` × `size` pixels."""
        factor = size / self.side
        cos, sin = factor * math.cos(self.angle_rad), factor * math.sin(self.angle_rad)
        middle = (size - 1) / 2
        return np.array([
            [cos, sin, middle - cos * self.x - sin * self.y],
            [-sin, cos, middle + sin * self.x - cos * self.y],
        ])  # fmt: skip

    def apply(self, image: Image, size: int) -> Image:
        """(size, size, 3) of a picture (H, W, 3); black where it ends."""
        matrix = self.matrix(size)
        height, width = image.shape[:2]
        reach = self.side * (abs(math.cos(self.angle_rad)) + abs(math.sin(self.angle_rad))) / 2 + 4
        left, right = (_within(self.x + way * reach, width) for way in (-1, 1))
        top, bottom = (_within(self.y + way * reach, height) for way in (-1, 1))
        if right <= left or bottom <= top:
            return np.zeros((size, size, image.shape[2]), np.uint8)
        # Only the part that is seen is halved: a face in a large photo stays cheap.
        shift = np.array([[1.0, 0.0, left], [0.0, 1.0, top], [0.0, 0.0, 1.0]])
        return warp_image(image[top:bottom, left:right], matrix @ shift, size, size)

    def to_canvas(self, points: NDArray[np.floating[Any]], size: int) -> NDArray[np.float64]:
        """(…, 2) points of the picture on the canvas."""
        matrix = self.matrix(size)
        return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]

    def to_picture(self, points: NDArray[np.floating[Any]], size: int) -> NDArray[np.float64]:
        """(…, 2) points of the canvas in the picture."""
        matrix = self.matrix(size)
        back = np.linalg.inv(matrix[:, :2])
        return (np.asarray(points, np.float64) - matrix[:, 2]) @ back.T

    def moved(self, *, shift: tuple[float, float], scale: float, angle_rad: float) -> "Crop":
        """The crop shifted by shares of its side, along its own axes, scaled and turned."""
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        dx, dy = shift[0] * self.side, shift[1] * self.side
        return Crop(
            x=self.x + cos * dx - sin * dy,
            y=self.y + sin * dx + cos * dy,
            side=self.side * scale,
            angle_rad=self.angle_rad + angle_rad,
        )


def upright_angle(points: NDArray[np.floating[Any]], schema: Schema) -> float:
    """How far a face is turned, clockwise as seen, in radians: the direction from its right points
    to its left ones; 0 where no pair is known."""
    across = np.zeros(2)
    for right, left in schema.pairs:
        way = points[left] - points[right]
        if np.isfinite(way).all():
            across += way
    return float(math.atan2(across[1], across[0])) if across.any() else 0.0


def _within(place: float, length: int) -> int:
    return min(max(round(place), 0), length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Where a face may be: the crop that shows it upright, and how sure that is, in 0…1."""

    crop: Crop
    score: float
