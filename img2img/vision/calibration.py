"""What a confidence is worth: log odds brought in line with how often it was right."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_N_STEPS = 50
_RIDGE = 1e-3
"""Of the number of samples: draws the slope to 1 where confidences do not differ."""


def log_odds(confidence: Floats) -> Floats:
    """(N,) of confidences in 0…1, those at the ends drawn in by a thousandth."""
    safe = confidence.clip(1e-3, 1 - 1e-3)
    return np.asarray(np.log(safe / (1 - safe)))


def fit_calibration(confidence: Floats, hit: NDArray[np.bool_]) -> tuple[float, float]:
    """(offset, slope) of log odds after which confidences (N,) are shares of hits (N,).

    Source: Platt: Probabilistic Outputs for Support Vector Machines, 1999, with his targets that
    keep shares off 0 and 1; by Newton's method.
    """
    n_hit, n = float(hit.sum()), len(hit)
    target = np.where(hit, (n_hit + 1) / (n_hit + 2), 1 / (n - n_hit + 2))
    terms = np.stack([np.ones(n), log_odds(confidence)], axis=1)
    identity = np.array([0.0, 1.0])
    ridge = _RIDGE * n * np.diag([0.0, 1.0])

    def cost(weights: Floats) -> float:
        odds, off = terms @ weights, weights - identity
        return float((np.logaddexp(0, odds) - target * odds).sum() + off @ ridge @ off / 2)

    weights = identity
    for _ in range(_N_STEPS):
        share = 1 / (1 + np.exp(-terms @ weights))
        slope = terms.T @ (share - target) + ridge @ (weights - identity)
        bend = (terms * (share * (1 - share))[:, None]).T @ terms + ridge + 1e-9 * np.eye(2)
        step = np.linalg.solve(bend, slope)
        while np.abs(step).max() > 1e-8 and not cost(weights - step) < cost(weights):
            step = step / 2  # a whole step may overshoot far from the minimum
        weights = weights - step
        if np.abs(step).max() <= 1e-8:
            break
    return round(float(weights[0]), 5), round(float(weights[1]), 5)


def calibrated(confidence: NDArray[np.floating[Any]], calibration: tuple[float, ...]) -> Floats:
    """(N,) confidences after `fit_calibration`; as they are without one."""
    values = np.clip(np.asarray(confidence, np.float64), 0.0, 1.0)
    if not calibration:
        return values
    offset, slope = calibration
    return np.asarray(1 / (1 + np.exp(-(offset + slope * log_odds(values)))))
