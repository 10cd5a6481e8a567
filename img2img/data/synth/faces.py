"""Generated faces with 68 points, to learn keypoints on.

A head as a surface in space, with a person's measures and an expression, seen by a camera; then all
that makes pictures of people differ. The points are what the face is drawn from, so they are exact.
Nothing is taken from photographs.
"""

from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.data.sample import Image, Record, Sample
from img2img.data.synth import face_extras as extras
from img2img.data.synth import face_features as features
from img2img.data.synth import face_hair as hair
from img2img.data.synth import face_scene as scene
from img2img.data.synth import face_skin as skin
from img2img.data.synth.face_head import Face, random_face
from img2img.data.synth.face_portrait import Portrait, random_lamp, random_portrait
from img2img.data.synth.face_raster import Rendered
from img2img.data.synth.generated import Generated
from img2img.data.synth.kitchen_canvas import Rng

PARTS: tuple[str, ...] = (
    "backgrounds",
    "body",
    "hair",
    "headwear",
    "beards",
    "wrinkles",
    "freckles",
    "glasses",
    "occluders",
    "camera",
)
"""What `without` can switch off: patterned backgrounds; neck and clothes; hair; caps, hats and
scarves; beards; folds of the skin; freckles; glasses; what hides a face; the camera's faults.
Points and all other parts stay as they are."""

_ROLL_DEG = 12.0


class Faces(Generated):
    """Generated faces: `pixels` gives RGB; labels are points and a box.

    Args:
        without: which of `PARTS` are left out.
        roll_deg: the deviation of the faces' roll; one in ten is rolled up to 3.75 times as much.
        place: the other arguments of `Generated`.
    """

    planes: ClassVar[int] = 3
    kind = "face"
    version = 1

    def __init__(
        self,
        n: int,
        *,
        without: frozenset[str] = frozenset(),
        roll_deg: float = _ROLL_DEG,
        **place: int,
    ) -> None:
        if unknown := without - set(PARTS):
            raise ValueError(f"without has {sorted(unknown)}; choose of {', '.join(PARTS)}")
        less = "".join(f"-{part}" for part in sorted(without))
        rolled = "" if roll_deg == _ROLL_DEG else f"-roll{roll_deg:g}"
        super().__init__(n, variant=less + rolled, **place)
        self.without = without
        self.roll_deg = roll_deg

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Image:
        shape, paint = rng.spawn(2)
        face = random_face(shape, (height, width), self.roll_deg)
        return draw_face(paint, face, self.without)

    def points(self, record: Record) -> NDArray[np.float32]:
        """(68, 2) x and y in pixels, pixel centres at integers; nothing is drawn for them."""
        rng = np.random.default_rng([self.version, self.seed, record.index])
        shape, _ = rng.spawn(2)
        face = random_face(shape, (record.height, record.width), self.roll_deg)
        return face.points.astype(np.float32)

    def sample(self, record: Record, pixels: Image) -> Sample:
        """The picture with labels {points: (68, 2) float32; box: (4,) float32 x0, y0, x1, y1}."""
        points = self.points(record)
        box = np.concatenate([points.min(0), points.max(0)])
        return Sample(
            id=record.id,
            group=record.group or record.id,
            image=pixels,
            labels={"points": points, "box": box},
        )


def draw_face(rng: Rng, face: Face, without: frozenset[str] = frozenset()) -> Image:
    """A picture (H, W, 3) uint8 RGB of a face, a function of the state of `rng` and `without`.

    Each part has random numbers of its own, so that one part less changes no other.
    """
    streams = dict(zip(("looks", "face", *PARTS), rng.spawn(len(PARTS) + 2), strict=True))
    looks = streams["looks"]
    portrait = random_portrait(looks, face, random_lamp(looks))
    chances = {
        "headwear": 0.16,
        "beards": 0.26,
        "freckles": 0.15,
        "glasses": 0.24,
        "occluders": 0.16,
    }
    present = {part for part, chance in chances.items() if looks.random() < chance} - without
    scene.background(portrait, streams["backgrounds"], plain="backgrounds" in without)
    _person(portrait, streams, present | (set(PARTS) - set(chances) - without))
    if "camera" in without:
        return scene.digital(cv2.merge(tuple(portrait.canvas.image)))
    return scene.photograph(streams["camera"], portrait)


def _person(portrait: Portrait, streams: dict[str, Rng], parts: set[str]) -> None:
    """From back to front: hair, body, ears, the head and what is on it."""
    cut = hair.random_hair(streams["hair"], portrait) if "hair" in parts else None
    hat, brim = hair.random_headwear(streams["headwear"]) if "headwear" in parts else (None, 0.0)
    for shell in (cut, hat):
        if shell is not None:
            hair.shell(portrait, streams["hair"], shell, facing=-1)
    scarf = hat.colour if hat is not None and hat.over_ears else None
    if "body" in parts:
        scene.body(portrait, streams["body"], scarf=scarf)
    yaw = float(portrait.face.shot.turn[2, 0])
    out = float(streams["face"].uniform(0.25, 0.7))
    covered = any(shell is not None and shell.over_ears for shell in (cut, hat))
    near = [side for side in (-1, 1) if side * yaw > 0.12]
    for side in (-1, 1):
        hair.ear(portrait, streams["face"], side, out)
    rendered = skin.head(portrait, streams["face"])
    if rendered is None:
        return
    _front(portrait, streams, parts, rendered)
    if cut is not None:
        hair.shell(portrait, streams["hair"], cut, facing=1)
    if not covered:
        for side in near:
            hair.ear(portrait, streams["face"], side, out)
    if hat is not None:
        hair.shell(portrait, streams["headwear"], hat, facing=1)
        if brim:
            hair.brim(portrait, streams["headwear"], hat, brim)
    if "glasses" in parts:
        extras.glasses(portrait, streams["glasses"])
    if "occluders" in parts:
        extras.occluders(portrait, streams["occluders"])


def _front(
    portrait: Portrait, streams: dict[str, Rng], parts: set[str], rendered: Rendered
) -> None:
    """What is on the front of the head, in the order of painting."""
    if "freckles" in parts:
        skin.freckles(portrait, streams["freckles"], rendered)
    if "wrinkles" in parts:
        skin.wrinkles(portrait, streams["wrinkles"])
    if "beards" in parts:
        skin.beard(portrait, streams["beards"], rendered)
    for feature in (features.nose, features.mouth, features.eyes, features.brows):
        feature(portrait, streams["face"])
