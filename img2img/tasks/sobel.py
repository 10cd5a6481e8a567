"""Sobel, or any other image filter, learned exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions, TaskOptions, option
from img2img.data.sample import Dataset, Image, Sample, Splits
from img2img.data.sources import open_pictures
from img2img.data.view import View
from img2img.tasks.base import Arrays, Best, Task
from img2img.tasks.objective_options import (
    PIX2PIX_DEFAULTS,
    AdversarialOptions,
    PerceptualOptions,
    add_perceptual,
    opposed,
)
from img2img.vision.filters import ImageFilter, make_filter, reach_px, with_inline_kernel
from img2img.vision.metrics import frame_mask, psnr_db, structural_similarity

if TYPE_CHECKING:
    from torch import nn

    from img2img.models.network import Head

FRAME_PX = 4
"""Width of the border frame that the `border_` metrics look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SobelOptions(TaskOptions):
    """Which filter is learned, and from what."""

    filter: str = option(
        "sobel",
        "sobel, scharr, prewitt, laplacian, gaussian, emboss, random:SEED, kernel:FILE, "
        "kernel:[[…],[…]] or python:FILE.py:FUNCTION.",
    )
    output: Literal["auto", "magnitude", "signed", "x", "y"] = option(
        "auto", "Magnitude, or signed values around 128 (x and y: one derivative)."
    )
    kernel_size: int = option(
        3, "Side of the kernel, odd.", unit="pixels", low=1, high=31, odd=True
    )
    blur_size: int | None = option(
        None, "Side of the Gaussian before it, odd; 0: none; left out: 3 for derivatives.",
        unit="pixels", low=0, high=255, odd=True,
    )  # fmt: skip
    scale: float = option(1.0, "Factor on the kernel.")
    loss: Literal["l1", "l2"] = option("l1", "Absolute or squared distance, aware of clipping.")
    chosen_by: Literal["psnr", "ssim"] = option(
        "psnr", "Metric that chooses the best epoch and stops early."
    )
    mix_colours: float = option(
        0.5, "Share of samples whose channels are mixed at random.", low=0.0, high=1.0
    )

    def __post_init__(self) -> None:
        """Weights outlive the file of their kernel: options hold its numbers instead."""
        object.__setattr__(self, "filter", with_inline_kernel(self.filter))
        if not self.filter.startswith("python:"):
            self.made()  # options that contradict each other are told before a run begins

    def made(self) -> ImageFilter:
        """The filter that these options name."""
        return make_filter(
            self.filter,
            output=self.output,
            kernel_size=self.kernel_size,
            blur_size=self.blur_size,
            scale=self.scale,
        )


@dataclass(frozen=True, slots=True)
class Filtered:
    """The answer of the filter: `image` (H, W, 1) uint8, and `value`, the same before rounding,
    float32 in 0…255, where it was asked for."""

    image: Image
    value: NDArray[np.float32] | None = None


