"""Faces drawn over a picture: lines and points of a schema, the finder's box; and heatmaps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.vision.keypoints import Face, Heat
from img2img.vision.metrics import Floats
from img2img.vision.schemas import Schema
from img2img.vision.types import Image

Colour = tuple[int, int, int]

# The seven hues that Okabe, Ito: Color universal design, 2008, keep apart, light enough for skin.
COLOURS: tuple[Colour, ...] = (
    (90, 200, 255), (255, 190, 60), (250, 240, 80), (255, 130, 60), (60, 220, 160),
    (130, 160, 255), (255, 140, 205),
)  # fmt: skip
_WHITE: Colour = (255, 255, 255)
_INK: Colour = (20, 20, 20)
_SHIFT = 4
"""Bits after the point of OpenCV's coordinates."""
_FINE_PX = 900
"""Diagonal of a face on the grid that it is drawn on, at least, as far as `_MOST_FINE` allows."""
_MOST_FINE = 8
_CAPITALS_PX = 21
"""Height of the capitals of OpenCV's font at scale 1."""


def draw_faces(image: Image, faces: Sequence[Face], schema: Schema) -> Image:
    """The picture (H, W, 3) uint8 RGB with each face's lines in a colour a region, its points the
    larger the surer they are, its box, and its score where that is below 1."""
    drawn = image.copy()
    for face in faces:
        if np.isfinite(face.points).any():
            _draw_face(drawn, face, schema)
    return drawn


def draw_heatmaps(image: Image, heats: Sequence[Heat]) -> Image:
    """The picture (H, W, 3) uint8 RGB under the greatest of its faces' maps at every pixel: nothing
    where that is 0, yellow where it is 1."""
    if not heats:
        return image
    share = np.zeros(image.shape[:2], np.float32)
    for heat in heats:
        # One at a time: a photo of 12 megapixels may show many faces.
        np.maximum(share, _laid(heat, image.shape), out=share)
    levels = np.rint(255 * share).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    cover = 0.85 * share[..., None]
    return np.asarray(np.rint(image * (1 - cover) + colours * cover), np.uint8)


