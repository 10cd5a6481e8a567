"""A pose drawn over its frame: the box of the object, its axes, and the points it was told from."""

from itertools import pairwise

import cv2
import numpy as np

from img2img.vision.camera import Camera
from img2img.vision.metrics import Floats
from img2img.vision.pose import BOX, CORNERS
from img2img.vision.schemas import SHIP8
from img2img.vision.types import Image

_SHIFT = 4
"""Bits after the point of OpenCV's coordinates."""
_FINE_PX = 900
"""Longer side of the grid that is drawn on, at least, as far as `_MOST_FINE` allows."""
_MOST_FINE = 4
_COLOURS = {"bottom": (90, 200, 255), "top": (255, 190, 60), "upright": (235, 235, 235)}
_AXES = ((255, 80, 80), (90, 230, 90), (110, 140, 255))
_INK = (20, 20, 20)


def draw_pose(
    image: Image, points: Floats, confidence: Floats, pose: Floats | None, camera: Camera
) -> Image:
    """The picture (H, W, 3) uint8 RGB with the box and the axes of a pose (4, 4), x red, y green, z
    blue, and the points (8, 2), the larger the surer (8,) they are."""
    height, width = image.shape[:2]
    fine = min(max(1, -(-_FINE_PX // max(height, width))), _MOST_FINE)
    canvas = cv2.resize(image, None, fx=fine, fy=fine, interpolation=cv2.INTER_NEAREST)
    sheet = _Sheet(np.asarray(canvas, np.uint8), fine, max(height, width) * fine / 700)
    if pose is not None:
        sheet.box(camera.project(CORNERS, pose))
        sheet.axes(pose, camera)
    for point, sure in zip(points, confidence, strict=True):
        sheet.disc(point, 1.5 + 3.5 * float(np.clip(sure, 0, 1)))
    drawn = cv2.resize(sheet.canvas, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(drawn, np.uint8)


class _Sheet:
    """A canvas with `fine` × `fine` pixels to one of the picture; widths are in `unit` pixels."""

    def __init__(self, canvas: Image, fine: int, unit: float) -> None:
        self.canvas, self._fine, self._unit = canvas, fine, unit

    def box(self, corners: Floats) -> None:
        for colour_of in (lambda _: _INK, _COLOURS.__getitem__):
            for name, lines in SHIP8.lines.items():
                for line in lines:
                    for i, j in pairwise(line):
                        units = 3.4 if colour_of(name) == _INK else 1.6
                        self.line(corners[i], corners[j], colour_of(name), units)

    def axes(self, pose: Floats, camera: Camera) -> None:
        """From the box's middle, each to the box's side."""
        middle = BOX.mean(axis=0)
        for axis, colour in enumerate(_AXES):
            end = middle.copy()
            end[axis] = BOX[1, axis] * 1.1
            ends = camera.project(np.stack([middle, end]), pose)
            self.line(ends[0], ends[1], colour, 2.2)

    def line(self, one: Floats, two: Floats, colour: tuple[int, int, int], units: float) -> None:
        if np.isfinite([one, two]).all():
            width = max(1, round(units * self._unit))
            cv2.line(self.canvas, self._at(one), self._at(two), colour, width, cv2.LINE_AA, _SHIFT)

    def disc(self, point: Floats, units: float) -> None:
        if not np.isfinite(point).all():
            return
        for colour, radius in ((_INK, units + 1), ((255, 255, 255), units)):
            size = round(radius * self._unit * 2**_SHIFT)
            cv2.circle(self.canvas, self._at(point), size, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)

    def _at(self, point: Floats) -> tuple[int, int]:
        """In OpenCV's fixed point, which points far outside would overflow."""
        x, y = np.clip((point + 0.5) * self._fine - 0.5, -20_000, 20_000) * 2**_SHIFT
        return round(float(x)), round(float(y))
