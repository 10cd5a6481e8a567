"""What is wrong with pictures and their points, before a training finds out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.check import CheckReport, Facts, Kind, Problem, picture_problems
from img2img.data.faces import face_crop
from img2img.data.formats.folders import part_indices
from img2img.data.formats.point_formats import Found, find_points
from img2img.data.formats.point_labels import Face
from img2img.data.formats.points import check_labelled, faces_of, groups_of
from img2img.data.sample import Image
from img2img.data.split import PARTS
from img2img.errors import InputError
from img2img.vision.schemas import SCHEMAS, Schema
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

Outcome = tuple[Facts, Problem | None] | Problem
"""What is known of a picture, and what is odd about its ending; or why it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labelled:
    """The N faces whose pictures can be read.

    `names` are their ids; `facts` of their pictures, which several may share; `points` (N, P, 2)
    float64, NaN where missing; `groups` what no division tears apart.
    """

    names: Sequence[str]
    faces: Sequence[Face]
    facts: Sequence[Facts]
    points: NDArray[np.float64]
    groups: Sequence[str]

    def told(self, index: int) -> str:
        """Where the face stands, for messages."""
        face = self.faces[index]
        return self.names[index] if isinstance(face.picture, Path) else face.where

    def warnings(
        self, kind: Kind, messages: Mapping[int, str], what: str, most: int = _MOST_TOLD
    ) -> Iterator[Problem]:
        """A warning for each face {index: message}; of more than `most`, the number of the others
        and `what` they do."""
        for index, message in [*messages.items()][:most]:
            told = f"{self.told(index)} {message}."
            yield Problem(path=self.names[index], kind=kind, message=told)
        if len(messages) > most:
            yield Problem(path="", kind=kind, message=f"{len(messages) - most} more faces {what}.")

    def too_many(self, n_faces: int) -> bool:
        """Whether a training would learn the mistake of so many faces."""
        n = len(self.names)
        return n_faces >= _MOST * n or n_faces >= max(3, _MANY * n)


def check_points(data: DataOptions, schema: Schema, *, whole: bool | None = None) -> CheckReport:
    """Decode every picture that `data.source` names, and list what is wrong with them and their
    points.

    Args:
        data: what is checked, and how it is divided.
        schema: of the points.
        whole: whether whole pictures are learned from, in which no face must be found; left out:
            where the labels' files hold the pictures themselves, as a training has it.

    Raises:
        DataError: the data are missing, labelled in no known format or brokenly, or have other
            points than the schema.
        UsageError: the data cannot be divided as asked.
    """
    source = Path(data.source or "")
    found = find_points(source)
    check_labelled(found)
    faces = faces_of(found, schema)
    folder = source if source.is_dir() else source.parent
    ids = [_picture_id(name, face, folder) for name, face in faces.items()]
    outcomes = _examined(dict(zip(ids, (face.picture for face in faces.values()), strict=True)))
    labelled = _readable(faces, ids, groups_of(found, data), outcomes)
    members = _members(labelled, data)
    findings = compare_shapes(labelled.points, schema) if labelled.names else None
    facts = {fact.id: fact for fact in labelled.facts}
    problems = (
        *(outcome for outcome in outcomes.values() if isinstance(outcome, Problem)),
        *picture_problems([*facts.values()], members),
        *(outcome[1] for outcome in outcomes.values() if isinstance(outcome, tuple) and outcome[1]),
        *(_of_points(labelled, schema, findings) if labelled.names else ()),
        *(() if (found.holds_pictures if whole is None else whole) else _lost(labelled, schema)),
    )
    return CheckReport(
        n_pictures=len(outcomes),
        problems=problems,
        notes=tuple(_notes(found, labelled, schema, members)),
        files=tuple(_file(labelled, at, schema, findings) for at in range(len(labelled.names))),
    )


def _picture_id(name: str, face: Face, folder: Path) -> str:
    if not isinstance(face.picture, Path):
        return name
    path = face.picture
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _examined(pictures: Mapping[str, Path | Image]) -> dict[str, Outcome]:
    """{id: outcome}; each picture is decoded once."""
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(pictures, pool.map(_examine, pictures, pictures.values()), strict=True))


