"""What is wrong with paired pictures, before a training finds out."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from img2img.config import DataOptions
from img2img.data.check import CheckReport, Facts, Problem, picture_problems
from img2img.data.formats.folders import part_indices
from img2img.data.formats.paired import is_grey
from img2img.data.formats.picture_pairs import PairLayout, PicturePair, find_picture_pairs
from img2img.data.groups import group_names
from img2img.data.split import PARTS
from img2img.errors import DataError, InputError
from img2img.vision.metrics import psnr_db

_SAME_DB = 60.0
"""An input is its target's copy from here on: one level off in a fifteenth of the values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _PairFacts:
    """What is kept of a pair that can be learned from; `psnr` says in dB how near its input comes
    to its target."""

    pair: PicturePair
    input: Facts
    target_is_grey: bool
    psnr: float


def check_pairs(data: DataOptions, layout: PairLayout, *, channels: int) -> CheckReport:
    """Decode every pair of the folder `data.source` and list what is wrong with them.

    Args:
        channels: of the target that is learned.

    Raises:
        DataError: the data are missing, or laid out in no known way.
        UsageError: the data cannot be divided as asked.
    """
    source = Path(data.source or "")
    pairs, alone = find_picture_pairs(source, layout)
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(_examine, pairs))
    facts = [outcome for outcome in outcomes if isinstance(outcome, _PairFacts)]
    members = _divided(facts, data, source)
    inputs = {part: [fact.input for fact in found] for part, found in members.items()}
    problems = (
        *(outcome for outcome in outcomes if isinstance(outcome, Problem)),
        *(Problem(path=entry.path.relative_to(source).as_posix(), kind="alone",
                  message=entry.message, fatal=True) for entry in alone),
        *picture_problems([fact.input for fact in facts], inputs),
        *(problem for fact in facts for problem in _odd_targets(fact, channels)),
    )  # fmt: skip
    notes = tuple(_notes(facts, members)) if facts else ()
    return CheckReport(n_pictures=len(pairs) + len(alone), problems=problems, notes=notes)


def _examine(pair: PicturePair) -> _PairFacts | Problem:
    try:
        image, target, content = pair.read()
    except InputError as error:
        return Problem(path=pair.id, kind="unreadable", message=str(error), fatal=True)
    except DataError as error:
        return Problem(path=pair.id, kind="mismatch", message=str(error), fatal=True)
    difference = image.astype(np.float32) - target
    return _PairFacts(
        pair=pair,
        input=Facts.of(pair.id, content, image),
        target_is_grey=is_grey(target),
        psnr=psnr_db(difference**2),
    )


def _divided(
    facts: Sequence[_PairFacts], data: DataOptions, source: Path
) -> dict[str, list[_PairFacts]]:
    """{part: its samples}."""
    ids = [fact.pair.id for fact in facts]
    groups = group_names(ids, [fact.pair.named for fact in facts], data, source)
    parts = part_indices(ids, data, groups)[0] if facts else {}
    return {part: [facts[at] for at in parts.get(part, [])] for part in PARTS}


def _odd_targets(fact: _PairFacts, channels: int) -> Iterator[Problem]:
    if fact.psnr >= _SAME_DB:
        told = f"{fact.pair.id} is hardly different from its target: there is nothing to learn."
        yield Problem(path=fact.pair.id, kind="duplicate", message=told)
    if channels == 1 and not fact.target_is_grey:
        told = (
            f"the target of {fact.pair.id} has colours, which task.channels=1 loses: learn them "
            "with --set task.channels=3."
        )
        yield Problem(path=fact.pair.id, kind="values", message=told)


def _notes(
    facts: Sequence[_PairFacts], members: Mapping[str, Sequence[_PairFacts]]
) -> Iterator[str]:
    parts = ", ".join(f"{part} {len(found)}" for part, found in members.items())
    yield f"{len(facts)} usable pairs: {parts}"
    n_grey = sum(fact.target_is_grey for fact in facts)
    mean = np.mean([fact.psnr for fact in facts])
    yield f"{n_grey} targets are grey; inputs come to {mean:.1f} dB PSNR of their targets"
