"""Heatmaps on arrays: points drawn as Gaussians, and read back from maps by eight methods.

Points are (x, y) in cells of a map, centres at integers. A map of stride s has one cell for s × s
pixels of the picture; `to_pixels` and `to_cells` are the only places that know their half-pixel
shift. Maps are in units of a perfect point: 1 at its centre.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Maps = NDArray[np.float32]
"""(P, h, w) heatmaps, a point each."""
Points = NDArray[np.float32]
"""(P, 2) x and y; NaN where a point is missing."""
Floats = NDArray[np.floating[Any]]
_Coordinates = TypeVar("_Coordinates", Floats, "Tensor")

MAP_NOISE = 0.02
"""Deviation of the noise expected in a map, as a share of its peak."""
WIDTH_DEVIATION = 0.3
"""How far a map's curvature is expected to be from 1/σ², as a share of it."""
GRADIENT_DEVIATION = 2.0
"""How far, in σ, a centre is expected to be from the greatest cell: beyond the border, this far."""
LEAST_VALUE = 1e-3
"""What least squares takes smaller values for, whose log is lost in noise."""
WIDTHS = (0.25, 4.0)
"""Least and greatest deviation of a fitted Gaussian, in σ."""


def to_pixels(cells: _Coordinates, stride: float) -> _Coordinates:
    """Coordinates in pixels of the picture of coordinates in cells of a map of `stride`."""
    return (cells + 0.5) * stride - 0.5


def to_cells(pixels: _Coordinates, stride: float) -> _Coordinates:
    """Coordinates in cells of a map of `stride` of coordinates in pixels of the picture."""
    return (pixels + 0.5) / stride - 0.5


def known(points: Floats) -> NDArray[np.bool_]:
    """(P,): which of points (P, 2) are not missing."""
    return np.asarray(np.isfinite(points).all(axis=-1))


def window_radius(sigma: float) -> int:
    """Cells on each side of the greatest one that least squares looks at: about σ."""
    return max(1, round(sigma))


class Peaks(NamedTuple):
    """Points read from maps.

    `points` (P, 2) float32; `confidence` (P,) float32, the greatest value of each map, clipped to
    0…1; `covariance` (P, 2, 2) float32 of the Gaussian that was found, σ² of a perfect map where
    the method measures none. In cells and cells², or pixels and pixels² after `in_pixels`.
    """

    points: Points
    confidence: NDArray[np.float32]
    covariance: NDArray[np.float32]

    def in_pixels(self, stride: float) -> Peaks:
        """The same in pixels of the picture, of maps of `stride`."""
        points = to_pixels(self.points, stride)
        return Peaks(points, self.confidence, self.covariance * np.float32(stride**2))


def draw(points: Floats, size: tuple[int, int], sigma: float) -> tuple[Maps, NDArray[np.float32]]:
    """Maps (P, h, w) of Gaussians of deviation `sigma` cells with value 1 at points (P, 2) in
    cells, and weights (P,): 1, or 0 for a missing point, whose map is zero. A point beyond the
    border leaves what reaches in.
    """
    seen = known(points)
    xy = np.where(seen[:, None], points, 0)
    rows, columns = (
        np.exp(-np.square(np.arange(length) - xy[:, axis, None]) / (2 * sigma**2))
        for axis, length in ((1, size[0]), (0, size[1]))
    )
    rows *= seen[:, None]
    maps = rows.astype(np.float32)[:, :, None] * columns.astype(np.float32)[:, None, :]
    return maps, seen.astype(np.float32)


def flip_points(points: Floats, width: int, order: Sequence[int] | NDArray[np.intp]) -> Floats:
    """(P, 2) points of the picture or map mirrored left to right, `width` pixels or cells wide.

    Args:
        points: x and y.
        width: of the picture or map.
        order: for each point the index of the one on the other side, its own where it has none.
    """
    flipped = points[list(order)].copy()
    flipped[:, 0] = width - 1 - flipped[:, 0]
    return flipped


