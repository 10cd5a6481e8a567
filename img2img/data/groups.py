"""Which samples belong together, so that no division tears them apart."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions
from img2img.data import images
from img2img.errors import DataError, InputError, UsageError
from img2img.option_values import check_groups

GROUPS_FILE = "groups.csv"

Row = Mapping[str, str]

# Root mean square of levels (Lab). On 320 pictures of nine scenes it makes 161 clusters, none of
# two scenes, whose nearest pictures are 17 apart; 62 frames of a worn camera are 52 of them.
_NEAR_LEVELS = 10.0
# Least overlap of what is labelled in two pictures that are alike: 56 of 57 frames of a camera that
# stands still look alike, whose eggs and pans lie in 20 ways.
_NEAR_LAYOUTS = 0.3
_THUMBNAIL_PX = 16
# Two of 16: neighbouring frames of a moving camera are alike only where they overlap.
_SHIFT_PX = 2
_BLOCK = 256


def group_names(
    ids: Sequence[str],
    paths: Sequence[Path],
    data: DataOptions,
    folder: Path,
    layouts: Callable[[], NDArray[np.uint8]] | None = None,
) -> list[str]:
    """The group of each sample as `data.groups` says; a sample that is in none is its own.

    Args:
        ids: what the samples are called.
        paths: their pictures.
        folder: the data, in which `groups.csv` may lie.
        layouts: gives (N, h, w), what is labelled where in each picture, 0 being nothing, which
            tells moments apart that look alike, as frames of a camera that stands still do.

    Raises:
        DataError: `groups.csv` or, for clusters, a picture is unreadable, or a column is missing.
        UsageError: `data.groups` has no known form, or does not fit these data.
    """
    kind, argument = check_groups(data.groups)
    if not ids:
        return []
    if kind == "pattern":
        matches = [re.search(argument, sample) for sample in ids]
        names = [match[1] if match else None for match in matches]
    elif kind in ("clusters", "moments"):
        by_layout = layouts() if layouts and kind == "moments" else None
        found = _clusters(_thumbnails(paths), by_layout)
        names = [ids[first] for first in found]
    elif kind == "faces":
        raise UsageError("data.groups=faces compares faces with points: these data have none.")
    elif kind == "none":
        names = [None] * len(ids)
    else:
        names = _of_column(paths, GroupsFiles(folder), argument)
    return [name or sample for name, sample in zip(names, ids, strict=True)]


class GroupsFiles:
    """The files `groups.csv` of a folder and its subfolders. A row's `image` is a path below the
    file's folder or below `images` in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, dict[str, Row]] = {}

    @property
    def rows(self) -> int:
        """Number of rows that were read so far."""
        return sum(map(len, self._files.values()))

    def row(self, picture: Path) -> tuple[Row, Path] | None:
        """The row of a picture in the nearest file that has one, and that file.

        Raises:
            DataError: a file is unreadable or has no column `image`.
        """
        for parent in self._above(picture):
            rows = self._files.get(parent)
            if rows is None:
                rows = self._files[parent] = _read(parent / GROUPS_FILE)
            name = picture.relative_to(parent).as_posix()
            row = rows.get(name) or rows.get(name.removeprefix("images/"))
            if row is not None:
                return row, parent / GROUPS_FILE
        return None

    def _above(self, picture: Path) -> Iterator[Path]:
        """The folders between the picture and the data, the nearest first."""
        return (parent for parent in picture.parents if parent.is_relative_to(self._folder))


def _read(path: Path) -> dict[str, Row]:
    """{image: row}, empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}; save it as CSV in UTF-8.") from None
    if "image" not in (reader.fieldnames or ()):
        raise DataError(f"{path} has no column 'image': name each row's picture in it.")
    return {row["image"]: row for row in rows}


def _of_column(paths: Sequence[Path], files: GroupsFiles, column: str) -> list[str | None]:
    """What a column, or `group` if it is empty, says of each picture; only a column that is asked
    for must exist, and a file that speaks of other pictures alone is a mistake."""
    found = [files.row(path) for path in paths]
    if column and not any(entry and column in entry[0] for entry in found):
        raise DataError(
            f"data.groups asks for the column {column!r}, which no {GROUPS_FILE} of the data has "
            "for their pictures: add it, or leave data.groups out."
        )
    if files.rows and not any(found):
        raise DataError(
            f"no {GROUPS_FILE} of the data has a row for any of their pictures, such as "
            f"{paths[0].name}: name pictures as their paths below images, or use --set "
            "data.groups=none."
        )
    return [entry[0].get(column or "group") if entry else None for entry in found]


def _thumbnails(paths: Sequence[Path]) -> NDArray[np.float32]:
    """(N, 16, 16, 3) Lab, levels of 0…255."""

    def thumbnail(path: Path) -> NDArray[np.float32]:
        try:
            image = images.read(path)
        except InputError as error:
            raise DataError(str(error)) from None
        small = cv2.resize(image, (_THUMBNAIL_PX,) * 2, interpolation=cv2.INTER_AREA)
        return cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)

    with ThreadPoolExecutor(4) as pool:
        return np.stack(list(pool.map(thumbnail, paths)))


def _clusters(
    thumbnails: NDArray[np.float32], layouts: NDArray[np.uint8] | None = None
) -> list[int]:
    """Of each picture, the first one that it is joined with: two are joined if they look alike,
    and if both are joined with a third."""
    first = np.arange(len(thumbnails))
    for start in range(0, len(thumbnails), _BLOCK):
        stop = min(start + _BLOCK, len(thumbnails))
        alike = _gaps(thumbnails[start:stop], thumbnails[:stop]) < _NEAR_LEVELS**2
        if layouts is not None:
            alike &= _overlaps(layouts[start:stop], layouts[:stop]) >= _NEAR_LAYOUTS
        for index in range(start, stop):
            joined = np.unique(first[:index][alike[index - start, :index]])
            if joined.size:
                first[np.isin(first, [*joined, index])] = joined[0]
    return [int(index) for index in first]


def _gaps(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, N): mean squared differences of thumbnails, each under the best shift."""
    least = np.full((len(some), len(others)), np.inf, np.float32)
    shifts = range(-_SHIFT_PX, _SHIFT_PX + 1)
    for y in shifts:
        for x in shifts:
            ones = some[:, *_overlap(y, x)].reshape(len(some), -1)
            twos = others[:, *_overlap(-y, -x)].reshape(len(others), -1)
            squares = np.square(ones).sum(1)[:, None] + np.square(twos).sum(1)
            np.minimum(least, (squares - 2 * ones @ twos.T) / ones.shape[1], out=least)
    return least


def _overlaps(some: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(S, N): of what is labelled in either of two layouts, the share that is equal in both; 1
    where nothing is."""
    table = np.ones((len(some), len(others)))
    for row, layout in zip(table, some, strict=True):
        either = ((layout > 0) | (others > 0)).sum((1, 2))
        both = ((layout == others) & (layout > 0)).sum((1, 2))
        np.divide(both, either, out=row, where=either > 0)
    return table


def _overlap(y: int, x: int) -> tuple[slice, slice]:
    """The part of a thumbnail that lies over another one moved by y and x."""
    return slice(max(0, y), _THUMBNAIL_PX + min(0, y)), slice(max(0, x), _THUMBNAIL_PX + min(0, x))
