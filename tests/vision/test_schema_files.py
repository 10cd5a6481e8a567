"""Schemas that users write, and the mistakes that they make in them."""

import json
from pathlib import Path

import numpy as np
import pytest

from img2img.errors import UsageError
from img2img.vision.schema_files import read_schema, schema_of_table, table_of
from img2img.vision.schemas import BOX, FRAME, IBUG68, SCHEMAS

GOOD = """
points = ["left_eye", "right_eye", "chin"]
pairs = [["left_eye", "right_eye"]]
normaliser = "between_eyes"

[lines]
face = [["left_eye", "chin", "right_eye"]]

[regions]
eyes = ["left_eye", "right_eye"]

[normalisers]
between_eyes = [["left_eye"], ["right_eye"]]

[from.ibug68]
left_eye = ["left_eye_0", "left_eye_3"]
right_eye = ["right_eye_0", "right_eye_3"]
chin = ["jaw_8"]
"""


def read(folder: Path, text: str, name: str = "eyes.toml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_schema(path)


def test_a_file_says_all_that_a_schema_is(tmp_path: Path) -> None:
    schema = read(tmp_path, GOOD)
    assert schema.name == "eyes"
    assert schema.flip_order.tolist() == [1, 0, 2]
    assert schema.lines == {"face": ((0, 2, 1),)}
    assert schema.regions == {"eyes": (0, 1)}
    assert schema.normalisers == ("between_eyes", BOX, FRAME)
    own = np.arange(136.0).reshape(68, 2)
    assert (schema.derived(own, IBUG68)[0] == (own[42] + own[45]) / 2).all()


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left_eye", "right_eye"),
        ("upright_left", "upright_right"),
        ("LeftEye", "RightEye"),
        ("left_eye_right_corner", "right_eye_left_corner"),
        ("left_upright", "right_upright"),
    ],
)
def test_names_tell_the_sides_of_a_pair(tmp_path: Path, left: str, right: str) -> None:
    """A pair that is written the wrong way round would turn every face upside down."""
    for pair in ((left, right), (right, left)):
        text = f"points = {[right, left]}\npairs = [{[*pair]}]"
        assert read(tmp_path, text).pairs == ((0, 1),)


def test_pairs_without_sides_in_their_names_stay_as_they_are_written(tmp_path: Path) -> None:
    written = {("a", "b"): (1, 0), ("b", "a"): (0, 1), ("bright", "cleft"): (3, 2)}
    for pair, read_as in written.items():
        text = f'points = ["a", "b", "bright", "cleft"]\npairs = [{[*pair]}]'
        assert read(tmp_path, text).pairs == (read_as,)


def test_a_normaliser_may_end_in_a_word_that_is_taken(tmp_path: Path) -> None:
    text = 'points = ["a", "b"]\nnormalisers."my box_diagonal" = [["a"], ["b"]]'
    assert "my box_diagonal" in read(tmp_path, text).normalisers


def test_only_the_points_are_needed(tmp_path: Path) -> None:
    schema = read(tmp_path, 'name = "two"\npoints = ["a", "b"]')
    assert schema.name == "two"
    assert schema.normaliser == BOX
    assert read(tmp_path, 'points = ["tip"]').normaliser == FRAME


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_a_schema_survives_json(schema) -> None:
    assert schema_of_table(json.loads(json.dumps(table_of(schema))), "weights") == schema


MISTAKES = {
    "no points": ("pairs = []", "points: write a list of names"),
    "points are no list": ('points = "a"', "points: write a list of names"),
    "a point is no text": ("points = [1]", "points: write a text"),
    "a point twice": ('points = ["a", "b", "a"]', "two points 'a'"),
    "no TOML": ("points = [", "not valid TOML"),
    "unknown key": ('points = ["a"]\npair = []', "unknown key 'pair': did you mean 'pairs'"),
    "name is no text": ('points = ["a"]\nname = 3', "name: write a text"),
    "name of another": ('points = ["a"]\nname = "nose"', "named 'nose' as a built-in one"),
    "pair of an unknown": (
        'points = ["left", "right"]\npairs = [["left", "righ"]]',
        "pairs: unknown point 'righ': did you mean 'right'",
    ),
    "pair of three": ('points = ["a", "b", "c"]\npairs = [["a", "b", "c"]]', "needs two points"),
    "pair with itself": ('points = ["a", "b"]\npairs = [["a", "a"]]', "'a' can change places"),
    "two pairs of one": (
        'points = ["a", "b", "c"]\npairs = [["a", "b"], ["b", "c"]]',
        "'b' can change places",
    ),
    "pairs are no lists": ('points = ["a", "b"]\npairs = ["a", "b"]', "pairs: write a list"),
    "lines are no table": ('points = ["a", "b"]\nlines = ["a", "b"]', "lines: write a table"),
    "lines are no lists": ('points = ["a", "b"]\nlines.x = "a"', "lines of x: write lists"),
    "line of one": ('points = ["a", "b"]\nlines.x = [["a"]]', "lines of x: a line needs"),
    "region of an unknown": ('points = ["a"]\nregions.x = ["b"]', "region x: unknown point 'b'"),
    "unknown normaliser": (
        'points = ["a", "b"]\nnormaliser = "box_diag"',
        "unknown normaliser 'box_diag': did you mean 'box_diagonal'",
    ),
    "normaliser of one side": (
        'points = ["a", "b"]\nnormalisers.x = [["a", "b"]]',
        "normaliser x: write two lists",
    ),
    "normaliser that exists": (
        'points = ["a", "b"]\nnormalisers.box_diagonal = [["a"], ["b"]]',
        "is there in every schema",
    ),
    "from an unknown schema": (
        'points = ["a"]\nfrom.ibug = {a = ["jaw_0"]}',
        "unknown schema 'ibug': did you mean 'ibug68'",
    ),
    "from an unknown point": (
        'points = ["a"]\nfrom.ibug68 = {a = ["jaw_17"]}',
        "from.ibug68, a: unknown point 'jaw_17'",
    ),
    "for an unknown point": (
        'points = ["ab"]\nfrom.ibug68 = {abc = ["jaw_0"]}',
        "unknown point 'abc': did you mean 'ab'",
    ),
    "not for every point": (
        'points = ["a", "b"]\nfrom.ibug68 = {a = ["jaw_0"]}',
        "'b' is missing",
    ),
}


@pytest.mark.parametrize(("text", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert told in message
    assert "eyes.toml" in message
    assert "\n" not in message
    assert message.endswith((".", "?"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml cannot be read: No such file"):
        read_schema(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"bytes\.toml is no text"):
        read_schema(tmp_path / "bytes.toml")
