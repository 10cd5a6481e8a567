"""Whole pictures with places of faces."""

from pathlib import Path

import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.data import finder, images
from img2img.data.crop import Crop
from img2img.data.sample import Dataset, Image, Record, Sample, Splits
from img2img.errors import DataError
from img2img.vision.schemas import schema_of

SCHEMA = schema_of("ibug68")


class Pictures(Dataset):
    """Grey pictures of one size; each has the points of a face, or too few."""

    def __init__(self, records: list[Record], points: dict[str, np.ndarray]) -> None:
        super().__init__(records)
        self._points = points

    def pixels(self, record: Record) -> Image:
        return np.full((record.height, record.width, 3), 99, np.uint8)

    def sample(self, record: Record, pixels: Image) -> Sample:
        labels = {"points": self._points[record.id]}
        return Sample(id=record.id, group=record.group or record.id, image=pixels, labels=labels)


def face(x: float, y: float, width: float) -> np.ndarray:
    """68 points in a square; their pairs stand level."""
    spots = np.random.default_rng(0).random((68, 2))
    for right, left in SCHEMA.pairs:
        spots[right, 1] = spots[left, 1]
        spots[right, 0], spots[left, 0] = sorted((spots[right, 0], spots[left, 0]))
    spots = (spots - spots.min(axis=0)) / np.ptp(spots, axis=0)
    return np.asarray(spots * width + (x - width / 2, y - width / 2))


def placed(
    points: dict[str, np.ndarray], paths: dict[str, str] | None = None, *, complete: bool = False
) -> finder.FinderPictures:
    records = [
        Record(id=name, digest=f"{name:8}", height=600, width=1000,
               path=Path(paths[name]) if paths else None)
        for name in points
    ]  # fmt: skip
    pictures = Pictures(records, points)
    splits = Splits(name="", parts={"train": pictures}, stated=True, whole=pictures)
    train = finder.labelled_splits(splits, SCHEMA, complete=complete).parts["train"]
    assert isinstance(train, finder.FinderPictures)
    return train


def test_places_follow_a_large_picture_that_is_made_smaller() -> None:
    points = face(300, 200, 136)
    sample = placed({"a": points})[0]
    assert sample.image.shape == (307, 512, 3)
    whole = Crop.of_points(points, SCHEMA)
    assert whole is not None
    assert whole.side == pytest.approx(200)
    expected = [0.512 * 300.5 - 0.5, 0.512 * 200.5 - 0.5, 0.512 * 200, 0]
    np.testing.assert_allclose(np.float64(sample.labels["places"]), [expected], atol=0.2)
    assert sample.labels["reach"].tolist() == [finder.ONE_REACH]


def test_what_is_measured_keeps_its_size(tmp_path: Path) -> None:
    points = face(300, 200, 136)
    pictures = Pictures([Record(id="a", digest="a", height=600, width=1000)], {"a": points})
    splits = Splits(name="", parts=dict.fromkeys(("train", "val", "test"), pictures), stated=True,
                    whole=pictures)  # fmt: skip
    found = finder.labelled_splits(splits, SCHEMA, complete=True)
    longest = {name: part.records[0].width for name, part in found.parts.items()}
    assert longest == {"train": finder.LONGEST, "val": 1000, "test": 1000}
    sample = found.whole[0]
    assert sample.image.shape == (600, 1000, 3)
    np.testing.assert_allclose(sample.labels["places"], [[300, 200, 200, 0]], atol=0.1)
    images.write(tmp_path / "0.png", np.zeros((20, 600, 3), np.uint8))
    empty = finder.pictures_without_faces(tmp_path, DataOptions(val_share=0, test_share=0))
    assert empty.parts["train"][0].image.shape[1] == finder.LONGEST
    assert empty.whole[0].image.shape == (20, 600, 3)


def test_faces_of_one_picture_are_one_sample_whose_labels_are_complete() -> None:
    points = {"a#1": face(300, 200, 100), "b": face(500, 300, 90), "a#2": face(700, 300, 80)}
    samples = placed(points, {"a#1": "a.jpg", "a#2": "a.jpg", "b": "b.jpg"})
    assert [record.id for record in samples.records] == ["a#1", "b"]
    assert samples[0].labels["places"].shape == (2, 4)
    assert [float(one.labels["reach"][0]) for one in samples] == [np.inf, finder.ONE_REACH]
    other = placed({**points, "a#2": face(700, 300, 81)},
                   {"a#1": "a.jpg", "a#2": "a.jpg", "b": "b.jpg"})  # fmt: skip
    assert other.records[1].digest == samples.records[1].digest


def test_the_user_may_say_that_all_faces_are_labelled() -> None:
    assert placed({"a": face(300, 200, 99)}, complete=True)[0].labels["reach"].tolist() == [np.inf]


def test_a_face_that_is_nowhere_is_told() -> None:
    with pytest.raises(DataError, match="a has too few points"):
        placed({"a": np.full((68, 2), np.nan)})


def write(folder: Path, n: int) -> None:
    folder.mkdir()
    for i in range(n):
        images.write(folder / f"{i}.png", np.full((40, 30, 3), i, np.uint8))


def test_pictures_without_faces_join_the_parts(tmp_path: Path) -> None:
    write(tmp_path / "empty", 20)
    assert finder.holds_pictures_alone(tmp_path)
    (tmp_path / "groups.csv").write_text("picture,group\n")
    assert finder.holds_pictures_alone(tmp_path)
    empty = finder.pictures_without_faces(tmp_path / "empty", DataOptions())
    assert {part: len(samples) for part, samples in empty.parts.items()} == {
        "train": 15, "val": 1, "test": 4,
    }  # fmt: skip
    train = placed({"a": face(300, 200, 99)})
    faces = Splits(name="", parts={"train": train}, stated=True, whole=train)
    joined = finder.joined_parts(faces, empty)
    samples = joined.parts["train"]
    assert len(samples) == 16
    assert samples.records[1].origin == finder.WITHOUT_FACES
    assert samples[1].labels["places"].shape == (0, 4)
    assert samples[1].labels["reach"].tolist() == [np.inf]


def test_labels_are_noticed(tmp_path: Path) -> None:
    write(tmp_path / "pictures", 1)
    (tmp_path / "pictures" / "0.pts").write_text("")
    assert not finder.holds_pictures_alone(tmp_path)
    assert not finder.holds_pictures_alone(tmp_path / "nowhere")


def test_a_crop_and_its_place_are_the_same() -> None:
    crop = Crop(x=3.0, y=4.0, side=50.0, angle_rad=0.3)
    assert finder.crop_of(finder.place_of(crop)) == crop
