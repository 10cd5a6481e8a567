"""The distance of pictures as a network that knows photos sees them."""

from pathlib import Path

import torch
from torch import Tensor, nn

from img2img.errors import UsageError, WeightsError
from img2img.models.pretrained import load_encoder
from img2img.models.smp import check_encoder, statistics
from img2img.vision.image_losses import PictureLoss

_N_STAGES = 3


class PerceptualLoss(PictureLoss):
    """Mean squared distance between unit-length features at the first three sizes of an ImageNet
    encoder, which does not learn; grey pictures are shown to it in all three channels.

    Source: Johnson, Alahi, Fei-Fei: Perceptual Losses for Real-Time Style Transfer, ECCV 2016; the
    features normalised as in Zhang et al.: The Unreasonable Effectiveness of Deep Features as a
    Perceptual Metric, CVPR 2018, without its learned weights.

    Args:
        target: key of the truth in the batch.
        encoder: its name in segmentation_models_pytorch, such as `vgg16` or `resnet18`.
        weights: `imagenet`, from a cache or an installed package, or a file.

    Raises:
        WeightsError: there are no such weights here.
        UsageError: no such encoder.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, target: str, encoder: str, weights: str) -> None:
        super().__init__(target)
        import segmentation_models_pytorch as smp

        check_encoder(encoder)
        named = weights not in ("imagenet", "auto", "none")
        if named and not Path(weights).is_file():
            raise WeightsError(
                f"perceptual.weights={weights} does not exist: give a .safetensors or .pth file."
            )
        try:
            self.encoder = smp.encoders.get_encoder(encoder, depth=_N_STAGES, weights=None)
        except (ValueError, RuntimeError, TypeError, LookupError) as error:
            raise UsageError(f"perceptual.encoder {encoder} gives no features: {error}.") from None
        try:
            load_encoder(self.encoder, encoder, weights)
        except WeightsError as error:
            if named:
                raise
            raise WeightsError(
                f"perceptual.weight compares features of encoder {encoder}, whose weights are not "
                f"here ({str(error).rstrip('.')}): name a file with --set perceptual.weights=FILE."
            ) from None
        self.encoder.eval().requires_grad_(False)
        for name, values in zip(("mean", "std"), statistics(encoder), strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1))

    def loss(self, answer: Tensor, truth: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self._features(truth)
        distances = [
            (ours - theirs).square().sum(dim=1).mean()
            for ours, theirs in zip(self._features(answer), wanted, strict=True)
        ]
        return torch.stack(distances).mean()

    def _features(self, pictures: Tensor) -> list[Tensor]:
        colour = pictures.float().expand(-1, 3, -1, -1)
        height, width = colour.shape[-2:]
        multiple = 2**_N_STAGES
        padding = (0, -width % multiple, 0, -height % multiple)
        framed = nn.functional.pad(colour, padding, mode="replicate")
        maps = self.encoder((framed - self.mean) / self.std)
        return [nn.functional.normalize(layer, dim=1) for layer in maps[1:]]
