"""A small convolutional autoencoder: the plain baseline that tutorials start with."""

from dataclasses import dataclass

from torch import Tensor, nn

from img2img.config import ModelOptions, option
from img2img.models.network import Head, Network


class Autoencoder(nn.Module):
    """Two 3×3 convolutions down (3 → 16 → 32) and two transposed ones back, batch-normalised.

    Without skips at full resolution it blurs: what is finer than 4 px is lost in the middle.
    """

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options(ModelOptions):
        width: int = option(16, "Channels of the first convolution.", low=1, high=4096)

    def __init__(self, *, width: int, n_maps: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *_block(nn.Conv2d(3, width, 3, stride=2, padding=1), width),
            *_block(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), 2 * width),
        )
        self.decoder = nn.Sequential(
            *_block(nn.ConvTranspose2d(2 * width, width, 3, 2, 1, output_padding=1), width),
            nn.ConvTranspose2d(width, n_maps, 3, 2, 1, output_padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.decoder(self.encoder(x))
        return maps

    @classmethod
    def network(cls, options: Options, head: Head) -> Network:
        """The body with its head. An answer depends on at most 6 px around it (two strided
        3×3 convolutions, two transposed ones)."""
        body = cls(width=options.width, n_maps=head.n_maps)
        return Network(body, head, stride=4, halo_px=6)


def _block(convolution: nn.Module, channels: int) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
