"""The discriminator of pix2pix: which patches of a picture are real, given the one it came from.

Source: Isola, Zhu, Zhou, Efros: Image-to-Image Translation with Conditional Adversarial Networks,
CVPR 2017 (arXiv:1611.07004), appendix 6.1.2; the layers as in the authors' code.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from img2img.errors import UsageError
from img2img.models.pix2pix import LEAK, Norm, draw_weights, norm_layers

N_LAYERS: Mapping[int, int] = {1: 0, 16: 1, 70: 3, 286: 5}
"""{side of a patch in pixels: layers}: the paper's PixelGAN, 16×16, 70×70 and its ImageGAN."""


class Judgement(NamedTuple):
    """`logits` (B, 1, h, w), a patch each, greater where it looks real; `features`, the maps
    (B, C, h, w) behind every layer but the last, for feature matching."""

    logits: Tensor
    features: list[Tensor]


class PatchDiscriminator(nn.Module):
    """Judges every patch of a picture beside its condition, the picture that it was made from.

    `n_layers` 4×4 convolutions halve the maps, C64-C128-C256-…, the first without norm; two more
    of stride 1 end in the logits. With no layers, 1×1 convolutions judge each pixel alone. Batch
    norm uses each batch's own statistics and keeps none: there is no other state than parameters.

    Args:
        n_channels: channels of the pictures that are judged.
        width: channels of the first convolution; eight times as many at most (the paper: 64).
        n_layers: see `N_LAYERS`.
        norm: of the maps.
        n_conditions: channels of the condition; 0: pictures are judged alone.
    """

    def __init__(
        self,
        n_channels: int,
        *,
        width: int = 64,
        n_layers: int = 3,
        norm: Norm = "batch",
        n_conditions: int = 3,
    ) -> None:
        super().__init__()
        self.n_layers = n_layers
        self.n_conditions = n_conditions
        before = n_conditions + n_channels
        side, pad = (4, 1) if n_layers else (1, 0)
        layers: list[nn.Module] = []
        for number in range(max(n_layers, 1) + 1):
            after = width * min(2**number, 8)
            stride = 2 if number < n_layers else 1
            kept: Norm = norm if number else "none"
            convolution = nn.Conv2d(before, after, side, stride, pad, bias=kept == "none")
            norms = norm_layers(kept, after, keeps_statistics=False)
            layers.append(nn.Sequential(convolution, *norms, nn.LeakyReLU(LEAK)))
            before = after
        self.layers = nn.ModuleList(layers)
        self.last = nn.Conv2d(before, 1, side, 1, pad)
        draw_weights(self, norm)

    @property
    def patch_px(self) -> int:
        """Side of the patch that one logit sees: 1, 16, 34, 70, 142 or 286 px for 0…5 layers."""
        return (9 << self.n_layers) - 2 if self.n_layers else 1

    @property
    def least_px(self) -> int:
        """Side of the smallest picture that it can judge."""
        return 3 << self.n_layers

    def check_size(self, height: int, width: int) -> None:
        """Refuses pictures that it cannot judge.

        Raises:
            UsageError: they are smaller than `least_px`.
        """
        if min(height, width) < self.least_px:
            raise UsageError(
                f"patches of {self.patch_px} pixels need pictures of at least {self.least_px} a "
                f"side, not {height}×{width}: raise --image-size or choose smaller patches."
            )

    def forward(self, condition: Tensor | None, picture: Tensor) -> Judgement:
        """Judges a batch.

        Args:
            condition: what a network takes: uint8 (B, H, W, n_conditions), or float
                (B, n_conditions, H, W) in 0…1; None with `n_conditions` 0.
            picture: (B, n_channels, H, W) in 0…1. A network's maps are to be clamped before: what
                lies beyond is clipped in its answer, and would give it away.

        Raises:
            UsageError: the pictures are smaller than `least_px`.
        """
        self.check_size(*picture.shape[-2:])
        features: list[Tensor] = []
        x = self._joined(condition, picture) * 2 - 1
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return Judgement(self.last(x), features)

    def _joined(self, condition: Tensor | None, picture: Tensor) -> Tensor:
        if condition is None:
            return picture
        if condition.dtype == torch.uint8:
            condition = condition.permute(0, 3, 1, 2).to(picture.dtype) / 255
        return torch.cat([condition, picture], dim=1)
