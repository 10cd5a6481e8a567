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
_MOST_COMPONENTS = 20
_CLEARLY = 0.5
"""Exchanged sides must fit by this factor better than the labels as they are."""
_TURNED_RAD = np.deg2rad(120)
_MOST_DEVIATIONS = 3.0
# Of 805 photos of lfpw none is beyond both but one whose brow is off by 7 % of the face.
_LEAST_MISS, _MOST_Z = 0.05, 7.0

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeFindings:
    """Of N faces.

    Attributes:
        mean: (P, 2) the mean shape, as upright as the faces are on average.
        swapped: (N,) faces that fit the others with left and right points exchanged.
        turned: (N,) faces that stand more than 120 degrees from the others.
        misses: (N,) distance of the point that is farthest from where the other faces would have
            it, as a share of the diagonal of the box round the face; NaN where that is not known.
        farthest: (N,) that point.
        outliers: indices of faces whose miss stands out, the worst first.
    """

    mean: Floats
    swapped: Flags
    turned: Flags
    misses: Floats
    farthest: NDArray[np.intp]
    outliers: NDArray[np.intp]


def mirrored_sides(points: Points, schema: Schema) -> Floats:
    """(N,) of faces (N, P, 2): 1 where the left points lie on the picture's right of the right
    ones, as those of an upright face do, -1 where on its left, 0 where no pair is known. Names tell
    which is which; of a pair without them, the right one comes first."""
    across = np.zeros(len(points))
    for one, two in schema.pairs:
        is_reversed = "left" in schema.points[one].lower() and "right" in schema.points[two].lower()
        right, left = (two, one) if is_reversed else (one, two)
        across += np.nan_to_num(points[:, left, 0] - points[:, right, 0])
    return np.sign(across)


def compare_shapes(points: Points, schema: Schema) -> ShapeFindings | None:
    """What stands out among faces (N, P, 2); None with fewer than `LEAST_FACES` complete ones.

    A face's shape is compared with a model of the shapes of the others (five folds).
    """
    whole = np.isfinite(points).all(axis=(1, 2))
    whole &= np.nan_to_num(points).std(axis=1).any(axis=1)  # a single spot has no shape
    sides = mirrored_sides(points, schema)
    usual = whole & (sides == (1.0 if (sides[whole] >= 0).mean() >= 0.5 else -1.0))
    usual = usual if schema.pairs else whole
    if usual.sum() < LEAST_FACES:
        return None
    mean = _robust_mean(points[usual])
    misfit, angle = _distance(points, mean)
    exchanged, _ = _distance(points[:, schema.flip_order], mean)
    swapped = exchanged < _CLEARLY * misfit
    turned = ~swapped & (np.abs(angle) > _TURNED_RAD)
    misses, farthest = _misses(points, usual & ~swapped & ~turned & (misfit < 0.5))
    misses[swapped | turned] = np.nan
    return ShapeFindings(
        mean=mean, swapped=swapped, turned=turned, misses=misses, farthest=farthest,
        outliers=_outliers(misses, whole),
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
    factors, _, shapes, goals = _alignment(points, mean)
    size, full = (np.square(np.abs(each)).sum(axis=1) for each in (shapes, goals))
    with np.errstate(divide="ignore", invalid="ignore"):
        likeness = np.abs(factors) ** 2 * size / full
    return np.sqrt(np.clip(1 - likeness, 0, 1)), -np.angle(factors)


def _alignment(points: Points, mean: Floats) -> tuple[NDArray[np.complex128], ...]:
    """Similarities that bring shapes (N, P, 2) over a mean, vectors as complex numbers: (N,)
    factors, (N, P) shapes aligned, then both without their centres, 0 where a point is missing."""
    z = points[..., 0].astype(np.float64) + 1j * points[..., 1]
    seen = np.isfinite(z)
    goal = np.where(seen, mean[:, 0] + 1j * mean[:, 1], 0)
    n_seen = seen.sum(axis=1, keepdims=True)
    z = np.where(seen, z, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = goal.sum(axis=1, keepdims=True) / n_seen
        z = np.where(seen, z - z.sum(axis=1, keepdims=True) / n_seen, 0)
        goal = np.where(seen, goal - centre, 0)
        factors = (z.conj() * goal).sum(axis=1) / np.square(np.abs(z)).sum(axis=1)
    aligned = np.where(seen, z * factors[:, None] + centre, np.nan)
    return factors, aligned, z, goal


def _misses(points: Points, usual: Flags) -> tuple[Floats, NDArray[np.intp]]:
    """`misses` and `farthest` of `ShapeFindings`, by models of the usual faces."""
    folds = np.arange(len(points)) % _N_FOLDS
    misses, farthest = np.full(len(points), np.nan), np.zeros(len(points), np.intp)
    for fold in range(_N_FOLDS):
        learned = points[usual & (folds != fold)]
        if len(learned) < LEAST_FACES // 2:
            continue
        learned = learned[:: -(-len(learned) // _MOST_LEARNED)]
        n_components = min(_MOST_COMPONENTS, len(learned) // 4)
        model = ShapeModel.learn(learned, n_components=n_components)
        mine = np.flatnonzero(folds == fold)
        offsets = _offsets(points[mine], model)
        known = np.isfinite(offsets).any(axis=1)
        farthest[mine[known]] = np.nanargmax(offsets[known], axis=1)
        misses[mine[known]] = np.nanmax(offsets[known], axis=1)
    return misses, farthest


def _outliers(misses: Floats, whole: Flags) -> NDArray[np.intp]:
    """Indices of the misses that are far from those of the other faces which are whole, or which
    are not: where most points are missing, every face fits badly."""
    is_far = np.zeros(len(misses), np.bool_)
    for group in (whole, ~whole):
        known = misses[group & np.isfinite(misses)]
        if known.size:
            median = np.median(known)
            # 1.4826: the standard deviation of a normal distribution in units of its MAD.
            spread = 1.4826 * np.median(np.abs(known - median))
            is_far |= group & (misses > max(_LEAST_MISS, median + _MOST_Z * spread))
    worst = np.argsort(-np.nan_to_num(misses), kind="stable")
    return worst[is_far[worst]]


def _offsets(points: Points, model: ShapeModel) -> Floats:
    """(N, P) distances of points from those of the model's shape, as shares of the diagonal of its
    box. Missing points are taken for those of the mean."""
    aligned = _alignment(points, model.mean)[1]
    shapes = np.stack([aligned.real, aligned.imag], axis=-1)
    filled = np.where(np.isfinite(shapes), shapes, model.mean)
    most = _MOST_DEVIATIONS * np.sqrt(model.variances)
    fitted = model.shape(model.coefficients(filled).clip(-most, most))
    box = np.ptp(model.mean, axis=0)
    offsets: Floats = np.linalg.norm(shapes - fitted, axis=-1) / np.hypot(*box)
    offsets[np.isfinite(offsets).sum(axis=1) < 3] = np.nan
    return offsets
