"""Learning from pictures without labels, where an opponent tells which masks can be believed."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from img2img.models.discriminator import PatchDiscriminator
from img2img.models.opponent import Adversarial, Batch, Rules
from img2img.vision.adversarial import relative_spread
from img2img.vision.classes import IGNORE
from img2img.vision.losses import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class PseudoLabels:
    """How a mask is learned that nobody drew: with a cross-entropy of this weight, where the
    opponent's verdict on a pixel, 0…1, is at least `believed`, and not in the first
    `unbelieved_steps`, in which the opponent learns and nobody asks it."""

    weight: float
    believed: float
    unbelieved_steps: int


class OpposedMasks(Adversarial):
    """A discriminator learns to tell the network's masks from labelled ones. The network learns to
    fool it; and where nobody labelled, it learns the teacher's classes where the discriminator
    takes the teacher's mask for a labelled one.

    Masks are shares of classes (B, K, H, W), one-hot where they are labels, (B, H, W) in the batch.
    What lies outside of the picture, or is `IGNORE` in a labelled one, is background in all of
    them. Which pictures are labelled stands in the batch under `labelled`, (B, 1) bool. The
    opponent judges masks alone, without the picture.

    Source: Hung, Tsai, Liou, Lin, Yang: Adversarial Learning for Semi-Supervised Semantic
    Segmentation, BMVC 2018 (arXiv:1802.07934), with patches instead of pixels, and with a moving
    average as teacher instead of the network itself.

    Args:
        pseudo: how pixels without labels are learned.
    """

    needs_teacher = True

    def __init__(
        self,
        terms: Terms,
        opponent: PatchDiscriminator,
        rules: Rules,
        pseudo: PseudoLabels,
        *,
        target: str,
    ) -> None:
        super().__init__(terms, opponent, rules, target=target)
        self.pseudo = pseudo

    def forward(self, maps: Tensor, batch: Batch) -> dict[str, Tensor]:
        self.opponent.requires_grad_(False)
        losses: dict[str, Tensor] = self.terms(maps, batch)
        mask = _shown(maps, self._seen(batch))
        verdict = self.opponent(None, mask).logits
        losses["gan"] = self.rules.weight * self.rules.loss.of_network(verdict)
        losses["pseudo"] = self.pseudo.weight * self._pseudo_loss(maps, batch)
        return losses

    def judge(self, maps: Tensor, batch: Batch) -> dict[str, Tensor]:
        """As the base says. Pictures without labels tell it nothing: there is no truth beside."""
        self.opponent.requires_grad_(True)
        known = batch[self.target] != IGNORE
        has_labels = batch["labelled"].bool()[:, 0]
        truth = F.one_hot(batch[self.target].long() * known, maps.shape[1])
        real, fake = truth.movedim(-1, 1).to(maps), _shown(maps, known)
        # In the place of pictures without labels stand the labelled ones of the batch.
        order = has_labels.float().argsort(descending=True, stable=True)
        n = has_labels.sum().clamp(min=1)
        chosen = order[torch.arange(len(order), device=order.device) % n]
        real, fake = real[chosen], fake[chosen]
        verdicts = self.opponent(None, real).logits, self.opponent(None, fake).logits
        return {
            "discriminator": self.rules.loss.of_opponent(*verdicts) * has_labels.any(),
            "discriminator_accuracy": self.rules.loss.accuracy(*verdicts),
            "spread": relative_spread(real, fake),
        }

    def _seen(self, batch: Batch) -> Tensor:
        """(B, H, W) bool: the picture, without what is ignored in labelled ones."""
        known = batch[self.target] != IGNORE
        has_labels = batch["labelled"].bool()[:, :, None]
        return torch.where(has_labels, known, batch["inside"].bool())

    def _pseudo_loss(self, maps: Tensor, batch: Batch) -> Tensor:
        """The mean cross-entropy of chosen pixels, times their share of all without labels."""
        unlabelled = batch["inside"].bool() & (batch[self.target] == IGNORE)
        teacher = batch.get("teacher", maps).detach().float()
        with torch.no_grad():
            logits = self.opponent(None, _shown(teacher, batch["inside"].bool())).logits
        verdict = self.rules.loss.confidence(logits)
        verdict = F.interpolate(verdict, maps.shape[-2:], mode="bilinear", align_corners=False)
        is_asked = self.step >= self.pseudo.unbelieved_steps
        chosen = unlabelled & (verdict[:, 0] >= self.pseudo.believed) & is_asked
        surprise = F.cross_entropy(maps.float(), teacher.argmax(dim=1), reduction="none")
        total = surprise.where(chosen, torch.zeros_like(surprise)).sum()
        return total / unlabelled.sum().clamp(min=1)


def _shown(scores: Tensor, seen: Tensor) -> Tensor:
    """Shares of classes (B, K, H, W) of scores; background where nothing is `seen`, (B, H, W)."""
    shares = scores.float().softmax(dim=1)
    background = torch.zeros_like(shares)
    background[:, 0] = 1
    return torch.where(seen[:, None], shares, background)
