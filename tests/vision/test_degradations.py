"""What makes worse pictures of good ones."""

import numpy as np
import pytest

from img2img.errors import UsageError
from img2img.vision.degradations import Degradation, grey

GREY = np.full((64, 80, 3), 128, np.uint8)
PHOTO = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)


def degraded(text: str, image: np.ndarray = PHOTO, seed: int = 0) -> np.ndarray:
    return Degradation.parse(text)(image, np.random.default_rng(seed))


def test_noise_has_its_deviation_and_is_drawn_from_the_generator() -> None:
    for sigma in (10, 40):
        noise = degraded(f"noise:{sigma}", GREY).astype(float) - 128
        assert noise.std() == pytest.approx(sigma, rel=0.05)
        assert abs(noise.mean()) < sigma / 20
    np.testing.assert_array_equal(degraded("noise"), degraded("noise:25"))
    assert (degraded("noise", seed=1) != degraded("noise")).any()


def test_blur_keeps_what_is_flat_and_calms_the_rest() -> None:
    np.testing.assert_array_equal(degraded("blur", GREY), GREY)
    assert degraded("blur:3").std() < degraded("blur:1").std() < PHOTO.std()


def test_grey_has_one_value_a_pixel() -> None:
    plain = degraded("grey")
    assert (plain == plain[..., :1]).all()
    np.testing.assert_array_equal(plain[..., 0], grey(PHOTO))
    np.testing.assert_array_equal(grey(plain), plain[..., 0])


def test_edges_are_black_on_white() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 30:] = 200
    lines = degraded("edges", picture)
    assert set(np.unique(lines)) == {0, 255}
    columns = np.flatnonzero((lines[..., 0] == 0).all(axis=0))
    assert len(columns) == 1
    assert abs(columns[0] - 29.5) < 2


@pytest.mark.parametrize("text", ["noise", "blur", "grey", "edges"])
def test_any_size_and_no_picture_is_written_to(text: str) -> None:
    for size in ((1, 1), (1, 9), (7, 2), (33, 20)):
        picture = PHOTO[: size[0], : size[1]]
        before = picture.copy()
        worse = degraded(text, picture)
        assert (worse.shape, worse.dtype) == (picture.shape, np.uint8)
        np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize("text", ["noise:25", "blur:1.5", "grey", "edges"])
def test_texts_come_back(text: str) -> None:
    assert str(Degradation.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nois", "did you mean 'noise'"),
        ("noise:", "noise:25"),
        ("noise:0", "above 0"),
        ("noise:nan", "above 0"),
        ("blur:much", "blur:2"),
        ("grey:2", "has no strength"),
    ],
)
def test_other_texts_are_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Degradation.parse(text)