class Sobel(Task[SobelOptions, Filtered]):
    """Sobel or any other image filter, learned exactly, at any size, borders included."""

    Options = SobelOptions
    groups: ClassVar[Mapping[str, type]] = {
        "adversarial": AdversarialOptions, "perceptual": PerceptualOptions,
    }  # fmt: skip
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "model": {"name": "filternet"},
        "train": {"epochs": 10, "epoch_size": 2048, "val_samples": 32},
    }
    best = Best("psnr", "max")
    metrics = tuple(
        f"{prefix}{name}"
        for prefix in ("", "border_")
        for name in ("psnr", "ssim", "mae", "equal", "within_1")
    )
    in_fp32 = True
    map_outputs = ("value", "image")
    result_outputs = ("image",)

    def __init__(self, options: SobelOptions, groups: Mapping[str, Any] | None = None) -> None:
        super().__init__(options, groups)
        self.best = Best(options.chosen_by, "max")

    @classmethod
    def defaults_for(
        cls, options: SobelOptions, model: str, *, source: str | None
    ) -> Mapping[str, Mapping[str, Any]]:
        """FilterNet learns fast, wants no decay, and must reach as far as the filter does; pix2pix
        learns as it was published."""
        if model == "pix2pix":
            return PIX2PIX_DEFAULTS
        if model != "filternet":
            return {}
        reach = reach_px(options.filter, options.kernel_size, options.blur_size)
        train = {"epochs": 6, "lr": 0.02, "weight_decay": 0.0, "polish_steps": 100,
                 "polish_samples": 32}  # fmt: skip
        kernel = {"kernel_size": 2 * reach + 1} if reach else {}
        return {"train": train, "model": kernel, "task": {"image_size": 64}}

    @cached_property
    def filter(self) -> ImageFilter:
        """The truth."""
        return self.options.made()

    def splits(self, data: DataOptions) -> Splits:
        return open_pictures(data, n_generated=self.n_generated)

    def generate(self, n: int, *, size: int, seed: int) -> Mapping[str, Dataset]:
        from img2img.data.synth.textures import Textures

        return Textures.parts(n, size=size, seed=seed)

    def targets(self, sample: Sample, rng: np.random.Generator | None) -> Arrays:
        image = _crop(sample.image, self.options.image_size, rng)
        if rng is not None:
            image = _turned(image, rng)
            if rng.random() < self.options.mix_colours:
                image = _colours_mixed(image, rng)
        return {"image": image, "target": self.filter(image)[..., None]}

    def head(self) -> Head:
        from img2img.models.network import ImageHead

        return ImageHead(channels=1)

    def objective(self) -> nn.Module:
        from img2img.vision.losses import ClippedLoss, Terms

        power = {"l1": 1, "l2": 2}[self.options.loss]
        terms = Terms(**{self.options.loss: ClippedLoss("target", power)})
        return opposed(
            add_perceptual(terms, self.training["perceptual"], target="target"),
            self.training["adversarial"], target="target", channels=1,
        )  # fmt: skip

    def polish_objective(self) -> nn.Module:
        """The squared distance: the absolute one has a kink where it matters most."""
        from img2img.vision.losses import ClippedLoss, Terms

        return Terms(l2=ClippedLoss("target", 2))

    def result(self, decoded: Arrays, view: View) -> Filtered:
        return Filtered(decoded["image"], decoded.get("value"))

    def picture(self, result: Filtered) -> Image:
        return result.image

    def to_json(self, result: Filtered) -> dict[str, Any]:
        return {}

    def discretise(self, decoded: Arrays) -> Arrays:
        return decoded | {"image": np.rint(decoded["value"]).astype(np.uint8)}

    def draw(self, image: Image, result: Filtered) -> Image:
        """The answer in light over the dimmed picture."""
        return np.maximum(image // 3, result.image)

    def measure(self, result: Filtered, sample: Sample) -> dict[str, float]:
        answer = result.image if result.value is None else result.value
        value, target = answer[..., 0].astype(np.float64), self.filter(sample.image)
        error = np.abs(value - target)
        steps = np.abs(np.rint(value) - np.rint(target))
        similarity = structural_similarity(value, target)
        frame = frame_mask(target.shape, FRAME_PX)
        row: dict[str, float] = {}
        for prefix, where in (("", np.ones_like(frame)), ("border_", frame)):
            row[f"{prefix}psnr"] = psnr_db(error[where] ** 2)
            row[f"{prefix}ssim"] = float(similarity[where].mean())
            row[f"{prefix}mae"] = float(error[where].mean())
            row[f"{prefix}equal"] = float((steps[where] == 0).mean())
            row[f"{prefix}within_1"] = float((steps[where] <= 1).mean())
        return row

    def baselines(self) -> Mapping[str, Callable[[Sample], Filtered]]:
        """A blank answer; the right filter with zero padding; the right filter as most scripts
        write it, rounded to uint8 between its stages."""
        fill = self.filter.offset
        blank = {"blank": lambda sample: _filtered(np.full(sample.image.shape[:2], fill))}
        if self.filter.function is not None:
            return blank
        zero = partial(self.filter, border=cv2.BORDER_CONSTANT)
        rounded = partial(self.filter, stages=np.uint8)
        return blank | {
            "zero_padding": lambda sample: _filtered(zero(sample.image)),
            "uint8_stages": lambda sample: _filtered(np.rint(rounded(sample.image))),
        }

    def truth(self, sample: Sample) -> Filtered:
        return _filtered(self.filter(sample.image))


def _filtered(plane: NDArray[np.floating]) -> Filtered:
    value = plane.astype(np.float32)[..., None]
    return Filtered(np.rint(value).astype(np.uint8), value)


def _crop(image: Image, size: int, rng: np.random.Generator | None) -> Image:
    """A square of `size` pixels, at random or from the middle; small pictures are mirrored."""
    height, width = image.shape[:2]
    if height < size or width < size:
        below, right = max(0, size - height), max(0, size - width)
        image = np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REFLECT_101))
        height, width = image.shape[:2]
    spare_y, spare_x = height - size, width - size
    top = spare_y // 2 if rng is None else int(rng.integers(spare_y + 1))
    left = spare_x // 2 if rng is None else int(rng.integers(spare_x + 1))
    return image[top : top + size, left : left + size]


def _turned(image: Image, rng: np.random.Generator) -> Image:
    if rng.random() < 0.5:
        image = image[:, ::-1]
    return np.rot90(image, int(rng.integers(4)))


def _colours_mixed(image: Image, rng: np.random.Generator) -> Image:
    """Channels as random mixtures of each other: the target is computed afterwards, so this is
    no distortion; it tells the weights of red, green and blue apart, which move together in
    ordinary photos."""
    matrix = rng.normal(0.0, 0.7, (3, 3)) + np.eye(3)[rng.permutation(3)]
    centred = image.astype(np.float32) - 128
    mixed = centred @ matrix.astype(np.float32) + 128
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
