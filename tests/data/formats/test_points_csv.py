"""CSV with a file name and x0, y0, x1, y1 … in every row."""

from pathlib import Path

import numpy as np
import pytest

from img2img.data import images
from img2img.data.formats.points_csv import is_points_csv, read_points_csv
from img2img.errors import DataError

GOOD = ",0,1,2,3\nb.jpg,1,2,3,4\na.jpg,-1.5,0.25,9,10\n"


def write(folder: Path, text: str = GOOD) -> Path:
    path = folder / "keypoints.csv"
    path.write_text(text)
    (folder / "images").mkdir(exist_ok=True)
    for name in ("a.jpg", "b.jpg"):
        images.write(folder / "images" / name, np.zeros((4, 5, 3), np.uint8))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_points_csv(path)
    return str(caught.value)


@pytest.mark.parametrize("header", [",0,1,2,3\n", "image,x0,y0,x1,y1\n", "f,a_x,a_y,b_x,b_y\n", ""])
def test_rows_are_read_with_any_header_and_without(tmp_path: Path, header: str) -> None:
    found = read_points_csv(write(tmp_path, GOOD.replace(",0,1,2,3\n", header)))
    assert found.format == "file-name CSV"
    assert [face.name for face in found.faces] == ["b.jpg", "a.jpg"]
    assert [face.points.tolist() for face in found.faces] == [
        [[1, 2], [3, 4]],
        [[-1.5, 0.25], [9, 10]],
    ]
    assert found.faces[0].points.dtype == np.float32


def test_a_point_of_two_empty_cells_is_missing(tmp_path: Path) -> None:
    found = read_points_csv(write(tmp_path, GOOD.replace("1,2,3,4", "1,2,, ")))
    assert found.faces[0].points[0].tolist() == [1, 2]
    assert np.isnan(found.faces[0].points[1]).all()
    assert found.n_missing == 1


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("1,2,3,4", "1,2,3", "row 2: it has 4 columns instead of 5"),
        ("1,2,3,4", "1,2,3,4,5,6", "row 2: it has 7 columns instead of 5"),
        ("9,10", "9,ten", "row 3, point 1: 'ten' is no number"),
        ("9,10", "9,1e39", "row 3, point 1: '1e39' is too large for a coordinate"),
        ("9,10", "nan,nan", "row 3, point 1: 'nan' is no number"),
        ("9,10", "9,", "row 3, point 1: a point has x or y alone"),
        ("a.jpg", "c.jpg", "row 3: the picture 'c.jpg' lies neither beside"),
        (",0,1,2,3", ",0,1,2", "row 1: 3 columns follow the file name"),
        (",0,1,2,3", ",x0,x1,y0,y1", "row 1: the columns are not x and y in turn (x0, x1, y0"),
        (",0,1,2,3\nb.jpg,1,2,3,4\na.jpg", "no", "has no row of a picture's file name"),
        ("a.jpg", '"a.jpg', "row 3: it has 1 columns instead of 5"),
    ],
)
def test_what_is_broken_is_named_with_file_and_row(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    message = refusal(write(tmp_path, GOOD.replace(old, new)))
    assert told in message
    assert "keypoints.csv" in message


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(b"a.jpg,1,2\xff\n")
    assert "keypoints.csv is no text in UTF-8" in refusal(path)


def test_other_tables_are_not_taken_for_points() -> None:
    assert is_points_csv([["image", "x", "y"], ["a.jpg", "1", "2"]])
    assert not is_points_csv([["RowId", "ImageId", "FeatureName"], ["1", "1", "nose_tip_x"]])
    assert not is_points_csv([["image", "scene"], ["a.jpg", "kitchen"]])
    assert not is_points_csv([])
