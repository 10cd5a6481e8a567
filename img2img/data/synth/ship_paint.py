"""What is painted on the ship: colours of its materials, and pictures of its four sides.

A side's picture is (h, w, 3) uint8 RGB and multiplies the materials' colours: 128 leaves them.
All four stand in one atlas below each other.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Image
from img2img.data.synth.ship_mesh import Mesh
from img2img.data.synth.ship_parts import Material
from img2img.data.synth.ship_pose import Rng

Field = NDArray[Any]

TEXEL = 0.0009
"""Side of an atlas' pixel in model units: finer than what a frame of 256² shows."""

PLAIN = 128
"""The factor 1 in an atlas."""
_LOW = np.array([-0.16, -0.186, -0.038])
_SPAN = np.array([0.32, 0.354, 0.076])
_VIEWS = ((0, 1), (0, 1), (1, 2), (0, 2))
"""The coordinates across and down in the pictures of top, bottom, both flanks, front and back."""
_SIZES = [tuple(int(_SPAN[axis] / TEXEL) + 1 for axis in view) for view in _VIEWS]
_ROWS = np.cumsum([0, *(height for _, height in _SIZES)]).astype(int)
_WIDTH = max(width for width, _ in _SIZES)

COARSE = 4
_CLEAN = np.ones((_ROWS[-1] // COARSE + 1, _WIDTH // COARSE + 1), np.float32)

_COLOURS = {
    Material.HULL: (0.755, 0.75, 0.775),
    Material.ENGINE: (0.68, 0.68, 0.70),
    Material.METAL: (0.73, 0.73, 0.75),
    Material.DARK: (0.24, 0.24, 0.25),
    Material.GLASS: (0.43, 0.45, 0.48),
    Material.DROID: (0.56, 0.58, 0.66),
}
_RUST = np.array([0.58, 0.255, 0.20])


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """Colours (M, 3) and gloss (M,) of the materials, the sides' `atlas` (H, W, 3) uint8, and
    `grime` (H / COARSE, W / COARSE) float32, which multiplies it."""

    colours: Field
    gloss: Field
    atlas: Image
    grime: Field

    def at(self, across: NDArray[np.intp], down: NDArray[np.intp]) -> Field:
        """(3, P) float32 factors at the atlas' pixels (P,)."""
        scale = self.grime[down // COARSE, across // COARSE] * np.float32(1 / PLAIN)
        return self.atlas[down, across].T * scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Wear:
    """Which of the random parts of a paint are there."""

    materials: Rng | None
    panels: Rng | None
    stripes: Rng | None
    with_stripes: bool = True


def paint(wear: Wear) -> Paint:
    """The ship's paint; a part without random numbers is as on the blueprint's ship."""
    colours = np.array([_COLOURS[each] for each in Material])
    gloss = np.array([0.12, 0.25, 0.3, 0.05, 0.8, 0.3])
    if wear.materials is not None:
        colours, gloss = _varied(wear.materials, colours, gloss)
    atlas = _structure().copy()
    if wear.panels is not None:
        _panels(atlas, wear.panels)
    if wear.with_stripes:
        _stripes(atlas, wear.stripes, colours[Material.HULL])
    grime = _CLEAN if wear.panels is None else _grime(wear.panels)
    return Paint(colours=colours, gloss=gloss, atlas=atlas, grime=grime)


def sides(mesh: Mesh) -> NDArray[np.intp]:
    """(T,) the number of the side's picture that lies on each triangle: where it mostly faces.

    The flanks' picture, with its stripes, is only on the hull.
    """
    normal = mesh.normals.sum(1)
    axis = np.abs(normal * (1, 0.8, 1)).argmax(1)
    axis[(axis == 0) & (mesh.material != Material.HULL)] = 1
    return np.select([axis == 0, axis == 1, normal[:, 2] < 0], [2, 3, 1], 0)


def texels(points: Field, side: NDArray[np.intp]) -> Field:
    """(T, K, 2) across and down in the atlas, a pixel's middle at + 0.5, of model points (T, K, 3)
    on these sides (T,)."""
    scaled = (points - _LOW) * (1 / TEXEL)
    views = np.array(_VIEWS)[side]
    placed: Field = np.take_along_axis(scaled, views[:, None, :], axis=2)
    placed = placed.clip(0.5, (np.array(_SIZES) - 0.5)[side][:, None])
    placed[..., 1] += _ROWS[side][:, None]
    return placed


# ----------------------------------------------------------------------------------- materials


def _varied(rng: Rng, colours: Field, gloss: Field) -> tuple[Field, Field]:
    """Other lacquers: brightness and tint of all, and a little of each."""
    shared = np.exp(rng.normal(0, 0.10) + rng.normal(0, 0.035, 3))
    own = np.exp(rng.normal(0, 0.14, (len(colours), 1)) + rng.normal(0, 0.03, colours.shape))
    own[Material.HULL] = 1
    shiny = gloss * np.exp(rng.normal(0, 0.5, len(gloss)))
    if rng.random() < 0.06:
        tint = rng.uniform(0.35, 1, 3)
        colours = colours.copy()
        colours[[Material.HULL, Material.ENGINE, Material.METAL]] *= tint / tint.max()
    return (colours * shared * own).clip(0.03, 0.97), shiny.clip(0, 1)


# ----------------------------------------------------------------------------------- structure


def _rows(side: int) -> slice:
    return slice(int(_ROWS[side]), int(_ROWS[side + 1]))


def _texels(side: int, points: Any) -> NDArray[np.int32]:
    """Model points (N, 2) of a side as pixels of its picture, in sixteenths."""
    low = _LOW[list(_VIEWS[side])]
    scaled: Field = np.rint(((np.asarray(points) - low) / TEXEL - 0.5) * 16)
    return scaled.astype(np.int32)


def _outline(picture: Image, side: int, points: Any, level: float) -> None:
    """A closed thin line; `level` is a factor."""
    cv2.polylines(picture, [_texels(side, points)], True, (level * PLAIN,) * 3, 1, cv2.LINE_AA, 4)


def _filled(picture: Image, side: int, points: Any, factor: Any) -> None:
    """A polygon that multiplies what is under it by `factor`, a number or (3,)."""
    corners = _texels(side, points)
    colour = np.clip(np.broadcast_to(factor, 3) * PLAIN, 0, 255).tolist()
    cv2.fillPoly(picture, [corners], colour, cv2.LINE_AA, 4)


def _rect(x0: float, y0: float, x1: float, y1: float) -> Field:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


_FLIP = np.array([-1, 1])


@cache
def _structure() -> Image:
    """An atlas with the lines and dark places of the blueprint."""
    atlas = np.full((_ROWS[-1], _WIDTH, 3), PLAIN, np.uint8)
    for side in (0, 1):
        picture = atlas[_rows(side)]
        for turn in (1, _FLIP):
            _outline(picture, side, _rect(0.098, 0.068, 0.110, 0.079) * turn, 0.8)
            _outline(picture, side, _rect(0.075, 0.066, 0.081, 0.112) * turn, 0.75)
            _outline(picture, side, _rect(0.131, 0.068, 0.139, 0.097) * turn, 0.75)
            _filled(picture, side, _rect(0.0265, 0.066, 0.0285, 0.10) * turn, 0.55)
            for y in (0.0615, 0.0665, 0.083, 0.0905):
                _filled(picture, side, _rect(0.029, y, 0.053, y + 0.0012) * turn, 0.6)
            _filled(picture, side, _rect(0.032, 0.0685, 0.040, 0.081) * turn, 0.82)
            for y in (0.1235, 0.1445):
                _filled(picture, side, _rect(0.029, y, 0.052, y + 0.0015) * turn, 0.55)
    top, flank, front = atlas[_rows(0)], atlas[_rows(2)], atlas[_rows(3)]
    _filled(top, 0, _rect(-0.0055, 0.062, 0.0055, 0.124), 0.8)
    for y in (0.066, 0.076, 0.0865, 0.098, 0.11):
        _filled(top, 0, _rect(-0.004, y, 0.004, y + 0.005), 0.55)
    for y in (-0.008, 0.009):
        _filled(top, 0, _rect(-0.012, y, 0.012, y + 0.0016), 1.8)
    _outline(top, 0, [[-0.011, -0.139], [0.011, -0.139], [0.006, -0.15], [-0.006, -0.15]], 0.7)
    _filled(flank, 2, _rect(-0.115, -0.0038, 0.02, -0.0026), 0.45)
    _outline(flank, 2, _rect(-0.141, -0.010, -0.1395, 0.008), 0.65)
    _filled(flank, 2, _rect(0.052, 0.0, 0.125, 0.003), 0.6)
    for x in (-0.0397, 0.0397):
        for z in (-0.0137, 0.0155):
            _filled(front, 3, _rect(x - 0.0135, z - 0.0007, x + 0.0135, z + 0.0007), 3.5)
            _filled(front, 3, _rect(x - 0.0007, z - 0.0135, x + 0.0007, z + 0.0135), 3.5)
    return atlas


def _panels(atlas: Image, rng: Rng) -> None:
    """Further panels, lines and small dark parts, alike on the left and the right or not."""
    alike, strength = rng.random() < 0.5, rng.uniform(0.0, 0.45)
    for side, most in enumerate((26, 26, 14, 6)):
        n = int(most * rng.uniform(0.2, 1.2))
        axes = list(_VIEWS[side])
        corner = _LOW[axes] + _SPAN[axes] * rng.random((n, 2))
        extent = 0.002 + 0.02 * rng.random((n, 2)) ** 2
        boxes = np.stack([corner, corner + extent], axis=1)
        levels = PLAIN * np.exp(strength * rng.normal(-0.4, 0.7, n)).clip(0, 1.9)
        weights = np.where(rng.random(n) < 0.6, 1, cv2.FILLED)
        if alike and side != 2:
            boxes = np.concatenate([boxes, boxes * _FLIP])
        picture = atlas[_rows(side)]
        ends = _texels(side, boxes) // 16
        for number, (one, other) in enumerate(ends.tolist()):
            colour, weight = (levels[number % n],) * 3, int(weights[number % n])
            cv2.rectangle(picture, one, other, colour, weight)


def _grime(rng: Rng) -> Field:
    """(H, W) float32 factors about 1, a quarter of the atlas' size: soot of two sizes."""
    height, width = (int(-(-each // COARSE)) for each in (_ROWS[-1], _WIDTH))
    soot = rng.standard_normal((40, 20), np.float32) * np.float32(rng.uniform(0, 0.12))
    grime: Field = cv2.resize(soot, (width, height))
    grime += rng.standard_normal(grime.shape, np.float32) * np.float32(rng.uniform(0, 0.1))
    return np.exp(grime)


# ------------------------------------------------------------------------------------- stripes

_WING_STRIPES = (
    [[0.1070, 0.0570], [0.1230, 0.0570], [0.1230, 0.0905], [0.0920, 0.0950], [0.0920, 0.0895],
     [0.1070, 0.0865]],
    [[0.0880, 0.1145], [0.1180, 0.1070], [0.1180, 0.1045], [0.0880, 0.1115]],
)  # fmt: skip
_FLANK_STRIPE = [[-0.133, 0.0095], [-0.05, 0.0152], [0.006, 0.0190], [0.006, 0.0075],
                 [-0.05, 0.0052], [-0.133, 0.0030]]  # fmt: skip


def _stripes(atlas: Image, rng: Rng | None, hull: Field) -> None:
    """Rust-red marks on the wings and along the nose."""
    rust, shift, present = _RUST, np.zeros((3, 2)), np.ones(3, bool)
    if rng is not None:
        rust = (_RUST * np.exp(rng.normal(0, 0.16) + rng.normal(0, 0.14, 3))).clip(0.02, 0.95)
        shift = rng.normal(0, 0.0018, (3, 2))
        present = rng.random(3) < 0.93
    factor = rust / hull
    for side in (0, 1):
        for number, mark in enumerate(_WING_STRIPES):
            for turn in (1, _FLIP) if present[number] else ():
                outline = (np.array(mark) + shift[number]) * turn
                _filled(atlas[_rows(side)], side, outline, factor)
    if present[2]:
        _filled(atlas[_rows(2)], 2, np.array(_FLANK_STRIPE) + shift[2], factor)
