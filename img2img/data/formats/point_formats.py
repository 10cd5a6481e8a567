"""Labels of points, found in a file or folder and read in whatever format they are.

| format               | is taken for it                                | missing points     |
|----------------------|------------------------------------------------|--------------------|
| Kaggle CSV           | a .csv with a column `Image`                   | both cells empty   |
| file-name CSV        | a .csv whose first column names pictures       | both cells empty   |
| dlib XML             | an .xml that begins with `<dataset>`           | a part is left out |
| COCO keypoints       | a .json with annotations that have `keypoints` | visibility 0       |
| 300-W .pts           | .pts files, each beside its picture            | none               |
| AAM shape files .asf | .asf files, each beside its picture            | none               |

In a folder, these are looked for in itself and, if there are none, in each of its folders, and so
on; all must have points of the same number. A face all of whose points are missing is passed over.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from img2img.data.formats.asf import read_asf
from img2img.data.formats.coco_keypoints import content_of, is_coco_keypoints, read_coco_keypoints
from img2img.data.formats.dlib_xml import is_dlib_xml, read_dlib_xml
from img2img.data.formats.kaggle_csv import has_labels, is_kaggle_csv, read_kaggle_csv
from img2img.data.formats.point_labels import Labelled
from img2img.data.formats.points_csv import is_points_csv, read_points_csv, rows_of
from img2img.data.formats.pts import read_pts
from img2img.data.groups import GROUPS_FILE
from img2img.errors import DataError
from img2img.vision.schemas import SCHEMAS, Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The labels of a file or folder; `sets` are {where in the folder, with a slash: labels}, and
    `n_bare` is the number of faces that were passed over because all their points are missing."""

    source: Path
    sets: Mapping[str, Labelled]
    n_bare: int = 0

    @property
    def format(self) -> str:
        """In words; several are joined by "and"."""
        return " and ".join(dict.fromkeys(labelled.format for labelled in self.sets.values()))

    @property
    def n_points(self) -> int:
        return next(iter(self.sets.values())).n_points

    @property
    def schema(self) -> Schema | None:
        """The built-in schema that these points are taken for."""
        return built_in_schema(next(iter(self.sets.values())))

    @property
    def holds_pictures(self) -> bool:
        """Whether the labels' files hold the pictures themselves, which are faces cut out then."""
        return any(
            not isinstance(face.picture, Path)
            for labelled in self.sets.values()
            for face in labelled.faces[:1]
        )

    def described(self) -> str:
        """What was found, in a few words for the user."""
        n_faces = sum(len(labelled.faces) for labelled in self.sets.values())
        n_missing = sum(labelled.n_missing for labelled in self.sets.values())
        missing = f", {n_missing} of them missing" if n_missing else ""
        known = f" ({self.schema.name})" if self.schema else ""
        bare = f"; {self.n_bare} without any point are passed over" if self.n_bare else ""
        return (
            f"{self.source}: {self.format}, {n_faces} faces with {self.n_points} points"
            f"{known} each{missing}{bare}"
        )


def find_points(source: Path) -> Found:
    """The labels of a file or folder, in the format that they are in.

    Raises:
        DataError: there are none of a known format, they are broken, or in doubt.
    """
    if not source.exists():
        raise DataError(f"{source} does not exist: give a folder of pictures with points.")
    is_folder = source.is_dir()
    sets = dict(_sets_of_folder(source, "", set())) if is_folder else {"": _of_file(source)}
    if not sets:
        raise DataError(
            f"{source} holds no points: give a folder with a Kaggle or file-name CSV, a dlib XML, "
            "a COCO keypoints JSON, or .pts or .asf files beside their pictures."
        )
    faces = [face for labelled in sets.values() for face in labelled.faces]
    for face in faces:
        if len(face.points) != len(faces[0].points):
            raise DataError(
                f"{face.where} has {len(face.points)} points, but {faces[0].where} has "
                f"{len(faces[0].points)}: give data whose points are the same."
            )
    return _without_bare(Found(source=source, sets=sets))


