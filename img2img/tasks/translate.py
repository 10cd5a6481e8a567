"""Pictures from pictures, learned from pairs: a clean one of a noisy one, a photo of edges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions, TaskOptions, option
from img2img.data.augment_pairs import PairAugmenter, PairAugmentOptions, square
from img2img.data.formats.paired import n_channels_of, n_target_channels, paired_splits
from img2img.data.formats.picture_pairs import (
    INPUT,
    TARGET,
    PairLayout,
    holds_pairs,
    two_folders,
)
from img2img.data.sample import Dataset, Image, Sample, Splits
from img2img.data.sources import open_pictures
from img2img.data.view import View
from img2img.errors import UsageError
from img2img.tasks.base import Arrays, Best, Task
from img2img.tasks.objective_options import (
    PIX2PIX_DEFAULTS,
    AdversarialOptions,
    PerceptualOptions,
    add_perceptual,
    opposed,
)
from img2img.vision.degradations import Degradation, grey
from img2img.vision.loss_sums import parse_picture_losses
from img2img.vision.lpips import is_available as has_lpips
from img2img.vision.lpips import lpips
from img2img.vision.picture_metrics import METRICS, row

if TYPE_CHECKING:
    from torch import nn

    from img2img.data.check import CheckReport
    from img2img.data.synth.made_pairs import MadePairs
    from img2img.models.network import Head

_USUAL_FILTER = "noise"


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslateOptions(TaskOptions):
    """How pairs lie in the data, which way they are learned, and from which mistakes."""

    layout: Literal["auto", "folders", "side-by-side"] = option(
        "auto", "Two folders with equal names, or both pictures in one file; auto: look."
    )
    input: str | None = option(
        None, "Folder of the inputs; left out: input or A, with target or B beside it."
    )
    target: str | None = option(None, "Folder of the targets, beside that of the inputs.")
    direction: Literal["forward", "backward"] = option(
        "forward", "Backward learns the inputs (A, the left halves) from the targets."
    )
    channels: Literal[1, 3] = option(
        3, "Channels of the answer: 1 for grey, 3 for colour; left out: those of the targets."
    )
    filter: str | None = option(
        None, "What makes pairs of pictures that have none: noise, blur (noise:40, blur:1.5: a "
        "deviation in levels, pixels), grey or edges; left out: data are pairs, generated ones "
        "noise.", check=Degradation.parse,
    )  # fmt: skip
    chosen_by: Literal["psnr", "ssim"] = option(
        "psnr", "Metric that chooses the best epoch and stops early."
    )
    loss: str = option(
        "l1", "Sum of l1, mse, charbonnier, ssim, ms-ssim and gradient, such as l1+0.2*ssim.",
        check=parse_picture_losses,
    )  # fmt: skip

    def __post_init__(self) -> None:
        self.pair_layout()  # options that contradict each other are told before a run begins

    def pair_layout(self) -> PairLayout:
        """How pairs lie in a folder."""
        names = (self.input, self.target)
        if names != (None, None) and None in names:
            raise UsageError("task.input and task.target go together: name both folders.")
        return PairLayout(
            kind=self.layout,
            names=(self.input, self.target) if self.input and self.target else None,
            forward=self.direction == "forward",
        )

    def makes_pairs_of(self, source: str) -> bool:
        """Whether pairs are made of the pictures that `source` names; a folder that has pairs is
        taken as it is."""
        return self.filter is not None and not holds_pairs(Path(source), self.pair_layout())

    def check_filter(self, source: str | None) -> None:
        """Refuses a filter for data that are pairs, found or stated.

        Raises:
            UsageError: there is such a filter.
        """
        if self.filter is None:
            return
        layout = self.pair_layout()
        if layout.settings:
            stated = "task.input and task.target" if layout.names else f"task.layout={layout.kind}"
            raise UsageError(
                f"task.filter makes pairs of single pictures, but {stated} says that the data are "
                "pairs: leave one of them out."
            )
        folders = two_folders(Path(source), layout) if source is not None else None
        if folders:
            raise UsageError(
                f"{source} holds pairs already: leave task.filter out, or point --data at "
                f"{folders[1]}."
            )


@dataclass(frozen=True, slots=True)
class Translated:
    """The answer: `image` (H, W, C) uint8, and `value`, the same before rounding, float32 in
    0…255, where it was asked for."""

    image: Image
    value: NDArray[np.float32] | None = None


class Translate(Task[TranslateOptions, Translated]):
    """Pictures from pictures, learned from any pairs: noise to clean, edges to photo."""

    Options = TranslateOptions
    groups: ClassVar[Mapping[str, type]] = {
        "augment": PairAugmentOptions, "adversarial": AdversarialOptions,
        "perceptual": PerceptualOptions,
    }  # fmt: skip
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "model": {"name": "resunet"},
        "train": {"epochs": 60, "lr": 1e-3, "warmup_steps": 20, "ema": 0.99},
    }
    best = Best("psnr", "max")
    metrics: tuple[str, ...] = METRICS
    map_outputs = ("value", "image")
    result_outputs = ("image",)

    def __init__(self, options: TranslateOptions, groups: Mapping[str, Any] | None = None) -> None:
        super().__init__(options, groups)
        self.best = Best(options.chosen_by, "max")
        self.metrics = (*METRICS, "lpips") if has_lpips() else METRICS

    @classmethod
    def defaults_for(
        cls, options: TranslateOptions, model: str, *, source: str | None
    ) -> Mapping[str, Mapping[str, Any]]:
        """As many channels as the targets have; generated pictures are learned in squares and
        passes that two CPU cores manage in minutes, and the weights say what made them worse.

        Raises:
            UsageError: a filter is given for data that are pairs.
        """
        options.check_filter(source)
        # Without normalisation it learns fast, and one wild batch could throw it off.
        train: dict[str, Any] = {"lr": 2e-3, "clip_norm": 1.0} if model == "resunet" else {}
        adversarial: Mapping[str, Any] = {}
        if model == "pix2pix":
            train |= PIX2PIX_DEFAULTS["train"]
            adversarial = PIX2PIX_DEFAULTS["adversarial"]
        task: dict[str, Any] = {}
        if source is None:
            train |= {"epochs": 20, "val_samples": 32}
            # pix2pix takes 128 pixels to one cell.
            size = 128 if model == "pix2pix" else 64
            task = {"image_size": size, "filter": options.filter or _USUAL_FILTER}
        elif not options.makes_pairs_of(source):
            task = {"channels": n_target_channels(Path(source), options.pair_layout())}
        elif Path(source).is_dir():
            task = {"channels": n_channels_of(Path(source))}
        return {"train": train, "task": task, "adversarial": adversarial}

    # ---- data

    def splits(self, data: DataOptions) -> Splits:
        from img2img.data.synth.made_pairs import made_splits

        options = self.options
        if data.source is not None and not options.makes_pairs_of(data.source):
            return paired_splits(data, options.pair_layout(), channels=options.channels)
        pictures = open_pictures(data, n_generated=self.n_generated)
        return made_splits(pictures, self._degradation, channels=options.channels)

    @property
    def _degradation(self) -> Degradation:
        return Degradation.parse(self.options.filter or _USUAL_FILTER)

    def generate(self, n: int, *, size: int, seed: int) -> Mapping[str, Dataset]:
        from img2img.data.synth.made_pairs import MadePairs
        from img2img.data.synth.textures import Textures

        def made(pictures: Dataset) -> MadePairs:
            return MadePairs(pictures, self._degradation, channels=self.options.channels)

        parts = Textures.parts(n, size=size, seed=seed)
        return {part: made(textures) for part, textures in parts.items()}

    def write_sample(self, folder: Path, sample: Sample) -> None:
        """Two PNG of one name, in `input` and `target`."""
        from img2img.data.images import write
        from img2img.errors import InputError

        # Ids of samples that were read are paths, which may begin with the part they are of.
        name = sample.id.removeprefix(f"{folder.name}/").removesuffix(".png")
        for place, picture in ((INPUT, sample.image), (TARGET, _target(sample))):
            path = folder / place / f"{name}.png"
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"{path.parent} cannot be made: {error.strerror}.") from None
            write(path, picture)

    def check(self, data: DataOptions) -> CheckReport:
        if data.source is None or self.options.makes_pairs_of(data.source):
            return super().check(data)
        from img2img.data.check_pairs import check_pairs

        return check_pairs(data, self.options.pair_layout(), channels=self.options.channels)

    def targets(self, sample: Sample, rng: np.random.Generator | None) -> Arrays:
        image, target = sample.image, _target(sample)
        if rng is None:
            size = self.options.image_size
            return {"image": square(image, size, None), TARGET: square(target, size, None)}
        image, target = self._augmenter(image, target, rng)
        return {"image": image, TARGET: target}

    @cached_property
    def _augmenter(self) -> PairAugmenter:
        return PairAugmenter(self.training["augment"], size=self.options.image_size)

    # ---- network

    def head(self) -> Head:
        from img2img.models.network import ImageHead

        return ImageHead(channels=self.options.channels)

    def objective(self) -> nn.Module:
        from img2img.vision.picture_terms import picture_terms

        terms = picture_terms(self.options.loss, target=TARGET)
        return opposed(
            add_perceptual(terms, self.training["perceptual"], target=TARGET),
            self.training["adversarial"], target=TARGET, channels=self.options.channels,
        )  # fmt: skip

    def polish_objective(self) -> nn.Module:
        """The losses of pixels alone."""
        from img2img.vision.picture_terms import picture_terms

        return picture_terms(self.options.loss, target=TARGET)

    # ---- inference

    def result(self, decoded: Arrays, view: View) -> Translated:
        return Translated(decoded["image"], decoded.get("value"))

    def picture(self, result: Translated) -> Image:
        return result.image

    def to_json(self, result: Translated) -> dict[str, Any]:
        return {}

    def discretise(self, decoded: Arrays) -> Arrays:
        return decoded | {"image": np.rint(decoded["value"]).astype(np.uint8)}

    def draw(self, image: Image, result: Translated) -> Image:
        """The picture on the left, the answer on the right of a white line."""
        drawn = np.broadcast_to(result.image, image.shape).copy()
        middle = image.shape[1] // 2
        drawn[:, :middle] = image[:, :middle]
        if middle > 1:
            drawn[:, middle] = 255
        return drawn

    # ---- measuring

    def measure(self, result: Translated, sample: Sample) -> dict[str, float]:
        answer = result.image if result.value is None else result.value
        figures = row(answer, _target(sample))
        return figures | {"lpips": lpips(answer, _target(sample))} if has_lpips() else figures

    def baselines(self) -> Mapping[str, Callable[[Sample], Translated]]:
        """The input itself."""

        def identity(sample: Sample) -> Translated:
            image = sample.image if self.options.channels == 3 else grey(sample.image)[..., None]
            return Translated(image)

        return {"identity": identity}

    def truth(self, sample: Sample) -> Translated:
        return Translated(_target(sample))


def _target(sample: Sample) -> Image:
    return np.asarray(sample.labels[TARGET], np.uint8)
