"""What the shapes of labelled faces say of their labels: exchanged sides, turned faces, outliers.

Nothing is known beforehand of what a face looks like but its pairs of right and left points: every
face is compared with the others, whose majority is taken for right.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from img2img.vision.schemas import Points, Schema
from img2img.vision.shape_model import Floats, ShapeModel, procrustes

LEAST_FACES = 10
"""Complete faces that a comparison needs."""
_MOST_LEARNED = 2000
_N_FOLDS = 5
_N_ROUNDS = 3
_MOST_COMPONENTS = 20
_CLEARLY = 0.5
"""Exchanged sides must fit by this factor better than the labels as they are."""
_TURNED_RAD = np.deg2rad(120)
_MOST_DEVIATIONS = 3.0
# Of 805 photos of lfpw none is beyond both but one whose brow is off by 7 % of the face.
_LEAST_OFFSET, _MOST_Z = 0.05, 7.0
_MOST_MISFIT_Z = 4.0

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeFindings:
    """Of N faces.

    Attributes:
        mean: (P, 2) the mean shape, as upright as the faces are on average.
        swapped: (N,) faces that fit the others with left and right points exchanged.
        turned: (N,) faces that stand more than 120 degrees from the others.
        farthest: (N,) the point of each that fits the shapes of the others worst.
        misses: (N,) its distance from where they would have it, told by the face's other points,
            as a share of the diagonal of the box round the face; NaN where that is not known.
        outliers: indices of faces that fit far worse than most, the worst first.
    """

    mean: Floats
    swapped: Flags
    turned: Flags
    farthest: NDArray[np.intp]
    misses: Floats
    outliers: NDArray[np.intp]


def mirrored_sides(points: Points, schema: Schema) -> Floats:
    """(N,) of faces (N, P, 2): 1 where the left points lie on the picture's right of the right
    ones, as those of an upright face do, -1 where on its left, 0 where no pair is known."""
    across = np.zeros(len(points))
    for right, left in schema.pairs:
        across += np.nan_to_num(points[:, left, 0] - points[:, right, 0])
    return np.sign(across)


def compare_shapes(points: Points, schema: Schema) -> ShapeFindings | None:
    """What stands out among faces (N, P, 2); None with fewer than `LEAST_FACES` complete ones.

    A face's shape is compared with a model of the shapes of the others (five folds).
    """
    whole = np.isfinite(points).all(axis=(1, 2))
    whole &= np.nan_to_num(points).std(axis=1).any(axis=1)  # a single spot has no shape
    sides = mirrored_sides(points, schema)
    majority = 1.0 if 2 * (sides[whole] >= 0).sum() >= whole.sum() else -1.0
    usual = whole & (sides == majority) if schema.pairs else whole
    if usual.sum() < LEAST_FACES:
        return None
    mean = _robust_mean(points[usual])
    misfit, angle = _distance(points, mean)
    exchanged, _ = _distance(points[:, schema.flip_order], mean)
    swapped = exchanged < _CLEARLY * misfit
    turned = ~swapped & (np.abs(angle) > _TURNED_RAD)
    is_odd = swapped | turned
    usual &= ~is_odd & (misfit <= _limit(misfit[usual & ~is_odd], _MOST_MISFIT_Z))
    for _ in range(_N_ROUNDS):  # without those that were found, more stand out
        offsets, farthest, misses = _misses(points, usual)
        offsets[is_odd] = misses[is_odd] = np.nan
        outliers = _outliers(offsets, whole)
        usual[outliers] = False
    return ShapeFindings(
        mean=mean, swapped=swapped, turned=turned, farthest=farthest, misses=misses,
        outliers=outliers[np.argsort(-misses[outliers], kind="stable")],
    )  # fmt: skip


def _robust_mean(shapes: Points) -> Floats:
    """(P, 2) mean shape of the half that is nearest to the mean of all."""
    _, mean = procrustes(shapes[:_MOST_LEARNED])
    misfit, _ = _distance(shapes, mean)
    nearest = shapes[misfit <= np.median(misfit)][:_MOST_LEARNED]
    return procrustes(nearest)[1]


def _distance(points: Points, mean: Floats) -> tuple[Floats, Floats]:
    """((N,) full Procrustes distances in 0…1 from a mean, (N,) angles in radians by which the
    shapes are turned against it), by the points that are known; NaN with fewer than two."""
    factors, _, likeness = _alignment(points, mean)
    return np.sqrt(np.clip(1 - likeness, 0, 1)), -np.angle(factors[:, 0])


def _alignment(
    points: Points, mean: Floats
) -> tuple[NDArray[np.complex128], NDArray[np.complex128], Floats]:
    """Similarities that bring shapes (N, P, 2), as far as points are known, over a mean: (N, 1)
    factors and shifts of points as complex numbers, and (N,) how much of the mean they explain."""
    z = _numbers(points)
    seen = np.isfinite(z)
    goal = np.where(seen, _numbers(mean), 0)
    z = np.where(seen, z, 0)
    n_seen = seen.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle, centre = (each.sum(axis=1, keepdims=True) / n_seen for each in (z, goal))
        z, goal = np.where(seen, z - middle, 0), np.where(seen, goal - centre, 0)
        size, full = (np.square(np.abs(each)).sum(axis=1) for each in (z, goal))
        factors = (z.conj() * goal).sum(axis=1) / size
        likeness = np.abs(factors) ** 2 * size / full
    return factors[:, None], centre - factors[:, None] * middle, likeness


def _numbers(points: Points) -> NDArray[np.complex128]:
    return np.asarray(points[..., 0] + 1j * points[..., 1], np.complex128)


def _misses(points: Points, usual: Flags) -> tuple[Floats, NDArray[np.intp], Floats]:
    """(N,) distances of the farthest points from the shapes of models of the usual faces, laid over
    all points; and `farthest` and `misses` of `ShapeFindings`."""
    folds = np.arange(len(points)) % _N_FOLDS
    worst, misses = np.full((2, len(points)), np.nan)
    farthest = np.zeros(len(points), np.intp)
    for fold in range(_N_FOLDS):
        learned = points[usual & (folds != fold)]
        if len(learned) < LEAST_FACES // 2:
            continue
        learned = learned[:: -(-len(learned) // _MOST_LEARNED)]
        n_components = min(_MOST_COMPONENTS, len(learned) // 4)
        model = ShapeModel.learn(learned, n_components=n_components)
        mine = np.flatnonzero(folds == fold)
        offsets = _offsets(points[mine], points[mine], model)
        known = np.isfinite(offsets).any(axis=1)
        mine, rows = mine[known], np.arange(known.sum())
        far = np.nanargmax(offsets[known], axis=1)
        # A point far off draws the shape towards itself: how far is told by the others alone. But
        # what these leave open (a nose's tip, of a turned head) is no reason to call it odd.
        others = points[mine].astype(np.float64)
        others[rows, far] = np.nan
        misses[mine] = _offsets(points[mine], others, model)[rows, far]
        worst[mine], farthest[mine] = offsets[known][rows, far], far
    return worst, farthest, misses


def _outliers(offsets: Floats, whole: Flags) -> NDArray[np.intp]:
    """Indices of the offsets that are far from those of the other faces which are whole, or which
    are not: where most points are missing, every face fits badly."""
    is_far = np.zeros(len(offsets), np.bool_)
    for group in (whole, ~whole):
        known = offsets[group & np.isfinite(offsets)]
        if known.size:
            is_far |= group & (offsets > max(_LEAST_OFFSET, _limit(known, _MOST_Z)))
    return np.flatnonzero(is_far)


def _limit(values: Floats, z: float) -> float:
    """`z` robust deviations above the median of values (N,), at least one."""
    median = np.median(values)
    # 1.4826: the standard deviation of a normal distribution in units of its MAD.
    return float(median + z * 1.4826 * np.median(np.abs(values - median)))


def _offsets(points: Points, guides: Points, model: ShapeModel) -> Floats:
    """(N, P) distances of points from the model's shape that is laid over `guides`, the same points
    or some of them; as shares of the diagonal of the shape's box. NaN with fewer than 3 guides."""
    factors, shifts, _ = _alignment(guides, model.mean)
    laid, guide = (_numbers(each) * factors + shifts for each in (points, guides))
    # Guides that are missing are taken for those of the mean shape.
    guide = np.where(np.isfinite(guide), guide, _numbers(model.mean))
    most = _MOST_DEVIATIONS * np.sqrt(model.variances)
    shape = np.stack([guide.real, guide.imag], axis=-1)
    fitted = model.shape(model.coefficients(shape).clip(-most, most))
    offsets: Floats = np.abs(laid - _numbers(fitted)) / np.hypot(*np.ptp(model.mean, axis=0))
    offsets[np.isfinite(guides).all(axis=2).sum(axis=1) < 3] = np.nan
    return offsets
