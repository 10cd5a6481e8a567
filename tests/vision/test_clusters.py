"""Clusters of drawn pictures, and the names that they get."""

from functools import partial

import cv2
import numpy as np
import pytest

from img2img.vision.clusters import (
    Examples,
    colour_position_features,
    examples_in,
    kmeans_centres,
    kmeans_regions,
    named,
    named_by_examples,
    nearest_centres,
)


def _picture() -> tuple[np.ndarray, np.ndarray]:
    """Two red discs of different sizes and a green square on grey."""
    truth = np.zeros((60, 90), np.uint8)
    cv2.circle(truth, (20, 20), 10, 1, cv2.FILLED)
    cv2.circle(truth, (60, 15), 6, 1, cv2.FILLED)
    cv2.rectangle(truth, (50, 35), (75, 52), 2, cv2.FILLED)
    palette = np.array([[128, 128, 128], [220, 40, 40], [30, 180, 60]], np.uint8)
    noise = np.random.default_rng(0).integers(-6, 7, (60, 90, 3))
    return np.clip(palette[truth] + noise, 0, 255).astype(np.uint8), truth


def _by_colour(image: np.ndarray, region: np.ndarray) -> tuple[int, float]:
    red, green, _ = image[region].mean(axis=0)
    return (1, 0.9) if red > green + 40 else (2, 0.8) if green > red + 40 else (0, 1.0)


def test_clusters_named_region_by_region_give_the_truth_back() -> None:
    image, truth = _picture()
    labels = kmeans_regions(colour_position_features(image, 0.0), 3, 0)
    assert labels.shape == truth.shape
    assert labels.dtype == np.int32
    assert (named(image, labels, _by_colour) == truth).mean() > 0.97


def test_labels_may_be_smaller_than_the_picture() -> None:
    image, truth = _picture()
    large = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)
    labels = kmeans_regions(colour_position_features(image, 0.0), 3, 0)
    classes = named(large, labels, _by_colour)
    assert classes.shape == (180, 270)
    assert (classes[1::3, 1::3] == truth).mean() > 0.97


def test_parts_of_one_cluster_are_named_apart_with_their_holes_and_without_specks() -> None:
    image, truth = _picture()
    labels = (truth == 1).astype(np.int32)
    labels[18:22, 18:22] = 2  # a highlight in the large disc
    labels[50, 5] = 1
    seen: list[int] = []

    def large_only(image: np.ndarray, region: np.ndarray) -> tuple[int, float]:
        seen.append(int(region.sum()))
        return (1, 1.0) if 200 < region.sum() < 400 else (0, 1.0)

    classes = named(image, labels, large_only)
    assert min(seen) > 1
    assert classes[20, 20] == 1
    assert not classes[15, 60]
    assert not classes[50, 5]


def test_surer_names_lie_over_others() -> None:
    image, truth = _picture()
    labels = np.zeros(truth.shape, np.int32)
    labels[10:50, 10:80] = 1
    labels[20:30, 20:40] = 2

    def by_size(image: np.ndarray, region: np.ndarray, *, inner_score: float) -> tuple[int, float]:
        size = region.sum()
        return (0, 1.0) if size > 5000 else (1, 0.5) if size > 1000 else (2, inner_score)

    for score, expected in ((0.9, 2), (0.1, 1)):
        assert named(image, labels, partial(by_size, inner_score=score))[25, 30] == expected


def test_the_position_tells_equal_colours_apart() -> None:
    image = np.full((20, 40, 3), 90, np.uint8)
    features = colour_position_features(image, 2.0)
    assert features.shape == (20, 40, 5)
    assert np.ptp(features[..., 3]) == pytest.approx(200 * 39 / 40)
    labels = kmeans_regions(features, 2, 0)
    assert len(np.unique(labels[:, :15])) == len(np.unique(labels[:, 25:])) == 1
    assert labels[0, 0] != labels[0, -1]
    assert len(np.unique(kmeans_regions(colour_position_features(image, 0.0), 2, 0))) == 1


def test_the_same_seed_gives_the_same_centres_of_many_points() -> None:
    points = np.random.default_rng(0).normal(size=(50_000, 3)).astype(np.float32)
    first, again, other = (kmeans_centres(points, 6, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_nearest_centre_is_nearest() -> None:
    rng = np.random.default_rng(0)
    points, centres = (rng.normal(size=(n, 4)).astype(np.float32) for n in (200, 7))
    gaps = np.linalg.norm(points[:, None] - centres, axis=2)
    np.testing.assert_array_equal(nearest_centres(points, centres), gaps.argmin(axis=1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 2)])
def test_pictures_smaller_than_the_clusters(shape: tuple[int, int]) -> None:
    image = np.zeros((*shape, 3), np.uint8)
    labels = kmeans_regions(colour_position_features(image, 0.5), 8, 0)
    assert named(image, labels, _by_colour).shape == shape


def _clustered(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features = colour_position_features(image, 0.0)[..., :3]
    return kmeans_regions(features, 4, 0), features


def test_examples_name_the_regions_of_another_picture() -> None:
    image, truth = _picture()
    partly = truth.copy()
    partly[:, :10] = 255
    examples = examples_in(*_clustered(image), partly)
    assert set(examples.names.tolist()) == {0, 1, 2}
    other = np.ascontiguousarray(image[:, ::-1])
    found = named_by_examples(other, *_clustered(other), examples)
    assert (found == truth[:, ::-1]).mean() > 0.95


def test_the_sizes_of_labels_features_truth_and_picture_may_differ() -> None:
    image, truth = _picture()
    labels, features = _clustered(image)
    large = cv2.resize(truth, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    examples = examples_in(labels, features[::3, ::3], large)
    picture = cv2.resize(image, None, fx=2, fy=2)
    found = named_by_examples(picture, labels, features[::3, ::3], examples)
    assert found.shape == (120, 180)
    assert (found[::2, ::2] == truth).mean() > 0.95


def test_a_background_in_a_thing_lies_over_it() -> None:
    labels = np.zeros((60, 60), np.int32)
    labels[10:50, 10:50] = 1
    labels[20:40, 20:40] = 2
    features = labels[..., None].astype(np.float32)
    examples = Examples(np.float32([[0], [1], [2]]), np.uint8([1, 1, 0]))
    image = np.zeros((60, 60, 3), np.uint8)
    found = named_by_examples(image, labels, features, examples)
    np.testing.assert_array_equal(found, (labels != 2).astype(np.uint8))


def test_features_count_in_deviations_and_one_that_never_varies_says_nothing() -> None:
    features = np.float32([[0, 0, 7], [0, 1000, 7], [1, 0, 7], [1, 1000, 7]])
    examples = Examples(features, np.uint8([0, 0, 1, 1]))
    asked = np.float32([[0.1, 400, 7], [0.9, 400, 7]])
    assert examples.classes(asked).tolist() == [0, 1]


def test_regions_without_labels_are_no_examples() -> None:
    image, truth = _picture()
    examples = examples_in(*_clustered(image), np.full_like(truth, 255))
    assert len(examples.features) == len(examples.names) == 0
