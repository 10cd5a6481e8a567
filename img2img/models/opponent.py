"""Adversarial objectives: a sum of losses, and a discriminator that learns against the network."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from img2img.models.discriminator import Judgement, PatchDiscriminator
from img2img.vision.adversarial import GanLoss, feature_matching, relative_spread
from img2img.vision.losses import Terms

Batch = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the game is about: the loss that both players minimise, its weight among the network's
    others, and the opponent's learning rate, as a factor on the network's."""

    loss: GanLoss
    weight: float = 1.0
    rate: float = 1.0


class Adversarial(nn.Module, ABC):
    """An objective with an opponent: `forward`, (maps, batch) to {term: scalar}, is what the
    network minimises, `judge` what the opponent does.

    In each step the Trainer calls `forward` for the network and then `judge` for the opponent, with
    the same maps; both are stepped afterwards, each by an optimiser of its own.

    Args:
        terms: the supervised part, with its weights.
        opponent: what learns against the network.
        rules: of their game.
        target: key of the truths in the batch.
    """

    step = 0
    """Optimiser steps done, as the Trainer says before each."""

    def __init__(
        self, terms: Terms, opponent: PatchDiscriminator, rules: Rules, *, target: str
    ) -> None:
        super().__init__()
        self.terms = terms
        self.opponent = opponent
        self.rules = rules
        self.target = target

    @abstractmethod
    def judge(self, maps: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Scalars of a batch: `discriminator`, which the opponent minimises, and figures without
        gradient, of which `discriminator_accuracy` and `spread` tell a collapse.

        Args:
            maps: of the network, detached.
        """


class Opposed(Adversarial):
    """The terms of a supervised objective, and how far answers are from being taken for truths,
    (B, H, W, C) in 0…255 in the batch. The opponent judges patches of them beside the pictures that
    they were made from.

    Source: Isola, Zhu, Zhou, Efros: Image-to-Image Translation with Conditional Adversarial
    Networks, CVPR 2017.

    Args:
        features: weight of feature matching; 0: none.
    """

    def __init__(
        self,
        terms: Terms,
        opponent: PatchDiscriminator,
        rules: Rules,
        *,
        target: str,
        features: float = 0.0,
    ) -> None:
        super().__init__(terms, opponent, rules, target=target)
        self.features = features

    def forward(self, maps: Tensor, batch: Batch) -> dict[str, Tensor]:
        """{term: scalar} that the network minimises, of its maps (B, C, H, W)."""
        self.opponent.requires_grad_(False)
        fake = self._judged(_answer(maps), batch)
        losses: dict[str, Tensor] = self.terms(maps, batch)
        losses["gan"] = self.rules.weight * self.rules.loss.of_network(fake.logits)
        if self.features:
            with torch.no_grad():
                real = self._judged(self._truth(maps, batch), batch)
            losses["features"] = self.features * feature_matching(real.features, fake.features)
        return losses

    def judge(self, maps: Tensor, batch: Batch) -> dict[str, Tensor]:
        """As the base says: `discriminator_accuracy` is the share of patches judged right, `spread`
        how much answers vary, as a share of how much truths do."""
        self.opponent.requires_grad_(True)
        answer, truth = _answer(maps), self._truth(maps, batch)
        # Apart, because batch norm would give away which of them are alike.
        real, fake = self._judged(truth, batch).logits, self._judged(answer, batch).logits
        return {
            "discriminator": self.rules.loss.of_opponent(real, fake),
            "discriminator_accuracy": self.rules.loss.accuracy(real, fake),
            "spread": relative_spread(truth, answer),
        }

    def _judged(self, picture: Tensor, batch: Batch) -> Judgement:
        condition = batch["image"] if self.opponent.n_conditions else None
        judgement: Judgement = self.opponent(condition, picture)
        return judgement

    def _truth(self, maps: Tensor, batch: Batch) -> Tensor:
        return batch[self.target].permute(0, 3, 1, 2).to(maps.dtype) / 255


def _answer(maps: Tensor) -> Tensor:
    """Clamped as the answer will be: what lies beyond would give it away."""
    return maps.clamp(0, 1)
