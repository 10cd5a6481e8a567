"""Optimisers, the course of the learning rate, and the moving average of weights."""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from img2img.config import TrainOptions
from img2img.errors import UsageError


def make_optimizer(
    network: nn.Module, options: TrainOptions, *, rate: float = 1.0
) -> torch.optim.Optimizer:
    """The optimiser; biases and norms (tensors of one axis) are not decayed.

    Args:
        rate: factor on the learning rate, which `set_lr` minds.
    """
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group | {"rate": rate} for group in groups if group["params"]]
    if options.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=options.lr, momentum=options.beta1, nesterov=options.beta1 > 0, fused=True
        )
    kind: Any = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[options.optimizer]
    optimizer: torch.optim.Optimizer = kind(
        groups, lr=options.lr, betas=(options.beta1, options.beta2), fused=True
    )
    return optimizer


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Sets the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["rate"]


def lr_factor(options: TrainOptions, step: int, progress: float) -> float:
    """Factor on the peak learning rate.

    Args:
        step: optimiser steps done.
        progress: share of the budget used, 0…1.
    """
    if options.warmup_steps and step < options.warmup_steps:
        return (step + 1) / options.warmup_steps
    if options.schedule == "linear":
        return min(1.0, max(1e-3, 2 - 2 * progress))
    if options.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress)) * 0.999 + 0.001
    if options.schedule == "one-cycle":
        return _one_cycle(progress)
    return 1.0


def _one_cycle(progress: float, rise: float = 0.3, start: float = 0.04) -> float:
    """Cosine up over the first `rise` of the budget, cosine down to 1e-4 over the rest.

    Source: Smith, Topin: Super-Convergence, 2018 (arXiv:1708.07120), torch's default shape.
    """
    if progress < rise:
        return start + (1 - start) * 0.5 * (1 - math.cos(math.pi * progress / rise))
    return 1e-4 + 0.5 * (1 + math.cos(math.pi * (progress - rise) / (1 - rise)))


class Ema:
    """Exponential moving average of a network's parameters and statistics; counters are copied.

    The decay warms up as min(decay, (1 + n) / (10 + n)) after n steps.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {key: value.detach().clone() for key, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Moves the average after optimiser step number `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))
        state = network.state_dict()
        floats = [key for key, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [self.tensors[key] for key in floats], [state[key] for key in floats], 1 - decay
        )
        for key in state.keys() - set(floats):
            self.tensors[key].copy_(state[key])

    @contextmanager
    def swapped_in(self, network: nn.Module) -> Iterator[None]:
        """The average in the place of the network's weights, for a while."""
        trained = {key: value.detach().clone() for key, value in network.state_dict().items()}
        network.load_state_dict(self.tensors)
        try:
            yield
        finally:
            network.load_state_dict(trained)


class Teacher:
    """The moving average as a network in evaluation mode: it labels what nobody has labelled.

    It shares the average's tensors, so that it follows every update. Source: Tarvainen, Valpola:
    Mean teachers are better role models, NeurIPS 2017.
    """

    def __init__(self, network: nn.Module, ema: Ema) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.network.load_state_dict(ema.tensors, assign=True)
        self.network.requires_grad_(False)

    def __call__(self, image: Tensor) -> Tensor:
        """Maps (B, n_maps, H, W) of pictures as the network takes them, without gradients."""
        with torch.no_grad():
            maps: Tensor = self.network(image)
        return maps


def make_teacher(network: nn.Module, objective: nn.Module, ema: Ema | None) -> Teacher | None:
    """The teacher, where a term of the objective asks for its opinion.

    Raises:
        UsageError: a term asks, and there is no average.
    """
    if not any(getattr(term, "needs_teacher", False) for term in objective.modules()):
        return None
    if ema is None:
        raise UsageError("learning from pictures without labels needs train.ema, such as 0.99.")
    return Teacher(network, ema)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """{number.name: tensor} of the optimiser's state, by the parameter's number."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, entries in state.items()
        for name, value in entries.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` gave, in each parameter's memory format."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        like = parameters[int(number)]
        if tensor.shape == like.shape:
            tensor = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )
