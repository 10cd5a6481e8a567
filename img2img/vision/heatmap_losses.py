"""Losses of points: on the heatmaps that show them, on their expectation, and on coordinates.

Each takes the network's maps and a batch and gives a scalar. Under its key `target` the batch has
points (B, P, 2), x and y in pixels of the network's picture; a point with NaN is missing and costs
nothing. Where all are missing, the loss is zero.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from img2img.errors import UsageError
from img2img.vision.heatmap_tensors import draw, joined, known
from img2img.vision.heatmaps import to_cells

Groups = Sequence[Sequence[int]]
"""For each map the indices of the points that it shows; none: a point each, in order."""


class Truth(NamedTuple):
    """`maps` (B, C, h, w), Gaussians; `points` (B, P, 2) in cells, 0 where missing; `seen` (B, C)
    bool: the maps all of whose points are known."""

    maps: Tensor
    points: Tensor
    seen: Tensor


class HeatmapLoss(nn.Module, ABC):
    """Of maps (B, C, h, w) of the network and the Gaussians that they should be, which are drawn on
    the device. A map counts where all its points are known.

    Subclasses see maps in float32 whatever the precision of the network. `activation` is what turns
    the network's maps into heatmaps, as `models.point_heads` takes it.

    Args:
        target: key of the points in the batch.
        sigma: deviation of the Gaussians, in cells of the maps.
        stride: pixels of the picture to a cell of the maps.
        groups: the points of each map; of several, the greatest Gaussian counts in each cell.
    """

    activation: ClassVar[Literal["linear", "sigmoid", "softmax"]] = "linear"

    def __init__(
        self, target: str, *, sigma: float, stride: int = 1, groups: Groups | None = None
    ) -> None:
        super().__init__()
        self.target = target
        self.sigma = sigma
        self.stride = stride
        self.groups = groups

    def forward(self, maps: Tensor, batch: dict[str, Tensor]) -> Tensor:
        maps = _at_least_float32(maps)
        points = to_cells(batch[self.target].to(maps), self.stride)
        height, width = maps.shape[-2:]
        drawn, seen = draw(points, (height, width), self.sigma), known(points)
        points = points.where(seen[..., None], torch.zeros_like(points))
        if self.groups is not None:
            drawn = joined(drawn, self.groups)
            seen = torch.stack([seen[:, list(group)].all(dim=1) for group in self.groups], dim=1)
        return self.loss(maps, Truth(drawn, points, seen))

    @abstractmethod
    def loss(self, maps: Tensor, truth: Truth) -> Tensor:
        """Scalar of maps (B, C, h, w) and what they should be."""


class MseLoss(HeatmapLoss):
    """Mean squared difference."""

    def loss(self, maps: Tensor, truth: Truth) -> Tensor:
        return _mean((maps - truth.maps).square().mean(dim=(-2, -1)), truth.seen)


class BceLoss(HeatmapLoss):
    """Mean binary cross-entropy, of maps that are logits."""

    activation = "sigmoid"

    def loss(self, maps: Tensor, truth: Truth) -> Tensor:
        each = F.binary_cross_entropy_with_logits(maps, truth.maps, reduction="none")
        return _mean(each.mean(dim=(-2, -1)), truth.seen)


class KlLoss(HeatmapLoss):
    """Kullback–Leibler divergence of the softmax of each map from the Gaussian, which is made to
    sum to 1; a point so far outside that nothing of it reaches in counts as missing."""

    activation = "softmax"

    def loss(self, maps: Tensor, truth: Truth) -> Tensor:
        wanted, reaches_in = _distribution(truth.maps, self.sigma)
        log_shares = maps.flatten(2).log_softmax(dim=-1)
        each = (torch.xlogy(wanted, wanted) - wanted * log_shares).sum(dim=-1)
        return _mean(each, truth.seen & reaches_in)


class AdaptiveWingLoss(HeatmapLoss):
    """Adaptive wing with weighted map: steep for small errors where the truth is high, flat where
    it is background, and cells about the points count eleven-fold.

    Source: Wang, Bo, Li: Adaptive Wing Loss for Robust Face Alignment via Heatmap Regression,
    ICCV 2019, equations 3 and 5, with its constants.
    """

    alpha, omega, epsilon, theta = 2.1, 14.0, 1.0, 0.5
    foreground_weight = 10.0
    foreground_value = 0.2

    def loss(self, maps: Tensor, truth: Truth) -> Tensor:
        error = (maps - truth.maps).abs()
        power = self.alpha - truth.maps
        edge = (self.theta / self.epsilon) ** power
        slope = self.omega / (1 + edge) * power * edge / self.theta
        offset = self.theta * slope - self.omega * torch.log1p(edge)
        near = self.omega * torch.log1p((error / self.epsilon) ** power)
        each = torch.where(error < self.theta, near, slope * error - offset)
        about = F.max_pool2d(truth.maps, kernel_size=3, stride=1, padding=1)
        weight = 1 + self.foreground_weight * (about >= self.foreground_value)
        return _mean((each * weight).mean(dim=(-2, -1)), truth.seen)


class SoftArgmaxLoss(HeatmapLoss):
    """Distance of the expectation of each map's softmax from the point, plus a term that keeps the
    softmax a compact spot of deviation σ. Coordinates run from -1 to 1 over the map.

    Source: Nibali, He, Morgan, Prendergast: Numerical Coordinate Regression with Convolutional
    Neural Networks, 2018 (DSNT), sections 4.3 and 4.4.

    Args:
        target, sigma, stride: as in `HeatmapLoss`.
        groups: none, as the expectation of a map is one point.

    Raises:
        UsageError: there are groups.
    """

    activation = "softmax"

    def __init__(
        self, target: str, *, sigma: float, stride: int = 1, groups: Groups | None = None
    ) -> None:
        super().__init__(target, sigma=sigma, stride=stride)
        if groups is not None:
            raise UsageError(
                "the loss softargmax needs a map for every point: choose another for shared maps."
            )

    def loss(self, maps: Tensor, truth: Truth) -> Tensor:
        height, width = maps.shape[-2:]
        size = torch.tensor([width, height], device=maps.device, dtype=maps.dtype)
        shares = maps.flatten(2).softmax(dim=-1)
        mean = _unit_mean(shares.view_as(maps))
        distance = torch.linalg.vector_norm(mean - to_unit(truth.points, size), dim=-1)
        wanted, reaches_in = _distribution(truth.maps, self.sigma)
        spread = _jensen_shannon(shares, wanted) * reaches_in
        return _mean(distance + spread, truth.seen)


class CoordinateLoss(nn.Module, ABC):
    """Of coordinates that a network puts out directly, in the frame of `to_unit`: (B, P, 2), or
    any shape that has these numbers in this order, such as (B, 2P) or (B, 2P, 1, 1).

    Args:
        target: key of the points in the batch.
        size_px: (width, height) of the network's picture.
    """

    def __init__(self, target: str, *, size_px: tuple[int, int]) -> None:
        super().__init__()
        self.target = target
        self.size_px = size_px

    def forward(self, maps: Tensor, batch: dict[str, Tensor]) -> Tensor:
        points = batch[self.target]
        values = _at_least_float32(maps).reshape(points.shape)
        size = torch.tensor(self.size_px, device=values.device, dtype=values.dtype)
        seen = known(points)
        truth = torch.where(seen[..., None], to_unit(points.to(values), size), values.detach())
        return _mean(self.cost(values - truth).mean(dim=-1), seen)

    @abstractmethod
    def cost(self, error: Tensor) -> Tensor:
        """(B, P, 2) of errors (B, P, 2), in halves of the picture's side."""


