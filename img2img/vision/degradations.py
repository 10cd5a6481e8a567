"""What makes a worse picture of a good one: two pictures that `translate` can learn from."""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from img2img.errors import UsageError, unknown_name
from img2img.vision.types import Image

_STRENGTHS = {"noise": 25.0, "blur": 2.0, "grey": None, "edges": None}
"""What a name without a number means; None where there is nothing to choose."""
_STRONGEST = 255.0
# Canny, A computational approach to edge detection, PAMI 1986: the blur and a ratio of 2 are his.
_EDGE_BLUR_PX, _WEAK_EDGE, _STRONG_EDGE = 1.4, 60, 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Degradation:
    """`noise` (strength: deviation in levels), `blur` (deviation of a Gaussian in pixels), `grey`
    or `edges` (black on white), which have no strength."""

    name: str
    strength: float | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Of `noise`, `noise:40`, `blur:1.5`, `grey` or `edges`.

        Raises:
            UsageError: the text has another form.
        """
        name, colon, number = text.partition(":")
        if name not in _STRENGTHS:
            raise unknown_name("filter", name, _STRENGTHS)
        usual = _STRENGTHS[name]
        if not colon:
            return cls(name=name, strength=usual)
        if usual is None:
            raise UsageError(f"the filter {text!r} has no strength: write {name}.")
        try:
            strength = float(number)
        except ValueError:
            strength = 0.0
        if not 0 < strength <= _STRONGEST:
            raise UsageError(
                f"the filter {text!r} needs a strength above 0 and up to {_STRONGEST:g}, such as "
                f"{name}:{usual:g}."
            )
        return cls(name=name, strength=strength)

    def __str__(self) -> str:
        return self.name if self.strength is None else f"{self.name}:{self.strength:g}"

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        """The worse picture (H, W, 3) uint8 of one (H, W, 3) uint8 RGB: a function of the picture
        and the generator alone. Borders are reflect-101."""
        if self.name == "noise":
            noise = rng.standard_normal(image.shape, np.float32) * np.float32(self.strength)
            return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)
        if self.name == "blur":
            sigma = float(self.strength or 0)
            return np.asarray(
                cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
            )
        plane = grey(image)
        if self.name == "edges":
            calm = cv2.GaussianBlur(plane, (0, 0), _EDGE_BLUR_PX)
            plane = 255 - np.asarray(cv2.Canny(calm, _WEAK_EDGE, _STRONG_EDGE), np.uint8)
        return np.repeat(plane[..., None], 3, axis=-1)


def grey(image: Image) -> Image:
    """(H, W) uint8 by BT.601 of a picture (H, W, 3) uint8 RGB; one of three equal channels keeps
    its values."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
