"""Faces cut out of pictures, rough boxes, and how faces vary in training."""

import numpy as np
import pytest
from numpy.typing import NDArray

from img2img.data.augment_points import PointAugmenter, PointAugmentOptions, covered_up, projected
from img2img.data.crop import FILL, Crop
from img2img.data.faces import CONTEXT, DETAIL, FaceCrops, face_crop, rough_box
from img2img.data.sample import Dataset, Image, Record, Sample
from img2img.data.synth.faces import Faces
from img2img.errors import DataError
from img2img.vision.schemas import IBUG68, KAGGLE15, NOSE

STILL = PointAugmentOptions(colour=0, blur=0, noise=0, compression=0, shadow=0, occlusion=0)


class OneDot(Dataset):
    """A large picture with one white dot, and a point or a box there."""

    def __init__(self, *, with_box: bool) -> None:
        super().__init__([Record(id="dot", digest="d", height=300, width=400)])
        self.with_box = with_box

    def pixels(self, record: Record) -> Image:
        image = np.zeros((300, 400, 3), np.uint8)
        image[147:154, 247:254] = 255
        return image

    def sample(self, record: Record, pixels: Image) -> Sample:
        labels = {"points": np.array([[250.0, 150.0]])}
        if self.with_box:
            labels["box"] = np.array([230.0, 130.0, 270.0, 170.0])
        return Sample(id="dot", group="g", image=pixels, labels=labels)


def _dots(canvas: Image) -> tuple[float, float]:
    rows, columns = np.nonzero(canvas.mean(axis=2) > 60)
    return float(columns.mean()), float(rows.mean())


def test_a_face_is_cut_out_with_room_around_it() -> None:
    faces = Faces(2, seed=1, size=320)
    crops = FaceCrops(faces, IBUG68, size=32, whole=False)
    original, sample = faces[0], crops[0]
    assert sample.image.shape == (64, 64, 3) == (round(32 * DETAIL),) * 2 + (3,)
    own = Crop.of_points(original.labels["points"].astype(float), IBUG68)
    assert own is not None
    scale = own.side * CONTEXT / 64
    assert sample.labels["scale"][0] == pytest.approx(scale)
    there = np.asarray(original.labels["points"], np.float64)
    laid = (there - [own.x, own.y]) / scale + 31.5
    found = np.asarray(sample.labels["points"], np.float64)
    np.testing.assert_allclose(found, laid, atol=1e-4)
    assert crops.records[0].digest != faces.records[0].digest


def test_points_lie_where_the_picture_shows_them() -> None:
    sample = FaceCrops(OneDot(with_box=True), NOSE, size=48, whole=False)[0]
    np.testing.assert_allclose(sample.labels["points"][0], _dots(sample.image), atol=0.6)
    np.testing.assert_allclose(sample.labels["points"][0], [47.5, 47.5], atol=1e-6)
    whole = FaceCrops(OneDot(with_box=False), NOSE, size=100, whole=True)[0]
    assert whole.image.shape == (100, 100, 3)
    np.testing.assert_allclose(whole.labels["points"][0], _dots(whole.image), atol=0.6)


def test_a_box_says_more_than_few_points() -> None:
    points = np.full((15, 2), np.nan)
    points[:6] = [(118, 60), (82, 60), (110, 60), (126, 60), (90, 60), (74, 60)]
    box = np.array([40.0, 30.0, 160.0, 181.0])
    crop = face_crop({"points": points, "box": box}, KAGGLE15)
    assert crop is not None
    assert crop.side == pytest.approx(151 / FILL)
    alone = face_crop({"points": points}, KAGGLE15)
    assert alone is not None
    assert alone.side == pytest.approx(52 / FILL)
    points[6:8] = (120, 40), (140, 45)
    most = face_crop({"points": points, "box": box}, KAGGLE15)
    assert most is not None
    assert most.side < 100
    assert face_crop({"points": np.full((15, 2), np.nan)}, KAGGLE15) is None


