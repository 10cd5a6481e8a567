"""The camera of frames, `camera_info.json`: one object that states it in one or several ways.

All ways must agree.

| keys                                             | what they are                              |
|--------------------------------------------------|--------------------------------------------|
| `projection_matrix`                              | OpenGL's, 4×4                              |
| `model_view_matrix`, `camera_world_matrix`       | world to view, and its inverse             |
| `fx` `fy` `cx` `cy`, or `camera_matrix`          | OpenCV's, in pixels, centres at integers   |
| `distortion`                                     | OpenCV's coefficients, to these            |
| `focal_mm` and `sensor_mm` [width, height]       | the lens, and the sensor that is shown     |
| `field_of_view_deg` {horizontal: angle}          | or vertical, or diagonal                   |
| `width`, `height`                                | of the picture that pixels are counted in  |

A prediction needs no more than this file, and not even this.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from img2img.errors import DataError
from img2img.vision.camera import FORMAT_VIEW, Camera
from img2img.vision.rigid import RIGID_WITHIN, Floats, as_matrix, in_words, rigid_problem

CAMERA_FILE = "camera_info.json"


def camera_for(
    picture: Path | None, *, width: int, height: int, file: Path | None = None
) -> Camera:
    """The camera of a picture whose pose is not known: that of `file`, else of `camera_info.json`
    beside the picture's own file, if it has one, else `Camera.default`.

    Raises:
        DataError: the file is missing or broken, or contradicts itself or the picture's size.
    """
    if file is None and picture is not None:
        beside = picture.parent / CAMERA_FILE
        file = beside if beside.is_file() else None
    if file is None:
        return Camera.default(width, height)
    return read_camera(file, width=width, height=height)


def read_camera(path: Path, *, width: int, height: int) -> Camera:
    """What a file states of the camera of a picture of this size.

    Raises:
        DataError: one sentence naming the file: missing, broken, impossible, or in contradiction
            with itself or the picture's size.
    """
    stated = read_json(path)
    try:
        if not isinstance(stated, dict):
            raise DataError("it holds no object with keys such as projection_matrix.")
        cameras = list(_cameras(stated, width, height))
        if not cameras:
            known = "projection_matrix, camera_matrix, focal_mm or field_of_view_deg"
            raise DataError(f"it states no camera: give {known}.")
        view = _view(stated)
        for other in cameras[1:]:
            Camera.agreeing(cameras[0], other)
        rows = tuple(tuple(map(float, row)) for row in view)
        # The lens is told by what knows most of it: given intrinsics come last of these.
        best = max(cameras, key=lambda camera: len(camera.distortion))
        return replace(best, view=rows, source=f"{path}: {best.source}")
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _cameras(stated: Mapping[str, Any], width: int, height: int) -> Iterator[Camera]:
    """Every camera that a file states, for a picture of this size."""
    for camera in _cameras_of_own_size(stated, width, height):
        yield camera.resized(width, height)


def _cameras_of_own_size(stated: Mapping[str, Any], width: int, height: int) -> Iterator[Camera]:
    """The same, for a picture of the size that the file states, if it does."""
    width = round(float(_numbers(stated, "width", width)))
    height = round(float(_numbers(stated, "height", height)))
    if "projection_matrix" in stated:
        yield Camera.from_projection(stated["projection_matrix"], width=width, height=height)
    if "camera_matrix" in stated or "fx" in stated:
        matrix = stated.get("camera_matrix")
        if matrix is None:
            fx, fy, cx, cy = (float(_numbers(stated, name)) for name in ("fx", "fy", "cx", "cy"))
            matrix = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]
        distortion = np.ravel(_numbers(stated, "distortion", [])).tolist()
        yield Camera.from_matrix(matrix, distortion, width=width, height=height)
    if "focal_mm" in stated:
        sensor = np.ravel(_numbers(stated, "sensor_mm"))
        if sensor.size != 2:
            raise DataError("sensor_mm is no [width, height].")
        focal, (x, y) = float(_numbers(stated, "focal_mm")), sensor.tolist()
        yield Camera.from_focal_length(focal, (x, y), width=width, height=height)
    fields = stated.get("field_of_view_deg", {})
    if not isinstance(fields, dict) or not fields.keys() <= {"horizontal", "vertical", "diagonal"}:
        raise DataError("field_of_view_deg is no {horizontal, vertical or diagonal: degrees}.")
    for axis in fields:
        angle = float(_numbers(fields, axis))
        yield Camera.from_field_of_view(angle, axis, width=width, height=height)


def _view(stated: Mapping[str, Any]) -> Floats:
    """(4, 4) world to view, as stated, or that of the format."""
    matrices = {}
    for name in ("model_view_matrix", "camera_world_matrix"):
        if name in stated:
            matrices[name] = as_matrix(stated[name], name)
            if problem := rigid_problem(matrices[name]):
                raise DataError(f"{name} {problem}.")
    view, world = matrices.get("model_view_matrix"), matrices.get("camera_world_matrix")
    if view is None:
        return np.array(FORMAT_VIEW) if world is None else np.asarray(np.linalg.inv(world))
    if world is not None and np.abs(view @ world - np.eye(4)).max() > RIGID_WITHIN:
        seen, said = (
            in_words(np.asarray(np.linalg.inv(view), np.float64)[:3].ravel()),
            in_words(world[:3].ravel()),
        )
        raise DataError(
            "two statements about the camera disagree: camera_world_matrix is not the inverse of "
            f"model_view_matrix, whose inverse begins with {seen}, but the other with {said}; "
            "correct one of them."
        )
    return view


def _numbers(stated: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """A finite number or list of numbers under a key."""
    try:
        numbers = np.asarray(stated.get(name, default), np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.array(np.nan)
    scalar = name not in ("distortion", "sensor_mm")
    if not np.isfinite(numbers).all() or (scalar and numbers.ndim):
        what = "number" if scalar else "list of numbers"
        raise DataError(f"{name} is missing or no {what}.")
    return numbers


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: it is missing, or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        told = (error.strerror or str(error)).lower()
        raise DataError(f"{path} cannot be read: {told}.") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON: {error}; write it anew.") from None
