"""CSV with a row a face: the picture's file name, then x0, y0, x1, y1 …, zero-based.

The first row may be a header; the names in it do not matter, but they may not say that the columns
have another order. A point whose two cells are empty is missing.
"""

import csv
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.data import images
from img2img.data.formats.point_labels import (
    Face,
    Labelled,
    picture_named,
    points_of_cells,
    row_of,
)
from img2img.errors import DataError, InputError

_PEOPLE = r"^(.*[^\W\d_].*)_\d\d(_b)?$"
"""YouTube Faces frames: the person, two digits, and _b for a second video."""


def is_points_csv(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first two rows of a file can be those of this format."""
    return any(len(row) > 2 and images.is_picture(Path(row[0])) for row in rows[:2])


def read_points_csv(path: Path) -> Labelled:
    """The faces of a file.

    Raises:
        DataError: a row is broken, names a picture that is not there, or has a coordinate that is
            no number.
    """
    table = list(rows_of(path))
    if not is_points_csv([cells for _, cells in table]):
        raise DataError(f"{path} has no row of a picture's file name, x0, y0 …: give another file.")
    header = [] if is_points_csv([table[0][1]]) else table[0][1]
    rows = table[1:] if header else table
    _check_header(header, path)
    n_columns = len(header or rows[0][1])
    if n_columns % 2 == 0:
        raise DataError(
            f"{row_of(path, table[0][0])}: {n_columns - 1} columns follow the file name, but x and "
            "y of every point are an even number; correct the file."
        )
    faces = []
    for row, cells in rows:
        where = row_of(path, row)
        if len(cells) != n_columns:
            raise DataError(
                f"{where}: it has {len(cells)} columns instead of {n_columns}; correct the row."
            )
        name, *numbers = cells
        points = points_of_cells(numbers, where)
        picture = picture_named(name, path, where)
        faces.append(Face(name=name, picture=picture, points=points, where=where))
    return Labelled(format="file-name CSV", path=path, faces=faces, people=_PEOPLE)


def append_row(path: Path, name: str, points: NDArray[np.floating[Any]]) -> None:
    """Adds a picture with points (P, 2) to a file, which is made with a header if it is new.

    Raises:
        InputError: the file cannot be written.
    """
    header = ["image", *(f"{axis}{index}" for index in range(len(points)) for axis in "xy")]
    cells = ["" if np.isnan(value) else f"{value:.4f}" for value in points.ravel().tolist()]
    try:
        is_new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header] * is_new + [[name, *cells]])
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from None


def rows_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(number of the row, cells) of every row of a CSV file that is not empty.

    Raises:
        DataError: the file is unreadable or no CSV.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            try:
                yield from ((reader.line_num, cells) for cells in reader if cells)
            except csv.Error as error:
                where = row_of(path, reader.line_num)
                raise DataError(f"{where}: {error}; correct the row.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is no text in UTF-8: export it anew.") from None


def _check_header(header: Sequence[str], path: Path) -> None:
    """Columns called x0, x1 …, y0, y1 … would be read as points that nobody set."""
    axes = [_axis(name) for name in header[1:]]
    if all(axes) and any(one == two for one, two in pairwise(axes)):
        raise DataError(
            f"{row_of(path, 1)}: the columns are not x and y in turn ({', '.join(header[1:4])} …); "
            "bring them into the order x0, y0, x1, y1 …."
        )


def _axis(name: str) -> str:
    """x or y if a column's name begins or ends with one, else nothing."""
    ends = name[:1].lower(), name[-1:].lower()
    return next((letter for letter in ends if letter in ("x", "y")), "")
