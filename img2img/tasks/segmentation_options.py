"""What a training and a prediction of segmentation may be asked."""

from dataclasses import dataclass
from typing import ClassVar

from img2img.config import TaskOptions, option
from img2img.vision.classes import ClassSet

EGGS_AND_PANS = ("background:0", "egg:128", "pan:255")


def _check_parts(parts: tuple[str, ...]) -> None:
    from img2img.data.synth.kitchen import PARTS
    from img2img.errors import unknown_name

    for part in parts:
        if part not in PARTS:
            raise unknown_name("part of a kitchen", part, PARTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationOptions(TaskOptions):
    """Which classes there are, and what the network is told about its mistakes."""

    image_size: int = option(
        400, "Side of the square a picture is letterboxed to.", unit="pixels", low=1, high=65536
    )
    classes: tuple[str, ...] = option(
        EGGS_AND_PANS, "Classes as name:value or name:#rrggbb of the masks, background first."
    )
    ignore_value: str | None = option(
        None, "Value or #rrggbb of mask pixels without a label; none: all have one."
    )
    loss: str = option(
        "ce+dice",
        "Sum of ce, weighted-ce, dice, focal and lovasz, such as ce+dice or 0.5*focal+lovasz.",
    )
    kitchens: int = option(0, "Generated kitchens among the labelled training pictures.", low=0)
    kitchens_without: tuple[str, ...] = option(
        (), "Parts that generated kitchens leave out, such as hands,clutter.", check=_check_parts
    )

    def __post_init__(self) -> None:
        self.class_set()  # classes that contradict each other are told before a run begins

    def class_set(self) -> ClassSet:
        """The classes that these options name."""
        return ClassSet.parse(self.classes, self.ignore_value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SemiOptions:
    """Learning from pictures without labels (`--pseudo`)."""

    switch: ClassVar[str] = "data.pseudo"

    confidence: float = option(
        0.9, "Least confidence of the averaged network in a pixel that is learned from.",
        low=0.0, high=1.0, unless="semi.adversarial",
    )  # fmt: skip
    weight: float = option(1.0, "Weight of their loss.", low=0.0)
    labelled_share: float = option(
        0.5, "Least share of the samples of an epoch that have labels: these are repeated.",
        low=0.0, high=0.95,
    )  # fmt: skip
    adversarial: float = option(
        0.0, "Weight of the GAN loss of a discriminator of masks, which then chooses the pixels in "
        "place of `semi.confidence`; 0: none.", low=0.0,
    )  # fmt: skip
    believed: float = option(
        0.2, "Least verdict of that discriminator on a pixel that is learned from.",
        low=0.0, high=1.0, needs="semi.adversarial",
    )  # fmt: skip
    unbelieved_steps: int = option(
        200, "First steps, in which it only learns and chooses no pixels.", low=0,
        needs="semi.adversarial",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationQuestions:
    """What one prediction may be asked beyond its weights."""

    probabilities: bool = option(False, "Keep the probability of every class at every pixel.")
