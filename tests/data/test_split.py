import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from img2img.data.sample import Dataset, Image, Record, Splits
from img2img.data.split import PARTS, check_unchanged, divide, split_to_json
from img2img.errors import DataError, UsageError

NAMES = st.lists(st.text(st.characters(codec=None), min_size=1, max_size=6), max_size=30)
SHARES = st.sampled_from([0.0, 0.05, 0.2, 0.45])
SEEDS = st.integers(0, 5)


@given(groups=NAMES, val=SHARES, test=SHARES, seed=SEEDS)
def test_parts_are_disjoint_complete_and_leave_groups_whole(
    groups: list[str], val: float, test: float, seed: int
) -> None:
    parts = divide(groups, val_share=val, test_share=test, seed=seed)
    assert list(parts) == list(PARTS)
    assert sorted(i for part in parts.values() for i in part) == list(range(len(groups)))
    assert all(indices == sorted(indices) for indices in parts.values())
    owners = {(groups[index], part) for part, indices in parts.items() for index in indices}
    assert len(owners) == len(set(groups))


@given(groups=NAMES, val=SHARES, test=SHARES, seed=SEEDS)
def test_no_part_stays_empty_without_need(
    groups: list[str], val: float, test: float, seed: int
) -> None:
    parts = divide(groups, val_share=val, test_share=test, seed=seed)
    n_groups = len(set(groups))
    assert parts["train"] or n_groups < 1
    assert parts["val"] or n_groups < 2 or val == 0
    assert parts["test"] or n_groups < 3 or test == 0


@given(val=SHARES, test=SHARES, seed=SEEDS, order=st.randoms())
def test_new_pictures_and_another_order_move_nothing(val, test, seed, order) -> None:
    def part_of(groups: list[str]) -> dict[str, str]:
        parts = divide(groups, val_share=val, test_share=test, seed=seed)
        return {groups[index]: part for part, indices in parts.items() for index in indices}

    # So many that every part has some by itself.
    few = [f"photo {index}" for index in range(300)]
    more = [*few, *(f"new {index}" for index in range(100))]
    order.shuffle(more)
    before, after = part_of(few), part_of(more)
    assert {name: after[name] for name in few} == before


def test_names_that_are_no_utf_8_are_divided() -> None:
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    assert divide([name], val_share=0.1, test_share=0.1, seed=0)["train"] == [0]


def test_shares_hold_and_the_seed_matters() -> None:
    groups = [str(index) for index in range(4000)]
    parts = divide(groups, val_share=0.2, test_share=0.1, seed=0)
    assert len(parts["val"]) == pytest.approx(800, abs=100)
    assert len(parts["test"]) == pytest.approx(400, abs=80)
    assert divide(groups, val_share=0.2, test_share=0.1, seed=1) != parts


def test_the_division_is_the_same_in_every_version() -> None:
    """Saved runs rely on it: change the expected values only with a changelog line."""
    parts = divide([f"{n}.jpg" for n in range(12)], val_share=0.25, test_share=0.25, seed=0)
    assert parts == {"train": [0, 2, 3, 4, 5, 6, 9, 10, 11], "val": [1, 8], "test": [7]}


def test_shares_that_leave_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match=r"val_share \+ data\.test_share is 0\.5 \+ 0\.5"):
        divide(["a"], val_share=0.5, test_share=0.5, seed=0)


class Blank(Dataset):
    def pixels(self, record: Record) -> Image:
        raise NotImplementedError


def splits(**parts: dict[str, str]) -> Splits:
    sets = {
        part: Blank([Record(id=key, digest=value, height=1, width=1) for key, value in own.items()])
        for part, own in parts.items()
    }
    return Splits(name="photos", parts=sets, stated=False, whole=Blank([]))


NOW = splits(train={"a": "1", "b": "2", "c": "3"}, val={"d": "4"}, test={})


def test_saved_and_present_division_agree_after_json() -> None:
    saved = json.loads(json.dumps(split_to_json(NOW)))
    assert saved == {"train": {"a": "1", "b": "2", "c": "3"}, "val": {"d": "4"}, "test": {}}
    check_unchanged(saved, NOW)


@pytest.mark.parametrize(
    ("saved", "told"),
    [
        ({"train": {"a": "1", "b": "2"}, "val": {"d": "4"}}, "began: 1 added (c);"),
        ({"train": {"c": "3"}, "val": {"d": "4"}}, "began: 2 added (first a);"),
        (
            {"train": {"a": "1", "b": "2", "c": "3", "x": "9"}, "val": {"d": "4"}},
            "began: 1 removed (x);",
        ),
        (
            {"train": {"a": "1", "b": "0", "c": "0"}, "val": {"d": "4"}},
            "began: 2 with other content (first b);",
        ),
        (
            {"train": {"a": "1", "b": "2"}, "val": {"d": "4", "c": "3"}},
            "began: 1 moved (c from val to train);",
        ),
        (
            {"train": {"a": "0", "b": "2", "y": "7"}, "val": {"c": "3"}},
            "1 added (d), 1 removed (y), 1 with other content (a), 1 moved (c from val to train);",
        ),
    ],
)
def test_a_change_is_named(saved: dict[str, dict[str, str]], told: str) -> None:
    with pytest.raises(DataError) as caught:
        check_unchanged(saved, NOW)
    assert told in str(caught.value)
    assert str(caught.value).startswith("photos changed since the run began")


def test_stated_parts_may_repeat_an_id() -> None:
    now = splits(train={"0": "1"}, val={"0": "2"})
    check_unchanged({"train": {"0": "1"}, "val": {"0": "2"}}, now)
    with pytest.raises(DataError, match=r"1 with other content \(0\)"):
        check_unchanged({"train": {"0": "1"}, "val": {"0": "3"}}, now)
