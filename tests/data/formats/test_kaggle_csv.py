"""Kaggle Facial Keypoints: pixels as text, missing points, and what is handed in."""

import csv
from pathlib import Path

import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.data.formats.kaggle_csv import (
    Asked,
    lookup_beside,
    picture_rows,
    read_kaggle_csv,
    read_lookup,
    write_submission,
)
from img2img.data.formats.point_formats import find_points
from img2img.data.formats.points import pictures_of, point_splits
from img2img.errors import DataError, InputError
from img2img.vision.schemas import KAGGLE15, NOSE

COLUMNS = [f"{name}_{axis}" for name in KAGGLE15.points for axis in "xy"]


def pixels(row: int) -> np.ndarray:
    return np.random.default_rng(row).integers(0, 256, (96, 96), np.uint8)


def cells(row: int) -> list[str]:
    """Of training.csv; row 1 lacks the outer ends of the brows."""
    numbers = [f"{96 * value:.6f}" for value in np.random.default_rng(row).random(30)]
    if row == 1:
        numbers[14:16] = numbers[18:20] = ["", ""]
    return [*numbers, " ".join(map(str, pixels(row).ravel()))]


def write(folder: Path, rows: list[list[str]], header: list[str], name: str) -> Path:
    path = folder / name
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def training(folder: Path, rows: list[list[str]] | None = None) -> Path:
    rows = [cells(row) for row in range(4)] if rows is None else rows
    return write(folder, rows, [*COLUMNS, "Image"], "training.csv")


def unlabelled(folder: Path) -> Path:
    rows = [[str(row + 1), cells(row)[-1]] for row in range(3)]
    return write(folder, rows, ["ImageId", "Image"], "test.csv")


def lookup(folder: Path, *asked: tuple[int, str]) -> Path:
    rows = [[str(row), str(image), name, ""] for row, (image, name) in enumerate(asked, start=1)]
    header = ["RowId", "ImageId", "FeatureName", "Location"]
    return write(folder, rows, header, "IdLookupTable.csv")


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_kaggle_csv(path)
    return str(caught.value)


def test_faces_have_their_pixels_and_points(tmp_path: Path) -> None:
    found = read_kaggle_csv(training(tmp_path))
    assert found.format == "Kaggle CSV"
    assert found.names == KAGGLE15.points
    assert [face.name for face in found.faces] == ["1", "2", "3", "4"]
    for row, face in enumerate(found.faces):
        assert (face.picture[..., 0] == pixels(row)).all()
    assert found.faces[2].points[10] == pytest.approx([float(x) for x in cells(2)[20:22]])


def test_missing_points_are_missing(tmp_path: Path) -> None:
    found = read_kaggle_csv(training(tmp_path))
    missing = np.isnan(found.faces[1].points).any(axis=1)
    assert np.flatnonzero(missing).tolist() == [7, 9]
    assert found.n_missing == 2
    rows = [[text or "nan" for text in cells(1)]]
    assert read_kaggle_csv(training(tmp_path, rows)).n_missing == 2


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    header, row = [*COLUMNS, "Image"][::-1], cells(0)[::-1]
    path = write(tmp_path, [row], header, "training.csv")
    found = find_points(path)
    assert found.schema is KAGGLE15
    expected = read_kaggle_csv(training(tmp_path, [cells(0)])).faces[0].points
    whole = pictures_of(found, DataOptions(), KAGGLE15)
    assert (whole.points[0] == expected).all()


def test_kaggles_own_folder_gives_grey_pictures_divided_by_share(tmp_path: Path) -> None:
    training(tmp_path, [cells(row) for row in range(12)])
    unlabelled(tmp_path)
    lookup(tmp_path, (1, "nose_tip_x"))
    found = find_points(tmp_path)
    told = "Kaggle CSV, 12 faces with 15 points (kaggle15) each, 2 of them missing"
    assert found.described() == f"{tmp_path}: {told}"
    splits = point_splits(found, DataOptions(), KAGGLE15)
    assert not splits.stated
    assert sum(map(len, splits.parts.values())) == 12
    sample = splits.whole[0]
    assert sample.image.shape == (96, 96, 3)
    assert np.ptp(sample.image, axis=2).max() == 0
    nose = point_splits(found, DataOptions(), NOSE).whole
    assert (nose.points[:, 0] == splits.whole.points[:, 10]).all()


def test_pictures_without_points_are_named_by_their_ids(tmp_path: Path) -> None:
    found = find_points(unlabelled(tmp_path))
    pictures = pictures_of(found, DataOptions(), KAGGLE15)
    assert [record.id for record in pictures.records] == ["1", "2", "3"]
    assert pictures.points.shape == (3, 15, 2)
    assert np.isnan(pictures.points).all()
    with pytest.raises(DataError, match=r"test\.csv has pictures without points"):
        point_splits(found, DataOptions(), KAGGLE15)


def test_a_digest_changes_with_a_point_and_with_a_pixel(tmp_path: Path) -> None:
    def digests(row: list[str]) -> str:
        found = find_points(training(tmp_path, [row]))
        return pictures_of(found, DataOptions(), KAGGLE15).records[0].digest

    one = cells(0)
    other_point = [f"{float(one[0]) + 1}", *one[1:]]
    other_pixel = [*one[:-1], one[-1].rpartition(" ")[0] + f" {int(pixels(0)[-1, -1]) ^ 1}"]
    assert len({digests(row) for row in (one, other_point, other_pixel)}) == 3


