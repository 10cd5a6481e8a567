"""Frames of the ship with their poses: `N.jpg`, `N_mat.json` beside it, and a `camera_info.json`.

`N_mat.json` is the object-to-world matrix, 4×4, row by row, for column vectors: a rigid motion in
the world that `vision.camera` documents. `camera_info.json` holds for the pictures of its folder
and of those below (see `camera_files`).

Successive frames whose poses are near make a flight, which is cut into blocks that stay together.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.formats.camera_files import CAMERA_FILE, read_camera, read_json
from img2img.data.formats.folders import digest_of, list_pictures, part_indices, picture_id
from img2img.data.groups import group_names
from img2img.data.sample import Dataset, Image, Record, Sample, Splits
from img2img.errors import DataError, InputError
from img2img.option_values import check_groups
from img2img.vision.camera import Camera
from img2img.vision.pose import CORNERS, rotation_error_deg, translation_error
from img2img.vision.rigid import (
    Floats,
    as_matrix,
    orthonormal,
    rigid_problem,
)

MATRIX_ENDING = "_mat.json"
BLOCK = 50
"""Frames of a flight that stay together. Only at the seams are neighbours divided."""
NEAR_DEG, NEAR_UNITS = 5.0, 0.05
"""Successive frames that differ by less are of one flight: 4 in 100,000 random rotations do."""


class Frames(Dataset):
    """Pictures with `poses[id]` (4, 4) and `cameras[id]`."""

    def __init__(
        self,
        records: Sequence[Record],
        poses: Mapping[str, Floats],
        cameras: Mapping[str, Camera],
    ) -> None:
        super().__init__(records)
        self.poses = poses
        self.cameras = cameras

    def pixels(self, record: Record) -> Image:
        """(H, W, 3) uint8 RGB.

        Raises:
            DataError: the file became unreadable.
        """
        assert record.path is not None
        try:
            return images.read(record.path)
        except InputError as error:
            raise DataError(str(error)) from None

    def sample(self, record: Record, pixels: Image) -> Sample:
        """The picture with labels {pose: (4, 4) float64, object to world; camera: the numbers of
        `Camera.to_array`; points: (8, 2) float32, `pose.CORNERS` in their order, x and y in pixels,
        also outside of the picture}."""
        pose, camera = self.poses[record.id], self.cameras[record.id]
        points = camera.project(CORNERS, pose).astype(np.float32)
        labels: dict[str, NDArray[np.generic]] = {
            "pose": pose,
            "camera": camera.to_array(),
            "points": points,
        }
        return Sample(id=record.id, group=record.group or record.id, image=pixels, labels=labels)


def frame_splits(data: DataOptions, folder: Path, camera: Path | None = None) -> Splits:
    """The frames of a folder, recursively and in natural order, divided as folders of pictures are.

    Args:
        data: how they are divided. Where `data.groups` is `auto` and no groups.csv speaks of a
            frame, blocks of flights stay together.
        folder: where they are.
        camera: a file that is taken instead of every `camera_info.json`.

    Raises:
        DataError: a picture, matrix or camera is missing, broken or impossible.
        UsageError: the data cannot be divided as asked.
    """
    whole = read_frames(folder, camera)
    ids = [record.id for record in whole.records]
    groups = group_names(ids, [folder / id for id in ids], data, folder)
    if check_groups(data.groups)[0] == "auto":
        blocks = flight_blocks(ids, np.stack([whole.poses[id] for id in ids]))
        groups = [
            block if group == id else group
            for id, group, block in zip(ids, groups, blocks, strict=True)
        ]
    whole.records = tuple(
        replace(record, group=group) for record, group in zip(whole.records, groups, strict=True)
    )
    parts, stated = part_indices(ids, data, groups)
    return Splits(
        name=str(folder),
        parts={part: whole.subset(indices) for part, indices in parts.items()},
        stated=stated,
        whole=whole.subset([index for indices in parts.values() for index in indices]),
    )


def read_frames(folder: Path, camera: Path | None = None) -> Frames:
    """All frames of a folder, each file read once, no picture kept.

    Raises:
        DataError: as `frame_splits`.
    """
    frames, refused = _examined(folder, camera)
    if refused:
        n_frames = len(frames) + len(refused)
        more = f" ({len(refused)} of {n_frames} frames cannot be used)" if refused[1:] else ""
        raise DataError(f"{refused[0].reason}{more}")
    return Frames(
        [frame.record for frame in frames],
        {frame.record.id: frame.pose for frame in frames},
        {frame.record.id: frame.camera for frame in frames},
    )


@dataclass(frozen=True, slots=True)
class Refused:
    """A picture that cannot be used as a frame, and the sentence that says why."""

    id: str
    reason: str


def refused_frames(folder: Path, camera: Path | None = None) -> list[Refused]:
    """Every picture of a folder that `read_frames` would refuse.

    Raises:
        DataError: the folder is missing, a file, forbidden or without pictures.
    """
    return _examined(folder, camera)[1]


def flight_blocks(ids: Sequence[str], poses: Floats) -> list[str]:
    """(N,): the block of each frame, named by its first. Frames (N, 4, 4) of one folder follow each
    other; a block ends where a pose is far from the one before, and after `BLOCK` frames."""
    turns = rotation_error_deg(poses[:-1], poses[1:])
    near = (turns < NEAR_DEG) & (translation_error(poses[:-1], poses[1:]) < NEAR_UNITS)
    blocks: list[str] = []
    size = 0
    for index, id in enumerate(ids):
        goes_on = index > 0 and near[index - 1] and size < BLOCK
        goes_on = goes_on and Path(id).parent == Path(ids[index - 1]).parent
        size = size + 1 if goes_on else 1
        blocks.append(blocks[-1] if goes_on else id)
    return blocks


# ---- one frame


@dataclass(frozen=True, slots=True)
class _Frame:
    record: Record
    pose: Floats
    camera: Camera
    camera_file: Path


def read_pose(path: Path) -> Floats:
    """(4, 4) object to world, its rotation freed of rounding.

    Raises:
        DataError: one sentence naming the file: missing, broken, or no rigid motion.
    """
    matrix = as_matrix(read_json(path), str(path))
    if problem := rigid_problem(matrix):
        raise DataError(f"{path} {problem}; give the object-to-world matrix, row by row.")
    return orthonormal(matrix)


class _CameraFiles:
    """The camera files of a folder, each read once for every size of pictures."""

    def __init__(self, folder: Path, file: Path | None) -> None:
        self._folder, self._file = folder, file
        self._read: dict[tuple[Path, int, int], Camera] = {}

    def of(self, picture: Path) -> Path | None:
        """What was named, or the nearest file above the picture."""
        parents = (each for each in picture.parents if each.is_relative_to(self._folder))
        files = (each / CAMERA_FILE for each in parents)
        return self._file or next((file for file in files if file.is_file()), None)

    def read(self, file: Path, width: int, height: int) -> Camera:
        key = file, width, height
        if key not in self._read:
            self._read[key] = read_camera(file, width=width, height=height)
        return self._read[key]


def _examined(folder: Path, camera: Path | None) -> tuple[list[_Frame], list[Refused]]:
    cameras = _CameraFiles(folder, camera)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        outcomes = list(pool.map(lambda path: _frame(path, folder, cameras), list_pictures(folder)))
    frames = [outcome for outcome in outcomes if isinstance(outcome, _Frame)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    reasons = _shape_problems(frames)
    refused += [Refused(id, reason) for id, reason in reasons.items()]
    return [frame for frame in frames if frame.record.id not in reasons], refused


def _frame(path: Path, folder: Path, cameras: _CameraFiles) -> _Frame | Refused:
    """A frame, or why there is none."""
    id = picture_id(path, folder)
    matrix = path.with_name(path.stem + MATRIX_ENDING)
    if not matrix.is_file():
        return Refused(id, f"{path} has no pose: add {matrix.name} beside it.")
    file = cameras.of(path)
    if file is None:
        advice = f"add {CAMERA_FILE} beside it, or name a file with --set task.camera=FILE"
        return Refused(id, f"{path} has no camera: {advice}.")
    try:
        content = images.read_bytes(path)
        height, width = images.probe(content, str(path))
        pose, seen_by = read_pose(matrix), cameras.read(file, width, height)
    except (InputError, DataError) as error:
        return Refused(id, str(error))
    if not np.isfinite(seen_by.project(CORNERS[:1] * 0, pose)).all():
        return Refused(id, f"{matrix} puts the ship behind the camera or far out of its sight.")
    known = pose.tobytes() + seen_by.to_array().tobytes()
    record = Record(
        id=id,
        digest=digest_of(digest_of(content).encode() + known),
        height=height,
        width=width,
        path=path,
    )
    return _Frame(record, pose, seen_by, file)


def _shape_problems(frames: Sequence[_Frame]) -> dict[str, str]:
    """{id: reason} of pictures whose proportions are others than those of the first one with the
    same camera."""
    first: dict[Path, Record] = {}
    reasons: dict[str, str] = {}
    for frame in frames:
        one, two = first.setdefault(frame.camera_file, frame.record), frame.record
        if abs(one.width * two.height - one.height * two.width) > max(one.width, one.height):
            reasons[two.id] = (
                f"{frame.camera_file} cannot be the camera of both {one.path} ({one.width} × "
                f"{one.height}) and {two.path} ({two.width} × {two.height}): put pictures of other "
                "proportions into a folder with a camera of its own."
            )
    return reasons
