"""What the value of one option may be, whether it comes as text of a flag or from TOML or JSON."""

import math
import re
import types
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal, Union, get_args, get_origin

from img2img.errors import UsageError

# ---- types and limits


def parse_value(kind: Any, value: Any) -> Any:
    """`value` in the type `kind`, as fields of options are annotated.

    Raises:
        ValueError: it does not fit, which the message says why.
        TypeError: it is one value where several are wanted.
    """
    if get_origin(kind) in (Union, types.UnionType):
        inner = [arm for arm in get_args(kind) if arm is not type(None)]
        is_none = value is None or (value == "none" and inner != [str])
        if is_none and len(inner) < len(get_args(kind)):
            return None
        return parse_value(inner[0], value)
    if get_origin(kind) is Literal:
        named = {str(choice): choice for choice in get_args(kind)}  # text has no numbers
        if str(value) not in named:
            near = get_close_matches(str(value), named, n=1, cutoff=0.5)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"choose from {', '.join(named)}{hint}")
        return named[str(value)]
    if get_origin(kind) is tuple:
        parts = value.split(",") if isinstance(value, str) else list(value)
        return tuple(parse_value(get_args(kind)[0], part) for part in parts)
    return _parse_scalar(kind, value)


def _parse_scalar(kind: type, value: Any) -> Any:
    if kind is bool:
        words = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
        if isinstance(value, bool):
            return value
        if str(value).lower() not in words:
            raise ValueError("it must be true or false")
        return words[str(value).lower()]
    if kind is str:
        if not isinstance(value, str):
            raise ValueError("it must be text")
        return value
    noun = {int: "a whole number", float: "a number"}[kind]
    if isinstance(value, bool) or (kind is int and isinstance(value, float)):
        raise ValueError(f"it must be {noun}")
    try:
        number = kind(value)
    except (ValueError, TypeError):
        raise ValueError(f"it must be {noun}") from None
    if kind is float and not math.isfinite(number):  # JSON has no word for it
        raise ValueError(f"it must be {noun}")
    return number


def limit_broken(value: Any, metadata: Mapping[str, Any]) -> str:
    """What a number must be and is not, by the `low`, `high` and `odd` of its option; empty if
    nothing."""
    if not isinstance(value, int | float):
        return ""
    for word, limit, wrong in (("least", "low", -1), ("most", "high", 1)):
        bound = metadata.get(limit)
        if bound is not None and (value - bound) * wrong > 0:
            return f"at {word} {bound if isinstance(bound, int) else f'{bound:g}'}"
    return "odd" if metadata.get("odd") and value and value % 2 == 0 else ""


# ---- texts with a form of their own


def check_groups(text: str) -> tuple[str, str]:
    """(kind, argument) of `data.groups`: the kind is auto, none, clusters, moments, faces,
    column or pattern.

    Raises:
        UsageError: the text has another form, or the pattern has no group.
    """
    kind, colon, argument = text.partition(":")
    plain = ("auto", "none", "clusters", "moments", "faces")
    if (kind in plain and not colon) or (kind == "column" and argument):
        return kind, argument
    if kind != "pattern":
        raise UsageError(
            f"data.groups cannot be {text!r}: choose from {', '.join(plain)}, column:NAME, "
            "pattern:REGEX."
        )
    try:
        n_groups = re.compile(argument).groups
    except re.error as error:
        raise UsageError(f"data.groups cannot be {text!r}: {error}.") from None
    if not n_groups:
        raise UsageError(
            f"data.groups cannot be {text!r}: put the part that names the group in brackets, as in "
            "pattern:^(.*)_."
        )
    return kind, argument


def parse_repeat(text: str) -> tuple[re.Pattern[str], int]:
    """(pattern, times) of `REGEX:TIMES`.

    Raises:
        UsageError: the text has another form.
    """
    pattern, _, times = text.rpartition(":")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"data.repeat cannot be {text!r}: {error}.") from None
    if not pattern or not times.isdecimal() or int(times) < 1:
        raise UsageError(f"data.repeat cannot be {text!r}: write REGEX:TIMES, such as ^lfpw/:4.")
    return compiled, int(times)


_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration_s(text: str) -> float:
    """Seconds of `90s`, `10m` or `2h`; a bare number counts as seconds.

    Raises:
        UsageError: the text has another form.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if match is None or float(match[1]) == 0:
        raise UsageError(f"--max-time cannot be {text!r}: write for example 90s, 10m or 2h.")
    return float(match[1]) * _UNITS_S[match[2] or "s"]
