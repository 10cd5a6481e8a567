"""What is wrong with pictures and their points, before a training finds out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.check import CheckReport, Facts, Kind, Problem, picture_problems
from img2img.data.formats.folders import part_indices
from img2img.data.formats.point_labels import Face
from img2img.data.formats.points import (
    Found,
    check_labelled,
    faces_of,
    find_points,
    groups_of,
)
from img2img.data.images import _format as format_of
from img2img.data.split import PARTS
from img2img.errors import InputError
from img2img.vision.schemas import Schema
from img2img.vision.shape_check import ShapeFindings, compare_shapes, mirrored_sides

_SMALLEST_FACE_PX = 20
# Shares of the faces from which on a training learns the mistake.
_MANY = 0.2
_MOST = 0.5
_MOST_TOLD = 20
_N_WORST = 5
_ENDINGS = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"}, "PNG": {".png"}, "WebP": {".webp"},
    "BMP": {".bmp", ".dib"}, "GIF": {".gif"}, "TIFF": {".tif", ".tiff"},
    "PNM": {".ppm", ".pgm", ".pbm", ".pnm"}, "JPEG 2000": {".jp2"}, "AVIF": {".avif"},
}  # fmt: skip

Picture = tuple[Facts, str]
"""(what is known of a picture, what its format is called if its ending says another)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labelled:
    """The N faces whose pictures can be read.

    `names` are their ids; `facts` of their pictures, which several may share; `points` (N, P, 2)
    float64, NaN where missing; `groups` what no division tears apart.
    """

    names: list[str]
    faces: list[Face]
    facts: list[Facts]
    points: NDArray[np.float64]
    groups: list[str]

    def told(self, index: int) -> str:
        """Where the face stands, for messages."""
        face = self.faces[index]
        return self.names[index] if isinstance(face.picture, Path) else face.where

    def problems(
        self, kind: Kind, messages: Mapping[int, str], what: str, *, many: str = ""
    ) -> Iterator[Problem]:
        """A warning for each face {index: message}, as many as can be read. Where these are `_MANY`
        of all, first a fatal one: their number, `what` they are, and `many`, what to do."""
        if many and len(messages) >= _MANY * len(self.names):
            told = f"{len(messages)} of {len(self.names)} faces {what}: {many}."
            yield Problem(path="", kind=kind, message=told, fatal=True)
        for index, message in [*messages.items()][:_MOST_TOLD]:
            yield Problem(path=self.names[index], kind=kind, message=message)
        if len(messages) > _MOST_TOLD:
            told = f"{len(messages) - _MOST_TOLD} more faces {what}."
            yield Problem(path="", kind=kind, message=told)


def check_points(data: DataOptions, schema: Schema) -> CheckReport:
    """Decode every picture that `data.source` names, and list what is wrong with them and their
    points.

    Raises:
        DataError: the data are missing, labelled in no known format or brokenly, or have other
            points than the schema.
        UsageError: the data cannot be divided as asked.
    """
    source = Path(data.source or "")
    found = find_points(source)
    check_labelled(found)
    faces, groups = faces_of(found, schema), groups_of(found, data)
    pictures, unreadable = _pictures(faces, source)
    labelled = _readable(faces, groups, pictures)
    endings = [_lie(facts, kind) for facts, kind in pictures.values() if kind]
    members = _members(labelled, data)
    once = {fact.id: fact for fact in labelled.facts}
    problems = (
        *unreadable,
        *picture_problems(list(once.values()), members),
        *endings,
        *(_of_points(labelled, schema) if labelled.names else ()),
    )
    return CheckReport(
        n_pictures=len(pictures) + len(unreadable),
        problems=problems,
        notes=tuple(_notes(found, labelled, schema, members)),
        files=tuple(_files(labelled, schema)),
    )


def _pictures(faces: Mapping[str, Face], source: Path) -> tuple[dict[str, Picture], list[Problem]]:
    """({id: picture}, those that cannot be read); each file is read once."""
    folder = source if source.is_dir() else source.parent
    unique = {_picture_id(name, face, folder): face.picture for name, face in faces.items()}
    with ThreadPoolExecutor(4) as pool:
        outcomes = [*pool.map(_examine, unique, unique.values())]
    pictures = {
        id: outcome
        for id, outcome in zip(unique, outcomes, strict=True)
        if not isinstance(outcome, Problem)
    }
    renamed = {id: _picture_id(name, face, folder) for id, (name, face) in zip((), (), strict=True)}
    del renamed
    return pictures, [outcome for outcome in outcomes if isinstance(outcome, Problem)]
