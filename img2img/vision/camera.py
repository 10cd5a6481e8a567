"""A camera: how points of the world fall on the pixels of a picture, and back.

Frames of reference, all right-handed:

- object: the ship's own, in which `pose.CORNERS` stand.
- world: that of `N_mat.json`. A pose is the object-to-world matrix (4, 4), for column vectors.
- view: the camera's as OpenGL has it: x to the right, y up, looking along −z. `Camera.view` moves
  world to view; that of the stated frame format moves by −1 in z: the camera stands at z = +1 and
  looks along −z.
- camera: the same as OpenCV has it: x to the right, y down, looking along +z, the depth.
  `Camera.from_world` moves world to camera.
- pixels: x to the right, y down, centres at integers. OpenGL counts edges as integers, so that its
  middle of a picture, width / 2, is (width − 1) / 2 here.

Sources: OpenGL 4.6 specification, section 13.8 (clip coordinates and viewport); the camera model of
OpenCV's `calib3d`, with Brown's distortion (Close-range camera calibration, 1971).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from img2img.errors import DataError
from img2img.vision.distortion import N_COEFFICIENTS, distorted, slope, solved, undistorted
from img2img.vision.rigid import as_matrix, in_words, rigid_problem

Floats = NDArray[np.float64]
Coordinates = NDArray[np.floating[Any]]
Rows = tuple[tuple[float, ...], ...]
"""A matrix that can be compared and hashed."""

DEFAULT_FOCAL = 1.9444443
"""Focal length over half the picture's longer side: a 35 mm lens before 36 mm of film."""
FORMAT_VIEW: Rows = ((1.0, 0, 0, 0), (0, 1.0, 0, 0), (0, 0, 1.0, -1.0), (0, 0, 0, 1.0))
"""`model_view_matrix` of the stated frame format."""
AGREE_WITHIN = 0.002
"""Of the longer side: how far apart two cameras that agree put a point of the picture, at most."""
_TO_OPENCV = np.diag([1.0, -1, -1, 1])
_N_GRID = 9
_HEAD = 6 + 16
"""Numbers of `Camera.to_array` before the distortion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Intrinsics in pixels of a picture `width` × `height`, and where the camera stands.

    `distortion` holds OpenCV's coefficients k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4]]]; `source`
    says where the numbers came from; `view` (4, 4) is the world in OpenGL's view coordinates.

    Raises:
        DataError: the numbers are those of no camera, or do not lead back to where they came from:
            a grid over the picture is unprojected and projected.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    source: str
    distortion: tuple[float, ...] = ()
    view: Rows = FORMAT_VIEW

    def __post_init__(self) -> None:
        numbers = (self.fx, self.fy, self.cx, self.cy, *self.distortion)
        if not np.isfinite(numbers).all():
            raise self._refused("some of its numbers are not finite")
        if min(self.fx, self.fy) <= 0:
            raise self._refused(f"focal lengths {self.fx:g}, {self.fy:g} are no positive numbers")
        if min(self.width, self.height) < 1:
            raise self._refused(f"{self.width} × {self.height} pixels are no picture")
        if len(self.distortion) not in N_COEFFICIENTS:
            told = ", ".join(map(str, N_COEFFICIENTS[1:]))
            raise self._refused(f"{len(self.distortion)} distortion coefficients (known: {told})")
        problem = rigid_problem(np.array(self.view))
        if problem:
            raise self._refused(f"its view {problem}")
        self._check_round_trip()

    # ---- constructors

    @classmethod
    def default(cls, width: int, height: int) -> Self:
        """Square pixels, a 35 mm lens, the centre in the middle: what the stated frame format has
        for squares, and what is assumed where nothing is known."""
        focal = DEFAULT_FOCAL * max(width, height) / 2
        source = "assumed: square pixels, a 35 mm lens, the centre in the middle"
        return cls(fx=focal, fy=focal, **_middle(width, height), source=source)

    @classmethod
    def from_projection(
        cls, projection: ArrayLike, *, width: int, height: int, view: ArrayLike = FORMAT_VIEW
    ) -> Self:
        """Of an OpenGL projection matrix (4, 4) for column vectors and the frame it fills.

        clip = projection · view · world, ndc = clip / clip.w, and in edges
        pixel = ((ndc.x + 1) / 2 · width, (1 − ndc.y) / 2 · height).

        Raises:
            DataError: it is no perspective, or turns or skews the picture.
        """
        matrix = as_matrix(projection, "the projection matrix")
        reach = np.abs(matrix).max()
        if not np.allclose(matrix[3], [0, 0, -1, 0], atol=1e-6):
            raise DataError(
                f"the projection matrix ends in the row {in_words(matrix[3])}: OpenGL's "
                "perspective ends in 0 0 −1 0; give it row by row, for column vectors."
            )
        if np.abs(matrix[[0, 0, 1, 1], [1, 3, 0, 3]]).max() > 1e-6 * reach:
            raise DataError(
                "the projection matrix skews or turns the picture: give one whose first two rows "
                "are fx 0 cx 0 and 0 fy cy 0."
            )
        return cls(
            fx=float(matrix[0, 0] * width / 2),
            fy=float(matrix[1, 1] * height / 2),
            cx=float((1 - matrix[0, 2]) * width / 2 - 0.5),
            cy=float((1 + matrix[1, 2]) * height / 2 - 0.5),
            width=width,
            height=height,
            source=f"an OpenGL projection matrix and {width} × {height} pixels",
            view=_rows(view),
        )

    @classmethod
    def from_focal_length(
        cls, focal_mm: float, sensor_mm: tuple[float, float], *, width: int, height: int
    ) -> Self:
        """Of a lens and the (width, height) in mm of the part of the sensor that the picture shows.

        Raises:
            DataError: a length is not positive.
        """
        source = f"a lens of {focal_mm:g} mm and {sensor_mm[0]:g} × {sensor_mm[1]:g} mm of sensor"
        if min(sensor_mm) <= 0:
            raise DataError(f"the camera of {source}: the sensor has no size.")
        fx, fy = focal_mm * width / sensor_mm[0], focal_mm * height / sensor_mm[1]
        return cls(fx=fx, fy=fy, **_middle(width, height), source=source)

    @classmethod
    def from_field_of_view(
        cls,
        degrees: float,
        axis: Literal["horizontal", "vertical", "diagonal"] = "horizontal",
        *,
        width: int,
        height: int,
    ) -> Self:
        """Of the angle between the outer edges of the picture's pixels along `axis`; the pixels are
        square.

        Raises:
            DataError: the angle is not between 0 and 180 degrees.
        """
        source = f"a {axis} field of view of {degrees:g}°"
        if not 0 < degrees < 180:
            raise DataError(f"the camera of {source}: give an angle between 0° and 180°.")
        lengths = {"horizontal": width, "vertical": height, "diagonal": np.hypot(width, height)}
        focal = float(lengths[axis] / 2 / np.tan(np.radians(degrees) / 2))
        return cls(fx=focal, fy=focal, **_middle(width, height), source=source)

    @classmethod
    def from_matrix(
        cls, matrix: ArrayLike, distortion: Sequence[float] = (), *, width: int, height: int
    ) -> Self:
        """Of OpenCV's camera matrix (3, 3), pixel centres at integers, and its distortion.

        Raises:
            DataError: the matrix is none of a camera, or its centre lies outside the picture, as
                happens with numbers of a picture of another size.
        """
        k = as_matrix(matrix, "the camera matrix", 3)
        if not np.allclose(k[[0, 1, 2, 2, 2], [1, 0, 0, 1, 2]], [0, 0, 0, 0, 1], atol=1e-6):
            raise DataError("the camera matrix is not [[fx, 0, cx], [0, fy, cy], [0, 0, 1]].")
        cx, cy = float(k[0, 2]), float(k[1, 2])
        if not (-0.5 <= cx <= width - 0.5 and -0.5 <= cy <= height - 0.5):
            raise DataError(
                f"the camera's centre ({cx:g}, {cy:g}) lies outside the picture of {width} × "
                f"{height} pixels: say the width and height that its numbers are for."
            )
        return cls(
            fx=float(k[0, 0]), fy=float(k[1, 1]), cx=cx, cy=cy, width=width, height=height,
            distortion=tuple(map(float, distortion)), source="given intrinsics",
        )  # fmt: skip

    @classmethod
    def from_array(cls, numbers: Coordinates, source: str = "the labels of a sample") -> Self:
        """Of what `to_array` gave."""
        fx, fy, cx, cy, width, height = map(float, numbers[:6])
        return cls(
            fx=fx, fy=fy, cx=cx, cy=cy, width=round(width), height=round(height),
            distortion=tuple(map(float, numbers[_HEAD:])),
            view=_rows(numbers[6:_HEAD].reshape(4, 4)), source=source,
        )  # fmt: skip

    # ---- what it is

    @property
    def matrix(self) -> Floats:
        """(3, 3): homogeneous pixels of points in the camera's frame, without distortion."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])

    @property
    def from_world(self) -> Floats:
        """(4, 4): world to the camera's frame, OpenCV's axes."""
        return np.asarray(_TO_OPENCV @ np.array(self.view))

    def to_array(self) -> Floats:
        """(22 + C,): fx fy cx cy width height, the view row by row, and C distortions."""
        head = (self.fx, self.fy, self.cx, self.cy, self.width, self.height)
        return np.array([*head, *np.ravel(self.view), *self.distortion], np.float64)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, and the source in words."""
        names = ("fx", "fy", "cx", "cy", "width", "height")
        told = {name: getattr(self, name) for name in names}
        return {**told, "distortion": list(self.distortion), "source": self.source}

    def resized(self, width: int, height: int) -> Self:
        """The camera of the same picture in another size.

        Raises:
            DataError: the picture has other proportions, by more than rounding explains.
        """
        if (width, height) == (self.width, self.height):
            return self
        if abs(width * self.height - height * self.width) > max(self.width, self.height):
            raise DataError(
                f"the camera of {self.source} is one for {self.width} × {self.height} pixels, but "
                f"the picture has {width} × {height}, other proportions: give the camera of it."
            )
        sx, sy = width / self.width, height / self.height
        return replace(
            self, fx=self.fx * sx, fy=self.fy * sy, cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5, width=width, height=height,
        )  # fmt: skip

    # ---- what it does

    def project(self, points: Coordinates, pose: Coordinates) -> Floats:
        """(…, 2) pixels of points (…, 3) that a pose (4, 4) brings into the world.

        Many poses (…, 4, 4) are taken for points (…, P, 3). NaN where a point is not in front of
        the camera, or where the distortion, far outside of the picture, no longer holds.
        """
        matrix = self.from_world @ pose
        turn, shift = np.swapaxes(matrix[..., :3, :3], -1, -2), matrix[..., :3, 3]
        seen = points @ turn + (shift if shift.ndim == 1 else shift[..., None, :])
        depth = np.where(seen[..., 2:] > 1e-9, seen[..., 2:], np.nan)
        xy = distorted(seen[..., :2] / depth, self.distortion)
        return np.asarray(xy * [self.fx, self.fy] + [self.cx, self.cy])

    def normalised(self, pixels: Coordinates) -> Floats:
        """(…, 2) x and y at depth 1 in the camera's frame of pixels (…, 2), freed of distortion;
        NaN where no point falls on a pixel, far outside of the picture."""
        xy = (np.asarray(pixels, np.float64) - [self.cx, self.cy]) / [self.fx, self.fy]
        return undistorted(xy, self.distortion)

    def normalised_slope(self, xy: Floats) -> Floats:
        """(…, 2, 2): how `normalised`, being xy (…, 2), changes with pixels x and y."""
        bend = slope(xy, self.distortion)[..., None, :, :]
        columns = solved(bend, np.diag([1 / self.fx, 1 / self.fy]))
        return np.swapaxes(columns, -1, -2)

    def unproject(self, pixels: Coordinates, depth: float | Coordinates = 1.0) -> Floats:
        """(…, 3) points of the world on pixels (…, 2), at `depth` (…,) along the optical axis. Two
        depths make a ray."""
        xy = self.normalised(pixels)
        seen = np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1)
        seen = seen * np.asarray(depth, np.float64)[..., None]
        matrix = self.from_world
        return np.asarray((seen - matrix[:3, 3]) @ matrix[:3, :3])

    @staticmethod
    def agreeing(one: "Camera", other: "Camera") -> "Camera":
        """The first of two statements about one camera.

        Raises:
            DataError: they put points of the picture apart by more than `AGREE_WITHIN` of its
                longer side, or it differs in size or place.
        """
        if (one.width, one.height) == (other.width, other.height):
            pixels = one._grid()
            apart = np.abs(other.project(one.unproject(pixels), np.eye(4)) - pixels)
            far = float(np.nan_to_num(apart, nan=np.inf).max())
            if far <= AGREE_WITHIN * max(one.width, one.height):
                return one
            told = f"up to {far:.1f} pixels apart" if np.isfinite(far) else "they share no view"
        else:
            told = "the pictures differ in size"
        raise DataError(
            f"two statements about the camera disagree ({told}): {one._figures()} from "
            f"{one.source}, but {other._figures()} from {other.source}; correct one of them."
        )

    # ---- inside

    def _figures(self) -> str:
        figures = f"f = {self.fx:.5g}, {self.fy:.5g} and centre = {self.cx:.5g}, {self.cy:.5g}"
        return f"{figures} px in {self.width} × {self.height}"

    def _refused(self, why: str) -> DataError:
        return DataError(f"the camera of {self.source} is none: {why}; correct its numbers.")

    def _grid(self) -> Floats:
        """(N, 2) pixels all over the picture, its outer edges included."""
        x = np.linspace(-0.5, self.width - 0.5, _N_GRID)
        y = np.linspace(-0.5, self.height - 0.5, _N_GRID)
        return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)

    def _check_round_trip(self) -> None:
        pixels = self._grid()
        back = self.project(self.unproject(pixels), np.eye(4))
        far = float(np.nan_to_num(np.abs(back - pixels), nan=np.inf).max())
        if far > 1e-3:
            told = f"by {far:.3g} pixels" if np.isfinite(far) else "altogether"
            raise self._refused(
                f"its distortion ({', '.join(f'{k:g}' for k in self.distortion)}) cannot be undone "
                f"within the picture: projecting what was unprojected misses {told}"
            )


def _middle(width: int, height: int) -> dict[str, Any]:
    return {"cx": (width - 1) / 2, "cy": (height - 1) / 2, "width": width, "height": height}


def _rows(matrix: ArrayLike) -> Rows:
    return tuple(tuple(map(float, row)) for row in as_matrix(matrix, "the view matrix"))
