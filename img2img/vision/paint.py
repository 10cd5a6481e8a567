"""Classes painted over a picture: tints, outlines and a legend."""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.vision.classes import IGNORE, Classes
from img2img.vision.types import Image

# Okabe, Ito: Color universal design, 2008: told apart by every kind of colour vision.
COLOURS = np.array(
    [(0, 0, 0), (230, 159, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (213, 94, 0),
     (86, 180, 233), (240, 228, 66)], np.uint8,
)  # fmt: skip
_SHARE = 0.45
"""How much of a tint covers the picture."""


def class_colour(index: int) -> NDArray[np.uint8]:
    """(3,) RGB of a class; they repeat after the seventh, the background has none."""
    colour: NDArray[np.uint8] = COLOURS[(index - 1) % (len(COLOURS) - 1) + 1]
    return colour


def tinted(image: Image, classes: Classes) -> Image:
    """(H, W, 3): every class but the background tinted and outlined; ignored pixels go grey."""
    painted = image.copy()
    width = max(1, round(max(image.shape[:2]) / 300))
    for index in np.unique(classes).tolist():
        if index == 0:
            continue
        where = classes == index
        colour = np.full(3, 128, np.uint8) if index == IGNORE else class_colour(index)
        painted[where] = (painted[where] * (1 - _SHARE) + colour * _SHARE).astype(np.uint8)
        if index != IGNORE:
            outlines, _ = cv2.findContours(
                where.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
            )
            cv2.drawContours(painted, outlines, -1, colour.tolist(), width)
    return painted


def legend(image: Image, names: Mapping[str, int]) -> Image:
    """The picture with a box of {name: class index} in its lower left corner; as it is where
    there is nothing to name or no room for it."""
    unit = max(8, round(min(image.shape[:2]) / 28))
    scale = unit / 22
    # OpenCV's font has ASCII only.
    texts = [name.encode("ascii", "replace").decode() for name in names]
    sizes = [cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0] for text in texts]
    if not names:
        return image
    width = max(size[0] for size in sizes) + 3 * unit
    height = round(1.5 * unit * len(names)) + unit // 2
    if width > image.shape[1] or height > image.shape[0]:
        return image
    drawn = image.copy()
    top = image.shape[0] - height
    drawn[top:, :width] //= 4
    for row, (text, index) in enumerate(zip(texts, names.values(), strict=True)):
        y = top + unit // 2 + round(1.5 * unit * row)
        colour = class_colour(index).tolist()
        cv2.rectangle(drawn, (unit // 2, y), (unit // 2 + unit, y + unit), colour, -1)
        cv2.putText(drawn, text, (2 * unit, y + unit - unit // 6), cv2.FONT_HERSHEY_SIMPLEX, scale,
                    (255, 255, 255), max(1, unit // 12), cv2.LINE_AA)  # fmt: skip
    return drawn
