"""Augmentation: geometry that lines up, randomness from the generator alone, objects pasted."""

import dataclasses
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import Scenes, scene

from img2img.config import parse_option
from img2img.data.augment import (
    Augmenter,
    AugmentOptions,
    covered,
    find_focus,
    letterbox_matrix,
    random_matrix,
    warp_classes,
)
from img2img.data.cutouts import Cutouts
from img2img.data.view import View
from img2img.data.warp import warp_image
from img2img.errors import UsageError
from img2img.vision.classes import IGNORE

NONE = AugmentOptions(strength=0.0)
STILL = AugmentOptions(colour=0, blur=0, noise=0, compression=0, shadow=0, dropout=0)
"""Geometry alone, at its defaults."""
HEAVY = AugmentOptions(
    rotation_deg=180.0, scale=8.0, shift=0.3, shear=0.4, aspect=1.6, flip_vertical=True,
    colour=1.0, blur=1.0, noise=1.0, compression=1.0, shadow=1.0, dropout=1.0, copy_paste=1.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def cutouts() -> Cutouts:
    return Cutouts(Scenes([scene(120, 160, seed) for seed in range(3)]))


@pytest.fixture(scope="module")
def heavy() -> Augmenter:
    return Augmenter(HEAVY, size=96)


# ---- geometry


@settings(deadline=None)
@given(height=st.integers(1, 900), width=st.integers(1, 900), size=st.integers(1, 300))
def test_the_letterbox_matrix_is_the_view(height: int, width: int, size: int) -> None:
    points = np.random.default_rng(0).uniform(-9, 900, (5, 2))
    expected = View.letterbox(height, width, size).to_canvas(points)
    matrix = letterbox_matrix(height, width, size)
    np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], expected, atol=1e-9)
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(random_matrix(NONE, rng, height, width, size), matrix, atol=1e-9)


@pytest.mark.parametrize(
    ("height", "width"), [(540, 720), (48, 64), (96, 96), (33, 200), (3, 900), (1, 1), (900, 2)]
)
def test_without_strength_a_picture_is_letterboxed(height: int, width: int) -> None:
    image, classes = scene(height, width)
    view = View.letterbox(height, width, 96)
    canvas, marks = Augmenter(NONE, size=96)(image, classes, np.random.default_rng(0))
    expected = view.apply(image)
    assert canvas.shape == (96, 96, 3)
    assert marks.shape == (96, 96)
    assert np.abs(canvas.astype(int) - expected).mean() < 2
    laid = view.apply(classes, fill=IGNORE, labels=True)
    np.testing.assert_array_equal(marks == IGNORE, laid == IGNORE)
    assert (marks != laid).mean() < 0.02, "ties of the nearest pixel alone may differ"


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), side=st.sampled_from([120, 250, 500]))
def test_picture_and_classes_move_together(seed: int, side: int) -> None:
    """Bright is class 1 and dark class 2, whatever the geometry."""
    image, classes = scene(side, side * 5 // 4)
    options = dataclasses.replace(STILL, rotation_deg=180.0, shear=0.4, aspect=1.6)
    canvas, marks = Augmenter(options, size=96).weak(image, classes, np.random.default_rng(seed))
    kernel = np.ones((5, 5), np.uint8)
    for kind, is_kind in ((1, canvas.min(-1) > 205), (2, canvas.max(-1) < 45)):
        inner = cv2.erode((marks == kind).astype(np.uint8), kernel, borderValue=0) > 0
        others = cv2.erode((marks != kind).astype(np.uint8), kernel, borderValue=0) > 0
        assert is_kind[inner].all()
        assert not is_kind[others & (marks != IGNORE)].any()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), factor=st.sampled_from([1, 3, 8]))
def test_points_follow_the_matrix(seed: int, factor: int) -> None:
    """The centre of a square lands where its matrix says, however much the picture shrinks."""
    image = np.zeros((300 * factor, 400 * factor, 3), np.uint8)
    y, x, half = 100 * factor, 200 * factor, 15 * factor
    image[y - half : y + half + 1, x - half : x + half + 1] = 255
    options = dataclasses.replace(STILL, scale=2.0)
    matrix = random_matrix(options, np.random.default_rng(seed), *image.shape[:2], 256)
    canvas = warp_image(image, matrix, 256, 256)[..., 0].astype(float)
    expected = matrix @ [x, y, 1.0]
    if not ((expected > 40) & (expected < 215)).all():
        return
    rows, columns = np.indices(canvas.shape)
    found = np.array([(columns * canvas).sum(), (rows * canvas).sum()]) / canvas.sum()
    assert np.linalg.norm(found - expected) < 0.2


