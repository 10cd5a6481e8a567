"""Point sets: mirrors, lengths, and points of one set made from another's."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from img2img.errors import UsageError
from img2img.vision.schemas import BOX, FRAME, IBUG68, IMM58, KAGGLE15, NOSE, SCHEMAS, schema_of

EVERY = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)

# The table that public training code for 300-W flips with.
IBUG68_MIRROR = [
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
]  # fmt: skip


def other_side(name: str) -> str:
    return name.replace("left", "?").replace("right", "left").replace("?", "right")


def points(schema_size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 100, (schema_size, 2)).astype(np.float32)


def test_the_built_in_sets_have_the_numbers_of_points_that_their_names_say() -> None:
    assert {name: len(schema) for name, schema in SCHEMAS.items()} == {
        "nose": 1, "kaggle15": 15, "imm58": 58, "ibug68": 68,
    }  # fmt: skip


@EVERY
def test_a_mirror_is_its_own_inverse(schema) -> None:
    order = schema.flip_order
    assert (order[order] == np.arange(len(schema))).all()


@EVERY
def test_a_mirror_swaps_the_names_left_and_right(schema) -> None:
    for index, other in enumerate(schema.flip_order):
        name, mirrored = schema.points[index], schema.points[other]
        if "left" in name or "right" in name:
            assert mirrored.rpartition("_")[0] == other_side(name).rpartition("_")[0]
        elif index == other:
            assert "left" not in mirrored


def test_the_mirrors_are_those_of_public_code() -> None:
    assert IBUG68.flip_order.tolist() == IBUG68_MIRROR
    # nolearn's tutorial on the Kaggle data swaps these columns.
    swapped = [(0, 1), (2, 4), (3, 5), (6, 8), (7, 9), (11, 12)]
    assert sorted(tuple(sorted(pair)) for pair in KAGGLE15.pairs) == swapped


def test_the_58_points_swap_along_their_outlines() -> None:
    order = IMM58.flip_order
    assert order[:13].tolist() == [*range(12, -1, -1)]
    assert order[13:21].tolist() == [*range(21, 29)]  # both eyes begin at their outer corners
    assert order[29:34].tolist() == [*range(34, 39)]  # both brows at their inner ends
    assert order[39:47].tolist() == [43, 42, 41, 40, 39, 46, 45, 44]
    assert order[47:].tolist() == [*range(57, 46, -1)]


@EVERY
def test_every_point_is_in_one_region_and_lines_stay_inside_theirs(schema) -> None:
    inside = sorted(index for region in schema.regions.values() for index in region)
    assert inside == list(range(len(schema)))
    for region, lines in schema.lines.items():
        assert {index for line in lines for index in line} <= set(schema.regions[region])


@EVERY
def test_the_mirror_of_a_region_is_the_region_of_the_other_side(schema) -> None:
    order = schema.flip_order
    for region, indices in schema.regions.items():
        assert {*order[list(indices)]} == {*schema.regions[other_side(region)]}


@EVERY
def test_lengths_do_not_change_in_a_mirror(schema) -> None:
    own = points(len(schema))
    mirrored = (own * [-1, 1])[schema.flip_order]
    frame = np.array([30.0, 40.0])
    for name in schema.normalisers:
        length = schema.lengths(own, name, frame)
        assert length > 0
        assert schema.lengths(mirrored, name, frame) == pytest.approx(length, rel=1e-5)


def test_lengths_are_what_their_names_say() -> None:
    own = np.zeros((2, 68, 2), np.float32)
    own[:, 36], own[:, 45] = (10, 10), (13, 14)
    frame = np.array([[30, 40], [3, 4]])
    assert IBUG68.lengths(own, "outer_eye_corners", frame).tolist() == [5, 5]
    assert IBUG68.lengths(own, BOX, frame).tolist() == [np.hypot(13, 14)] * 2
    assert IBUG68.lengths(own, FRAME, frame).tolist() == [50, 5]
    assert IBUG68.lengths(own, "pupils", frame) == pytest.approx([np.hypot(3 / 6, 4 / 6)] * 2)


def test_a_length_without_its_points_or_of_nothing_is_unknown() -> None:
    own = points(15)
    own[0] = np.nan
    frame = np.array([96, 96])
    assert np.isnan(KAGGLE15.lengths(own, "pupils", frame))
    assert KAGGLE15.lengths(own, BOX, frame) > 0
    assert np.isnan(KAGGLE15.lengths(np.full((15, 2), np.nan), BOX, frame))
    assert np.isnan(KAGGLE15.lengths(np.ones((15, 2)), BOX, frame))


def test_a_single_point_has_no_length_of_its_own() -> None:
    assert NOSE.normalisers == (FRAME,)
    with pytest.raises(UsageError, match="unknown normaliser of nose 'pupil'"):
        NOSE.lengths(points(1), "pupil", np.ones(2))


def test_fifteen_points_come_from_68() -> None:
    own = points(68)
    derived = KAGGLE15.derived(own, IBUG68)
    assert derived[0] == pytest.approx(own[42:48].mean(0))
    assert derived[1] == pytest.approx(own[36:42].mean(0))
    exact = {"left_eye_inner_corner": 42, "left_eye_outer_corner": 45, "nose_tip": 30,
             "right_eyebrow_outer_end": 17, "left_eyebrow_inner_end": 22, "mouth_left_corner": 54,
             "mouth_center_top_lip": 51, "mouth_center_bottom_lip": 57}  # fmt: skip
    for name, index in exact.items():
        assert (derived[KAGGLE15.points.index(name)] == own[index]).all()


def test_the_nose_comes_from_all() -> None:
    assert (NOSE.derived(points(15), KAGGLE15) == points(15)[10:11]).all()
    assert (NOSE.derived(points(68), IBUG68) == points(68)[30:31]).all()
    wings = points(58)[[49, 50, 54, 55]]
    assert NOSE.derived(points(58), IMM58)[0] == pytest.approx(wings.mean(0))


@given(st.sampled_from([(KAGGLE15, IBUG68), (KAGGLE15, IMM58), (NOSE, IBUG68), (NOSE, IMM58)]))
def test_to_derive_and_to_mirror_can_change_places(schemas) -> None:
    target, source = schemas
    own = points(len(source))
    before = target.derived((own * [-1, 1])[source.flip_order], source)
    after = (target.derived(own, source) * [-1, 1])[target.flip_order]
    assert before == pytest.approx(after, abs=1e-4)


def test_a_point_made_of_a_missing_one_is_missing() -> None:
    own = points(68)
    own[43] = np.nan
    missing = np.isnan(KAGGLE15.derived(own, IBUG68)).all(axis=1)
    assert missing.tolist() == [True] + [False] * 14


def test_what_cannot_be_derived_is_refused() -> None:
    assert IBUG68.derived(points(68), IBUG68) == pytest.approx(points(68))
    with pytest.raises(UsageError, match="ibug68 cannot be derived from the 58 points of imm58"):
        IBUG68.derived(points(58), IMM58)
    assert not IBUG68.is_derivable(KAGGLE15)


def test_schemas_are_found_by_name_or_file(tmp_path: Path) -> None:
    assert schema_of("imm58") is IMM58
    with pytest.raises(UsageError, match=r"unknown schema .* 'ibug'.*did you mean 'ibug68'"):
        schema_of("ibug")
    path = tmp_path / "pair.toml"
    path.write_text('points = ["a", "b"]')
    assert schema_of(str(path)).points == ("a", "b")
