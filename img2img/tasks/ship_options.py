"""What the poses of a ship are learned with, and what a prediction of them is asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from img2img.config import option
from img2img.data.augment_points import PointAugmentOptions
from img2img.data.light import redefined
from img2img.errors import DataError
from img2img.tasks.point_coding import PointOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipOptions(PointOptions):
    """How the corners are learned and read, and what generated frames show."""

    image_size: int = option(
        96, "Side of the square that frames and crops are laid on.", flag="--image-size",
        unit="pixels", low=8, high=1024, panel="Data",
    )  # fmt: skip
    looks: int = option(
        3, "How often a frame is looked at: as a whole, then close to the ship under several "
        "angles, then upright.", low=1, high=8,
    )  # fmt: skip
    angles: int = option(
        8, "Angles under which the second look sees the ship, of which the surest counts.", low=1,
        high=64,
    )  # fmt: skip
    camera: str | None = option(
        None, "Camera file of the data, instead of the camera_info.json of each folder.", local=True
    )
    ships_without: tuple[str, ...] = option(
        (), "Parts left out of generated frames, such as nebulae (`data.synth.ship_scene.PARTS`)."
    )
    photos: str | None = option(
        None, "Folder of pictures for a part of the generated backgrounds.", local=True
    )
    flight: bool = option(False, "Generated frames are flights instead of single views.")
    calibration: tuple[float, ...] = option(
        (), "Offset and slope of the log odds of a corner's confidence; set by the training."
    )
    deviation: tuple[float, ...] = option(
        (), "Least error of a corner in pixels of the network's picture, factor on its heatmap's "
        "width, factor on the pose's deviation; set by the training.",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipAugmentOptions(PointAugmentOptions):
    """How training frames vary, beyond what the generator does."""

    colour: float = redefined("colour", 0.3)
    blur: float = redefined("blur", 0.1)
    noise: float = redefined("noise", 0.1)
    compression: float = redefined("compression", 0.1)
    shadow: float = redefined("shadow", 0.05)
    rotation_deg: float = redefined("rotation_deg", 15.0, PointAugmentOptions)
    shift: float = redefined("shift", 0.06, PointAugmentOptions)
    aspect: float = redefined("aspect", 0.02, PointAugmentOptions)
    perspective: float = redefined("perspective", 0.01, PointAugmentOptions)
    occlusion: float = redefined("occlusion", 0.1, PointAugmentOptions)
    wide: float = option(
        0.1, "Share of samples seen as the first look sees them.", low=0.0, high=1.0
    )
    turned: float = option(
        0.2, "Share of the other samples that are turned by any angle.", low=0.0, high=1.0
    )


def _check_camera(path: str | None) -> None:
    if path is not None and not Path(path).is_file():
        raise DataError(f"--camera {path} is no file: name a camera_info.json.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipQuestions:
    """What one prediction is told and asked beyond its weights."""

    camera: str | None = option(None, "Camera file of the frames.", check=_check_camera, local=True)
    smooth: Literal["auto", "none", "one-euro", "filter"] = option(
        "auto", "How poses are smoothed from frame to frame; auto: filter for videos, none for "
        "pictures, which need not follow each other.", flag="--smooth", on_page=False,
    )  # fmt: skip
    lasers: bool = option(False, "Draw beams from the muzzles instead of the box.")
