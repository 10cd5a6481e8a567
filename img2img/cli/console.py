"""What a person sees: rich on a terminal, plain lines elsewhere. Results go to stdout, talk to
stderr."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from img2img.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from img2img.engine.events import Event


def say(text: str, *, quiet: bool = False) -> None:
    """Talk, to stderr."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def number(value: float | None) -> str:
    """A figure as tables show it."""
    if value is None:
        return "–"
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4g}"


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """A table on stdout: drawn by rich on a terminal, aligned plain text elsewhere."""
    rows = [list(row) for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(*columns, title=title or None, title_justify="left")
        for row in rows:
            table.add_row(*row)
        Console().print(table)
        return
    widths = [max(len(row[i]) for row in [list(columns), *rows]) for i in range(len(columns))]
    if title:
        print(title)
    for row in [list(columns), *rows]:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def write_json(content: Any, target: str | None) -> None:
    """Writes JSON to a file, or to stdout where `target` is `-`.

    Raises:
        InputError: the file cannot be written.
    """
    if target is None:
        return
    text = json.dumps(content, indent=1, allow_nan=False)
    if target == "-":
        print(text)
        return
    try:
        Path(target).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--json {target} cannot be written: {error.strerror}.") from None


@contextmanager
def progress_bar(label: str, total: int | None, *, quiet: bool) -> "Iterator[Callable[[], None]]":
    """A bar on a terminal, a line now and then elsewhere; the callable advances it by one."""
    if quiet:
        yield lambda: None
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=total)
            yield lambda: bar.advance(task)
        return
    yield _PlainProgress(label, total)


class _PlainProgress:
    """A line on stderr every ten seconds."""

    def __init__(self, label: str, total: int | None) -> None:
        self._label, self._total, self._done = label, total, 0
        self._told_at_s = time.monotonic()

    def __call__(self) -> None:
        self._done += 1
        if time.monotonic() - self._told_at_s >= 10:
            self._told_at_s = time.monotonic()
            say(f"{self._label}: {self._done} of {self._total or 'unknown'}")


class TrainingConsole(AbstractContextManager["TrainingConsole"]):
    """Shows a training: a bar and a line a validation on a terminal, plain lines elsewhere."""

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._bar: Any = None
        self._task: Any = None

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: "Event") -> None:
        from img2img.engine import events

        match event:
            case events.Noted(text=text):
                self._line(text)
            case events.Started():
                facts = ", ".join(f"{key} {value}" for key, value in event.facts.items())
                self._line(f"training: {facts}")
                self._open_bar(event)
            case events.Stepped():
                self._step(event)
            case events.Validated():
                told = f"epoch {event.epoch}, step {event.step}"
                if event.metrics:
                    best = ", the best so far" if event.best else ""
                    told += f": {self._metric} {number(event.metrics.get(self._metric))}{best}"
                self._line(told)
            case events.Pictured(path=path):
                self._line(f"picture: {path}")
            case events.Finished():
                self._line(
                    f"finished at step {event.step} after {event.elapsed_s:.0f} s ({event.reason})"
                )

    def _open_bar(self, event: "Event") -> None:
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        self._task = self._bar.add_task(
            "training",
            total=getattr(event, "total_steps", None),
            completed=getattr(event, "step", 0),
        )

    def _step(self, event: Any) -> None:
        losses = ", ".join(f"{name} {value:.4g}" for name, value in event.losses.items())
        pace = f"{event.samples_per_s:.0f}/s, waiting {event.wait_share:.0%}"
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=event.step,
                description=f"step {event.step}: {losses} ({pace})",
            )
        else:
            say(f"step {event.step}: {losses}, lr {event.lr:.3g}, {pace}, {event.elapsed_s:.0f} s")

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            say(text)
