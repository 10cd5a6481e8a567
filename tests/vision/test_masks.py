import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from img2img.vision.classes import IGNORE, Classes, ClassSet
from img2img.vision.masks import repair, value_text
from img2img.vision.types import Image

GREY = ClassSet.parse(["background:0", "egg:128", "pan:255"])
COLOURED = ClassSet.parse(["road:#000000", "mud:#808000", "car:#ff0000", "tree:#00ff00"], "#ffffff")
SMEARS = {
    "none": lambda mask: mask,
    "half": lambda mask: cv2.resize(mask, None, fx=0.5, fy=0.5),
    "three-quarters": lambda mask: cv2.resize(mask, None, fx=0.75, fy=0.75),
    "area": lambda mask: cv2.resize(mask, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA),
    "larger": lambda mask: cv2.resize(mask, None, fx=1.3, fy=1.3),
    "double": lambda mask: cv2.resize(mask, None, fx=2, fy=2),
    "fourfold": lambda mask: cv2.resize(mask, None, fx=4, fy=4),
    "cubic": lambda mask: cv2.resize(mask, None, fx=1.7, fy=1.7, interpolation=cv2.INTER_CUBIC),
    "blurred": lambda mask: cv2.GaussianBlur(mask, (0, 0), 1.2),
}


def jpeg(mask: Image, quality: int | None) -> Image:
    if quality is None:
        return mask
    done, encoded = cv2.imencode(".jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)  # type: ignore[return-value]


def pan() -> Image:
    """A pan with a thin handle, whose outline runs in every direction."""
    mask = np.zeros((160, 220), np.uint8)
    cv2.ellipse(mask, (90, 80), (60, 47), 20, 0, 360, 255, -1)
    cv2.line(mask, (90, 80), (210, 31), 255, 5)
    cv2.rectangle(mask, (10, 120), (40, 151), 255, -1)
    return mask


def kitchen() -> Image:
    """The pan with eggs in it, on its rim and beside it."""
    mask = pan()
    for centre, axes in (((80, 75), (14, 10)), ((140, 100), (13, 11)), ((190, 120), (12, 15))):
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 128, -1)
    return mask


def inside(mask: Image, px: float) -> Image:
    """Where a mask is farther than `px` from every outline."""
    outline = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) == 0
    return cv2.distanceTransform(outline.astype(np.uint8), cv2.DIST_L2, 5) > px


@pytest.mark.parametrize("classes", [GREY, COLOURED], ids=["grey", "coloured"])
@given(data=st.data())
def test_every_exact_mask_is_read_back(classes: ClassSet, data: st.DataObject) -> None:
    ignored = [] if classes.ignore is None else [IGNORE]
    values = st.sampled_from([*range(len(classes)), *ignored])
    expected = data.draw(arrays(np.uint8, st.tuples(*[st.integers(1, 12)] * 2), elements=values))
    mask = classes.to_mask(expected)
    repaired = repair(mask[..., 0] if classes.is_grey else mask, classes)
    np.testing.assert_array_equal(repaired.classes, expected)
    assert (repaired.n_moved, repaired.n_unknown) == (0, 0)


@pytest.mark.parametrize("quality", [None, 95, 75, 50, 30])
@pytest.mark.parametrize("smear", SMEARS)
def test_the_smeared_edge_of_a_pan_never_becomes_egg(smear: str, quality: int | None) -> None:
    mask = jpeg(SMEARS[smear](pan()), quality)
    repaired = repair(mask, GREY)
    assert np.count_nonzero(repaired.classes == 1) == 0
    assert repaired.n_unknown == 0
    # The outline stays where it was: the middle of the ramp, to the pixel.
    assert np.mean((mask > 127) == (repaired.classes == 2)) > 0.99


