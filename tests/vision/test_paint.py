"""Classes painted over pictures."""

import numpy as np

from img2img.vision.classes import IGNORE
from img2img.vision.paint import class_colour, legend, tinted


def test_the_background_stays_and_objects_are_tinted_and_outlined() -> None:
    image = np.full((60, 80, 3), 100, np.uint8)
    classes = np.zeros((60, 80), np.uint8)
    classes[10:40, 10:40] = 1
    classes[20:50, 50:70] = IGNORE
    before = image.copy()
    painted = tinted(image, classes)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(painted[0, 0], image[0, 0])
    np.testing.assert_array_equal(painted[10, 25], class_colour(1))
    assert (painted[25, 25] != image[25, 25]).any()
    assert len(set(painted[30, 60].tolist())) == 1


def test_the_legend_names_what_is_there_where_there_is_room() -> None:
    image = np.full((200, 300, 3), 100, np.uint8)
    assert legend(image, {}) is image
    drawn = legend(image, {"egg": 1, "pan": 2})
    assert any((drawn == class_colour(index)).all(axis=2).any() for index in (1, 2))
    tiny = np.zeros((1, 1, 3), np.uint8)
    assert legend(tiny, {"egg": 1}) is tiny


def test_colours_repeat_but_never_give_the_background() -> None:
    colours = {tuple(class_colour(index).tolist()) for index in range(1, 40)}
    assert len(colours) == 7
    assert (0, 0, 0) not in colours
