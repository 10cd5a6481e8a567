"""Generated kitchens, to learn the segmentation of eggs and frying pans on.

A table seen by a camera at a random place, what lies on it as solids in centimetres, and much that
looks alike: white balls and plates, hot plates and lids. Every picture is drawn from polygons, so
the class of each pixel is exact. Nothing is taken from photographs.
"""

from math import pi
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Image, Record, Sample
from img2img.data.synth.generated import Generated
from img2img.data.synth.kitchen_canvas import Canvas, Field, Rng, log_uniform
from img2img.data.synth.kitchen_room import faded
from img2img.data.synth.kitchen_scene import draw_scene

PARTS: tuple[str, ...] = (
    "shell",
    "peeled",
    "fried",
    "pans",
    "handles",
    "aslant",
    "hosts",
    "hands",
    "clutter",
    "decoys",
    "surroundings",
    "shadows",
    "camera",
)
"""What `without` can switch off: eggs in shell, boiled and fried; pans, and their handles; views
other than from above; plates, bowls and cartons under eggs; hands and grippers; angular and round
things; patterned tables and rooms; shadows; the camera's faults. Without all three kinds of eggs
no pixel is egg, and without pans none is pan."""


class Kitchens(Generated):
    """Generated kitchens: `pixels` gives RGB and the class (0 background, 1 egg, 2 pan) as a
    fourth channel.

    Args:
        without: which of `PARTS` are left out.
        place: the other arguments of `Generated`.
    """

    planes: ClassVar[int] = 4
    kind = "kitchen"
    version = 3

    def __init__(self, n: int, *, without: frozenset[str] = frozenset(), **place: int) -> None:
        if unknown := without - set(PARTS):
            raise ValueError(f"without has {sorted(unknown)}; choose of {', '.join(PARTS)}")
        less = "".join(f"-{part}" for part in sorted(without))
        super().__init__(n, variant=less, **place)
        self.without = without

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Image:
        picture, classes = draw_kitchen(rng, height, width, self.without)
        return np.dstack([picture, classes])

    def sample(self, record: Record, pixels: Image) -> Sample:
        return Sample(
            id=record.id,
            group=record.group or record.id,
            image=pixels[..., :3],
            labels={"classes": pixels[..., 3]},
        )


def draw_kitchen(
    rng: np.random.Generator, height: int, width: int, without: frozenset[str] = frozenset()
) -> tuple[Image, NDArray[np.uint8]]:
    """A picture (height, width, 3) uint8 RGB and its classes (height, width) uint8: 0, 1 egg,
    2 pan. A function of the state of `rng` and of `without`, a set of `PARTS`, alone."""
    canvas = draw_scene(rng, (height, width), without)
    if "camera" in without:
        return _digital(cv2.merge(tuple(canvas.image))), canvas.classes
    return _photograph(rng, canvas), canvas.classes


# ---------------------------------------------------------------------------------------- camera


def _photograph(rng: Rng, canvas: Canvas) -> Image:
    """The picture a camera takes of a scene: light, lens, sensor, 8 bits, JPEG.

    What the round edge of a lens hides loses its class.
    """
    colour = canvas.lamp.colour.astype(np.float32).reshape(3, 1, 1)
    scene = _exposed(rng, canvas.image * colour)
    scene = _blurred(rng, scene)
    if rng.random() < 0.3:
        share = _vignette(rng, *canvas.classes.shape)
        scene = scene * cv2.merge((share, share, share))
        canvas.classes[share < 0.12] = 0
    if rng.random() < 0.6:
        noise = rng.standard_normal(scene.shape, np.float32)
        scene = cv2.scaleAdd(noise, log_uniform(rng, 0.003, 0.06), scene)
    picture = _digital(scene)
    if rng.random() < 0.35:
        picture = _compressed(picture, quality=int(rng.integers(25, 95)))
    return picture


def _digital(scene: Field) -> Image:
    """(H, W, 3) uint8: scaled, rounded and saturated in one pass."""
    picture: Any = cv2.addWeighted(scene, 255, scene, 0, 0, dtype=cv2.CV_8U)
    return np.asarray(picture, np.uint8).reshape(scene.shape)


def _compressed(picture: Image, *, quality: int) -> Image:
    """The picture after JPEG at this quality (0…100)."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.asarray(decoded, np.uint8)


def _exposed(rng: Rng, scene: Field) -> Field:
    """A planar scene (3, H, W) as (H, W, 3) under uneven light, after the sensor's curve."""
    height, width = scene.shape[1:]
    if rng.random() < 0.6:
        lamps = rng.normal(0, rng.uniform(0.05, 0.4), (3, 3)).astype(np.float32)
        scene = scene * np.exp(cv2.resize(lamps, (width, height)))
    gain, gamma = log_uniform(rng, 0.6, 1.6), log_uniform(rng, 0.65, 1.35)
    lift = max(rng.normal(0, 0.04), 0)
    exposed = cv2.merge(tuple(np.clip(scene, 0, 2) * np.float32(gain)))
    exposed = cv2.pow(exposed.reshape(height, width, 3), gamma) + np.float32(lift)
    return faded(exposed, rng.uniform(0.4, 1.25))


def _blurred(rng: Rng, scene: Field) -> Field:
    """Out of focus, or moved."""
    draw = rng.random()
    if draw < 0.4:
        scale = max(max(scene.shape) / 256, 0.5)
        return cv2.GaussianBlur(scene, (0, 0), log_uniform(rng, 0.3, 1.6) * scale)
    if draw < 0.5:
        return cv2.filter2D(scene, -1, _streak(rng, int(rng.integers(3, 9))))
    return scene


def _streak(rng: Rng, length: int) -> Field:
    """A kernel (length, length) of a straight motion."""
    kernel: Field = np.zeros((length, length), np.float32)
    middle, turn = (length - 1) / 2, rng.uniform(0, pi)
    way = np.array([np.cos(turn), np.sin(turn)]) * middle
    first, last = np.rint([middle - way, middle + way]).astype(int).tolist()
    cv2.line(kernel, first, last, 1.0)
    kernel /= kernel.sum()
    return kernel


def _vignette(rng: Rng, height: int, width: int) -> Field:
    """(H, W) in 0…1: corners that darken, or the black surround of a round lens."""
    side = max(width, height)
    x = (np.arange(width, dtype=np.float32)[None] - width / 2) / side
    y = (np.arange(height, dtype=np.float32)[:, None] - height / 2) / side
    radius = np.hypot(x - rng.normal(0, 0.03), y - rng.normal(0, 0.03))
    if rng.random() < 0.3:
        edge, soft = rng.uniform(0.42, 0.6), log_uniform(rng, 0.01, 0.1)
        return np.clip((edge - radius) / soft + 0.5, 0.02, 1).astype(np.float32)
    return (1 / (1 + rng.uniform(0.5, 3) * radius**2)).astype(np.float32)
