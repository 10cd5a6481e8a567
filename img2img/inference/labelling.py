"""Proposals of masks for pictures without labels: regions that are named, or a sure network."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from img2img.data.sample import Image, Sample
from img2img.data.view import View
from img2img.inference.predictor import Predictor
from img2img.vision.classes import IGNORE, Classes
from img2img.vision.clusters import (
    Examples,
    Features,
    Labels,
    colour_position_features,
    examples_in,
    kmeans_regions,
    named,
    named_by_examples,
)
from img2img.vision.eggs_and_pans import name_region

if TYPE_CHECKING:
    from torch import nn

Proposer = Callable[[Image], Classes]
"""(H, W, 3) uint8 RGB to (H, W) class indices, `IGNORE` where it has no opinion."""
Segmenter = Callable[[Image], tuple[Labels, Features]]
"""(H, W, 3) uint8 RGB to (h, w) int32 regions and (h', w', C) float32 features by which regions are
compared, both of the whole picture at any size."""

WORKING_SIDE_PX = 256
"""Longest side at which pixels are clustered; outlines are no finer than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustering:
    """How pixels are clustered: into how many clusters, and how much their place counts beside
    their colour."""

    n_clusters: int = 8
    position_weight: float = 0.1
    seed: int = 0


def by_rule(segment: Segmenter) -> Proposer:
    """Regions named background, egg or pan by their colour and shape."""
    return lambda image: named(image, segment(image)[0], name_region)


def by_examples(segment: Segmenter, examples: Examples) -> Proposer:
    """Regions named as the example nearest to each; both come from the same `segment`."""
    return lambda image: named_by_examples(image, *segment(image), examples)


def by_model(predictor: Predictor, confidence: float) -> Proposer:
    """A trained network's classes where its confidence reaches `confidence`, else `IGNORE`."""

    def propose(image: Image) -> Classes:
        result: Any = predictor.run(image)
        return np.where(result.confidence >= confidence, result.classes, IGNORE).astype(np.uint8)

    return propose


def examples_of(segment: Segmenter, samples: Iterable[Sample]) -> Examples:
    """The regions of labelled pictures, one at least; none where no pixel has a label."""
    found = [
        examples_in(*segment(sample.image), sample.labels["classes"].astype(np.uint8))
        for sample in samples
    ]
    return Examples(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def by_colour(clustering: Clustering) -> Segmenter:
    """Regions from k-means on colour and position; they are compared by colour."""

    def segment(image: Image) -> tuple[Labels, Features]:
        features = colour_position_features(_shrunk(image), clustering.position_weight)
        labels = kmeans_regions(features, clustering.n_clusters, clustering.seed)
        return labels, features[..., :3]

    return segment


def by_encoder(encoder: str, clustering: Clustering) -> tuple[Segmenter, str]:
    """Regions from k-means on the features of a pretrained encoder, by which they are also
    compared, and a sentence on where its weights came from.

    Features of strides 4, 8 and 16 are brought to stride 4, each scaled to unit length.

    Raises:
        UsageError: no encoder has that name.
    """
    from img2img.models.network import ClassHead
    from img2img.models.registry import build, options_type

    name = f"unet:{encoder}"
    built = build(name, options_type(name)(name=name), ClassHead(2), pretrained=True)
    network = built.network.eval()

    def segment(image: Image) -> tuple[Labels, Features]:
        features = _encoder_features(network, _shrunk(image))
        return kmeans_regions(features, clustering.n_clusters, clustering.seed), features

    return segment, built.note


def _shrunk(image: Image) -> Image:
    """The picture with a longest side of at most `WORKING_SIDE_PX`."""
    height, width = image.shape[:2]
    if max(height, width) <= WORKING_SIDE_PX:
        return image
    rows, columns = View.letterbox(height, width, WORKING_SIDE_PX).inner
    return np.asarray(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)


def _encoder_features(network: "nn.Module", image: Image) -> Features:
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
