"""dlib's XML: boxes with named parts."""

from pathlib import Path

import numpy as np
import pytest

from img2img.data import images
from img2img.data.formats.dlib_xml import read_dlib_xml
from img2img.errors import DataError

GOOD = """<?xml version='1.0' encoding='ISO-8859-1'?>
<?xml-stylesheet type='text/xsl' href='image_metadata_stylesheet.xsl'?>
<dataset>
<name>iBUG face point dataset</name>
<images>
  <image file='afw/a.jpg' width='8' height='6'>
    <box top='1' left='2' width='4' height='3'>
      <part name='10' x='7' y='8'/>
      <part name='9' x='-1' y='2'/>
      <part name='00' x='3.5' y='4'/>
    </box>
    <box top='0' left='0' width='2' height='2'>
      <part name='00' x='1' y='1'/>
      <part name='10' x='2' y='2'/>
    </box>
    <box top='0' left='0' width='2' height='2' ignore='1'>
      <part name='00' x='1' y='1'/>
    </box>
    <box top='0' left='0' width='2' height='2'/>
  </image>
</images>
</dataset>
"""


def write(folder: Path, text: str = GOOD) -> Path:
    (folder / "afw").mkdir(exist_ok=True)
    images.write(folder / "afw" / "a.jpg", np.zeros((6, 8, 3), np.uint8))
    path = folder / "labels.xml"
    path.write_text(text, encoding="latin-1")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_dlib_xml(path)
    return str(caught.value)


def test_parts_are_in_the_order_of_their_numbers_and_missing_where_left_out(tmp_path: Path) -> None:
    found = read_dlib_xml(write(tmp_path))
    assert found.format == "dlib XML"
    assert found.names == ("00", "9", "10")
    one, two = found.faces
    assert one.points.tolist() == [[3.5, 4], [-1, 2], [7, 8]]
    assert two.points[[0, 2]].tolist() == [[1, 1], [2, 2]]
    assert np.isnan(two.points[1]).all()


def test_boxes_reach_to_their_last_pixel_and_ignored_or_empty_ones_are_left_out(
    tmp_path: Path,
) -> None:
    found = read_dlib_xml(write(tmp_path))
    assert [face.box.tolist() for face in found.faces] == [[2, 1, 5, 3], [0, 0, 1, 1]]


def test_parts_with_names_are_in_the_order_of_the_alphabet(tmp_path: Path) -> None:
    found = read_dlib_xml(write(tmp_path, GOOD.replace("'9'", "'nose'")))
    assert found.names == ("00", "10", "nose")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("x='7'", "x='seven'", "row 8: 'seven' is no number"),
        ("x='7'", "x='nan'", "row 8: 'nan' is no number"),
        (" x='7'", "", "row 8: this part is not as dlib writes it"),
        ("'9'", "'10'", "row 9: its box has the part '10' twice"),
        (" left='2'", "", "row 7: this box is not as dlib writes it"),
        ("left='2'", "left='l'", "row 7: 'l' is no number, as left of a box must be"),
        ("<image file='afw/a.jpg'", "<image", "row 6: this image is not as dlib writes it"),
        ("afw/a.jpg", "afw/b.jpg", "row 7: the picture 'afw/b.jpg' lies neither beside"),
        ("</images>", "", "is no XML"),
        ("<part", "<point", "has no box with parts"),
    ],
)
def test_what_is_broken_is_named_with_file_and_row(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    message = refusal(write(tmp_path, GOOD.replace(old, new)))
    assert told in message
    assert "labels.xml" in message
