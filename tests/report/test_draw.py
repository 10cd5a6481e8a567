"""Captions, sheets and error pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from img2img.data import images
from img2img.data.sample import Sample
from img2img.errors import InputError
from img2img.report.draw import (
    contact_sheet,
    error_picture,
    fit,
    grid,
    label,
    panels,
    side_by_side,
)
from img2img.tasks.segmentation import Segmentation
from img2img.tasks.segmentation_options import SegmentationOptions
from img2img.tasks.sobel import Sobel, SobelOptions


def grey(height, width, level):
    return np.full((height, width, 3), level, np.uint8)


def ink_rows(band):
    """Rows of a caption that hold ink."""
    return np.flatnonzero((band < 100).any(axis=(1, 2)))


def test_label_keeps_the_picture_and_puts_the_caption_under_it():
    picture = np.random.default_rng(0).integers(0, 256, (100, 240, 3), np.uint8)
    drawn = label(picture, "Answer")
    assert drawn.dtype == np.uint8
    assert drawn.shape[1:] == (240, 3)
    assert np.array_equal(drawn[:100], picture)
    assert len(ink_rows(drawn[100:])) >= 7


def test_long_captions_take_more_lines_and_stay_inside():
    short, long = label(grey(50, 224, 9), "error"), label(grey(50, 224, 9), "error " * 20)
    assert long.shape[0] > short.shape[0] + 20
    assert (long[50:, -1] == 255).all()


def test_a_word_wider_than_the_picture_is_cut():
    drawn = label(grey(20, 60, 9), "x" * 200)
    assert drawn.shape[1] == 60
    assert drawn.shape[0] < 60


def test_captions_grow_with_the_picture():
    small = ink_rows(label(grey(10, 224, 255), "E")[10:])
    large = ink_rows(label(grey(10, 900, 255), "E")[10:])
    assert len(large) > 2 * len(small)


@pytest.mark.parametrize("text", ["", "größe × 3 – 日本", "\ud800"])
def test_any_text_can_be_a_caption(text):
    assert label(grey(30, 224, 0), text).shape[0] > 30


def test_side_by_side_takes_any_sizes_and_channels():
    images = [grey(40, 60, 10), np.zeros((80, 80), np.uint8), np.zeros((20, 20, 1), np.uint8)]
    sheet = side_by_side(images, ["a", "b much longer " * 10, "c"])
    assert sheet.dtype == np.uint8
    assert sheet.ndim == 3
    # Small pictures grow by whole factors to where a caption is legible.
    assert sheet.shape[1] > 3 * 150


def test_side_by_side_wants_a_label_each():
    with pytest.raises(ValueError, match="2 pictures"):
        side_by_side([grey(4, 4, 0)] * 2, ["one"])
    with pytest.raises(ValueError, match="0 pictures"):
        side_by_side([], [])


def test_grid_places_rows_with_even_margins():
    sheet = grid([grey(20, 30, 0), grey(10, 30, 50), grey(20, 40, 100)], 2)
    gap = 6
    assert sheet.shape == (20 + 20 + 3 * gap, 40 + 30 + 3 * gap, 3)
    assert (sheet[gap, gap] == 0).all()
    assert (sheet[gap, gap + 40 + gap] == 50).all()
    assert (sheet[gap + 20 + gap, gap] == 100).all()
    assert (sheet[:gap] == 255).all()


def test_grid_refuses_nothing():
    with pytest.raises(ValueError, match="0 pictures"):
        grid([], 3)


def test_a_contact_sheet_is_the_grid_as_a_jpeg_in_a_new_folder(tmp_path: Path):
    path = tmp_path / "docs" / "images" / "sheet.jpg"
    red = np.full((64, 64, 3), (200, 30, 30), np.uint8)
    pictures = [red, grey(64, 64, 90), grey(32, 64, 10)]
    assert contact_sheet(path, pictures, 2) == path.stat().st_size
    written, wanted = images.read(path), grid(pictures, 2)
    assert written.shape == wanted.shape
    middle = np.s_[24:56, 24:56]  # off the edges, which JPEG blurs
    assert np.abs(written[middle].astype(int) - wanted[middle]).max() < 8
    assert path.read_bytes()[:3] == b"\xff\xd8\xff"


def test_a_contact_sheet_that_cannot_be_written_is_refused(tmp_path: Path):
    (tmp_path / "sheet.jpg").mkdir()
    with pytest.raises(InputError, match=r"sheet\.jpg cannot be written"):
        contact_sheet(tmp_path / "sheet.jpg", [grey(8, 8, 0)], 1)


def test_fit_keeps_pixels_of_small_pictures_and_bounds_large_ones():
    small = np.random.default_rng(1).integers(0, 256, (30, 20, 3), np.uint8)
    grown = fit(small)
    factor = grown.shape[0] // 30
    assert grown.shape == (30 * factor, 20 * factor, 3)
    assert grown.shape[0] >= 224
    assert np.array_equal(grown[::factor, ::factor], small)
    assert max(fit(grey(300, 3000, 1)).shape) == 512


def test_error_picture_is_black_where_equal_and_bright_where_not():
    a = np.zeros((10, 10, 1), np.uint8)
    b = a.copy()
    b[:, 5:] = 40
    heat, caption = error_picture(a, b)
    assert heat.shape == (10, 10, 3)
    assert heat[0, 0].sum() < 20
    assert heat[0, 9].sum() > 500
    assert heat[0, 9, 0] > heat[0, 9, 2], "inferno ends in yellow: RGB, not BGR"
    assert caption == "error: black 0, yellow 40 of 255"


def test_error_picture_does_not_wrap_around():
    heat, _ = error_picture(grey(4, 4, 0), grey(4, 4, 255))
    assert heat.sum(axis=2).min() > 500


def test_a_wild_pixel_does_not_hide_the_rest():
    a, b = grey(100, 100, 0), grey(100, 100, 3)
    b[0, 0] = 255
    heat, caption = error_picture(a, b)
    assert caption == "error: black 0, yellow 4 or more, greatest 255 of 255"
    assert heat[50, 50].sum() > 300


def test_equal_pictures_have_no_error():
    assert error_picture(grey(3, 3, 7), grey(3, 3, 7))[1] == "error: none"


def test_error_picture_refuses_other_sizes():
    with pytest.raises(ValueError, match="cannot be compared"):
        error_picture(grey(3, 3, 0), grey(3, 4, 0))


@pytest.fixture
def sample():
    image = np.random.default_rng(2).integers(0, 256, (48, 32, 3), np.uint8)
    return Sample(id="a", group="a", image=image)


def test_panels_of_a_picture_task(sample):
    task = Sobel(SobelOptions())
    truth = task.truth(sample)
    shown = panels(task, sample, truth)
    assert [panel.caption for panel in shown] == ["input", "answer", "truth", "error: none"]
    assert np.array_equal(shown[0].image, sample.image)
    assert np.array_equal(shown[2].image[..., 0], truth.image[..., 0])


def test_a_class_map_is_shown_drawn_over_the_picture(sample):
    task = Segmentation(SegmentationOptions())
    classes = np.zeros((48, 32), np.uint8)
    classes[10:30, 10:20] = 1
    labelled = replace(sample, labels={"classes": classes})
    truth = task.truth(labelled)
    shown = panels(task, labelled, truth, figure="miou 1")
    assert [panel.caption for panel in shown] == ["input", "answer: miou 1", "truth"]
    assert np.array_equal(shown[1].image, task.draw(sample.image, truth))


def test_panels_without_a_picture_or_a_truth(sample):
    class Drawn(Sobel):
        def picture(self, result):
            return None

    class Blind(Drawn):
        def truth(self, sample):
            return None

    answer = Sobel(SobelOptions()).truth(sample)
    drawn = panels(Drawn(SobelOptions()), sample, answer)
    assert [panel.caption for panel in drawn] == ["input", "answer", "truth"]
    assert np.array_equal(drawn[1].image, Drawn(SobelOptions()).draw(sample.image, answer))
    assert len(panels(Blind(SobelOptions()), sample, answer)) == 2
