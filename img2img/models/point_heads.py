"""Heads that end a network in heatmaps, and in the points that they show."""

import math
from typing import ClassVar, Literal

from torch import Tensor

from img2img.models.network import Head
from img2img.vision.heatmap_tensors import least_squares, soft_argmax
from img2img.vision.heatmaps import to_pixels

Activation = Literal["linear", "sigmoid", "softmax"]
"""What turns the network's maps into heatmaps: `HEATMAP_LOSSES` says which each loss needs."""


class HeatmapHead(Head):
    """Heatmaps as they are, for decoders that are no graph.

    Gives `heatmaps` (B, P, h, w) float32, where 1 is the centre of a perfect point, whatever the
    activation: a softmax sums to 1, and is multiplied by a Gaussian's 2πσ².

    Args:
        n_maps: P, of points or of groups of points.
        sigma: deviation of the Gaussians that the network learned, in cells of its maps.
        activation: what the maps are before they are heatmaps.
    """

    outputs: ClassVar[tuple[str, ...]] = ("heatmaps",)

    def __init__(self, n_maps: int, *, sigma: float, activation: Activation) -> None:
        super().__init__()
        self.n_maps = n_maps
        self.sigma = sigma
        self.activation = activation

    def heatmaps(self, maps: Tensor) -> Tensor:
        """(B, P, h, w) of the network's maps."""
        if self.activation == "sigmoid":
            return maps.sigmoid()
        if self.activation == "softmax":
            shares = maps.flatten(2).softmax(dim=-1).view_as(maps)
            return shares * (2 * math.pi * self.sigma**2)
        return maps

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        return {"heatmaps": self.heatmaps(maps)}


class PointHead(HeatmapHead):
    """A point a map.

    Gives `points` (B, P, 2) float32, x and y in pixels of the network's picture; `confidence`
    (B, P) in 0…1, the greatest value of each heatmap; `covariance` (B, P, 2, 2) in pixels², of the
    Gaussian in the map: (σ · stride)² times the identity where the map is perfect.

    Args:
        n_points: P.
        sigma: deviation of the Gaussians that the network learned, in cells of its maps.
        activation: as in `HeatmapHead`.
        stride: pixels of the picture to a cell of the maps.
        decoder: of `heatmaps.DECODERS`, the two that are graphs.
    """

    outputs = ("points", "confidence", "covariance")

    def __init__(
        self,
        n_points: int,
        *,
        sigma: float,
        activation: Activation,
        stride: int = 1,
        decoder: Literal["least_squares", "softargmax"] = "least_squares",
    ) -> None:
        super().__init__(n_points, sigma=sigma, activation=activation)
        self.stride = stride
        self.decoder = decoder

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        heatmaps = self.heatmaps(maps)
        if self.decoder == "softargmax":
            points, confidence, covariance = soft_argmax(heatmaps)
        else:
            points, confidence, covariance = least_squares(heatmaps, self.sigma)
        return {
            "points": to_pixels(points, self.stride),
            "confidence": confidence,
            "covariance": covariance * self.stride**2,
        }
