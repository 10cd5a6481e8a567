"""Points in no order, put in that of a shape model."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from img2img.errors import DataError
from img2img.vision.assignment import assignment
from img2img.vision.shape_model import ShapeFit, ShapeModel

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]
"""Points as numbers x + iy: a similarity is a product and a sum."""

_ANGLES_RAD = np.deg2rad(np.arange(-60, 61, 30))
_SCALES = np.array([0.8, 1.0, 1.25])
_BENT = 1.5
"""Deviations of the first two components by which the mean shape is bent for a start: of faces,
turning and nodding."""
_N_SOFT, _N_HARD, _N_MATCHINGS = 24, 8, 12
_SAME = 0.05
"""In the shape's radius: two starts this near each other are one."""
_N_IN_VAIN = 3
"""Starts after the best one before it is taken for the best of all: points that are no shape at all
cost as much from any start."""
_TEMPERATURES = (0.4, 0.2, 0.1, 0.05)
"""How far, in the shape's radius, a point may be from its partner while a pose is sought."""
_NO_PARTNER = np.exp(-2.0)
"""The share of a partner two temperatures away: of none."""
_FAR = 0.3
"""In the shape's radius: a partner farther away than this is none."""
_NOISE = 0.01
"""Deviation of the points' own error, in the shape's radius."""
_GOOD = 1.5e-3
"""Cost, beside that of points that must stay without partner, below which no other start is tried;
of faces 0.0004 is usual."""


class Ordered(NamedTuple):
    """Which of M unordered points is which of a shape's P.

    `partner` (P,) are indices into the unordered points, -1 where a point has none; `fit`, the
    shape laid over them; `cost`, the mean squared distance in squares of the shape's radius, and a
    little for an unlikely shape.
    """

    partner: NDArray[np.intp]
    fit: ShapeFit
    cost: float


def order(points: NDArray[np.floating[Any]], model: ShapeModel) -> Ordered:
    """Puts points (M, 2), too few or too many as they may be, in the order of a shape model.

    Starts are the mean shape, straight or bent, at angles of up to 60° and several sizes. The most
    promising are brought nearer by soft matching that grows harder, then refined by assignment and
    fit in turns, until no more is won, and once more from the best; the fit is stiff at first.

    Source: Gold, Rangarajan, Lu, Pappu, Mjolsness: New algorithms for 2D and 3D point matching,
    Pattern Recognition 1998.

    Raises:
        DataError: there are no points.
    """
    if len(points) == 0:
        raise DataError("no points were found that could be put in order.")
    z = _numbers(np.asarray(points, np.float64))
    laid = _softly_matched(z, _starts(z, model))
    n_left = max(0, len(model.mean) - len(points))
    good = _GOOD + _FAR**2 * n_left / len(model.mean)
    likely = _distinct(laid[_misfit(laid, z).argsort()])[:_N_HARD]
    tries = (_matched(points, _points(one), model, far) for one in likely for far in (_FAR, np.inf))
    best, n_in_vain = next(tries), 0
    while best.cost > good and n_in_vain < _N_IN_VAIN and (other := next(tries, None)) is not None:
        n_in_vain = 0 if other.cost < best.cost else n_in_vain + 1
        best = min(best, other, key=_cost)
    if best.cost <= good:
        return best
    again = (_matched(points, best.fit.points, model, far) for far in (_FAR, np.inf))
    return min((best, *again), key=_cost)


def _cost(ordered: Ordered) -> float:
    return ordered.cost


def _starts(z: Complex, model: ShapeModel) -> Complex:
    """(G, P) shapes about the middle of z (M,), about as large."""
    n_bent = min(2, len(model.variances))
    bends = np.zeros((1 + 2 * n_bent, len(model.variances)))
    for k in range(n_bent):
        bends[[1 + 2 * k, 2 + 2 * k], k] = _BENT * np.sqrt(model.variances[k]) * np.array([-1, 1])
    shapes = _numbers(model.shape(bends))
    shapes = shapes - shapes.mean(axis=1, keepdims=True)
    size = max(float(_radius(z - z.mean())), 1e-6)
    poses = (_SCALES[:, None] * np.exp(1j * _ANGLES_RAD)).ravel() * size
    laid = (shapes / _radius(shapes)[:, None])[:, None] * poses[:, None]
    return np.asarray(laid.reshape(-1, shapes.shape[1]) + z.mean())


