"""Schemas written down: as TOML by users, as JSON inside weights, both with the same keys.

```toml
name = "eyes"                          # left out: the file's name
points = ["left_eye", "right_eye", "chin"]
pairs = [["left_eye", "right_eye"]]    # the left one (the person's own), then the right one;
                                       # names with "left" and "right" may stand either way round
normaliser = "between_eyes"            # the default; left out: box_diagonal

[lines]                                # {region: polylines to draw}
face = [["left_eye", "chin", "right_eye"]]

[regions]                              # {region: the points whose errors are told together}
eyes = ["left_eye", "right_eye"]

[normalisers]                          # {name: two groups}, the distance between their means
between_eyes = [["left_eye"], ["right_eye"]]

[from.ibug68]                          # {point: the points of ibug68 that it is the mean of}
left_eye = ["left_eye_0", "left_eye_3"]
right_eye = ["right_eye_0", "right_eye_3"]
chin = ["jaw_8"]
```
"""

import dataclasses
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from img2img.errors import UsageError, unknown_name
from img2img.vision.schemas import BOX, FRAME, SCHEMAS, Indices, Schema

_KEYS = ("name", "points", "pairs", "normaliser", "lines", "regions", "normalisers", "from")


def read_schema(path: Path) -> Schema:
    """The schema of a TOML file.

    Raises:
        UsageError: the file is unreadable, no TOML, takes the name of a built-in schema, or
            `schema_of_table` refuses it.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"schema {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"schema {path} is no text: save it as TOML in UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"schema {path} is not valid TOML: {error}.") from None
    schema = schema_of_table({"name": path.stem} | table, f"schema {path}")
    if schema.name in SCHEMAS:
        raise UsageError(
            f"schema {path} is named {schema.name!r} as a built-in one: give it another name."
        )
    return schema


def parse_schema(text: str) -> Schema:
    """The schema that `schema_text` wrote.

    Raises:
        UsageError: the text is something else.
    """
    try:
        table = json.loads(text)
    except ValueError:
        raise UsageError("a schema is neither a name nor a TOML file nor JSON.") from None
    return schema_of_table(table, "a schema in JSON")


def schema_text(schema: Schema) -> str:
    """JSON that travels with weights."""
    return json.dumps(table_of(schema))


def schema_of_table(table: Mapping[str, Any], where: str) -> Schema:
    """The schema of a TOML or JSON table.

    Args:
        where: what the table is, for messages.

    Raises:
        UsageError: one sentence on the first mistake.
    """
    for key in table:
        if key not in _KEYS:
            raise _unknown("key", key, _KEYS, where)
    names = _texts(table.get("points"), f"{where}, points")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"{where} has two points {twice[0]!r}: give each a name of its own.")
    lines, regions, ends, sources = (
        _table(table.get(key, {}), f"{where}, {key}")
        for key in ("lines", "regions", "normalisers", "from")
    )
    schema = Schema(
        name=_text(table.get("name"), f"{where}, name"),
        points=names,
        pairs=_pairs(table.get("pairs", []), names, f"{where}, pairs"),
        lines={
            region: _lines(texts, names, f"{where}, lines of {region}")
            for region, texts in lines.items()
        },
        regions={
            region: _indices(texts, names, f"{where}, region {region}")
            for region, texts in regions.items()
        },
        ends={
            length: _ends(length, groups, names, f"{where}, normaliser {length}")
            for length, groups in ends.items()
        },
        normaliser=_text(table.get("normaliser", BOX), f"{where}, normaliser"),
        sources={other: _rules(rules, names, other, where) for other, rules in sources.items()},
    )
    if "normaliser" not in table and len(schema) == 1:
        schema = dataclasses.replace(schema, normaliser=FRAME)
    if schema.normaliser not in schema.normalisers:
        raise _unknown("normaliser", schema.normaliser, schema.normalisers, where)
    return schema


def table_of(schema: Schema) -> dict[str, Any]:
    """What `schema_of_table` makes the same schema of, in types that JSON and TOML know."""

    def names(indices: Indices) -> list[str]:
        return [schema.points[index] for index in indices]

    def of_other(other: str, rules: Iterable[Indices]) -> list[list[str]]:
        return [[SCHEMAS[other].points[index] for index in rule] for rule in rules]

    return {
        "name": schema.name,
        "points": list(schema.points),
        "pairs": [names((left, right)) for right, left in schema.pairs],
        "normaliser": schema.normaliser,
        "lines": {
            region: [names(line) for line in lines] for region, lines in schema.lines.items()
        },
        "regions": {region: names(indices) for region, indices in schema.regions.items()},
        "normalisers": {
            length: [names(group) for group in groups] for length, groups in schema.ends.items()
        },
        "from": {
            other: dict(zip(schema.points, of_other(other, rules), strict=True))
            for other, rules in schema.sources.items()
        },
    }


def _unknown(kind: str, name: str, known: Iterable[str], where: str) -> UsageError:
    return UsageError(f"{where}: {unknown_name(kind, name, known)}")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f'{where}: write a text, such as "left_eye", not {value!r}.')
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise UsageError(f'{where}: write a list of names, such as ["left_eye", "nose_tip"].')
    return tuple(_text(entry, where) for entry in value)


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{where}: write a table with a name for each entry, not {value!r}.")
    return value


def _indices(value: Any, names: Sequence[str], where: str) -> Indices:
    """Of the points that a list names."""
    texts = _texts(value, where)
    for text in texts:
        if text not in names:
            raise _unknown("point", text, names, where)
    return tuple(names.index(text) for text in texts)


def _lists(value: Any, names: Sequence[str], where: str) -> tuple[Indices, ...]:
    """Of the points that a list of lists names."""
    if not isinstance(value, list):
        raise UsageError(f'{where}: write lists in a list, such as [["left_eye", "nose_tip"]].')
    return tuple(_indices(entry, names, where) for entry in value)


def _lines(value: Any, names: Sequence[str], where: str) -> tuple[Indices, ...]:
    lines = _lists(value, names, where)
    if any(len(line) < 2 for line in lines):
        raise UsageError(f"{where}: a line needs at least two points.")
    return lines


def _pairs(value: Any, names: Sequence[str], where: str) -> tuple[tuple[int, int], ...]:
    pairs = _lists(value, names, where)
    if any(len(pair) != 2 for pair in pairs):
        raise UsageError(f"{where}: each pair needs two points, that of the left and of the right.")
    paired = [index for pair in pairs for index in pair]
    for index in paired:
        if paired.count(index) > 1:
            raise UsageError(f"{where}: {names[index]!r} can change places with one point only.")
    return tuple(
        (one, two) if (_side(names[one]), _side(names[two])) == ("right", "left") else (two, one)
        for one, two in pairs
    )


_SIDE = re.compile(r"(?<![A-Za-z])(left|right)|(Left|Right|LEFT|RIGHT)")  # but not in upright


def _side(name: str) -> str:
    """left or right as the name of a point begins to say, or nothing."""
    match = _SIDE.search(name)
    return match[0].lower() if match else ""


def _ends(length: str, value: Any, names: Sequence[str], where: str) -> tuple[Indices, Indices]:
    if length in (BOX, FRAME):
        raise UsageError(f"{where} is there in every schema: give this one another name.")
    groups = _lists(value, names, where)
    if len(groups) != 2:
        raise UsageError(f"{where}: write two lists of points, between whose means it lies.")
    return groups[0], groups[1]


def _rules(value: Any, names: Sequence[str], other: str, where: str) -> tuple[Indices, ...]:
    """Of which points of a built-in schema each point is the mean."""
    if other not in SCHEMAS:
        raise _unknown("schema", other, SCHEMAS, f"{where}, from")
    rules = _table(value, f"{where}, from.{other}")
    for name in rules:
        if name not in names:
            raise _unknown("point", name, names, f"{where}, from.{other}")
    for name in names:
        if name not in rules:
            raise UsageError(
                f"{where}, from.{other}: {name!r} is missing; say which points of {other} it is "
                "the mean of, for every point."
            )
    known = SCHEMAS[other].points
    return tuple(_indices(rules[name], known, f"{where}, from.{other}, {name}") for name in names)
