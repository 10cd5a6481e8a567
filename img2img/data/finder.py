"""Whole pictures with the places of the faces in them, for a network that finds faces."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions
from img2img.data.crop import Crop
from img2img.data.faces import face_crop
from img2img.data.sample import Dataset, Image, Joined, Record, Sample, Splits
from img2img.data.view import View
from img2img.errors import DataError
from img2img.vision.schemas import Schema

LONGEST = 512
"""Longest side in pixels of a picture that is learned from; scenes are cut out of it. Those that
are measured keep their size, as a prediction sees them."""
ONE_REACH = 1.6
"""Where one face of a picture is labelled, what lies beyond this many sides of its crop may show
others."""
WITHOUT_FACES = "without-faces"
"""Origin of pictures without faces."""


class FinderPictures(Dataset):
    """Pictures with their faces.

    Labels are `places` (N, 4) float64: centre x and y, side and angle of each face's `Crop`, and
    `reach` (1,): what lies beyond this many sides of the faces may show others; infinity where all
    are labelled.

    Args:
        pictures: a sample a face, or a picture without any.
        places: {id of a sample of `pictures`: (4,) x, y, side, angle in its pixels}.
        reach: as in the labels, of pictures with one face.
        longest: longest side in pixels, to which larger pictures are made smaller; None: none are.
    """

    def __init__(
        self,
        pictures: Dataset,
        places: Mapping[str, NDArray[np.float64]],
        *,
        reach: float,
        longest: int | None = None,
    ) -> None:
        self._pictures = pictures
        self._reach = reach
        self._longest = longest
        self._originals: dict[str, Record] = {}
        self._places: dict[str, NDArray[np.float64]] = {}
        records = []
        for same in _by_picture(pictures.records):
            first = same[0]
            found = [places[record.id] for record in same if record.id in places]
            view = self._view(first)
            digest = "-".join([first.digest, *(record.digest[:8] for record in same[1:])])
            records.append(
                replace(first, height=view.canvas_height, width=view.canvas_width,
                        digest=f"{digest}-finder{self._longest or ''}")
            )  # fmt: skip
            self._originals[first.id] = first
            self._places[first.id] = _laid(np.reshape(found, (-1, 4)), view)
        super().__init__(records)

    def pixels(self, record: Record) -> Image:
        original = self._originals[record.id]
        return self._view(original).apply(self._pictures.pixels(original))

    def sample(self, record: Record, pixels: Image) -> Sample:
        places = self._places[record.id]
        reach = self._reach if len(places) == 1 else np.inf
        return Sample(
            id=record.id,
            group=record.group or record.id,
            image=pixels,
            labels={"places": places, "reach": np.array([reach])},
        )

    def _view(self, record: Record) -> View:
        """The picture made smaller, if it is too large, and nothing round it."""
        longest = max(record.height, record.width)
        factor = min(1.0, (self._longest or longest) / longest)
        return View.scaled(record.height, record.width, factor)


def labelled_splits(found: Splits, schema: Schema, *, complete: bool) -> Splits:
    """Samples with points as pictures with places.

    Args:
        found: samples with labels `points` or `box`, known without pixels.
        schema: of the points.
        complete: whether the labels show every face; that is also so where a picture has several.

    Raises:
        DataError: a face has too few points to tell where it is, and no box.
    """
    places: dict[str, NDArray[np.float64]] = {}
    for samples in (found.whole, *found.parts.values()):
        for record in samples.records:
            if record.id not in places:
                places[record.id] = _place_in(samples, record, schema)
    return _pictured(found, places, reach=np.inf if complete else ONE_REACH)


def _pictured(found: Splits, places: Mapping[str, NDArray[np.float64]], *, reach: float) -> Splits:
    """The parts as pictures with places, those to learn from made smaller."""
    make = partial(FinderPictures, places=places, reach=reach)
    parts = {
        name: make(part, longest=LONGEST if name == "train" else None)
        for name, part in found.parts.items()
    }
    return replace(found, parts=parts, whole=make(found.whole))


def _place_in(samples: Dataset, record: Record, schema: Schema) -> NDArray[np.float64]:
    labels: Any = samples.sample(record, np.empty((0, 0, 3), np.uint8)).labels
    crop = face_crop(labels, schema)
    if crop is None:
        raise DataError(f"{record.id} has too few points to tell where its face is, and no box.")
    return place_of(crop)


def pictures_without_faces(folder: Path, data: DataOptions) -> Splits:
    """The pictures of a folder, none of which shows a face, divided by share or as it states.

    Raises:
        DataError: the folder is missing, empty, or holds unreadable pictures.
    """
    from img2img.data.formats.folders import picture_splits

    found = picture_splits(replace(data, source=str(folder), groups="none", folds=None), folder)
    return _pictured(found, {}, reach=np.inf)


def joined_parts(faces: Splits, others: Splits) -> Splits:
    """Both divisions as one: their parts of the same name together."""
    parts = {
        part: Joined({"": samples, WITHOUT_FACES: others.parts[part]})
        if others.parts.get(part)
        else samples
        for part, samples in faces.parts.items()
    }
    whole = Joined({"": faces.whole, WITHOUT_FACES: others.whole})
    return replace(faces, parts=parts, whole=whole)


def holds_pictures_alone(source: Path) -> bool:
    """Whether a folder has pictures, and no file that could hold labels."""
    from img2img.data.groups import GROUPS_FILE
    from img2img.data.images import is_picture

    if not source.is_dir():
        return False
    files = [path for path in source.rglob("*") if path.is_file() and path.name != GROUPS_FILE]
    labels = {".pts", ".asf", ".csv", ".xml", ".json"}
    return any(map(is_picture, files)) and not any(p.suffix.lower() in labels for p in files)


def place_of(crop: Crop) -> NDArray[np.float64]:
    """(4,): x, y, side and angle of a crop."""
    return np.array([crop.x, crop.y, crop.side, crop.angle_rad])


def crop_of(place: Sequence[float] | NDArray[np.float64]) -> Crop:
    """The crop of a place (4,)."""
    x, y, side, angle = (float(value) for value in place)
    return Crop(x=x, y=y, side=max(side, 1.0), angle_rad=angle)


def _by_picture(records: Sequence[Record]) -> Iterable[list[Record]]:
    """The records of each picture, those without a file alone."""
    together: dict[Any, list[Record]] = {}
    for record in records:
        together.setdefault(record.path or record.id, []).append(record)
    return together.values()


def _laid(places: NDArray[np.float64], view: View) -> NDArray[np.float64]:
    """Places (N, 4) of the original on a view's canvas."""
    scale = np.sqrt(view.scale_x * view.scale_y)
    return np.column_stack([view.to_canvas(places[:, :2]), places[:, 2] * scale, places[:, 3]])
