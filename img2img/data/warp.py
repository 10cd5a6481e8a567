"""Pictures laid on a canvas by a matrix: turned, scaled and shifted in one step."""

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Image

Matrix = NDArray[np.float64]
"""(2, 3): (x, y, 1) of the original to (x, y) of the canvas."""


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
