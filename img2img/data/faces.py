"""Faces cut out of labelled pictures, at one size, each with room around it."""

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from img2img.data.crop import Crop
from img2img.data.sample import Dataset, Image, Record, Sample
from img2img.errors import DataError
from img2img.vision.schemas import SCHEMAS, Schema

CONTEXT = 1.6
"""Side of the part that is cut out, in sides of the crop that the network looks at."""
DETAIL = 2.0
"""Side of the part that is cut out in pixels, in sides of the network's picture."""
ROUGH = 0.1
"""How far a rough box may be shifted and scaled, as a share of its side."""


class FaceCrops(Dataset):
    """A part of each picture about its labelled face, resized to one size.

    Labels are `points` (P, 2), `box` (4,) round the face and `scale` (1,), the pixels of the
    original to a pixel here.

    Args:
        pictures: samples with labels `points` and, where these are too few to say where the face
            is, `box`; labels are known without pixels.
        schema: of the points.
        size: side of the network's picture.
        whole: whether a face is looked for in the whole picture, whatever its box.
    """

    def __init__(self, pictures: Dataset, schema: Schema, *, size: int, whole: bool) -> None:
        self._pictures = pictures
        self._originals = {record.id: record for record in pictures.records}
        self._schema = schema
        self._whole = whole
        self._side = round(size * (1.0 if whole else DETAIL))
        super().__init__([self._reduced(record) for record in pictures.records])

    def _reduced(self, record: Record) -> Record:
        return Record(
            id=record.id, group=record.group, path=record.path, index=record.index,
            origin=record.origin, height=self._side, width=self._side,
            digest=f"{record.digest}-face{self._side}{'w' * self._whole}",
        )  # fmt: skip

    def pixels(self, record: Record) -> Image:
        original = self._originals[record.id]
        return self._part(original).apply(self._pictures.pixels(original), self._side)

    def sample(self, record: Record, pixels: Image) -> Sample:
        original = self._originals[record.id]
        labels = self._labels(original)
        part = self._part(original)
        points = part.to_canvas(labels["points"].astype(np.float64), self._side)
        box = labels.get("box")
        edges = part.to_canvas(np.reshape(box, (2, 2)), self._side) if box is not None else None
        if edges is None and np.isfinite(points).all(axis=1).any():
            edges = np.array([np.nanmin(points, axis=0), np.nanmax(points, axis=0)])
        if edges is None:
            edges = np.array([[0.0, 0.0], [self._side - 1.0, self._side - 1.0]])
        return Sample(
            id=record.id,
            group=record.group or record.id,
            image=pixels,
            labels={
                "points": points,
                "box": edges.reshape(4),
                "scale": np.array([part.side / self._side]),
            },
        )

    def _labels(self, record: Record) -> Any:
        labels = self._pictures.sample(record, np.empty((0, 0, 3), np.uint8)).labels
        points = np.asarray(labels["points"])
        if len(points) == len(self._schema):
            return labels
        # Drawn faces have 68 points, whatever is learned.
        source = next(one for one in SCHEMAS.values() if len(one) == len(points))
        return {**labels, "points": self._schema.derived(points, source)}

    def _part(self, record: Record) -> Crop:
        if self._whole:
            return Crop.whole(record.height, record.width)
        crop = face_crop(self._labels(record), self._schema)
        if crop is None:
            raise DataError(
                f"{record.id} has too few points to tell where its face is, and no box: learn from "
                "whole pictures, --set task.crop=whole."
            )
        return Crop(x=crop.x, y=crop.y, side=crop.side * CONTEXT)


def face_crop(labels: Any, schema: Schema) -> Crop | None:
    """The upright crop of a labelled face, by its points, or by its box where most of them are
    missing; None without either."""
    points = np.asarray(labels["points"], np.float64)
    box = Crop.of_box(labels["box"]) if "box" in labels else None
    is_known = np.isfinite(points).all(axis=1)
    if len(schema) == 1 or (box is not None and 2 * is_known.sum() < len(schema)):
        return box
    return Crop.of_points(points, schema) or box


def rough_box(box: NDArray[np.floating[Any]], name: str) -> NDArray[np.float64]:
    """(4,): a box x0, y0, x1, y1 as a careless hand or a poor detector would draw it: shifted and
    scaled at random by up to `ROUGH`, the same for the same `name`."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    start, end = np.asarray(box, np.float64).reshape(2, 2)
    size = end - start
    middle = (start + end) / 2 + rng.uniform(-ROUGH, ROUGH, 2) * size
    half = size / 2 * (1 + rng.uniform(-ROUGH, ROUGH))
    return np.concatenate([middle - half, middle + half])
