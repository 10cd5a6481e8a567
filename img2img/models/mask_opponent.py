"""Learning from pictures without labels, where an opponent tells which masks can be believed."""

import torch
from torch import Tensor
from torch.nn import functional as F

from img2img.models.discriminator import PatchDiscriminator
from img2img.models.opponent import Adversarial, Batch
from img2img.vision.adversarial import GanLoss, relative_spread
from img2img.vision.classes import IGNORE
from img2img.vision.losses import Terms


class OpposedMasks(Adversarial):
    """A discriminator learns to tell the network's masks from labelled ones. The network learns to
    fool it; and where nobody labelled, it learns the teacher's classes where the discriminator
    takes the teacher's mask for a labelled one.

    Masks are shares of classes (B, K, H, W), one-hot where they are labels. What lies outside of
    the picture, or is `IGNORE` in a labelled one, is background in all of them. Which pictures are
    labelled stands in the batch under `labelled`, (B, 1) bool.

    Source: Hung, Tsai, Liou, Lin, Yang: Adversarial Learning for Semi-Supervised Semantic
    Segmentation, BMVC 2018 (arXiv:1802.07934), with patches instead of pixels, and with a moving
    average as teacher instead of the network itself.

    Args:
        terms: the supervised part.
        opponent: judges masks alone, without the picture.
        target: key of the true classes in the batch, (B, H, W).
        weight: of the GAN loss.
        pseudo_weight: of the cross-entropy where nobody labelled.
        confidence: least verdict of the opponent, 0…1, on a pixel that is learned from.
        unbelieved_steps: first steps, in which the opponent learns and nobody asks it.
        loss: what both players minimise.
    """

    n_judged: Tensor
    needs_teacher = True
    rate = 0.1

    def __init__(
        self,
        terms: Terms,
        opponent: PatchDiscriminator,
        *,
        target: str,
        weight: float,
        pseudo_weight: float,
        confidence: float,
        unbelieved_steps: int,
        loss: GanLoss,
    ) -> None:
        super().__init__()
        self.terms = terms
        self.opponent = opponent
        self.target = target
        self.weight = weight
        self.pseudo_weight = pseudo_weight
        self.confidence = confidence
        self.unbelieved_steps = unbelieved_steps
        self.loss = loss
        self.register_buffer("n_judged", torch.zeros((), dtype=torch.int64))

    def forward(self, maps: Tensor, batch: Batch) -> dict[str, Tensor]:
        self.opponent.requires_grad_(False)
        losses: dict[str, Tensor] = self.terms(maps, batch)
        mask = _shown(maps, self._seen(batch))
        losses["gan"] = self.weight * self.loss.of_network(self.opponent(None, mask).logits)
        losses["pseudo"] = self.pseudo_weight * self._pseudo(maps, batch)
        return losses

    def judge(self, maps: Tensor, batch: Batch) -> dict[str, Tensor]:
        """As the base says. Pictures without labels tell it nothing: there is no truth beside."""
        self.opponent.requires_grad_(True)
        self.n_judged += 1
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
            "discriminator": self.loss.of_opponent(*verdicts) * has_labels.any(),
            "discriminator_accuracy": self.loss.accuracy(*verdicts),
            "spread": relative_spread(real, fake),
        }

    def _seen(self, batch: Batch) -> Tensor:
        """(B, H, W) bool: the picture, without what is ignored in labelled ones."""
        known = batch[self.target] != IGNORE
        has_labels = batch["labelled"].bool()[:, :, None]
        return torch.where(has_labels, known, batch["inside"].bool())

    def _pseudo(self, maps: Tensor, batch: Batch) -> Tensor:
        """The mean cross-entropy of chosen pixels, times their share of all without labels."""
        unlabelled = batch["inside"].bool() & (batch[self.target] == IGNORE)
        teacher = batch.get("teacher", maps).detach().float()
        with torch.no_grad():
            verdict = self.opponent(None, _shown(teacher, batch["inside"].bool())).logits
        believed = self.loss.confidence(verdict)
        believed = F.interpolate(believed, maps.shape[-2:], mode="bilinear", align_corners=False)
        is_asked = self.n_judged >= self.unbelieved_steps
        chosen = unlabelled & (believed[:, 0] >= self.confidence) & is_asked
        surprise = F.cross_entropy(maps.float(), teacher.argmax(dim=1), reduction="none")
        total = surprise.where(chosen, torch.zeros_like(surprise)).sum()
        return total / unlabelled.sum().clamp(min=1)


def _shown(scores: Tensor, seen: Tensor) -> Tensor:
    """Shares of classes (B, K, H, W) of scores; background where nothing is `seen`, (B, H, W)."""
    shares = scores.float().softmax(dim=1)
    background = torch.zeros_like(shares)
    background[:, 0] = 1
    return torch.where(seen[:, None], shares, background)
