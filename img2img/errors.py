"""The error tree. Every class carries the exit code that the command line ends with.

| code | meaning                                                                     |
|------|-----------------------------------------------------------------------------|
| 0    | done                                                                        |
| 1    | some or all inputs failed or are missing, or part of a run failed           |
| 2    | the command is wrong: unknown option, value, task, model or metric          |
| 3    | the data or weights cannot be used                                          |
| 4    | a `--min` or `--max` threshold is not met                                   |
| 75   | interrupted after saving; run again with `--resume`                         |

A message says what is wrong, where, and what to do next, in one sentence.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class Img2ImgError(Exception):
    """Anything that went wrong in a way the user can act on."""

    exit_code: ClassVar[int] = 1


class InputError(Img2ImgError):
    """An input of `predict` is missing or cannot be read."""


class RunError(Img2ImgError):
    """A part of a run failed, for example the loss became NaN."""


class UsageError(Img2ImgError):
    """The command is wrong: an unknown name, key or value."""

    exit_code: ClassVar[int] = 2


class DataError(Img2ImgError):
    """The data cannot be used: missing, empty, unreadable or changed."""

    exit_code: ClassVar[int] = 3


class WeightsError(Img2ImgError):
    """The weights cannot be used: missing, cut, foreign or of another task."""

    exit_code: ClassVar[int] = 3


class ThresholdError(Img2ImgError):
    """A metric is beyond its `--min` or `--max`."""

    exit_code: ClassVar[int] = 4


class Interrupted(Img2ImgError):
    """The training was stopped by a signal, after everything was saved."""

    exit_code: ClassVar[int] = 75


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that does not exist, with the nearest right one."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(names)}."
    return UsageError(f"unknown {kind} {name!r}: {hint}")
