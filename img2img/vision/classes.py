"""The classes of a segmentation: their names, and what stands for them in a mask's file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from img2img.errors import UsageError
from img2img.vision.types import Image

Classes = NDArray[np.uint8]
"""(H, W): the index of the class at every pixel, or `IGNORE`."""

IGNORE = 255
"""Index of pixels that no loss and no metric looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSet:
    """Classes in the order of their indices; the first is the background.

    `colours` (R, G, B) stand for the classes in mask files; in a set of grey values all three are
    equal, and masks are written with one channel. `ignore` is the colour of pixels without a
    label, or None.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    ignore: tuple[int, int, int] | None = None

    @classmethod
    def parse(cls, texts: Sequence[str], ignore: str | None = None) -> Self:
        """Of `name:value` (0…255) or `name:#rrggbb` texts, two or more.

        Raises:
            UsageError: a text has another form, or two classes share a name or colour.
        """
        pairs = [text.rpartition(":") for text in texts]
        names = tuple(name for name, _, _ in pairs)
        colours = tuple(
            _colour(value, f"task.classes has {text!r}: write name:value with")
            for text, (_, _, value) in zip(texts, pairs, strict=True)
        )
        none = None
        if ignore is not None:
            none = _colour(ignore, f"task.ignore_value cannot be {ignore!r}: write")
        taken = [*colours, *([none] if none else [])]
        if (
            len(texts) < 2
            or not all(names)
            or len(set(names)) < len(names)
            or len(set(taken)) < len(taken)
        ):
            raise UsageError(
                f"task.classes cannot be {','.join(texts)!r}: two or more classes, each with a "
                "name and a value of its own."
            )
        if len(texts) >= IGNORE:
            raise UsageError(f"task.classes can name at most {IGNORE - 1} classes.")
        return cls(names=names, colours=colours, ignore=none)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_grey(self) -> bool:
        """Whether masks have one channel."""
        every = [*self.colours, *([self.ignore] if self.ignore else [])]
        return all(red == green == blue for red, green, blue in every)

    def to_mask(self, classes: Classes) -> Image:
        """(H, W, 1) uint8 of a grey set, else (H, W, 3) RGB, as mask files hold it; `IGNORE`
        becomes the ignored colour, or the background where the set has none."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.colours
        table[IGNORE] = self.ignore or self.colours[0]
        return table[classes][..., :1] if self.is_grey else table[classes]


def _colour(value: str, told: str) -> tuple[int, int, int]:
    if re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        red, green, blue = bytes.fromhex(value[1:])
        return red, green, blue
    if re.fullmatch(r"[0-9]{1,3}", value) and int(value) <= 255:
        return (int(value),) * 3
    raise UsageError(f"{told} a grey value 0…255 or a colour #rrggbb.")
