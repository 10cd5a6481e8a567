"""Two networks against each other: what each minimises, who is ahead, and when it has gone wrong.

The network answers; its opponent, the discriminator, judges patches of answers and of truths.
Logits (B, 1, h, w) are the opponent's, greater where a patch looks real.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

_WON = 0.99
"""Accuracy from which on an interval is the opponent's."""
_FLAT = 0.05
"""Spread below which answers are flat."""
_LEVEL = 1 / 255
"""A grey level: deviations far below it are rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GanLoss:
    """What both players minimise; every method gives a scalar in float32 or wider.

    Sources: `vanilla`, the cross-entropy of Goodfellow et al.: Generative Adversarial Nets, NeurIPS
    2014, with the network's loss that does not saturate; `least-squares`, Mao et al.: Least Squares
    Generative Adversarial Networks, ICCV 2017, with targets 0 and 1; `smoothing`, Salimans et al.:
    Improved Techniques for Training GANs, NeurIPS 2016, section 3.4.
    """

    kind: Literal["least-squares", "vanilla"] = "least-squares"
    smoothing: float = 0.0
    """How far below 1 the opponent's target for truths lies; its target for answers stays 0."""

    def of_opponent(self, real: Tensor, fake: Tensor) -> Tensor:
        """Half the sum of its losses on truths and on answers, as in pix2pix, where it learns half
        as fast by that. Both are logits; the answers must be detached from the network."""
        return 0.5 * (self._distance(real, 1 - self.smoothing) + self._distance(fake, 0.0))

    def of_network(self, fake: Tensor) -> Tensor:
        """Of logits of its answers: how far they are from being taken for truths."""
        return self._distance(fake, 1.0)

    def confidence(self, logits: Tensor) -> Tensor:
        """How likely a patch is real, 0…1, of its logits."""
        return logits.clamp(0, 1) if self.kind == "least-squares" else logits.sigmoid()

    def accuracy(self, real: Tensor, fake: Tensor) -> Tensor:
        """Share of patches, 0…1, that the opponent judges right, truths and answers alike in
        weight; 0.5: it cannot tell. Carries no gradient and does not wait for the device."""
        border = 0.5 if self.kind == "least-squares" else 0.0
        right = (real.detach() > border).float().mean(), (fake.detach() <= border).float().mean()
        return torch.stack(right).mean()

    def _distance(self, logits: Tensor, target: float) -> Tensor:
        logits = _at_least_float32(logits)
        targets = torch.full_like(logits, target)
        if self.kind == "least-squares":
            return F.mse_loss(logits, targets)
        return F.binary_cross_entropy_with_logits(logits, targets)


def feature_matching(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Mean absolute distance between the opponent's features of truths and of answers, the mean of
    its layers; only answers get a gradient.

    Source: Wang et al.: High-Resolution Image Synthesis and Semantic Manipulation with Conditional
    GANs, CVPR 2018, equation 4, divided by the number of layers.

    Args:
        real: (B, C, h, w) of each layer.
        fake: of the same layers and shapes.
    """
    pairs = zip(real, fake, strict=True)
    distances = [F.l1_loss(_at_least_float32(ours), _at_least_float32(theirs.detach()))
                 for theirs, ours in pairs]  # fmt: skip
    return torch.stack(distances).mean()


def relative_spread(real: Tensor, fake: Tensor) -> Tensor:
    """How much answers vary: 1, as much as truths do; near 0 they are flat, or all the same.

    The ratio of their mean standard deviations over the pixels of a picture, or over the pictures
    of the batch, whichever is less. Flat truths ask for nothing: then it is 1 or more.

    Args:
        real: (B, C, H, W) in 0…1.
        fake: of the same shape.
    """
    axes: list[tuple[int, ...]] = [(2, 3)] if len(real) == 1 else [(2, 3), (0,)]
    ratios = [(_deviation(fake, axis) + _LEVEL) / (_deviation(real, axis) + _LEVEL)
              for axis in axes]  # fmt: skip
    return torch.stack(ratios).min()


@dataclass(slots=True, kw_only=True)
class CollapseWatch:
    """Looks at the means of every interval of the log, and says once when the game is over.

    All fields are plain JSON: `CollapseWatch(**asdict(watch))` goes on where it was.
    """

    patience: int = 20
    """Intervals in a row that make a collapse; at least 2."""
    lost: list[float] = field(default_factory=list)
    """The network's GAN losses in the latest intervals in a row that the opponent won."""
    n_flat: int = 0
    """Intervals in a row in which answers hardly varied."""
    has_told: bool = False
    """Whether the opponent's victory was told of; once it loses an interval, it may win anew."""

    def look(self, *, accuracy: float, gan_loss: float, spread: float) -> str | None:
        """A sentence for the user where a collapse has just become certain.

        Args:
            accuracy: mean of `GanLoss.accuracy`, 0…1.
            gan_loss: mean of `GanLoss.of_network`, times any factor that stays the same.
            spread: mean of `relative_spread`.
        """
        self.n_flat = self.n_flat + 1 if spread < _FLAT else 0
        if accuracy < _WON:
            self.lost, self.has_told = [], False
        else:
            self.lost = [*self.lost, gan_loss][-self.patience :]
        if self.n_flat == self.patience:
            return (
                f"the network's answers have collapsed: for {self.patience} rows of the log they "
                f"varied less than {_FLAT:.0%} as much as the truths; give the distance to the "
                "truth more weight, or lower --lr."
            )
        if self.has_told or not self._is_hopeless():
            return None
        self.has_told = True
        return (
            f"the discriminator has won: for {self.patience} rows of the log it judged at least "
            f"{_WON:.0%} of the patches right, and the network's GAN loss went from "
            f"{self.lost[0]:.3g} to {gan_loss:.3g}; let it learn slower, smooth its labels, or "
            "choose smaller patches."
        )

    def _is_hopeless(self) -> bool:
        """Whether the opponent won all along while the network's loss did not fall."""
        half = self.patience // 2
        is_long = len(self.lost) == self.patience
        return is_long and fmean(self.lost[-half:]) >= fmean(self.lost[:half])


def _deviation(pictures: Tensor, axes: tuple[int, ...]) -> Tensor:
    return pictures.detach().float().std(dim=axes, correction=0).mean()


def _at_least_float32(maps: Tensor) -> Tensor:
    return maps if maps.dtype == torch.float64 else maps.float()
