"""LPIPS, where the weights of its network are already on the machine; nothing is downloaded."""

import os
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FILE = "alexnet-owt-7be5be79.pth"
"""The name under which torchvision keeps ImageNet's AlexNet."""
_LEAST_PX = 64


def is_available() -> bool:
    """Whether torchmetrics and the weights of AlexNet are here."""
    home = os.environ.get("TORCH_HOME") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "torch"
    )
    return Path(home, "hub", "checkpoints", FILE).is_file() and bool(find_spec("torchmetrics"))


def lpips(answer: NDArray[np.generic], target: NDArray[np.generic]) -> float:
    """Distance of features of AlexNet, 0 for equal pictures (H, W, 1 or 3) in 0…255; smaller ones
    than 64 pixels are mirrored up to that.

    Source: Zhang, Isola, Efros, Shechtman, Wang: The Unreasonable Effectiveness of Deep Features as
    a Perceptual Metric, CVPR 2018, version 0.1.
    """
    import torch

    with torch.no_grad():
        return float(_network()(*(_tensor(picture) for picture in (answer, target))))


@cache
def _network() -> Callable[..., Any]:
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    return LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True).eval()


def _tensor(picture: NDArray[np.generic]) -> Any:
    import torch

    height, width = picture.shape[:2]
    frame = (0, max(0, _LEAST_PX - height)), (0, max(0, _LEAST_PX - width)), (0, 0)
    padded = np.pad(picture.astype(np.float32), frame, mode="symmetric") / 255
    colour = np.broadcast_to(padded, (*padded.shape[:2], 3))
    return torch.from_numpy(np.ascontiguousarray(colour.transpose(2, 0, 1)))[None].clamp(0, 1)