def test_broken_rows_are_named_with_file_row_and_reason(tmp_path: Path) -> None:
    good, image = cells(0), cells(0)[-1]
    shorter = image.rpartition(" ")[0]
    broken = {
        "it has 30 columns instead of 31": good[1:],
        "it has 9215 pixels instead of 9216, which is 96 x 96": [*good[:-1], shorter],
        "it has 9217 pixels instead of 9216": [*good[:-1], f"{image} 0"],
        "it has 0 pixels instead of 9216": [*good[:-1], ""],
        "not all whole numbers of 0…255": [*good[:-1], f"256 {image.partition(' ')[2]}"],
        "its pixels are not all whole": [*good[:-1], f"1.5 {image.partition(' ')[2]}"],
        "pixels are not all whole numbers": [*good[:-1], f"-1 {image.partition(' ')[2]}"],
        "nose_tip: 'x' is no number": [*good[:20], "x", *good[21:]],
        "nose_tip: 'inf' is no number": [*good[:20], "inf", *good[21:]],
        "nose_tip: a point has x or y alone": [*good[:20], "", *good[21:]],
    }  # fmt: skip
    for told, row in broken.items():
        message = refusal(training(tmp_path, [good, row]))
        assert f"training.csv, row 3{',' if 'nose' in told else ':'}" in message
        assert told in message


def test_headers_of_something_else_are_refused(tmp_path: Path) -> None:
    for header in (["a_x", "Image"], ["a_x", "a_y", "b", "Image"], ["Image", "Image"], ["a_x"]):
        message = refusal(write(tmp_path, [], header, "training.csv"))
        assert "training.csv, row 1: " in message
    assert "has no rows" in refusal(training(tmp_path, []))


def test_a_submission_is_within_the_picture(tmp_path: Path) -> None:
    table = lookup(tmp_path, (1, "left_eye_center_y"), (2, "nose_tip_x"), (2, "nose_tip_y"))
    asked = read_lookup(table)
    assert asked[1] == Asked(row="2", picture=2, feature="nose_tip_x")
    answers = {1: {"left_eye_center_y": 1.0}, 2: {"nose_tip_x": -3.5, "nose_tip_y": 96.5}}
    out = tmp_path / "submission.csv"
    assert write_submission(out, asked, answers) == []
    assert out.read_text() == "RowId,Location\n1,1.0000\n2,0.0000\n3,96.0000\n"


def test_rows_without_an_answer_are_left_out_and_given_back(tmp_path: Path) -> None:
    names = ("nose_tip_x", "nose_tip_y", "chin_x")
    asked = read_lookup(lookup(tmp_path, *((1, name) for name in names), (2, names[0])))
    out = tmp_path / "submission.csv"
    answers = {1: {"nose_tip_x": float("nan"), "nose_tip_y": 5.0}}
    assert write_submission(out, asked, answers) == [asked[0], asked[2], asked[3]]
    assert out.read_text() == "RowId,Location\n2,5.0000\n"
    with pytest.raises(InputError, match="cannot be written"):
        write_submission(tmp_path / "no" / "x.csv", asked, {})


def test_a_broken_lookup_is_refused(tmp_path: Path) -> None:
    header = ["RowId", "ImageId", "FeatureName", "Location"]
    for rows, columns, told in (
        ([], ["RowId", "ImageId"], "has no column FeatureName"),
        ([], header, "has no rows"),
        ([["1", "x", "nose_tip_x", ""]], header, "row 2: it needs RowId, ImageId"),
        ([["1", "1", "nose_tip_x"], ["2"]], header, "row 3: it needs RowId, ImageId"),
    ):
        with pytest.raises(DataError, match=told):
            read_lookup(write(tmp_path, rows, columns, "IdLookupTable.csv"))


def test_a_lookup_belongs_to_pictures_with_ids(tmp_path: Path) -> None:
    assert lookup_beside(unlabelled(tmp_path)) is None
    table = lookup(tmp_path, (1, "nose_tip_x"))
    assert lookup_beside(unlabelled(tmp_path)) == table
    assert lookup_beside(training(tmp_path)) is None
    assert lookup_beside(tmp_path / "missing.csv") is None


def test_pictures_are_read_one_by_one_and_broken_rows_stand_among_them(tmp_path: Path) -> None:
    image = cells(0)[-1]
    rows = [["7", image], ["8", f"{image} 0"], ["x", image], ["7", image], ["9"], ["10", image]]
    found = list(picture_rows(write(tmp_path, rows, ["ImageId", "Image"], "test.csv")))
    assert [row.number for row in found] == [7, 8, None, 7, None, 10]
    told = ["", "has 9217 pixels", "'x' is no whole number", "7 is there already", "1 columns", ""]
    for number, (row, words) in enumerate(zip(found, told, strict=True), start=2):
        assert (row.pixels is None) == bool(words)
        assert words in row.problem
        assert not words or f"test.csv, row {number}: " in row.problem
    assert found[0].pixels is not None
    assert (found[0].pixels == pixels(0)[..., None]).all()
    assert found[0].pixels.shape == (96, 96, 3)


def test_rows_without_an_id_are_counted(tmp_path: Path) -> None:
    assert [row.number for row in picture_rows(training(tmp_path))] == [1, 2, 3, 4]


def test_a_file_that_ends_in_the_middle_of_a_quote_keeps_what_was_read(tmp_path: Path) -> None:
    path = unlabelled(tmp_path)
    path.write_text(path.read_text() + '4,"' + "0 " * 70_000)
    *good, last = picture_rows(path)
    assert [row.number for row in good] == [1, 2, 3]
    assert "The rows behind it are not read." in last.problem


def test_other_files_have_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no column Image"):
        list(picture_rows(lookup(tmp_path)))
    with pytest.raises(DataError, match="has no rows"):
        list(picture_rows(write(tmp_path, [], ["ImageId", "Image"], "test.csv")))
