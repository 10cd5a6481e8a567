"""Generated frames of an X-wing, to learn its pose on.

A ship of triangles after the blueprint, in front of nebulae, textures or photographs, in the
world and before the camera of the original frames. Materials, light, proportions, background and
compression vary, so that what is learned holds for frames that another program rendered. Nothing
is taken from pictures of others.
"""

from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from img2img.data.sample import Image, Record, Sample, Splits
from img2img.data.synth.generated import Generated
from img2img.data.synth.ship_pose import Matrix, Rng, flight_poses, random_pose
from img2img.data.synth.ship_scene import PARTS, Scene, mesh_of, streams
from img2img.data.synth.ship_shade import View, visible_share
from img2img.data.synth.ship_sky import Photos
from img2img.vision.camera import Camera
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
        self._visible: dict[str, float] = {}

    def view(self, record: Record) -> View:
        """The pose, the camera and the size of a frame; nothing is drawn for it."""
        size = (record.height, record.width)
        pose, _, _ = self._rngs(record)
        return _view(random_pose(pose, size), size)

    def pixels(self, record: Record) -> Image:
        _, looks, sensor = self._rngs(record)
        return self._scene(looks).frame(self.view(record), sensor)

    def draw(self, rng: Rng, height: int, width: int) -> Image:
        pose, looks, sensor = rng.spawn(3)
        size = (height, width)
        return self._scene(looks).frame(_view(random_pose(pose, size), size), sensor)

    def sample(self, record: Record, pixels: Image) -> Sample:
        """The frame with labels {pose: (4, 4) float64, model to world; camera: the numbers of
        `Camera.to_array`; points: (8, 2) float32, the box's `CORNERS` in pixels, centres at
        integers, also outside the frame; visible: () float32, the share of the ship inside the
        frame}."""
        view = self.view(record)
        camera = Camera.default(record.width, record.height)
        points = camera.project(CORNERS, view.pose)
        return Sample(
            id=record.id,
            group=record.group or record.id,
            image=pixels,
            labels={
                "pose": view.pose,
                "camera": camera.to_array(),
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
        if record.id not in self._visible:
            mesh = mesh_of(streams(self._rngs(record)[1]), self.without)
            self._visible[record.id] = visible_share(mesh, view)
        return self._visible[record.id]


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
        photos: Path | None = None,
    ) -> None:
        super().__init__(n, seed=seed, size=size, shape=shape, without=without, photos=photos)
        group = f"flight-seed{seed}"
        self.records = tuple(
            replace(record, group=group, id=f"{group}-{record.index:06d}")
            for record in self.records
        )
        path = np.random.default_rng([self.version, seed]).spawn(2)[1]
        poses = flight_poses(path, n, shape or (size, size))
        self._flights = {group: (seed, poses)}

    @classmethod
    def splits(
        cls, n_train: int, *, n_val: int = 64, n_test: int = 64, seed: int = 0, **options: Any
    ) -> Splits:
        """A flight for each of training, validation and test."""
        counts = {"train": n_train, "val": n_val, "test": n_test}
        parts = {
            part: cls(n, seed=len(counts) * seed + place, **options)
            for place, (part, n) in enumerate(counts.items())
        }
        whole = copy(parts["train"])
        whole.records = tuple(record for part in parts.values() for record in part.records)
        whole._flights = {
            name: one for part in parts.values() for name, one in part._flights.items()
        }
        return Splits(name="generated flights", parts=parts, stated=True, whole=whole)

    def view(self, record: Record) -> View:
        size = (record.height, record.width)
        return _view(self._flights[record.group][1][record.index], size)

    def _rngs(self, record: Record) -> tuple[Rng, Rng, Rng]:
        seed = self._flights[record.group][0]
        pose, _, sensor = np.random.default_rng([self.version, seed, record.index]).spawn(3)
        return pose, np.random.default_rng([self.version, seed]).spawn(2)[0], sensor


def _view(pose: Matrix, size: tuple[int, int]) -> View:
    return View(pose=pose, camera=Camera.default(size[1], size[0]).matrix, size=size)


def _reshaped(record: Record, shape: tuple[int, int]) -> Record:
    height, width = shape
    return replace(record, height=height, width=width, digest=f"{record.digest}-{width}x{height}")
