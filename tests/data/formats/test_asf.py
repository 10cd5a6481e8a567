"""AAM shape files, as the IMM face database has them."""

from pathlib import Path

import numpy as np
import pytest

from img2img.data import images
from img2img.data.formats.asf import read_asf
from img2img.errors import DataError

FILE = """######################################################################
#
#    AAM Shape File  -  written: Wednesday March 07 - 2001 [11:00]
#
######################################################################

#
# number of model points
#
3

#
# model points
#
# format: <path#> <type> <x rel.> <y rel.> <point#> <connects from> <connects to>
#
0 	4 	0.00000000 	0.00000000 	0 	0 	1
0 	4 	0.50000000 	1.00000000 	1 	0 	2
1 	0 	1.01000000 	0.05000000 	2 	1 	2

#
# host image
#
01-1m.jpg
"""


def write(folder: Path, text: str = FILE, picture: str = "01-1m.jpg") -> Path:
    path = folder / "01-1m.asf"
    path.write_text(text)
    images.write(folder / picture, np.zeros((20, 100, 3), np.uint8))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_asf([path])
    return str(caught.value)


def test_fractions_reach_from_edge_to_edge(tmp_path: Path) -> None:
    found = read_asf([write(tmp_path)])
    assert found.format == "AAM shape files .asf"
    points = found.faces[0].points
    assert points == pytest.approx(np.array([[-0.5, -0.5], [49.5, 19.5], [100.5, 0.5]]), abs=1e-5)


def test_the_picture_is_the_one_that_the_file_names_else_that_of_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, FILE.replace("01-1m.jpg", "host.jpg"), picture="host.jpg")
    images.write(tmp_path / "01-1m.png", np.zeros((2, 2, 3), np.uint8))
    assert read_asf([path]).faces[0].name == "host.jpg"
    (tmp_path / "host.jpg").unlink()
    assert read_asf([path]).faces[0].name == "01-1m.png"
    (tmp_path / "01-1m.png").unlink()
    assert "has no picture beside it" in refusal(path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("\n3\n", "\n4\n", "row 10: 4 points are stated, but 3 follow"),
        ("\n3\n", "\n\n", "is no shape file"),
        ("0.50000000", "half", "row 18: 'half' is no number"),
        ("0.50000000", "nan", "row 18: 'nan' is no number"),
        ("\t2 \t1 \t2", "\t5 \t1 \t2", "row 19: this is not the row of point 2"),
    ],
)
def test_what_is_broken_is_named_with_file_and_row(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    message = refusal(write(tmp_path, FILE.replace(old, new)))
    assert told in message
    assert "01-1m.asf" in message


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "01-1m.jpg").write_bytes(b"no picture")
    assert "01-1m.jpg is not a picture" in refusal(path)
