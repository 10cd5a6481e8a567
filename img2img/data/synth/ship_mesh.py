"""Closed surfaces of triangles, made of rings."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import pi
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Points = NDArray[Any]

_NO_AREA = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Triangles: their `corners` (T, 3, 3), counter-clockwise from outside, unit `normals` at the
    corners (T, 3, 3), the number of the `material` of each, (T,), and the `pivot` of each (T, 3):
    the point from which its part grows."""

    corners: Points
    normals: Points
    material: NDArray[np.intp]
    pivot: Points

    def mirrored(self, axis: int, middle: float = 0.0) -> Self:
        """The mirror image at the plane where coordinate `axis` is `middle`."""
        sign = np.where(np.arange(3) == axis, -1.0, 1.0)
        shift = np.where(np.arange(3) == axis, 2 * middle, 0.0)
        return replace(
            self,
            corners=(self.corners * sign + shift)[:, ::-1],
            normals=(self.normals * sign)[:, ::-1],
            pivot=self.pivot * sign + shift,
        )

    def moved(self, *shift: float) -> Self:
        """The same, moved by x, y and z."""
        return replace(self, corners=self.corners + shift, pivot=self.pivot + shift)

    def part(self, chosen: NDArray[np.bool_]) -> Self:
        """The chosen triangles (T,)."""
        return replace(
            self, corners=self.corners[chosen], normals=self.normals[chosen],
            material=self.material[chosen], pivot=self.pivot[chosen],
        )  # fmt: skip


def joined(meshes: Iterable[Mesh]) -> Mesh:
    """All triangles in one mesh."""
    parts = list(meshes)
    return Mesh(
        corners=np.concatenate([part.corners for part in parts]),
        normals=np.concatenate([part.normals for part in parts]),
        material=np.concatenate([part.material for part in parts]),
        pivot=np.concatenate([part.pivot for part in parts]),
    )


def loft(rings: Points, material: int, *, smooth: bool = False) -> Mesh:
    """The closed surface through rings (R, N, 3) of points, with a lid on the first and the last.

    Args:
        smooth: round between the rings' points, the lids apart; else every triangle is flat.
    """
    following = np.roll(rings, -1, axis=1)
    quads = np.stack([rings[:-1], rings[1:], following[1:], following[:-1]], axis=2)
    bent = _ring_normals(rings)
    turned = np.roll(bent, -1, axis=1)
    bends = np.stack([bent[:-1], bent[1:], turned[1:], turned[:-1]], axis=2)
    lids = [_lid(rings[0], following[0]), _lid(rings[-1], following[-1])[:, ::-1]]
    corners = np.concatenate([_halves(quads), *lids])
    normals = np.repeat(_flat_normals(corners)[:, None], 3, axis=1)
    if smooth:
        normals[: -2 * rings.shape[1]] = _halves(bends)
    real = np.linalg.norm(np.cross(*_edges(corners)), axis=1) > _NO_AREA
    corners, normals = corners[real], normals[real]
    mesh = Mesh(
        corners=corners, normals=normals, material=np.full(len(corners), material),
        pivot=np.zeros((len(corners), 3)),
    )  # fmt: skip
    return mesh if _volume(corners) > 0 else _inside_out(mesh)


def circles(stations: Points, n: int, *, turn: float = 0.0) -> Points:
    """(R, n, 3): rings about the y axis at stations (R, 2) of y and radius."""
    angles = 2 * pi * (np.arange(n) + turn) / n
    around = np.stack([np.cos(angles), np.zeros(n), np.sin(angles)], axis=1)
    rings: Points = around * stations[:, 1, None, None]
    rings[..., 1] += stations[:, :1]
    return rings


def prism(outline: Points, low: Points | float, high: Points | float) -> Points:
    """(2, N, 3): an outline (N, 2) in x and y at two heights z, each one number or (N,)."""
    rings = np.empty((2, len(outline), 3))
    rings[..., :2] = outline
    rings[0, :, 2], rings[1, :, 2] = low, high
    return rings


def block(low: Iterable[float], high: Iterable[float]) -> Points:
    """(2, 4, 3): the rings of a box between two corners x, y, z."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    return prism(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), z0, z1)


def _halves(quads: Points) -> Points:
    """(2 Q, 3, 3): triangles of quads (R, N, 4, 3)."""
    flat = quads.reshape(-1, 4, 3)
    return np.concatenate([flat[:, [0, 1, 2]], flat[:, [0, 2, 3]]])


def _lid(ring: Points, following: Points) -> Points:
    """(N, 3, 3): a fan about the middle of a ring (N, 3)."""
    middle = np.broadcast_to(ring.mean(0), ring.shape)
    return np.stack([middle, ring, following], axis=1)


def _edges(corners: Points) -> tuple[Points, Points]:
    """Two sides (T, 3) of each triangle."""
    return corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]


def _flat_normals(corners: Points) -> Points:
    """(T, 3) unit normals of triangles, those without area excepted."""
    normals = np.cross(*_edges(corners))
    lengths: Points = np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), _NO_AREA)
    return normals / lengths


def _ring_normals(rings: Points) -> Points:
    """(R, N, 3) unit normals at the points of rings, from their neighbours."""
    around = np.roll(rings, -1, axis=1) - np.roll(rings, 1, axis=1)
    along = np.gradient(rings, axis=0)
    normals = np.cross(along, around)
    lengths: Points = np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), _NO_AREA)
    return normals / lengths


def _volume(corners: Points) -> float:
    """Six times the volume within: positive where the triangles turn their front outwards."""
    middle = corners.mean((0, 1))
    one, two, three = np.moveaxis(corners - middle, 1, 0)
    return float(np.einsum("ij,ij->", one, np.cross(two, three)))


def _inside_out(mesh: Mesh) -> Mesh:
    return replace(mesh, corners=mesh.corners[:, ::-1], normals=-mesh.normals[:, ::-1])
