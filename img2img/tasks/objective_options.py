"""The options of a discriminator and of a distance of features, and the objective that they ask
for: what tasks with pictures as answers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from img2img.config import option

if TYPE_CHECKING:
    from torch import nn

    from img2img.tasks.segmentation_options import SemiOptions
    from img2img.vision.losses import Terms

PIX2PIX_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "train": {
        "optimizer": "adam", "lr": 2e-4, "beta1": 0.5, "weight_decay": 0.0, "schedule": "linear",
        "early_stopping": 20,
    },
    "adversarial": {"weight": 1.0},
}  # fmt: skip
"""How pix2pix is trained as published, but for batches of one and what else the task's defaults
say; {group: {option: value}}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdversarialOptions:
    """A discriminator that learns to tell answers from truths, which the network learns to fool."""

    switch: ClassVar[str] = "adversarial.weight"

    weight: float = option(0.0, "Weight of the GAN loss; 0: no discriminator.", low=0.0)
    distance_weight: float = option(100.0, "Weight of task.loss beside the GAN loss.", low=0.0)
    loss: Literal["least-squares", "vanilla"] = option(
        "least-squares", "Squared distances, or cross-entropy, of the discriminator's verdicts."
    )
    patch: Literal[1, 16, 70, 286] = option(
        70, "Side of the patches that it judges; 1: each pixel alone.", unit="pixels"
    )
    width: int = option(64, "Channels of its first convolution.", low=1, high=1024)
    norm: Literal["batch", "instance", "none"] = option("batch", "Normalisation of its maps.")
    rate: float = option(
        1.0, "Its learning rate, as a factor on the network's.", low=0.0, high=100.0
    )
    smoothing: float = option(0.0, "How far below 1 its target for truths lies.", low=0.0, high=0.5)
    features: float = option(0.0, "Weight of feature matching; 0: none.", low=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerceptualOptions:
    """The distance of features of an ImageNet encoder, beside task.loss."""

    switch: ClassVar[str] = "perceptual.weight"

    weight: float = option(0.0, "Weight of the distance of features; 0: none.", low=0.0)
    encoder: str = option(
        "tu-tf_efficientnet_lite0", "Encoder whose features are compared, such as vgg16."
    )
    weights: str = option(
        "imagenet",
        "Its weights: imagenet (cached or installed), or a .safetensors or .pth file.",
        local=True,
    )


def add_perceptual(terms: Terms, options: PerceptualOptions, *, target: str) -> Terms:
    """The terms, with the distance of features where the options ask for it.

    Raises:
        WeightsError: the encoder's weights are not here.
    """
    if options.weight:
        from img2img.models.perceptual import PerceptualLoss

        loss = PerceptualLoss(target, options.encoder, options.weights)
        terms.add("perceptual", loss, options.weight)
    return terms


def opposed(terms: Terms, options: AdversarialOptions, *, target: str, channels: int) -> nn.Module:
    """The terms alone, or with a discriminator where the options ask for one.

    Args:
        target: key of the true pictures in the batch, (B, H, W, channels) in 0…255.
    """
    if not options.weight:
        return terms
    from img2img.models.discriminator import N_LAYERS, PatchDiscriminator
    from img2img.models.opponent import Opposed, Rules
    from img2img.vision.adversarial import GanLoss

    terms.weights |= {
        name: w * options.distance_weight for name, w in terms.weights.items()
        if name != "perceptual"
    }  # fmt: skip
    opponent = PatchDiscriminator(
        channels, width=options.width, n_layers=N_LAYERS[options.patch], norm=options.norm
    )
    loss = GanLoss(kind=options.loss, smoothing=options.smoothing)
    rules = Rules(loss=loss, weight=options.weight, rate=options.rate)
    return Opposed(terms, opponent, rules, target=target, features=options.features)


def opposed_masks(terms: Terms, options: SemiOptions, *, n_classes: int) -> nn.Module:
    """The terms, and a discriminator of masks that chooses what is learned without labels; see
    `models.mask_opponent`."""
    from img2img.models.discriminator import PatchDiscriminator
    from img2img.models.mask_opponent import OpposedMasks, PseudoLabels
    from img2img.models.opponent import Rules
    from img2img.vision.adversarial import GanLoss

    opponent = PatchDiscriminator(n_classes, width=32, n_layers=3, norm="none", n_conditions=0)
    rules = Rules(loss=GanLoss(kind="vanilla"), weight=options.adversarial, rate=0.1)
    pseudo = PseudoLabels(
        weight=options.weight,
        believed=options.believed,
        unbelieved_steps=options.unbelieved_steps,
    )
    return OpposedMasks(terms, opponent, rules, pseudo, target="classes")
