"""The first layer of a network as a picture: what it looks for."""

import numpy as np
from numpy.typing import NDArray

from img2img.vision.types import Image

_PIXEL = 12
"""Pixels of the picture to a weight, on each side."""
_GAP = 6


def filter_sheet(weights: NDArray[np.floating]) -> Image:
    """(H, W, 3) uint8: filters (N, 3, k, k) of a first convolution as a square sheet of tiles.

    Red, green and blue are the weights on these; grey is 0, and each filter is scaled by its own
    greatest weight.
    """
    n, _, height, width = weights.shape
    greatest = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    levels = 127.5 + 127.5 * weights / np.maximum(greatest, 1e-12)
    tiles = np.rint(levels).astype(np.uint8).transpose(0, 2, 3, 1)
    tiles = tiles.repeat(_PIXEL, axis=1).repeat(_PIXEL, axis=2)
    columns = int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    step_y, step_x = height * _PIXEL + _GAP, width * _PIXEL + _GAP
    sheet = np.full((rows * step_y + _GAP, columns * step_x + _GAP, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        y, x = _GAP + index // columns * step_y, _GAP + index % columns * step_x
        sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return sheet
