"""Faces that look alike stay in one part."""

import cv2
import numpy as np

from img2img.data.face_groups import united_by_faces
from img2img.data.sample import Dataset, Image, Record, Sample
from img2img.data.synth.faces import Faces
from img2img.vision.schemas import IBUG68, NOSE


class Twice(Dataset):
    """Generated faces; the last one is the first, darker, turned and smaller."""

    def __init__(self) -> None:
        self.faces = Faces(5, seed=2, size=160)
        names = [*(str(index) for index in range(5)), "copy"]
        super().__init__([Record(id=n, digest=n, height=160, width=160) for n in names])

    def pixels(self, record: Record) -> Image:
        return self._of(record)[0]

    def sample(self, record: Record, pixels: Image) -> Sample:
        return Sample(id=record.id, group="", image=pixels, labels={"points": self._of(record)[1]})

    def _of(self, record: Record) -> tuple[Image, np.ndarray]:
        source = self.faces[0 if record.id == "copy" else int(record.id)]
        points = np.asarray(source.labels["points"], np.float64)
        if record.id != "copy":
            return source.image, points
        matrix = cv2.getRotationMatrix2D((80, 80), 25, 0.7)
        image = cv2.warpAffine((source.image * 0.6).astype(np.uint8), matrix, (160, 160))
        return np.asarray(image, np.uint8), points @ matrix[:, :2].T + matrix[:, 2]


def test_a_copy_joins_its_original_and_all_of_its_group() -> None:
    groups = ["ann", "ann", "bob", "carl", "dora", "poster"]
    united = united_by_faces(Twice(), IBUG68, groups)
    assert united[0] == united[1] == united[5]
    assert len({united[0], *united[2:5]}) == 4


def test_a_single_point_is_looked_for_in_its_box() -> None:
    faces = Twice()
    own = faces.sample

    def nose(record: Record, pixels: Image) -> Sample:
        points = np.asarray(own(record, pixels).labels["points"])
        labels = {"points": points[30:31], "box": np.array([*points.min(0), *points.max(0)])}
        return Sample(id=record.id, group="", image=pixels, labels=labels)

    faces.sample = nose  # type: ignore[method-assign]
    united = united_by_faces(faces.subset([0, 1, 0]), NOSE, ["ann", "bob", "poster"])
    assert united[0] == united[2] != united[1]


def test_faces_without_points_stay_alone() -> None:
    faces = Twice()
    faces.sample = lambda record, pixels: Sample(  # type: ignore[method-assign]
        id=record.id, group="", image=pixels, labels={"points": np.full((68, 2), np.nan)}
    )
    groups = [str(index) for index in range(6)]
    assert united_by_faces(faces, IBUG68, groups) == groups
