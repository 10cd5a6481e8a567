"""The ship's parts as triangles, in the model frame, after the blueprint.

All is symmetrical in x. Wings, engines and cannons are also the same above and below, but for the
millimetre by which the blueprint's middle lies above z = 0.
"""

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from img2img.data.synth.ship_mesh import Mesh, Points, block, circles, joined, loft, prism
from img2img.data.synth.ship_pose import Rng
from img2img.vision.pose import BOX


class Material(IntEnum):
    """What a triangle is made of."""

    HULL = 0
    ENGINE = 1
    METAL = 2
    DARK = 3
    GLASS = 4
    DROID = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A ship's proportions, as factors of the blueprint's."""

    wing: float = 1.0
    """Thickness of the wings."""
    engine: float = 1.0
    """Radius of nozzles and intakes."""
    cannon: float = 1.0
    """Radius of the cannons' housings."""
    barrel: float = 1.0
    """Radius of their barrels."""
    nose: float = 1.0
    """Width and height of the nose; less so towards the cockpit."""
    canopy: float = 1.0
    """How far canopy and droid stand out."""

    @classmethod
    def random(cls, rng: Rng) -> Self:
        """Near the blueprint; thin parts vary most, because a renderer's light eats into them."""
        return cls(**{
            each.name: float(np.exp(_SPREAD[each.name] * rng.uniform(-1, 1)))
            for each in fields(cls)
        })  # fmt: skip


_SPREAD = {"wing": 0.22, "engine": 0.05, "cannon": 0.07, "barrel": 0.2, "nose": 0.04,
           "canopy": 0.15}  # fmt: skip

MIDDLE_Z = 0.0009
"""Of wings, engines and cannons."""

_NOSE_Y = -0.182, 0.015
"""Where the nose grows fully, and where not at all."""


def ship_mesh(shape: Shape) -> Mesh:
    """The whole ship, inside `BOX`, (T about 2,900)."""
    mesh, parts = _blueprint()
    factors = np.array([getattr(shape, factor) - 1 for factor, _ in _PARTS.values()])
    axes = np.array([axes for _, axes in _PARTS.values()])
    growth = np.repeat((factors[:, None] * axes)[parts, None], 3, axis=1)
    full, none = _NOSE_Y
    nose = parts == 0
    growth[nose] *= ((none - mesh.corners[nose, :, 1:2]) / (none - full)).clip(0, 1)
    away = mesh.corners - mesh.pivot[:, None]
    return replace(mesh, corners=(mesh.corners + away * growth).clip(*BOX))


@cache
def _blueprint() -> tuple[Mesh, NDArray[np.intp]]:
    """The ship of all factors 1, and the number in `_PARTS` of each triangle (T,)."""
    middle = {"hull": _hull(), "canopy": _canopy(), "droid": _droid()}
    upper = {"wing": _wing(), "engine": _engine(), "cannon": _cannon(), "barrel": _barrel()}
    right = {name: joined([part, part.mirrored(2, MIDDLE_Z)]) for name, part in upper.items()}
    right["fixed"] = _between()
    both = {name: joined([part, part.mirrored(0)]) for name, part in right.items()}
    named = middle | both
    numbers = [np.full(len(part.corners), list(_PARTS).index(name)) for name, part in named.items()]
    return joined(named.values()), np.concatenate(numbers)


_PARTS = {
    "hull": ("nose", (1, 0, 1)),
    "canopy": ("canopy", (0, 0, 1)),
    "droid": ("canopy", (0, 0, 1)),
    "wing": ("wing", (0, 0, 1)),
    "engine": ("engine", (1, 0, 1)),
    "cannon": ("cannon", (1, 0, 1)),
    "barrel": ("barrel", (1, 0, 1)),
    "fixed": ("wing", (0, 0, 0)),
}
"""{part: the factor of `Shape` it grows by, and the shares (3,) in x, y and z}."""


# ------------------------------------------------------------------------------------- fuselage