# ---- decoders: (maps (P, h, w), sigma in cells) → Peaks in cells


def argmax(maps: Maps, sigma: float) -> Peaks:
    """The greatest cell."""
    cells, values = _greatest(maps)
    return _peaks(cells, values, _round_covariance(len(maps), sigma))


def quarter(maps: Maps, sigma: float) -> Peaks:
    """The greatest cell, moved on each axis a quarter of a cell to its greater neighbour.

    Source: Newell, Yang, Deng: Stacked Hourglass Networks, ECCV 2016, section 3.4.
    """
    cells, values = _greatest(maps)
    _, before, after, inside = _neighbours(maps, cells)
    shift = np.where(inside, 0.25 * np.sign(after - before), 0)
    return _peaks(cells + shift, values, _round_covariance(len(maps), sigma))


def parabola(maps: Maps, sigma: float) -> Peaks:
    """The vertex, on each axis, of the parabola through the greatest cell and its neighbours."""
    cells, values = _greatest(maps)
    centre, before, after, inside = _neighbours(maps, cells)
    bend = 2 * centre[:, None] - before - after
    shift = np.where(inside & (bend > 0), (after - before) / np.maximum(2 * bend, 1e-12), 0)
    return _peaks(cells + shift, values, _round_covariance(len(maps), sigma))


def dark(maps: Maps, sigma: float) -> Peaks:
    """One Newton step on the log of the map blurred with σ, from the greatest cell.

    Only the cells that the derivatives need are blurred. Within two cells of the border the
    greatest cell is the answer, as in the authors' code.

    Source: Zhang, Zhu, Dai, Ye, Zhu: Distribution-Aware Coordinate Representation, CVPR 2020.
    """
    cells, values = _greatest(maps)
    reach = int(np.ceil(3 * sigma))
    offsets = np.arange(-2 - reach, 3 + reach)
    kernel = np.exp(-np.square(offsets - np.arange(-2, 3)[:, None]) / (2 * sigma**2))
    near, _ = _window(maps, cells, 2 + reach)
    log = np.log(np.maximum(kernel @ near @ kernel.T, 1e-10))
    gradient = np.stack([log[:, 2, 3] - log[:, 2, 1], log[:, 3, 2] - log[:, 1, 2]], axis=1) / 2
    xx = (2 * log[:, 2, 2] - log[:, 2, 4] - log[:, 2, 0]) / 4
    yy = (2 * log[:, 2, 2] - log[:, 4, 2] - log[:, 0, 2]) / 4
    xy = (log[:, 1, 3] + log[:, 3, 1] - log[:, 1, 1] - log[:, 3, 3]) / 4
    covariance = _covariance(xx, yy, xy, sigma)
    step = np.clip(np.einsum("pij,pj->pi", covariance, gradient), -sigma, sigma)
    last = np.array([maps.shape[2] - 3, maps.shape[1] - 3])
    inside = np.asarray(((cells >= 2) & (cells <= last)).all(axis=1))
    shape = _limited(covariance - sigma**2 * np.eye(2), sigma)
    shape[~inside] = sigma**2 * np.eye(2)
    return _peaks(np.where(inside[:, None], cells + step, cells), values, shape)


def centroid(maps: Maps, sigma: float) -> Peaks:
    """The centre of mass of the cells within 2.5 σ of the greatest one."""
    cells, values = _greatest(maps)
    radius = max(1, round(2.5 * sigma))
    near, _ = _window(maps, cells, radius)
    shift, covariance = _moments(np.maximum(near, 0), np.arange(-radius, radius + 1))
    return _peaks(cells + shift, values, covariance)


def softargmax(maps: Maps, sigma: float) -> Peaks:
    """The expectation of the map, taken as a distribution: what is below 0 counts for nothing.

    Of maps that are a softmax times a factor, it is the soft-argmax of the softmax's input.

    Source: Sun, Xiao, Wei, Liang, Wei: Integral Human Pose Regression, ECCV 2018.
    """
    _, values = _greatest(maps)
    side = max(maps.shape[1:])
    points, covariance = _moments(np.maximum(maps, 0), np.arange(side))
    return _peaks(points, values, covariance)