@pytest.mark.parametrize("quality", [None, 95, 75, 50, 30])
@pytest.mark.parametrize("smear", SMEARS)
def test_smeared_objects_stay_what_they_are(smear: str, quality: int | None) -> None:
    smeared = SMEARS[smear](kitchen())
    truth = cv2.resize(kitchen(), smeared.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    repaired = repair(jpeg(smeared, quality), GREY)
    expected = repair(truth, GREY).classes
    certain = inside(truth, 1.5 if smear not in ("fourfold", "blurred") else 3)
    np.testing.assert_array_equal(repaired.classes[certain], expected[certain])
    assert repaired.n_unknown == 0


@pytest.mark.parametrize("quality", [90, 30])
@pytest.mark.parametrize("width_px", [1, 2])
def test_thin_objects_survive_jpeg(width_px: int, quality: int) -> None:
    mask = pan()
    mask[5 : 5 + width_px, 20:200] = 128  # on the table
    mask[80 : 80 + width_px, 70:110] = 128  # in the pan
    egg = mask == 128
    classes = repair(jpeg(mask, quality), GREY).classes
    assert np.mean(classes[egg] == 1) > (0.95 if quality == 90 else 0.6)


def test_a_line_between_a_pan_and_the_table_is_egg_if_no_edge_is_smeared() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[:, :9], mask[:, 9] = 255, 128
    assert (repair(mask, GREY).classes[:, 9] == 1).all()
    mask[:, 15:17] = (60, 200)  # a smeared edge elsewhere
    assert (repair(mask, GREY).classes[:, 9] != 1).all()


def test_the_nearest_certain_pixel_decides_and_then_the_nearer_value() -> None:
    row = [0, 0, 60, 128, 128, 128, 70, 0, 0, 0, 200, 180, 255, 255]
    mask = np.tile(np.array(row, np.uint8), (9, 1))
    expected = [0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 2, 2, 2]
    np.testing.assert_array_equal(repair(mask, GREY).classes, np.tile(expected, (9, 1)))


def test_pixels_far_from_every_class_are_counted_and_named() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 77
    mask[20, 20] = 50
    repaired = repair(mask, GREY)
    # Of 20 x 20 pixels, a frame of three is within reach of the background.
    assert repaired.n_unknown == 14**2
    assert repaired.values == ("77", "50")
    assert repaired.n_moved == 20**2
    assert set(repaired.classes[13:27, 13:27].ravel()) == {0, 1}
    assert repaired.classes[20, 20] == 0
    assert (repaired.classes[10:13, 10:30] == 0).all()


def test_values_of_another_class_set_are_named_though_all_seem_background() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[5:9], mask[9:10] = 1, 2
    repaired = repair(mask, GREY)
    assert not repaired.classes.any()
    assert repaired.values == ("1", "2")
    assert (repaired.n_moved, repaired.n_unknown) == (100, 0)


def test_the_ignored_value_has_a_narrow_range() -> None:
    classes = ClassSet.parse(["background:0", "egg:128"], ignore="64")
    mask = np.zeros((30, 30), np.uint8)
    mask[:, 10:20] = 70
    assert (repair(mask, classes).classes[:, 10:20] == IGNORE).all()
    mask[:, 10:20] = 80
    repaired = repair(mask, classes)
    assert repaired.n_unknown == 30 * 4
    assert (repaired.classes[:, 10:13] == 0).all()


def test_colours_are_compared_in_every_channel() -> None:
    colours = np.array([[30, 20, 10], [0, 0, 60], [250, 5, 31], [100, 140, 0]], np.uint8)
    mask = np.repeat(colours, 12, axis=0)[None].repeat(12, axis=0)
    repaired = repair(mask, COLOURED)
    middles: Classes = repaired.classes[6, 6::12]
    np.testing.assert_array_equal(middles, [0, 0, 2, 1])
    assert repaired.n_unknown == 12 * 6
    assert repaired.values == ("#00003c",)


def test_a_smeared_edge_between_two_colours_never_becomes_a_third() -> None:
    expected = np.full((60, 80), 2, np.uint8)
    cv2.circle(expected, (40, 30), 22, 3, -1)
    # From red to green the way leads past mud, #808000.
    mask = cv2.resize(COLOURED.to_mask(expected), None, fx=1.5, fy=1.5)
    assert set(np.unique(repair(mask, COLOURED).classes)) == {2, 3}


def test_grey_masks_of_coloured_classes_and_the_reverse() -> None:
    white = ClassSet.parse(["a:#000000", "b:#ffffff", "c:#ff0000"])
    grey = np.array([[0, 255, 250]], np.uint8)
    np.testing.assert_array_equal(repair(grey, white).classes, [[0, 1, 1]])
    reddish = np.full((9, 9, 3), (128, 0, 0), np.uint8)
    assert repair(reddish, GREY).n_unknown == 81


def test_values_are_written_as_the_class_set_reads_them() -> None:
    assert value_text(7) == "7"
    assert value_text((1, 128, 255)) == "#0180ff"
