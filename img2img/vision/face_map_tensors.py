"""Losses of maps that find faces; the maps are those of `face_maps.encoded`."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CentreLoss(nn.Module):
    """Focal loss of the map of centres, logits (B, 1, h, w): a sum over the known cells, over the
    number of faces (of the batch; at least 1).

    Source: Zhou, Wang, Krähenbühl: Objects as Points, 2019, equation 1 (α = 2, β = 4), after Law,
    Deng: CornerNet, ECCV 2018.
    """

    def forward(self, maps: Tensor, batch: dict[str, Tensor]) -> Tensor:
        logits, heat = _at_least_float32(maps[:, 0]), batch["heat"].to(maps.device)
        probability = logits.sigmoid()
        is_centre = heat == 1
        found = (1 - probability).square() * F.logsigmoid(logits)
        passed = (1 - heat) ** 4 * probability.square() * F.logsigmoid(-logits)
        cost = -torch.where(is_centre, found, passed) * batch["known"]
        return cost.sum() / is_centre.sum().clamp(min=1)


class PlaceLoss(nn.Module):
    """Mean absolute error of some of the maps of `place`, weighted by `told`; where an error is
    below `soft` it counts squared.

    Args:
        planes: which maps of `place`; the network's come after that of the centres.
        soft: in units of the maps.
    """

    def __init__(self, planes: tuple[int, ...], *, soft: float) -> None:
        super().__init__()
        self.planes = list(planes)
        self.soft = soft

    def forward(self, maps: Tensor, batch: dict[str, Tensor]) -> Tensor:
        ours = _at_least_float32(maps[:, 1:][:, self.planes])
        cost = F.smooth_l1_loss(
            ours, batch["place"][:, self.planes].to(ours), reduction="none", beta=self.soft
        )
        told = batch["told"].to(ours)
        return (cost.sum(dim=1) * told).sum() / told.sum().clamp(min=1)


def _at_least_float32(maps: Tensor) -> Tensor:
    return maps if maps.dtype == torch.float64 else maps.float()
