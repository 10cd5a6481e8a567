"""Kaggle Facial Keypoints: CSV with a row a face, its 96 × 96 grey pixels as text in `Image`.

`training.csv` has two columns, NAME_x and NAME_y, for each of 15 points, both empty where the point
is missing; `test.csv` has `ImageId` instead. Coordinates are zero-based. `IdLookupTable.csv` says
what is asked of the test pictures: RowId, ImageId, FeatureName.

Format: https://www.kaggle.com/c/facial-keypoints-detection/data
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from img2img.data.formats.point_labels import (
    Face,
    Labelled,
    Points,
    points_of_cells,
    row_of,
)
from img2img.data.formats.points_csv import rows_of
from img2img.data.sample import Image
from img2img.errors import DataError, InputError

SIDE_PX = 96
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


def write_submission(
    path: Path, lookup: Path, answers: Mapping[str, Points], names: Sequence[str]
) -> int:
    """Write what is asked for: RowId and Location, within the picture as Kaggle demands.

    Args:
        path: the file to write.
        lookup: IdLookupTable.csv.
        answers: {ImageId: (P, 2) points}.
        names: what the P points are called.

    Returns:
        How many rows were written.

    Raises:
        DataError: the table is broken, or asks for a picture or a point without an answer.
        InputError: the file cannot be written.
    """
    rows = rows_of(lookup)
    _, header = next(rows, (1, []))
    if missing := [name for name in ("RowId", _ID, "FeatureName") if name not in header]:
        raise DataError(f"{lookup} has no column {missing[0]}: give Kaggle's IdLookupTable.csv.")
    index_of = {f"{name}_{axis}": (p, a) for p, name in enumerate(names) for a, axis in _AXES}
    written = []
    for row, cells in rows:
        asked = dict(zip(header, cells, strict=False))
        image, feature = asked.get(_ID, ""), asked.get("FeatureName", "")
        where = row_of(lookup, row)
        if image not in answers:
            raise DataError(f"{where}: picture {image} has no answer; predict all of test.csv.")
        if feature not in index_of:
            raise DataError(f"{where}: {feature!r} is not among the points; use kaggle15.")
        location = float(answers[image][index_of[feature]])
        if not np.isfinite(location):
            raise DataError(f"{where}: {feature} of picture {image} is missing; predict it.")
        written.append((asked["RowId"], f"{min(max(location, 0.0), SIDE_PX):.4f}"))
    _write(path, written)
    return len(written)


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
