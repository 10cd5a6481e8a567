"""Which samples belong together, so that no division tears them apart."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from img2img.config import DataOptions, check_groups
from img2img.errors import DataError

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
    return list(ids)


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
