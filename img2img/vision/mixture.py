"""One heatmap for all points: taken apart as a mixture of Gaussians, and put in order by a shape.

Points are (x, y) in cells of the map, centres at integers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.vision.assignment import assignment
from img2img.vision.heatmaps import Peaks, draw, parabola
from img2img.vision.ordering import order
from img2img.vision.shape_model import ShapeModel

Floats = NDArray[np.float64]

_LEAST_PEAK = 0.25
"""Of the map's greatest value: what is left lower than this after peaks are taken away is none."""
_LEAST_VALUE = 0.1
"""Of the greatest value: lower cells are background or noise."""
_N_ROUNDS = 60
_STILL_CELLS = 1e-3
_PRIOR_MASS = 2.0
"""How much the expected covariance counts beside the cells of a component, in Gaussians' masses."""
_ADDED_MASS = 0.1
"""Of a Gaussian, to what each component explains, so that none dies out."""
_LEAST_MASS = 0.02
"""Of a Gaussian: a component that explains less stays where it started."""
_LEAST_CONFIDENCE, _ASTRAY = 0.4, 2.0
"""A point that the shape foretold is in the map if its component holds at least this share of a
Gaussian, and has not moved farther than this many σ."""


def separate(heatmap: NDArray[np.floating[Any]], n: int, sigma: float) -> Peaks:
    """The points that a heatmap (h, w) shows, at most `n`, in no order: fewer where Gaussians of
    deviation `sigma` cells at fewer points leave nothing more to explain.

    Expectation–maximisation over the cells, each weighted by its value. A component's covariance is
    drawn towards σ² times the identity, which is what parts two points that make one hill.

    Source: Dempster, Laird, Rubin: Maximum Likelihood from Incomplete Data, JRSS B 1977.
    """
    shown = _shown(heatmap)
    return _mixture(shown, _peaks_in(shown, n, sigma), sigma)


def _shown(heatmaps: NDArray[np.floating[Any]]) -> Floats:
    """Heatmaps without what no Gaussian is made of: negative values, and such as are not finite."""
    return np.nan_to_num(np.asarray(heatmaps, np.float64), posinf=0.0).clip(min=0)


def _peaks_in(heatmap: Floats, n: int, sigma: float) -> Floats:
    """(at most n, 2) cells: where the greatest Gaussian stands, then the greatest in what it leaves
    over, and so on."""
    left = heatmap.astype(np.float32)
    least = _LEAST_PEAK * min(float(left.max()), 1.0)
    found = np.empty((0, 2))
    for _ in range(n):
        # Between the cells: a Gaussian half a cell beside the hill would leave a hill of its own.
        peak = parabola(left[None], sigma)
        if not left.max() > least:
            break
        found = np.concatenate([found, peak.points])
        hill = draw(peak.points, heatmap.shape, sigma)[0][0]
        left -= hill * min(1.0, float(left.max() / hill.max()))
    return found


def _mixture(heatmap: Floats, start: Floats, sigma: float) -> Peaks:
    """Components that begin at points `start` (K, 2)."""
    y, x = np.nonzero(heatmap > _LEAST_VALUE * heatmap.max())
    mass = heatmap[y, x]
    terms = np.stack([np.ones(len(x)), x, y, x * x, x * y, y * y])
    unit, expected = 2 * np.pi * sigma**2, sigma**2 * np.eye(2)
    points, covariance = start, np.tile(expected, (len(start), 1, 1))
    shares = sums = np.full(len(start), unit)
    for _ in range(_N_ROUNDS if len(start) else 0):
        density = np.exp(_log_densities(points, covariance, shares) @ terms)
        owned = mass * density / np.maximum(density.sum(axis=0), 1e-300)
        sums, *moments = terms @ owned.T
        before = points
        means = np.stack(moments[:2], axis=1) / np.maximum(sums, 1e-12)[:, None]
        points = np.where((sums > _LEAST_MASS * unit)[:, None], means, start)
        prior = _PRIOR_MASS * unit
        scatter = _scatter(points, sums, *moments) + prior * expected
        covariance = scatter / (sums + prior)[:, None, None]
        shares = sums + _ADDED_MASS * unit
        if np.abs(points - before).max() < _STILL_CELLS:
            break
    return _as_peaks(points, heatmap, covariance, sums)


def _log_densities(points: Floats, covariance: Floats, shares: Floats) -> Floats:
    """(K, 6): factors of 1, x, y, x², xy, y² in the logs of Gaussians times shares, less log 2π."""
    precision = np.linalg.inv(covariance)
    pull = np.einsum("kij,kj->ki", precision, points)
    log_factor = np.log(shares) + np.log(np.linalg.det(precision)) / 2
    constant = log_factor - (pull * points).sum(axis=1) / 2
    bends = precision[:, 0, 0] / -2, -precision[:, 0, 1], precision[:, 1, 1] / -2
    return np.stack([constant, *pull.T, *bends], axis=1)


