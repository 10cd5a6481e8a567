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

Object = tuple[int, list[list[float]], list[int]]
"""Index of the class; x0, y0, x1, y1 … of the polygons that the object consists of; lengths of runs
outside and inside, in turn, down the columns one after another, where it has no polygons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlines:
    """The objects of one picture in a COCO file, the later ones above the earlier ones. `size` is
    what the file says of the picture, if it does."""

    path: Path
    size: images.Size | None
    objects: list[Object] = field(repr=False)

    def read(self, size: images.Size, classes: ClassSet) -> tuple[Repaired, bytes]:
        """(the objects over class 0, their outlines), in the size that the file states."""
        plane: Classes = np.zeros(self.size or size, np.uint8)
        for index, polygons, runs in self.objects:
            for corners in polygons:
                _fill(plane, np.reshape(corners, (-1, 2)), index)
            if runs:
                _fill_runs(plane, runs, index)
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
    that are not there. They are looked for beside the file and in `images`, there or one folder up.

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
        objects = _objects(content, classes, path)
        for entry in content["images"]:
            name = str(entry["file_name"])
            labels = Outlines(
                path=path, size=_size(entry, path), objects=objects.get(entry["id"], [])
            )
            places = [folder / name for folder in _folders(path)]
            picture = next((place for place in places if place.is_file()), None)
            if picture is None:
                told = f"{path} names {name}, which lies neither beside it nor in {IMAGES}: add it."
                alone.append(Alone(path=places[0], message=told))
            else:
                pairs.append(Pair(id=prefix + name, picture=picture, labels=labels))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        told = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path} is not as COCO files are ({told}): export it anew.") from None
    return pairs, alone


def _folders(path: Path) -> tuple[Path, ...]:
    return path.parent, path.parent / IMAGES, path.parent.parent / IMAGES


def _size(entry: Content, path: Path) -> images.Size | None:
    """The size that an entry of `images` states, if it does."""
    if not {"height", "width"} <= entry.keys():
        return None
    height, width = entry["height"], entry["width"]
    for number in (height, width):
        if not isinstance(number, int | float) or number < 1 or number % 1:
            raise DataError(
                f"{path}: the image {entry.get('file_name')} has the height {json.dumps(height)} "
                f"and the width {json.dumps(width)}: give both in pixels, or leave both out."
            )
    return int(height), int(width)


def _objects(content: Content, classes: ClassSet, path: Path) -> dict[Any, list[Object]]:
    """{id of the picture: its objects}."""
    names = {entry["id"]: str(entry["name"]) for entry in content["categories"]}
    sizes = {entry["id"]: _size(entry, path) for entry in content["images"]}
    index_of = {name.casefold(): index for index, name in enumerate(classes.names)}
    # Exports name categories that nothing belongs to, such as a parent of all others.
    used = sorted({names[entry["category_id"]] for entry in content["annotations"]})
    if any(name.casefold() not in index_of for name in used):
        raise _unknown_category(used, classes, path)
    objects: dict[Any, list[Object]] = {}
    for entry in content["annotations"]:
        picture = entry["image_id"]
        polygons, runs = _outline(entry, sizes[picture], path)
        index = index_of[names[entry["category_id"]].casefold()]
        objects.setdefault(picture, []).append((index, polygons, runs))
    return objects


def _unknown_category(used: list[str], classes: ClassSet, path: Path) -> DataError:
    others = [name for name in used if name.casefold() != classes.names[0].casefold()]
    names = [classes.names[0], *others]
    spread = (f"{name}:{index * 255 // max(1, len(others))}" for index, name in enumerate(names))
    return DataError(
        f"{path} has objects of the categories {', '.join(used)}, but the classes are "
        f"{', '.join(classes.names)}: name them alike, --set task.classes={','.join(spread)}."
    )


def _outline(
    entry: Content, size: images.Size | None, path: Path
) -> tuple[list[list[float]], list[int]]:
    """(polygons, runs) of an annotation, one of them empty."""
    outline = entry.get("segmentation") or []
    what = f"{path}: annotation {entry.get('id')}"
    if isinstance(outline, dict):
        counts = outline["counts"]
        runs = list(_decompressed(counts) if isinstance(counts, str) else counts)
        if size is None or min(runs) < 0 or sum(runs) != size[0] * size[1]:
            raise DataError(f"{what} has a mask that is not of its picture's size: export it anew.")
        return [], runs
    polygons = [[float(number) for number in polygon] for polygon in outline]
    if not polygons or any(len(polygon) % 2 or len(polygon) < 6 for polygon in polygons):
        raise DataError(f"{what} has no outline, polygons or a mask: boxes alone are not enough.")
    return polygons, []


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


def _fill_runs(plane: Classes, runs: list[int], index: int) -> None:
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
