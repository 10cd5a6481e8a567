"""Measures of pictures, and intervals of any measure, on plain arrays.

`structural_similarity` equals torchmetrics' on the interior (a test holds it). It stands here
because torchmetrics takes 4 s and torch to import, and an evaluation of an ONNX file needs neither.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Summarise = Callable[[Mapping[str, Floats], Floats], dict[str, float]]

PSNR_CAP_DB = 100.0


def psnr_db(squared_error: NDArray[np.floating], peak: float = 255.0) -> float:
    """10 log10(peak² / mean squared error), at most `PSNR_CAP_DB`."""
    mse = float(np.mean(squared_error, dtype=np.float64))
    if mse <= peak**2 * 10 ** (-PSNR_CAP_DB / 10):
        return PSNR_CAP_DB
    return 10 * float(np.log10(peak**2 / mse))


def structural_similarity(a: NDArray[np.floating], b: NDArray[np.floating]) -> Floats:
    """SSIM at every pixel of two planes (H, W) in 0…255, borders reflect-101.

    Source: Wang, Bovik, Sheikh, Simoncelli: Image quality assessment, IEEE TIP 2004; Gaussian
    window 11×11 with σ 1.5, K1 0.01, K2 0.03.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _window(x), _window(y)
    var_x = _window(x * x) - mean_x**2
    var_y = _window(y * y) - mean_y**2
    covariance = _window(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance * (2 * covariance + c2) / (var_x + var_y + c2)


def _window(plane: Floats) -> Floats:
    blurred = cv2.GaussianBlur(plane, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, np.float64)


def frame_mask(shape: tuple[int, ...], frame_px: int) -> NDArray[np.bool_]:
    """Array of `shape` (H, W), true within `frame_px` of the border."""
    height, width = shape
    mask = np.ones((height, width), np.bool_)
    mask[frame_px : height - frame_px, frame_px : width - frame_px] = (
        height <= 2 * frame_px or width <= 2 * frame_px
    )
    return mask


def bootstrap_weights(
    groups: Sequence[str], *, replicates: int = 1000, seed: int = 0
) -> Iterator[Floats]:
    """Weights (N,) of the pictures when whole groups are drawn with replacement, one replicate
    at a time: together they fill a GB for 50,000 pictures."""
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    n = len(names)
    for _ in range(replicates):
        yield rng.multinomial(n, np.full(n, 1 / n))[index].astype(np.float64)


def percentile_intervals(
    rows: Mapping[str, Floats], groups: Sequence[str], summarise: Summarise, *, share: float = 0.95
) -> dict[str, tuple[float, float] | None]:
    """{metric: (low, high)} of the percentile bootstrap over groups; None with one group.

    Source: Efron, Tibshirani: An Introduction to the Bootstrap, 1993, chapter 13.
    """
    draws = [summarise(rows, weights) for weights in bootstrap_weights(groups)]
    single = len(set(groups)) < 2
    tails = [50 * (1 - share), 50 * (1 + share)]
    intervals: dict[str, tuple[float, float] | None] = {}
    for name in draws[0]:
        values = np.array([draw[name] for draw in draws], np.float64)
        values = values[np.isfinite(values)]
        known = not single and values.size > 0
        low, high = np.percentile(values, tails) if known else (0.0, 0.0)
        intervals[name] = (float(low), float(high)) if known else None
    return intervals
