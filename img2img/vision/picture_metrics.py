"""How near a picture comes to another one, as numbers that need no learned network."""

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.vision.metrics import Floats, psnr_db

METRICS = ("psnr", "ssim", "ms_ssim", "mae")

_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_WINDOW_PX, _SIGMA_PX = 11, 1.5
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of MS-SSIM, from the finest scale to the coarsest."""


def row(answer: NDArray[np.generic], target: NDArray[np.generic]) -> dict[str, float]:
    """{metric: value} of `METRICS` for two pictures (H, W, C) in 0…255: PSNR in dB, capped, and
    the mean absolute error in levels, over all channels."""
    a, b = answer.astype(np.float64), target.astype(np.float64)
    error = a - b
    similarity, multiscale = similarities(a, b)
    return {
        "psnr": psnr_db(error**2),
        "ssim": similarity,
        "ms_ssim": multiscale,
        "mae": float(np.abs(error).mean()),
    }


def similarities(a: Floats, b: Floats) -> tuple[float, float]:
    """SSIM and MS-SSIM of two pictures (H, W, C) in 0…255, means of all pixels and channels.

    Of MS-SSIM, scales at which less than a window of 11 pixels would remain are left out, and the
    weights of the others made to sum to 1: 176 pixels have all five, less than 22 just SSIM.

    Source: Wang, Simoncelli, Bovik: Multiscale structural similarity for image quality assessment,
    Asilomar 2003.
    """
    side = min(a.shape[:2])
    kept = [w for scale, w in enumerate(_SCALE_WEIGHTS) if side >> scale >= _WINDOW_PX]
    weights = kept or _SCALE_WEIGHTS[:1]
    product = ssim = 1.0
    for scale, weight in enumerate(weights):
        if scale:
            a, b = _halved(a), _halved(b)
        luminance, structure = similarity_maps(a, b)
        whole = float((luminance * structure).mean())
        if scale == 0:
            ssim = whole
        is_last = scale == len(weights) - 1
        shared = whole if is_last else float(structure.mean())
        product *= max(shared, 0.0) ** (weight / sum(weights))  # no such power of a negative one
    return ssim, product


def similarity_maps(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """What two pictures (H, W, C) in 0…255 share in luminance, and in contrast and structure, at
    every pixel and channel; their product is `metrics.structural_similarity`."""
    mean_a, mean_b = _window(a), _window(b)
    variances = _window(a * a) - mean_a**2 + _window(b * b) - mean_b**2
    covariance = _window(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return luminance, (2 * covariance + _C2) / (variances + _C2)


def _window(picture: Floats) -> Floats:
    size = (_WINDOW_PX, _WINDOW_PX)
    blurred = cv2.GaussianBlur(picture, size, _SIGMA_PX, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, np.float64).reshape(picture.shape)


def _halved(picture: Floats) -> Floats:
    """Means of two by two pixels; a last odd row or column is left out."""
    height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
    even = picture[:height, :width]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
