"""The U-Net as first published, with batch normalisation and padded convolutions.

Source: Ronneberger, Fischer, Brox: U-Net, MICCAI 2015 (arXiv:1505.04597).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from img2img.config import ModelOptions, option
from img2img.models.network import Head, Network


class UNet(nn.Module):
    """Contracting path of double 3×3 convolutions, expanding path with skips at every size.

    `width` channels at full resolution, doubled at each of `depth` poolings (the paper: 64 and 4).
    """

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options(ModelOptions):
        width: int = option(64, "Channels at full resolution.", low=1, high=1024)
        depth: int = option(4, "Poolings by two.", low=1, high=8)

    def __init__(self, *, width: int, depth: int, n_maps: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.encoder = nn.ModuleList(
            _double(before, after) for before, after in zip([3, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in reversed(widths[:-1]))
        self.decoder = nn.ModuleList(_double(2 * w, w) for w in reversed(widths[:-1]))
        self.last = nn.Conv2d(width, n_maps, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        for up, block, skip in zip(self.up, self.decoder, reversed(skips[:-1]), strict=True):
            x = block(torch.cat([skip, up(x)], dim=1))
        maps: Tensor = self.last(x)
        return maps

    @classmethod
    def network(cls, options: Options, head: Head) -> Network:
        """The body with its head; pictures are padded to multiples of 2 to the depth."""
        body = cls(width=options.width, depth=options.depth, n_maps=head.n_maps)
        # Per level two convolutions down and two up reach 4 * 2^level px; the bottom half that.
        halo_px = sum(5 * 2**level for level in range(options.depth)) + 3 * 2**options.depth
        return Network(body, head, stride=2**options.depth, halo_px=halo_px)


def _double(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
