"""A residual U-Net without normalisation that begins as the identity: for restoring pictures.

Its form is that of DRUNet (Zhang, Li, Zuo, Zhang, Van Gool, Timofte: Plug-and-Play Image
Restoration with Deep Denoiser Prior, TPAMI 2021): residual blocks, skips that are added, and no
batch statistics, which would mix the light of one picture into another's. Smaller, with biases,
and its maps are what is added to the picture.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from img2img.config import ModelOptions, option
from img2img.models.network import Head, Network


class ResUNet(nn.Module):
    """The picture plus what a U-Net of residual blocks says is missing.

    `width` channels at full resolution, doubled at each of `depth` halvings, `blocks` residual
    blocks a level on the way down and on the way up. One map is added to the picture's grey, three
    to its colours; other numbers of maps stand alone.
    """

    grey: Tensor

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options(ModelOptions):
        width: int = option(16, "Channels at full resolution.", low=1, high=512)
        depth: int = option(3, "Halvings.", low=1, high=6)
        blocks: int = option(1, "Residual blocks a level, each way.", low=1, high=16)

    # Near the identity from the first step on, and yet a gradient for every parameter.
    _FIRST_STD = 1e-3

    def __init__(self, *, width: int, depth: int, blocks: int, n_maps: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(w, 2 * w, 2, 2) for w in widths[:-1])
        self.encoder = nn.ModuleList(_blocks(w, blocks) for w in widths)
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in reversed(widths[:-1]))
        self.decoder = nn.ModuleList(_blocks(w, blocks) for w in reversed(widths[:-1]))
        self.last = nn.Conv2d(width, n_maps, 3, padding=1)
        nn.init.normal_(self.last.weight, std=self._FIRST_STD)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        # BT.601
        grey = torch.tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
        self.register_buffer("grey", grey, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        picture, n_maps = x, self.last.out_channels
        x = self.first(x)
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            x = block(self.down[level - 1](x) if level else x)
            skips.append(x)
        for up, block, skip in zip(self.up, self.decoder, reversed(skips[:-1]), strict=True):
            x = block(up(x) + skip)
        missing: Tensor = self.last(x)
        if n_maps == 1:
            picture = (picture * self.grey).sum(dim=1, keepdim=True)
        return picture + missing if n_maps in (1, 3) else missing

    @classmethod
    def network(cls, options: Options, head: Head) -> Network:
        """The body with its head, on pictures in 0…1; padded to multiples of 2 to the depth."""
        body = cls(
            width=options.width, depth=options.depth, blocks=options.blocks, n_maps=head.n_maps
        )
        # A block reaches 2 px of its level, there is one each way, and halving and doubling add
        # one; at the bottom there is one way only.
        reach = 4 * options.blocks + 1
        halo_px = 2 + sum(reach * 2**level for level in range(options.depth))
        halo_px += (2 * options.blocks + 1) * 2**options.depth
        return Network(body, head, stride=2**options.depth, halo_px=halo_px)


class _Block(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.body(x)
        return added


def _blocks(width: int, n: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(width) for _ in range(n)))
