"""Dividing samples into train, val and test, and noticing that a division changed.

Where a group goes depends on its name and the seed alone, so new pictures leave the old ones where
they are. Only sets so small that a part would stay empty are levelled out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b

from img2img.data.sample import Dataset, Splits
from img2img.errors import DataError, UsageError
from img2img.option_values import parse_repeat

PARTS = ("train", "val", "test")

Saved = Mapping[str, Mapping[str, str]]
"""{part: {sample id: digest}}, the content of `split.json`."""


def divide(
    groups: Sequence[str],
    *,
    val_share: float,
    test_share: float,
    seed: int,
    folds: int | None = None,
    fold: int = 0,
) -> dict[str, list[int]]:
    """{train, val, test: indices into `groups`}; equal names stay together.

    Shares hold on average, as a fraction of groups. Train gets something wherever there is a
    group, val (if its share is above 0) from two groups on, test likewise from three on.

    With `folds`, the test part is the fold of number `fold`, whatever `test_share` says; every
    group is in exactly one fold, and val is a share of the groups that are left.

    Raises:
        UsageError: the shares leave nothing to train on, or there are fewer groups than folds.
    """
    if folds is not None:
        return _divide_folds(groups, folds, fold, val_share=val_share, seed=seed)
    if val_share + test_share >= 1:
        total = f"{val_share:g} + {test_share:g}"
        raise UsageError(f"data.val_share + data.test_share is {total}: it must be below 1.")
    # From 0 upwards: test, val, train. So the test part does not depend on the share of val.
    bounds = {
        "test": (0.0, test_share),
        "val": (test_share, test_share + val_share),
        "train": (test_share + val_share, 1.0),
    }
    drawn = {name: _uniform(name, seed) for name in sorted(set(groups))}
    part_of = {
        name: next(part for part, (_, high) in bounds.items() if value < high)
        for name, value in drawn.items()
    }
    _level_out(part_of, drawn, bounds)
    divided: dict[str, list[int]] = {part: [] for part in PARTS}
    for index, name in enumerate(groups):
        divided[part_of[name]].append(index)
    return divided


def _divide_folds(
    groups: Sequence[str], folds: int, fold: int, *, val_share: float, seed: int
) -> dict[str, list[int]]:
    if fold >= folds:
        raise UsageError(f"data.fold is {fold}, but data.folds is {folds}: they count from 0.")
    fold_of = _deal(groups, folds, seed)
    rest = [index for index, name in enumerate(groups) if fold_of[name] != fold]
    divided = divide(
        [groups[index] for index in rest], val_share=val_share, test_share=0, seed=seed
    )
    return {
        "train": [rest[index] for index in divided["train"]],
        "val": [rest[index] for index in divided["val"]],
        "test": [index for index, name in enumerate(groups) if fold_of[name] == fold],
    }


def refuse_folds(folds: int | None, divided_by: str) -> None:
    """Where data state their parts.

    Args:
        divided_by: what states them, in the plural.

    Raises:
        UsageError: folds are asked for.
    """
    if folds is not None:
        raise UsageError(
            f"data.folds divides the data anew, but {divided_by} already do: "
            "leave it out, or give a folder that is not divided."
        )


def _deal(groups: Sequence[str], folds: int, seed: int) -> dict[str, int]:
    """{group: fold}: the largest first, each to the fold that has least so far."""
    sizes = Counter(groups)
    if len(sizes) < folds:
        raise UsageError(
            f"data.folds is {folds}, but the data have only {len(sizes)} groups (see data.groups)."
        )
    totals = [0] * folds
    fold_of = {}
    for name in sorted(sizes, key=lambda name: (-sizes[name], _uniform(name, seed))):
        fold_of[name] = totals.index(min(totals))
        totals[fold_of[name]] += sizes[name]
    return fold_of


def _uniform(name: str, seed: int) -> float:
    """A number in [0, 1) that depends on the name and the seed."""
    # File names may hold bytes that are no UTF-8; Python reads those as lone surrogates.
    digest = blake2b(f"{seed}:{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    # 53 bits, what a float holds: more would round up to 1.0 now and then.
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def _level_out(
    part_of: dict[str, str],
    drawn: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
) -> None:
    """Fill each empty part that must not be, with the group that came nearest to it."""
    needed = [
        part
        for n_groups, part in enumerate(PARTS, start=1)
        if len(part_of) >= n_groups and bounds[part][0] < bounds[part][1]
    ]
    for part in needed:
        members = list(part_of.values())
        if part in members:
            continue
        low, high = bounds[part]
        spare = [
            name
            for name, donor in part_of.items()
            if donor not in needed or members.count(donor) > 1
        ]
        nearest = min(spare, key=lambda name: abs(drawn[name] - (low + high) / 2))
        part_of[nearest] = part


def split_to_json(splits: Splits) -> dict[str, dict[str, str]]:
    """{part: {sample id: digest}}."""
    return {
        part: {record.id: record.digest for record in samples.records}
        for part, samples in splits.parts.items()
    }


def check_unchanged(saved: Saved, now: Splits) -> None:
    """Compare a saved division with the present one.

    Raises:
        DataError: samples were added, removed, given other content or moved to another part.
    """
    before, after = _flat(saved), _flat(split_to_json(now))
    new = {sample: part for part, sample in after.keys() - before.keys()}
    gone = {sample: part for part, sample in before.keys() - after.keys()}
    moved = {sample: f"{gone[sample]} to {new[sample]}" for sample in new.keys() & gone.keys()}
    other = [key[1] for key in before.keys() & after.keys() if before[key] != after[key]]
    changes = [
        _change("added", new.keys() - moved.keys()),
        _change("removed", gone.keys() - moved.keys()),
        _change("with other content", other),
        _change("moved", (f"{sample} from {way}" for sample, way in moved.items())),
    ]
    if any(changes):
        told = ", ".join(filter(None, changes))
        raise DataError(
            f"{now.name} changed since the run began: {told}; "
            "bring the samples back or start a new run."
        )


def _flat(saved: Saved) -> dict[tuple[str, str], str]:
    return {
        (part, sample): digest
        for part, samples in saved.items()
        for sample, digest in samples.items()
    }


def _change(what: str, samples: Iterable[str]) -> str:
    names = sorted(samples)
    return f"{len(names)} {what} ({_first(names)})" if names else ""


def _first(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"first {names[0]}"


def repeated(train: Dataset, rules: Sequence[str]) -> Dataset:
    """The samples, each as often as the first rule `REGEX:TIMES` that fits its id says.

    Raises:
        UsageError: a rule fits no sample.
    """
    if not rules:
        return train
    parsed = [parse_repeat(rule) for rule in rules]
    times = [
        next((n for pattern, n in parsed if pattern.search(record.id)), 1)
        for record in train.records
    ]
    for rule, (pattern, _) in zip(rules, parsed, strict=True):
        if not any(pattern.search(record.id) for record in train.records):
            raise UsageError(
                f"data.repeat={rule} fits no training sample; the first is called "
                f"{train.records[0].id}."
            )
    return train.subset([index for index, n in enumerate(times) for _ in range(n)])
