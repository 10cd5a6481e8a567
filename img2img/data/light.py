"""What light, lens, sensor and codec do to the colours of a training picture."""

import os
import random
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np

from img2img.config import option
from img2img.data.sample import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class LightOptions:
    """How colours vary; options of augmentation derive from this class."""

    strength: float = option(
        1.0, "Factor on the other options of this group, sizes excepted; 0: no augmentation.",
        low=0.0, high=1.0,
    )  # fmt: skip
    colour: float = option(
        0.6, "Strength of changes of brightness, contrast, saturation, hue, gamma and white "
        "balance, and of turning grey.", low=0.0, high=1.0,
    )  # fmt: skip
    blur: float = option(0.2, "Share of samples that lose sharpness.", low=0.0, high=1.0)
    noise: float = option(0.2, "Share of samples with sensor noise.", low=0.0, high=1.0)
    compression: float = option(0.2, "Share of samples with JPEG artefacts.", low=0.0, high=1.0)
    shadow: float = option(0.15, "Share of samples with uneven light.", low=0.0, high=1.0)


def redefined(name: str, default: float, of: type = LightOptions) -> Any:
    """The option of that name, of a class of options, with another default."""
    metadata = next(entry.metadata for entry in fields(of) if entry.name == name)
    return option(default, **metadata)


class Light:
    """Random light on pictures (H, W, 3) of `size` pixels: a function of the picture and the
    generator alone."""

    def __init__(self, options: LightOptions, *, size: int) -> None:
        # Of one pixel albumentations makes one with one channel.
        is_on = options.strength > 0 and size > 1
        self._pipeline = _pipeline(options) if is_on else None

    def __call__(self, image: Image, rng: np.random.Generator) -> Image:
        if self._pipeline is None:
            return image
        # Not `set_random_seed`: it gives one seed to all transforms, which then coincide.
        self._pipeline.set_random_state(rng, random.Random(int(rng.integers(2**63))))  # noqa: S311
        return np.asarray(self._pipeline(image=image)["image"], np.uint8)


def _pipeline(options: LightOptions) -> Any:
    """An albumentations pipeline of what light, lens, sensor and codec do to colours."""
    # Its import asks PyPI for news, which no training may wait for.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations as A

    k, c = options.strength, options.strength * options.colour
    jitter = A.ColorJitter(
        brightness=(1 - 0.5 * c, 1 + 0.5 * c), contrast=(1 - 0.5 * c, 1 + 0.5 * c),
        saturation=(1 - 0.7 * c, 1 + 0.7 * c), hue=(-0.06 * c, 0.06 * c), p=0.8 * min(1, 2 * c),
    )  # fmt: skip
    smooth = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}
    return A.Compose([
        A.OneOf([
            A.RandomShadow((0, 0, 1, 1), shadow_dimension=4, shadow_intensity_range=(0.2, 0.5)),
            A.Illumination(mode="gaussian", intensity_range=(0.05, 0.2), sigma_range=(0.3, 1.0)),
        ], p=k * options.shadow),
        jitter,
        A.RandomGamma((100 - 45 * c, 100 + 80 * c), p=0.3 * min(1, 2 * c)),
        A.PlanckianJitter(p=0.35 * c),
        A.RandomToneCurve(scale=0.1, per_channel=True, p=0.25 * c),
        A.ToGray(p=0.08 * c),
        A.OneOf([
            A.GaussianBlur(sigma_limit=(0.4, 1.6)),
            A.MotionBlur(blur_limit=(3, 9)),
            A.Downscale(scale_range=(0.35, 0.8), interpolation_pair=smooth),
        ], p=k * options.blur),
        A.OneOf([
            A.GaussNoise(std_range=(0.01, 0.06)),
            A.GaussNoise(std_range=(0.01, 0.06), per_channel=False),
            A.GaussNoise(std_range=(0.01, 0.06), noise_scale_factor=0.5),
        ], p=k * options.noise),
        A.ImageCompression(quality_range=(25, 90), p=k * options.compression),
    ])  # fmt: skip
