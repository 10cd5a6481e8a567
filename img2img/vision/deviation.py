"""How far points are off, told from how wide their heatmaps are.

A heatmap's width is no error: networks learn it. On validation samples it is brought in line with
the errors that were seen there.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_FREEDOM = 4.0
"""Degrees of freedom of the errors' distribution: corners that are mixed up must not count."""
_MEDIAN_3 = 2.366
"""Of the squared length of a vector of three standard normal numbers."""


def fit_deviation(errors: Floats, widths: Floats) -> tuple[float, float]:
    """(least, factor): errors (N, 2) have the deviation √(least² + (factor · width)²) on each axis,
    where a heatmap's own deviation is `widths` (N,), all in the same unit.

    The most likely pair of a grid, the errors taken for Student's: Lange, Little, Taylor: Robust
    statistical modeling using the t distribution, JASA 1989.
    """
    squares = np.square(errors).sum(axis=1)
    scale = np.sqrt(np.median(squares) + 1e-12)
    steps = np.geomspace(0.05, 4, 24)
    best, least_cost = (float(scale), 1.0), np.inf
    for least in steps * scale:
        for factor in (0.0, *(steps * scale / np.median(widths))):
            variance = least**2 + np.square(factor * widths)
            tail = np.log1p(squares / (_FREEDOM * variance))
            cost = float((np.log(variance) + (_FREEDOM / 2 + 1) * tail).mean())
            if cost < least_cost:
                best, least_cost = (float(least), float(factor)), cost
    return best


def expected_covariance(covariance: Floats, deviation: tuple[float, ...]) -> Floats:
    """(P, 2, 2) of the error that is expected, of a heatmap's own (P, 2, 2); as it is before
    `fit_deviation`."""
    if not deviation:
        return covariance
    least, factor = deviation[:2]
    return np.asarray(least**2 * np.eye(2) + factor**2 * covariance)


def rotation_scale(errors_deg: Floats, stated_deg: Floats) -> float:
    """The factor on stated deviations (N,) of rotations after which half of the errors (N,) are as
    small as half of normal ones are."""
    ratios = np.square(errors_deg / stated_deg)
    return float(np.sqrt(np.median(ratios) / (_MEDIAN_3 / 3)))
