"""Checkpoints: one safetensors file, written beside, synced and renamed. Nothing is unpickled."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from img2img.errors import WeightsError
from img2img.inference.weights import KEY, Card

FILE = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Tensors by name, and the rest as JSON.

    `network.*` are the weights to use; the training's own state stands under other prefixes
    (`raw.*` the weights being trained where `network.*` is their average, `optimizer.*`).
    """

    card: Card
    tensors: dict[str, Tensor]
    state: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under a prefix, without it."""
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replaces the file at `path` in one step: a reader sees the old or the new one, whole."""
    tensors = {
        key: value.detach().to("cpu", copy=True).contiguous()
        for key, value in checkpoint.tensors.items()
    }
    metadata = {KEY: checkpoint.card.to_json(), "state": json.dumps(checkpoint.state)}
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.unlink(missing_ok=True)
    beside.touch()
    mode = beside.stat().st_mode  # as the user's umask has it; safetensors' own is owner-only
    save_file(tensors, beside, metadata)
    beside.chmod(mode)
    replace_synced(beside, path)


def replace_synced(beside: Path, path: Path) -> None:
    """Renames `beside` to `path` once its bytes are on the disk."""
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`.

    Raises:
        WeightsError: missing, cut or no checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        state = json.loads(metadata.get("state", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"the checkpoint {path} cannot be read: {error}.") from None
    return Checkpoint(
        card=Card.from_json(metadata.get(KEY), str(path)), tensors=tensors, state=state
    )
