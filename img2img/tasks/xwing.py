"""X-wing: heatmaps of the eight corners of the ship's box, its pose, tracked through frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from img2img.config import DataOptions
from img2img.data.augment_points import PointAugmenter
from img2img.data.crop import Crop
from img2img.data.sample import Dataset, Image, Sample, Splits
from img2img.data.split import refuse_folds
from img2img.data.view import View
from img2img.errors import DataError, InputError
from img2img.tasks.base import Arrays, Best, Curve, Run, Task
from img2img.tasks.corner_finder import CornerFinder, first_crop, near_crop
from img2img.tasks.point_coding import PointCoding
from img2img.tasks.ship_options import ShipAugmentOptions, ShipOptions, ShipQuestions
from img2img.vision import pose_metrics as measures
from img2img.vision.camera import Camera
from img2img.vision.metrics import Floats
from img2img.vision.pose import CORNERS, PoseFit, solve_pose
from img2img.vision.rigid import quaternion
from img2img.vision.schemas import SHIP8
from img2img.vision.tracking import TRACKERS, Tracker

if TYPE_CHECKING:
    from torch import nn

    from img2img.data.check import CheckReport
    from img2img.data.synth.generated import Generated
    from img2img.data.synth.ship_lasers import Lasers
    from img2img.models.network import Head

_POSE_COLUMNS = (
    "qw", "qx", "qy", "qz", "tx", "ty", "tz", "rotation_deviation_deg", "translation_deviation",
    "ambiguous", "bridged",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A ship in a frame.

    `points` (8, 2) float64 are `CORNERS` in pixels of the frame, centres at integers, also outside
    of it; `confidence` (8,) in 0…1 how sure each is. `fit` is the pose they tell, `camera` what it
    was told with. `is_bridged` says that the pose is a forecast from the frames before, as the
    points tell none; `lasers` are the bolts of this frame, if they are asked for.
    """

    points: Floats
    confidence: Floats
    fit: PoseFit
    camera: Camera
    is_bridged: bool = False
    lasers: Lasers | None = None


