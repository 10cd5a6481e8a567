"""Encoder-decoder networks of segmentation_models_pytorch, named `ARCHITECTURE:ENCODER`.

Encoders are those of its own list (`unet:resnet18`) and every timm model with a pyramid of
features (`unet:tu-mobilenetv4_conv_small`). The library takes seconds to import, so that only the
functions that build or list networks do it.
"""

import inspect
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import torch
from torch import Tensor, nn

from img2img.config import ModelOptions, option
from img2img.errors import UsageError, unknown_name
from img2img.models.network import Head, Network

# DPT is left out: its encoders take one picture size only. The number is the multiple of pixels
# that a picture is padded to. It is the encoder's output stride, except for PAN, whose decoder
# pools the stride-16 features three times more.
ARCHITECTURES = {
    "unet": 32,
    "unetplusplus": 32,
    "manet": 32,
    "linknet": 32,
    "fpn": 32,
    "pspnet": 8,
    "deeplabv3": 8,
    "deeplabv3plus": 16,
    "pan": 128,
    "upernet": 32,
    "segformer": 32,
}

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_INCEPTION = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_DPN = ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3)
# smp 0.6 keeps these figures in files on a hub, out of reach offline; here is what the published
# configurations of these families state. Every other encoder has ImageNet's.
_PREFIX_STATISTICS = {
    "dpn": _DPN,
    "inception": _INCEPTION,
    "xception": _INCEPTION,
    "timm-tf_efficientnet_lite": _INCEPTION,
}