def _laid(heat: Heat, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(H, W) of a picture of `shape`."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(heat.values, heat.matrix, shape[1::-1], flags=flags)
    return np.asarray(laid, np.float32)


# ---- a face


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """The part of a picture round a face, each pixel of it `fine` × `fine` ones of `canvas`: there
    a point is round and a line thin even where a face is a few dozen pixels wide. Widths are in
    `unit`s of as many pixels of the canvas: a 500th of the face, and more of a small one."""

    canvas: Image
    left: int
    top: int
    fine: int
    unit: float

    def at(self, point: Floats) -> tuple[int, int]:
        """A point of the picture in OpenCV's fixed point."""
        x, y = ((point - (self.left, self.top) + 0.5) * self.fine - 0.5) * 2**_SHIFT
        return round(float(x)), round(float(y))

    def px(self, units: float) -> int:
        return round(units * self.unit)

    def line(self, one: Floats, two: Floats, colour: Colour, units: float) -> None:
        ends, width = (self.at(one), self.at(two)), max(1, self.px(units))
        cv2.line(self.canvas, *ends, colour, width, cv2.LINE_AA, _SHIFT)

    def disc(self, point: Floats, colour: Colour, units: float) -> None:
        radius = round(units * self.unit * 2**_SHIFT)
        cv2.circle(self.canvas, self.at(point), radius, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _draw_face(drawn: Image, face: Face, schema: Schema) -> None:
    height, width = drawn.shape[:2]
    # Points far outside would overflow OpenCV's fixed point.
    points = np.clip(face.points, (-width, -height), (2 * width, 2 * height))
    face = replace(face, points=points)
    size_px = _diagonal(face, drawn.shape)
    fine = min(max(1, math.ceil(_FINE_PX / size_px)), _MOST_FINE)
    unit_px = max(size_px / 500, math.sqrt(size_px / 500))
    part = _around(face.box, 24 * unit_px, drawn.shape)
    if drawn[part].size == 0:
        return
    # Nearest pixels and their means bring what is not drawn on back as it was.
    canvas = cv2.resize(drawn[part], None, fx=fine, fy=fine, interpolation=cv2.INTER_NEAREST)
    sheet = _Sheet(canvas=np.asarray(canvas, np.uint8), left=part[1].start, top=part[0].start,
                   fine=fine, unit=fine * unit_px)  # fmt: skip
    _draw_box(sheet, face)
    _draw_lines(sheet, points, schema)
    _draw_points(sheet, face, schema)
    _draw_score(sheet, face)
    size = drawn[part].shape[1::-1]
    drawn[part] = cv2.resize(sheet.canvas, size, interpolation=cv2.INTER_AREA)


def _diagonal(face: Face, shape: tuple[int, ...]) -> float:
    """Of the face's box in pixels; a single point stands for a face of a third of the picture."""
    x0, y0, x1, y1 = face.box
    whole = math.hypot(*shape[:2])
    return min(math.hypot(x1 - x0, y1 - y0) or whole / 3, whole)


def _around(box: Floats, margin_px: float, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The rows and columns of the picture within a margin of the box."""
    (left, top), (right, bottom) = box[:2] - margin_px, box[2:] + margin_px
    height, width = shape[:2]
    y0, y1 = np.clip([top, bottom + 1], 0, height).astype(int).tolist()
    x0, x1 = np.clip([left, right + 1], 0, width).astype(int).tolist()
    return slice(y0, y1), slice(x0, x1)


def _colours(schema: Schema) -> dict[str, Colour]:
    """Of the regions and the lines, by their names; they repeat after the seventh."""
    names = dict.fromkeys([*schema.regions, *schema.lines])
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def _draw_lines(sheet: _Sheet, points: Floats, schema: Schema) -> None:
    """A line that lacks an end is left out."""
    colours = _colours(schema)
    edges = [
        (points[i], points[j], colours[name])
        for name, lines in schema.lines.items()
        for line in lines
        for i, j in pairwise(line)
        if np.isfinite(points[[i, j]]).all()
    ]
    for one, two, _ in edges:
        sheet.line(one, two, _INK, 3.0)
    for one, two, colour in edges:
        sheet.line(one, two, colour, 1.2)


def _draw_points(sheet: _Sheet, face: Face, schema: Schema) -> None:
    colours = _colours(schema)
    of_point = {i: colours[name] for name, points in schema.regions.items() for i in points}
    # Few points have more room.
    most = min(max(3.0, 20 / math.sqrt(len(schema))), 8.0)
    for i in np.flatnonzero(np.isfinite(face.points).all(axis=1)).tolist():
        radius = most * (0.4 + 0.6 * float(np.clip(face.confidence[i], 0, 1)))
        sheet.disc(face.points[i], _INK, radius + 1)
        sheet.disc(face.points[i], of_point.get(i, _WHITE), radius)


def _draw_box(sheet: _Sheet, face: Face) -> None:
    (x0, y0), (x1, y1) = face.box[:2], face.box[2:]
    corners = [np.array(corner) for corner in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    for colour, width in ((_INK, 1.6), (_WHITE, 0.7)):
        for one, two in zip(corners, corners[1:] + corners[:1], strict=True):
            sheet.line(one, two, colour, width)


def _draw_score(sheet: _Sheet, face: Face) -> None:
    """Above the box, or in it where there is no room; a score of 1 says nothing."""
    if face.score >= 1:
        return
    scale = 12 * sheet.unit / _CAPITALS_PX
    x, y = (max(0, value >> _SHIFT) for value in sheet.at(face.box[:2]))
    is_above = y > sheet.px(18)
    origin = x + sheet.px(1), y + sheet.px(-6 if is_above else 18)
    for colour, units in ((_INK, 4.0), (_WHITE, 1.5)):
        cv2.putText(sheet.canvas, f"{face.score:.2f}", origin, cv2.FONT_HERSHEY_SIMPLEX, scale,
                    colour, max(1, sheet.px(units)), cv2.LINE_AA)  # fmt: skip
