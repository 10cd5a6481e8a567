"""Heatmaps on tensors: drawn in the batch, on its device, and decoded in a form that exports.

Frames and units are those of `heatmaps`: (x, y) in cells of the map, centres at integers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from img2img.vision.heatmaps import (
    GRADIENT_DEVIATION,
    LEAST_VALUE,
    WIDTHS,
    quadratic,
    window_radius,
)

Answer = tuple[Tensor, Tensor, Tensor]
"""Points (B, P, 2) in cells, confidence (B, P) in 0…1, covariance (B, P, 2, 2) in cells²."""


def known(points: Tensor) -> Tensor:
    """(B, P) bool: which of points (B, P, 2) are not missing."""
    return points.isfinite().all(dim=-1)


def draw(points: Tensor, size: tuple[int, int], sigma: float) -> Tensor:
    """(B, P, h, w) Gaussians of deviation `sigma` cells with value 1 at points (B, P, 2) in cells;
    zero for a missing point."""
    seen = known(points)
    xy = torch.where(seen[..., None], points, torch.zeros_like(points))
    rows, columns = (
        torch.exp((_positions(length, xy) - xy[..., axis, None]).square() / (-2 * sigma**2))
        for axis, length in ((1, size[0]), (0, size[1]))
    )
    return (rows * seen[..., None])[..., :, None] * columns[..., None, :]


def joined(maps: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """(B, C, h, w): for each of C groups of indices the greatest of its maps (B, P, h, w)."""
    return torch.stack([maps[:, list(group)].amax(dim=1) for group in groups], dim=1)


def soft_argmax(maps: Tensor) -> Answer:
    """The expectation of each map (B, P, h, w), taken as a distribution: what is below 0 counts for
    nothing. As `heatmaps.softargmax`."""
    mass = maps.clamp(min=0) + 1e-9
    total = mass.sum(dim=(-2, -1))
    rows, columns = (mass.sum(dim=axis) / total[..., None] for axis in (-1, -2))
    y, x = (_positions(maps.shape[axis], maps) for axis in (-2, -1))
    mean = torch.stack([(columns * x).sum(-1), (rows * y).sum(-1)], dim=-1)
    # Around the mean: in float32 the difference of great squares has no digits left.
    dx, dy = x - mean[..., :1], y - mean[..., 1:]
    xx, yy = (columns * dx.square()).sum(-1), (rows * dy.square()).sum(-1)
    # No map times map: (h, w) · (w, 1), then · (h,).
    xy = ((mass @ dx[..., None])[..., 0] * dy).sum(-1) / total
    return mean, maps.amax(dim=(-2, -1)).clamp(0, 1), _matrix(xx, yy, xy)


def least_squares(maps: Tensor, sigma: float) -> Answer:
    """The centre of the Gaussian that fits the log of the cells within about σ of the greatest one
    best: `heatmaps.least_squares`, where it is described, in operations that ONNX has."""
    radius = window_radius(sigma)
    terms, ridge, round_log = (_like(each, maps) for each in quadratic(radius, sigma))
    cells, values, near, inside = _window(maps, radius)
    seen = near.clamp(min=LEAST_VALUE)
    weighted = (seen.square() * inside)[..., None] * terms
    normal = weighted.transpose(-1, -2) @ terms + torch.diag(ridge)
    right = (weighted * (seen.log() - round_log)[..., None]).sum(dim=-2)
    _, gu, gv, uu, vv, uv = _solved(normal, right).unbind(dim=-1)
    xx, yy, xy = _covariance(1 - uu, 1 - vv, -uv)
    step = torch.stack([xx * gu + xy * gv, xy * gu + yy * gv], dim=-1)
    points = cells + sigma * step.clamp(-GRADIENT_DEVIATION, GRADIENT_DEVIATION)
    return points, values.clamp(0, 1), sigma**2 * _matrix(xx, yy, xy)


def _positions(n: int, like: Tensor) -> Tensor:
    return torch.arange(n, device=like.device, dtype=like.dtype)


def _like(array: NDArray[np.float64], maps: Tensor) -> Tensor:
    return torch.from_numpy(array).to(maps)


def _window(maps: Tensor, radius: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The greatest cell (B, P, 2) x, y of each map, its value (B, P), the n values around it
    (B, P, n) row by row, and which of them lie inside the map."""
    # Tensors while tracing, where shapes are tensors.
    height: Any = maps.shape[-2]
    width: Any = maps.shape[-1]
    last_x, last_y = (torch.as_tensor(n - 1).to(maps.device) for n in (width, height))
    flat = maps.flatten(2)
    best = flat.argmax(dim=-1, keepdim=True)
    value = flat.gather(-1, best)[..., 0]
    best_y = torch.div(best, width, rounding_mode="floor")
    best_x = best - best_y * width
    offsets = torch.arange(-radius, radius + 1, device=maps.device)
    y = best_y + offsets.repeat_interleave(2 * radius + 1)
    x = best_x + offsets.repeat(2 * radius + 1)
    inside = (x >= 0) & (x <= last_x) & (y >= 0) & (y <= last_y)
    x, y = (torch.minimum(c.clamp(min=0), last) for c, last in ((x, last_x), (y, last_y)))
    near = flat.gather(-1, y * width + x)
    return torch.cat([best_x, best_y], dim=-1).to(maps), value, near, inside.to(maps)


def _solved(normal: Tensor, right: Tensor) -> Tensor:
    """(…, n): the solution of normal (…, n, n), symmetric and positive, times it = right (…, n).

    Gauss–Jordan elimination, unrolled: ONNX has no operator that solves, and a positive matrix
    needs no pivoting.
    """
    n = normal.shape[-1]
    unit = torch.eye(n, device=normal.device, dtype=normal.dtype)
    rows = torch.cat([normal, right[..., None]], dim=-1)
    for k in range(n):
        pivot = rows[..., k, :] / rows[..., k, k, None]
        rows = rows - (rows[..., k] - unit[k])[..., None] * pivot[..., None, :]
    return rows[..., n]


def _covariance(xx: Tensor, yy: Tensor, xy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Inverse of symmetric precisions, in σ⁻², whose deviations are brought within `WIDTHS`."""
    middle, half = (xx + yy) / 2, (xx - yy) / 2
    spread = (half.square() + xy.square() + 1e-12).sqrt()
    least, most = (width**-2 for width in WIDTHS[::-1])
    # The eigenvalues of the inverse; its greater one belongs to the precision's lesser one.
    greater = 1 / (middle - spread).clamp(least, most)
    lesser = 1 / (middle + spread).clamp(least, most)
    middle, ratio = (greater + lesser) / 2, (greater - lesser) / (2 * spread)
    return middle - ratio * half, middle + ratio * half, -ratio * xy


def _matrix(xx: Tensor, yy: Tensor, xy: Tensor) -> Tensor:
    """(…, 2, 2)."""
    return torch.stack([torch.stack([xx, xy], -1), torch.stack([xy, yy], -1)], -2)
