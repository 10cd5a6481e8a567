"""The generated faces: exact points, and pictures that agree with them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from img2img.data.synth.face_head import Face, Shot, Surface, random_face
from img2img.data.synth.face_layout import (
    LEFT_EYE,
    MOUTH,
    RIGHT_EYE,
    Expression,
    average_layout,
    layout_of,
    random_person,
)
from img2img.data.synth.faces import PARTS, Faces, draw_face
from img2img.vision.schemas import IBUG68

BARE = frozenset(PARTS)
STILL = Expression(
    jaw=0, smile=0, pout=0, lips_apart=0, eyes=(1, 1), brows=(0, 0), frown=0, skew=0
)  # fmt: skip


def faces(n: int, size: int = 96, without: Iterable[str] = (), seed: int = 3) -> Faces:
    return Faces(n, seed=seed, size=size, without=frozenset(without))


def drawn(n: int, size: int = 96, without: Iterable[str] = ()) -> NDArray[np.uint8]:
    """(n, size, size, 3) of the first pictures of seed 3."""
    some = faces(n, size, without)
    return np.stack([some.pixels(record) for record in some.records])


def portrait(expression: Expression = STILL, turn: NDArray[np.float64] | None = None) -> Face:
    """The average face, or another that is moved, from the front unless turned."""
    rng = np.random.default_rng(0)
    person = random_person(rng)
    layout = average_layout() if expression == STILL else layout_of(person, expression)
    shot = Shot(
        turn=np.eye(3) if turn is None else turn, distance=15.0, scale_px=80.0,
        place=np.array([160.0, 120.0]),
    )  # fmt: skip
    surface = Surface(layout, nose_out=1.0, smile=0.0)
    return Face(person=person, expression=expression, surface=surface, shot=shot, size=(320, 320))


def yawed(degrees: float) -> NDArray[np.float64]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    return drawn(30)


def test_samples_have_exact_shapes() -> None:
    for sample in faces(6, size=50):
        assert sample.image.shape == (50, 50, 3)
        assert sample.image.dtype == np.uint8
        assert sample.labels["points"].shape == (68, 2)
        assert sample.labels["box"].shape == (4,)
        assert sample.labels["points"].dtype == sample.labels["box"].dtype == np.float32


def test_a_picture_is_a_function_of_seed_and_index(pictures: NDArray[np.uint8]) -> None:
    assert np.array_equal(drawn(2), pictures[:2])
    later = Faces(1, seed=3, size=96, first=1)
    assert np.array_equal(later[0].image, pictures[1])
    other = faces(1, seed=4)
    assert (other[0].image != pictures[0]).any()
    assert (other[0].labels["points"] != faces(1)[0].labels["points"]).any()


def test_points_do_not_depend_on_parts_or_pixels() -> None:
    whole, bare = faces(5), faces(5, without=BARE)
    for ours, theirs in zip(whole.records, bare.records, strict=True):
        blank = np.zeros((96, 96, 3), np.uint8)
        given = whole.sample(ours, blank).labels["points"]
        assert np.array_equal(given, bare[theirs.index or 0].labels["points"])
        assert np.array_equal(given, whole.points(ours))


def test_points_grow_with_the_picture() -> None:
    small, large = faces(3, 64)[2].labels["points"], faces(3, 256)[2].labels["points"]
    assert np.allclose((small + 0.5) * 4, large + 0.5, atol=0.01)


def test_faces_lie_in_the_picture_and_differ_in_size() -> None:
    points = np.stack([faces(300, 100).points(record) for record in faces(300, 100).records])
    low, high = points.min(1), points.max(1)
    assert (low > -0.5).all()
    assert (high < 99.5).all()
    shares = (high - low).max(1) / 100
    assert 0.24 < shares.min() < 0.3
    assert 0.7 < shares.max() < 0.81


def test_the_box_is_round_the_points() -> None:
    for sample in faces(10):
        points, box = sample.labels["points"], sample.labels["box"]
        assert np.array_equal(box[:2], points.min(0))
        assert np.array_equal(box[2:], points.max(0))


def test_each_face_is_a_person_of_its_own() -> None:
    groups = {sample.group for sample in faces(8)}
    assert len(groups) == 8


def test_the_average_face_is_symmetric() -> None:
    layout = average_layout()
    assert np.allclose(layout[IBUG68.flip_order] * (-1, 1), layout)
    seen = portrait().points - (160, 0)
    assert np.allclose(seen[IBUG68.flip_order] * (-1, 1), seen, atol=1e-6)


def test_a_face_turned_left_mirrors_one_turned_right() -> None:
    left, right = (portrait(turn=yawed(way)).points - (160, 0) for way in (-40, 40))
    assert np.allclose(left[IBUG68.flip_order] * (-1, 1), right, atol=1e-6)


def test_most_faces_have_their_right_eye_at_the_left() -> None:
    some = faces(100)
    points = np.stack([some.points(record) for record in some.records])
    assert (points[:, RIGHT_EYE, 0].mean(1) < points[:, LEFT_EYE, 0].mean(1)).all()
    up = points[:, 8] - points[:, 27]
    across = points[:, LEFT_EYE].mean(1) - points[:, RIGHT_EYE].mean(1)
    assert (across[:, 0] * up[:, 1] - across[:, 1] * up[:, 0] > 0).all()


def test_a_turned_jaw_follows_the_visible_contour() -> None:
    """Nothing but nose and mouth lies farther out at the height of a far point of the jaw."""
    face = portrait(turn=yawed(50))
    theta = np.linspace(np.pi / 9, np.pi / 2, 60)
    rings = face.shot.project(face.surface.ring(theta, np.linspace(0, 1.5, 40)[:, None]))
    for point in face.points[11:16]:
        level = rings[np.abs(rings[..., 1] - point[1]) < 2]
        assert abs(level[:, 0].max() - point[0]) < 2.5
    # Where it does not turn away it stays what it is from the front.
    assert (
        face.points[16, 0] - face.points[45, 0]
        < portrait().points[16, 0] - portrait().points[45, 0]
    )


def test_points_of_the_jaw_are_evenly_spaced() -> None:
    jaw = portrait(turn=yawed(30)).points[:9]
    steps = np.hypot(*np.diff(jaw, axis=0).T)
    assert steps.std() < 0.03 * steps.mean()


def test_open_mouths_and_shut_eyes() -> None:
    def moved(**changes: Any) -> NDArray[np.float64]:
        return layout_of(random_person(np.random.default_rng(1)), replace(STILL, **changes))

    still, shouting, asleep = moved(), moved(jaw=0.5), moved(eyes=(0.0, 0.0))
    assert shouting[66, 1] - shouting[62, 1] > still[66, 1] - still[62, 1] + 0.4
    assert shouting[8, 1] > still[8, 1] + 0.2
    assert np.array_equal(shouting[RIGHT_EYE], still[RIGHT_EYE])
    assert np.abs(asleep[[37, 38]] - asleep[[41, 40]]).max() < 0.06
    assert np.array_equal(asleep[MOUTH], still[MOUTH])


def test_an_open_mouth_is_dark_or_has_teeth() -> None:
    face = portrait(
        Expression(**{**{name: getattr(STILL, name) for name in STILL.__slots__}, "jaw": 0.5})
    )
    for seed in range(6):
        picture = draw_face(np.random.default_rng(seed), face, BARE).astype(float)
        inner = face.points[[61, 62, 63, 65, 66, 67]]
        column = np.linspace(inner[1], inner[4], 20).round().astype(int)
        inside = picture[column[:, 1], column[:, 0]].mean(-1)
        cheek = face.at(0.55, 0.6).round().astype(int)
        skin = picture[cheek[1] - 2 : cheek[1] + 3, cheek[0] - 2 : cheek[0] + 3].mean()
        assert inside.min() < 0.6 * skin


def test_eyes_are_drawn_where_their_points_are() -> None:
    """Among the places about an eye, its own has the darkest pupil."""
    face, found = portrait(), []
    for seed in range(12):
        picture = draw_face(np.random.default_rng(seed), face, BARE).astype(float).mean(-1)
        for eye in (RIGHT_EYE, LEFT_EYE):
            x, y = face.points[eye].mean(0).round().astype(int)
            patch = picture[y - 14 : y + 15, x - 30 : x + 31]
            row, column = np.unravel_index(patch.argmin(), patch.shape)
            found.append((column - 30, row - 14))
    away = np.abs(np.array(found))
    assert np.median(away[:, 0]) < 10
    assert np.median(away[:, 1]) < 6


@pytest.mark.parametrize("part", PARTS)
def test_every_part_can_be_switched_off(part: str, pictures: NDArray[np.uint8]) -> None:
    less = drawn(30, without={part})
    assert less.shape == pictures.shape
    assert (less != pictures).any()


def test_glasses_change_nothing_but_the_band_of_the_eyes() -> None:
    rng = np.random.default_rng
    face, changed = portrait(), 0
    for seed in range(30):
        clear = draw_face(rng(seed), face, frozenset({"camera", "glasses"}))
        worn = draw_face(rng(seed), face, frozenset({"camera"}))
        rows = np.flatnonzero((clear != worn).any(axis=(1, 2)))
        changed += bool(rows.size)
        if rows.size:
            assert rows.min() > face.points[27, 1] - 0.6 * 80
            assert rows.max() < face.points[27, 1] + 0.8 * 80
    assert 2 < changed < 18


def test_a_part_that_is_absent_changes_nothing() -> None:
    """Beards of the one picture in four that has one: the others stay as they are."""
    plain, without = drawn(20, 64), drawn(20, 64, {"beards"})
    same = (plain == without).all(axis=(1, 2, 3))
    assert 8 < same.sum() < 20


def test_pictures_differ_in_light(pictures: NDArray[np.uint8]) -> None:
    means = pictures.mean(axis=(1, 2, 3))
    assert np.percentile(means, 5) < 80
    assert np.percentile(means, 95) > 130


def test_a_wider_roll_is_another_set() -> None:
    straight, usual = Faces(1, seed=0, roll_deg=0), Faces(1, seed=0)
    assert straight.records[0].digest != usual.records[0].digest
    points = np.stack([Faces(60, seed=0, roll_deg=0).points(record)
                       for record in Faces(60, seed=0, roll_deg=0).records])  # fmt: skip
    eyes = points[:, LEFT_EYE].mean(1) - points[:, RIGHT_EYE].mean(1)
    assert np.abs(np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0]))).mean() < 10


def test_what_is_left_out_changes_the_digest() -> None:
    sets = (frozenset[str](), frozenset({"hair"}), frozenset({"hair", "body"}))
    assert len({faces(1, without=without).records[0].digest for without in sets}) == 3


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(ValueError, match="camera"):
        faces(1, without={"cameras"})


def test_splits_share_no_face() -> None:
    splits = Faces.splits(4, n_val=3, n_test=2, size=32)
    ids = [record.id for part in splits.parts.values() for record in part.records]
    assert [len(part) for part in splits.parts.values()] == [4, 3, 2]
    assert len(set(ids)) == 9


def test_turns_stay_within_their_bounds() -> None:
    """Yaw up to 60, pitch up to 30 and roll up to 45 degrees."""
    rng = np.random.default_rng(5)
    turns = np.stack([random_face(rng, (64, 64), 12.0).shot.turn for _ in range(300)])
    yaw = np.degrees(np.arcsin(-turns[:, 2, 0]))
    assert 40 < np.abs(yaw).max() < 60.1
    pitch = np.degrees(np.arctan2(-turns[:, 2, 1], turns[:, 2, 2]))
    assert 15 < np.abs(pitch).max() < 65
