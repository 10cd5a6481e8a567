"""AAM shape files: a file .asf beside each picture, as the IMM face database has them.

After the number of points comes a row for each (path, type, x, y, its number, and the two that it
is connected with), then the picture's name. x and y are fractions of the picture's width and
height, from its left and upper edge, so that half a pixel is taken off (see `points_of`).

Format: M. Stegmann, the AAM-API, https://www2.imm.dtu.dk/~aam. It knows no missing points.
"""

from collections.abc import Sequence
from pathlib import Path

from img2img.data import images
from img2img.data.formats.point_labels import (
    Face,
    Labelled,
    PicturesBeside,
    Points,
    as_points,
    number,
    row_of,
    text_of,
)
from img2img.errors import DataError, InputError

_PEOPLE = r"^(\d\d)-\d[mf]$"
"""IMM: two digits of the person, the number of the picture, m or f."""


def read_asf(files: Sequence[Path]) -> Labelled:
    """The faces of the files of one folder.

    Raises:
        DataError: a file is broken, or its picture is missing or unreadable.
    """
    beside = PicturesBeside(files[0].parent)
    faces = []
    for path in files:
        rows, host = _rows(path)
        picture = path.parent / host
        if not host or not picture.is_file():
            picture = beside.of(path)
        points = points_of(rows, path, _size(picture))
        faces.append(Face(name=picture.name, picture=picture, points=points, where=str(path)))
    return Labelled(
        format="AAM shape files .asf", path=files[0].parent, faces=faces, people=_PEOPLE
    )


Rows = Sequence[tuple[int, list[str]]]
"""(number of the row in the file, its words)."""


def points_of(rows: Rows, path: Path, size: images.Size) -> Points:
    """The points in a picture of (height, width) pixels.

    The IMM points all lie at (k / 1.55 + 0.5) / 640: clicks on a 640 pixel picture shown 1.55 times
    as large, the first pixel's centre being 1. A click on screen pixel k is meant for its centre;
    so they are fractions from edge to edge to within 0.2 pixels. The jaws' edges in the pictures,
    left and right averaged, ask for 0.47 ± 0.04 instead of 0.5.

    Raises:
        DataError: a row is broken or has another number than it should.
    """
    height, width = size
    points = []
    for index, (row, words) in enumerate(rows):
        where = row_of(path, row)
        if len(words) < 7 or words[4] != str(index):
            raise DataError(f"{where}: this is not the row of point {index}; correct the file.")
        x, y = number(words[2], where), number(words[3], where)
        points.append((x * width - 0.5, y * height - 0.5))
    return as_points(points)


def _rows(path: Path) -> tuple[Rows, str]:
    """(the rows of the points, the name of the picture, which may be empty)."""
    lines = enumerate(text_of(path).splitlines(), start=1)
    rows = [(row, line.split()) for row, line in lines if line.strip() and line[0] != "#"]
    if not rows or len(rows[0][1]) != 1 or not rows[0][1][0].isdecimal():
        raise DataError(f"{path} is no shape file, which begins with the number of its points.")
    stated = int(rows[0][1][0])
    has_host = len(rows[-1][1]) < 7
    points = rows[1:-1] if has_host else rows[1:]
    if len(points) != stated:
        raise DataError(
            f"{row_of(path, rows[0][0])}: {stated} points are stated, but {len(points)} follow; "
            "correct the file."
        )
    return points, " ".join(rows[-1][1]) if has_host else ""


def _size(picture: Path) -> images.Size:
    try:
        return images.probe(images.read_bytes(picture), str(picture))
    except InputError as error:
        raise DataError(str(error)) from None
