"""Finds faces in photos: where each is, how large, and how far it is turned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions, TaskOptions, option
from img2img.data.augment_faces import Bank, SceneMaker, SceneOptions
from img2img.data.crop import Crop, Proposal, fitted
from img2img.data.finder import (
    WITHOUT_FACES,
    crop_of,
    holds_pictures_alone,
    joined_parts,
    labelled_splits,
    pictures_without_faces,
    place_of,
)
from img2img.data.sample import Dataset, Image, Sample, Splits
from img2img.data.split import refuse_folds
from img2img.data.view import View
from img2img.errors import DataError
from img2img.tasks.base import Arrays, Best, Run, Task
from img2img.vision import face_maps as maps
from img2img.vision import finding as measures
from img2img.vision.draw_squares import draw_squares
from img2img.vision.schemas import schema_of

if TYPE_CHECKING:
    from torch import nn

    from img2img.models.network import Head

STRIDE = 8
"""Pixels of the network's picture to a cell of its maps."""
RANKED_FROM = 0.05
"""Least score of a proposal that is measured; those below `threshold` count for ranks alone."""
_SIDES_KNOWN = (0.1, 1.4)
"""Sides, as shares of the network's picture, beyond which a face is neither to be found nor to be
passed over: a coarser or finer look finds it."""
_TILE_PX, _OVERLAP_PX = 832, 96


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceOptions(TaskOptions):
    """What the network learns on, and what counts as a face."""

    image_size: int = option(
        128, "Side of the square the network learns on; photos are looked at from three quarters "
        "of it on, in octaves.", flag="--image-size", unit="pixels", low=8, high=1024, panel="Data",
    )  # fmt: skip
    finest: int = option(
        1536, "Greatest longest side at which a photo is looked at.", unit="pixels", low=32
    )
    threshold: float = option(
        0.6, "Least score, in 0…1, of what is taken for a face.", low=0.0, high=1.0
    )
    schema: str = option(
        "ibug68", "Which points the labels have; left out: those of the data. They say how large "
        "a face is.",
    )  # fmt: skip
    complete: bool = option(False, "The labels show every face of a picture.")

    def __post_init__(self) -> None:
        if self.schema.endswith(".toml"):  # the file stays behind when weights travel
            from img2img.vision.schema_files import schema_text

            object.__setattr__(self, "schema", schema_text(schema_of(self.schema)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceQuestions:
    """What keypoints that look at the faces ask for."""

    crops_of: str | None = option(
        None, "Schema for whose points faces are proposed; none: that of the labels."
    )


class Faces(Task[FaceOptions, list[Proposal]]):
    """Finds faces in photos."""

    Options = FaceOptions
    Questions = FaceQuestions
    groups: ClassVar[Mapping[str, type]] = {"augment": SceneOptions}
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "model": {"name": "unet:tu-tf_efficientnet_lite0"},
        "train": {
            "epochs": 30, "lr": 1e-3, "batch_size": 32, "ema": 0.995, "warmup_steps": 50,
            "val_samples": 200,
        },
    }  # fmt: skip
    best = Best("average_precision", "max")
    metrics = measures.METRICS
    n_generated = 1024

    def __init__(self, options: FaceOptions, groups: Mapping[str, Any] | None = None) -> None:
        super().__init__(options, groups)
        self._bank: Bank | None = None

    @classmethod
    def defaults_for(
        cls, options: FaceOptions, model: str, *, source: str | None
    ) -> Mapping[str, Mapping[str, Any]]:
        """A short encoder and a light decoder where there are such, 1.8 MB of weights in all; and
        the points that the data have."""
        defaults: dict[str, Mapping[str, Any]] = {}
        if model.startswith("unet:"):
            defaults["model"] = {"decoder": "half", "encoder_depth": 4}
        if source is None:
            return defaults | {"train": {"epochs": 6}}
        if Path(source).exists() and not holds_pictures_alone(Path(source)):
            from img2img.data.formats.point_formats import find_points

            schema = find_points(Path(source)).schema
            defaults["task"] = {} if schema is None else {"schema": schema.name}
        return defaults

    # ---- data

    def splits(self, data: DataOptions) -> Splits:
        """Pictures with points; or, as a set to measure on, pictures alone, which show no face."""
        if data.source is None:
            refuse_folds(data.folds, "the parts of generated faces")
            from img2img.data.synth import faces

            drawn = faces.Faces.splits(data.n_generated or self.n_generated, n_test=128)
            return labelled_splits(drawn, schema_of(self.options.schema), complete=True)
        if holds_pictures_alone(Path(data.source)):
            return pictures_without_faces(Path(data.source), data)
        from img2img.data.formats.point_formats import find_points
        from img2img.data.formats.points import point_splits

        schema = schema_of(self.options.schema)
        found = point_splits(find_points(Path(data.source)), data, schema)
        splits = labelled_splits(found, schema, complete=self.options.complete)
        folder = self.training["augment"].without_faces
        if not folder:
            return splits
        return joined_parts(splits, pictures_without_faces(Path(folder), data))

    def generate(self, n: int, *, size: int, seed: int) -> Mapping[str, Dataset]:
        from img2img.data.synth import faces

        return faces.Faces.parts(n, size=size, seed=seed)

    def write_sample(self, folder: Path, sample: Sample) -> None:
        """A picture and its points beside it, as 300-W has them."""
        from img2img.errors import InputError

        super().write_sample(folder, sample)
        points = np.asarray(sample.labels["points"], np.float64) + 1
        lines = ["version: 1", f"n_points: {len(points)}", "{",
                 *(f"{x:.3f} {y:.3f}" for x, y in points), "}", ""]  # fmt: skip
        path = folder / f"{sample.id}.pts"
        try:
            path.write_text("\n".join(lines), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}.") from None

    def prepare(self, train: Dataset) -> None:
        if all(record.origin == WITHOUT_FACES for record in train.records) or not any(
            len(_labels(train, index)["places"]) for index in range(len(train))
        ):
            raise DataError("no training picture has a labelled face: give pictures with points.")
        if self.training["augment"].paste:
            self._bank = Bank.gather(train)

    def targets(self, sample: Sample, rng: np.random.Generator | None) -> Arrays:
        size, places = self.options.image_size, _places(sample)
        known: NDArray[np.bool_] = np.array(True)
        if rng is None:
            height, width = sample.image.shape[:2]
            view = View.letterbox(height, width, size)
            laid = view.to_canvas(places[:, :2])
            places = np.column_stack([laid, places[:, 2] * view.scale_x, places[:, 3]])
            image = view.apply(sample.image)
        else:
            reach = float(np.asarray(sample.labels["reach"])[0])
            scene = self._scenes(sample.image, places, reach, rng)
            image, places, known = scene.image, scene.places, scene.known
        cells = -(-size // STRIDE)
        low, high = (share * size for share in _SIDES_KNOWN)
        encoded = maps.encoded(places, (cells, cells), STRIDE, sides=(low, high))
        return {"image": image, **encoded, "known": encoded["known"] * known}

    @cached_property
    def _scenes(self) -> SceneMaker:
        return SceneMaker(
            self.training["augment"], size=self.options.image_size, stride=STRIDE, bank=self._bank
        )

    def preview(self, encoded: Arrays) -> list[Image]:
        """The picture with its faces, and dark where nothing is known."""
        image = encoded["image"]
        cells = maps.cell_centres(encoded["heat"].shape, STRIDE)
        x, y = (cells + STRIDE * encoded["place"][:2].transpose(1, 2, 0)).transpose(2, 0, 1)
        decoded = {
            "probability": encoded["heat"], "centre": np.stack([x, y], axis=-1),
            "side": maps.UNIT_PX * np.exp(encoded["place"][2]),
            "angle": np.arctan2(encoded["place"][3], encoded["place"][4]),
        }  # fmt: skip
        places, _ = maps.peaks(decoded, least=1.0)
        each_px = np.repeat(np.repeat(encoded["known"], STRIDE, axis=0), STRIDE, axis=1)
        shown = each_px[: image.shape[0], : image.shape[1], None]
        dimmed = (image * (0.3 + 0.7 * shown)).astype(np.uint8)
        return [image, self.draw(dimmed, [Proposal(crop=crop_of(p), score=1.0) for p in places])]

    # ---- network

    def head(self) -> Head:
        from img2img.models.face_head import FaceHead

        return FaceHead(STRIDE)

    def objective(self) -> nn.Module:
        from img2img.vision.face_map_tensors import CentreLoss, PlaceLoss
        from img2img.vision.losses import Terms

        return Terms(
            centre=CentreLoss(), offset=PlaceLoss((0, 1), soft=0.2),
            side=PlaceLoss((2,), soft=0.1), angle=PlaceLoss((3, 4), soft=0.1),
            weights={"offset": 0.3, "side": 1.0, "angle": 1.0},
        )  # fmt: skip

    # ---- inference

    def _views(self, height: int, width: int) -> list[View]:
        """The picture at each scale at which it is looked at."""
        longest = max(height, width)
        coarsest = max(1, round(0.75 * self.options.image_size))
        sizes = maps.levels(longest, coarsest=coarsest, finest=self.options.finest)
        return [View.scaled(height, width, size / longest) for size in sizes]

    def view(self, height: int, width: int) -> View:
        return self._views(height, width)[1]

    def result(self, decoded: Arrays, view: View) -> list[Proposal]:
        return _distinct([self._seen(decoded, view, self.options.threshold)])

    def ask(self, given: Mapping[str, Any]) -> None:
        super().ask(given)
        self._fitted(Crop(x=0.0, y=0.0, side=1.0))  # what is not known is told before pictures come

    def answer(self, image: Image, run: Run) -> list[Proposal]:
        found = self._found(image, run, self.options.threshold)
        return [replace(one, crop=self._fitted(one.crop)) for one in found]

    def _fitted(self, crop: Crop) -> Crop:
        """A proposed crop as that of the points that are asked for."""
        if self.asked.crops_of is None:
            return crop
        return fitted(crop, of=schema_of(self.options.schema), to=schema_of(self.asked.crops_of))

    def answer_sample(self, sample: Sample, run: Run) -> list[Proposal]:
        """With those that are not sure enough for an answer, which the average precision ranks."""
        return self._found(sample.image, run, min(RANKED_FROM, self.options.threshold))

    def _found(self, image: Image, run: Run, least: float) -> list[Proposal]:
        seen = []
        for view in self._views(*image.shape[:2]):
            canvas = view.apply(image)
            for top, bottom in maps.tiles(canvas.shape[0], longest=_TILE_PX, overlap=_OVERLAP_PX):
                for left, right in maps.tiles(
                    canvas.shape[1], longest=_TILE_PX, overlap=_OVERLAP_PX
                ):
                    part = np.ascontiguousarray(canvas[top:bottom, left:right])
                    seen.append(self._seen(run(part), view, least, at=(left, top)))
        return _distinct(seen)

    def _seen(
        self, decoded: Arrays, view: View, least: float, at: tuple[int, int] = (0, 0)
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(places (N, 4) in the picture, scores (N,)) of a part of a view's canvas that begins
        `at` x, y."""
        places, scores = maps.peaks(decoded, least=least)
        centres = view.to_original(places[:, :2] + at)
        sides = places[:, 2] / np.sqrt(view.scale_x * view.scale_y)
        return np.column_stack([centres, sides, places[:, 3]]), scores

    def picture(self, result: list[Proposal]) -> None:
        return None

    def to_json(self, result: list[Proposal]) -> dict[str, Any]:
        return {"faces": [_to_json(proposal) for proposal in result]}

    @property
    def columns(self) -> tuple[str, ...]:
        return ("x", "y", "side", "angle_deg", "score")

    def rows(self, result: list[Proposal]) -> list[dict[str, float | str]]:
        """A row a proposal, the surest first: centre and side of its crop in pixels, and how far it
        is turned, clockwise."""
        cells = (
            (one.crop.x, one.crop.y, one.crop.side, np.degrees(one.crop.angle_rad), one.score)
            for one in result
        )
        return [dict(zip(self.columns, row, strict=True)) for row in cells]

    def draw(self, image: Image, result: list[Proposal]) -> Image:
        """A square for each face, the line in it points to its top; what is not sure enough is left
        out."""
        sure = [one for one in result if one.score >= self.options.threshold]
        corners = np.array([_corners(proposal.crop) for proposal in sure]).reshape(-1, 4, 2)
        return draw_squares(image, corners, np.array([proposal.score for proposal in sure]))

    # ---- measuring

    def measure(self, result: list[Proposal], sample: Sample) -> dict[str, float]:
        places = np.array([place_of(proposal.crop) for proposal in result]).reshape(-1, 4)
        scores = np.array([proposal.score for proposal in result], np.float64)
        reach = float(np.asarray(sample.labels["reach"])[0])
        return measures.row(
            places, scores, _places(sample), reach=reach, threshold=self.options.threshold
        )

    def summarise(
        self, rows: Mapping[str, NDArray[np.float64]], weights: NDArray[np.float64]
    ) -> dict[str, float]:
        return measures.summarise(rows, weights)

    def baselines(self) -> Mapping[str, Callable[[Sample], list[Proposal]]]:
        """A face of half the picture's shorter side in its middle."""
        return {"middle": lambda sample: [_middle(*sample.image.shape[:2])]}

    def truth(self, sample: Sample) -> list[Proposal]:
        return [Proposal(crop=crop_of(place), score=1.0) for place in _places(sample)]


def _labels(samples: Dataset, index: int) -> Mapping[str, NDArray[np.generic]]:
    return samples.sample(samples.records[index], np.empty((0, 0, 3), np.uint8)).labels


def _places(sample: Sample) -> NDArray[np.float64]:
    return np.asarray(sample.labels["places"], np.float64)


def _distinct(
    seen: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> list[Proposal]:
    """What several looks saw, each face once, the surest first."""
    places = np.concatenate([one[0] for one in seen])
    scores = np.concatenate([one[1] for one in seen])
    return [
        Proposal(crop=crop_of(places[i]), score=float(scores[i]))
        for i in maps.distinct(places, scores).tolist()
    ]


def _middle(height: int, width: int) -> Proposal:
    crop = Crop(x=(width - 1) / 2, y=(height - 1) / 2, side=min(height, width) / 2)
    return Proposal(crop=crop, score=1.0)


def _corners(crop: Crop) -> NDArray[np.float64]:
    """(4, 2) in pixels of the picture."""
    square = np.array([[-0.5, -0.5], [1.5, -0.5], [1.5, 1.5], [-0.5, 1.5]])
    return crop.to_picture(square, 2)


def _to_json(proposal: Proposal) -> dict[str, Any]:
    crop = proposal.crop
    corners = _corners(crop)
    return {
        "box": [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()],
        "score": proposal.score,
        "centre": [crop.x, crop.y],
        "side": crop.side,
        "angle_deg": float(np.degrees(crop.angle_rad)),
    }
