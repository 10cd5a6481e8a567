"""Turned squares with scores drawn over a picture."""

import cv2
import numpy as np

from img2img.vision.metrics import Floats
from img2img.vision.types import Image

_SHIFT = 4
"""Bits after the point of OpenCV's coordinates."""
_LINE, _INK = (60, 220, 160), (20, 20, 20)


def draw_squares(image: Image, corners: Floats, scores: Floats) -> Image:
    """A copy of the picture (H, W, 3) uint8 RGB with squares, corners (N, 4, 2) in pixels in the
    order upper left, upper right, lower right, lower left as the face sees it; the line from the
    centre shows where the top is, the number how sure (N,) each is."""
    drawn = image.copy()
    unit = max(1, round(max(image.shape[:2]) / 400))
    for square, score in zip(np.clip(corners, -30_000, 30_000), scores.tolist(), strict=True):
        middle, top = square.mean(axis=0), square[:2].mean(axis=0)
        for colour, width in ((_INK, 3 * unit), (_LINE, unit)):
            cv2.polylines(drawn, [_fixed(square)], True, colour, width, cv2.LINE_AA, _SHIFT)
            cv2.polylines(drawn, [_fixed(np.array([middle, top]))], False, colour, width,
                          cv2.LINE_AA, _SHIFT)  # fmt: skip
        at = np.rint(square.min(axis=0) - [0, 4 * unit]).astype(int)
        origin = int(max(at[0], 0)), int(max(at[1], 12 * unit))
        for colour, width in ((_INK, 3 * unit), (_LINE, unit)):
            cv2.putText(drawn, f"{score:.2f}", origin, cv2.FONT_HERSHEY_SIMPLEX, 0.4 * unit, colour,
                        width, cv2.LINE_AA)  # fmt: skip
    return drawn


def _fixed(points: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.asarray(np.rint(points * 2**_SHIFT), np.int32)