def _softly_matched(z: Complex, laid: Complex) -> Complex:
    """The most promising of shapes (G, P), brought nearer to points z (M,)."""
    laid = laid[_misfit(laid, z).argsort()[:_N_SOFT]]
    for temperature in np.repeat(_TEMPERATURES, 3):
        reach = _radius(laid - laid.mean(axis=1, keepdims=True)) * temperature
        share = np.exp(-np.square(np.abs(laid[:, :, None] - z) / reach[:, None, None]) / 2)
        for _ in range(3):
            share = share / (share.sum(axis=2, keepdims=True) + _NO_PARTNER)
            share = share / (share.sum(axis=1, keepdims=True) + _NO_PARTNER)
        laid = _aligned(laid, share @ z, share.sum(axis=2))
    return laid


def _aligned(laid: Complex, sums: Complex, weights: Floats) -> Complex:
    """Shapes (G, P), each by a similarity nearest to sums / weights (G, P), in squares weighted by
    weights. One that would shrink by more than two thirds, for lack of partners, keeps its size."""
    total = np.maximum(weights.sum(axis=1), 1e-9)
    middle = (weights * laid).sum(axis=1) / total
    centre = sums.sum(axis=1) / total
    away = laid - middle[:, None]
    size = (weights * np.square(np.abs(away))).sum(axis=1)
    factor = (sums * away.conj()).sum(axis=1) / np.maximum(size, 1e-9)
    factor = np.where(np.abs(factor) > 1 / 3, factor, 1)
    return np.asarray(away * factor[:, None] + centre[:, None])


def _distinct(laid: Complex) -> Complex:
    """Shapes (G, P) without those that an earlier one already is."""
    reach = _SAME * _radius(laid - laid.mean(axis=1, keepdims=True))
    kept: list[int] = []
    for index, one in enumerate(laid):
        if (_radius(laid[kept] - one) > reach[kept]).all():
            kept.append(index)
    return laid[kept]


def _misfit(laid: Complex, z: Complex) -> Floats:
    """(G,): how far, in its radius, the points of a shape (G, P) and points z (M,) are from the
    nearest of the others."""
    gap = np.abs(laid[:, :, None] - z)
    far = _FAR * _radius(laid - laid.mean(axis=1, keepdims=True))
    there, back = (np.minimum(gap.min(axis=axis), far[:, None]).mean(axis=1) for axis in (1, 2))
    return np.asarray((there + back) / far)


def _matched(
    points: NDArray[np.floating[Any]], laid: Floats, model: ShapeModel, far: float
) -> Ordered:
    """Assignment and fit in turns, from a shape laid over the points, until nothing changes."""
    partner = np.full(len(laid), -2)
    softness = 0.5
    for _ in range(_N_MATCHINGS):
        radius = max(float(_radius(_numbers(laid - laid.mean(axis=0)))), 1e-6)
        gap = np.abs(_numbers(laid)[:, None] - _numbers(points)) / radius
        rows, columns = assignment(np.square(np.minimum(gap, far)))
        keep = gap[rows, columns] < far
        # A pose needs two.
        keep = keep if keep.sum() >= 2 else np.ones_like(keep)
        before, partner = partner, np.full(len(laid), -1)
        partner[rows[keep]] = columns[keep]
        if (partner == before).all() and softness <= _NOISE:
            break
        softness = max(_NOISE, softness / 2.5)
        target = np.where((partner >= 0)[:, None], points[partner], np.nan)
        fit = model.fit(target, noise_px=radius * softness)
        laid = fit.points
    missed = np.minimum(gap[rows[keep], columns[keep]], _FAR)
    unlikely = np.square(fit.coefficients / np.sqrt(np.maximum(model.variances, 1e-12))).sum()
    cost = np.square(missed).sum() + _FAR**2 * (partner < 0).sum() + _NOISE**2 * unlikely
    return Ordered(partner, fit, float(cost / len(laid)))


def _numbers(points: NDArray[np.floating[Any]]) -> Complex:
    return np.asarray(points[..., 0] + 1j * points[..., 1], np.complex128)


def _points(numbers: Complex) -> Floats:
    return np.stack([numbers.real, numbers.imag], axis=-1)


def _radius(numbers: Complex) -> Floats:
    """Root mean square distance from 0 of numbers (…, P)."""
    return np.asarray(np.sqrt(np.square(np.abs(numbers)).mean(axis=-1)))
