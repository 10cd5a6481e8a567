"""COCO files: pictures with outlines of objects, read as classes.

Format: https://cocodataset.org/#format-data. The first pixel's corner is at 0, its centre at 0.5.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from img2img.data import images
from img2img.data.formats.pairs import IMAGES, Alone, Found, Pair
from img2img.errors import DataError
from img2img.vision.classes import Classes, ClassSet
from img2img.vision.masks import Repaired

Content = Mapping[str, Any]

Polygons = list[list[float]]
"""x0, y0, x1, y1 … of each part of an object."""

Runs = list[int]
"""Lengths of runs of pixels outside and inside, in turn, down the columns one after another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlines:
    """The objects of one picture in a COCO file, (index of the class, outline) each, the later
    ones above the earlier ones. `size` is what the file says of the picture, if it does."""

    path: Path
    size: images.Size | None
    objects: list[tuple[int, Polygons | Runs]] = field(repr=False)

    def read(self, size: images.Size, classes: ClassSet) -> tuple[Repaired, bytes]:
        """(the objects over class 0, their outlines), in the size that the file states."""
        plane: Classes = np.zeros(self.size or size, np.uint8)
        for index, outline in self.objects:
            if outline and isinstance(outline[0], list):
                for polygon in outline:
                    _fill(plane, np.reshape(polygon, (-1, 2)), index)
            else:
                _fill_runs(plane, outline, index)
        repaired = Repaired(classes=plane, n_moved=0, n_unknown=0, values=())
        return repaired, json.dumps(self.objects).encode()


def pairs_of_folder(folder: Path, classes: ClassSet, *, prefix: str) -> Found | None:
    """What `pairs_of_file` gives for the only COCO file in a folder; None if there is none.

    Raises:
        DataError: there are several, or `pairs_of_file` refuses it.
    """
    found = [(path, content) for path in sorted(folder.glob("*.json"))
             if (content := _content(path)) is not None]  # fmt: skip
    if len(found) > 1:
        raise DataError(
            f"{folder} holds several COCO files, {found[0][0].name} and {found[1][0].name}: name "
            "one of them, --data FILE."
        )
    return _pairs(*found[0], classes, prefix) if found else None


def pairs_of_file(path: Path, classes: ClassSet) -> Found:
    """The pictures of a COCO file with their outlines, in its order, and those that it names and
    that are not there. Pictures are looked for beside the file and in `images`.

    Raises:
        DataError: the file is no COCO file, holds an object without an outline, or one of a
            category that no class is called after.
    """
    content = _content(path)
    if content is None:
        raise DataError(
            f"{path} is no COCO file, a JSON object with images, annotations and categories: give "
            "one, or a folder of pictures with masks."
        )
    return _pairs(path, content, classes, "")


