"""What leaves a training: events, and the listener that writes them as JSON Lines."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The training begins. `facts` holds what a user wants to see once: parameters, device…"""

    facts: dict[str, Any]
    step: int
    total_steps: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """An interval of steps ended.

    `losses` are means over the interval; `wait_share` is the share of its time that steps waited
    for data.
    """

    step: int
    epoch: int
    losses: dict[str, float]
    lr: float
    samples_per_s: float
    wait_share: float
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """A validation ended."""

    step: int
    epoch: int
    metrics: dict[str, float | None]
    best: bool
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictured:
    """A picture of samples was written: input, answer and truth side by side."""

    step: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Something the user should know."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The training ended, and why."""

    step: int
    reason: str
    elapsed_s: float
    best: dict[str, Any] = field(default_factory=dict)


Event = Started | Stepped | Validated | Pictured | Noted | Finished
Listener = Callable[[Event], None]


def finite(value: Any) -> Any:
    """`value` with every inf and nan replaced by None, for JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return value


class JsonLines:
    """Writes step intervals and validations to `metrics.jsonl`, a row each.

    The first `keep` rows stay; those after them, left by a training that was killed, are dropped:
    a resumed training writes them again.
    """

    def __init__(self, path: Path, *, keep: int) -> None:
        rows = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if len(rows) > keep:
            beside = path.with_name(f".{path.name}.part")
            beside.write_text("".join(f"{row}\n" for row in rows[:keep]), encoding="utf-8")
            beside.replace(path)
        self._path = path

    def __call__(self, event: Event) -> None:
        if isinstance(event, Stepped | Validated):
            kind = "step" if isinstance(event, Stepped) else "validation"
            row = json.dumps({"kind": kind, **finite(asdict(event))})
            with self._path.open("a", encoding="utf-8") as file:
                file.write(row + "\n")
