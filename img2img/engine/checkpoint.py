"""Checkpoints: one safetensors file, written beside, synced and renamed. Nothing is unpickled.

`save` and `restore` say what of a training is in one.
"""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from img2img.engine.diagnosis import diagnose_nan
from img2img.engine.optim import optimizer_tensors, restore_optimizer
from img2img.engine.progress import Progress
from img2img.errors import DataError, RunError, WeightsError
from img2img.inference.torch_session import PREFIX
from img2img.inference.weights import KEY, Card

if TYPE_CHECKING:
    from img2img.engine.trainer import Trainer

FILE = "checkpoint.safetensors"
_OPPONENT = "objective.opponent."
_OPTIMIZERS = ("optimizer.", "opponent_optimizer.")
"""Prefixes, in the order of `Trainer.players`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Tensors by name, and the rest as JSON.

    `network.*` are the weights to use; the training's own state stands under other prefixes
    (`raw.*` the weights being trained where `network.*` is their average, `optimizer.*`). Of the
    objective it holds the opponent alone: the rest, such as an encoder that does not learn, follows
    from the options.
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


# ---- the state of a training


def save(trainer: "Trainer", name: str) -> None:
    """Writes the checkpoint `name`: `last`, all that a training needs to go on, or `best`, the
    weights to use.

    Raises:
        RunError: a tensor holds NaN or infinity; the checkpoint before it stays.
    """
    checkpoint = _checkpoint_of(trainer, whole=name == "last")
    good = all(
        torch.isfinite(v).all() for v in checkpoint.tensors.values() if v.is_floating_point()
    )
    if not good:
        raise RunError(diagnose_nan(trainer, ["a saved tensor"], []))
    if trainer.runtime.leads:
        write_checkpoint(trainer.run / name / FILE, checkpoint)
        if name == "best":
            # It would answer for the weights before these.
            (trainer.run / "best.onnx").unlink(missing_ok=True)


def restore(trainer: "Trainer") -> None:
    """Brings a new training to where `last/` of its run was saved.

    Raises:
        DataError: nothing was saved yet.
        WeightsError: the checkpoint is damaged.
    """
    path = trainer.run / "last" / FILE
    if not path.is_file():
        raise DataError(
            f"{trainer.run} was stopped before its first save: delete it and train anew."
        )
    saved = read_checkpoint(path)
    weights = saved.part(PREFIX)
    trainer.network.load_state_dict(saved.part("raw.") or weights)
    if trainer.ema is not None:
        for key, value in weights.items():
            trainer.ema.tensors[key].copy_(value)
    if trainer.game is not None:
        trainer.game.opponent.load_state_dict(saved.part(_OPPONENT))
    for number, (_, optimizer) in enumerate(trainer.players):
        restore_optimizer(optimizer, saved.part(_OPTIMIZERS[number]))
    trainer.progress = Progress(**saved.state)
    if trainer.progress.loss_scale is not None:
        trainer.scaler.load_state_dict(trainer.progress.loss_scale)


def _checkpoint_of(trainer: "Trainer", *, whole: bool) -> Checkpoint:
    """The weights to use, with the training's own state where `whole`."""
    progress, ema = trainer.progress, trainer.ema
    trained = dict(trainer.network.state_dict())
    used = trained if ema is None else ema.tensors
    tensors = {f"{PREFIX}{key}": value for key, value in used.items()}
    state: dict[str, Any] = {"step": progress.step}
    if whole:
        if trainer.game is not None:
            state_of_opponent = trainer.game.opponent.state_dict()
            tensors |= {f"{_OPPONENT}{key}": value for key, value in state_of_opponent.items()}
        if ema is not None:
            tensors |= {f"raw.{key}": value for key, value in trained.items()}
        for number, (_, optimizer) in enumerate(trainer.players):
            prefix = _OPTIMIZERS[number]
            tensors |= {f"{prefix}{k}": v for k, v in optimizer_tensors(optimizer).items()}
        scale = trainer.scaler.state_dict() if trainer.scaler.is_enabled() else None
        state = asdict(replace(progress, loss_scale=scale, elapsed_s=trainer.elapsed_s()))
    facts = {"step": progress.step, "val": {trainer.task.best.metric: progress.best}}
    card = replace(trainer.card, facts=trainer.card.facts | facts)
    return Checkpoint(card=card, tensors=tensors, state=state)
