"""Generated frames as files in the original frame format.

`N.jpg`, `N_mat.json` (the pose, object to world, for column vectors) and one `camera_info.json`
with the matrices of an OpenGL camera, which count pixel edges as integers.
"""

import json
from pathlib import Path

import numpy as np

from img2img.data.formats.camera_files import CAMERA_FILE
from img2img.data.images import write
from img2img.data.sample import Dataset, Sample
from img2img.data.synth.ship_pose import EYE_Z, Matrix
from img2img.errors import InputError
from img2img.vision.camera import Camera

_DEPTH = (-1.002002, -0.2002002)
"""The projection's third row: the near plane at 0.1 and the far one at 100."""


def write_frames(folder: Path, frames: Dataset, *, first: int = 0) -> list[Path]:
    """Writes samples with labels `pose` and `camera`, and returns the pictures' paths.

    Args:
        folder: is made if it is missing; files of the same names are replaced.
        frames: all of one size, from one camera.
        first: the number of the first frame.

    Raises:
        ValueError: there are no frames, or the frames differ in camera or size.
    """
    if not len(frames):
        raise ValueError("there are no frames to write")
    folder.mkdir(parents=True, exist_ok=True)
    paths, cameras = [], []
    for number, sample in enumerate(frames, start=first):
        cameras.append(sample.labels["camera"])
        if not np.array_equal(cameras[0], cameras[-1]):
            raise ValueError(f"{sample.id} has another camera or size than the frames before it")
        paths.append(write_frame(folder, str(number), sample))
    return paths


def write_frame(folder: Path, name: str, sample: Sample) -> Path:
    """Writes a frame into a folder that exists, and the camera if no frame is there yet; returns
    the picture's path.

    Raises:
        InputError: it cannot be written there.
    """
    path = folder / f"{name}.jpg"
    write(path, sample.image)
    camera = Camera.from_array(np.asarray(sample.labels["camera"], np.float64))
    try:
        _write_json(folder / f"{name}_mat.json", sample.labels["pose"].tolist())
        if not (folder / CAMERA_FILE).exists():
            projection = projection_matrix(camera.matrix, sample.image.shape[:2])
            _write_json(folder / CAMERA_FILE, _camera_info(projection))
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}.") from None
    return path


def projection_matrix(camera: Matrix, size: tuple[int, ...]) -> Matrix:
    """(4, 4) OpenGL projection of intrinsics (3, 3) for pixel centres at integers, for a frame
    (H, W).

    Source: OpenGL 4.6 specification, section 13.8 (clip coordinates and viewport).
    """
    height, width = size
    projection = np.zeros((4, 4))
    projection[0, 0] = 2 * camera[0, 0] / width
    projection[0, 1] = -2 * camera[0, 1] / width
    projection[1, 1] = 2 * camera[1, 1] / height
    # Half a pixel, because OpenGL's picture begins at its edge.
    projection[0, 2] = 1 - 2 * (camera[0, 2] + 0.5) / width
    projection[1, 2] = 2 * (camera[1, 2] + 0.5) / height - 1
    projection[2, 2:] = _DEPTH
    projection[3, 2] = -1
    return projection


def _camera_info(projection: Matrix) -> dict[str, list[list[float]]]:
    world, view = np.eye(4), np.eye(4)
    world[2, 3], view[2, 3] = EYE_Z, -EYE_Z
    return {
        "camera_world_matrix": world.tolist(),
        "model_view_matrix": view.tolist(),
        "projection_matrix": projection.tolist(),
    }


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