def test_a_face_that_nothing_locates_is_refused() -> None:
    crops = FaceCrops(OneDot(with_box=False), NOSE, size=48, whole=False)
    with pytest.raises(DataError, match=r"dot has too few points.*task\.crop=whole"):
        crops[0]


def test_rough_boxes_are_wrong_by_a_tenth_and_always_the_same() -> None:
    box = np.array([100.0, 50.0, 200.0, 130.0])
    boxes = np.array([rough_box(box, str(index)) for index in range(300)])
    np.testing.assert_array_equal(rough_box(box, "7"), boxes[7])
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2 - [150, 90]
    sizes = (boxes[:, 2:] - boxes[:, :2]) / [100, 80]
    assert np.abs(middles / [100, 80]).max() <= 0.1
    assert np.abs(middles / [100, 80]).max() > 0.09
    assert sizes.min() >= 0.9
    assert sizes.max() <= 1.1
    np.testing.assert_allclose(sizes[:, 0], sizes[:, 1])


def test_points_follow_every_warp() -> None:
    """Dots drawn at points are found at the points that the augmenter answers."""
    points = np.array([(x, y) for y in (70.0, 100.0, 130.0) for x in range(60, 141, 20)])
    image = np.zeros((200, 200, 3), np.uint8)
    for index, (x, y) in enumerate(points.astype(int)):
        image[y - 2 : y + 3, x - 2 : x + 3] = 40 + 14 * index
    own = 40 + 14 * np.arange(15)
    crop = Crop(x=100.0, y=100.0, side=120.0)
    augmenter = PointAugmenter(STILL, KAGGLE15, size=160)
    shown = [_shown(augmenter(image, points, crop, np.random.default_rng(i))) for i in range(12)]
    straight = [np.nanmax(np.abs(values - own)) < 1 for values in shown]
    mirrored = [np.nanmax(np.abs(values[KAGGLE15.flip_order] - own)) < 1 for values in shown]
    assert [*np.logical_xor(straight, mirrored)] == [True] * 12
    assert 2 <= sum(mirrored) <= 10


def _shown(view: tuple[Image, NDArray[np.float64]]) -> NDArray[np.float64]:
    """The brightness of a view at its points, NaN at the border and beyond."""
    canvas, points = view
    return np.array([
        canvas[round(y), round(x)].mean() if 4 < x < 155 and 4 < y < 155 else np.nan
        for x, y in points.tolist()
    ])  # fmt: skip


def test_without_strength_nothing_varies() -> None:
    faces = Faces(1, seed=3, size=128)
    image, points = faces[0].image, faces[0].labels["points"].astype(float)
    crop = Crop.of_points(points, IBUG68)
    assert crop is not None
    augmenter = PointAugmenter(PointAugmentOptions(strength=0.0), IBUG68, size=48)
    canvas, moved = augmenter(image, points, crop, np.random.default_rng(0))
    np.testing.assert_allclose(moved, crop.to_canvas(points, 48), atol=1e-4)
    assert np.abs(canvas.astype(int) - crop.apply(image, 48)).mean() < 6


def test_the_same_generator_gives_the_same_view() -> None:
    faces = Faces(1, seed=3, size=128)
    image, points = faces[0].image, faces[0].labels["points"].astype(float)
    crop = Crop.whole(128, 128)
    augmenter = PointAugmenter(PointAugmentOptions(occlusion=1.0), IBUG68, size=48)
    one, two = (augmenter(image, points, crop, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(one[0], two[0])
    np.testing.assert_array_equal(one[1], two[1])


def test_covering_up_leaves_the_original_alone() -> None:
    image = np.full((64, 64, 3), 90, np.uint8)
    covered = covered_up(image, np.random.default_rng(1))
    assert (image == 90).all()
    share = (covered != 90).any(axis=2).mean()
    assert 0.005 < share < 0.5


def test_a_homography_is_applied_in_homogeneous_coordinates() -> None:
    matrix = np.array([[2.0, 0, 1], [0, 2, 0], [0.5, 0, 1]])
    np.testing.assert_allclose(projected(np.array([[2.0, 3.0]]), matrix), [[2.5, 3.0]])
