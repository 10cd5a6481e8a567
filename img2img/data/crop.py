"""A square cut out of a picture and turned upright: what a network of faces looks at."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Image
from img2img.data.warp import Matrix, warp_image
from img2img.errors import UsageError
from img2img.vision.schemas import IBUG68, IMM58, KAGGLE15, Schema

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


def fitted(crop: Crop, *, of: Schema, to: Schema) -> Crop:
    """The crop of a face for the points of schema `to`, where `crop` is that for the points of
    another: points that reach less far have a smaller crop.

    Known are the built-in schemas and those with rules for their points from ibug68 or kaggle15,
    by a mean face. A single point has no crop of its own, but that of the box that the labels
    have: it takes the crop as it is.

    Raises:
        UsageError: the schemas differ, and nothing says how large the one's faces are beside the
            other's.
    """
    if 1 in (len(of), len(to)) or (of.points, of.pairs) == (to.points, to.pairs):
        return crop
    old, new = _mean_crop(of), _mean_crop(to)
    if old is None or new is None:
        raise UsageError(
            f"how large a face of {to.name} is beside those of {of.name}, which the finder "
            "proposes, is not known: give --finder weights that `img2img train faces` learned from "
            f"points of {to.name}, or say where the face is, --face-box or --whole-image."
        )
    shift = (new.x - old.x) / old.side, (new.y - old.y) / old.side
    return crop.moved(shift=shift, scale=new.side / old.side, angle_rad=0.0)


def _mean_crop(schema: Schema) -> Crop | None:
    """The crop of a mean face that is the same for all schemas."""
    # By way of kaggle15, the crops of 180 faces of imm58 and 4,293 of ibug68 differ by below 1 %.
    schema = IBUG68 if schema == IMM58 else schema
    points = _mean_points(schema)
    return None if points is None else Crop.of_points(points, schema)


def _mean_points(schema: Schema) -> NDArray[np.floating[Any]] | None:
    """(P, 2) on the mean face, None where nothing says where they are."""
    if schema == IBUG68:
        return np.array(_MEAN_FACE, np.float64)
    for source in (IBUG68, KAGGLE15):
        if source.name in schema.sources:
            points = _mean_points(source)
            return None if points is None else schema.derived(points, source)
    return None


_MEAN_FACE = (
    (169, 302), (173, 388), (188, 469), (206, 548), (236, 632), (285, 704), (340, 754), (410, 798),
    (510, 821), (608, 795), (675, 752), (727, 702), (774, 633), (801, 548), (816, 470), (828, 389),
    (830, 302), (248, 222), (288, 195), (338, 187), (384, 193), (427, 207), (580, 206), (621, 194),
    (667, 189), (717, 197), (755, 222), (505, 296), (506, 356), (508, 412), (509, 462), (451, 496),
    (476, 504), (507, 511), (538, 503), (562, 495), (312, 291), (343, 279), (383, 278), (418, 297),
    (385, 308), (343, 308), (589, 297), (625, 279), (665, 279), (696, 292), (665, 308), (624, 309),
    (389, 604), (430, 581), (480, 567), (507, 573), (534, 568), (582, 581), (619, 604), (580, 641),
    (545, 660), (508, 664), (470, 661), (431, 641), (399, 604), (473, 597), (506, 597), (540, 597),
    (609, 604), (539, 619), (507, 623), (473, 620),
)  # fmt: skip
"""x and y of ibug68 in thousandths of the crop's side: the `mean_face` that the training of the
shipped keypoints put into their card."""


def _within(place: float, length: int) -> int:
    return min(max(round(place), 0), length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Where a face may be: the crop that shows it upright, and how sure that is, in 0…1."""

    crop: Crop
    score: float
