"""The classical baseline on drawn eggs and pans, and at sizes that break things."""

import cv2
import numpy as np
import pytest

from img2img.vision.eggs_and_pans import BACKGROUND, EGG, PAN, find_eggs_and_pans, name_region

WORKTOP, BROWN, WHITE, DARK, BLUE = (
    (120, 122, 121), (196, 140, 100), (236, 232, 224), (45, 46, 47), (70, 110, 200)
)  # fmt: skip


def _picture(*, scale: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A brown egg, a white one, a pan with its handle, and a blue ball that is none of these."""
    image = np.full((240 * scale, 320 * scale, 3), WORKTOP, np.uint8)
    truth = np.zeros(image.shape[:2], np.uint8)

    def ellipse(x: int, y: int, axes: tuple[int, int], colour: tuple[int, ...], name: int) -> None:
        at, radii = (x * scale, y * scale), (axes[0] * scale, axes[1] * scale)
        cv2.ellipse(image, at, radii, 20, 0, 360, colour, cv2.FILLED)
        cv2.ellipse(truth, at, radii, 20, 0, 360, name, cv2.FILLED)

    handle = ((220 * scale, 130 * scale), (300 * scale, 60 * scale))
    cv2.line(image, *handle, DARK, 10 * scale)
    cv2.line(truth, *handle, PAN, 10 * scale)
    ellipse(200, 150, (50, 46), DARK, PAN)
    ellipse(60, 60, (18, 14), BROWN, EGG)
    ellipse(70, 180, (17, 13), WHITE, EGG)
    ellipse(140, 40, (17, 14), BLUE, BACKGROUND)
    image = cv2.GaussianBlur(image, (0, 0), scale)
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), truth


@pytest.mark.parametrize("scale", [1, 3])
def test_drawn_eggs_and_pans_are_found_and_nothing_else(scale: int) -> None:
    image, truth = _picture(scale=scale)
    found = find_eggs_and_pans(image)
    assert found.shape == truth.shape
    assert found.dtype == np.uint8
    for index in (BACKGROUND, EGG, PAN):
        both = ((found == index) & (truth == index)).sum()
        assert both / ((found == index) | (truth == index)).sum() > 0.8


def test_an_egg_in_a_pan_lies_over_it() -> None:
    image, _ = _picture()
    cv2.ellipse(image, (200, 150), (18, 14), 0, 0, 360, BROWN, cv2.FILLED)
    found = find_eggs_and_pans(image)
    assert found[150, 200] == EGG
    assert found[150, 235] == PAN


def test_regions_are_named_by_colour_and_shape() -> None:
    image, _ = _picture()
    for (x, y), radius, expected in (
        ((60, 60), 16, EGG), ((70, 180), 15, EGG), ((200, 150), 48, PAN),
        ((140, 40), 15, BACKGROUND), ((20, 220), 16, BACKGROUND),
    ):  # fmt: skip
        mask = cv2.circle(np.zeros(image.shape[:2], np.uint8), (x, y), radius, 1, cv2.FILLED)
        name, score = name_region(image, mask > 0)
        assert name == expected
        assert 0.3 <= score <= 1


def test_a_shape_that_is_no_egg_s_is_none_whatever_its_colour() -> None:
    image = np.full((240, 320, 3), WORKTOP, np.uint8)
    cv2.line(image, (40, 40), (200, 60), BROWN, 12)
    mask = (image == BROWN).all(axis=2)
    assert name_region(image, mask)[0] == BACKGROUND
    assert not find_eggs_and_pans(image).any()


@pytest.mark.parametrize("colour", [(250, 220, 20), (60, 180, 80), (240, 150, 190), (90, 90, 200)])
def test_a_ball_of_another_colour_is_no_egg(colour: tuple[int, int, int]) -> None:
    image = np.full((240, 320, 3), WORKTOP, np.uint8)
    cv2.ellipse(image, (160, 120), (22, 18), 0, 0, 360, colour, cv2.FILLED)
    assert not find_eggs_and_pans(image).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (400, 1), (3, 1500)])
def test_pictures_of_any_size(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert find_eggs_and_pans(image).shape == shape
    for region in (np.ones(shape, np.bool_), np.zeros(shape, np.bool_)):
        assert name_region(image, region) == (BACKGROUND, 1)


def test_an_even_picture_shows_nothing_and_the_same_picture_gives_the_same() -> None:
    assert not find_eggs_and_pans(np.full((50, 70, 3), 200, np.uint8)).any()
    image, _ = _picture()
    np.testing.assert_array_equal(find_eggs_and_pans(image), find_eggs_and_pans(image.copy()))
