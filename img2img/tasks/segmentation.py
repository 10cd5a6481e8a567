"""Segmentation of eggs and frying pans, or of any other classes that masks name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from img2img.config import DataOptions
from img2img.data.augment import Augmenter, AugmentOptions
from img2img.data.cutouts import Cutouts
from img2img.data.sample import Dataset, Image, Joined, Sample, Splits
from img2img.data.split import refuse_folds
from img2img.data.view import View
from img2img.errors import UsageError
from img2img.tasks.base import Arrays, Best, Table, Task
from img2img.tasks.objective_options import opposed_masks
from img2img.tasks.segmentation_options import (
    EGGS_AND_PANS,
    SegmentationOptions,
    SegmentationQuestions,
    SemiOptions,
)
from img2img.vision import segmentation as measures
from img2img.vision.classes import IGNORE, Classes, ClassSet
from img2img.vision.paint import legend, tinted

if TYPE_CHECKING:
    from torch import nn

    from img2img.data.check import CheckReport
    from img2img.models.network import Head
    from img2img.vision.losses import Terms

PSEUDO = "pseudo"
"""Origin of pictures that are learned from without labels."""


@dataclass(frozen=True, slots=True)
class Segmented:
    """`classes` (H, W) uint8, the index of the class at every pixel, and `confidence` (H, W)
    float32, its probability; where they were asked for, the `probabilities` of all classes."""

    classes: Classes
    confidence: NDArray[np.float32]
    probabilities: tuple[NDArray[np.float32], ...] = ()


class Segmentation(Task[SegmentationOptions, Segmented]):
    """Eggs and frying pans, or any classes that masks name, at the picture's own size."""

    Options = SegmentationOptions
    Questions = SegmentationQuestions
    groups: ClassVar[Mapping[str, type]] = {"augment": AugmentOptions, "semi": SemiOptions}
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "model": {"name": "unet:tu-tf_efficientnet_lite0"},
        "train": {"epochs": 60, "lr": 1e-3, "warmup_steps": 20, "ema": 0.99, "batch_size": 8},
    }
    best = Best("miou", "max")
    metrics = measures.metric_names(ClassSet.parse(EGGS_AND_PANS).names)
    map_outputs = ("probability", "classes")
    result_outputs = ("probability",)
    takes_pseudo = True
    output_key = "mask"
    is_shown_drawn = True

    def __init__(
        self, options: SegmentationOptions, groups: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(options, groups)
        self.classes = options.class_set()
        self.metrics = measures.metric_names(self.classes.names)
        self._cutouts: Cutouts | None = None
        self._class_weights: list[float] | None = None
        self._learns_unlabelled = False

    @classmethod
    def defaults_for(
        cls, options: SegmentationOptions, model: str, *, source: str | None
    ) -> Mapping[str, Mapping[str, Any]]:
        """A light decoder where there is one; generated pictures, which never run out, are
        learned in fewer passes, at a size that two CPU cores manage in minutes."""
        defaults: dict[str, Mapping[str, Any]] = {}
        if model.startswith("unet:"):
            defaults["model"] = {"decoder": "half"}
        if source is None:
            defaults |= {"train": {"epochs": 8}, "task": {"image_size": 192}}
        return defaults

    @property
    def _finds_eggs(self) -> bool:
        """Whether the classes are those of the generator and of the classical baseline."""
        return self.classes.names == ("background", "egg", "pan")

    # ---- data

    def splits(self, data: DataOptions) -> Splits:
        from img2img.data.synth.kitchen import Kitchens

        if data.source is None:
            refuse_folds(data.folds, "the parts of generated kitchens")
            splits = Kitchens.splits(
                data.n_generated or self.n_generated, n_val=32, without=self._left_out
            )
        else:
            from img2img.data.formats.masks import mask_splits

            splits = mask_splits(data, self.classes)
        added: dict[str, Dataset] = {}
        if self.options.kitchens and data.source is not None:
            kitchens = Kitchens.splits(self.options.kitchens, without=self._left_out)
            added["kitchens"] = kitchens.parts["train"]
        if data.pseudo is not None:
            from img2img.data.formats.masks import unlabelled

            held_out = [splits.parts[part] for part in ("val", "test") if part in splits.parts]
            added[PSEUDO] = unlabelled(Path(data.pseudo), self.classes, without=held_out)
        if added and "train" in splits.parts:
            train = Joined({"": splits.parts["train"], **added})
            splits = replace(splits, parts={**splits.parts, "train": train})
        return splits

    def generate(self, n: int, *, size: int, seed: int) -> Mapping[str, Dataset]:
        from img2img.data.synth.kitchen import Kitchens

        return Kitchens.parts(n, size=size, seed=seed, without=self._left_out)

    @property
    def _left_out(self) -> frozenset[str]:
        """The parts that generated kitchens leave out.

        Raises:
            UsageError: the classes are not those of kitchens.
        """
        if not self._finds_eggs:
            raise UsageError(
                "generated kitchens know background, egg and pan: give pictures with --data, or "
                "leave task.classes and task.kitchens alone."
            )
        return frozenset(self.options.kitchens_without)

    def write_sample(self, folder: Path, sample: Sample) -> None:
        from img2img.data.images import write

        for name, picture in (("images", sample.image),
                              ("masks", self.classes.to_mask(_truth(sample)))):  # fmt: skip
            (folder / name).mkdir(exist_ok=True)
            write(folder / name / f"{sample.id}.png", picture)

    def check(self, data: DataOptions) -> CheckReport:
        if data.source is None:
            return super().check(data)
        from img2img.data.check_masks import check_masks

        return check_masks(data, self.classes)

    def prepare(self, train: Dataset) -> None:
        if self.training["augment"].copy_paste:
            labelled = [i for i, r in enumerate(train.records) if r.origin != PSEUDO]
            self._cutouts = Cutouts(train.subset(labelled))
        if "weighted-ce" in self.options.loss:
            self._class_weights = _balanced_weights(train, len(self.classes))
        self._learns_unlabelled = any(r.origin == PSEUDO for r in train.records)

    def balanced(self, train: Dataset) -> Dataset:
        """Those with labels often enough to be `semi.labelled_share` of all."""
        is_bare = np.array([record.origin == PSEUDO for record in train.records])
        if not is_bare.any() or is_bare.all():
            return train
        share = self.training["semi"].labelled_share
        times = round(share / (1 - share) * is_bare.sum() / (~is_bare).sum())
        counts = np.where(is_bare, 1, max(1, times))
        return train.subset(np.repeat(np.arange(len(train)), counts).tolist())

    def targets(self, sample: Sample, rng: np.random.Generator | None) -> Arrays:
        image, classes = sample.image, _truth(sample)
        if rng is None:
            view = self.view(*image.shape[:2])
            inside = view.apply(np.ones((*image.shape[:2], 1), np.uint8), labels=True)[..., 0] > 0
            laid = view.apply(classes[..., None], fill=IGNORE, labels=True)[..., 0]
            encoded = {"image": view.apply(image), "classes": laid}
            labelled = np.array([(classes != IGNORE).any()])
            return encoded | ({"weak": view.apply(image), "inside": inside, "labelled": labelled}
                              if self._learns_unlabelled else {})  # fmt: skip
        if not self._learns_unlabelled:
            image, classes = self._augmenter(image, classes, rng, self._cutouts)
            return {"image": image, "classes": classes}
        # Told before objects are pasted, which bring labels to a picture that has none.
        labelled = np.array([(classes != IGNORE).any()])
        weak, strong, classes, inside = self._augmenter.pair(image, classes, rng, self._cutouts)
        return {"image": strong, "classes": classes, "weak": weak, "inside": inside,
                "labelled": labelled}  # fmt: skip

    @cached_property
    def _augmenter(self) -> Augmenter:
        return Augmenter(self.training["augment"], size=self.options.image_size)

    def preview(self, encoded: Arrays) -> list[Image]:
        return [encoded["image"], tinted(encoded["image"], encoded["classes"])]

    # ---- network

    def head(self) -> Head:
        from img2img.models.network import ClassHead

        return ClassHead(len(self.classes))

    def objective(self) -> nn.Module:
        from img2img.vision.losses import PseudoLabelLoss

        terms, semi = self._supervised_terms(), self.training["semi"]
        if self._learns_unlabelled and semi.adversarial:
            return opposed_masks(terms, semi, n_classes=len(self.classes))
        if self._learns_unlabelled:
            terms.add("pseudo", PseudoLabelLoss("classes", semi.confidence), semi.weight)
        return terms

    def polish_objective(self) -> nn.Module:
        """The losses of labelled pixels alone."""
        return self._supervised_terms()

    def _supervised_terms(self) -> Terms:
        from img2img.vision.losses import class_terms

        return class_terms(self.options.loss, target="classes", class_weights=self._class_weights)

    # ---- inference

    def view(self, height: int, width: int) -> View:
        return View.letterbox(height, width, self.options.image_size)

    def result(self, decoded: Arrays, view: View) -> Segmented:
        """Probabilities are brought to the picture's size one class at a time, then compared:
        edges are finer than the network's pixels, and memory stays at two planes."""
        planes = np.moveaxis(decoded["probability"], -1, 0)
        confidence = view.restore_image(np.ascontiguousarray(planes[0]))
        classes = np.zeros(confidence.shape, np.uint8)
        kept = [confidence] if self.asked.probabilities else []
        for index, plane in enumerate(planes[1:], start=1):
            probability = view.restore_image(np.ascontiguousarray(plane))
            classes[probability > confidence] = index
            confidence = np.maximum(confidence, probability)
            if self.asked.probabilities:
                kept.append(probability)
        return Segmented(classes, confidence, tuple(kept))

    def probabilities(self, result: Segmented) -> dict[str, NDArray[np.float32]]:
        return dict(zip(self.classes.names, result.probabilities, strict=False))

    def picture(self, result: Segmented) -> Image:
        return self.classes.to_mask(result.classes)

    def to_json(self, result: Segmented) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for index, name in enumerate(self.classes.names):
            where = result.classes == index
            n = int(where.sum())
            found[name] = {
                "pixels": n,
                "fraction": n / where.size,
                "box": _box(where) if n else None,
                "mean_confidence": float(result.confidence[where].mean()) if n else None,
            }
        return {"classes": found}

    def discretise(self, decoded: Arrays) -> Arrays:
        return decoded | {"classes": decoded["probability"].argmax(axis=-1).astype(np.uint8)}

    def draw(self, image: Image, result: Segmented) -> Image:
        """Every class but the background tinted and outlined, with a legend of those present."""
        painted = tinted(image, result.classes)
        present = [i for i in range(1, len(self.classes)) if (result.classes == i).any()]
        return legend(painted, {self.classes.names[i]: i for i in present})

    # ---- measuring

    def measure(self, result: Segmented, sample: Sample) -> dict[str, float]:
        return measures.row(result.classes, _truth(sample), self.classes.names)

    def summarise(
        self, rows: Mapping[str, NDArray[np.float64]], weights: NDArray[np.float64]
    ) -> dict[str, float]:
        return measures.summarise(rows, weights, self.classes.names)

    def tables(
        self, rows: Mapping[str, NDArray[np.float64]], weights: NDArray[np.float64]
    ) -> Mapping[str, Table]:
        names = self.classes.names
        confusion = Table(
            about="How the pixels of each true class were answered, as shares of 1; every picture "
            "counts alike.",
            corner="truth ↓ answer →",
            rows=names,
            columns=names,
            values=measures.confusion_matrix(rows, weights, names),
            shares=True,
        )
        return {"confusion": confusion}

    def baselines(self) -> Mapping[str, Callable[[Sample], Segmented]]:
        """Everything background; and, for eggs and pans, colour and shape without learning."""
        blank: dict[str, Callable[[Sample], Segmented]] = {
            "background": lambda sample: _sure(np.zeros(sample.image.shape[:2], np.uint8))
        }
        if not self._finds_eggs:
            return blank
        from img2img.vision.eggs_and_pans import find_eggs_and_pans

        return blank | {"colour_and_shape": lambda sample: _sure(find_eggs_and_pans(sample.image))}

    def truth(self, sample: Sample) -> Segmented:
        classes = _truth(sample)
        return _sure(np.where(classes == IGNORE, 0, classes).astype(np.uint8))


def _truth(sample: Sample) -> Classes:
    return sample.labels["classes"].astype(np.uint8, copy=False)


def _balanced_weights(train: Dataset, n_classes: int) -> list[float]:
    """A weight a class: the median share of the classes over its own, from up to 256 samples.

    As Eigen, Fergus: Predicting depth, surface normals and semantic labels, ICCV 2015; but a share
    counts all samples, not only those that have the class.
    """
    every = max(1, -(-len(train) // 256))
    counts = np.zeros(n_classes)
    for index in range(0, len(train), every):
        classes = _truth(train[index])
        known = np.bincount(classes.ravel(), minlength=IGNORE)[:n_classes]
        counts += known / max(1, known.sum())
    present = counts[counts > 0]
    median = float(np.median(present)) if present.size else 1.0
    return [median / count if count else 0.0 for count in counts.tolist()]


def _sure(classes: Classes) -> Segmented:
    return Segmented(classes, np.ones(classes.shape, np.float32))


def _box(where: NDArray[np.bool_]) -> list[int]:
    """[x0, y0, x1, y1] in pixels around the true ones, the last ones outside."""
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
