"""Random scenes with faces."""

import dataclasses

import numpy as np
import pytest

from img2img.data.augment_faces import Bank, Scene, SceneMaker, SceneOptions, cut_out, paste
from img2img.data.finder import WITHOUT_FACES
from img2img.data.sample import Dataset, Image, Record, Sample

SIZE, STRIDE = 128, 8
PLAIN = SceneOptions(colour=0, blur=0, noise=0, compression=0, shadow=0, occlusion=0, paste=0)
PLACE = np.array([[200.0, 150.0, 100.0, 0.2]])
RED, BLUE = (250, 20, 20), (20, 20, 250)


def picture() -> Image:
    """Grey, with a red disc in a blue one's middle where the face is."""
    rows, columns = np.mgrid[:300, :400]
    away = np.hypot(columns - 200, rows - 150)
    image = np.full((300, 400, 3), 120, np.uint8)
    image[away < 50] = BLUE
    image[away < 25] = RED
    return image


def bank() -> Bank:
    return Bank(
        faces=(cut_out(picture(), PLACE[0]),), backgrounds=(np.full((240, 320, 3), 60, np.uint8),)
    )


def scenes(
    options: SceneOptions, n: int, *, reach: float = 1.6, given: Bank | None = None
) -> list[Scene]:
    maker = SceneMaker(options, size=SIZE, stride=STRIDE, bank=given)
    return [maker(picture(), PLACE, reach, np.random.default_rng(seed)) for seed in range(n)]


def is_red(scene: Scene) -> np.ndarray:
    image = scene.image.astype(int)
    return np.asarray((image[..., 0] > 150) & (image[..., 2] < 90))


def test_the_place_follows_the_face_at_every_size() -> None:
    sides = []
    for scene in scenes(PLAIN, 60):
        assert scene.image.shape == (SIZE, SIZE, 3)
        ((x, y, side, _),) = scene.places
        sides.append(side / SIZE)
        rows, columns = np.nonzero(is_red(scene))
        whole = min(x, y) > side / 3 and max(x, y) < SIZE - 1 - side / 3
        if whole:
            assert np.hypot(columns.mean() - x, rows.mean() - y) < 0.6
            assert 2 * np.sqrt(len(rows) / np.pi) == pytest.approx(side / 2, rel=0.1, abs=1.5)
    assert min(sides) < 0.18
    assert max(sides) > 0.9
    assert 0.3 < np.median(sides) < 0.6  # log-uniform between 0.15 and 1.2


def test_only_what_is_near_a_single_label_is_known() -> None:
    for scene in scenes(PLAIN, 20):
        ((x, y, side, _),) = scene.places
        for row, column in np.argwhere(~scene.known):
            centre = np.array([column + 0.5, row + 0.5]) * STRIDE - 0.5
            assert np.hypot(*(centre - (x, y))) > 1.6 * side
            assert scene.image[int(centre[1]), int(centre[0])].any(), "outside is known"
    assert any((~scene.known).any() for scene in scenes(PLAIN, 20))
    assert all(scene.known.all() for scene in scenes(PLAIN, 20, reach=np.inf))


def test_pasted_faces_lie_where_the_places_say() -> None:
    options = dataclasses.replace(PLAIN, paste=1.0)
    found = scenes(options, 30, given=bank())
    assert all(scene.known.all() for scene in found)
    assert {len(scene.places) for scene in found} >= {1, 2, 3}
    for scene in found:
        red = is_red(scene)
        for x, y, side, _ in scene.places:
            rows, columns = np.mgrid[:SIZE, :SIZE]
            near = np.hypot(columns - x, rows - y) < side / 8
            assert not near.any() or red[near].mean() > 0.9
            red &= np.hypot(columns - x, rows - y) > 0.35 * side
        assert red.mean() < 0.001, "every face has a place"


def test_a_picture_without_faces_may_get_some() -> None:
    maker = SceneMaker(dataclasses.replace(PLAIN, paste=0.5), size=SIZE, stride=STRIDE, bank=bank())
    empty = np.full((200, 300, 3), 90, np.uint8)
    found = [
        maker(empty, np.zeros((0, 4)), np.inf, np.random.default_rng(seed)) for seed in range(40)
    ]
    counts = [len(scene.places) for scene in found]
    assert 0.3 < np.mean(np.array(counts) == 0) < 0.95
    assert max(counts) >= 2
    assert all(is_red(scene).any() == bool(n) for scene, n in zip(found, counts, strict=True))


def test_pasting_keeps_the_canvas_and_turns_the_face() -> None:
    canvas = np.zeros((SIZE, SIZE, 3), np.uint8)
    half = np.zeros((112, 112, 3), np.uint8)
    half[:56] = 255  # white above, black below
    pasted = paste(canvas, half, np.array([64.0, 64.0, 60.0, np.pi / 2]), np.random.default_rng(0))
    assert not canvas.any()
    assert pasted[64, 78].min() > 100, "a quarter turn clockwise brings the top to the right"
    assert pasted[64, 50].max() == 0


class Samples(Dataset):
    def pixels(self, record: Record) -> Image:
        return picture()

    def sample(self, record: Record, pixels: Image) -> Sample:
        places = np.zeros((0, 4)) if record.origin else PLACE
        labels = {"places": places, "reach": np.ones(1)}
        return Sample(id=record.id, group=record.id, image=pixels, labels=labels)


def samples(origins: list[str]) -> Samples:
    return Samples([
        Record(id=str(i), digest="", height=300, width=400, origin=origin)
        for i, origin in enumerate(origins)
    ])  # fmt: skip


def test_the_bank_takes_faces_only_where_they_can_be_pasted() -> None:
    both = Bank.gather(samples(["", "", WITHOUT_FACES]))
    assert (len(both.faces), len(both.backgrounds)) == (2, 1)
    assert both.backgrounds[0].shape == (240, 320, 3)
    assert (both.faces[0][56, 56] == RED).all()
    alone = Bank.gather(samples([""]))
    assert (len(alone.faces), len(alone.backgrounds)) == (0, 0)


def test_a_scene_depends_on_the_generator_alone() -> None:
    options = SceneOptions()
    first, again = (scenes(options, 5, given=bank()) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.places, other.places)
