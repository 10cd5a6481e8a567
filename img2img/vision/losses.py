"""Losses on tensors. Each takes maps and a batch and gives a scalar."""

import torch
from torch import Tensor, nn


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


class Terms(nn.Module):
    """A supervised objective: named terms, whose sum is minimised."""

    def __init__(self, **terms: nn.Module) -> None:
        super().__init__()
        self.terms = nn.ModuleDict(terms)

    def forward(self, maps: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: term(maps, batch) for name, term in self.terms.items()}
