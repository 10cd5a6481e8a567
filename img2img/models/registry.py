"""Networks by name: our own families, those of outside packages, and smp's `ARCH:ENCODER`."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from img2img.config import ModelOptions
from img2img.errors import UsageError, unknown_name
from img2img.models.network import Head, Network
from img2img.models.smp import (
    ARCHITECTURES,
    EncoderDecoder,
    EncoderOptions,
    encoder_names,
    split_name,
)
from img2img.registry import load_model, model_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A network, and a sentence for the log on what its encoder started from."""

    network: Network
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A model worth trying first."""

    name: str
    summary: str
    parameters_m: float
    """Millions of parameters with one output map and the options' defaults."""


RECOMMENDED = (
    Row(
        name="filternet",
        summary="Image filters such as sobel, exact at any size.",
        parameters_m=0.000154,
    ),
    Row(
        name="autoencoder",
        summary="The tutorials' baseline; blurs what is finer than 4 pixels.",
        parameters_m=0.01,
    ),
    Row(name="unet", summary="The U-Net as published, from scratch.", parameters_m=31.04),
    Row(
        name="pix2pix",
        summary="The U-Net of pix2pix: sees 128 pixels as one cell; for pictures from pictures.",
        parameters_m=41.82,
    ),
    Row(
        name="regressor",
        summary="A small CNN that ends in numbers: coordinates, coefficients.",
        parameters_m=0.51,
    ),
    Row(
        name="unet:mobilenet_v2",
        summary="Small and quick; ImageNet weights come as an installable package.",
        parameters_m=6.63,
    ),
    Row(
        name="unet:tu-mobilenetv4_conv_small",
        summary="The quickest U-Net that was measured on a CPU.",
        parameters_m=4.98,
    ),
    Row(
        name="unet:tu-tf_efficientnet_lite0",
        summary="Made for int8; ImageNet weights come as an installable package.",
        parameters_m=5.2,
    ),
    Row(name="unet:resnet18", summary="Plain and robust.", parameters_m=14.33),
    Row(
        name="unet:efficientnet-b0",
        summary="EfficientNet encoder with squeeze and excitation.",
        parameters_m=6.25,
    ),
    Row(
        name="unetplusplus:resnet18",
        summary="Denser skips for fine outlines, at more work a pixel.",
        parameters_m=15.97,
    ),
    Row(
        name="fpn:mobilenet_v2",
        summary="A light decoder; answers at a quarter of the size, enlarged.",
        parameters_m=4.22,
    ),
    Row(
        name="deeplabv3plus:resnet50",
        summary="Wide context, for large regions.",
        parameters_m=26.68,
    ),
    Row(
        name="segformer:mit_b0",
        summary="A small transformer that sees the whole picture.",
        parameters_m=3.71,
    ),
)


def options_type(name: str) -> type[ModelOptions]:
    """The options of the model of that name; of `ARCH:ENCODER` only the architecture is checked,
    because knowing the encoders takes seconds.

    Raises:
        UsageError: no model has that name.
    """
    kind: type[ModelOptions] = _family(name).Options
    return kind


def build(
    name: str,
    options: ModelOptions,
    head: Head,
    *,
    pretrained: bool = False,
    download: bool = False,
) -> Built:
    """The network of that name, with `head`.

    Args:
        name: one of `all_names()`, or a timm encoder with its tag (`unet:tu-resnet18.a1_in1k`).
        options: of the class that `options_type` gives.
        head: the decoder, which says how many maps the network puts out.
        pretrained: whether `options.encoder_weights` is obeyed; where weights follow anyway
            (resume, predict, a checkpoint) no encoder weights are looked for.
        download: whether pretrained weights may be fetched from the network.

    Raises:
        UsageError: no model has that name, or its parts do not fit together.
        WeightsError: the encoder weights asked for are missing or of another network.
    """
    family = _family(name)
    if getattr(family, "gives_numbers", False) != head.takes_numbers:
        ends, wants, fits = (
            ("maps", "numbers", "regressor") if head.takes_numbers else ("numbers", "maps", "unet")
        )
        raise UsageError(
            f"{name} ends in {ends}, but the task wants {wants}: choose {fits} or {fits}:ENCODER."
        )
    network: Network = family.network(dataclasses.replace(options, name=name), head)
    if not pretrained:
        return Built(network=network, note=f"model {name}")
    encoder = name.partition(":")[2]
    if not encoder or network.encoder is None or not isinstance(options, EncoderOptions):
        return Built(network=network, note=f"model {name}: from random parameters")
    from img2img.models.pretrained import load_encoder

    note = load_encoder(network.encoder, encoder, options.encoder_weights, download=download)
    return Built(network=network, note=note)


def all_names() -> list[str]:
    """Every name there is, our own first; loads smp and timm (seconds), thousands of names."""
    encoders = encoder_names()
    pairs = (f"{architecture}:{encoder}" for architecture in ARCHITECTURES for encoder in encoders)
    return [*model_names(), *pairs]


def _family(name: str) -> Any:
    """The class with `Options` and `network(options, head)` that builds the model."""
    family = load_model(name)
    if family is not None:
        return family
    own = load_model(name.partition(":")[0])
    if getattr(own, "takes_encoders", False):
        return own
    if ":" in name:
        split_name(name)
        return EncoderDecoder
    raise unknown_name("model", name, {*model_names(), *(row.name for row in RECOMMENDED)})
