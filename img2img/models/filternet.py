"""FilterNet: image filters at full resolution, at any size, borders included."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from img2img.config import ModelOptions, option
from img2img.models.network import Head, Network, reflect_pad


class FilterNet(nn.Module):
    """A k×k convolution to pairs of channels, then a learned mixture of values and magnitudes.

    Channel pair p holds two signed responses a, b; the output is a linear mixture of all signed
    responses, of the magnitudes sqrt(a² + b²) and of a constant. Linear filters and gradient
    magnitudes are both exact in it. Borders are reflect-101.
    """

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options(ModelOptions):
        kernel_size: int = option(
            5, "Side of the convolution, odd.", low=1, high=63, odd=True, unit="px"
        )
        pairs: int = option(1, "Pairs of responses, each with a magnitude.", low=1, high=256)

    # sqrt has no gradient at 0; this constant moves a flat area by 0.0003 levels at most.
    _EPSILON = 1e-12

    def __init__(self, *, kernel_size: int, pairs: int, n_maps: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.responses = nn.Conv2d(3, 2 * pairs, kernel_size, bias=False)
        self.signed = nn.Conv2d(2 * pairs, n_maps, 1)
        self.magnitudes = nn.Conv2d(pairs, n_maps, 1, bias=False)
        nn.init.normal_(self.responses.weight, std=1 / kernel_size**2)
        nn.init.zeros_(self.signed.weight)
        nn.init.zeros_(self.signed.bias)  # type: ignore[arg-type]
        nn.init.ones_(self.magnitudes.weight)

    def forward(self, x: Tensor) -> Tensor:
        before = (self.kernel_size - 1) // 2
        after = self.kernel_size // 2
        responses: Tensor = self.responses(reflect_pad(x, before, after, before, after))
        squared = responses[:, 0::2].square() + responses[:, 1::2].square()
        magnitudes = torch.sqrt(squared + self._EPSILON)
        mixed: Tensor = self.signed(responses) + self.magnitudes(magnitudes)
        return mixed

    @classmethod
    def network(cls, options: Options, head: Head) -> Network:
        """The body with its head; its halo is half the kernel."""
        body = cls(kernel_size=options.kernel_size, pairs=options.pairs, n_maps=head.n_maps)
        return Network(body, head, halo_px=options.kernel_size // 2)