def least_squares(maps: Maps, sigma: float) -> Peaks:
    """The centre of the Gaussian that fits the log of the cells within about σ of the greatest one
    best, each cell weighted by the square of its value, which evens out noise of the map.

    The Gaussian may be of any width and direction; one of deviation `sigma` is what it is without
    evidence, so that noise, a corner of the map or a map of one cell leave the fit determined. The
    centre may be up to 2 σ beyond the greatest cell: also outside the map.

    `heatmap_tensors.least_squares` is the same on tensors.
    """
    cells, values = _greatest(maps)
    radius = window_radius(sigma)
    near, inside = _window(maps, cells, radius)
    terms, ridge, round_log = quadratic(radius, sigma)
    seen = near.reshape(len(maps), -1).astype(np.float64).clip(LEAST_VALUE)
    weight = np.where(inside.reshape(len(maps), -1), seen**2, 0)
    weighted = weight[:, :, None] * terms
    normal = np.einsum("pni,nj->pij", weighted, terms) + np.diag(ridge)
    right = np.einsum("pni,pn->pi", weighted, np.log(seen) - round_log)
    fit = np.linalg.solve(normal, right[:, :, None])[:, :, 0]
    scaled = _covariance(1 - fit[:, 3], 1 - fit[:, 4], -fit[:, 5], 1.0)
    step = np.einsum("pij,pj->pi", scaled, fit[:, 1:3])
    step = np.clip(step, -GRADIENT_DEVIATION, GRADIENT_DEVIATION)
    return _peaks(cells + sigma * step, values, sigma**2 * scaled)


