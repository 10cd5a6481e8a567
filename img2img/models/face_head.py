"""The head of a network that finds faces."""

from typing import ClassVar

import torch
from torch import Tensor

from img2img.models.network import Head
from img2img.vision.face_maps import UNIT_PX
from img2img.vision.heatmaps import to_pixels


class FaceHead(Head):
    """A face a cell: maps are the logit of its centre, the way there (x and y, in cells), the
    logarithm of its side, sine and cosine of its angle.

    Gives `probability` (B, h, w) in 0…1, `centre` (B, h, w, 2), x and y in pixels of the network's
    picture, `side` (B, h, w) in pixels and `angle` (B, h, w) in radians, clockwise as seen.
    """

    outputs: ClassVar[tuple[str, ...]] = ("probability", "centre", "side", "angle")
    n_maps = 6

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        height, width = maps.shape[-2:]
        columns = torch.arange(width, device=maps.device).to(maps.dtype)
        rows = torch.arange(height, device=maps.device).to(maps.dtype)
        x, y = maps[:, 1] + columns, maps[:, 2] + rows[:, None]
        return {
            "probability": maps[:, 0].sigmoid(),
            "centre": to_pixels(torch.stack([x, y], dim=-1), self.stride),
            # Twice the range that is trained: an untrained network's answers stay finite.
            "side": UNIT_PX * maps[:, 3].clamp(-4, 4).exp(),
            "angle": torch.atan2(maps[:, 4], maps[:, 5]),
        }
