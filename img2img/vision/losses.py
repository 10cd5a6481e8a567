"""Losses on tensors. Each takes maps and a batch and gives a scalar."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from img2img.errors import UsageError, unknown_name
from img2img.vision.classes import IGNORE


class ClippedLoss(nn.Module):
    """Distance between maps (B, C, H, W) in 0…1 and a target that was clipped to 0…1.

    Where the target stands at a limit, only the wrong side of the limit costs: a network that
    answers 1.3 for a clipped 1 is right. Without this, saturated pixels bend a linear network
    (measured: 29 instead of 36 dB at equal steps).

    Args:
        target: key of the target in the batch, (B, H, W, C) float32 in 0…255.
        power: 1 for the absolute, 2 for the squared distance.
    """

    def __init__(self, target: str, power: int) -> None:
        super().__init__()
        self.target = target
        self.power = power

    def forward(self, maps: Tensor, batch: dict[str, Tensor]) -> Tensor:
        target = batch[self.target].permute(0, 3, 1, 2).to(maps.dtype) / 255
        error = maps - target
        error = torch.where(target >= 1, error.clamp(max=0), error)
        error = torch.where(target <= 0, error.clamp(min=0), error)
        return error.abs().mean() if self.power == 1 else error.square().mean()


class ClassLoss(nn.Module, ABC):
    """Of scores of classes, maps (B, K, H, W), and the true classes, (B, H, W) uint8 or int64 under
    the key `target`. Pixels that are `IGNORE` there cost nothing; if all are, the loss is zero.

    Subclasses see scores in float32 whatever the precision of the network.
    """

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def forward(self, maps: Tensor, batch: dict[str, Tensor]) -> Tensor:
        return self.loss(_at_least_float32(maps), batch[self.target].long())

    @abstractmethod
    def loss(self, scores: Tensor, truth: Tensor) -> Tensor:
        """Scalar of scores (B, K, H, W) float32 and true classes (B, H, W) int64."""


class CrossEntropy(ClassLoss):
    """Mean cross-entropy of the pixels, or their mean weighted by their true classes' weights."""

    class_weights: Tensor | None

    def __init__(self, target: str, class_weights: Sequence[float] | None = None) -> None:
        super().__init__(target)
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)

    def loss(self, scores: Tensor, truth: Tensor) -> Tensor:
        known = truth != IGNORE
        weights = None if self.class_weights is None else self.class_weights.to(scores)
        total = F.cross_entropy(scores, truth, weights, ignore_index=IGNORE, reduction="sum")
        # torch's own mean is NaN where every pixel is ignored.
        share = known.sum() if weights is None else (weights[truth * known] * known).sum()
        return total / share.clamp(min=torch.finfo(scores.dtype).tiny)


class FocalLoss(ClassLoss):
    """Mean cross-entropy of the pixels, each times (1 - probability of its true class)^γ.

    Source: Lin, Goyal, Girshick, He, Dollár: Focal Loss for Dense Object Detection, ICCV 2017,
    with softmax in place of its sigmoid.
    """

    def __init__(self, target: str, gamma: float = 2.0) -> None:
        super().__init__(target)
        self.gamma = gamma

    def loss(self, scores: Tensor, truth: Tensor) -> Tensor:
        surprise = F.cross_entropy(scores, truth, ignore_index=IGNORE, reduction="none")
        focus = (1 - (-surprise).exp()) ** self.gamma
        return (focus * surprise).sum() / (truth != IGNORE).sum().clamp(min=1)


class DiceLoss(ClassLoss):
    """1 - soft Dice, the mean of the classes that occur in the batch's truth.

    Pixels are pooled over the batch, as the metrics pool them over the pictures: a class with few
    pixels in one picture does not make that picture's loss jump.

    Source: Milletari, Navab, Ahmadi: V-Net, 3DV 2016, with sums instead of squares below, as in
    nnU-Net (Isensee et al., Nature Methods 2021).
    """

    def loss(self, scores: Tensor, truth: Tensor) -> Tensor:
        shares, wanted = _known_shares(scores, truth)
        size = wanted.sum(dim=1)
        dice = 2 * (shares * wanted).sum(dim=1) / (shares.sum(dim=1) + size).clamp(min=1e-6)
        return _mean_of_present(1 - dice, size)


class LovaszLoss(ClassLoss):
    """The Lovász extension of 1 - IoU, the mean of the classes that occur in the batch's truth.

    Source: Berman, Rannen Triki, Blaschko: The Lovász-Softmax loss, CVPR 2018, algorithm 1.
    """

    def loss(self, scores: Tensor, truth: Tensor) -> Tensor:
        # Ignored pixels have error 0, are sorted to the end, and are multiplied by it: no pixel
        # needs to be picked out, which would make the device wait and shapes depend on the data.
        shares, wanted = _known_shares(scores, truth)
        errors, order = (shares - wanted).abs().sort(dim=1, descending=True)
        wanted = wanted.gather(1, order)
        size = wanted.sum(dim=1, keepdim=True)
        kept = size - wanted.cumsum(dim=1)
        iou_loss = 1 - kept / (size + (1 - wanted).cumsum(dim=1))
        slope = torch.cat([iou_loss[:, :1], iou_loss.diff(dim=1)], dim=1)
        return _mean_of_present((errors * slope).sum(dim=1), size[:, 0])


