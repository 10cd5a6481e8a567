"""300-W .pts files: one-based, and as many points as they say."""

from pathlib import Path

import numpy as np
import pytest

from img2img.data import images
from img2img.data.formats.pts import points_of, read_pts
from img2img.errors import DataError

GOOD = "version: 1\nn_points:  3\n{\n1.0 1.0\n11.5 21.25\n-3 700\n}\n"


def write(folder: Path, text: str = GOOD, name: str = "a.pts") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        points_of(path)
    return str(caught.value)


def test_coordinates_become_zero_based_and_stay_outside_of_the_picture(tmp_path: Path) -> None:
    points = points_of(write(tmp_path))
    assert points.dtype == np.float32
    assert points.tolist() == [[0, 0], [10.5, 20.25], [-4, 699]]


def test_line_ends_and_empty_lines_do_not_matter(tmp_path: Path) -> None:
    text = GOOD.replace("\n", "\r\n").replace("{", "\r\n{").replace("n_points:  3", "n_points :3")
    assert len(points_of(write(tmp_path, text))) == 3


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("n_points:  3", "n_points:  4", "row 7: 3 points end here, but n_points is 4"),
        ("n_points:  3", "n_points:  2", "row 7: 3 points end here, but n_points is 2"),
        ("n_points:  3", "n_points: x", "row 2: n_points is 'x'"),
        ("n_points:  3\n", "", "does not say its n_points"),
        ("11.5", "eleven", "row 5: 'eleven' is no number"),
        ("11.5", "nan", "row 5: 'nan' is no number"),
        ("11.5", "inf", "row 5: 'inf' is no number"),
        ("11.5 21.25", "11.5", "row 5: '11.5' is not x and y"),
        ("11.5 21.25", "11.5 21.25 3", "is not x and y"),
        ("{", "", "is no .pts file"),
        ("}", "", "is no .pts file"),
    ],
)
def test_what_is_broken_is_named_with_file_and_row(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    message = refusal(write(tmp_path, GOOD.replace(old, new)))
    assert told in message
    assert "a.pts" in message


def test_each_file_belongs_to_the_picture_of_its_name(tmp_path: Path) -> None:
    files = [write(tmp_path), write(tmp_path, name="b.pts")]
    for name in ("a.jpg", "b.PNG", "c.jpg"):
        images.write(tmp_path / name, np.zeros((4, 5, 3), np.uint8))
    found = read_pts(files)
    assert found.format == "300-W .pts"
    assert [face.name for face in found.faces] == ["a.jpg", "b.PNG"]
    assert found.n_missing == 0


def test_no_picture_and_two_pictures_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(DataError, match=r"a\.pts has no picture beside it"):
        read_pts([path])
    for name in ("a.jpg", "a.png"):
        images.write(tmp_path / name, np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(DataError, match=r"a\.pts has a\.jpg and a\.png beside it"):
        read_pts([path])
