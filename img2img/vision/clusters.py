"""Proposals without a trained network: pixels clustered by their features, clusters named."""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.vision.classes import IGNORE, Classes
from img2img.vision.types import Image

Features = NDArray[np.float32]
Labels = NDArray[np.int32]
NameRegion = Callable[[Image, NDArray[np.bool_]], tuple[int, float]]
"""(picture, mask) → (class, score in 0…1), as `eggs_and_pans.name_region`."""

_MOST_POINTS = 20_000
"""More say nothing new about a few centres, and take seconds."""
_LEAST_SHARE = 0.0005
"""Of the picture: smaller parts of a cluster are specks."""


def colour_position_features(image: Image, position_weight: float) -> Features:
    """(H, W, 5): blurred CIELAB (L in 0…100), then x and y of the pixel, of a picture (H, W, 3)
    uint8 RGB. The longer side is as long as `position_weight` times black is from white."""
    height, width = image.shape[:2]
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    blurred = cv2.GaussianBlur(lab, (0, 0), max(0.5, max(height, width) / 200))
    y, x = np.mgrid[:height, :width] * (100 * position_weight / max(height, width))
    return np.dstack([blurred, x, y]).astype(np.float32)


def kmeans_regions(features: Features, k: int, seed: int) -> Labels:
    """(H, W) int32: which of at most `k` clusters of features (H, W, C) each pixel belongs to."""
    centres = kmeans_centres(features.reshape(-1, features.shape[-1]), k, seed)
    return nearest_centres(features, centres)


def kmeans_centres(points: Features, k: int, seed: int) -> Features:
    """(at most k, C): centres of points (N, C) by k-means from k-means++ starts, the best of three.
    The same for the same seed.

    Source: Arthur, Vassilvitskii: k-means++, SODA 2007.
    """
    if len(points) > _MOST_POINTS:
        points = points[
            np.random.default_rng(seed).choice(len(points), _MOST_POINTS, replace=False)
        ]
    if len(points) <= k:  # and cv2 takes one point of C features for C points of one
        return np.array(points, np.float32)
    cv2.setRNGSeed(seed)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 30, 0.01)
    start = np.empty(0, np.int32)  # that `flags` leaves unread
    points = np.ascontiguousarray(points, np.float32)
    _, _, centres = cv2.kmeans(points, k, start, stop, 3, cv2.KMEANS_PP_CENTERS)
    return np.asarray(centres, np.float32)


def nearest_centres(features: Features, centres: Features) -> Labels:
    """(…) int32: index of the centre (k, C) nearest to each of the features (…, C)."""
    # |f - c|² without |f|², which is the same for every centre.
    distances = (centres**2).sum(axis=1) - 2 * features @ centres.T
    return np.asarray(distances.argmin(axis=-1), np.int32)


def named(image: Image, labels: Labels, name_region: NameRegion) -> Classes:
    """(H, W) classes of a picture (H, W, 3) uint8 RGB: each connected part of each cluster gets the
    name that `name_region` gives it, with its holes; surer names lie over others. What is a speck
    or has no name is background.

    Args:
        image: the picture.
        labels: (h, w) int32 clusters, of the whole picture at any size.
        name_region: called with the picture at the size of `labels`.
    """
    height, width = labels.shape
    small = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    found = []
    for part in _parts(labels):
        index, score = name_region(small, part > 0)
        if index != 0:
            found.append((score, index, part))
    classes = np.zeros(labels.shape, np.uint8)
    for _, index, part in sorted(found, key=lambda one: one[0]):
        classes[part > 0] = index
    size = (image.shape[1], image.shape[0])
    return np.asarray(cv2.resize(classes, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def _parts(labels: Labels) -> list[Image]:
    """Masks (h, w) of the connected parts of all clusters, opened by a pixel, holes filled."""
    parts = []
    block = np.ones((3, 3), np.uint8)
    for label in np.unique(labels):
        mask = cv2.morphologyEx((labels == label).astype(np.uint8), cv2.MORPH_OPEN, block)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for outline in outlines:
            part = cv2.drawContours(np.zeros(labels.shape, np.uint8), [outline], -1, 1, cv2.FILLED)
            if part.sum() >= _LEAST_SHARE * labels.size:
                parts.append(np.asarray(part, np.uint8))
    return parts


class NamedCentres(NamedTuple):
    """Clusters that have names: `centres` (k, C) float32 and `names` (k,) uint8 classes."""

    centres: Features
    names: Classes

    def classes(self, features: Features) -> Classes:
        """(…) uint8: the names of the centres nearest to features (…, C)."""
        return self.names[nearest_centres(features, self.centres)]


def named_by_examples(features: Features, classes: Classes, *, k: int, seed: int) -> NamedCentres:
    """Clusters of the pixels of several pictures together, named by those that have labels.

    A cluster has the class of most of its labelled pixels; without any, that of the nearest cluster
    that has some.

    Args:
        features: (N, C) of the pixels of all pictures.
        classes: (N,) uint8, `IGNORE` where a pixel has no label; one at least must have one.
        k: number of clusters.
        seed: of the clustering.
    """
    centres = kmeans_centres(features, k, seed)
    known = classes != IGNORE
    votes = np.zeros((len(centres), IGNORE), np.int64)
    np.add.at(votes, (nearest_centres(features[known], centres), classes[known]), 1)
    voted = np.flatnonzero(votes.any(axis=1))
    teacher = voted[nearest_centres(centres, centres[voted])]
    return NamedCentres(centres, votes[teacher].argmax(axis=1).astype(np.uint8))
