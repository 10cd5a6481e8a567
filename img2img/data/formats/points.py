"""Pictures with points, in whatever format their labels are, divided by person.

| format               | is taken for it                                | missing points     |
|----------------------|------------------------------------------------|--------------------|
| Kaggle CSV           | a .csv with a column `Image`                   | both cells empty   |
| file-name CSV        | a .csv whose first column names pictures       | both cells empty   |
| dlib XML             | an .xml that begins with `<dataset>`           | a part is left out |
| COCO keypoints       | a .json with annotations that have `keypoints` | visibility 0       |
| 300-W .pts           | .pts files, each beside its picture            | none               |
| AAM shape files .asf | .asf files, each beside its picture            | none               |

In a folder, these are looked for in itself and, if there are none, in each of its folders, and so
on; all must have points of the same number.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions, check_groups
from img2img.data import images
from img2img.data.face_groups import united_by_faces
from img2img.data.formats.asf import read_asf
from img2img.data.formats.coco_keypoints import content_of, is_coco_keypoints, read_coco_keypoints
from img2img.data.formats.dlib_xml import is_dlib_xml, read_dlib_xml
from img2img.data.formats.folders import digest_of, part_indices
from img2img.data.formats.kaggle_csv import has_labels, is_kaggle_csv, read_kaggle_csv
from img2img.data.formats.point_labels import Face, Labelled, Points
from img2img.data.formats.points_csv import is_points_csv, read_points_csv, rows_of
from img2img.data.formats.pts import read_pts
from img2img.data.groups import GROUPS_FILE, group_names
from img2img.data.sample import Dataset, Image, Record, Sample, Splits
from img2img.errors import DataError, InputError, UsageError
from img2img.vision.schemas import SCHEMAS, Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The labels of a file or folder; `sets` are {where in the folder, with a slash: labels}."""

    source: Path
    sets: Mapping[str, Labelled]

    @property
    def format(self) -> str:
        """In words; several are joined by "and"."""
        return " and ".join(dict.fromkeys(labelled.format for labelled in self.sets.values()))

    @property
    def n_points(self) -> int:
        return next(iter(self.sets.values())).n_points

    @property
    def schema(self) -> Schema | None:
        """The built-in schema that these points are taken for: that with their names or, if they
        have none, their number."""
        return _built_in(next(iter(self.sets.values())))

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
        return (
            f"{self.source}: {self.format}, {n_faces} faces with {self.n_points} points"
            f"{known} each{missing}"
        )


