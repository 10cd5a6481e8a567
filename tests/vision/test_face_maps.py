"""Places of faces as maps, and back."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from img2img.vision import face_maps as maps

STRIDE = 8
SIDES = (12.0, 180.0)


def decoded(encoded: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """What a network answers that has learned the maps perfectly."""
    place = encoded["place"]
    cells = maps.cell_centres(encoded["heat"].shape, STRIDE)
    return {
        "probability": encoded["heat"],
        "centre": (cells + STRIDE * place[:2].transpose(1, 2, 0)).astype(np.float32),
        "side": maps.UNIT_PX * np.exp(place[2]),
        "angle": np.arctan2(place[3], place[4]),
    }


@given(x=st.floats(0, 127), y=st.floats(0, 95), side=st.floats(13, 170), angle=st.floats(-3.1, 3.1))
def test_a_place_comes_back(x: float, y: float, side: float, angle: float) -> None:
    """Within a tenth of a cell, 2 % of the side and 2°."""
    truth = np.array([[x, y, side, angle]])
    places, scores = maps.peaks(
        decoded(maps.encoded(truth, (12, 16), STRIDE, sides=SIDES)), least=0.9
    )
    assert scores.tolist() == [1.0]
    ((found_x, found_y, found_side, found_angle),) = places
    assert np.hypot(found_x - x, found_y - y) < 0.1 * STRIDE
    assert found_side == pytest.approx(side, rel=0.02)
    assert np.degrees(abs(found_angle - angle)) < 2


def test_every_cell_that_tells_a_place_tells_the_same() -> None:
    truth = np.array([[61.3, 40.2, 90.0, 0.4]])
    encoded = maps.encoded(truth, (12, 16), STRIDE, sides=SIDES)
    answer, there = decoded(encoded), encoded["told"] > 0
    assert there.sum() > 4
    np.testing.assert_allclose(answer["centre"][there], np.tile(truth[:, :2], (there.sum(), 1)),
                               atol=1e-3)  # fmt: skip
    np.testing.assert_allclose(answer["side"][there], 90, rtol=1e-5)


def test_neighbours_stay_apart() -> None:
    truth = np.array([[30.0, 40.0, 40.0, 0.0], [62.0, 44.0, 24.0, 0.5]])
    places, _ = maps.peaks(decoded(maps.encoded(truth, (12, 16), STRIDE, sides=SIDES)), least=0.9)
    np.testing.assert_allclose(places[np.argsort(places[:, 0])], truth, atol=0.01)


@pytest.mark.parametrize(("side", "reach"), [(8.0, 4.0), (200.0, 100.0)])
def test_faces_out_of_the_range_of_sides_are_neither_found_nor_passed_over(
    side: float, reach: float
) -> None:
    encoded = maps.encoded(np.array([[64.0, 48.0, side, 0.0]]), (12, 16), STRIDE, sides=SIDES)
    assert not encoded["heat"].any()
    assert not encoded["told"].any()
    away = np.hypot(*(maps.cell_centres((12, 16), STRIDE) - (64, 48)).transpose(2, 0, 1))
    np.testing.assert_array_equal(encoded["known"] == 0, away < reach)


def test_a_face_in_range_is_known_beside_a_large_one_that_is_not() -> None:
    truth = np.array([[64.0, 48.0, 200.0, 0.0], [70.0, 50.0, 20.0, 0.0]])
    encoded = maps.encoded(truth, (12, 16), STRIDE, sides=SIDES)
    assert encoded["known"][encoded["heat"] == 1].tolist() == [1]


def test_no_face_gives_empty_maps() -> None:
    encoded = maps.encoded(np.zeros((0, 4)), (3, 5), STRIDE, sides=SIDES)
    assert {name: array.shape for name, array in encoded.items()} == {
        "heat": (3, 5), "known": (3, 5), "place": (5, 3, 5), "told": (3, 5),
    }  # fmt: skip
    assert not encoded["heat"].any()
    assert encoded["known"].all()
    places, scores = maps.peaks(decoded(encoded), least=0.1)
    assert places.shape == (0, 4)
    assert scores.shape == (0,)


def test_only_the_surest_peaks_are_read() -> None:
    probability = np.zeros((20, 20), np.float32)
    probability[::2, ::2] = np.linspace(0.2, 0.9, 100).reshape(10, 10)
    flat = {"centre": np.zeros((20, 20, 2)), "side": np.ones((20, 20)), "angle": np.ones((20, 20))}
    _, scores = maps.peaks({"probability": probability, **flat}, least=0.3, most=5)
    np.testing.assert_allclose(scores, np.linspace(0.2, 0.9, 100)[:-6:-1], rtol=1e-6)


@given(turn=st.floats(-3, 3), scale=st.floats(0.2, 5), angle=st.floats(-1.5, 1.5))
def test_places_move_as_their_corners_do(turn: float, scale: float, angle: float) -> None:
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    matrix = np.array([[cos, -sin, 7.0], [sin, cos, -3.0]])
    ((x, y, side, turned),) = maps.moved(np.array([[10.0, 20.0, 30.0, angle]]), matrix)
    np.testing.assert_allclose((x, y), matrix @ (10, 20, 1))
    assert side == pytest.approx(30 * scale)
    assert np.cos(turned - angle - turn) == pytest.approx(1)


def test_a_mirrored_face_stays_upright() -> None:
    mirror = np.array([[-1.0, 0.0, 99.0], [0.0, 1.0, 0.0]])
    moved = maps.moved(np.array([[10.0, 20.0, 30.0, 0.3]]), mirror)
    np.testing.assert_allclose(moved, [[89.0, 20.0, 30.0, -0.3]])


def test_a_face_that_was_seen_twice_counts_once() -> None:
    places = np.array([
        [50.0, 50, 40, 0], [54, 52, 44, 0.2], [90, 50, 40, 0], [52, 50, 100, 0],
    ])  # fmt: skip
    kept = maps.distinct(places, np.array([0.6, 0.9, 0.7, 0.3]))
    assert kept.tolist() == [1, 2]
    small_inside = np.array([[50.0, 50, 100, 0], [80, 50, 20, 0]])
    assert maps.distinct(small_inside, np.array([0.9, 0.8])).tolist() == [0]
    assert maps.distinct(np.zeros((0, 4)), np.zeros(0)).tolist() == []


@pytest.mark.parametrize(
    ("longest", "sizes"),
    [(1, [96, 192]), (300, [96, 192]), (640, [96, 192, 384]), (9000, [96, 192, 384, 768, 1536])],
)
def test_a_picture_is_looked_at_in_octaves(longest: int, sizes: list[int]) -> None:
    assert maps.levels(longest, coarsest=96, finest=1536) == sizes


@given(length=st.integers(1, 4000), longest=st.integers(20, 900))
def test_tiles_cover_and_overlap(length: int, longest: int) -> None:
    pieces = maps.tiles(length, longest=longest, overlap=8)
    assert pieces[0][0] == 0
    assert pieces[-1][1] == length
    assert len({end - start for start, end in pieces}) == 1
    assert pieces[0][1] <= longest or length <= longest
    for (_, end), (start, _) in pairwise(pieces):
        assert end - start >= 7
