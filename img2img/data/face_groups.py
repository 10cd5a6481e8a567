"""Faces that look alike, such as one poster in two photos, so that no division tears them apart."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.faces import face_crop
from img2img.data.sample import Dataset
from img2img.vision.schemas import Schema

# Of grey thumbnails cut out by their points: on 805 photos of faces all pairs above are one
# picture, or one face photographed in the same minute; different people reach 0.88.
_ALIKE = 0.9
_SIDE_PX, _MARGIN_PX = 32, 4


def united_by_faces(faces: Dataset, schema: Schema, groups: Sequence[str]) -> list[str]:
    """Groups (N,), of which those become one whose faces look alike; it has the first one's name.

    Args:
        faces: samples with labels `points` (P, 2) of the schema and, for want of these, `box`.
        groups: of the samples, in their order.

    Raises:
        DataError: a picture became unreadable.
    """
    thumbnails = np.stack([_thumbnail(faces, index, schema) for index in range(len(faces))])
    name_of = {name: name for name in groups}

    def root(name: str) -> str:
        while name_of[name] != name:
            name = name_of[name]
        return name

    for index in range(1, len(thumbnails)):
        for other in np.flatnonzero(thumbnails[:index] @ thumbnails[index] > _ALIKE):
            name_of[root(groups[index])] = root(groups[int(other)])
    return [root(name) for name in groups]


def _thumbnail(faces: Dataset, index: int, schema: Schema) -> NDArray[np.float32]:
    """(n,) grey levels of an upright face, without mean, of length 1; zeros where neither points
    nor a box say where it is."""
    sample = faces[index]
    crop = face_crop(sample.labels, schema)
    inner = slice(_MARGIN_PX, _SIDE_PX - _MARGIN_PX)
    if crop is None:
        return np.zeros((_SIDE_PX - 2 * _MARGIN_PX) ** 2, np.float32)
    grey = cv2.cvtColor(crop.apply(sample.image, _SIDE_PX), cv2.COLOR_RGB2GRAY)[inner, inner]
    levels = grey.astype(np.float32).ravel()
    levels -= levels.mean()
    return levels / max(float(np.linalg.norm(levels)), 1e-6)