class PointPictures(Dataset):
    """Pictures with points: `faces[id]` is what is labelled in a sample, in its order of points. A
    picture with several faces is as many samples."""

    def __init__(self, records: Sequence[Record], faces: Mapping[str, Face]) -> None:
        super().__init__(records)
        self.faces = faces

    @property
    def points(self) -> Points:
        """(N, P, 2) of all samples, in the order of the records."""
        return np.stack([self.faces[record.id].points for record in self.records])

    def pixels(self, record: Record) -> Image:
        """(H, W, 3) uint8 RGB.

        Raises:
            DataError: the file became unreadable.
        """
        picture = self.faces[record.id].picture
        if not isinstance(picture, Path):
            return np.repeat(picture, 3 // picture.shape[2], axis=2)
        try:
            return images.read(picture)
        except InputError as error:
            raise DataError(str(error)) from None

    def sample(self, record: Record, pixels: Image) -> Sample:
        """The picture with labels {points: (P, 2) float32, x and y in pixels from the centre of the
        first one, NaN where missing; box: (4,) float32 x0, y0, x1, y1, if the labels have one}."""
        face = self.faces[record.id]
        labels: dict[str, NDArray[np.generic]] = {"points": face.points}
        if face.box is not None:
            labels["box"] = face.box
        return Sample(id=record.id, group=record.group or record.id, image=pixels, labels=labels)


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
    return Found(source=source, sets=sets)


def point_splits(found: Found, data: DataOptions, schema: Schema) -> Splits:
    """The pictures in the order of points of a schema, divided.

    Samples of one person stay together, as far as the person is known: `data.groups` says how. If
    that is `auto`, `groups.csv` is asked, then file names that are all as those of IMM (`01-2m`) or
    of YouTube Faces frames (`First_Last_01`, `First_Last_01_b`). `faces` also keeps faces together
    that look alike. Faces of one picture stay together in any case.

    Raises:
        DataError: the pictures have no points, other points than the schema, or are unreadable.
        UsageError: the data cannot be divided as asked.
    """
    check_labelled(found)
    whole = pictures_of(found, data, schema)
    groups = [record.group for record in whole.records]
    parts, stated = part_indices([record.id for record in whole.records], data, groups)
    return Splits(
        name=str(found.source),
        parts={part: whole.subset(indices) for part, indices in parts.items()},
        stated=stated,
        whole=whole.subset([index for indices in parts.values() for index in indices]),
    )


def check_labelled(found: Found) -> None:
    """Refuses pictures that have no points, such as Kaggle's test.csv.

    Raises:
        DataError: they have none.
    """
    if found.n_points == 0:
        raise DataError(f"{found.source} has pictures without points: give data with labels.")


def pictures_of(found: Found, data: DataOptions, schema: Schema) -> PointPictures:
    """All pictures, undivided, in the order of points of a schema. Where the labels are pictures
    alone, as in Kaggle's test.csv, all points are missing.

    Raises:
        DataError: the labels have other points than the schema, or pictures are unreadable.
        UsageError: `data.groups` does not fit.
    """
    faces = faces_of(found, schema)
    groups = groups_of(found, data)
    pictures = PointPictures(_index(faces, groups, found.source), faces)
    if check_groups(data.groups)[0] == "faces":
        groups = united_by_faces(pictures, schema, groups)
        pairs = zip(pictures.records, groups, strict=True)
        pictures.records = tuple(replace(record, group=group) for record, group in pairs)
    return pictures


def faces_of(found: Found, schema: Schema) -> dict[str, Face]:
    """{id of the sample: face} of all faces, in the order of points of a schema; no picture is
    read.

    Raises:
        DataError: the labels have other points than the schema.
    """
    return {
        f"{prefix}{name}": face
        for prefix, labelled in found.sets.items()
        for name, face in _named(_in_order_of(schema, labelled)).items()
    }


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
    kinds = [path.name for path in lists] or [found[0].name for found in beside.values()]
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
        if has_labels(rows[0]):
            return read_kaggle_csv
        return read_points_csv if is_points_csv(rows) else None
    if suffix == ".xml" and is_dlib_xml(path):
        return read_dlib_xml
    if suffix == ".json" and is_coco_keypoints(content_of(path)):
        return read_coco_keypoints
    return None


def _first_rows(path: Path) -> list[list[str]]:
    """The first two rows of a CSV file; an empty one has one without cells."""
    return [cells for _, cells in islice(rows_of(path), 2)] or [[]]


def _built_in(labelled: Labelled) -> Schema | None:
    schemas = SCHEMAS.values()
    named = (schema for schema in schemas if set(schema.points) == set(labelled.names))
    sized = (schema for schema in schemas if len(schema) == labelled.n_points)
    return next(named, None) or next(sized, None)


def _in_order_of(schema: Schema, labelled: Labelled) -> Iterator[Face]:
    """The faces with the points of the schema: by name, by number, or derived."""
    points = np.stack([face.points for face in labelled.faces])
    ordered = _ordered(schema, points, labelled).astype(np.float32)
    for face, own in zip(labelled.faces, ordered, strict=True):
        # A schema with fewer points may not tell where the face is: all that are labelled do.
        box = face.box if face.box is not None else _box_round(face.points)
        yield replace(face, points=own, box=box)


def _box_round(points: Points) -> NDArray[np.float32] | None:
    """(4,) x0, y0, x1, y1 of points (P, 2), None where fewer than three are known."""
    seen = points[np.isfinite(points).all(axis=1)]
    if len(seen) < 3:
        return None
    return np.concatenate([seen.min(axis=0), seen.max(axis=0)]).astype(np.float32)


def _ordered(schema: Schema, points: Points, labelled: Labelled) -> Points:
    """(N, P, 2) of (N, Q, 2)."""
    if labelled.n_points == 0:
        return np.full((len(points), len(schema), 2), np.nan, np.float32)
    if set(labelled.names) == set(schema.points):
        return points[:, [labelled.names.index(name) for name in schema.points]]
    if labelled.n_points == len(schema):
        return points
    known = _built_in(labelled)
    if known is None or not schema.is_derivable(known):
        raise DataError(
            f"{labelled.path} has {labelled.n_points} points{f' ({known.name})' if known else ''}, "
            f"but the schema {schema.name} has {len(schema)}: choose the schema of the data, or "
            "describe it in a TOML file."
        )
    return np.asarray(schema.derived(_ordered(known, points, labelled), known), np.float32)


def _named(faces: Iterable[Face]) -> dict[str, Face]:
    """The faces by the names of their pictures, counted from 1 where a picture has several."""
    every = list(faces)
    total, seen = Counter(face.name for face in every), Counter[str]()
    named = {}
    for face in every:
        seen[face.name] += 1
        number = f"#{seen[face.name]}" if total[face.name] > 1 else ""
        named[f"{face.name}{number}"] = face
    return named


def groups_of(found: Found, data: DataOptions) -> list[str]:
    """The group of each face, in the order of `faces_of`: that of its picture.

    Where neither an option nor groups.csv nor a rule names one it is the picture without the folder
    in which its set was found, so that a set goes to the same parts alone and among others.

    Raises:
        DataError: groups.csv or, for clusters, a picture is unreadable, or a column is missing.
        UsageError: `data.groups` does not fit.
    """
    kind, _ = check_groups(data.groups)
    if kind == "faces":  # united once their pictures are read
        kind, data = "auto", replace(data, groups="auto")
    folder = found.source if found.source.is_dir() else found.source.parent
    paths: dict[str, Path] = {}
    own: dict[str, str] = {}
    for prefix, labelled in found.sets.items():
        people = _people(labelled) if kind == "auto" else {}
        for face in labelled.faces:
            if kind in ("clusters", "moments") and not isinstance(face.picture, Path):
                raise UsageError(
                    f"data.groups={kind} compares picture files, but {labelled.path} holds the "
                    "pictures itself: leave it out."
                )
            picture = f"{prefix}{face.name}"
            paths[picture] = face.picture if isinstance(face.picture, Path) else labelled.path
            own[picture] = people.get(face.name, face.name)
    names = group_names([*paths], [*paths.values()], data, folder)
    group_of = {
        picture: own[picture] if name == picture else name
        for picture, name in zip(paths, names, strict=True)
    }
    return [
        group_of[f"{prefix}{face.name}"]
        for prefix, labelled in found.sets.items()
        for face in labelled.faces
    ]


def _people(labelled: Labelled) -> dict[str, str]:
    """{name of a picture: the person in it}, if all names are as the format's are; with one person
    alone the rule has met names that mean something else."""
    matches = {
        face.name: re.search(labelled.people, Path(face.name).stem)
        for face in labelled.faces
        if labelled.people
    }
    people = {name: match[1] for name, match in matches.items() if match}
    return people if len(people) == len(matches) and len(set(people.values())) > 1 else {}


def _index(faces: Mapping[str, Face], groups: Sequence[str], source: Path) -> list[Record]:
    """A record of every face; each picture is read once, none is kept in memory."""
    pictures = list(
        dict.fromkeys(face.picture for face in faces.values() if isinstance(face.picture, Path))
    )
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        read = dict(zip(pictures, pool.map(_read, pictures), strict=True))
    failures = [outcome for outcome in read.values() if isinstance(outcome, InputError)]
    if failures:
        first = str(failures[0]).rstrip(".")
        raise DataError(
            f"{len(failures)} of {len(pictures)} pictures in {source} cannot be read, "
            f"the first: {first}; run `img2img data check` for all of them."
        )
    return [
        _record(name, face, group, read)
        for (name, face), group in zip(faces.items(), groups, strict=True)
    ]


def _read(picture: Path) -> tuple[str, images.Size] | InputError:
    """(digest, size) of a file, or why there is none."""
    try:
        content = images.read_bytes(picture)
        return digest_of(content), images.probe(content, str(picture))
    except InputError as error:
        return error


def _record(name: str, face: Face, group: str, read: Mapping[Path, Any]) -> Record:
    if isinstance(face.picture, Path):
        path, (digest, (height, width)) = face.picture, read[face.picture]
    else:
        path, digest = None, digest_of(face.picture.tobytes())
        height, width, _ = face.picture.shape
    box = b"" if face.box is None else face.box.tobytes()
    return Record(
        id=name,
        digest=digest_of(digest.encode() + face.points.tobytes() + box),
        height=height,
        width=width,
        group=group,
        path=path,
    )
