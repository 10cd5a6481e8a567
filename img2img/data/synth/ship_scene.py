"""A frame: the sky, the ship in it, and the camera that takes them."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Image
from img2img.data.synth import ship_sky
from img2img.data.synth.kitchen_canvas import log_uniform
from img2img.data.synth.ship_light import Light
from img2img.data.synth.ship_mesh import Mesh
from img2img.data.synth.ship_paint import Wear, paint
from img2img.data.synth.ship_parts import Shape, ship_mesh
from img2img.data.synth.ship_pose import Rng
from img2img.data.synth.ship_shade import Cut, View, render
from img2img.data.synth.ship_sky import Photos

Field = NDArray[Any]

PARTS: tuple[str, ...] = (
    "shape",
    "light",
    "materials",
    "panels",
    "stripes",
    "nebulae",
    "photos",
    "stars",
    "bodies",
    "camera",
)
"""What `without` can switch off: proportions other than the blueprint's; light other than a white
one from the camera's side; other lacquers; further panels and dirt; stripes; nebulae; photographs
or textures as backgrounds; stars; moons, wrecks, beams and dots; the camera's faults. Poses and
all other parts stay as they are."""

Streams = dict[str, Rng]

_PHOTOS_SHARE = 0.25
_BODIES_SHARE = 0.25


def streams(looks: Rng) -> Streams:
    """Random numbers for every part, so that one part less changes no other."""
    names = ("choice", *PARTS)
    return dict(zip(names, looks.spawn(len(names)), strict=True))


def mesh_of(parts: Streams, without: frozenset[str]) -> Mesh:
    """The ship of a scene."""
    return ship_mesh(Shape() if "shape" in without else Shape.random(parts["shape"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All of a frame but its sensor's noise: random numbers `parts`, which of `PARTS` are left
    out, and photographs."""

    parts: Streams
    without: frozenset[str] = frozenset()
    photos: Photos | None = None

    def frame(self, view: View, sensor: Rng) -> Image:
        """(H, W, 3) uint8 RGB."""
        scene = self._sky(view.size)
        cut = self._ship(view)
        if cut is not None:
            window = scene[cut.rows, cut.columns]
            window *= 1 - cut.cover
            window += cut.colours
        if "camera" in self.without:
            return _digital(scene)
        return _photograph(self.parts["camera"], sensor, scene)

    def _ship(self, view: View) -> Cut | None:
        parts, less = self.parts, self.without
        chosen = {name: None if name in less else stream for name, stream in parts.items()}
        wear = Wear(
            materials=chosen["materials"], panels=chosen["panels"], stripes=parts["stripes"],
            with_stripes="stripes" not in less,
        )  # fmt: skip
        light = Light.studio() if "light" in less else Light.random(parts["light"])
        return render(mesh_of(parts, less), view, paint(wear), light)

    def _sky(self, size: tuple[int, int]) -> Field:
        parts, less = self.parts, self.without
        photo, bodies = parts["choice"].random(2) < (_PHOTOS_SHARE, _BODIES_SHARE)
        if photo and "photos" not in less:
            draw = self.photos.sky if self.photos else ship_sky.textured
            sky = draw(parts["photos"], size)
        else:
            sky = np.zeros((*size, 3), np.float32)
            if "nebulae" not in less:
                sky = ship_sky.nebula(parts["nebulae"], size)
            if "stars" not in less:
                ship_sky.stars(parts["stars"], sky)
        if bodies and "bodies" not in less:
            ship_sky.bodies(parts["bodies"], sky)
        return sky


def _photograph(rng: Rng, sensor: Rng, scene: Field) -> Image:
    """The picture a camera takes: lens, curve, exposure, noise of the `sensor`, 8 bits, JPEG."""
    side = max(scene.shape[:2]) / 256
    blur = log_uniform(rng, 0.25, 1.7) if rng.random() < 0.75 else 0.0
    if blur:
        scene = cv2.GaussianBlur(scene, (0, 0), blur * side)
    gain, gamma = log_uniform(rng, 0.8, 1.45), log_uniform(rng, 0.75, 1.3)
    if rng.random() < 0.5:
        scene = cv2.pow(np.maximum(scene, 0), gamma)
    tint = np.exp(rng.normal(0, 0.05, 3)) * gain
    faded, saturation = max(rng.normal(0, 0.03), 0), rng.uniform(0.6, 1.3)
    mix = np.full((3, 3), (1 - saturation) / 3) + np.eye(3) * saturation
    scene = cv2.transform(scene, np.column_stack([mix * tint, np.full(3, faded)]))
    noisy, deviation = rng.random() < 0.5, log_uniform(rng, 0.003, 0.04)
    if noisy:
        noise = sensor.standard_normal(scene.shape, np.float32)
        scene = cv2.scaleAdd(noise, deviation, scene)
    picture = _digital(scene)
    if rng.random() < 0.15:
        picture = _resampled(rng, picture)
    if rng.random() < 0.75:
        picture = _compressed(picture, quality=int(rng.integers(30, 97)))
    return picture


def _digital(scene: Field) -> Image:
    """(H, W, 3) uint8: scaled, rounded and saturated in one pass."""
    picture: Any = cv2.addWeighted(scene, 255, scene, 0, 0, dtype=cv2.CV_8U)
    return np.asarray(picture, np.uint8).reshape(scene.shape)


def _resampled(rng: Rng, picture: Image) -> Image:
    """The picture made smaller and brought back, as screenshots are."""
    height, width = picture.shape[:2]
    scale = rng.uniform(0.6, 0.95)
    size = (max(int(width * scale), 1), max(int(height * scale), 1))
    small: Any = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    back: Any = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(back, np.uint8)


def _compressed(picture: Image, *, quality: int) -> Image:
    """The picture after JPEG at this quality (0…100)."""
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    return np.asarray(decoded, np.uint8)