_STATIONS = np.array([
    # y, half width, its z, z and half width of the top, z and half width of the bottom
    [-0.1820, 0.0040, -0.0030, -0.0012, 0.0022, -0.0045, 0.0025],
    [-0.1795, 0.0066, -0.0028, +0.0005, 0.0040, -0.0058, 0.0042],
    [-0.1730, 0.0094, -0.0025, +0.0036, 0.0058, -0.0074, 0.0062],
    [-0.1640, 0.0118, -0.0022, +0.0065, 0.0072, -0.0092, 0.0082],
    [-0.1520, 0.0138, -0.0020, +0.0085, 0.0082, -0.0111, 0.0100],
    [-0.1380, 0.0143, -0.0020, +0.0095, 0.0084, -0.0124, 0.0106],
    [-0.0500, 0.0188, -0.0015, +0.0148, 0.0104, -0.0149, 0.0140],
    [+0.0150, 0.0224, -0.0010, +0.0190, 0.0118, -0.0170, 0.0172],
    [+0.0450, 0.0252, -0.0010, +0.0240, 0.0136, -0.0236, 0.0195],
    [+0.0560, 0.0262, -0.0010, +0.0242, 0.0140, -0.0257, 0.0197],
    [+0.1270, 0.0262, -0.0010, +0.0235, 0.0140, -0.0250, 0.0197],
    [+0.1420, 0.0245, -0.0008, +0.0180, 0.0130, -0.0165, 0.0180],
])  # fmt: skip


def _hull() -> Mesh:
    """The fuselage with its ribs and the trough behind the droid."""
    ribs = loft(block((0.0205, 0.046, -0.0115), (0.0272, 0.118, 0.0105)), Material.HULL)
    trough = loft(block((-0.0055, 0.062, 0.02), (0.0055, 0.124, 0.0252)), Material.METAL)
    hull = loft(_sections(_STATIONS), Material.HULL)
    return joined([hull, ribs, ribs.mirrored(0), trough])


def _canopy() -> Mesh:
    """The canopy's frame and its panes."""
    frame = _bridge(
        [
            [-0.0520, 0.0093, -0.0035, 0.0060, -0.0025],
            [-0.0250, 0.0106, -0.0020, 0.0058, 0.0025],
            [+0.0080, 0.0112, 0.0005, 0.0058, 0.0075],
            [+0.0220, 0.0112, 0.0015, 0.0056, 0.0075],
            [+0.0330, 0.0110, 0.0025, 0.0070, 0.0061],
            [+0.0520, 0.0112, 0.0050, 0.0080, 0.0065],
        ]
    )
    panes = _bridge(
        [
            [-0.0310, 0.0092, -0.0025, 0.0058, 0.0020],
            [+0.0070, 0.0110, 0.0010, 0.0062, 0.0079],
            [+0.0210, 0.0112, 0.0020, 0.0060, 0.0080],
        ]
    )
    parts = [loft(frame, Material.HULL), loft(panes, Material.GLASS)]
    return joined(parts).moved(0, 0, 0.0175)


def _sections(table: Points) -> Points:
    """(R, 8, 3): rings of stations (R, 7), see `_STATIONS`."""
    y, w, z, z_top, w_top, z_bottom, w_bottom = table.T
    keel = z_bottom - np.where(y > 0.04, 0.18, 0.02) * w_bottom
    right = [(0 * y, z_top + 0.05 * w_top), (w_top, z_top), (w, z), (w_bottom, z_bottom)]
    left = [(-x, height) for x, height in right[:0:-1]]
    around = [*right, (0 * y, keel), *left]
    return np.stack([np.stack([x, y, height], axis=1) for x, height in around], axis=1)


def _bridge(table: list[list[float]]) -> Points:
    """(R, 4, 3): rings of y, half width and z of the foot, half width and z of the top."""
    y, foot, z_foot, top, z_top = np.array(table).T
    around = [(foot, z_foot), (top, z_top), (-top, z_top), (-foot, z_foot)]
    return np.stack([np.stack([x, y, height], axis=1) for x, height in around], axis=1)


def _droid() -> Mesh:
    """A dome on a short neck."""
    heights = np.array([[-0.0025, 0.0058], [0.0013, 0.0058], [0.0041, 0.0050], [0.0063, 0.0032],
                        [0.0071, 0.0008]])  # fmt: skip
    upright = circles(heights, 10)[..., [0, 2, 1]]
    return loft(upright, Material.DROID, smooth=True).moved(0, 0.0495, 0.0245)


# ---------------------------------------------------------------------------------------- wings


