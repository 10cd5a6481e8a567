"""What may be chosen of facial keypoints: for weights, and for one prediction."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from img2img.config import option
from img2img.errors import InputError, UsageError
from img2img.tasks.point_coding import PointOptions
from img2img.vision.schemas import schema_of


def _check_box(box: tuple[float, ...]) -> None:
    if box and not (len(box) == 4 and box[0] < box[2] and box[1] < box[3]):
        raise UsageError(
            "--face-box takes x0,y0,x1,y1 in pixels, the left upper corner first, such as "
            "120,80,260,240."
        )


def box_in_picture(box: tuple[float, ...], height: int, width: int) -> NDArray[np.float64]:
    """(4,): the box of `--face-box`, some of which a picture of that size must show.

    Raises:
        InputError: it shows none of it.
    """
    x0, y0, x1, y1 = box
    if x1 < 0 or y1 < 0 or x0 > width - 1 or y0 > height - 1:
        raise InputError(
            f"--face-box {','.join(f'{edge:g}' for edge in box)} lies outside of the picture, "
            f"which has {width} × {height} pixels: give x0,y0,x1,y1 within it."
        )
    return np.array(box, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypointOptions(PointOptions):
    """Which points, and how they are learned and read."""

    image_size: int = option(
        96, "Side of the square that a face is cut out to.", flag="--image-size", unit="pixels",
        low=8, high=1024, panel="Data",
    )  # fmt: skip
    schema: str = option(
        "ibug68", "Which points: nose, kaggle15, imm58, ibug68, or a TOML file; left out: those of "
        "the data.",
    )  # fmt: skip
    crop: Literal["face", "whole"] = option(
        "face", "What the network looks at: a square round the face, or the whole picture."
    )
    looks: int = option(
        2, "How often a face is looked at; after the first time by its own points.", low=1, high=8
    )
    calibration: tuple[float, ...] = option(
        (), "Offset and slope of the log odds of a point's confidence; set by the training."
    )
    mean_face: tuple[float, ...] = option(
        (), "Mean x and y of the points, in sides of the crop; set by the training."
    )

    def __post_init__(self) -> None:
        from img2img.vision.schema_files import schema_text

        # Without arguments super() fails in a dataclass with slots.
        super(KeypointOptions, self).__post_init__()
        schema = schema_of(self.schema)
        if self.schema.endswith(".toml"):  # the file stays behind when weights travel
            object.__setattr__(self, "schema", schema_text(schema))


def fitting_defaults(
    options: KeypointOptions, model: str, source: str | None
) -> Mapping[str, Mapping[str, Any]]:
    """A light decoder where there is one; for maps that points share small cells, and few
    validation faces, as these take long to read; and the points that the data have."""
    task: dict[str, Any] = {}
    train: dict[str, Any] = {}
    if options.shares_maps:
        task["stride"], train["val_samples"] = 2, 32
    if source is None:
        train["epochs"] = 6
    elif Path(source).exists():
        from img2img.data.formats.point_formats import find_points

        found = find_points(Path(source))
        if found.schema is not None:
            task["schema"] = found.schema.name
        if found.holds_pictures:
            task["crop"] = "whole"
    light = {"decoder": "half"} if model.startswith("unet:") else {}
    return {"model": light, "task": task, "train": train}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeypointQuestions:
    """Where a prediction looks."""

    face_box: tuple[float, ...] = option(
        (),
        "Box of the face, x0,y0,x1,y1 in pixels, instead of looking for faces.",
        flag="--face-box",
        check=_check_box,
    )
    whole_image: bool = option(False, "The picture is one face, cut out already.")
    find: bool = option(
        False, "Look for faces in whole photos, as a prediction does.", on_page=False
    )
    finder: str | None = option(
        None, "Weights that find the faces; none: those that ship.", local=True, on_page=False
    )
    flip: bool = option(True, "Average with the mirrored picture, where a schema has pairs.")
    heatmaps: bool = option(False, "Draw the heatmaps under the points.")

    def __post_init__(self) -> None:
        told = [f"--{name.replace('_', '-')}" for name in ("face_box", "whole_image", "finder")
                if getattr(self, name)]  # fmt: skip
        if len(told) > 1:
            raise UsageError(f"{' and '.join(told)} contradict each other: give one of them.")
