"""What every reader of point labels gives, and what they share: numbers, pictures, refusals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from img2img.data import images
from img2img.data.formats.pairs import IMAGES
from img2img.data.sample import Image
from img2img.errors import DataError

Points = NDArray[np.float32]
"""(P, 2): x and y in pixels from the centre of the first pixel; NaN where a point is missing."""
Box = NDArray[np.float32]
"""(4,): x0, y0, x1, y1, the centres of the first and the last pixel that the box covers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """What is labelled together: the points of one face, or of whatever has points.

    `name` is what the labels call the picture; `picture` is its file, or its pixels (H, W, C) uint8
    where the labels contain them. `where` says for messages where the labels stand.
    """

    name: str
    picture: Path | Image
    points: Points
    where: str
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The faces of one file, or of one folder with a file a face, at least one.

    Attributes:
        format: what kind of labels these are, in words.
        path: the file or folder.
        names: what the labels call the points; empty where they do not name them.
        people: matches, in the name (without folder and ending) of every picture, the person, for
            formats of which such names are known; empty where none are.
    """

    format: str
    path: Path
    faces: Sequence[Face]
    names: tuple[str, ...] = ()
    people: str = ""

    @property
    def n_points(self) -> int:
        return len(self.faces[0].points)

    @property
    def n_missing(self) -> int:
        """How many points are missing, over all faces."""
        return sum(int(np.isnan(face.points[:, 0]).sum()) for face in self.faces)


_LARGEST = 1e30
"""Beyond it float32, which ends at 3.4e38, could make an infinity of a number, which would count as
a missing point."""


def row_of(path: Path, row: int) -> str:
    """Where something stands; the first row of a file is 1."""
    return f"{path}, row {row}"


def number(text: str, where: str, what: str = "a coordinate") -> float:
    """A finite number, which float32 holds even after a shift or a change of units.

    Raises:
        DataError: the text is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: {text!r} is no number, as {what} must be; correct the file.")
    if abs(value) > _LARGEST:
        raise DataError(f"{where}: {text!r} is too large for {what}; correct the file.")
    return value


def points_of_cells(cells: Sequence[str], where: str, names: Sequence[str] = ()) -> Points:
    """Points of cells x0, y0, x1, y1 …; a point whose two cells are empty is missing.

    Args:
        names: what the points are called, for messages; left out: point 0, point 1 ….

    Raises:
        DataError: one of a point's cells alone is empty, or a cell is no number.
    """
    try:
        numbers = np.array([float(cell) for cell in cells])
        if (np.abs(numbers) <= _LARGEST).all():  # which NaN is not
            return as_points(numbers.tolist())
    except ValueError:
        pass
    pairs = zip(cells[::2], cells[1::2], strict=True)
    return as_points([
        _point_or_missing(x, y, f"{where}, {names[index] if names else f'point {index}'}")
        for index, (x, y) in enumerate(pairs)
    ])  # fmt: skip


def _point_or_missing(x: str, y: str, where: str) -> tuple[float, float]:
    if not x.strip() and not y.strip():
        return math.nan, math.nan
    if not x.strip() or not y.strip():
        raise DataError(f"{where}: a point has x or y alone; give both, or leave both empty.")
    return number(x, where), number(y, where)


def as_points(numbers: Sequence[float] | Sequence[tuple[float, float]]) -> Points:
    """(P, 2) float32."""
    return np.asarray(numbers, np.float32).reshape(-1, 2)


def picture_named(name: str, labels: Path, where: str) -> Path:
    """The file of a picture that a file of labels names: beside that file, or in `images`, there or
    one folder up.

    Raises:
        DataError: it is in none of these places.
    """
    folders = labels.parent, labels.parent / IMAGES, labels.parent.parent / IMAGES
    places = [folder / name for folder in folders]
    found = next((place for place in places if name and place.is_file()), None)
    if found is None:
        raise DataError(
            f"{where}: the picture {name!r} lies neither beside {labels.name} nor in {IMAGES}; add "
            "it, or take the row out."
        )
    return found


class PicturesBeside:
    """The pictures of a folder by their names without the ending."""

    def __init__(self, folder: Path) -> None:
        self._names: dict[str, list[Path]] = {}
        for path in sorted(folder.iterdir()):
            if images.is_picture(path):
                self._names.setdefault(path.stem, []).append(path)

    def of(self, labels: Path) -> Path:
        """The picture of a file of labels that has its name but for the ending.

        Raises:
            DataError: there is none, or there are several.
        """
        found = self._names.get(labels.stem, [])
        if len(found) != 1:
            told = " and ".join(path.name for path in found[:2]) or "no picture"
            raise DataError(
                f"{labels} has {told} beside it: there must be one picture of the same name."
            )
        return found[0]


def text_of(path: Path) -> str:
    """The text of a file.

    Raises:
        DataError: it is unreadable, or no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is no text in UTF-8: export it anew.") from None