def _content(path: Path) -> Content | None:
    """The object in the file, if it has the lists of a COCO file."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError:  # UnicodeDecodeError is one, too
        return None
    keys = ("images", "annotations", "categories")
    is_coco = isinstance(content, dict) and all(isinstance(content.get(key), list) for key in keys)
    return content if is_coco else None


def _pairs(path: Path, content: Content, classes: ClassSet, prefix: str) -> Found:
    pairs, alone = [], []
    try:
        sizes = {entry["id"]: _size(entry) for entry in content["images"]}
        objects = _objects(content, classes, path)
        for entry in content["images"]:
            name = str(entry["file_name"])
            places = (path.parent / name, path.parent / IMAGES / name)
            picture = next((place for place in places if place.is_file()), None)
            if picture is None:
                told = f"{path} names {name}, which is neither beside it nor in {IMAGES}: add it."
                alone.append(Alone(path=places[0], message=told))
                continue
            labels = Outlines(path=path, size=sizes[entry["id"]],
                              objects=objects.get(entry["id"], []))  # fmt: skip
            pairs.append(Pair(id=prefix + name, picture=picture, labels=labels))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        told = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path} is not as COCO files are ({told}): export it anew.") from None
    return pairs, alone


def _size(entry: Content) -> images.Size | None:
    return (entry["height"], entry["width"]) if {"height", "width"} <= entry.keys() else None


def _objects(
    content: Content, classes: ClassSet, path: Path
) -> dict[Any, list[tuple[int, Polygons | Runs]]]:
    """{id of the picture: its objects}."""
    names = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
    index_of = {name.casefold(): index for index, name in enumerate(classes.names)}
    # Exports name categories that nothing belongs to, such as a parent of all others.
    used = sorted({names[entry["category_id"]] for entry in content["annotations"]})
    if any(name.casefold() not in index_of for name in used):
        raise _unknown_category(used, classes, path)
    objects: dict[Any, list[tuple[int, Polygons | Runs]]] = {}
    for entry in content["annotations"]:
        outline = _outline(entry)
        if not outline:
            raise DataError(
                f"{path} gives no outline for annotation {entry.get('id')}: segmentation needs "
                "polygons or masks, not boxes."
            )
        index = index_of[names[entry["category_id"]].casefold()]
        objects.setdefault(entry["image_id"], []).append((index, outline))
    return objects


def _unknown_category(used: list[str], classes: ClassSet, path: Path) -> DataError:
    others = [name for name in used if name.casefold() != classes.names[0].casefold()]
    names = [classes.names[0], *others]
    spread = (f"{name}:{index * 255 // max(1, len(others))}" for index, name in enumerate(names))
    return DataError(
        f"{path} has objects of the categories {', '.join(used)}, but the classes are "
        f"{', '.join(classes.names)}: name them alike, --set task.classes={','.join(spread)}."
    )


def _outline(entry: Content) -> Polygons | Runs:
    """The `segmentation` of an annotation; empty if it has none."""
    outline = entry.get("segmentation")
    if not isinstance(outline, dict):
        return [part for part in outline or [] if len(part) >= 6]
    counts = outline["counts"]
    return list(_decompressed(counts)) if isinstance(counts, str) else counts


def _decompressed(text: str) -> Iterator[int]:
    """The runs of COCO's compressed form: five bits a letter, the lowest first, from the fourth
    run on as differences to the last but one (`rleFrString` of pycocotools)."""
    before = [0, 0]
    n_runs = value = shift = 0
    for letter in text.encode():
        bits = letter - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        run = value + (before[0] if n_runs > 2 else 0)
        yield run
        before = [before[1], run]
        n_runs, value, shift = n_runs + 1, 0, 0


def _fill_runs(plane: Classes, runs: Runs, index: int) -> None:
    inside = np.repeat(np.arange(len(runs)) % 2 > 0, runs)
    plane.T[inside.reshape(plane.T.shape)] = index


def _fill(plane: Classes, corners: np.ndarray, index: int) -> None:
    """Sets the pixels whose centres lie inside a polygon (N, 2), x and y; even-odd rule."""
    height, width = plane.shape
    (x0, y0), (x1, y1) = corners.T, np.roll(corners, -1, axis=0).T
    # Rows whose centre an edge crosses, half open so that a corner counts once.
    first, stop = np.clip(np.ceil(np.sort([y0, y1], axis=0) - 0.5), 0, height).astype(int)
    n_rows = stop - first
    edge = np.repeat(np.arange(len(corners)), n_rows)
    rows = np.arange(len(edge)) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows) + first[edge]
    if not len(rows):
        return
    along = (rows + 0.5 - y0[edge]) / (y1 - y0)[edge]
    x = x0[edge] + along * (x1 - x0)[edge]
    columns = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
    top, left = rows.min(), columns.min()
    shape = rows.max() - top + 1, columns.max() - left + 1
    flat = (rows - top) * shape[1] + columns - left
    crossings = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
    inside = np.cumsum(crossings, axis=1)[:, :-1] % 2 > 0
    plane[top : top + shape[0], left : left + shape[1] - 1][inside] = index