def test_outside_of_the_picture_is_black_and_ignored(cutouts: Cutouts) -> None:
    image, classes = np.full((50, 80, 3), 200, np.uint8), np.zeros((50, 80), np.uint8)
    augmenter = Augmenter(dataclasses.replace(HEAVY, dropout=0.0), size=64)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        weak, strong, marks, inside = augmenter.pair(image, classes, rng, cutouts)
        assert not weak[~inside].any()
        assert not strong[~inside].any()
        assert (marks[~inside] == IGNORE).all()
        assert (marks[inside] == IGNORE).mean() < 0.01, "but for OpenCV's rounding at the border"


def test_covered_is_where_classes_come_from() -> None:
    for seed in range(20):
        matrix = random_matrix(STILL, np.random.default_rng(seed), 70, 50, 64)
        marks = warp_classes(np.zeros((70, 50), np.uint8), matrix, 64, 64, fill=IGNORE)
        # OpenCV rounds coordinates to 1/1024 of a pixel: borders may differ by a rounding.
        assert ((marks == 0) != covered(matrix, 70, 50, 64)).mean() < 0.002


def test_zooming_in_keeps_the_object_in_focus_in_sight() -> None:
    classes = np.zeros((480, 640), np.uint8)
    classes[400:416, 40:60] = 1
    n_seen = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        focus = find_focus(classes, rng)
        assert focus is not None
        assert abs(focus.x - 49.5) < 6
        assert abs(focus.y - 407.5) < 6
        options = dataclasses.replace(STILL, scale=8.0)
        matrix = random_matrix(options, rng, 480, 640, 128, focus=focus)
        n_seen += bool((warp_classes(classes, matrix, 128, 128, fill=IGNORE) == 1).any())
    assert n_seen > 45


def test_objects_are_not_zoomed_to_nothing() -> None:
    classes = np.zeros((400, 400), np.uint8)
    classes[190:206, 190:206] = 2  # 4 % of the side
    for seed in range(40):
        rng = np.random.default_rng(seed)
        focus = find_focus(classes, rng)
        options = AugmentOptions(scale=16.0, shear=0.0, aspect=1.0)
        matrix = random_matrix(options, rng, 400, 400, 200, focus=focus)
        side = 16 * np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        assert side > 0.018 * 200


def test_a_cropped_window_has_the_scale_of_the_canvas_and_shows_the_object() -> None:
    classes = np.zeros((300, 400), np.uint8)
    classes[20:40, 30:50] = 1
    image = np.dstack([classes * 255] * 3)
    options = dataclasses.replace(STILL, crop=0.5, scale=1.0, shear=0.0, aspect=1.0, copy_paste=0.0)
    augmenter = Augmenter(options, size=200)
    n_seen = 0
    for seed in range(40):
        crop, marks = augmenter(image, classes, np.random.default_rng(seed))
        assert crop.shape == (100, 100, 3)
        area = int((marks == 1).sum())
        n_seen += area > 0
        assert area < 1.3 * 100  # 20 of 400 pixels are 10 of 200
    assert n_seen > 25


@pytest.mark.parametrize("value", [0, IGNORE])
def test_nothing_labelled_has_no_focus(value: int) -> None:
    classes = np.full((30, 40), value, np.uint8)
    assert find_focus(classes, np.random.default_rng(0)) is None


# ---- the whole


@pytest.mark.parametrize(("height", "width"), [(540, 720), (1, 1), (3, 900), (900, 3), (20, 20)])
@pytest.mark.parametrize("size", [1, 2, 7, 96])
def test_any_picture_and_any_size(height: int, width: int, size: int, cutouts: Cutouts) -> None:
    image, classes = scene(height, width)
    augmenter = Augmenter(HEAVY, size=size)
    for seed in range(6):
        canvas, marks = augmenter(image, classes, np.random.default_rng(seed), cutouts)
        assert canvas.shape == (size, size, 3)
        assert marks.shape == (size, size)
        assert canvas.dtype == marks.dtype == np.uint8


def test_equal_generators_give_equal_samples(heavy: Augmenter, cutouts: Cutouts) -> None:
    """Whatever was augmented before, and whoever augments."""
    image, classes = scene(120, 160)
    other = Augmenter(HEAVY, size=96)
    seen = set()
    for seed in range(12):
        first = heavy(image, classes, np.random.default_rng(seed), cutouts)
        other(image, classes, np.random.default_rng(seed + 100))
        again = other(image, classes, np.random.default_rng(seed), cutouts)
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1], again[1])
        seen.add(first[0].tobytes())
    assert len(seen) == 12


