"""Losses of pictures beyond the distance of pixels. Each takes maps and a batch, gives a scalar.

As in `losses.ClippedLoss` maps are (B, C, H, W) in 0…1, the truth is (B, H, W, C) float32 in 0…255
under its key in the batch, and where it stands at a limit, what lies beyond costs nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from img2img.errors import UsageError

_WINDOW_PX = 11
_SIGMA_PX = 1.5
_C1, _C2 = 0.01**2, 0.03**2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of MS-SSIM, from the finest scale to the coarsest."""


class PictureLoss(nn.Module, ABC):
    """Compares pictures in float32, whatever the precision of the network.

    Args:
        target: key of the truth in the batch.
    """

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def forward(self, maps: Tensor, batch: dict[str, Tensor]) -> Tensor:
        truth = batch[self.target].permute(0, 3, 1, 2) / 255
        # Autocast would blur squares in half precision, whose differences are what SSIM is about.
        with torch.autocast(maps.device.type, enabled=False):
            answer = maps if maps.dtype == torch.float64 else maps.float()
            truth = truth.to(answer.dtype)
            is_right = ((truth >= 1) & (answer > 1)) | ((truth <= 0) & (answer < 0))
            return self.loss(torch.where(is_right, truth, answer), truth)

    @abstractmethod
    def loss(self, answer: Tensor, truth: Tensor) -> Tensor:
        """Scalar of two (B, C, H, W), the truth in 0…1."""


class CharbonnierLoss(PictureLoss):
    """Mean of sqrt(d² + ε²) - ε: the absolute distance, rounded off where it is less than ε.

    Source: Charbonnier, Blanc-Féraud, Aubert, Barlaud: Two deterministic half-quadratic
    regularization algorithms for computed imaging, ICIP 1994; ε as in Lai et al., CVPR 2017.
    """

    def __init__(self, target: str, epsilon: float = 1e-3) -> None:
        super().__init__(target)
        self.epsilon = epsilon

    def loss(self, answer: Tensor, truth: Tensor) -> Tensor:
        distances = ((answer - truth).square() + self.epsilon**2).sqrt()
        return distances.mean() - self.epsilon


class GradientLoss(PictureLoss):
    """Mean absolute distance of the differences between neighbours, of those side by side plus of
    those one above the other; an axis of one pixel has none.

    Source: Mathieu, Couprie, LeCun: Deep multi-scale video prediction beyond mean square error,
    ICLR 2016, equation 6, with signed differences: an edge that turns around is no match.
    """

    def loss(self, answer: Tensor, truth: Tensor) -> Tensor:
        error = answer - truth
        across, down = error.diff(dim=3).abs(), error.diff(dim=2).abs()
        # The mean of nothing would be NaN.
        return across.sum() / max(1, across.numel()) + down.sum() / max(1, down.numel())


class SsimLoss(PictureLoss):
    """1 - SSIM, the mean of all pixels and channels; the same as `metrics.structural_similarity`.

    Like `MsSsimLoss` it raises UsageError where a side has less than 6 pixels.
    """

    def loss(self, answer: Tensor, truth: Tensor) -> Tensor:
        luminance, structure = similarity_maps(answer, truth)
        return 1 - (luminance * structure).mean()


class MsSsimLoss(PictureLoss):
    """1 - MS-SSIM, the mean of the pictures: what two pictures share in structure at five scales,
    each half as large as the one before, and in luminance at the coarsest.

    Scales at which less than a window of 11 pixels would remain are left out, and the weights of
    the others made to sum to 1: 176 pixels have all five, 128 have four, less than 22 just SSIM.

    Source: Wang, Simoncelli, Bovik: Multiscale structural similarity for image quality assessment,
    Asilomar 2003.
    """

    def loss(self, answer: Tensor, truth: Tensor) -> Tensor:
        side = min(answer.shape[-2:])
        kept = [w for scale, w in enumerate(SCALE_WEIGHTS) if side >> scale >= _WINDOW_PX]
        weights = kept or SCALE_WEIGHTS[:1]
        product = answer.new_ones(len(answer))
        for scale, weight in enumerate(weights):
            if scale:
                answer, truth = F.avg_pool2d(answer, 2), F.avg_pool2d(truth, 2)
            luminance, structure = similarity_maps(answer, truth)
            is_last = scale == len(weights) - 1
            shared = (luminance * structure if is_last else structure).mean(dim=(1, 2, 3))
            # A negative one has no such power, and at 0 the power's slope is infinite.
            product = product * shared.clamp(min=1e-4) ** (weight / sum(weights))
        return 1 - product.mean()


def similarity_maps(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """What two pictures (B, C, H, W) in 0…1 share in luminance, and in contrast and structure, at
    every pixel, (B, C, H, W) each; their product is SSIM. Borders are reflect-101.

    Source: Wang, Bovik, Sheikh, Simoncelli: Image quality assessment, IEEE TIP 2004; Gaussian
    window 11×11 with σ 1.5, K1 0.01, K2 0.03.

    Raises:
        UsageError: a side has less than 6 pixels.
    """
    mean_a, mean_b, square_a, square_b, product = _windowed(
        torch.stack([a, b, a * a, b * b, a * b])
    ).unbind()
    variances = square_a - mean_a**2 + square_b - mean_b**2
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return luminance, (2 * (product - mean_a * mean_b) + _C2) / (variances + _C2)


def _windowed(planes: Tensor) -> Tensor:
    """Gaussian means (…, H, W) around every pixel."""
    height, width = planes.shape[-2:]
    reach = _WINDOW_PX // 2
    if min(height, width) <= reach:
        raise UsageError(
            f"SSIM needs pictures of at least {reach + 1} pixels a side, not {height}×{width}: "
            "raise --image-size or choose another loss."
        )
    offsets = torch.arange(_WINDOW_PX, dtype=planes.dtype, device=planes.device) - reach
    window = torch.exp(-0.5 * (offsets / _SIGMA_PX) ** 2)
    window = window / window.sum()
    framed = F.pad(planes.reshape(-1, 1, height, width), (reach,) * 4, mode="reflect")
    rows = F.conv2d(framed, window.view(1, 1, 1, -1))
    return F.conv2d(rows, window.view(1, 1, -1, 1)).view(planes.shape)


PICTURE_LOSSES: Mapping[str, type[PictureLoss]] = {
    "charbonnier": CharbonnierLoss,
    "gradient": GradientLoss,
    "ssim": SsimLoss,
    "ms-ssim": MsSsimLoss,
}
