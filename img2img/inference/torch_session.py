"""Networks in torch: loaded from a `.safetensors`, run on any device."""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from img2img.config import parse_option
from img2img.data.sample import Image
from img2img.errors import UsageError, WeightsError
from img2img.inference.session import check_device, failed, task_of
from img2img.inference.weights import KEY, Card, read_header, sha256
from img2img.models.network import Network
from img2img.models.registry import build, options_type
from img2img.tasks.base import Arrays

PREFIX = "network."
"""Prefix of the tensors that a `.safetensors` gives to the network."""


class TorchSession:
    """Runs a network in this process; the network is put in evaluation mode at every call."""

    def __init__(
        self, network: Network, device: torch.device, card: Card, *, name: str, digest: str = ""
    ) -> None:
        self._network = network.to(device)
        self._device = device
        self.card = card
        self.name = name
        self.sha256 = digest

    def __call__(self, images: Image, outputs: tuple[str, ...] = ()) -> Arrays:
        """Outputs by name for pictures (B, H, W, 3) uint8; all of them if none is named.

        Raises:
            RunError: torch fails on these pictures, for example for lack of memory.
        """
        self._network.eval()
        try:
            with torch.inference_mode():
                tensor = torch.from_numpy(np.ascontiguousarray(images)).to(self._device)
                answers = self._network.answer(tensor)
            return {name: answers[name].cpu().numpy() for name in outputs or answers}
        except (RuntimeError, MemoryError) as error:
            raise failed("torch", images, error) from error


def open_torch(path: Path, *, name: str, device: str) -> TorchSession:
    """A session for a `.safetensors` file; TF32 is off from then on if its task must be exact.

    Raises:
        WeightsError: the file is cut, foreign, or does not fit its own architecture.
    """
    card = Card.from_json(read_header(path).get(KEY), str(path))
    network = load_network(path, card)
    if task_of(card, allow_python=True).in_fp32:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    return TorchSession(network, pick_device(device), card, name=name, digest=sha256(path))


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is the first CUDA device, else the CPU.

    Raises:
        UsageError: no such device here.
    """
    check_device(name)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    n_devices = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= n_devices:
        raise UsageError(f"--device {name}: this machine has {n_devices} CUDA devices.")
    return device


def build_network(card: Card) -> Network:
    """The architecture that `card` names, with random parameters.

    Raises:
        WeightsError: this version has no such model, or not with these options.
    """
    head = task_of(card, allow_python=True).head()
    values = card.options.get("model", {})
    try:
        kind = options_type(card.model)
        options = {key: parse_option(kind, "model", key, value) for key, value in values.items()}
        return build(card.model, kind(**options), head).network
    except UsageError as error:
        raise WeightsError(f"the weights do not fit this version: {error}") from None


def load_network(path: Path, card: Card) -> Network:
    """The network stored in a `.safetensors` file.

    Raises:
        WeightsError: the file is cut or does not fit the architecture it names.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is cut or no safetensors file: {error}.") from None
    network = build_network(card)
    state = {key.removeprefix(PREFIX): value.float() if value.is_floating_point() else value
             for key, value in tensors.items() if key.startswith(PREFIX)}  # fmt: skip
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise WeightsError(f"{path} does not fit its architecture {card.model}: {reason}") from None
    return network.eval()
