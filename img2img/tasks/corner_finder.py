"""Looks for a ship in a frame: from afar, then close, then upright."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from img2img.data.crop import Crop
from img2img.data.sample import Image
from img2img.tasks.base import Arrays, Run
from img2img.tasks.point_coding import PointCoding
from img2img.tasks.ship_options import ShipOptions
from img2img.vision.calibration import calibrated
from img2img.vision.camera import Camera
from img2img.vision.deviation import expected_covariance
from img2img.vision.metrics import Floats
from img2img.vision.pose import CORNERS, rough_pose
from img2img.vision.schemas import SHIP8

WIDER = 1.5
"""Side of what the first look sees, in longer sides of the frame: corners outside are on it."""
ROOM = 1.2
"""What is left round a ship that was seen from afar, in sides of the crop about its corners."""


N_FOLLOWED = 3
"""Of the angles of the second look."""
SURE = 0.5
"""Mean confidence of the corners from which on a ship is where it was expected."""


class Look(NamedTuple):
    """A crop that was seen, and what the network said of it."""

    crop: Crop
    decoded: Arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class Corners:
    """`points` (8, 2) in pixels of the picture, the `covariance` (8, 2, 2) of their errors, and
    their `confidence` (8,)."""

    points: Floats
    covariance: Floats
    confidence: Floats

    @property
    def weights(self) -> dict[str, Floats]:
        """What a pose weighs them with."""
        return {"covariance": self.covariance, "confidence": self.confidence}


class CornerFinder:
    """Brings the ship before the network, and its corners back to the frame.

    Args:
        options: how often it looks, and what errors are like.
        coding: reads corners from what the network said.
    """

    def __init__(self, options: ShipOptions, coding: PointCoding) -> None:
        self.options = options
        self.coding = coding

    def closest_look(
        self, image: Image, camera: Camera, run: Run, *, start: Crop | None = None
    ) -> Look:
        """The last of several looks. The first shows the frame and what lies about it, and tells
        where the ship is; the second, turned by several angles of which the surest few are
        followed, how it lies; those after it lie round the ship as the one before showed it.

        Args:
            start: where the ship is expected; only if it is not surely there it is searched for.
        """
        if start is not None:
            (look,) = self._closer(self._looks(image, [start], run), image, camera, run)
            if self._sureness(look) >= SURE:
                return look
        (look,) = self._looks(image, [first_crop(image)], run)
        if self.options.looks == 1:
            return look
        place = place_of(self.corners(look.decoded, look.crop).points, image) or look.crop
        looks = self._turned_looks(image, place, run)[:N_FOLLOWED]
        for _ in range(self.options.looks - 2):
            looks = self._closer(looks, image, camera, run)
        return max(looks, key=self._sureness)

    def _looks(self, image: Image, crops: Sequence[Crop], run: Run) -> list[Look]:
        decoded = run(np.stack([crop.apply(image, self.options.image_size) for crop in crops]))
        return [
            Look(crop, {name: array[index] for name, array in decoded.items()})
            for index, crop in enumerate(crops)
        ]

    def _turned_looks(self, image: Image, place: Crop, run: Run) -> list[Look]:
        """Looks at a place under several angles, the surest first: the network knows ships best
        whose left wing is to the right."""
        n_angles = self.options.angles
        crops = [replace(place, angle_rad=2 * np.pi * k / n_angles) for k in range(n_angles)]
        return sorted(self._looks(image, crops, run), key=self._sureness, reverse=True)

    def _closer(self, looks: Sequence[Look], image: Image, camera: Camera, run: Run) -> list[Look]:
        """Looks round the corners that others showed."""
        return self._looks(image, [self._nearer(look, image, camera) for look in looks], run)

    def _nearer(self, look: Look, image: Image, camera: Camera) -> Crop:
        corners = self.corners(look.decoded, look.crop)
        # Corners that are far off would spoil the crop; a pose knows better where they are.
        pose = rough_pose(corners.points, camera, **corners.weights)
        points = corners.points if pose is None else camera.project(CORNERS, pose)
        return near_crop(points, image) or look.crop

    def _sureness(self, look: Look) -> float:
        peaks = self.coding.peaks(look.decoded)
        return float(calibrated(peaks.confidence, self.options.calibration).mean())

    def corners(self, decoded: Arrays, crop: Crop) -> Corners:
        """What the network said of a crop, in pixels of the picture."""
        peaks = self.coding.peaks(decoded)
        size = self.options.image_size
        spread = expected_covariance(peaks.covariance.astype(np.float64), self.options.deviation)
        back = np.linalg.inv(crop.matrix(size)[:, :2])
        return Corners(
            points=crop.to_picture(peaks.points, size),
            covariance=back @ spread @ back.T,
            confidence=calibrated(peaks.confidence, self.options.calibration),
        )


def first_crop(image: Image) -> Crop:
    """The frame and what lies about it."""
    whole = Crop.whole(*image.shape[:2])
    return replace(whole, side=whole.side * WIDER)


def place_of(points: Floats, image: Image) -> Crop | None:
    """A crop that is not turned, about where corners (8, 2) were seen from afar."""
    crop = Crop.of_points(points, replace(SHIP8, pairs=()))
    if crop is None:
        return None
    x, y = points.mean(axis=0).tolist()
    return _usable(replace(crop, x=x, y=y, side=ROOM * crop.side), image)


def near_crop(points: Floats, image: Image) -> Crop | None:
    """A crop about corners (8, 2), its right side where the ship's left one is; None if it cannot
    show a ship."""
    crop = Crop.of_points(points, SHIP8)
    return None if crop is None else _usable(crop, image)


def _usable(crop: Crop, image: Image) -> Crop | None:
    """The crop if a part of the frame is in it and its size is one that a ship can have."""
    height, width = image.shape[:2]
    side, half = max(height, width), crop.side / 2
    inside = -half < crop.x < width + half and -half < crop.y < height + half
    return crop if inside and 0.04 * side < crop.side < 4 * side else None
