"""Facial keypoints: from the nose alone to 68 points, in a box or in whole photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions
from img2img.data.augment_points import PointAugmenter, PointAugmentOptions
from img2img.data.crop import Crop
from img2img.data.faces import FaceCrops, face_crop, rough_box
from img2img.data.sample import Dataset, Image, Sample, Splits
from img2img.data.split import refuse_folds
from img2img.data.view import View
from img2img.errors import UsageError
from img2img.tasks.base import Arrays, Best, Curve, Run, Table, Task
from img2img.tasks.keypoint_options import (
    KeypointOptions,
    KeypointQuestions,
    box_in_picture,
    fitting_defaults,
)
from img2img.tasks.keypoint_settling import settled_options
from img2img.tasks.point_coding import PointCoding
from img2img.vision import keypoints as measures
from img2img.vision.calibration import calibrated
from img2img.vision.heatmaps import Peaks, flip_points
from img2img.vision.keypoints import Face, Heat
from img2img.vision.schemas import schema_of

if TYPE_CHECKING:
    from torch import nn

    from img2img.data.check import CheckReport
    from img2img.models.network import Head


class Keypoints(Task[KeypointOptions, list[Face]]):
    """Points of faces, from the nose alone to 68."""

    Options = KeypointOptions
    Questions = KeypointQuestions
    companion = "faces"
    groups: ClassVar[Mapping[str, type]] = {"augment": PointAugmentOptions}
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "model": {"name": "unet:tu-tf_efficientnet_lite0"},
        "train": {
            "epochs": 40, "lr": 2e-3, "batch_size": 32, "ema": 0.998, "warmup_steps": 100,
            "val_samples": 128,
        },
    }  # fmt: skip
    best = Best("nme", "min")
    metrics = measures.metric_names(schema_of("ibug68"))
    n_generated = 2048

    def __init__(self, options: KeypointOptions, groups: Mapping[str, Any] | None = None) -> None:
        super().__init__(options, groups)
        self.schema = schema_of(options.schema)
        self.metrics = measures.metric_names(self.schema)
        self.coding = PointCoding(options, len(self.schema), self.schema.regions)
        self.result_outputs = self.coding.needed
        self._mean_face: tuple[float, ...] = ()

    @classmethod
    def defaults_for(
        cls, options: KeypointOptions, model: str, *, source: str | None
    ) -> Mapping[str, Mapping[str, Any]]:
        return fitting_defaults(options, model, source)

    # ---- data

    def splits(self, data: DataOptions) -> Splits:
        if data.source is None:
            from img2img.data.synth.faces import Faces

            refuse_folds(data.folds, "the parts of generated faces")
            splits = Faces.splits(data.n_generated or self.n_generated, n_test=128)
        else:
            from img2img.data.formats.point_formats import find_points
            from img2img.data.formats.points import point_splits

            splits = point_splits(find_points(Path(data.source)), data, self.schema)
        if self.asked.find:
            return splits
        parts = {name: self._crops(part) for name, part in splits.parts.items()}
        return replace(splits, parts=parts, whole=self._crops(splits.whole))

    def _crops(self, pictures: Dataset) -> Dataset:
        whole = self.options.crop == "whole"
        return FaceCrops(pictures, self.schema, size=self.options.image_size, whole=whole)

    def generate(self, n: int, *, size: int, seed: int) -> Mapping[str, Dataset]:
        from img2img.data.synth.faces import Faces

        return Faces.parts(n, size=size, seed=seed)

    def write_sample(self, folder: Path, sample: Sample) -> None:
        """A PNG, and a row of its points in `points.csv` beside it."""
        from img2img.data.formats.points_csv import append_row
        from img2img.data.images import write

        name = f"{sample.id}.png"
        write(folder / name, sample.image)
        append_row(folder / "points.csv", name, np.asarray(sample.labels["points"]))

    def check(self, data: DataOptions) -> CheckReport:
        from img2img.data.check_points import check_points

        if data.source is None:
            return super().check(data)
        return check_points(data, self.schema, whole=self.options.crop == "whole")

    def prepare(self, train: Dataset) -> None:
        labels = [train.sample(record, np.empty((0, 0, 3), np.uint8)).labels
                  for record in train.records]  # fmt: skip
        points = np.stack([np.asarray(one["points"], np.float64) for one in labels])
        self._mean_face = self._mean_of(points, train.records[0].height)
        if self.coding.needs_shapes:
            self.coding.learn_shapes(self._augmented(points, train.records[0].height))

    def _mean_of(self, points: NDArray[np.float64], side: int) -> tuple[float, ...]:
        """Mean x and y of points (N, P, 2) in crops, in sides of these; empty where a point never
        is known."""
        size = self.options.image_size
        crops = [self._crop(one, side) for one in points]
        laid = [c.to_canvas(p, size) for c, p in zip(crops, points, strict=True) if c is not None]
        known = np.isfinite(laid).any(axis=0).all() if laid else False
        if not known:
            return ()
        mean = (np.nanmean(laid, axis=0) + 0.5) / size
        return tuple(round(float(value), 5) for value in mean.ravel())

    def _augmented(self, points: NDArray[np.float64], side: int) -> NDArray[np.float64]:
        """(2N, P, 2): points (N, P, 2) as training brings them before the network."""
        rng = np.random.default_rng(0)
        blank = np.zeros((8, 8, 3), np.uint8)
        laid = [
            self._augmenter(blank, one, crop, rng)[1]
            for one in points
            if (crop := self._crop(one, side)) is not None
            for _ in range(2)
        ]
        return np.array(laid).reshape(-1, *points.shape[1:])

    def _crop(self, points: NDArray[np.float64], side: int) -> Crop | None:
        """What the network looks at, of a picture of `side` pixels with points (P, 2)."""
        if self.options.crop == "whole":
            return Crop.whole(side, side)
        return Crop.of_points(points, self.schema)

    def targets(self, sample: Sample, rng: np.random.Generator | None) -> Arrays:
        points = np.asarray(sample.labels["points"], np.float64)
        crop = face_crop(sample.labels, self.schema)
        if crop is None or self.options.crop == "whole":
            crop = Crop.whole(*sample.image.shape[:2])
        if rng is None:
            size = self.options.image_size
            image, laid = crop.apply(sample.image, size), crop.to_canvas(points, size)
        else:
            image, laid = self._augmenter(sample.image, points, crop, rng)
        return {"image": image, "points": laid.astype(np.float32)}

    @cached_property
    def _augmenter(self) -> PointAugmenter:
        return PointAugmenter(self.training["augment"], self.schema, size=self.options.image_size)

    def preview(self, encoded: Arrays) -> list[Image]:
        face = Face(encoded["points"].astype(np.float64), np.ones(len(self.schema)))
        return [encoded["image"], self.draw(encoded["image"], [face])]

    # ---- network

    def head(self) -> Head:
        return self.coding.head()

    def objective(self) -> nn.Module:
        return self.coding.objective()

    # ---- inference

    def view(self, height: int, width: int) -> View:
        return View.letterbox(height, width, self.options.image_size)

    def result(self, decoded: Arrays, view: View) -> list[Face]:
        peaks = self.coding.peaks(decoded)
        confidence = calibrated(peaks.confidence, self.options.calibration)
        return [Face(view.to_original(peaks.points), confidence)]

    def answer(self, image: Image, run: Run) -> list[Face]:
        """The faces that the finder proposes, or those where the user says they are; without either
        the picture is one face."""
        if self.asked.face_box:
            box = box_in_picture(self.asked.face_box, *image.shape[:2])
            return [self._face(image, Crop.of_box(box), 1.0, run)]
        if not self.wants_first_look or self.first_look is None:
            return [self._face(image, Crop.whole(*image.shape[:2]), 1.0, run)]
        faces = [
            self._face(image, proposal.crop, proposal.score, run)
            for proposal in self.first_look(image)
        ]
        return measures.distinct(faces)

    def ask(self, given: Mapping[str, Any]) -> None:
        super().ask(given)
        if self.asked.heatmaps and self.options.gives_numbers:
            raise UsageError("--heatmaps: these weights answer coordinates and have no heatmaps.")
        self.result_outputs = () if self.asked.heatmaps else self.coding.needed

    @property
    def companion_weights(self) -> str | None:
        finder: str | None = self.asked.finder
        return finder

    @property
    def companion_questions(self) -> Mapping[str, Any]:
        return {"crops_of": self.options.schema}

    @property
    def wants_first_look(self) -> bool:
        told = self.asked.face_box or self.asked.whole_image or self.options.crop == "whole"
        return not told

    def answer_sample(self, sample: Sample, run: Run) -> list[Face]:
        """Measured with a rough box about the labelled face; in whole photos if that is asked."""
        if self.asked.find:
            return self.answer(sample.image, run)
        return [self._face(sample.image, self.rough_crop(sample), 1.0, run)]

    def rough_crop(self, sample: Sample) -> Crop:
        """What a measured sample shows first."""
        if self.options.crop == "whole":
            return Crop.whole(*sample.image.shape[:2])
        return Crop.of_box(rough_box(_box(sample), sample.id))

    def _face(self, image: Image, crop: Crop, score: float, run: Run) -> Face:
        """Looks at a crop, then at the crop that the points themselves give, and so on."""
        looks = self.options.looks if self.options.crop == "face" else 1
        for _ in range(looks):
            decoded, peaks, seen = *self._look(image, crop, run), crop
            points = crop.to_picture(peaks.points, self.options.image_size)
            crop = Crop.of_points(points, self.schema) or crop
        heat = self._heat(decoded["heatmaps"], seen) if self.asked.heatmaps else None
        confidence = calibrated(peaks.confidence, self.options.calibration)
        return Face(points, confidence, score, heat)

    def _heat(self, maps: NDArray[np.float32], crop: Crop) -> Heat:
        """Of maps (P, h, w) of a crop."""
        matrix = crop.matrix(self.options.image_size) / self.options.stride
        matrix[:, 2] += 0.5 / self.options.stride - 0.5
        return Heat(values=np.clip(maps.max(axis=0), 0, 1), matrix=matrix)

    def _look(self, image: Image, crop: Crop, run: Run) -> tuple[Arrays, Peaks]:
        size = self.options.image_size
        canvas = crop.apply(image, size)
        decoded = run(canvas)
        peaks = self.coding.peaks(decoded)
        if not (self.asked.flip and self.schema.can_flip):
            return decoded, peaks
        mirrored = self.coding.peaks(run(np.ascontiguousarray(canvas[:, ::-1])))
        order = self.schema.flip_order
        points = flip_points(mirrored.points, size, order)
        return decoded, Peaks(
            ((peaks.points + points) / 2).astype(np.float32),
            ((peaks.confidence + mirrored.confidence[order]) / 2).astype(np.float32),
            peaks.covariance,
        )

    def settle(self, network: Callable[[KeypointOptions], Run], val: Dataset) -> KeypointOptions:
        """How points are read, and what confidence is worth, chosen on validation faces; and the
        mean face of those that were learned from."""
        return replace(settled_options(self, network, val), mean_face=self._mean_face)

    def picture(self, result: list[Face]) -> None:
        return None

    def to_json(self, result: list[Face]) -> dict[str, Any]:
        return {"schema": self.schema.name, "faces": [_to_json(face) for face in result]}

    @property
    def columns(self) -> tuple[str, ...]:
        told = "x", "y", "confidence"
        each = (f"{point}_{what}" for point in self.schema.points for what in told)
        return ("face", "score", "x0", "y0", "x1", "y1", *each)

    def rows(self, result: list[Face]) -> list[dict[str, float | str]]:
        """A row a face, the surest first, counted from 1."""
        cells = ((face.score, *face.box, *_triples(face).ravel()) for face in result)
        return [
            dict(zip(self.columns, (number, *row), strict=True))
            for number, row in enumerate(cells, start=1)
        ]

    def draw(self, image: Image, result: list[Face]) -> Image:
        from img2img.vision.draw_points import draw_faces, draw_heatmaps

        heats = [face.heat for face in result if face.heat is not None]
        return draw_faces(draw_heatmaps(image, heats), result, self.schema)

    # ---- measuring

    def relative_errors(self, points: NDArray[np.float64], sample: Sample) -> NDArray[np.float64]:
        """(P,): how far points (P, 2) lie from the labelled ones, over the schema's normaliser; NaN
        where a point is missing."""
        offsets = points - np.asarray(sample.labels["points"], np.float64)
        return np.asarray(np.linalg.norm(offsets, axis=1) / self.length_px(sample))

    def length_px(self, sample: Sample) -> float:
        """The schema's normaliser of the labelled face; NaN where it is not known."""
        truth = np.asarray(sample.labels["points"], np.float64)
        return float(self.schema.lengths(truth, self.schema.normaliser, _frame(sample)))

    def tables(
        self, rows: Mapping[str, NDArray[np.float64]], weights: NDArray[np.float64]
    ) -> Mapping[str, Table]:
        if len(self.schema) == 1:
            return {}
        weights = measures.of_found(rows, weights) if self.asked.find else weights
        regions = measures.per_region(rows, weights, self.schema)
        points = measures.per_point(rows, weights, self.schema)
        about = f"Mean error over {self.schema.normaliser.replace('_', ' ')}, a fraction of 1."
        named = {"regions": regions, "points": dict(zip(self.schema.points, points, strict=True))}
        return {
            name: Table(
                about=about, corner=name.removesuffix("s"), rows=tuple(errors), columns=("nme",),
                values=np.array([[error] for error in errors.values()], np.float64),
            )
            for name, errors in named.items() if errors
        }  # fmt: skip

    def curves(
        self, rows: Mapping[str, NDArray[np.float64]], weights: NDArray[np.float64]
    ) -> Mapping[str, Curve]:
        limits, shares = measures.cumulative(rows, weights, self.schema)
        return {
            "cumulative_error": Curve(
                about="Share of the faces whose mean error is at most so much.",
                x_label=f"error over {self.schema.normaliser.replace('_', ' ')}",
                y_label="share of faces", x=limits, y=shares,
            )
        }  # fmt: skip

    def baselines(self) -> Mapping[str, Callable[[Sample], list[Face]]]:
        """The mean shape of the training faces laid into the rough box, where weights know it."""
        if not self.options.mean_face or self.asked.find:
            return {}
        mean, size = np.array(self.options.mean_face).reshape(-1, 2), self.options.image_size

        def laid(sample: Sample) -> list[Face]:
            points = self.rough_crop(sample).to_picture(mean * size - 0.5, size)
            return [Face(points, np.zeros(len(points)))]

        return {"mean_shape": laid}

    def measure(self, result: list[Face], sample: Sample) -> dict[str, float]:
        points = np.asarray(sample.labels["points"], np.float64)
        scale = float(np.asarray(sample.labels.get("scale", [1.0]))[0])
        return measures.row(result, points, self.schema, frame=_frame(sample), scale=scale)

    def summarise(
        self, rows: Mapping[str, NDArray[np.float64]], weights: NDArray[np.float64]
    ) -> dict[str, float]:
        return measures.summarise(rows, weights, self.schema, searched=self.asked.find)

    def truth(self, sample: Sample) -> list[Face]:
        points = np.asarray(sample.labels["points"], np.float64)
        return [Face(points, np.ones(len(points)))]


def _box(sample: Sample) -> NDArray[np.float64]:
    return np.asarray(sample.labels["box"], np.float64)


def _frame(sample: Sample) -> NDArray[np.float64]:
    """(2,) width and height of the labelled box or, without one, of the picture."""
    if "box" in sample.labels:
        return _box(sample)[2:] - _box(sample)[:2]
    height, width = sample.image.shape[:2]
    return np.array([width, height], np.float64)


def _triples(face: Face) -> NDArray[np.float64]:
    """(P, 3): x, y and confidence."""
    return np.column_stack([face.points, face.confidence])


def _to_json(face: Face) -> dict[str, Any]:
    return {
        "box": [float(edge) for edge in face.box],
        "score": float(face.score),
        "keypoints": _triples(face).tolist(),
    }
