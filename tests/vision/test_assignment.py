"""The assignment with the least cost, against trying all of them."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.vision.assignment import assignment


def _least(cost: np.ndarray) -> float:
    if cost.shape[0] > cost.shape[1]:
        cost = cost.T
    rows = np.arange(len(cost))
    return min(cost[rows, list(way)].sum() for way in permutations(range(cost.shape[1]), len(rows)))


@settings(deadline=None, max_examples=80)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 6)), seed=st.integers(0, 10_000),
    levels=st.sampled_from([2, 5, 1000]),
)  # fmt: skip
def test_nothing_is_cheaper(shape: tuple[int, int], seed: int, levels: int) -> None:
    cost = np.random.default_rng(seed).integers(-levels, levels, shape).astype(np.float64)
    rows, columns = assignment(cost)
    assert len(rows) == min(shape)
    assert (np.diff(rows) > 0).all()
    assert len(set(columns.tolist())) == len(columns)
    assert cost[rows, columns].sum() == pytest.approx(_least(cost))


def test_many_points_find_the_order_they_were_shuffled_from() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (68, 2))
    shuffle = rng.permutation(68)
    moved = points[shuffle] + rng.normal(0, 0.3, (68, 2))
    _, columns = assignment(np.square(points[:, None] - moved).sum(axis=2))
    np.testing.assert_array_equal(shuffle[columns], np.arange(68))
