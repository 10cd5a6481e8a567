"""Networks that end in a few numbers: a picture, seen as a whole, goes in; no map comes out."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from img2img.config import option
from img2img.models.network import Head, Network
from img2img.models.smp import EncoderOptions, GridMean, check_encoder, statistics

GRID = 4
"""Side of the grid of means in which features keep where they are."""
_WIDTHS = (32, 64, 128, 128)


class Regressor:
    """`regressor`, a small convolutional network of its own; `regressor:ENCODER`, one on any
    encoder of the registry. How much of an encoder learns is `train.frozen_stages`."""

    gives_numbers: ClassVar[bool] = True
    takes_encoders: ClassVar[bool] = True

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options(EncoderOptions):
        """What the encoder starts from, and the width before the numbers."""

        hidden: int = option(256, "Width of the layer before the numbers.", low=1)

    @classmethod
    def network(cls, options: Options, head: Head) -> Network:
        """The network of `options.name` with its head, not pretrained.

        Raises:
            UsageError: no such encoder.
        """
        encoder = options.name.partition(":")[2]
        if not encoder:
            body = _Body(_small_encoder(), _WIDTHS[-1], options.hidden, head.n_maps)
            return Network(body, head, stride=1 << len(_WIDTHS))
        check_encoder(encoder)
        from segmentation_models_pytorch.encoders import get_encoder

        features = get_encoder(encoder, weights=None)
        body = _Body(features, features.out_channels[-1], options.hidden, head.n_maps)
        mean, std = statistics(encoder)
        return Network(body, head, mean=mean, std=std, stride=32)


class _Body(nn.Module):
    """Features, their means on a grid, two layers; (B, 3, h, w) to (B, n, 1, 1)."""

    def __init__(self, encoder: nn.Module, width: int, hidden: int, n: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.numbers = nn.Sequential(
            nn.Conv2d(width, 64, 1),
            GridMean(GRID),
            nn.Flatten(),
            nn.Linear(64 * GRID**2, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, n),
        )

    def forward(self, x: Tensor) -> Tensor:
        features = self.encoder(x)
        last = features if isinstance(features, Tensor) else features[-1]
        numbers: Tensor = self.numbers(last)
        return numbers[:, :, None, None]


def _small_encoder() -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, width in zip((3, *_WIDTHS), _WIDTHS, strict=False):
        layers += [
            nn.Conv2d(before, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(*layers)
