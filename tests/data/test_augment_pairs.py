"""Random squares of pairs."""

import numpy as np
import pytest

from img2img.data.augment_pairs import PairAugmenter, PairAugmentOptions, square

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
TARGET = 255 - IMAGE


def pairs(options: PairAugmentOptions, n: int = 40) -> list[tuple[np.ndarray, np.ndarray]]:
    augmenter = PairAugmenter(options, size=16)
    return [augmenter(IMAGE, TARGET, np.random.default_rng(seed)) for seed in range(n)]


@pytest.mark.parametrize("channels", [1, 3])
def test_both_pictures_show_the_same_place(channels: int) -> None:
    augmenter = PairAugmenter(PairAugmentOptions(), size=16)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        image, target = augmenter(IMAGE, TARGET[..., :channels], rng)
        assert image.shape == (16, 16, 3)
        np.testing.assert_array_equal(target, 255 - image[..., :channels])


def test_flips_and_turns_can_be_left_out() -> None:
    windows = np.lib.stride_tricks.sliding_window_view(IMAGE, (16, 16, 3))
    known = {window.tobytes() for window in windows.reshape(-1, 16, 16, 3)}
    plain = PairAugmentOptions(flip=False, turn=False)
    assert all(image.tobytes() in known for image, _ in pairs(plain))
    turned = [image.tobytes() in known for image, _ in pairs(PairAugmentOptions())]
    assert 0 < sum(turned) < 20  # an eighth on average


def test_light_changes_the_input_alone() -> None:
    lit = pairs(PairAugmentOptions(strength=1.0), 8)
    for (image, target), (_, same) in zip(lit, pairs(PairAugmentOptions(), 8), strict=True):
        np.testing.assert_array_equal(target, same)
        assert image.shape == target.shape
    assert sum((image != 255 - target).any() for image, target in lit) > 4


def test_squares_lie_anywhere_or_in_the_middle() -> None:
    np.testing.assert_array_equal(square(IMAGE, 20, None), IMAGE[10:30, 18:38])
    rng = np.random.default_rng(0)
    corners = {square(IMAGE, 39, rng).tobytes() for _ in range(200)}
    assert len(corners) == 2 * 18
    np.testing.assert_array_equal(square(IMAGE[:1], 3, None)[:, 0], IMAGE[[0, 0, 0], 26])
    np.testing.assert_array_equal(square(IMAGE[:5, :5], 8, None)[5:, 0], IMAGE[[3, 2, 1], 0])