# What libraries raise for an encoder that does not fit an architecture.
_BUILD_ERRORS = (
    ValueError, RuntimeError, TypeError, AttributeError, AssertionError, LookupError,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderOptions(ModelOptions):
    """What the encoder starts from."""

    encoder_weights: str = option(
        "auto",
        "What the encoder starts from: auto (ImageNet if cached or installed, else nothing), "
        "none, imagenet, or a .safetensors or .pth file.",
    )


class EncoderDecoder:
    """The family of all `ARCHITECTURE:ENCODER` names."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Options(EncoderOptions):
        """What the encoder starts from, how far it goes, and how wide the decoder is."""

        decoder: Literal["full", "half"] = option(
            "full", "Width of the decoder; half has half the channels everywhere."
        )
        encoder_depth: int = option(
            5, "Times the encoder halves the picture; fewer make a smaller network that sees less "
            "far.", low=3, high=5,
        )  # fmt: skip

    @classmethod
    def network(cls, options: Options, head: Head) -> Network:
        """The network of `options.name` with its head, not pretrained.

        The halo is the whole picture: these encoders reach hundreds of pixels, some pool globally.

        Raises:
            UsageError: no such architecture or encoder, or the two do not fit together.
        """
        architecture, encoder = split_name(options.name)
        check_encoder(encoder)
        body = _body(architecture, encoder, options, n_maps=head.n_maps)
        map_stride = _coarsen(body, head.stride, n_maps=head.n_maps)
        mean, std = statistics(encoder)
        stride = ARCHITECTURES[architecture]
        return Network(body, head, mean=mean, std=std, stride=stride, map_stride=map_stride)


def split_name(name: str) -> tuple[str, str]:
    """(architecture, encoder) of `ARCHITECTURE:ENCODER`; only the architecture is checked.

    Raises:
        UsageError: the architecture does not exist.
    """
    architecture, _, encoder = name.partition(":")
    if architecture not in ARCHITECTURES:
        raise unknown_name("architecture", architecture, ARCHITECTURES)
    return architecture, encoder


def encoder_names() -> list[str]:
    """Names of all encoders: smp's own, then timm's behind `tu-`.

    Those of timm that give no pyramid of features are in it; building them is refused.
    """
    import timm
    from segmentation_models_pytorch.encoders import get_encoder_names

    return [*get_encoder_names(), *(f"tu-{name}" for name in timm.list_models())]


def check_encoder(encoder: str) -> None:
    """Pass if smp or timm has that encoder, at whatever timm tag (`tu-resnet18.a1_in1k`).

    Raises:
        UsageError: neither has it; the nearest names are in the message.
    """
    names = encoder_names()
    if encoder.partition(".")[0] in names:
        return
    raise unknown_name("encoder", encoder, get_close_matches(encoder, names, n=8, cutoff=0.0))


def statistics(encoder: str) -> tuple[Sequence[float], Sequence[float]]:
    """(mean, deviation), a channel each, of the pictures in 0…1 that the encoder expects."""
    if encoder.startswith("tu-"):
        from timm.models import get_pretrained_cfg

        settings = get_pretrained_cfg(encoder.removeprefix("tu-"))
        return IMAGENET if settings is None else (settings.mean, settings.std)
    matching = (both for prefix, both in _PREFIX_STATISTICS.items() if encoder.startswith(prefix))
    return next(matching, IMAGENET)


def _body(
    architecture: str, encoder: str, options: EncoderDecoder.Options, *, n_maps: int
) -> nn.Module:
    import segmentation_models_pytorch as smp

    kind = smp.MODEL_ARCHITECTURES_MAPPING[architecture]
    widths = _widths(kind, divisor=2 if options.decoder == "half" else 1)
    if options.decoder == "half" and not widths:
        raise UsageError(f"model.decoder cannot be half: {architecture} has one width only.")
    depth = options.encoder_depth
    if depth < 5:
        widths = {k: v[-depth:] if isinstance(v, tuple) else v for k, v in widths.items()}
        widths["encoder_depth"] = depth
    try:
        with warnings.catch_warnings():
            # `timm-` names are deprecated in favour of `tu-` ones; weights made with them stay.
            warnings.simplefilter("ignore", DeprecationWarning)
            body: nn.Module = kind(encoder, encoder_weights=None, classes=n_maps, **widths)
        _drop_unused(body.encoder)
        _make_pools_exportable(body)
    except _BUILD_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{architecture} cannot be built on {encoder}: {reason}") from error
    return body


def _coarsen(body: Any, stride: int, *, n_maps: int) -> int:
    """Lets a body end in maps of up to `stride` without drawing finer ones first, where its decoder
    can; gives the stride that it ends in.

    What enlarges the last maps enlarges them less. Decoders that double their maps block by block
    lose their last blocks.
    """
    conv, enlarge, activation = body.segmentation_head
    if isinstance(enlarge, nn.Upsample):
        factor = int(enlarge.scale_factor)  # type: ignore[arg-type]
        reached = math.gcd(factor, stride)
        enlarge = (
            nn.Upsample(scale_factor=factor // reached, mode="bilinear", align_corners=True)
            if factor > reached
            else nn.Identity()
        )
        body.segmentation_head = nn.Sequential(conv, enlarge, activation)
        return reached
    blocks = getattr(body.decoder, "blocks", None)
    if not isinstance(blocks, nn.ModuleList) or stride == 1:
        return 1
    n_dropped = min(int(math.log2(stride)), len(blocks) - 1)
    body.decoder.blocks = blocks[: len(blocks) - n_dropped]
    was_training = body.training
    with torch.no_grad():
        width = body.eval().decoder(body.encoder(torch.zeros(1, 3, 64, 64))).shape[1]
    body.train(was_training)
    last = nn.Conv2d(width, n_maps, conv.kernel_size, padding=conv.padding)
    body.segmentation_head = nn.Sequential(last, enlarge, activation)
    return 1 << n_dropped


def _drop_unused(encoder: Any) -> None:
    """Takes the last stages off a timm encoder that computes more of them than it gives."""
    stages = getattr(getattr(encoder, "model", None), "blocks", None)
    if not isinstance(stages, nn.Sequential):
        return
    was_training = encoder.training
    picture = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        shapes = [feature.shape for feature in encoder.eval()(picture)]
        while len(stages) > 1:
            encoder.model.blocks = stages[:-1]
            if [feature.shape for feature in encoder(picture)] != shapes:
                encoder.model.blocks = stages
                break
            stages = encoder.model.blocks
    encoder.train(was_training)


def _widths(kind: type[nn.Module], *, divisor: int) -> dict[str, Any]:
    """Keyword arguments that divide every width of the decoder (halved, U-Net has 128, 64, 32, 16,
    8)."""
    widths: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        if name.startswith(("decoder_", "psp_")) and name.endswith("_channels"):
            full = parameter.default
            is_one = isinstance(full, int)
            widths[name] = full // divisor if is_one else tuple(w // divisor for w in full)
    return widths


def _make_pools_exportable(body: nn.Module) -> None:
    """Replace pooling to a grid, in PSPNet and UPerNet, by modules with the same parameters."""
    from segmentation_models_pytorch.decoders.pspnet.decoder import PSPBlock

    for module in list(body.modules()):
        for name, child in module.named_children():
            if isinstance(child, PSPBlock):
                module.add_module(name, _PyramidLevel(child))
            elif isinstance(child, nn.AdaptiveAvgPool2d) and child.output_size in (2, 3, 6):
                module.add_module(name, GridMean(int(child.output_size)))


class GridMean(nn.Module):
    """The mean in each cell of a `side` × `side` grid: what `nn.AdaptiveAvgPool2d(side)` gives.

    That layer has no ONNX form for pictures of any size; two matrix products have.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        rows = self._shares(x.shape[-2], x)
        columns = self._shares(x.shape[-1], x)
        return rows @ x @ columns.transpose(0, 1)

    def _shares(self, length: int, like: Tensor) -> Tensor:
        """(side, length): what each pixel contributes to each cell, rows summing to 1."""
        cell = torch.arange(self.side, device=like.device)
        first = cell * length // self.side
        end = ((cell + 1) * length + self.side - 1) // self.side
        position = torch.arange(length, device=like.device)
        inside = (position >= first[:, None]) & (position < end[:, None])
        return inside.to(like.dtype) / (end - first)[:, None].to(like.dtype)


class _PyramidLevel(nn.Module):
    """smp's `PSPBlock` without its detour for ONNX, which fails on pictures of any size."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.pool = block.pool
        self.pool[0] = GridMean(block.pool_size)

    def forward(self, x: Tensor) -> Tensor:
        size = (x.shape[-2], x.shape[-1])
        pooled = self.pool(x)
        return nn.functional.interpolate(pooled, size=size, mode="bilinear", align_corners=True)
