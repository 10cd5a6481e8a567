"""Kaggle Facial Keypoints: CSV with a row a face, its 96 × 96 grey pixels as text in `Image`.

`training.csv` has two columns, NAME_x and NAME_y, for each of 15 points, both empty where the point
is missing; `test.csv` has `ImageId` instead. Coordinates are zero-based. `IdLookupTable.csv` says
what is asked of the test pictures: RowId, ImageId, FeatureName.

Format: https://www.kaggle.com/c/facial-keypoints-detection/data
"""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from img2img.data.formats.point_labels import (
    Face,
    Labelled,
    points_of_cells,
    row_of,
)
from img2img.data.formats.points_csv import rows_of
from img2img.data.sample import Image
from img2img.errors import DataError, InputError

SIDE_PX = 96
LOOKUP = "IdLookupTable.csv"
_PIXELS = "Image"
_ID = "ImageId"


def is_kaggle_csv(header: Sequence[str]) -> bool:
    """Whether the first row of a file can be that of this format, with labels or without."""
    return _PIXELS in header


def has_labels(header: Sequence[str]) -> bool:
    """Whether the first row is that of a file with points, such as training.csv."""
    return is_kaggle_csv(header) and any(name.endswith("_x") for name in header)


def read_kaggle_csv(path: Path) -> Labelled:
    """The faces of a file, called by their ImageId, or else by their number from 1 on. Without
    columns of points, as in test.csv, they have none.

    Raises:
        DataError: a row is broken, its pixels are not 9216, or a coordinate is no number.
    """
    rows = rows_of(path)
    _, header = next(rows, (1, []))
    column = {name: index for index, name in enumerate(header)}
    names = _point_names(header, path)
    columns = [column[f"{name}_{axis}"] for name in names for axis in "xy"]
    faces = []
    for number, (row, cells) in enumerate(rows, start=1):
        where = row_of(path, row)
        if len(cells) != len(header):
            raise DataError(
                f"{where}: it has {len(cells)} columns instead of {len(header)}; correct the row."
            )
        points = points_of_cells([_filled(cells[index]) for index in columns], where, names)
        faces.append(
            Face(
                name=cells[column[_ID]] if _ID in column else str(number),
                picture=_pixels(cells[column[_PIXELS]], where),
                points=points,
                where=where,
            )
        )
    if not faces:
        raise DataError(f"{path} has no rows below its header: give a file with faces.")
    return Labelled(format="Kaggle CSV", path=path, faces=faces, names=names)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRow:
    """A picture of a file: its `number` (ImageId, or the row's number from 1 on; None where that is
    broken) and `pixels` (96, 96, 3) uint8, or the `problem` that the row has instead of them."""

    number: int | None
    pixels: Image | None = None
    problem: str = ""


def picture_rows(path: Path) -> Iterator[PictureRow]:
    """The pictures of a file, whatever points it has, read one by one; broken rows stand among
    them.

    Raises:
        DataError: the file is unreadable, or no file of this format.
    """
    rows = rows_of(path)
    _, header = next(rows, (1, []))
    if not is_kaggle_csv(header):
        raise DataError(
            f"{path} has no column {_PIXELS} with pictures: give picture files, or Kaggle's "
            "test.csv."
        )
    seen: set[int | None] = set()
    number = 0
    try:
        for number, (row, cells) in enumerate(rows, start=1):
            found = _picture_row(cells, header, number, row_of(path, row))
            if found.number in seen and not found.problem:
                told = f"{row_of(path, row)}: {_ID} {found.number} is there already; correct it."
                found = PictureRow(number=found.number, problem=told)
            seen.add(found.number)
            yield found
    except DataError as error:  # what the CSV reader cannot get over
        yield PictureRow(number=None, problem=f"{error} The rows behind it are not read.")
    else:
        if number == 0:
            raise DataError(f"{path} has no rows below its header: give a file with faces.")


