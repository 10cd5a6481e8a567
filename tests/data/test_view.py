"""Views invert: points exactly, pictures where nothing was scaled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.data.view import View

sides = st.integers(1, 300)


@settings(deadline=None)
@given(height=sides, width=sides, size=st.integers(1, 300), seed=st.integers(0, 99))
def test_points_go_there_and_back(height: int, width: int, size: int, seed: int) -> None:
    view = View.letterbox(height, width, size)
    points = np.random.default_rng(seed).uniform(-10, 310, (5, 2))
    np.testing.assert_allclose(view.to_original(view.to_canvas(points)), points, atol=1e-9)


@given(height=sides, width=sides, size=st.integers(1, 300))
def test_corners_of_the_picture_are_corners_of_its_place(
    height: int, width: int, size: int
) -> None:
    """Pixel centres are at integers, so a picture reaches from -0.5 to its size minus 0.5."""
    view = View.letterbox(height, width, size)
    inner_height, inner_width = view.inner
    assert 1 <= inner_height <= size
    assert 1 <= inner_width <= size
    assert max(inner_height, inner_width) == size
    corners = view.to_canvas(np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]))
    expected = [
        [view.left - 0.5, view.top - 0.5],
        [view.left + inner_width - 0.5, view.top + inner_height - 0.5],
    ]
    np.testing.assert_allclose(corners, expected, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(height=st.integers(1, 40), width=st.integers(1, 40), factor=st.integers(1, 4))
def test_whole_multiples_come_back_exactly(height: int, width: int, factor: int) -> None:
    """Nearest values are kept where every pixel becomes a square of equal ones."""
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    same = View.letterbox(height, width, max(height, width))
    np.testing.assert_array_equal(same.restore_image(same.apply(image, fill=9)), image)
    view = View.letterbox(height, width, factor * max(height, width))
    blocks = image.repeat(factor, axis=0).repeat(factor, axis=1)
    canvas = np.zeros((view.canvas_height, view.canvas_width, 3), np.uint8)
    canvas[view.top :, view.left :][: blocks.shape[0], : blocks.shape[1]] = blocks
    np.testing.assert_array_equal(view.restore_image(canvas), image)


def test_a_whole_view_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    view = View.whole(5, 7)
    assert view.apply(image) is image
    np.testing.assert_array_equal(view.restore_image(image), image)
    np.testing.assert_array_equal(view.to_canvas(np.array([[3.0, 4.0]])), [[3.0, 4.0]])


def test_the_canvas_is_filled_around_the_picture() -> None:
    view = View.letterbox(10, 20, 40)
    canvas = view.apply(np.full((10, 20, 3), 200, np.uint8), fill=7)
    assert canvas.shape == (40, 40, 3)
    assert (canvas[10:30] == 200).all()
    assert (canvas[:10] == 7).all()
    assert (canvas[30:] == 7).all()


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_any_number_of_channels_survives(channels: tuple[int, ...]) -> None:
    view = View.letterbox(9, 5, 16)
    image = np.zeros((9, 5, *channels), np.float32)
    assert view.apply(image).shape == (16, 16, *channels)  # type: ignore[arg-type]
    assert view.restore_image(view.apply(image)).shape == image.shape  # type: ignore[arg-type]


@settings(deadline=None, max_examples=50)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    size=st.integers(1, 90),
    kind=st.sampled_from([np.uint8, np.int64, np.bool_]),
)
def test_classes_get_no_new_values(height: int, width: int, size: int, kind: type) -> None:
    classes = (np.random.default_rng(0).integers(0, 2, (height, width)) * 2).astype(kind)
    view = View.letterbox(height, width, size)
    canvas = view.apply(classes, labels=True)  # type: ignore[arg-type]
    assert canvas.shape == (size, size)
    back = view.restore_classes(canvas)
    assert back.shape == classes.shape
    assert back.dtype == canvas.dtype == kind
    assert set(np.unique(back)) <= set(np.unique(classes))
    assert set(np.unique(canvas)) <= {*np.unique(classes), 0}
    if size >= max(height, width):
        np.testing.assert_array_equal(back, classes)


def test_a_mean_of_two_classes_is_what_restore_image_would_give() -> None:
    view = View.letterbox(8, 8, 4)
    canvas = np.array([[0, 2, 0, 2]] * 4, np.uint8)
    assert set(np.unique(view.restore_image(canvas))) == {0, 1, 2}
    assert set(np.unique(view.restore_classes(canvas))) == {0, 2}
