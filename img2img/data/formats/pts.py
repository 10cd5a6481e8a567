"""300-W: a file .pts beside each picture. Its coordinates are one-based: 1 is the first pixel.

```
version: 1
n_points: 68
{
107.523 206.120
…
}
```

Format: https://ibug.doc.ic.ac.uk/resources/300-W/. It knows no missing points.
"""

from collections.abc import Sequence
from pathlib import Path

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
from img2img.errors import DataError


def read_pts(files: Sequence[Path]) -> Labelled:
    """The faces of the files of one folder.

    Raises:
        DataError: a file is broken, or has no picture beside it.
    """
    beside = PicturesBeside(files[0].parent)
    faces = []
    for path in files:
        picture = beside.of(path)
        faces.append(
            Face(name=picture.name, picture=picture, points=points_of(path), where=str(path))
        )
    return Labelled(format="300-W .pts", path=files[0].parent, faces=faces)


def points_of(path: Path) -> Points:
    """The zero-based points of one file.

    Raises:
        DataError: the file is no .pts file, has another number of points than it says, or a
            coordinate that is no number.
    """
    rows = [(row, line.split()) for row, line in enumerate(text_of(path).splitlines(), start=1)]
    rows = [(row, words) for row, words in rows if words]
    braces = [at for at, (_, words) in enumerate(rows) if words in (["{"], ["}"])]
    if len(braces) != 2 or rows[braces[0]][1] != ["{"]:
        raise DataError(f"{path} is no .pts file, with the points between {{ and }}: save it anew.")
    first, last = braces
    stated = _stated(rows[:first], path)
    points = []
    for row, words in rows[first + 1 : last]:
        where = row_of(path, row)
        if len(words) != 2:
            raise DataError(f"{where}: {' '.join(words)!r} is not x and y; correct the file.")
        points.append((number(words[0], where) - 1, number(words[1], where) - 1))
    if len(points) != stated:
        raise DataError(
            f"{row_of(path, rows[last][0])}: {len(points)} points end here, but n_points is "
            f"{stated}; correct the file."
        )
    return as_points(points)


def _stated(rows: Sequence[tuple[int, list[str]]], path: Path) -> int:
    for row, words in rows:
        key, _, value = " ".join(words).partition(":")
        if key.strip() == "n_points":
            if value.strip().isdecimal() and int(value) > 0:
                return int(value)
            raise DataError(f"{row_of(path, row)}: n_points is {value.strip()!r}, no number.")
    raise DataError(f"{path} does not say its n_points: add them above the brace.")