def test_one_change_of_light_does_not_bring_another() -> None:
    """albumentations' own seeding gives all transforms one seed, so that they coincide."""
    image, classes = np.full((64, 64, 3), 128, np.uint8), np.zeros((64, 64), np.uint8)
    image[:, :32] = np.where(np.indices((64, 32)).sum(axis=0) % 2, 228, 28)[..., None]
    still = dataclasses.replace(STILL, rotation_deg=0, scale=1, shift=0, shear=0, aspect=1)
    options = dataclasses.replace(still, flip=False, blur=0.5, noise=0.5)
    augmenter = Augmenter(options, size=64)
    kinds = set()
    for seed in range(60):
        canvas, _ = augmenter(image, classes, np.random.default_rng(seed))
        is_blurred = canvas[8:-8, 8:24].std() < 90
        is_noisy = canvas[8:-8, 48:56].std() > 1
        kinds.add((bool(is_blurred), bool(is_noisy)))
    assert len(kinds) == 4, "blur and noise come in every combination"


@pytest.mark.parametrize("options", [STILL, HEAVY, AugmentOptions()])
def test_no_class_is_invented(options: AugmentOptions) -> None:
    image, _ = scene(100, 130)
    classes = np.random.default_rng(0).choice(np.array([0, 3, 200], np.uint8), (100, 130))
    augmenter = Augmenter(options, size=80)
    for seed in range(10):
        _, marks = augmenter(image, classes, np.random.default_rng(seed))
        assert set(np.unique(marks).tolist()) <= {0, 3, 200, IGNORE}


def test_the_two_views_of_a_pair_line_up(cutouts: Cutouts) -> None:
    """The weak one is the geometry alone; the strong one differs in light alone."""
    image, classes = scene(240, 320)
    light = Augmenter(dataclasses.replace(HEAVY, blur=0, compression=0, noise=0, shadow=0,
                                          copy_paste=0.0, colour=0.5), size=96)  # fmt: skip
    n_changed, correlations = 0, []
    for seed in range(20):
        weak, strong, marks, inside = light.pair(image, classes, np.random.default_rng(seed))
        alone, _ = light.weak(image, classes, np.random.default_rng(seed))
        np.testing.assert_array_equal(weak, alone)
        same = inside & (marks != IGNORE)
        n_changed += not np.array_equal(weak, strong)
        both = np.stack([weak[same].mean(-1), strong[same].mean(-1)])
        if same.sum() > 200 and both[0].std() > 15:
            correlations.append(np.corrcoef(both)[0, 1])
    assert n_changed == 20
    assert len(correlations) > 8
    assert np.median(correlations) > 0.9

    weak, strong, marks, _ = Augmenter(dataclasses.replace(STILL, copy_paste=1.0), size=96).pair(
        image, np.zeros_like(classes), np.random.default_rng(3), cutouts
    )
    np.testing.assert_array_equal(weak, strong)
    assert {1, 2} & set(np.unique(marks).tolist()), "both views hold the pasted objects"


def test_dropped_rectangles_are_ignored() -> None:
    image, classes = np.full((64, 64, 3), 130, np.uint8), np.zeros((64, 64), np.uint8)
    fixed = dataclasses.replace(STILL, rotation_deg=0, scale=1, shift=0, shear=0, aspect=1)
    augmenter = Augmenter(dataclasses.replace(fixed, dropout=1.0), size=64)
    for seed in range(5):
        canvas, marks = augmenter(image, classes, np.random.default_rng(seed))
        assert 0 < (marks == IGNORE).mean() < 0.5
        np.testing.assert_array_equal((canvas != 130).any(-1), marks == IGNORE)


def test_inputs_are_never_written_to(cutouts: Cutouts) -> None:
    image, classes = scene(60, 90)
    before = image.copy(), classes.copy()
    for options in (NONE, HEAVY):
        augmenter = Augmenter(options, size=90)
        flipped = image[:, ::-1]  # no contiguous memory either
        augmenter(flipped, classes[:, ::-1], np.random.default_rng(0), cutouts)
        augmenter.pair(image, classes, np.random.default_rng(0))
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(classes, before[1])


# ---- options


def test_options_are_checked() -> None:
    assert parse_option(AugmentOptions, "augment", "rotation_deg", "25") == 25.0
    with pytest.raises(UsageError, match=r"augment\.scale"):
        parse_option(AugmentOptions, "augment", "scale", "0.5")


def test_the_options_load_no_heavy_library() -> None:
    code = (
        "import sys, img2img.data.augment\n"
        "print([name for name in ('albumentations', 'torch', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
