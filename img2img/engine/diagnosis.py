"""What can be said when the loss is no longer a number."""

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from img2img.engine.trainer import Trainer


def diagnose_nan(trainer: "Trainer", bad: list[str], keys: list[Any]) -> str:
    """One sentence: which terms, at which step and rate, where it shows, what to try."""
    progress = trainer.progress
    named = dict(trainer.network.named_parameters())
    named |= {f"objective.{name}": p for name, p in trainer.objective.named_parameters()}
    broken = next((name for name, p in named.items() if not torch.isfinite(p).all()), None)
    where = f"the first broken parameter is {broken}" if broken else "the parameters are still fine"
    samples = [trainer.train.records[index].id for _, index in keys[0][:3]] if keys else []
    among = f" (last batch: {', '.join(samples)}, …)" if samples else ""
    advice = ["lower --lr"]
    if trainer.options.precision != "fp32":
        advice.append("--precision fp32")
    if trainer.options.clip_norm is None:
        advice.append("--set train.clip_norm=1")
    lr = trainer.optimizer.param_groups[0]["lr"]
    return (
        f"{', '.join(bad)} is not finite at step {progress.step} (lr {lr:.2g}, "
        f"{trainer.options.precision}); {where}{among}; the last good "
        f"checkpoint is {trainer.run / 'last'}; try {' or '.join(advice)}."
    )
