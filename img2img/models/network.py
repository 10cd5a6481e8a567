"""A network from picture to maps, and from maps to the answer."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from img2img.errors import UsageError


class Head(nn.Module):
    """What the network puts out, and how it is decoded.

    `n_maps` is the number of channels that the body must give, `stride` the pixels of the picture
    to a cell of the maps. `forward` turns maps (B, n_maps, ⌈H / stride⌉, ⌈W / stride⌉) float32
    into named answers, each with a leading batch axis. A head that `takes_numbers` gets
    (B, n_maps, 1, 1) instead, from a body that sees the whole picture at once.
    """

    n_maps: int
    stride: int = 1
    takes_numbers: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...]]

    @abstractmethod
    def forward(self, maps: Tensor) -> dict[str, Tensor]: ...


class ImageHead(Head):
    """A picture: maps are values in 0…1.

    Gives `value` (B, H, W, C) float32 in 0…255, and `image`, the same rounded, uint8.
    """

    outputs = ("value", "image")

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.n_maps = channels

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        value = (maps * 255).clamp(0, 255).permute(0, 2, 3, 1)
        return {"value": value, "image": value.round().to(torch.uint8)}


class ClassHead(Head):
    """A class a pixel: maps are logits, a channel a class.

    Gives `probability` (B, H, W, K) float32, summing to 1, and `classes` (B, H, W) uint8, the
    index of the greatest.
    """

    outputs = ("probability", "classes")

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_maps = n_classes

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        probability = maps.softmax(dim=1).permute(0, 2, 3, 1)
        return {"probability": probability, "classes": maps.argmax(dim=1).to(torch.uint8)}


def reflect_index(length: int | Tensor, before: int, after: int | Tensor) -> Tensor:
    """Indices (before + length + after,) of reflect-101 padding, right down to one pixel.

    ONNX Runtime's own reflect padding fails on pictures of 1 or 2 pixels, and torch's refuses
    more padding than pixels; gathering by index does neither.
    """
    # A tensor while tracing, where shapes are tensors.
    end: Any = before + length + after
    position = torch.arange(end) - before
    last = torch.as_tensor(length - 1)
    period = (2 * last).clamp(min=1)
    folded = torch.remainder(position, period)
    return torch.minimum(folded, period - folded).clamp(max=last)


def reflect_pad(
    x: Tensor, top: int, bottom: int | Tensor, left: int, right: int | Tensor
) -> Tensor:
    """(B, C, H, W) with reflect-101 borders (OpenCV's default: dcb|abcd|cba)."""
    height, width = x.shape[-2:]
    rows = reflect_index(height, top, bottom).to(x.device)
    columns = reflect_index(width, left, right).to(x.device)
    return x.index_select(2, rows).index_select(3, columns)


class Network(nn.Module):
    """A body between normalisation and head.

    Takes uint8 RGB (B, H, W, 3) of any size, or float (B, 3, H, W) in 0…1. `forward` gives maps
    (B, n_maps, ⌈H / head.stride⌉, ⌈W / head.stride⌉), what an objective compares; `answer`
    decodes them.

    Args:
        body: module from (B, 3, h, w) to (B, n_maps, h / map_stride, w / map_stride), h and w
            multiples of `stride`; or to (B, n_maps, 1, 1).
        head: the decoder.
        mean: mean of the pictures in 0…1 that the body expects, a channel.
        std: their standard deviation.
        stride: the picture is padded to multiples of this, and of the head's stride (reflect-101,
            right and bottom).
        map_stride: pixels to a cell of the body's maps; where the head wants larger cells, they are
            means of these.
        halo_px: pixels around a pixel that can influence its answer; None: the whole picture.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        body: nn.Module,
        head: Head,
        *,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        stride: int = 1,
        map_stride: int = 1,
        halo_px: int | None = None,
    ) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.stride = math.lcm(stride, head.stride)
        self.halo_px = halo_px
        self._pooled = head.stride // map_stride
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        x = self._normalised(image)
        height, width = x.shape[-2:]
        if self.stride > 1:
            x = reflect_pad(x, 0, -height % self.stride, 0, -width % self.stride)
        maps: Tensor = self.body(x)
        if self._pooled > 1:
            maps = nn.functional.avg_pool2d(maps, self._pooled)
        cell = self.head.stride
        return maps[..., : (height + cell - 1) // cell, : (width + cell - 1) // cell]

    def answer(self, image: Tensor) -> dict[str, Tensor]:
        """The decoded outputs of `head`, in float32 whatever the precision of the body."""
        maps = self(image)
        return self.head(maps if maps.dtype == torch.float64 else maps.float())  # type: ignore[no-any-return]

    def _normalised(self, image: Tensor) -> Tensor:
        if image.dtype == torch.uint8:
            # On the device and in the parameters' own type: pictures travel as bytes.
            image = image.permute(0, 3, 1, 2).to(self.mean.dtype) / 255
        return (image - self.mean) / self.std

    def first_stages(self, n: int) -> list[nn.Module]:
        """The encoder's layers that hold numbers (convolutions, norms), from the picture on, up to
        the last one that gives maps of at least 1/2^n of the picture's side; none where n is 0.

        Raises:
            UsageError: there is no encoder.
        """
        if n == 0:
            return []
        encoder = self.encoder
        if encoder is None:
            raise UsageError(
                "train.frozen_stages needs a model with an encoder, such as unet:resnet18."
            )
        side = max(128, self.stride)
        passed: list[nn.Module] = []
        n_large = 0

        def note(layer: nn.Module, _: Any, output: Any) -> None:
            nonlocal n_large
            passed.append(layer)
            is_map = isinstance(output, Tensor) and output.ndim == 4
            if is_map and output.shape[-1] << n >= side:
                n_large = len(passed)

        hooks = [
            layer.register_forward_hook(note)
            for layer in encoder.modules()
            if any(True for _ in (*layer.parameters(recurse=False), *layer.buffers(recurse=False)))
        ]
        was_training = self.body.training
        with torch.no_grad():  # the body, as some encoders are mere lists of blocks
            self.body.eval()(torch.zeros(1, 3, side, side, device=self.mean.device))
        self.body.train(was_training)
        for hook in hooks:
            hook.remove()
        return passed[:n_large]

    @property
    def encoder(self) -> nn.Module | None:
        """The part that pretraining fills and `freeze_encoder_epochs` freezes, if there is one."""
        encoder = getattr(self.body, "encoder", None)
        return encoder if isinstance(encoder, nn.Module) else None