class PseudoLabelLoss(nn.Module):
    """Cross-entropy against a teacher's classes where nobody labelled and the teacher is sure.

    Looks at pixels of the picture itself, `batch["inside"]` (B, H, W) bool, that are `IGNORE` under
    the key `target`; of these it chooses those where the softmax of `batch["teacher"]`, scores
    (B, K, H, W), reaches `confidence`. Gives the mean of the chosen times their share of all that
    could be chosen, so that few sure pixels weigh little; zero if there are none. Without a teacher
    the scores are their own.
    """

    needs_teacher = True

    def __init__(self, target: str, confidence: float) -> None:
        super().__init__()
        self.target = target
        self.confidence = confidence

    def forward(self, maps: Tensor, batch: dict[str, Tensor]) -> Tensor:
        unlabelled = batch["inside"].bool() & (batch[self.target] == IGNORE)
        teacher = _at_least_float32(batch.get("teacher", maps).detach())
        confidence, classes = teacher.softmax(dim=1).max(dim=1)
        chosen = unlabelled & (confidence >= self.confidence)
        surprise = F.cross_entropy(_at_least_float32(maps), classes, reduction="none")
        # A mask, not a product: the padding's scores may be anything.
        total = surprise.where(chosen, torch.zeros_like(surprise)).sum()
        return total / unlabelled.sum().clamp(min=1)


def _at_least_float32(maps: Tensor) -> Tensor:
    return maps if maps.dtype == torch.float64 else maps.float()


def _known_shares(scores: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax and one-hot truth, both (K, pixels of the batch) and zero at ignored pixels."""
    n_classes = scores.shape[1]
    known = truth != IGNORE
    wanted = F.one_hot(truth * known, n_classes).movedim(-1, 0) * known
    shares = scores.softmax(dim=1).movedim(1, 0) * known
    return shares.flatten(1), wanted.flatten(1).to(scores.dtype)


def _mean_of_present(losses: Tensor, sizes: Tensor) -> Tensor:
    present = sizes > 0
    return (losses * present).sum() / present.sum().clamp(min=1)


class Terms(nn.Module):
    """A supervised objective: named terms, each times its weight, whose sum is minimised.

    Args:
        weights: {term: factor}, float; 1 for terms that it does not name.
        terms: the losses.
    """

    # Any, because mypy holds the type of an unpacked {name: loss} against every keyword.
    def __init__(self, *, weights: Any = None, **terms: nn.Module) -> None:
        super().__init__()
        self.terms = nn.ModuleDict(terms)
        factors: Mapping[str, float] = weights or {}
        self.weights = {name: factors.get(name, 1.0) for name in terms}

    def add(self, name: str, term: nn.Module, weight: float) -> None:
        """One more term."""
        self.terms[name] = term
        self.weights[name] = weight

    def forward(self, maps: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: self.weights[name] * term(maps, batch) for name, term in self.terms.items()}


CLASS_LOSSES: Mapping[str, type[ClassLoss]] = {
    "ce": CrossEntropy,
    "weighted-ce": CrossEntropy,
    "dice": DiceLoss,
    "focal": FocalLoss,
    "lovasz": LovaszLoss,
}


def class_terms(text: str, *, target: str, class_weights: Sequence[float] | None = None) -> Terms:
    """Of a sum such as `ce`, `ce+dice` or `0.5*focal+lovasz`.

    Args:
        text: names of `CLASS_LOSSES`, each once, with positive factors where wanted.
        target: key of the true classes in the batch.
        class_weights: the classes' weights in `weighted-ce`.

    Raises:
        UsageError: it has another form, or an unknown name.
    """
    terms: dict[str, nn.Module] = {}
    weights: dict[str, float] = {}
    for part in text.split("+"):
        factor, name = _factor_and_name(part, text)
        if name in terms:
            raise UsageError(f"task.loss {text!r} names {name!r} twice: name each loss once.")
        terms[name] = _class_loss(name, target, class_weights)
        weights[name] = factor
    return Terms(weights=weights, **terms)


def _factor_and_name(part: str, text: str) -> tuple[float, str]:
    form = re.fullmatch(r"\s*(?:([0-9.]+)\s*\*)?\s*([a-zA-Z][\w-]*)\s*", part)
    factor, name = form.groups() if form else (None, "")
    if (
        form is None
        or not re.fullmatch(r"[0-9]*\.?[0-9]+", factor or "1")
        or float(factor or 1) == 0
    ):
        raise UsageError(
            f"task.loss cannot be {text!r}: write a sum such as ce+dice or 0.5*focal+lovasz."
        )
    return float(factor or 1), name


def _class_loss(name: str, target: str, class_weights: Sequence[float] | None) -> ClassLoss:
    if name not in CLASS_LOSSES:
        raise unknown_name("loss", name, CLASS_LOSSES)
    if name != "weighted-ce":
        return CLASS_LOSSES[name](target)
    if class_weights is None:
        raise UsageError("task.loss weighted-ce needs weights of the classes: use ce instead.")
    return CrossEntropy(target, class_weights)
