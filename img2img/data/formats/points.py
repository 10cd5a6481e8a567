"""Pictures with points, divided by person."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.face_groups import united_by_faces
from img2img.data.formats.folders import digest_of, part_indices, see_all
from img2img.data.formats.point_formats import Found, built_in_schema
from img2img.data.formats.point_labels import Face, Labelled, Points
from img2img.data.groups import group_names
from img2img.data.sample import Dataset, Image, Record, Sample, Splits
from img2img.errors import DataError, InputError, UsageError
from img2img.option_values import check_groups
from img2img.vision.schemas import Schema


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
    known = built_in_schema(labelled)
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
            f"the first: {first}; {see_all('keypoints', source)}."
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