class CoordinateL1(CoordinateLoss):
    """Mean absolute difference."""

    def cost(self, error: Tensor) -> Tensor:
        return error.abs()


class CoordinateMse(CoordinateLoss):
    """Mean squared difference."""

    def cost(self, error: Tensor) -> Tensor:
        return error.square()


class WingLoss(CoordinateLoss):
    """Logarithmic up to `width`, then linear: small errors count for more than in L1.

    Source: Feng, Kittler, Awais, Huber, Wu: Wing Loss for Robust Facial Landmark Localisation with
    CNNs, CVPR 2018, equation 5; its 10 and 2 pixels, of pictures of 256.
    """

    width, epsilon = 10 / 128, 2 / 128

    def cost(self, error: Tensor) -> Tensor:
        error = error.abs()
        near = self.width * torch.log1p(error / self.epsilon)
        offset = self.width * (1 - math.log1p(self.width / self.epsilon))
        return torch.where(error < self.width, near, error - offset)


HEATMAP_LOSSES: Mapping[str, type[HeatmapLoss]] = {
    "mse": MseLoss,
    "bce": BceLoss,
    "kl": KlLoss,
    "awing": AdaptiveWingLoss,
    "softargmax": SoftArgmaxLoss,
}
COORDINATE_LOSSES: Mapping[str, type[CoordinateLoss]] = {
    "l1": CoordinateL1,
    "mse": CoordinateMse,
    "wing": WingLoss,
}


def to_unit(pixels: Tensor, size: Tensor) -> Tensor:
    """Points (…, 2) in -1…1 over a picture or map of `size` (2,) width and height, from edge to
    edge, of points in pixels or cells of it."""
    return (pixels + 0.5) * 2 / size - 1


def from_unit(values: Tensor, size: Tensor) -> Tensor:
    """What `to_unit` undoes: points in pixels."""
    return (values + 1) * size / 2 - 0.5


def _at_least_float32(maps: Tensor) -> Tensor:
    return maps if maps.dtype == torch.float64 else maps.float()


def _mean(costs: Tensor, seen: Tensor) -> Tensor:
    """The mean of costs (B, P) where seen, 0 if none is."""
    return (costs * seen).sum() / seen.sum().clamp(min=1)


def _distribution(truth: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Maps (B, P, cells) that sum to 1 of truth (B, P, h, w), and which of them (B, P) hold at
    least a hundredth of a Gaussian; the others are zero."""
    mass = truth.flatten(2).sum(dim=-1)
    reaches_in = mass > 0.01 * 2 * math.pi * sigma**2
    share = truth.flatten(2) / mass.clamp(min=1e-6)[..., None]
    return share * reaches_in[..., None], reaches_in


def _unit_mean(shares: Tensor) -> Tensor:
    """(B, P, 2) of shares (B, P, h, w), in the frame of `to_unit`."""
    height, width = shares.shape[-2:]
    means = []
    for length, marginal in ((width, shares.sum(dim=-2)), (height, shares.sum(dim=-1))):
        cells = torch.arange(length, device=shares.device, dtype=shares.dtype)
        means.append((marginal * ((2 * cells + 1) / length - 1)).sum(dim=-1))
    return torch.stack(means, dim=-1)


def _jensen_shannon(shares: Tensor, wanted: Tensor) -> Tensor:
    """(B, P), in nats, of two sets of distributions (B, P, cells)."""
    log_middle = ((shares + wanted) / 2).clamp(min=1e-30).log()
    ours = shares * (shares.clamp(min=1e-30).log() - log_middle)
    theirs = torch.xlogy(wanted, wanted) - wanted * log_middle
    return (ours + theirs).sum(dim=-1) / 2
