"""What a lens does to a picture: Brown's distortion with OpenCV's coefficients, and its inverse.

Points (…, 2) are x and y at depth 1 in the camera's frame. `coefficients` are k1 k2 p1 p2
[k3 [k4 k5 k6 [s1 s2 s3 s4]]]; none leave points where they are.

Sources: Brown: Close-range camera calibration, 1971; OpenCV's documentation of `calib3d`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

N_COEFFICIENTS = (0, 4, 5, 8, 12)
"""How many coefficients there may be."""
_N_NEWTON = 30
_LONGEST_STEP = 0.3
"""Of Newton's method, in units of depth: a longer one would leave the lens's own branch."""
_STEP = 1e-6


def distorted(xy: Floats, coefficients: Sequence[float]) -> Floats:
    """Where the lens puts points. Far outside of the picture the polynomial may turn back: where it
    does, it speaks of no lens, and points are NaN."""
    if not coefficients:
        return xy
    with np.errstate(all="ignore"):
        forward = np.linalg.det(slope(xy, coefficients)) > 0
        return np.where(forward[..., None], _polynomial(xy, coefficients), np.nan)


def undistorted(xy: Floats, coefficients: Sequence[float]) -> Floats:
    """The points that the lens puts at xy, by Newton's method; NaN where there are none."""
    if not coefficients:
        return xy
    found = xy
    with np.errstate(all="ignore"):
        for _ in range(_N_NEWTON):
            miss = _polynomial(found, coefficients) - xy
            step = solved(slope(found, coefficients), miss)
            found = found - step.clip(-_LONGEST_STEP, _LONGEST_STEP)
            if not np.abs(step).max(initial=0) > 1e-12:
                break
        reached = np.abs(distorted(found, coefficients) - xy).max(axis=-1) < 1e-9
    return np.where(reached[..., None], found, np.nan)


def slope(xy: Floats, coefficients: Sequence[float]) -> Floats:
    """(…, 2, 2): how what the lens gives (rows) changes with x and y (columns)."""
    if not coefficients:
        return np.broadcast_to(np.eye(2), (*xy.shape, 2))
    columns = [
        _polynomial(xy + step, coefficients) - _polynomial(xy - step, coefficients)
        for step in _STEP * np.eye(2)
    ]
    return np.stack(columns, axis=-1) / (2 * _STEP)


def solved(matrices: Floats, vectors: Floats) -> Floats:
    """(…, 2): matrices (…, 2, 2) inverted by Cramer's rule, times vectors (…, 2). A singular matrix
    gives what is not finite, and no exception that would stop the other points."""
    (a, b), (c, d) = np.moveaxis(matrices, (-2, -1), (0, 1))
    x, y = vectors[..., 0], vectors[..., 1]
    found: Floats = np.stack([d * x - b * y, a * y - c * x], axis=-1) / (a * d - b * c)[..., None]
    return found


def _polynomial(xy: Floats, coefficients: Sequence[float]) -> Floats:
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = (*coefficients, *[0.0] * 12)[:12]
    x, y = xy[..., 0], xy[..., 1]
    r2 = x**2 + y**2
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    radial = radial / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    aside_x = 2 * p1 * x * y + p2 * (r2 + 2 * x**2) + r2 * (s1 + s2 * r2)
    aside_y = p1 * (r2 + 2 * y**2) + 2 * p2 * x * y + r2 * (s3 + s4 * r2)
    return np.stack([x * radial + aside_x, y * radial + aside_y], axis=-1)