def quadratic(
    radius: int, sigma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What least squares fits to the (2 · radius + 1)² = n cells of a window, row by row, in units
    of σ: terms (n, 6) 1, u, v, u²/2, v²/2, uv; the ridge (6,) that stands for what is expected
    without evidence; and the log (n,) of a Gaussian of deviation σ in the middle."""
    v, u = np.mgrid[-radius : radius + 1, -radius : radius + 1].reshape(2, -1) / sigma
    terms = np.stack([np.ones_like(u), u, v, u**2 / 2, v**2 / 2, u * v], axis=1)
    deviations = [1e3 * MAP_NOISE, *[GRADIENT_DEVIATION] * 2, *[WIDTH_DEVIATION] * 3]
    return terms, (MAP_NOISE / np.array(deviations)) ** 2, -(u**2 + v**2) / 2


def contours(maps: Maps, sigma: float) -> Peaks:
    """The centre of the region that the contour at half the maximum bounds around the greatest
    cell; its covariance is that of a round Gaussian with a region as large."""
    cells, values = _greatest(maps)
    n, height, width = maps.shape
    # One picture of all maps, an empty row between them, is labelled in one call.
    above = np.zeros((n, height + 1, width), np.uint8)
    above[:, :height] = maps >= np.maximum(values / 2, 1e-12)[:, None, None]
    x, y = cells.astype(np.intp).T
    above[np.arange(n), y, x] = 1
    _, labels, stats, centroids = cv2.connectedComponentsWithStats(above.reshape(-1, width))
    top = np.arange(n) * (height + 1)
    found = labels[top + y, x]
    points = centroids[found]
    points[:, 1] -= top
    variance = stats[found, cv2.CC_STAT_AREA] / (2 * np.pi * np.log(2))
    return _peaks(points, values, variance[:, None, None] * np.eye(2))


Decoder = Callable[[Maps, float], Peaks]
DECODERS: Mapping[str, Decoder] = {
    "argmax": argmax,
    "quarter": quarter,
    "parabola": parabola,
    "dark": dark,
    "centroid": centroid,
    "softargmax": softargmax,
    "least_squares": least_squares,
    "contours": contours,
}


def _peaks(points: Floats, values: Floats, covariance: Floats) -> Peaks:
    confidence = np.clip(values, 0, 1)
    return Peaks(*(each.astype(np.float32) for each in (points, confidence, covariance)))


def _greatest(maps: Maps) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """(P, 2) x and y of the greatest cell of each map, and its value (P,)."""
    flat = maps.reshape(len(maps), -1)
    index = flat.argmax(axis=1)
    y, x = np.divmod(index, maps.shape[2])
    return np.stack([x, y], axis=1).astype(np.float64), flat[np.arange(len(maps)), index]


def _window(
    maps: Maps, cells: NDArray[np.float64], radius: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(P, n, n) values around cells (P, 2), 0 outside the map, and which of them lie inside."""
    offsets = np.arange(-radius, radius + 1)
    x, y = (cells[:, axis, None].astype(np.intp) + offsets for axis in (0, 1))
    height, width = maps.shape[1:]
    inside_x, inside_y = (x >= 0) & (x < width), (y >= 0) & (y < height)
    inside = inside_y[:, :, None] & inside_x[:, None, :]
    rows, columns = y.clip(0, height - 1)[:, :, None], x.clip(0, width - 1)[:, None, :]
    return maps[np.arange(len(maps))[:, None, None], rows, columns] * inside, inside


def _neighbours(
    maps: Maps, cells: NDArray[np.float64]
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """Values at cells (P,), before and after them on x and y (P, 2) each, and whether both
    neighbours lie inside the map (P, 2)."""
    near, inside = _window(maps, cells, 1)
    before = np.stack([near[:, 1, 0], near[:, 0, 1]], axis=1)
    after = np.stack([near[:, 1, 2], near[:, 2, 1]], axis=1)
    both = np.stack([inside[:, 1, 0] & inside[:, 1, 2], inside[:, 0, 1] & inside[:, 2, 1]], axis=1)
    return near[:, 1, 1], before, after, both


def _round_covariance(n: int, sigma: float) -> NDArray[np.float64]:
    return np.tile(sigma**2 * np.eye(2), (n, 1, 1))


def _covariance(xx: Floats, yy: Floats, xy: Floats, sigma: float) -> NDArray[np.float64]:
    """(P, 2, 2) inverse of symmetric precisions, whose deviations are brought within `WIDTHS`."""
    precision = np.stack([xx, xy, xy, yy], axis=1).reshape(-1, 2, 2)
    values, axes = np.linalg.eigh(precision.astype(np.float64))
    least, most = ((width * sigma) ** -2 for width in WIDTHS[::-1])
    return np.asarray((axes / values.clip(least, most)[:, None, :]) @ axes.transpose(0, 2, 1))


def _limited(covariance: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """(P, 2, 2) with deviations brought within `WIDTHS`."""
    values, axes = np.linalg.eigh(covariance)
    least, most = ((width * sigma) ** 2 for width in WIDTHS)
    return np.asarray((axes * values.clip(least, most)[:, None, :]) @ axes.transpose(0, 2, 1))


def _moments(
    mass: NDArray[np.float32], positions: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means (P, 2) and covariances (P, 2, 2) of mass (P, h, w), whose rows and columns are at the
    first of `positions`; the middle of the map where there is no mass."""
    n, height, width = mass.shape
    y, x = (positions[:length].astype(np.float64) for length in (height, width))
    # A little mass everywhere keeps an empty map determined.
    mass = mass + np.float32(1e-9)
    total = mass.sum(axis=(1, 2), dtype=np.float64)
    columns, rows = mass.sum(axis=1) / total[:, None], mass.sum(axis=2) / total[:, None]
    mean_x, mean_y = columns @ x, rows @ y
    xy = (mass @ x / total[:, None]) @ y
    covariance = np.empty((n, 2, 2))
    covariance[:, 0, 0] = columns @ x**2 - mean_x**2
    covariance[:, 1, 1] = rows @ y**2 - mean_y**2
    covariance[:, 0, 1] = covariance[:, 1, 0] = xy - mean_x * mean_y
    return np.stack([mean_x, mean_y], axis=1), covariance
