"""Random squares of paired pictures: one place and one turn for both, light for the input alone."""

from dataclasses import dataclass

import cv2
import numpy as np

from img2img.config import option
from img2img.data.light import Light, LightOptions
from img2img.data.sample import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAugmentOptions(LightOptions):
    """How training pairs vary."""

    strength: float = option(
        0.0, "Factor on the options of light in this group, which change the input alone; 0: none.",
        low=0.0, high=1.0,
    )  # fmt: skip
    flip: bool = option(True, "Mirror half of the pairs left to right.")
    turn: bool = option(True, "Turn pairs by 0, 90, 180 or 270 degrees.")


class PairAugmenter:
    """Squares (size, size) of pairs: functions of the arguments and the generator alone. Pictures
    are never written to."""

    def __init__(self, options: PairAugmentOptions, *, size: int) -> None:
        self.options = options
        self.size = size
        self._light = Light(options, size=size)

    def __call__(
        self, image: Image, target: Image, rng: np.random.Generator
    ) -> tuple[Image, Image]:
        """(input, target) of an input (H, W, 3) and a target (H, W, C) of one size."""
        both = square(np.dstack([image, target]), self.size, rng)
        if self.options.flip and rng.random() < 0.5:
            both = both[:, ::-1]
        if self.options.turn:
            both = np.rot90(both, int(rng.integers(4)))
        return self._light(np.ascontiguousarray(both[..., :3]), rng), both[..., 3:]


def square(picture: Image, size: int, rng: np.random.Generator | None) -> Image:
    """A square of `size` pixels of a picture (H, W, C), at random or, without `rng`, from the
    middle; small pictures are mirrored."""
    height, width = picture.shape[:2]
    below, right = max(0, size - height), max(0, size - width)
    if below or right:
        picture = np.asarray(
            cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REFLECT_101)
        )
    spare_y, spare_x = max(0, height - size), max(0, width - size)
    top = spare_y // 2 if rng is None else int(rng.integers(spare_y + 1))
    left = spare_x // 2 if rng is None else int(rng.integers(spare_x + 1))
    return picture[top : top + size, left : left + size]
