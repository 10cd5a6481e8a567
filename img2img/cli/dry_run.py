"""`img2img train --dry-run`: every option and where it came from, and what the training takes."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from img2img.cli.console import print_table, say

if TYPE_CHECKING:
    from img2img.config import Config
    from img2img.engine.estimate import Estimate
    from img2img.engine.run import Plan
    from img2img.engine.runtime import Runtime


def show(plan: "Plan", runtime: "Runtime", run: Path) -> None:
    """Prints the options and the estimate; writes no file.

    Raises:
        DataError: a training picture cannot be read.
    """
    from img2img.engine.estimate import estimate

    found = estimate(plan, runtime)
    if not runtime.leads:
        return
    print_table(("option", "value", "from"), option_rows(plan.config))
    print()
    print_table(("what", "value"), [["run folder", str(run)], ["start", plan.note], *_rows(found)])
    _warn(found)
    say("nothing was written; leave out --dry-run to train.")


def option_rows(config: "Config") -> list[list[str]]:
    """(option, value, where it came from) of every option."""
    rows: list[list[str]] = []
    for key, value, origin in config.items():
        group, _, name = key.partition(".")
        entries = {entry.name: entry for entry in dataclasses.fields(config.groups[group])}
        if origin == "default" and value != entries[name].default:
            origin = "decided here"
        unit = entries[name].metadata.get("unit", "")
        rows.append([key, f"{_value(value)} {unit if value is not None else ''}".rstrip(), origin])
    return rows


def _value(value: Any) -> str:
    """A value as `--set` and `--config` take it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


def _rows(found: "Estimate") -> list[list[str]]:
    memory = found.memory
    parts = f"parameters {_size(memory.parameters)}, gradients {_size(memory.gradients)}, "
    parts += f"optimiser {_size(memory.optimizer)}, activations {_size(memory.activations)}"
    free = "unknown" if memory.available is None else f"{_size(memory.available)}"
    steps = "unknown" if found.total_steps is None else f"{found.total_steps:,}"
    samples = ", ".join(f"{part} {n:,}" for part, n in found.samples.items())
    step = "not tried" if found.step_s is None else _duration(found.step_s)
    total = "unknown" if found.total_s is None else _duration(found.total_s)
    return [
        ["parameters", f"{found.n_parameters:,}"],
        ["memory", f"{_size(memory.total)} with {found.micro_batch} samples at once ({parts})"],
        ["memory available", free],
        ["samples", samples],
        ["steps an epoch", f"{found.steps_per_epoch:,}"],
        ["steps", steps],
        ["time a step", step],
        ["time to load a batch", f"{_duration(found.load_s)} (decoded before)"],
        ["time", f"{total} (without validation and polishing)"],
    ]


def _warn(found: "Estimate") -> None:
    if not found.memory.fits:
        say(
            f"{found.micro_batch} samples at once do not fit into memory: lower --batch-size, "
            "--image-size or --set train.micro_batch."
        )


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:,.1f} MiB" if n_bytes >= 1 << 20 else f"{n_bytes / 2**10:.1f} KiB"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
