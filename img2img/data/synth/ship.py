"""Generated frames of an X-wing, to learn its pose on.

A ship of triangles after the blueprint, in front of nebulae, textures or photographs, in the
world and before the camera of the original frames. Materials, light, proportions, background and
compression vary, so that what is learned holds for frames that another program rendered. Nothing
is taken from pictures of others.
"""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from img2img.data.sample import Image, Record, Sample
from img2img.data.synth.generated import Generated
from img2img.data.synth.ship_pose import (
    Matrix,
    Rng,
    default_camera,
    flight_poses,
    project,
    random_pose,
)
from img2img.data.synth.ship_scene import PARTS, Scene, mesh_of, streams
from img2img.data.synth.ship_shade import View, visible_share
from img2img.data.synth.ship_sky import Photos
from img2img.vision.pose import CORNERS


class Ships(Generated):
    """Generated frames: `pixels` gives RGB; labels are the pose and what follows from it.

    Args:
        shape: height and width of the frames; else they are squares of `size`.
        without: which of `PARTS` are left out.
        photos: a folder of pictures for a part of the backgrounds, instead of textures.
        place: the other arguments of `Generated`.

    Raises:
        DataError: the folder `photos` has no picture.
    """

    planes: ClassVar[int] = 3
    kind = "ship"
    version = 1

    def __init__(
        self,
        n: int,
        *,
        shape: tuple[int, int] | None = None,
        without: frozenset[str] = frozenset(),
        photos: Path | None = None,
        **place: int,
    ) -> None:
        if unknown := without - set(PARTS):
            raise ValueError(f"without has {sorted(unknown)}; choose of {', '.join(PARTS)}")
        self.photos = Photos(photos) if photos else None
        variant = "".join(f"-{part}" for part in sorted(without))
        variant += self.photos.digest if self.photos else ""
        super().__init__(n, variant=variant, **place)
        if shape is not None:
            self.records = tuple(_reshaped(record, shape) for record in self.records)
        self.without = without
        self._visible: dict[int, float] = {}

    def view(self, record: Record) -> View:
        """The pose, the camera and the size of a frame; nothing is drawn for it."""
        size = (record.height, record.width)
        pose, _, _ = self._rngs(record)
        return View(pose=random_pose(pose, size), camera=default_camera(*size), size=size)

    def pixels(self, record: Record) -> Image:
        _, looks, sensor = self._rngs(record)
        return self._scene(looks).frame(self.view(record), sensor)

    def draw(self, rng: Rng, height: int, width: int) -> Image:
        pose, looks, sensor = rng.spawn(3)
        size = (height, width)
        view = View(pose=random_pose(pose, size), camera=default_camera(*size), size=size)
        return self._scene(looks).frame(view, sensor)

    def sample(self, record: Record, pixels: Image) -> Sample:
        """The frame with labels {pose: (4, 4) float64, model to world; camera: (3, 3) float64
        intrinsics; points: (8, 2) float32, the box's `CORNERS` in pixels, centres at integers, also
        outside the frame; visible: () float32, the share of the ship inside the frame}."""
        view = self.view(record)
        points = project(CORNERS, view.pose, view.camera)
        return Sample(
            id=record.id,
            group=record.group or record.id,
            image=pixels,
            labels={
                "pose": view.pose,
                "camera": view.camera,
                "points": points.astype(np.float32),
                "visible": np.array(self._share(record, view, points), np.float32),
            },
        )

    def _rngs(self, record: Record) -> tuple[Rng, Rng, Rng]:
        """Random numbers of the pose, of all looks, and of the sensor."""
        rng = np.random.default_rng([self.version, self.seed, record.index])
        pose, looks, sensor = rng.spawn(3)
        return pose, looks, sensor

    def _scene(self, looks: Rng) -> Scene:
        return Scene(parts=streams(looks), without=self.without, photos=self.photos)

    def _share(self, record: Record, view: View, points: Matrix) -> float:
        """Visible share; drawn only where the box is cut, and only once."""
        if (points >= -0.5).all() and (points <= np.array(view.size)[::-1] - 0.5).all():
            return 1.0
        if record.index not in self._visible:
            mesh = mesh_of(streams(self._rngs(record)[1]), self.without)
            self._visible[record.index] = visible_share(mesh, view)
        return self._visible[record.index]


class Flight(Ships):
    """Frames of one ship before one background that turns by 1° to 1.5° from each to the next.

    All are of one group, and a longer flight begins as a shorter one does. Only the sensor's noise
    differs between frames of one pose.
    """

    kind = "flight"

    def __init__(
        self,
        n: int,
        *,
        seed: int,
        size: int = 256,
        shape: tuple[int, int] | None = None,
        without: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(n, seed=seed, size=size, shape=shape, without=without)
        group = f"flight-seed{seed}"
        self.records = tuple(replace(record, group=group) for record in self.records)
        path = np.random.default_rng([self.version, seed]).spawn(2)[1]
        frame = shape or (size, size)
        self._poses = flight_poses(path, n, frame)

    def view(self, record: Record) -> View:
        size = (record.height, record.width)
        return View(pose=self._poses[record.index], camera=default_camera(*size), size=size)

    def _rngs(self, record: Record) -> tuple[Rng, Rng, Rng]:
        pose, _, sensor = super()._rngs(record)
        return pose, np.random.default_rng([self.version, self.seed]).spawn(2)[0], sensor


def _reshaped(record: Record, shape: tuple[int, int]) -> Record:
    height, width = shape
    return replace(record, height=height, width=width, digest=f"{record.digest}-{width}x{height}")
