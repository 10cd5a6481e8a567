"""Which samples belong together, so that no division tears them apart."""

import csv
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions, check_groups
from img2img.data import images
from img2img.errors import DataError, InputError

GROUPS_FILE = "groups.csv"

Row = Mapping[str, str]


def group_names(
    ids: Sequence[str], paths: Sequence[Path], data: DataOptions, folder: Path
) -> list[str]:
    """The group of each sample as `data.groups` says; a sample that is in none is its own.

    Args:
        ids: what the samples are called.
        paths: their pictures.
        folder: where `groups.csv` may lie.

    Raises:
        DataError: `groups.csv` is unreadable or lacks the column that is asked for.
        UsageError: `data.groups` has no known form.
    """
    kind, argument = check_groups(data.groups)
    if kind == "pattern":
        matches = [re.search(argument, sample) for sample in ids]
        return [(match and match[1]) or id for match, id in zip(matches, ids, strict=True)]
    if kind in ("auto", "column"):
        return _of_column(ids, folder, None if kind == "auto" else argument)
    if kind == "clusters":
        return _clusters(ids, paths)
    return list(ids)


NEAR_LEVELS = 10.0
"""Root mean square difference below which two thumbnails show the same moment. On 320 pictures of
nine kitchens it joins frames of a film (48 of 57 of a fixed camera) and no two kitchens."""
_SIDE_PX = 32


def _clusters(ids: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """Pictures joined wherever two look alike, directly or through others; a cluster is called
    after its first picture."""
    with ThreadPoolExecutor(4) as pool:
        thumbnails = np.stack(list(pool.map(_thumbnail, paths)))
    first = np.arange(len(ids))
    for index in range(1, len(ids)):
        gaps = np.square(thumbnails[:index] - thumbnails[index]).mean(axis=1)
        joined = np.unique(first[:index][gaps < NEAR_LEVELS**2])
        if joined.size:
            first[: index + 1][np.isin(first[: index + 1], [*joined, index])] = joined[0]
    return [ids[index] for index in first.tolist()]


def _thumbnail(path: Path) -> NDArray[np.float32]:
    try:
        image = images.read(path)
    except InputError as error:
        raise DataError(str(error)) from None
    small = cv2.resize(image, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32).ravel()


def read_rows(folder: Path) -> dict[str, Row]:
    """{image: row} of `groups.csv` in a folder, empty where there is none.

    Raises:
        DataError: the file is unreadable or has no column `image`.
    """
    path = folder / GROUPS_FILE
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, restval=""))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}.") from None
    if rows and "image" not in rows[0]:
        raise DataError(f"{path} has no column 'image': name each row's picture in it.")
    return {row["image"]: row for row in rows}


def _of_column(ids: Sequence[str], folder: Path, column: str | None) -> list[str]:
    rows = read_rows(folder)
    name = column or "group"
    if column and not any(column in row for row in rows.values()):
        path = folder / GROUPS_FILE
        raise DataError(f"{path} has no column {column!r}, which data.groups asks for.")
    return [rows.get(id, {}).get(name) or id for id in ids]