class XWing(Task[ShipOptions, Sighting]):
    """The pose of a spaceship, by heatmaps of the corners of its box."""

    Options = ShipOptions
    Questions = ShipQuestions
    groups: ClassVar[Mapping[str, type]] = {"augment": ShipAugmentOptions}
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "model": {"name": "unet:tu-tf_efficientnet_lite0"},
        "train": {
            "epochs": 60, "lr": 2e-3, "batch_size": 32, "ema": 0.998, "warmup_steps": 100,
            "val_samples": 128,
        },
    }  # fmt: skip
    best = Best("corner_px", "min")
    metrics = measures.METRICS
    n_generated = 2048

    def __init__(self, options: ShipOptions, groups: Mapping[str, Any] | None = None) -> None:
        super().__init__(options, groups)
        self.coding = PointCoding(options, len(SHIP8), SHIP8.regions)
        self.result_outputs = self.coding.needed
        self.finder = CornerFinder(options, self.coding)
        self._trackers: dict[str, Tracker] = {}
        self._lasers: dict[str, Lasers] = {}
        self._expected: dict[str, Crop | None] = {}

    @classmethod
    def defaults_for(
        cls, options: ShipOptions, model: str, *, source: str | None
    ) -> Mapping[str, Mapping[str, Any]]:
        """A light decoder where there is one."""
        defaults: dict[str, Mapping[str, Any]] = {}
        if model.startswith("unet:"):
            defaults["model"] = {"decoder": "half"}
        if source is None:
            defaults["train"] = {"epochs": 6}
        return defaults

    # ---- data

    def splits(self, data: DataOptions) -> Splits:
        if data.source is None:
            refuse_folds(data.folds, "the parts of generated frames")
            n_train = data.n_generated or self.n_generated
            return self._frames.splits(n_train, n_val=128, n_test=1000, **self._look)
        from img2img.data.formats.frames import frame_splits

        camera = self.asked.camera or self.options.camera
        return frame_splits(data, Path(data.source), None if camera is None else Path(camera))

    @property
    def _frames(self) -> type[Generated]:
        from img2img.data.synth.ship import Flight, Ships

        return Flight if self.options.flight else Ships

    @property
    def _look(self) -> dict[str, Any]:
        """What generated frames are to show."""
        look: dict[str, Any] = {"without": frozenset(self.options.ships_without)}
        if self.options.photos is not None:
            look["photos"] = Path(self.options.photos)
        return look

    def generate(self, n: int, *, size: int, seed: int) -> Mapping[str, Dataset]:
        return self._frames.parts(n, size=size, seed=seed, **self._look)

    def write_sample(self, folder: Path, sample: Sample) -> None:
        """`N.jpg` and `N_mat.json`, and a `camera_info.json` for all."""
        from img2img.data.synth.ship_frames import write_frame

        write_frame(folder, str(int(sample.id.rpartition("-")[2])), sample)

    def check(self, data: DataOptions) -> CheckReport:
        from img2img.data.check_frames import check_frames

        if data.source is None:
            return super().check(data)
        return check_frames(data, self.options.camera)

    def prepare(self, train: Dataset) -> None:
        if not self.coding.needs_shapes:
            return
        rng, blank = np.random.default_rng(0), np.zeros((8, 8, 3), np.uint8)
        frames = [train.sample(record, blank) for record in train.records]
        laid = [self._augmented(frame, rng)[1] for frame in frames for _ in range(2)]
        self.coding.learn_shapes(np.array(laid))

    def targets(self, sample: Sample, rng: np.random.Generator | None) -> Arrays:
        if rng is None:
            points, size = np.asarray(sample.labels["points"], np.float64), self.options.image_size
            crop = near_crop(points, sample.image) or first_crop(sample.image)
            image, laid = crop.apply(sample.image, size), crop.to_canvas(points, size)
        else:
            image, laid = self._augmented(sample, rng)
        return {"image": image, "points": laid.astype(np.float32)}

    def _augmented(self, sample: Sample, rng: np.random.Generator) -> tuple[Image, Floats]:
        options = self.training["augment"]
        points = np.asarray(sample.labels["points"], np.float64)
        close = near_crop(points, sample.image)
        is_wide, is_turned = rng.random(2) < (options.wide, options.turned)
        crop = first_crop(sample.image) if is_wide or close is None else close
        if is_wide or is_turned:
            crop = replace(crop, angle_rad=float(rng.uniform(-np.pi, np.pi)))
        return self._augmenter(sample.image, points, crop, rng)

    @cached_property
    def _augmenter(self) -> PointAugmenter:
        return PointAugmenter(self.training["augment"], SHIP8, size=self.options.image_size)

    def preview(self, encoded: Arrays) -> list[Image]:
        from img2img.vision.draw_points import draw_faces
        from img2img.vision.keypoints import Face

        shown = Face(encoded["points"].astype(np.float64), np.ones(len(SHIP8)))
        return [encoded["image"], draw_faces(encoded["image"], [shown], SHIP8)]

    # ---- network

    def head(self) -> Head:
        return self.coding.head()

    def objective(self) -> nn.Module:
        return self.coding.objective()

    # ---- inference

    def view(self, height: int, width: int) -> View:
        return View.letterbox(height, width, self.options.image_size)

    def result(self, decoded: Arrays, view: View) -> Sighting:
        crop = Crop.whole(view.height, view.width)
        return self._sighting(decoded, crop, Camera.default(view.width, view.height))

    def answer(self, image: Image, run: Run) -> Sighting:
        height, width = image.shape[:2]
        return self._seen(image, Camera.default(width, height), run)

    def answer_file(
        self, path: Path | None, image: Image, run: Run, *, sequence: str = ""
    ) -> Sighting:
        """With the camera that was told, or that lies beside the picture."""
        from img2img.data.formats.camera_files import camera_for

        told = self.asked.camera
        height, width = image.shape[:2]
        try:
            camera = camera_for(
                path, width=width, height=height, file=None if told is None else Path(told)
            )
        except DataError as error:
            raise InputError(str(error)) from None
        return self._seen(image, camera, run, self._expected.get(sequence))

    def answer_sample(self, sample: Sample, run: Run) -> Sighting:
        start = self._expected.get(str(Path(sample.id).parent))
        return self._seen(sample.image, camera_of(sample), run, start)

    def _seen(self, image: Image, camera: Camera, run: Run, start: Crop | None = None) -> Sighting:
        crop, decoded = self.finder.closest_look(image, camera, run, start=start)
        return self._sighting(decoded, crop, camera)

    def _sighting(self, decoded: Arrays, crop: Crop, camera: Camera) -> Sighting:
        corners = self.finder.corners(decoded, crop)
        fit = solve_pose(corners.points, camera, **corners.weights)
        if self.options.deviation:
            fit = replace(fit, covariance=fit.covariance * self.options.deviation[2] ** 2)
        return Sighting(
            points=corners.points, confidence=corners.confidence, fit=fit, camera=camera
        )

    def settle(self, network: Callable[[ShipOptions], Run], val: Dataset) -> ShipOptions:
        from img2img.tasks.pose_settling import settled_options

        return settled_options(self, network, val)

    # ---- through frames

    @property
    def goes_in_order(self) -> bool:
        return self.asked.smooth != "none" or bool(self.asked.lasers)

    def next_in(self, sequence: str, result: Sighting | None, *, is_video: bool) -> Sighting | None:
        """Smoothed, and with the bolts that fly; a frame without a pose may get one from those
        before it."""
        chosen = self.asked.smooth
        if chosen == "auto":
            chosen = "filter" if is_video else "none"
        tracker = self._trackers.setdefault(sequence, TRACKERS[chosen]())
        fit = PoseFit(reason="the picture cannot be read.") if result is None else result.fit
        pose = tracker.update(fit.pose, None if fit.pose is None else fit.covariance)
        if result is not None and chosen != "none":
            self._expected[sequence] = _round_ship(pose, result.camera)
        if result is not None and pose is not fit.pose:
            covariance = getattr(tracker, "covariance", fit.covariance)
            is_bridged = fit.pose is None
            fit = replace(fit, pose=pose, covariance=covariance, reason=None)
            result = replace(result, fit=fit, is_bridged=is_bridged)
        return self._with_lasers(sequence, result, pose) if self.asked.lasers else result

    def _with_lasers(
        self, sequence: str, result: Sighting | None, pose: Floats | None
    ) -> Sighting | None:
        from img2img.data.synth.ship_lasers import Lasers

        lasers = self._lasers.setdefault(sequence, Lasers())
        lasers.step(pose)
        return None if result is None else replace(result, lasers=copy(lasers))

    def picture(self, result: Sighting) -> None:
        return None

    def to_json(self, result: Sighting) -> dict[str, Any]:
        fit = result.fit
        is_known = fit.pose is not None
        return {
            "keypoints": np.column_stack([result.points, result.confidence]).tolist(),
            "pose": fit.pose.tolist() if fit.pose is not None else None,
            "pose_reason": fit.reason,
            "camera": result.camera.to_json(),
            "rotation_deviation_deg": fit.rotation_deviation_deg if is_known else None,
            "translation_deviation": fit.translation_deviation if is_known else None,
            "ambiguous": fit.ambiguous,
            "bridged": result.is_bridged,
        }

    @property
    def columns(self) -> tuple[str, ...]:
        each = (f"{point}_{what}" for point in SHIP8.points for what in ("x", "y", "confidence"))
        return (*_POSE_COLUMNS, *each)

    def rows(self, result: Sighting) -> list[dict[str, float | str]]:
        """One row: the rotation as a quaternion, the translation, and what is known of both."""
        fit, pose = result.fit, np.full(7, np.nan)
        if fit.pose is not None:
            pose[:4], pose[4:] = quaternion(fit.pose[:3, :3]), fit.pose[:3, 3]
        told = (fit.rotation_deviation_deg, fit.translation_deviation, float(fit.ambiguous))
        points = np.column_stack([result.points, result.confidence]).ravel()
        cells = (*pose.tolist(), *told, float(result.is_bridged), *points.tolist())
        return [dict(zip(self.columns, cells, strict=True))]

    def draw(self, image: Image, result: Sighting) -> Image:
        if result.lasers is not None:
            return result.lasers.draw(image, result.fit.pose, result.camera)
        from img2img.vision.draw_pose import draw_pose

        return draw_pose(image, result.points, result.confidence, result.fit.pose, result.camera)

    # ---- measuring

    def measure(self, result: Sighting, sample: Sample) -> dict[str, float]:
        labels, fit = sample.labels, result.fit
        return measures.row(
            points=result.points,
            truth_points=np.asarray(labels["points"], np.float64),
            pose=fit.pose,
            truth_pose=np.asarray(labels["pose"], np.float64),
            camera=camera_of(sample),
            rotation_deviation_deg=fit.rotation_deviation_deg,
            visible=float(np.asarray(labels.get("visible", np.nan))),
        )

    def summarise(self, rows: Mapping[str, Floats], weights: Floats) -> dict[str, float]:
        return measures.summarise(rows, weights)

    def curves(self, rows: Mapping[str, Floats], weights: Floats) -> Mapping[str, Curve]:
        limits, shares = measures.cumulative(rows, weights)
        return {
            "cumulative_rotation_error": Curve(
                about="Share of the frames whose rotation is wrong by at most so much.",
                x_label="rotation error (degrees)", y_label="share of frames", x=limits, y=shares,
            )
        }  # fmt: skip

    def truth(self, sample: Sample) -> Sighting:
        points = np.asarray(sample.labels["points"], np.float64)
        fit = PoseFit(pose=np.asarray(sample.labels["pose"], np.float64))
        return Sighting(points=points, confidence=np.ones(8), fit=fit, camera=camera_of(sample))


def _round_ship(pose: Floats | None, camera: Camera) -> Crop | None:
    """A crop about the ship at a pose (4, 4)."""
    points = None if pose is None else camera.project(CORNERS, pose)
    known = points is not None and np.isfinite(points).all()
    return Crop.of_points(points, SHIP8) if points is not None and known else None


def camera_of(sample: Sample) -> Camera:
    """The camera of a labelled frame."""
    return Camera.from_array(np.asarray(sample.labels["camera"], np.float64))
