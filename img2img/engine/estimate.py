"""What a training will take, found out before it starts: memory, steps and time.

The figures come from a few real steps of the Trainer on a copy of the network; no file is written.
"""

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from img2img.data.loader import stack
from img2img.engine.optim import optimizer_tensors
from img2img.engine.run import Plan, training_samples
from img2img.engine.runtime import Runtime
from img2img.engine.trainer import Batch, Trainer

_WARM_UP, _TIMED = 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes that a step holds in one process, by what they are for, those of an opponent included.

    `available` is what the device can still give; None where the system does not say.
    """

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    available: int | None

    @property
    def total(self) -> int:
        """All of them."""
        return self.parameters + self.gradients + self.optimizer + self.activations

    @property
    def fits(self) -> bool:
        """Whether the device can give as much."""
        return self.available is None or self.total <= self.available


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a training will take.

    `micro_batch` is the number of samples that one process holds at once. `step_s` is None where
    the batch does not fit and no step was tried. `load_s` is what one process needs to make a
    batch of decoded pictures. `total_s` counts steps and loading.
    """

    n_parameters: int
    micro_batch: int
    memory: Memory
    samples: dict[str, int]
    steps_per_epoch: int
    total_steps: int | None
    step_s: float | None
    load_s: float
    total_s: float | None


def estimate(plan: Plan, runtime: Runtime) -> Estimate:
    """Measures a few steps of the plan on a copy of its network.

    Raises:
        DataError: a training picture cannot be read.
    """
    trainer = trial(plan, runtime)
    batch = next(trainer.loader.epoch(0))
    size = min(trainer.options.micro_batch or len(batch["image"]), len(batch["image"]))
    trainer.progress.micro_batch = size
    memory = forecast(trainer, batch, size)
    step_s = None
    # Nobody gets an error to catch when a CPU runs out of memory: the system kills the process.
    if memory.fits or runtime.device.type == "cuda":
        step_s, memory = _measured(trainer, batch, memory)
    load_s = _loading_s(trainer)
    workers = plan.config.train.workers
    pace = None if step_s is None else max(step_s, load_s / workers) if workers else step_s + load_s
    total_steps, total_s = _budget(trainer, pace)
    return Estimate(
        n_parameters=sum(p.numel() for p in trainer.network.parameters()),
        micro_batch=trainer.progress.micro_batch,
        memory=memory,
        samples={part: len(samples) for part, samples in plan.splits.parts.items()},
        steps_per_epoch=trainer.loader.steps_per_epoch,
        total_steps=total_steps,
        step_s=step_s,
        load_s=load_s,
        total_s=total_s,
    )


def trial(plan: Plan, runtime: Runtime) -> Trainer:
    """A Trainer on a copy of the plan's network that touches no file."""
    train = replace(plan.config.train, cache_mb=0, workers=0)
    config = replace(plan.config, groups={**plan.config.groups, "train": train})
    samples = training_samples(plan)
    trainer = Trainer(
        plan.task, config, copy.deepcopy(plan.network), plan.card, train=samples,
        val=samples.subset([]), runtime=runtime, run=Path("unused"), listeners=[],
    )  # fmt: skip
    trainer.start()
    trainer.freeze()
    return trainer


def forecast(trainer: Trainer, batch: Batch, micro_batch: int) -> Memory:
    """Memory of a step, scaled up from the forward pass of two samples."""
    parameters = _bytes(trainer.network.state_dict().values())
    trained = _bytes(
        p for player, _ in trainer.players for p in player.parameters() if p.requires_grad
    )
    kinds = {"adamw": 2, "adam": 2, "sgd": 1 if trainer.options.beta1 else 0}
    n_tried = min(2, micro_batch)
    few = {key: value[:n_tried].to(trainer.runtime.device) for key, value in batch.items()}
    return Memory(
        parameters=parameters * (1 if trainer.ema is None else 2)
        + _bytes(trainer.objective.state_dict().values()),
        gradients=trained,
        optimizer=trained * kinds[trainer.options.optimizer],
        activations=activation_bytes(trainer, few) * micro_batch // n_tried,
        available=available_bytes(trainer.runtime.device),
    )