def _wing() -> Mesh:
    """The upper wing on the right, its root and what stands on it."""
    outline = np.array([[0.045, 0.0570], [0.149, 0.0570], [0.149, 0.1010], [0.045, 0.1275]])
    root = np.array([[0.050, 0.0565], [0.0735, 0.0565], [0.0735, 0.1180], [0.050, 0.1180]])
    wing = prism(outline, 0.0, np.array([0.0066, 0.0044, 0.0044, 0.0066]))
    foot = prism(root, 0.0, np.array([0.0144, 0.0082, 0.0082, 0.0144]))
    vents = block((0.0575, 0.1075, 0.0), (0.0735, 0.1195, 0.0092))
    parts = [loft(wing, Material.HULL), loft(foot, Material.HULL), loft(vents, Material.METAL)]
    return joined(parts).moved(0, 0, MIDDLE_Z)


def _between() -> Mesh:
    """What the right wings share: the hinge at the fuselage and the plate at the tip."""
    hinge = block((0.02, 0.06, -0.010), (0.052, 0.116, 0.011))
    tip = block((0.145, 0.064, -0.0028), (0.156, 0.094, 0.0036))
    return joined([loft(hinge, Material.METAL), loft(tip, Material.HULL)])


# -------------------------------------------------------------------------- engines and cannons


def _engine() -> Mesh:
    """The upper engine on the right: intake in front, nozzle behind and above."""
    housing = np.array([[0.0445, 0.0142], [0.0460, 0.0157], [0.0630, 0.0157], [0.0640, 0.0149],
                        [0.1015, 0.0144]])  # fmt: skip
    mouth = np.array([[0.0437, 0.0128], [0.0446, 0.0128]])
    hub = np.array([[0.0430, 0.0035], [0.0440, 0.0055]])
    nozzle = np.array([[0.1000, 0.0070], [0.1060, 0.0089], [0.1435, 0.0092], [0.1450, 0.0101],
                       [0.1600, 0.0101], [0.1625, 0.0094]])  # fmt: skip
    exhaust = np.array([[0.1615, 0.0080], [0.1630, 0.0080]])
    front = joined(
        [
            loft(circles(housing, 11), Material.HULL, smooth=True),
            loft(circles(mouth, 9), Material.DARK),
            loft(circles(hub, 6), Material.METAL),
        ]
    )
    back = joined(
        [
            loft(circles(nozzle, 10), Material.ENGINE, smooth=True),
            loft(circles(exhaust, 8), Material.DARK),
        ]
    )
    return joined([
        front.moved(0.0397, 0, MIDDLE_Z + 0.0146), back.moved(0.0400, 0, MIDDLE_Z + 0.0230)
    ])  # fmt: skip


_CANNON = (0.1468, 0.0, MIDDLE_Z + 0.0117)


def _cannon() -> Mesh:
    """The housing of the upper cannon on the right."""
    housing = np.array([[0.0440, 0.0075], [0.0500, 0.0079], [0.0515, 0.0069], [0.1000, 0.0069],
                        [0.1020, 0.0052], [0.1105, 0.0054]])  # fmt: skip
    return loft(circles(housing, 8), Material.HULL, smooth=True).moved(*_CANNON)


def _barrel() -> Mesh:
    """The barrel of the upper cannon on the right, its collars and the bow at its muzzle."""
    barrel = np.array([[-0.0795, 0.0011], [-0.0600, 0.0012], [-0.0035, 0.0022], [-0.0030, 0.0029],
                       [0.0450, 0.0031]])  # fmt: skip
    collar = np.array([[-0.0600, 0.0028], [-0.0515, 0.0031], [-0.0500, 0.0050], [-0.0460, 0.0050],
                       [-0.0450, 0.0026]])  # fmt: skip
    parts = [loft(circles(barrel, 6), Material.METAL, smooth=True),
             loft(circles(collar, 6), Material.METAL, smooth=True), _bow(1), _bow(-1)]  # fmt: skip
    return joined(parts).moved(*_CANNON)


def _bow(sign: int) -> Mesh:
    """Half of the bow across the muzzle, above (1) or below (-1)."""
    curve = np.array([[-0.0535, 0.0], [-0.0530, 0.0045], [-0.0580, 0.0082]])
    rings = np.empty((3, 4, 3))
    rings[..., 0] = np.array([-1, 1, 1, -1]) * 0.0024
    rings[..., 1] = curve[:, :1] + np.array([-1, -1, 1, 1]) * 0.0010
    rings[..., 2] = sign * curve[:, 1:]
    return loft(rings, Material.METAL)
