"""The generator of pix2pix: strided convolutions down to one cell, and back up with skips.

Source: Isola, Zhu, Zhou, Efros: Image-to-Image Translation with Conditional Adversarial Networks,
CVPR 2017 (arXiv:1611.07004), appendix 6.1 and its errata.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from img2img.config import ModelOptions, option
from img2img.models.network import Head, Network

Norm = Literal["batch", "instance", "none"]

LEAK = 0.2
"""Slope of the leaky ReLUs below zero."""
_WEIGHT_STD = 0.02
_N_DROPPED = 3
"""Blocks of the decoder with dropout, from the coarsest on."""


class Pix2Pix(nn.Module):
    """Encoder of `depth` 4×4 convolutions with stride 2, C64-C128-C256-C512-…, and its mirror image
    as decoder, with skips at every size but the picture's own.

    Takes (B, 3, h, w) in -1…1, h and w multiples of 2 to the depth, and gives (B, n_maps, h, w).
    Three things differ from the paper: the output is linear, since heads limit values themselves;
    dropout is off outside of training, so that an answer is the same each time; and the bottleneck
    has no norm, which would make a single cell zero (the paper's errata).
    """

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options(ModelOptions):
        width: int = option(64, "Channels of the first convolution; eight times it at most.",
                            low=1, high=1024)  # fmt: skip
        depth: int = option(7, "Halvings: 7 take 128 pixels to one cell, 8 take 256.",
                            low=1, high=10)  # fmt: skip
        norm: Literal["batch", "instance", "none"] = option("batch", "Normalisation of the maps.")
        dropout: float = option(0.5, "Share of values dropped in the three coarsest blocks up.",
                                low=0.0, high=0.99)  # fmt: skip
        padding: Literal["zeros", "reflect"] = option(
            "zeros", "What lies beyond the border: zeros as in the paper, or a mirror."
        )
        upsampling: Literal["transposed", "resize"] = option(
            "transposed", "Transposed convolutions, or enlarging and 3×3 ones: no chequers."
        )

    def __init__(self, options: Options, *, n_maps: int) -> None:
        super().__init__()
        widths = [options.width * min(2**level, 8) for level in range(options.depth)]
        self.encoder = nn.Sequential(
            *(
                _down(before, after, options, level=level)
                for level, (before, after) in enumerate(zip([3, *widths], widths, strict=False))
            )
        )
        self.decoder = nn.ModuleList(
            _up(widths[level], n_maps if level == 0 else widths[level - 1], options, level=level)
            for level in reversed(range(options.depth))
        )
        draw_weights(self, options.norm)

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for level in self.encoder:
            x = level(x)
            skips.append(x)
        coarsest, *others = self.decoder
        maps: Tensor = coarsest(skips.pop())
        for level, skip in zip(others, reversed(skips), strict=True):
            maps = level(torch.cat([skip, maps], dim=1))
        return maps

    @classmethod
    def network(cls, options: Options, head: Head) -> Network:
        """The body with its head; pictures are padded to multiples of 2 to the depth.

        A pixel's answer depends on 3 * 2^depth - 3 px around it: on its way down each level adds a
        cell of the finer size, on its way up one of the coarser size. With instance norm it depends
        on the whole picture.
        """
        body = cls(options, n_maps=head.n_maps)
        stride = 2**options.depth
        halo_px = None if options.norm == "instance" else 3 * stride - 3
        half = (0.5, 0.5, 0.5)
        return Network(body, head, mean=half, std=half, stride=stride, halo_px=halo_px)


class Frame(nn.Module):
    """(B, C, H, W) to (B, C, H + 2, W + 2): a frame of one cell that copies row `inset` from the
    border: 0, the border itself, at any size; 1, reflect-101, from two cells a side on."""

    def __init__(self, inset: int) -> None:
        super().__init__()
        self.inset = inset

    def forward(self, x: Tensor) -> Tensor:
        # Slices: torch's own reflection is no faster, and ONNX Runtime's fails at 2 cells.
        for axis in (2, 3):
            last = x.shape[axis] - 1 - self.inset
            sides = (x.narrow(axis, self.inset, 1), x, x.narrow(axis, last, 1))
            x = torch.cat(sides, dim=axis)
        return x


def _down(before: int, after: int, options: Pix2Pix.Options, *, level: int) -> nn.Sequential:
    # As in the authors' code the first level has no norm, and nor has the last: in a batch of one
    # a single cell is its own mean.
    norm = options.norm if 0 < level < options.depth - 1 else "none"
    mirrored = options.padding == "reflect"
    return nn.Sequential(
        *([nn.LeakyReLU(LEAK)] if level else []),
        *([Frame(1)] if mirrored else []),
        nn.Conv2d(before, after, 4, 2, 0 if mirrored else 1, bias=norm == "none"),
        *norm_layers(norm, after),
    )


def _up(before: int, after: int, options: Pix2Pix.Options, *, level: int) -> nn.Sequential:
    is_coarsest = level == options.depth - 1
    n_in = before if is_coarsest else 2 * before  # with the skip
    norm = options.norm if level else "none"
    # One cell, enlarged and mirrored, is a flat map, and a norm takes flat maps for zeros.
    mirrored = options.padding == "reflect" and not is_coarsest
    has_bias = norm == "none"
    frame = [Frame(0)] if mirrored else []
    if options.upsampling == "resize":
        convolution: nn.Module = nn.Conv2d(n_in, after, 3, 1, 0 if mirrored else 1, bias=has_bias)
        enlarging = [nn.Upsample(scale_factor=2), *frame, convolution]
    else:
        # Of a framed map the transposed convolution's outermost two rows and columns fall away.
        enlarging = [*frame, nn.ConvTranspose2d(n_in, after, 4, 2, 3 if mirrored else 1,
                                                bias=has_bias)]  # fmt: skip
    is_dropped = level > 0 and options.depth - level <= _N_DROPPED and options.dropout > 0
    dropout = [nn.Dropout(options.dropout)] if is_dropped else []
    return nn.Sequential(nn.ReLU(inplace=True), *enlarging, *norm_layers(norm, after), *dropout)


def norm_layers(norm: Norm, channels: int, *, keeps_statistics: bool = True) -> list[nn.Module]:
    """The norm of maps (B, channels, H, W), as at most one layer.

    Args:
        keeps_statistics: whether batch norm gathers statistics for evaluation mode; a network that
            is only ever used in training needs none.
    """
    if norm == "batch":
        return [nn.BatchNorm2d(channels, track_running_stats=keeps_statistics)]
    return [nn.InstanceNorm2d(channels, affine=True)] if norm == "instance" else []


def draw_weights(network: nn.Module, norm: Norm) -> None:
    """Draws all weights as the paper does: normal with deviation 0.02, around 0 in convolutions and
    around 1 in norms (as in the authors' code); biases are zero.

    Without norm, maps would shrink to a thousandth on their way down. All convolutions but the last
    are then drawn so that maps keep their size. Source: He, Zhang, Ren, Sun: Delving Deep into
    Rectifiers, ICCV 2015, equation 15.
    """
    *inner, last = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    for convolution in inner:
        is_small = norm == "none"
        std = math.sqrt(2 / (1 + LEAK**2) / _n_summed(convolution)) if is_small else _WEIGHT_STD
        nn.init.normal_(convolution.weight, 0.0, std)
    nn.init.normal_(last.weight, 0.0, _WEIGHT_STD)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
            nn.init.normal_(module.weight, 1.0, _WEIGHT_STD)
        if isinstance(bias := getattr(module, "bias", None), Tensor):
            nn.init.zeros_(bias)


def _n_summed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> int:
    """Products that make a value of its output, away from the border."""
    taps = math.prod(convolution.kernel_size)
    if isinstance(convolution, nn.ConvTranspose2d):
        taps //= math.prod(convolution.stride)
    return convolution.in_channels * taps
