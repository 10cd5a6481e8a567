"""The objective of pictures from pictures: a sum of losses that users write as text."""

from torch import nn

from img2img.vision.image_losses import PICTURE_LOSSES
from img2img.vision.loss_sums import parse_picture_losses
from img2img.vision.losses import ClippedLoss, Terms


def picture_terms(text: str, *, target: str) -> Terms:
    """Of a sum such as `l1`, `l1+ssim` or `charbonnier+0.5*gradient`.

    Args:
        target: key of the true pictures in the batch, (B, H, W, C) in 0…255.

    Raises:
        UsageError: it has another form, or an unknown name.
    """
    factors = parse_picture_losses(text)
    return Terms(weights=factors, **{name: _picture_loss(name, target) for name in factors})


def _picture_loss(name: str, target: str) -> nn.Module:
    power = {"l1": 1, "mse": 2}.get(name)
    return PICTURE_LOSSES[name](target) if power is None else ClippedLoss(target, power)