def _examine(id: str, picture: Path | Image) -> Outcome:
    if not isinstance(picture, Path):
        image = np.repeat(picture, 3 // picture.shape[2], axis=2)
        return Facts.of(id, picture.tobytes(), image), None
    try:
        content = images.read_bytes(picture)
        image = images.decode(content, str(picture))
    except InputError as error:
        return Problem(path=id, kind="unreadable", message=str(error), fatal=True)
    kind = images.format_of(content) or ""
    told = f"{id} is a {kind} file: other tools go by the ending and may refuse it."
    is_lie = kind in _ENDINGS and picture.suffix.lower() not in _ENDINGS[kind]
    lie = Problem(path=id, kind="ending", message=told) if is_lie else None
    return Facts.of(id, content, image), lie


def _readable(
    faces: Mapping[str, Face],
    ids: Sequence[str],
    groups: Sequence[str],
    outcomes: Mapping[str, Outcome],
) -> _Labelled:
    chosen = [
        (name, face, outcome[0], group)
        for (name, face), id, group in zip(faces.items(), ids, groups, strict=True)
        if isinstance(outcome := outcomes[id], tuple)
    ]
    names, kept, facts, kept_groups = zip(*chosen, strict=True) if chosen else ((),) * 4
    points = [face.points.astype(np.float64) for face in kept]
    return _Labelled(
        names=names, faces=kept, facts=facts, groups=kept_groups,
        points=np.stack(points) if points else np.empty((0, 0, 2)),
    )  # fmt: skip


def _members(labelled: _Labelled, data: DataOptions) -> dict[str, list[Facts]]:
    """{part: its pictures}, each once however many faces it has."""
    parts = part_indices(labelled.names, data, labelled.groups)[0] if labelled.names else {}
    return {
        part: [*{labelled.facts[at].id: labelled.facts[at] for at in parts.get(part, [])}.values()]
        for part in PARTS
    }


def _of_points(
    labelled: _Labelled, schema: Schema, findings: ShapeFindings | None
) -> Iterator[Problem]:
    yield from _never_labelled(labelled, schema)
    yield from _listed_twice(labelled)
    yield from _off_picture(labelled)
    yield from _small(labelled)
    yield from _coinciding(labelled, schema)
    yield from _wrong_way(labelled, schema, findings)
    if findings is None:
        return
    messages = {
        index: f"has an odd shape: {schema.points[findings.farthest[index]]} lies "
        f"{findings.misses[index]:.0%} of the face's size from where the other faces have it"
        for index in findings.outliers.tolist()
    }
    yield from labelled.warnings("shape", messages, "have odd shapes", _N_WORST)


def _never_labelled(labelled: _Labelled, schema: Schema) -> Iterator[Problem]:
    for index, name in enumerate(schema.points):
        if np.isnan(labelled.points[:, index]).any(axis=1).all():
            told = f"{name} is missing in every face: label it, or leave it out of the schema."
            yield Problem(path="", kind="missing", message=told, fatal=True)


def _lost(labelled: _Labelled, schema: Schema) -> Iterator[Problem]:
    """Faces that cannot be cut out, for which a training refuses the data."""
    messages = {}
    for index, face in enumerate(labelled.faces):
        labels = {"points": face.points} | ({} if face.box is None else {"box": face.box})
        if face_crop(labels, schema) is None:
            messages[index] = (
                "has too few points to tell where its face is, and no box: label more, take it "
                "out, or learn from whole pictures, --set task.crop=whole"
            )
    for problem in labelled.warnings("missing", messages, "have too few points, and no box"):
        yield replace(problem, fatal=True)


def _listed_twice(labelled: _Labelled) -> Iterator[Problem]:
    first: dict[tuple[str, bytes], int] = {}
    messages = {}
    for index, (fact, points) in enumerate(zip(labelled.facts, labelled.points, strict=True)):
        same = first.setdefault((fact.digest, points.tobytes()), index)
        if same != index:
            messages[index] = (
                f"has the same picture and points as {labelled.told(same)}: take one out, or it "
                "counts twice"
            )
    yield from labelled.warnings("duplicate", messages, "are listed twice")


def _off_picture(labelled: _Labelled) -> Iterator[Problem]:
    """Points outside of their pictures, whose pixels reach half a pixel beyond their centres."""
    sizes = np.array([(fact.width, fact.height) for fact in labelled.facts], np.float64)
    points = labelled.points
    with np.errstate(invalid="ignore"):
        is_off = ((points < -0.5) | (points > sizes[:, None] - 0.5)).any(axis=2)
    n_known = np.isfinite(points).all(axis=2).sum(axis=1)
    n_off = is_off.sum(axis=1)
    n_lost = int((n_off > n_known / 2).sum())
    if labelled.too_many(n_lost):
        told = (
            f"{n_lost} of {len(n_off)} faces have most of their points outside of their pictures: "
            "give pictures of the size that was labelled."
        )
        yield Problem(path="", kind="off-picture", message=told, fatal=True)
    worst = [index for index in np.argsort(-n_off, kind="stable").tolist() if n_off[index]]
    messages = {
        index: f"has {n_off[index]} of {n_known[index]} points outside of the picture, "
        f"{labelled.facts[index].width}x{labelled.facts[index].height} pixels"
        for index in worst
    }
    yield from labelled.warnings("off-picture", messages, "have points outside of their pictures")


def _small(labelled: _Labelled) -> Iterator[Problem]:
    sides = np.array([_side(face) for face in labelled.faces])
    known = labelled.points[np.isfinite(labelled.points)]
    if known.size and known.min() >= 0 and known.max() <= 1:
        told = "all coordinates lie in 0…1, as shares of the picture do: give them in pixels."
        yield Problem(path="", kind="small-face", message=told, fatal=True)
        return
    with np.errstate(invalid="ignore"):
        small = np.flatnonzero((sides < _SMALLEST_FACE_PX) & (sides > 0)).tolist()
    messages = {index: f"has a face of {sides[index]:.0f} pixels" for index in small}
    what = f"are smaller than {_SMALLEST_FACE_PX} pixels"
    yield from labelled.warnings("small-face", messages, what)


def _side(face: Face) -> float:
    """The longer side in pixels of the labelled box or of that round the points, NaN without."""
    corners = face.points if face.box is None else face.box.reshape(2, 2)
    seen = corners[np.isfinite(corners).all(axis=1)]
    return float(np.ptp(seen, axis=0).max()) if len(seen) > 1 else float("nan")


def _coinciding(labelled: _Labelled, schema: Schema) -> Iterator[Problem]:
    if len(schema) == 1:
        return
    points = labelled.points
    if len(points) > 2 and not np.ptp(np.nan_to_num(points), axis=0).any():
        told = f"all {len(points)} faces have the same points: label each picture by itself."
        yield Problem(path="", kind="coincide", message=told, fatal=True)
        return
    messages = {}
    for index, own in enumerate(points):
        if told := _told_coinciding(own, schema):
            messages[index] = told
    if labelled.too_many(len(messages)):
        told = f"{len(messages)} of {len(points)} faces have points that coincide: label them anew."
        yield Problem(path="", kind="coincide", message=told, fatal=True)
    yield from labelled.warnings("coincide", messages, "have points that coincide")


def _told_coinciding(points: NDArray[np.float64], schema: Schema) -> str:
    """What coincides that does in no face; lips and eyes that are closed, in small pictures with
    whole numbers, have up to a sixth of the points of 68 where others are."""
    known = points[np.isfinite(points).all(axis=1)]
    n_places = len(np.unique(known.round(3), axis=0))
    if n_places == 1 < len(known):
        return "has all its points at one place"
    for one, two in schema.pairs:
        if np.hypot(*(points[one] - points[two])) < 1e-3:
            return f"has {schema.points[one]} and {schema.points[two]} at one place"
    n_more = len(known) - n_places
    return f"has {n_more} points where others are" if n_more > max(1, len(schema) // 5) else ""


def _wrong_way(
    labelled: _Labelled, schema: Schema, findings: ShapeFindings | None
) -> Iterator[Problem]:
    """Faces whose left points are where the right ones should be, or that are upside down."""
    if findings is not None:
        if told := _mean_problem(findings, schema):
            yield Problem(path="", kind="swapped", message=told, fatal=True)
            return
        swapped, turned = (np.flatnonzero(each) for each in (findings.swapped, findings.turned))
    else:
        swapped = np.flatnonzero(mirrored_sides(labelled.points, schema) < 0)
        turned = swapped[:0]
    n = len(labelled.names)
    if labelled.too_many(len(swapped)):
        told = (
            f"left and right look swapped in {len(swapped)} of {n} faces: exchange them; the right "
            "eye is the person's own, on the left of the picture"
            f"{_other_way(schema) if 2 * len(swapped) > n else ''}."
        )
        yield Problem(path="", kind="swapped", message=told, fatal=True)
    messages = dict.fromkeys(swapped.tolist(), "looks as if left and right were swapped")
    yield from labelled.warnings("swapped", messages, "look as if left and right were swapped")
    messages = dict.fromkeys(turned.tolist(), "has its face upside down")
    yield from labelled.warnings("turned", messages, "are upside down")


def _mean_problem(findings: ShapeFindings, schema: Schema) -> str:
    """What is wrong with most faces, if their left points lie on the picture's left."""
    if mirrored_sides(findings.mean[None], schema)[0] >= 0:
        return ""
    eyes, mouth = (
        [index for name, indices in schema.regions.items() if part in name for index in indices]
        for part in ("eye", "mouth")
    )
    if eyes and mouth and findings.mean[mouth, 1].mean() < findings.mean[eyes, 1].mean():
        return "most faces are upside down: turn the pictures, and their points with them."
    return (
        "left and right look swapped in most faces: exchange them (the right eye is the person's "
        f"own, on the left of the picture){_other_way(schema)}."
    )


def _other_way(schema: Schema) -> str:
    """What else may be at fault where most faces look swapped; pairs whose names say left and right
    are in order whichever way they are written."""
    if schema.name in SCHEMAS:
        return ""
    return "; or, if its names do not say left and right, turn round each pair of the schema"


def _notes(
    found: Found, labelled: _Labelled, schema: Schema, members: Mapping[str, Sequence[Facts]]
) -> Iterator[str]:
    yield found.described()
    parts = ", ".join(f"{part} {len(pictures)}" for part, pictures in members.items())
    n_pictures = len({fact.id for fact in labelled.facts})
    yield (
        f"{n_pictures} usable pictures, {len(labelled.names)} faces, {len(set(labelled.groups))} "
        f"people (groups); pictures: {parts}"
    )
    if not labelled.names:
        return
    n_missing = np.isnan(labelled.points).any(axis=2).sum(axis=0).tolist()
    counts = Counter(dict(zip(schema.points, n_missing, strict=True)))
    told = [f"{name} {n}" for name, n in counts.most_common(_MOST_TOLD) if n]
    more = sum(n > 0 for n in n_missing) - len(told)
    if told:
        yield f"missing: {', '.join(told)}{f' and {more} more points' if more else ''}"


def _file(
    labelled: _Labelled, index: int, schema: Schema, findings: ShapeFindings | None
) -> dict[str, Any]:
    """{path, group, face_px: longer side, missing: [names], shape_miss: share of its size}."""
    side = _side(labelled.faces[index])
    miss = np.nan if findings is None else findings.misses[index]
    missing = np.isnan(labelled.points[index]).any(axis=1)
    return {
        "path": labelled.names[index],
        "group": labelled.groups[index],
        "face_px": side if np.isfinite(side) else None,
        "missing": [name for name, is_missing in zip(schema.points, missing, strict=True)
                    if is_missing],
        "shape_miss": float(miss) if np.isfinite(miss) else None,
    }  # fmt: skip
