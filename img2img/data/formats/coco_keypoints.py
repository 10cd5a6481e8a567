"""COCO keypoints: pictures and, for each object in them, x, y and visibility of every point.

Points are given by zero-based pixels; a visibility of 0 means that the point is missing, 1 that it
is hidden but labelled, 2 that it is seen. Boxes are x, y, width and height. Objects without a
labelled point are passed over, and those that stand for a crowd.

Format: https://cocodataset.org/#format-data
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from img2img.data.formats.point_labels import (
    Box,
    Face,
    Labelled,
    Points,
    as_points,
    number,
    picture_named,
)
from img2img.errors import DataError

Content = Mapping[str, Any]

_KEYS = ("images", "annotations", "categories")


def is_coco_keypoints(content: object) -> bool:
    """Whether the content of a JSON file has the lists of this format and points in them."""
    return (
        isinstance(content, dict)
        and all(isinstance(content.get(key), list) for key in _KEYS)
        and any(
            isinstance(entry, dict) and "keypoints" in entry for entry in content["annotations"]
        )
    )


def read_coco_keypoints(path: Path) -> Labelled:
    """The faces of a file: one for each object, in the file's order.

    Raises:
        DataError: the file is broken, names a picture that is not there, has an object with another
            number of points than its category, or a coordinate that is no number.
    """
    content = content_of(path)
    if not is_coco_keypoints(content):
        raise DataError(f"{path} is no COCO file with keypoints: export it anew.")
    try:
        faces, names = _faces(content, path)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        told = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path} is not as COCO files are ({told}): export it anew.") from None
    if not faces:
        raise DataError(f"{path} has no object with a labelled point: give another file.")
    return Labelled(format="COCO keypoints", path=path, faces=faces, names=names)


def content_of(path: Path) -> Any:
    """What a JSON file holds; None where it is no JSON.

    Raises:
        DataError: the file is unreadable.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError:
        return None


def _faces(content: Content, path: Path) -> tuple[list[Face], tuple[str, ...]]:
    """(the faces, the names of their points: those of the category that they belong to)."""
    files = {entry["id"]: str(entry["file_name"]) for entry in content["images"]}
    names_of = {entry["id"]: tuple(entry.get("keypoints", ())) for entry in content["categories"]}
    labelled = [entry for entry in content["annotations"] if _has_points(entry)]
    names = {names_of[entry["category_id"]] for entry in labelled}
    if len(names) > 1:
        raise DataError(
            f"{path} has points of several categories with other names: keep the objects of one."
        )
    pictures: dict[Any, Path] = {}
    faces = []
    for entry in labelled:
        where = f"{path}, annotation {entry['id']}"
        key = entry["image_id"]
        if key not in pictures:
            pictures[key] = picture_named(files[key], path, where)
        points = _points(entry["keypoints"], len(names_of[entry["category_id"]]), where)
        faces.append(
            Face(name=files[key], picture=pictures[key], points=points, where=where,
                 box=_box(entry["bbox"], where) if entry.get("bbox") else None)
        )  # fmt: skip
    return faces, next(iter(names), ())


def _has_points(entry: Content) -> bool:
    return (
        bool(entry.get("keypoints")) and not entry.get("iscrowd") and any(entry["keypoints"][2::3])
    )


def _points(numbers: list[Any], n_points: int, where: str) -> Points:
    if len(numbers) % 3 or (n_points and len(numbers) != 3 * n_points):
        raise DataError(
            f"{where}: its {len(numbers)} numbers are not x, y and visibility of "
            f"{n_points or 'all its'} points; correct the file."
        )
    points = [
        (number(str(x), where), number(str(y), where)) if seen else (np.nan, np.nan)
        for x, y, seen in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
    ]
    return as_points(points)


def _box(numbers: list[Any], where: str) -> Box:
    """COCO's boxes reach from edge to edge, with 0 for the edge of the first pixel."""
    x, y, width, height = (number(str(value), where, "a box's side") for value in numbers)
    return np.array([x, y, x + width - 1, y + height - 1], np.float32)
