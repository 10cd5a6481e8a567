"""Heads that end a network in points: heatmaps, coordinates, coefficients of a shape."""

import math
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from img2img.models.network import Head
from img2img.vision.heatmap_losses import from_unit
from img2img.vision.heatmap_tensors import least_squares, soft_argmax
from img2img.vision.heatmaps import to_pixels
from img2img.vision.shape_model import ShapeModel

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
        stride: pixels of the picture to a cell of the maps.
    """

    outputs: ClassVar[tuple[str, ...]] = ("heatmaps",)

    def __init__(
        self, n_maps: int, *, sigma: float, activation: Activation, stride: int = 1
    ) -> None:
        super().__init__()
        self.n_maps = n_maps
        self.stride = stride
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
    Gaussian in the map: (σ · stride)² times the identity where the map is perfect; and the
    `heatmaps` themselves.

    Args:
        n_points: P.
        sigma: deviation of the Gaussians that the network learned, in cells of its maps.
        activation, stride: as in `HeatmapHead`.
        decoder: of `heatmaps.DECODERS`, the two that are graphs.
    """

    outputs = ("points", "confidence", "covariance", "heatmaps")

    def __init__(
        self,
        n_points: int,
        *,
        sigma: float,
        activation: Activation,
        stride: int = 1,
        decoder: Literal["least_squares", "softargmax"] = "least_squares",
    ) -> None:
        super().__init__(n_points, sigma=sigma, activation=activation, stride=stride)
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
            "heatmaps": heatmaps,
        }


class CoordinateHead(Head):
    """Coordinates as numbers: maps (B, 2P, 1, 1) are x and y in -1…1 from edge to edge.

    Gives `points` (B, P, 2) float32 in pixels of the network's picture, and `confidence` (B, P),
    which is 1, as nothing is known of it.

    Args:
        n_points: P.
        size_px: side of the network's square picture.
    """

    outputs: ClassVar[tuple[str, ...]] = ("points", "confidence")
    takes_numbers = True
    size: Tensor

    def __init__(self, n_points: int, *, size_px: int) -> None:
        super().__init__()
        self.n_maps = 2 * n_points
        self.n_points = n_points
        self.register_buffer("size", torch.tensor([size_px, size_px], dtype=torch.float32))

    def units(self, maps: Tensor) -> Tensor:
        """(B, P, 2) in -1…1."""
        units: Tensor = maps.flatten(1).unflatten(1, (self.n_points, 2))
        return units

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        points = from_unit(self.units(maps), self.size.to(maps.dtype))
        # Not ones_like: the exporter would freeze the batch's size.
        return {"points": points, "confidence": points[..., 0] * 0 + 1}


class ShapeHead(CoordinateHead):
    """Coefficients of a shape model (principal components): maps (B, K, 1, 1) are in deviations.

    The mean and the components, in -1…1 from edge to edge, travel with the weights.

    Args:
        n_points, size_px: as in `CoordinateHead`.
        n_components: K.
        model: the shapes that were learned from; none where weights follow.
    """

    mean: Tensor
    components: Tensor

    def __init__(
        self, n_points: int, *, size_px: int, n_components: int, model: ShapeModel | None = None
    ) -> None:
        super().__init__(n_points, size_px=size_px)
        self.n_maps = n_components
        mean = np.zeros((n_points, 2), np.float32)
        components = np.zeros((n_components, n_points, 2), np.float32)
        if model is not None:
            mean = model.mean.astype(np.float32)
            scaled = model.components * np.sqrt(model.variances)[:, None, None]
            components[: len(scaled)] = scaled[:n_components]
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("components", torch.from_numpy(components))

    def units(self, maps: Tensor) -> Tensor:
        shift: Tensor = maps.flatten(1) @ self.components.flatten(1).to(maps.dtype)
        return self.mean.to(maps.dtype) + shift.view(-1, self.n_points, 2)


class SharedHead(HeatmapHead):
    """Heatmaps of several points each, and the shape model that tells the points apart.

    Beside `heatmaps` it gives the model (`ShapeModel.to_arrays`), the same for every picture, under
    the names `shape_mean` and so on.

    Args:
        n_points: of the shape.
        n_components: greatest number of components of the shape model.
        model: the shapes that were learned from; none where weights follow.
    """

    outputs: ClassVar[tuple[str, ...]] = (
        "heatmaps", "shape_mean", "shape_components", "shape_variances", "shape_noise_variance",
    )  # fmt: skip

    def __init__(
        self,
        n_maps: int,
        *,
        sigma: float,
        activation: Activation,
        stride: int,
        n_points: int,
        n_components: int,
        model: ShapeModel | None = None,
    ) -> None:
        super().__init__(n_maps, sigma=sigma, activation=activation, stride=stride)
        shapes = {
            "mean": (n_points, 2),
            "components": (n_components, n_points, 2),
            "variances": (n_components,),
            "noise_variance": (1,),
        }
        known = {} if model is None else model.to_arrays()
        for name, shape in shapes.items():
            array = np.zeros(shape, np.float32)
            if name in known:
                array[: len(known[name])] = known[name][: len(array)]
            self.register_buffer(f"shape_{name}", torch.from_numpy(array))

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        answers = {"heatmaps": self.heatmaps(maps)}
        for name in self.outputs[1:]:
            array = getattr(self, name)
            answers[name] = array.expand(maps.shape[0], *array.shape)
        return answers


class DecodedLoss(nn.Module):
    """A loss of coordinates in -1…1, of maps that `head` turns into them.

    Args:
        head: gives `units`.
        loss: of (B, P, 2) and the batch.
    """

    def __init__(self, head: CoordinateHead, loss: nn.Module) -> None:
        super().__init__()
        self.head = head
        self.loss = loss

    def forward(self, maps: Tensor, batch: dict[str, Tensor]) -> Tensor:
        loss: Tensor = self.loss(self.head.units(maps), batch)
        return loss