def _picture_row(
    cells: Sequence[str], header: Sequence[str], number: int, where: str
) -> PictureRow:
    if len(cells) != len(header):
        told = f"{where}: it has {len(cells)} columns instead of {len(header)}; correct the row."
        return PictureRow(number=None, problem=told)
    if _ID in header:
        text = cells[header.index(_ID)].strip()
        if not (text.isascii() and text.isdecimal()):
            told = f"{where}: {_ID} {text!r} is no whole number; correct the row."
            return PictureRow(number=None, problem=told)
        number = int(text)
    try:
        grey = _pixels(cells[header.index(_PIXELS)], where)
    except DataError as error:
        return PictureRow(number=number, problem=str(error))
    return PictureRow(number=number, pixels=np.repeat(grey, 3, axis=2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A row of IdLookupTable.csv: a coordinate such as `nose_tip_x` of a picture."""

    row: str
    picture: int
    feature: str


def lookup_beside(path: Path) -> Path | None:
    """The IdLookupTable.csv beside a readable file of pictures that are called by their ImageId."""
    lookup = path.with_name(LOOKUP)
    if not lookup.is_file():
        return None
    try:
        _, header = next(rows_of(path), (1, []))
    except DataError:
        return None
    return lookup if is_kaggle_csv(header) and _ID in header else None


def read_lookup(path: Path) -> tuple[Asked, ...]:
    """What IdLookupTable.csv asks for, at least one row.

    Raises:
        DataError: it is unreadable, has not its columns, or a row is broken.
    """
    rows = rows_of(path)
    _, header = next(rows, (1, []))
    if missing := [name for name in ("RowId", _ID, "FeatureName") if name not in header]:
        raise DataError(f"{path} has no column {missing[0]}: give Kaggle's {LOOKUP}.")
    asked = []
    for row, cells in rows:
        # The last column, Location, is empty and left out by some editors.
        of = dict(zip(header, cells, strict=False))
        picture, feature = of.get(_ID, "").strip(), of.get("FeatureName", "").strip()
        if not (picture.isascii() and picture.isdecimal() and of.get("RowId") and feature):
            raise DataError(
                f"{row_of(path, row)}: it needs RowId, {_ID} (a whole number) and FeatureName; "
                "correct the row."
            )
        asked.append(Asked(row=of["RowId"], picture=int(picture), feature=feature))
    if not asked:
        raise DataError(f"{path} has no rows below its header: give Kaggle's {LOOKUP}.")
    return tuple(asked)


def write_submission(
    path: Path, asked: Sequence[Asked], answers: Mapping[int, Mapping[str, float | str]]
) -> list[Asked]:
    """Write what is asked for: RowId and Location, within the picture as Kaggle demands.

    Args:
        path: the file to write.
        asked: of `read_lookup`.
        answers: {ImageId: {feature: coordinate in pixels}}.

    Returns:
        The rows without an answer, which are left out.

    Raises:
        InputError: the file cannot be written.
    """
    written, open_rows = [], []
    for one in asked:
        location = float(answers.get(one.picture, {}).get(one.feature, math.nan))
        if math.isfinite(location):
            written.append((one.row, f"{min(max(location, 0.0), SIDE_PX):.4f}"))
        else:
            open_rows.append(one)
    _write(path, written)
    return open_rows


_AXES = tuple(enumerate("xy"))


def _write(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("RowId", "Location"))
            writer.writerows(rows)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from None


def _point_names(header: Sequence[str], path: Path) -> tuple[str, ...]:
    """The points that have columns, in their order; each must have both, and nothing else be
    there."""
    if _PIXELS not in header or len(set(header)) < len(header):
        raise DataError(
            f"{row_of(path, 1)}: the header needs a column {_PIXELS} and no name twice; give "
            "Kaggle's training.csv or test.csv."
        )
    others = [name for name in header if name not in (_PIXELS, _ID)]
    names = tuple(dict.fromkeys(name.removesuffix("_x").removesuffix("_y") for name in others))
    if {f"{name}_{axis}" for name in names for _, axis in _AXES} != set(others):
        raise DataError(
            f"{row_of(path, 1)}: besides {_PIXELS} there must be two columns a point, such as "
            "nose_tip_x and nose_tip_y; correct the header."
        )
    return names


def _filled(text: str) -> str:
    """Nothing where pandas wrote a missing value as nan."""
    return "" if text.strip().lower() == "nan" else text


def _pixels(text: str, where: str) -> Image:
    """(96, 96, 1) uint8."""
    digits = text.replace(" ", "")
    # NumPy reads six times as fast as int(), but of anything else only what comes before it.
    if digits and not (digits.isascii() and digits.isdecimal()):
        raise _not_whole(where)
    pixels = np.fromstring(text, np.int64, sep=" ") if digits else np.zeros(0, np.int64)
    if len(pixels) != SIDE_PX**2:
        raise DataError(
            f"{where}: it has {len(pixels)} pixels instead of {SIDE_PX**2}, which is {SIDE_PX} x "
            f"{SIDE_PX}; correct the row."
        )
    if pixels.max() > 255:
        raise _not_whole(where)
    return pixels.astype(np.uint8).reshape(SIDE_PX, SIDE_PX, 1)


def _not_whole(where: str) -> DataError:
    return DataError(f"{where}: its pixels are not all whole numbers of 0…255; correct the row.")
