"""Turned squares over a picture."""

import numpy as np

from img2img.vision.draw_squares import draw_squares

SQUARE = np.array([[[40.0, 40.0], [80.0, 40.0], [80.0, 80.0], [40.0, 80.0]]])


def test_a_square_its_top_and_its_score_are_drawn() -> None:
    image = np.full((120, 120, 3), 90, np.uint8)
    drawn = draw_squares(image, SQUARE, np.array([0.87]))
    changed = (drawn != image).any(axis=2)
    assert changed[40, 45:75].all()
    assert changed[45:75, 40].all()
    assert changed[42:58, 60].all()  # from the centre to the top
    assert not changed[64:76, 60].any()
    assert changed[26:38, 40:66].any()  # the number
    assert (image == 90).all()


def test_nothing_is_drawn_for_no_face_and_none_fails_outside() -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    np.testing.assert_array_equal(draw_squares(image, SQUARE[:0], np.zeros(0)), image)
    assert draw_squares(image, SQUARE * 1e6, np.array([0.5])).shape == image.shape