def _scatter(
    points: Floats, sums: Floats, x: Floats, y: Floats, xx: Floats, xy: Floats, yy: Floats
) -> Floats:
    """(K, 2, 2) second moments about points (K, 2), of sums over x, y, x², xy, y² (K,) each."""
    about_x, about_y = points.T
    across = xy - about_x * y - about_y * x + sums * about_x * about_y
    along_x = xx - 2 * about_x * x + sums * about_x**2
    along_y = yy - 2 * about_y * y + sums * about_y**2
    return np.stack([along_x, across, across, along_y], axis=1).reshape(-1, 2, 2)


def _as_peaks(points: Floats, heatmap: Floats, covariance: Floats, mass: Floats) -> Peaks:
    """With the map's value at each point's cell as confidence; less for points that share a hill,
    which have less mass (K,) than is usual."""
    x, y = points.round().astype(np.intp).T
    height, width = heatmap.shape
    values = heatmap[y.clip(0, height - 1), x.clip(0, width - 1)]
    usual = np.median(mass) if len(mass) else 1.0
    confidence = np.minimum(values, mass / max(usual, 1e-12)).clip(0, 1)
    return Peaks(*(part.astype(np.float32) for part in (points, confidence, covariance)))


def ordered_points(heatmap: NDArray[np.floating[Any]], model: ShapeModel, sigma: float) -> Peaks:
    """The points of a shape model, in its order, that one heatmap (h, w) shows all together.

    A point that the map does not show is where the shape of the others puts it, within a tenth of
    the shape's radius; its confidence is the map's value there. A map that shows no point at all
    has the mean shape in its middle, with a confidence of 0.
    """
    shown = _shown(heatmap)
    found = separate(shown, len(model.mean), sigma)
    if not len(found.points):
        return _unseen(model, shown.shape)
    ordered = order(found.points, model)
    missing = ordered.partner < 0
    whole = Peaks(*(part[ordered.partner] for part in found))
    if not missing.any():
        return whole
    # Two points may make one hill: begin where the shape has them, and see what they hold on to.
    start = np.where(missing[:, None], ordered.fit.points, whole.points)
    again = _mixture(shown, start, sigma)
    moved = np.linalg.norm(again.points - start, axis=1)
    lost = missing & ((moved > _ASTRAY * sigma) | (again.confidence < _LEAST_CONFIDENCE))
    if not lost.any():
        return again
    spread = (sigma**2 + (0.1 * ordered.fit.pose.scale) ** 2) * np.eye(2)
    expected = _as_peaks(start, shown, np.tile(spread, (len(start), 1, 1)), np.ones(len(start)))
    supported = _mixture(shown, start[~lost], sigma)
    for part, values in zip(expected, supported, strict=True):
        part[~lost] = values
    return expected


def grouped_points(
    heatmaps: NDArray[np.floating[Any]],
    groups: Sequence[Sequence[int]],
    model: ShapeModel,
    sigma: float,
) -> Peaks:
    """The points of a shape model, in its order, of heatmaps (C, h, w) that show a group each.

    All points together say where the shape lies; then each group's points are given to those of the
    shape that are in it. A point that its map does not show is where the shape puts it, with the
    map's value there as confidence. Maps that show no point at all have the mean shape in their
    middle, with a confidence of 0.
    """
    shown = _shown(heatmaps)
    parts = [separate(h, len(g), sigma) for h, g in zip(shown, groups, strict=True)]
    found = np.concatenate([part.points for part in parts])
    if not len(found):
        return _unseen(model, shown.shape[1:])
    fit = order(found, model).fit
    answer = Peaks(
        *(np.zeros((len(fit.points), *shape), np.float32) for shape in ((2,), (), (2, 2)))
    )
    spread = (sigma**2 + (0.1 * fit.pose.scale) ** 2) * np.eye(2)
    for part, heatmap, group in zip(parts, shown, groups, strict=True):
        members = np.asarray(group)
        own = fit.points[members]
        guess = _as_peaks(own, heatmap, np.tile(spread, (len(own), 1, 1)), np.ones(len(own)))
        gap = np.square(own[:, None] - part.points).sum(axis=2)
        rows, columns = assignment(gap)
        for whole, guessed, found in zip(answer, guess, part, strict=True):
            whole[members] = guessed
            whole[members[rows]] = found[columns]
    return answer


def _unseen(model: ShapeModel, size: tuple[int, ...]) -> Peaks:
    """The mean shape in the middle of a map (h, w), half as large, as nothing is known."""
    low, high = model.mean.min(axis=0), model.mean.max(axis=0)
    scale = min(size) / 2 / max(float((high - low).max()), 1e-6)
    middle = (np.array(size[::-1]) - 1) / 2
    points = (model.mean - (low + high) / 2) * scale + middle
    covariance = np.tile((min(size) / 4) ** 2 * np.eye(2), (len(points), 1, 1))
    parts = points, np.zeros(len(points)), covariance
    return Peaks(*(part.astype(np.float32) for part in parts))
