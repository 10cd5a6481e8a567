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

_COLOURS = {
    Material.HULL: (0.78, 0.765, 0.74),
    Material.ENGINE: (0.60, 0.60, 0.61),
    Material.METAL: (0.62, 0.62, 0.63),
    Material.DARK: (0.20, 0.195, 0.20),
    Material.GLASS: (0.42, 0.45, 0.50),
    Material.DROID: (0.50, 0.56, 0.70),
}
_RUST = np.array([0.62, 0.22, 0.13])


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """Colours (M, 3) and gloss (M,) of the materials, and the sides' `atlas` (H, W, 3) uint8."""

    colours: Field
    gloss: Field
    atlas: Image


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
    if wear.panels is not None:
        atlas = _dirty(atlas, wear.panels)
    return Paint(colours=colours, gloss=gloss, atlas=atlas)


def sides(mesh: Mesh) -> NDArray[np.intp]:
    """(T,) the number of the side's picture that lies on each triangle: where it mostly faces."""
    normal = mesh.normals.sum(1)
    axis = np.abs(normal * (1, 0.8, 1)).argmax(1)
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
    return np.rint(((np.asarray(points) - low) / TEXEL - 0.5) * 16).astype(np.int32)


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
    _filled(top, 0, _rect(-0.0055, 0.062, 0.0055, 0.124), 0.72)
    for y in (0.066, 0.076, 0.0865, 0.098, 0.11):
        _filled(top, 0, _rect(-0.004, y, 0.004, y + 0.005), 0.42)
    _outline(top, 0, _rect(-0.009, -0.036, 0.009, 0.024), 0.62)
    for y in (-0.008, 0.009):
        _filled(top, 0, _rect(-0.008, y, 0.008, y + 0.0016), 1.7)
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
    for side, n in ((0, 26), (1, 26), (2, 14), (3, 6)):
        picture = atlas[_rows(side)]
        axes = list(_VIEWS[side])
        low, span = _LOW[axes], _SPAN[axes]
        for _ in range(int(n * rng.uniform(0.2, 1.2))):
            corner, extent = low + span * rng.random(2), 0.002 + 0.02 * rng.random(2) ** 2
            box = _rect(*corner, *(corner + extent))
            level = np.exp(strength * rng.normal(-0.4, 0.7))
            draw = _outline if rng.random() < 0.6 else _filled
            draw(picture, side, box, level)
            if alike and side != 2:
                draw(picture, side, box * _FLIP, level)


def _dirty(atlas: Image, rng: Rng) -> Image:
    """The atlas under soot and scratches: soft noise of two sizes, drawn out along y."""
    height, width = atlas.shape[:2]
    grime = rng.standard_normal((24, 40), np.float32) * np.float32(rng.uniform(0, 0.12))
    grime = cv2.resize(grime, (160, 110))
    grime += rng.standard_normal(grime.shape, np.float32) * np.float32(rng.uniform(0, 0.1))
    levels = cv2.resize(cv2.convertScaleAbs(np.exp(grime), alpha=100), (width, height))
    stained: Any = cv2.multiply(atlas, cv2.merge((levels, levels, levels)), scale=0.01)
    return np.asarray(stained, np.uint8)


# ------------------------------------------------------------------------------------- stripes

_WING_STRIPES = (
    [[0.1130, 0.0610], [0.1290, 0.0610], [0.1290, 0.0990], [0.1230, 0.1005], [0.1230, 0.0800],
     [0.1130, 0.0800]],
    [[0.0880, 0.0920], [0.1150, 0.0860], [0.1150, 0.0900], [0.0880, 0.0960]],
)  # fmt: skip
_NOSE_STRIPE = [[0.0085, -0.140], [0.0125, -0.140], [0.0180, -0.045], [0.0130, -0.045]]
_FLANK_STRIPE = [[-0.138, 0.0050], [-0.045, 0.0090], [-0.045, 0.0040], [-0.138, 0.0010]]


def _stripes(atlas: Image, rng: Rng | None, hull: Field) -> None:
    """Rust-red marks on the wings and along the nose."""
    rust, shift, present = _RUST, np.zeros((4, 2)), np.ones(4, bool)
    if rng is not None:
        rust = (_RUST * np.exp(rng.normal(0, 0.16) + rng.normal(0, 0.14, 3))).clip(0.02, 0.95)
        shift = rng.normal(0, 0.0018, (4, 2))
        present = rng.random(4) < 0.93
    factor = rust / hull
    for side in (0, 1):
        picture = atlas[_rows(side)]
        for turn in (1, _FLIP):
            for number, mark in enumerate(_WING_STRIPES):
                if present[number]:
                    _filled(picture, side, (np.array(mark) + shift[number]) * turn, factor)
            if present[2] and side == 0:
                _filled(picture, side, (np.array(_NOSE_STRIPE) + shift[2]) * turn, factor)
    if present[3]:
        _filled(atlas[_rows(2)], 2, np.array(_FLANK_STRIPE) + shift[3], factor)
