"""Proposals of masks for pictures without labels: clusters that are named, or a sure network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Image
from img2img.data.view import View
from img2img.inference.predictor import Predictor
from img2img.vision.classes import IGNORE, Classes
from img2img.vision.clusters import colour_position_features, kmeans_regions, named
from img2img.vision.eggs_and_pans import name_region

if TYPE_CHECKING:
    from torch import nn

Method = Literal["kmeans", "encoder-kmeans", "model"]
Proposer = Callable[[Image], Classes]
"""(H, W, 3) uint8 RGB to (H, W) class indices, `IGNORE` where it has no opinion."""

WORKING_SIDE_PX = 256
"""Longest side at which pixels are clustered; outlines are no finer than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustering:
    """How pixels are clustered: into how many clusters, and how much their place counts beside
    their colour."""

    n_clusters: int = 8
    position_weight: float = 0.1
    seed: int = 0


def by_colour(clustering: Clustering) -> Proposer:
    """Proposals from k-means on colour and position; regions are named by colour and shape."""

    def propose(image: Image) -> Classes:
        def features(small: Image) -> NDArray[np.float32]:
            return colour_position_features(small, clustering.position_weight)

        return _clustered(image, features, clustering)

    return propose


def by_encoder(encoder: str, clustering: Clustering) -> tuple[Proposer, str]:
    """Proposals from k-means on the features of a pretrained encoder, and a sentence on where its
    weights came from.

    Features of strides 4, 8 and 16 are brought to stride 4, each scaled to unit length.

    Raises:
        UsageError: no encoder has that name.
    """
    from img2img.models.network import ClassHead
    from img2img.models.registry import build, options_type

    name = f"unet:{encoder}"
    built = build(name, options_type(name)(name=name), ClassHead(2), pretrained=True)
    network = built.network.eval()

    def propose(image: Image) -> Classes:
        return _clustered(image, lambda small: _encoder_features(network, small), clustering)

    return propose, built.note


def by_model(predictor: Predictor, confidence: float) -> Proposer:
    """A trained network's classes where its confidence reaches `confidence`, else `IGNORE`."""

    def propose(image: Image) -> Classes:
        result: Any = predictor.run(image)
        return np.where(result.confidence >= confidence, result.classes, IGNORE).astype(np.uint8)

    return propose


def _clustered(
    image: Image, features: Callable[[Image], NDArray[np.float32]], clustering: Clustering
) -> Classes:
    height, width = image.shape[:2]
    side = min(WORKING_SIDE_PX, max(height, width))
    view = View.letterbox(height, width, side)
    rows, columns = (slice(start, start + n) for start, n in zip((view.top, view.left), view.inner,
                                                                 strict=True))  # fmt: skip
    small = np.ascontiguousarray(view.apply(image)[rows, columns])
    labels = kmeans_regions(features(small), clustering.n_clusters, clustering.seed)
    canvas = np.zeros((side, side), np.uint8)
    canvas[rows, columns] = named(small, labels, name_region)
    return view.restore_classes(canvas)


def _encoder_features(network: "nn.Module", image: Image) -> NDArray[np.float32]:
    """(H, W, C) float32."""
    import torch
    from torch.nn import functional as F

    net: Any = network
    height, width = image.shape[:2]
    canvas = cv2.copyMakeBorder(image, 0, -height % 32, 0, -width % 32, cv2.BORDER_REPLICATE)
    with torch.inference_mode():
        x = (torch.from_numpy(canvas)[None].permute(0, 3, 1, 2) / 255 - net.mean) / net.std
        levels = net.encoder(x)[2:5]
        parts = [
            F.interpolate(F.normalize(level, dim=1), levels[0].shape[-2:], mode="bilinear")
            for level in levels
        ]
        whole = F.interpolate(torch.cat(parts, dim=1), canvas.shape[:2], mode="bilinear")
    return np.ascontiguousarray(whole[0].permute(1, 2, 0).numpy()[:height, :width])
