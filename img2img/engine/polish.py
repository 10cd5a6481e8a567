"""The closing phase: L-BFGS on one fixed batch, for small networks that can be exact."""

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from img2img.engine.events import Stepped
from img2img.engine.optim import Ema

if TYPE_CHECKING:
    from img2img.engine.trainer import Trainer

_CHUNK = 20
"""Iterations between two rows of the log."""
_AT_ONCE = 4
"""Samples of one pass: in float64 a convolution unrolls its input, which is large (16 GB were seen
where a batch of 32 at 128² went through at once)."""


def polish(trainer: "Trainer") -> None:
    """The closing phase, in the leading process; the others get its weights.

    Raises:
        Interrupted: a signal arrived; `last/` holds the weights from before.
    """
    runtime, progress = trainer.runtime, trainer.progress
    is_stopped = runtime.leads and not _polished(trainer)
    if runtime.agree(is_stopped)[0]:
        raise trainer.interrupted()
    runtime.copy_from_leader(trainer.network.state_dict().values())
    if trainer.ema is not None:
        trainer.ema = Ema(trainer.network, trainer.ema.decay)
    progress.polished = True
    progress.validated_step = -1


def _polished(trainer: "Trainer") -> bool:
    """Minimises the objective on one augmented batch, from the moving average where there is one,
    and puts the result into the network; false, with the network as it was, if a signal arrived.

    Full-batch L-BFGS with a strong Wolfe line search (Nocedal, Wright: Numerical Optimization,
    2006, algorithms 7.5 and 3.5). In float64 by default: in float32 it stalls once the loss
    changes by less than its rounding (measured: 63 dB against 72 dB).
    """
    options, device = trainer.options, trainer.runtime.device
    kind = torch.float64 if options.polish_float64 else torch.float32
    network = copy.deepcopy(trainer.network)
    if trainer.ema is not None:
        network.load_state_dict(trainer.ema.tensors)
    network.to(kind).eval()
    # L-BFGS flattens gradients with view(), which channels-last ones refuse.
    network.to(memory_format=torch.contiguous_format)
    batch = {key: value.to(device) for key, value in _fixed_batch(trainer).items()}
    objective = trainer.task.polish_objective().to(device)
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=_CHUNK, history_size=100, line_search_fn="strong_wolfe",
        tolerance_grad=0.0, tolerance_change=0.0,
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = torch.zeros((), dtype=torch.float64, device=device)
        n = len(batch["image"])
        for start in range(0, n, _AT_ONCE):
            part = {key: value[start : start + _AT_ONCE] for key, value in batch.items()}
            losses = objective(network(part["image"]), part)
            share = torch.stack(list(losses.values())).sum() * (len(part["image"]) / n)
            share.backward()
            total += share.detach()
        return total

    before = float("inf")
    for done in range(0, options.polish_steps, _CHUNK):
        loss = float(optimizer.step(closure).detach())
        trainer.emit(
            Stepped(step=trainer.progress.step, epoch=trainer.progress.epoch,
                    losses={"polish": loss}, lr=0.0, samples_per_s=0.0, wait_share=0.0,
                    elapsed_s=trainer.elapsed_s())
        )  # fmt: skip
        if trainer.signals.caught:
            return False
        stalled = not loss < before
        if stalled and done:
            break
        before = loss
    trainer.network.load_state_dict(network.float().state_dict())
    return True


def _fixed_batch(trainer: "Trainer") -> dict[str, Tensor]:
    """`polish_samples` samples of a pass of their own, spread over the data."""
    n = len(trainer.train)
    step = max(1, n // trainer.options.polish_samples)
    keys = [(1_000_000, index * step % n) for index in range(trainer.options.polish_samples)]
    return trainer.loader.encoder.__getitems__(keys)
