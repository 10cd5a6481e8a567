"""Measures of segmentations against other implementations and known answers."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.vision.segmentation import (
    boundary_counts,
    boundary_f1,
    confusion_matrix,
    confusion_shares,
    metric_names,
    row,
    summarise,
)

NAMES = ("background", "egg", "pan")


def _random(seed: int, shape: tuple[int, int] = (23, 31), n: int = 3) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, n, (5, 6), dtype=np.uint8)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_NEAREST)


def _table(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    rows = [row(answer, truth, NAMES) for answer, truth in pairs]
    return {name: np.array([r[name] for r in rows]) for name in rows[0]}


def _disc(x: float, radius: float, *, index: int = 1) -> np.ndarray:
    canvas = np.zeros((100, 140), np.uint8)
    return cv2.circle(canvas, (int(x), 50), int(radius), index, cv2.FILLED)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ignored", [False, True])
def test_pooled_metrics_equal_torchmetrics(ignored: bool) -> None:
    import torch
    from torchmetrics.classification import (
        MulticlassAccuracy,
        MulticlassConfusionMatrix,
        MulticlassF1Score,
        MulticlassJaccardIndex,
    )

    rng = np.random.default_rng(1)
    pairs = []
    for seed in range(4):
        answer, truth = _random(seed), _random(seed + 10)
        if ignored:  # the same number in every picture: theirs weights pictures by their pixels
            truth = truth.copy()
            truth.flat[rng.permutation(truth.size)[:200]] = 255
        pairs.append((answer, truth))
    rows, weights = _table(pairs), np.ones(4)
    ours = summarise(rows, weights, NAMES)
    answers, truths = (torch.from_numpy(np.stack(x).astype(np.int64)) for x in zip(*pairs))  # noqa: B905

    def theirs(kind: type, average: str) -> np.ndarray:
        return kind(3, ignore_index=255, average=average)(answers, truths).numpy()

    jaccard = theirs(MulticlassJaccardIndex, "none")
    f1 = theirs(MulticlassF1Score, "none")
    assert [ours[f"iou_{name}"] for name in NAMES] == pytest.approx(jaccard.tolist())
    assert ours["miou"] == pytest.approx(float(theirs(MulticlassJaccardIndex, "macro")))
    assert [ours[f"dice_{name}"] for name in NAMES] == pytest.approx(f1.tolist())
    assert ours["dice"] == pytest.approx(f1.mean())
    accuracy = theirs(MulticlassAccuracy, "micro")
    assert ours["pixel_accuracy"] == pytest.approx(float(accuracy))
    matrix = MulticlassConfusionMatrix(3, ignore_index=255, normalize="true")(answers, truths)
    np.testing.assert_allclose(confusion_matrix(rows, weights, NAMES), matrix, atol=1e-6)


def test_shares_are_of_the_known_pixels() -> None:
    truth = np.array([[0, 1, 255], [2, 2, 255]], np.uint8)
    answer = np.array([[0, 2, 1], [2, 1, 0]], np.uint8)
    shares = confusion_shares(answer, truth, 3)
    np.testing.assert_array_equal(shares, [[0.25, 0, 0], [0, 0, 0.25], [0, 0.25, 0.25]])
    assert not confusion_shares(answer, np.full_like(truth, 255), 3).any()


def test_many_classes_fit() -> None:
    truth = np.arange(254, dtype=np.uint8)[None]
    shares = confusion_shares(truth[:, ::-1], truth, 254)
    np.testing.assert_allclose(shares, np.eye(254)[::-1] / 254)


def test_every_picture_adds_the_same_however_large() -> None:
    small, large = np.ones((4, 4), np.uint8), np.zeros((40, 40), np.uint8)
    rows = _table([(small, small), (small * 0 + large[:4, :4], small), (large, large)])
    assert summarise(rows, np.array([1.0, 0, 1]), NAMES)["pixel_accuracy"] == 1
    assert summarise(rows, np.array([0, 1.0, 3]), NAMES)["pixel_accuracy"] == 0.75
    assert summarise(rows, np.array([1.0, 1, 0]), NAMES)["iou_egg"] == 0.5


def test_classes_that_lack_in_truth_are_left_out() -> None:
    truth = np.zeros((4, 8), np.uint8)
    truth[:, 4:] = 1
    answer = truth.copy()
    answer[0, 0] = 2  # costs the background, but pan itself has no IoU
    metrics = summarise(_table([(answer, truth)]), np.ones(1), NAMES)
    assert np.isnan(metrics["iou_pan"])
    assert np.isnan(metrics["dice_pan"])
    assert metrics["iou_egg"] == 1
    assert metrics["miou"] == pytest.approx((1 + 15 / 16) / 2)
    assert metrics["dice"] == pytest.approx((1 + 30 / 31) / 2)


def test_nothing_known_gives_no_number() -> None:
    truth = np.full((3, 3), 255, np.uint8)
    metrics = summarise(_table([(truth * 0, truth)]), np.ones(1), NAMES)
    assert tuple(metrics) == metric_names(NAMES)
    assert all(np.isnan(value) for value in metrics.values())


@settings(max_examples=20, deadline=None)
@given(seeds=st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True))
def test_the_truth_itself_is_perfect_and_weights_are_repeats(seeds: list[int]) -> None:
    truths = [_random(seed) for seed in seeds]
    metrics = summarise(_table([(t, t) for t in truths]), np.ones(len(truths)), NAMES)
    assert {value for value in metrics.values() if np.isfinite(value)} == {1.0}
    pairs = [(_random(seed + 1), truth) for seed, truth in zip(seeds, truths, strict=True)]
    twice = summarise(_table(pairs + pairs[:1]), np.ones(len(pairs) + 1), NAMES)
    weighted = summarise(_table(pairs), np.array([2.0] + [1.0] * (len(pairs) - 1)), NAMES)
    assert twice == pytest.approx(weighted, nan_ok=True)


def test_boundaries_within_the_tolerance_agree() -> None:
    truth = _disc(60, 30)
    assert boundary_f1(boundary_counts(_disc(60, 28), truth, 3, 2.5)) == 1
    assert boundary_f1(boundary_counts(_disc(60, 20), truth, 3, 2.5)) == 0
    shifted = boundary_counts(_disc(64, 30), truth, 3, 2.5)
    assert 0.2 < boundary_f1(shifted) < 0.8


def test_boundary_hits_equal_a_search_of_all_pairs() -> None:
    answer, truth = _random(3), _random(4)
    counts = boundary_counts(answer, truth, 3, 2.0)
    for index in (1, 2):
        points = []
        for classes in (answer, truth):
            padded = np.pad(classes, 1, mode="edge")
            beside = [padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]]
            edge = np.any([other != classes for other in beside], axis=0) & (classes == index)
            points.append(np.argwhere(edge))
        gap = np.linalg.norm(points[0][:, None] - points[1][None], axis=2)
        near = gap <= 2.0
        expected = [near.any(1).sum(), len(points[0]), near.any(0).sum(), len(points[1])]
        assert counts[index - 1].tolist() == expected


def test_boundary_f1_by_hand_and_absent_classes() -> None:
    absent = [0, 0, 0, 0]
    precision, recall = 3 / 4, 1 / 2
    f1 = 2 * precision * recall / (precision + recall)
    assert boundary_f1(np.array([[3, 4, 5, 10], absent])) == pytest.approx(f1)
    assert boundary_f1(np.array([[3, 4, 5, 10], [0, 7, 0, 0]])) == pytest.approx(f1 / 2)
    assert np.isnan(boundary_f1(np.array([absent, absent])))
    assert boundary_f1(boundary_counts(_disc(60, 30), _disc(60, 30) * 0, 3, 5.0)) == 0


def test_neither_the_picture_s_border_nor_ignored_pixels_bound_anything() -> None:
    truth = np.ones((20, 20), np.uint8)
    truth[:5] = 255
    answer = np.ones_like(truth)
    answer[:5] = 2
    assert not boundary_counts(answer, truth, 3, 2.0).any()
    metrics = summarise(_table([(answer, truth)]), np.ones(1), NAMES)
    assert np.isnan(metrics["boundary_f1"])
    assert metrics["iou_egg"] == 1


def test_pictures_without_a_boundary_are_left_out_of_its_mean() -> None:
    flat = np.zeros((100, 140), np.uint8)
    pairs = [(_disc(60, 30), _disc(60, 30)), (flat, flat), (flat, _disc(60, 30))]
    rows = _table(pairs)
    assert summarise(rows, np.array([1.0, 5, 1]), NAMES)["boundary_f1"] == 0.5
    assert np.isnan(summarise(rows, np.array([0, 1.0, 0]), NAMES)["boundary_f1"])


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 1)])
def test_pictures_of_any_size(shape: tuple[int, int]) -> None:
    ones = np.ones(shape, np.uint8)
    assert summarise(_table([(ones, ones)]), np.ones(1), NAMES)["miou"] == 1