def _without_bare(found: Found) -> Found:
    """The labels without faces that have no point; of pictures alone, as in test.csv, none has."""
    if found.n_points == 0:
        return found
    sets = {
        prefix: replace(labelled, faces=kept)
        for prefix, labelled in found.sets.items()
        if (kept := [face for face in labelled.faces if np.isfinite(face.points).any()])
    }
    if not sets:
        raise DataError(f"{found.source} has no labelled point: label some, or give other data.")
    n_left, n_faces = (
        sum(len(labelled.faces) for labelled in each.values()) for each in (sets, found.sets)
    )
    return replace(found, sets=sets, n_bare=n_faces - n_left)


def _sets_of_folder(folder: Path, prefix: str, seen: set[Path]) -> Iterator[tuple[str, Labelled]]:
    """{prefix: labels} of the folder or, if there are none, of those in it, each once."""
    seen.add(folder.resolve())
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}.") from None
    labelled = _of_files([path for path in paths if path.is_file()], folder)
    if labelled:
        yield prefix, labelled
        return
    for path in paths:
        if path.is_dir() and path.resolve() not in seen:
            yield from _sets_of_folder(path, f"{prefix}{path.name}/", seen)


def _of_files(paths: Sequence[Path], folder: Path) -> Labelled | None:
    """What is labelled by files of a folder, if anything is."""
    lists = [path for path in paths if _reader_of(path)]
    beside = {
        suffix: found
        for suffix in _READERS
        if (found := [path for path in paths if path.suffix.lower() == suffix])
    }
    kinds = [path.name for path in lists] + [found[0].name for found in beside.values()]
    if len(kinds) > 1:
        raise DataError(
            f"{folder} holds several kinds of labels, {kinds[0]} and {kinds[1]}: name one file, "
            "--data FILE, or put them into folders of their own."
        )
    if lists:
        return _of_file(lists[0])
    return next((_READERS[suffix](found) for suffix, found in beside.items()), None)


_READERS = {".pts": read_pts, ".asf": read_asf}


def _of_file(path: Path) -> Labelled:
    if path.suffix.lower() == ".csv" and is_kaggle_csv(_first_rows(path)[0]):
        return read_kaggle_csv(path)  # of test.csv, too, which no folder is searched for
    reader = _reader_of(path)
    if reader is None:
        raise DataError(
            f"{path} has no points: give a Kaggle or file-name CSV, a dlib XML, a COCO keypoints "
            "JSON, or a folder."
        )
    return reader(path)


def _reader_of(path: Path) -> Callable[[Path], Labelled] | None:
    """What reads a file that lists many faces; None if it is no such file."""
    suffix = path.suffix.lower()
    if suffix == ".csv" and path.name != GROUPS_FILE:
        rows = _first_rows(path)
        reader = _csv_reader(rows)
        if reader is None:
            _refuse_separator(rows, path)
        return reader
    if suffix == ".xml" and is_dlib_xml(path):
        return read_dlib_xml
    if suffix == ".json" and is_coco_keypoints(content_of(path)):
        return read_coco_keypoints
    return None


def _csv_reader(rows: Sequence[Sequence[str]]) -> Callable[[Path], Labelled] | None:
    """What reads a file that begins with these rows."""
    if has_labels(rows[0]):
        return read_kaggle_csv
    return read_points_csv if is_points_csv(rows) else None


def _refuse_separator(rows: Sequence[Sequence[str]], path: Path) -> None:
    """Refuses a file that would be one of points if other signs than commas parted its cells."""
    for sign, name in ((";", "semicolons"), ("\t", "tabs")):
        if _csv_reader([",".join(cells).split(sign) for cells in rows]):
            raise DataError(
                f"{path} seems to have {name} between its cells: save it with commas, and points "
                "within numbers."
            )


def _first_rows(path: Path) -> list[list[str]]:
    """The first two rows of a CSV file; an empty one has one without cells."""
    return [cells for _, cells in islice(rows_of(path), 2)] or [[]]


def built_in_schema(labelled: Labelled) -> Schema | None:
    """The built-in schema with the names of the points or, if there is none, with their number."""
    schemas = SCHEMAS.values()
    named = (schema for schema in schemas if set(schema.points) == set(labelled.names))
    sized = (schema for schema in schemas if len(schema) == labelled.n_points)
    return next(named, None) or next(sized, None)
