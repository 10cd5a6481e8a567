"""dlib's XML, which imglab writes and in which dlib's edition of 300-W comes: pictures with boxes,
boxes with named parts.

```xml
<dataset><images>
  <image file="a.jpg">
    <box top="30" left="20" width="90" height="90">
      <part name="00" x="22" y="61"/>
```

Coordinates are zero-based. A part that other boxes have is missing where a box leaves it out. Boxes
that are marked `ignore`, or have no parts, are passed over.

Format: https://github.com/davisking/dlib/blob/master/dlib/data_io/image_dataset_metadata.h
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import numpy as np

from img2img.data.formats.point_labels import (
    Box,
    Face,
    Labelled,
    as_points,
    number,
    picture_named,
    row_of,
)
from img2img.errors import DataError

_MISSING = (float("nan"),) * 2


def is_dlib_xml(path: Path) -> bool:
    """Whether a file begins as those of this format do."""
    try:
        with path.open("rb") as file:
            return b"<dataset" in file.read(4096)
    except OSError:
        return False


def read_dlib_xml(path: Path) -> Labelled:
    """The faces of a file. Its points are in the order of the parts' names: of their numbers, if
    all are numbers.

    Raises:
        DataError: the file is broken, names a picture that is not there, has a coordinate that is
            no number, or no parts at all.
    """
    found = [box for box in _boxes(path) if box.parts]
    if not found:
        raise DataError(f"{path} has no box with parts: label some, or give another file.")
    names = _in_order({name for box in found for name in box.parts})
    faces = [
        Face(
            name=box.picture,
            picture=picture_named(box.picture, path, box.where),
            points=as_points([box.parts.get(name, _MISSING) for name in names]),
            where=box.where,
            box=box.corners,
        )
        for box in found
    ]
    return Labelled(format="dlib XML", path=path, faces=faces, names=names)


@dataclass(frozen=True, slots=True)
class _Box:
    picture: str
    where: str
    corners: Box
    parts: dict[str, tuple[float, float]] = field(default_factory=dict)


def _boxes(path: Path) -> Sequence[_Box]:
    boxes: list[_Box] = []
    picture = ""
    parser = expat.ParserCreate()

    def start(tag: str, attributes: Mapping[str, str]) -> None:
        nonlocal picture
        where = row_of(path, parser.CurrentLineNumber)
        try:
            if tag == "image":
                picture = attributes["file"]
            elif tag == "box":
                boxes.append(_Box(picture, where, _corners(attributes, where)))
            elif tag == "part":
                _add_part(boxes[-1], attributes, where)
        except (KeyError, IndexError):
            raise DataError(
                f"{where}: this {tag} is not as dlib writes it; correct the file."
            ) from None
        ignored.append(tag == "box" and attributes.get("ignore", "0") not in ("0", "false"))

    def end(tag: str) -> None:
        if ignored.pop():
            boxes.pop()

    ignored: list[bool] = []
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        parser.Parse(path.read_bytes(), True)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except expat.ExpatError as error:
        raise DataError(f"{path} is no XML ({error}): export it anew.") from None
    return boxes


def _corners(attributes: Mapping[str, str], where: str) -> Box:
    left, top, width, height = (
        number(attributes[key], where, f"{key} of a box")
        for key in ("left", "top", "width", "height")
    )
    return np.array([left, top, left + width - 1, top + height - 1], np.float32)


def _add_part(box: _Box, attributes: Mapping[str, str], where: str) -> None:
    name = attributes["name"]
    if name in box.parts:
        raise DataError(f"{where}: its box has the part {name!r} twice; correct the file.")
    box.parts[name] = number(attributes["x"], where), number(attributes["y"], where)


def _in_order(names: set[str]) -> tuple[str, ...]:
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))