def activation_bytes(trainer: Trainer, batch: Batch) -> int:
    """Bytes that a forward pass keeps for the backward pass, the parameters not counted; with an
    opponent, those of the player that keeps more: one goes after the other."""
    with _kept(trainer) as ours, trainer.autocast():
        maps = trainer.network(batch["image"])
        trainer.objective(maps, batch)
    if trainer.game is None:
        return sum(ours.values())
    with _kept(trainer) as theirs, trainer.autocast():
        trainer.game.judge(maps.detach(), batch)
    return max(sum(ours.values()), sum(theirs.values()))


@contextmanager
def _kept(trainer: Trainer) -> Iterator[dict[int, int]]:
    """{storage: bytes} of what is kept in here for a backward pass, but for parameters."""
    modules = (trainer.network, trainer.objective)
    own = {t.untyped_storage().data_ptr() for m in modules for t in m.state_dict().values()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept


def available_bytes(device: torch.device) -> int | None:
    """Bytes that can still be had on the device; on a CPU what the kernel calls available, or
    what the control group leaves where that is less."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) + int(torch.cuda.memory_reserved(device))
    limits = [_from_meminfo(), _from_control_group()]
    return min((limit for limit in limits if limit is not None), default=None)


def _measured(trainer: Trainer, batch: Batch, memory: Memory) -> tuple[float, Memory]:
    """(seconds of a step, memory with what the steps showed)."""
    for _ in range(_WARM_UP):
        _one_step(trainer, batch)
    on_gpu = trainer.runtime.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(trainer.runtime.device)
    times = [_one_step(trainer, batch) for _ in range(_TIMED)]
    state = sum(
        _bytes(t for t in optimizer_tensors(optimizer).values() if t.ndim)
        for _, optimizer in trainer.players
    )
    memory = replace(memory, optimizer=state)
    if on_gpu:
        peak = torch.cuda.max_memory_allocated(trainer.runtime.device)
        held = memory.parameters + memory.gradients + memory.optimizer
        memory = replace(memory, activations=max(0, peak - held))
    return sorted(times)[_TIMED // 2], memory


def _one_step(trainer: Trainer, batch: Batch) -> float:
    """Seconds of one step, until the device is done."""
    start = time.perf_counter()
    trainer._step(batch)
    trainer.progress.step += 1
    if trainer.runtime.device.type == "cuda":
        torch.cuda.synchronize(trainer.runtime.device)
    return time.perf_counter() - start


def _loading_s(trainer: Trainer) -> float:
    """Seconds to augment and stack a batch whose pictures are decoded."""
    encoder = trainer.loader.encoder
    indices = [index for _, index in trainer.loader.batches()[0]]
    samples = [encoder.cache.sample(index) for index in indices]
    times: list[float] = []
    for _ in range(_TIMED):
        start = time.perf_counter()
        stack([encoder.targets(sample, np.random.default_rng(0)) for sample in samples])
        times.append(time.perf_counter() - start)
    return sorted(times)[_TIMED // 2]


def _budget(trainer: Trainer, pace_s: float | None) -> tuple[int | None, float | None]:
    """(steps, seconds) of the whole training at `pace_s` a step, as far as they can be known."""
    steps, limit_s = trainer.budget.total_steps, trainer.budget.max_time_s
    if pace_s is None:
        return steps, limit_s if math.isfinite(limit_s) else None
    by_time = math.ceil(limit_s / pace_s) if math.isfinite(limit_s) else None
    known = [n for n in (steps, by_time) if n is not None]
    total = min(known, default=None)
    return total, None if total is None else min(total * pace_s, limit_s)


def _bytes(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _from_meminfo() -> int | None:
    try:
        rows = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [row.split()[1] for row in rows if row.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def _from_control_group() -> int | None:
    """What version 2 of the kernel's control groups leaves to this container."""
    base = Path("/sys/fs/cgroup")
    try:
        limit = (base / "memory.max").read_text(encoding="ascii").strip()
        used = (base / "memory.current").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return None if limit == "max" else max(0, int(limit) - int(used))
