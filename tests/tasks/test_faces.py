"""The finder of faces: scales, tiles, measures, data."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.crop import Crop, Proposal
from img2img.data.finder import place_of
from img2img.data.sample import Image, Sample
from img2img.errors import DataError, UsageError
from img2img.registry import load_task
from img2img.tasks.base import Arrays
from img2img.tasks.faces import STRIDE, FaceOptions, Faces
from img2img.vision import face_maps as maps
from img2img.vision.schemas import schema_of

FACES = Crop(x=700.0, y=400.0, side=900.0), Crop(x=1500.0, y=300.0, side=42.0), Crop(
    x=1700.0, y=1300.0, side=200.0
)  # fmt: skip


def photo(height: int, width: int, faces: tuple[Crop, ...]) -> Image:
    """A white disc of a third of its crop's side for every face."""
    image = np.zeros((height, width, 3), np.uint8)
    for face in faces:
        cv2.circle(image, (round(face.x), round(face.y)), round(face.side / 6), (255,) * 3, -1)
    return image


class Synthetic:
    """A network that finds discs, those of which a trained one would find the faces."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, image: Image) -> Arrays:
        self.shapes.append(image.shape)
        shape = -(-image.shape[0] // STRIDE), -(-image.shape[1] // STRIDE)
        _, _, stats, centres = cv2.connectedComponentsWithStats((image[..., 0] > 127).astype("u1"))
        places = np.array([
            [*centre, 3 * np.sqrt(4 * area / np.pi), 0.0]
            for centre, area in zip(centres[1:], stats[1:, cv2.CC_STAT_AREA], strict=True)
        ]).reshape(-1, 4)  # fmt: skip
        encoded = maps.encoded(places, shape, STRIDE, sides=(19, 154))
        cells, place = maps.cell_centres(shape, STRIDE), encoded["place"]
        return {
            "probability": encoded["heat"],
            "centre": cells + STRIDE * place[:2].transpose(1, 2, 0),
            "side": maps.UNIT_PX * np.exp(place[2]),
            "angle": np.arctan2(place[3], place[4]),
        }


def by_place(proposals: list[Proposal]) -> list[Proposal]:
    return sorted(proposals, key=lambda one: one.crop.x)


def test_faces_of_every_size_are_found_once_in_a_large_photo() -> None:
    network = Synthetic()
    found = Faces(FaceOptions()).answer(photo(1500, 2000, FACES), network)
    assert len(found) == 3
    for proposal, face in zip(by_place(found), FACES, strict=True):
        crop = proposal.crop
        assert np.hypot(crop.x - face.x, crop.y - face.y) < 0.05 * face.side
        assert crop.side == pytest.approx(face.side, rel=0.12)
        assert 0.9 < proposal.score <= 1
    assert max(max(shape) for shape in network.shapes) <= 832
    assert [max(shape) for shape in network.shapes[:4]] == [96, 192, 384, 768]
    assert len(network.shapes) == 8, "the finest look is cut into four"


def test_a_small_photo_is_looked_at_in_few_pixels() -> None:
    network = Synthetic()
    Faces(FaceOptions()).answer(photo(480, 640, ()), network)
    assert sum(h * w for h, w, _ in network.shapes) <= 0.5 * 480 * 640


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (2000, 3)])
def test_odd_photos_have_no_face(height: int, width: int) -> None:
    task = Faces(FaceOptions())
    image = photo(height, width, ())
    assert task.answer(image, Synthetic()) == []
    np.testing.assert_array_equal(task.draw(image, []), image)


def sample(image: Image, faces: tuple[Crop, ...], reach: float = np.inf) -> Sample:
    places = np.array([[f.x, f.y, f.side, f.angle_rad] for f in faces]).reshape(-1, 4)
    return Sample(id="a", group="a", image=image,
                  labels={"places": places, "reach": np.array([reach])})  # fmt: skip


def test_an_evaluation_sees_unsure_proposals_and_an_answer_does_not() -> None:
    def unsure(image: Image) -> Arrays:
        decoded = Synthetic()(image)
        return decoded | {"probability": decoded["probability"] * 0.3}

    task = Faces(FaceOptions(threshold=0.5))
    one = sample(photo(300, 400, (Crop(x=200.0, y=150.0, side=120.0),)), FACES[:0])
    assert task.answer(one.image, unsure) == []
    ranked = task.answer_sample(one, unsure)
    assert [round(proposal.score, 3) for proposal in ranked] == [0.3]
    np.testing.assert_array_equal(task.draw(one.image, ranked), one.image)
    assert task.measure(ranked, one)["n_answers"] == 0


def test_targets_without_a_generator_show_the_whole_picture() -> None:
    task = Faces(FaceOptions(image_size=64))
    one = sample(photo(100, 200, ()), (Crop(x=100.0, y=50.0, side=60.0, angle_rad=0.2),))
    encoded = task.targets(one, None)
    assert encoded["image"].shape == (64, 64, 3)
    assert np.argwhere(encoded["heat"] == 1).tolist() == [[4, 4]]
    side = maps.UNIT_PX * np.exp(encoded["place"][2, 4, 4])
    assert side == pytest.approx(60 * 64 / 200)
    shown, drawn = task.preview(encoded)
    assert shown.shape == drawn.shape == (64, 64, 3)
    assert (drawn != shown).any()


def test_json_tells_where_faces_are() -> None:
    proposal = Proposal(crop=Crop(x=50.0, y=40.0, side=20.0, angle_rad=np.pi / 4), score=0.75)
    (face,) = Faces(FaceOptions()).to_json([proposal])["faces"]
    half = 20 / np.sqrt(2)
    np.testing.assert_allclose(face["box"], [50 - half, 40 - half, 50 + half, 40 + half])
    assert (face["score"], face["centre"], face["side"]) == (0.75, [50, 40], 20)
    assert face["angle_deg"] == pytest.approx(45)


def test_a_row_of_the_table_is_a_proposal() -> None:
    task = Faces(FaceOptions())
    crop = Crop(x=50.0, y=40.0, side=20.0, angle_rad=np.pi / 4)
    proposals = [Proposal(crop=crop, score=0.75), Proposal(crop=FACES[1], score=0.7)]
    first, second = task.rows(proposals)
    assert tuple(first) == task.columns == ("x", "y", "side", "angle_deg", "score")
    assert [*first.values()] == pytest.approx([50, 40, 20, 45, 0.75])
    assert second["x"] == FACES[1].x
    assert task.rows([]) == []


def test_faces_are_proposed_in_the_size_that_keypoints_want() -> None:
    image = photo(300, 400, (Crop(x=200.0, y=150.0, side=120.0),))
    task = Faces(FaceOptions())
    (own,) = task.answer(image, Synthetic())
    task.ask({"crops_of": "kaggle15"})
    (asked,) = task.answer(image, Synthetic())
    assert asked.score == own.score
    assert asked.crop.side == pytest.approx(0.766 * own.crop.side, rel=0.01)
    assert asked.crop.y < own.crop.y - 0.05 * own.crop.side
    (measured,) = task.answer_sample(sample(image, ()), Synthetic())
    assert measured == own, "labels are in its own size"


def test_keypoints_of_unknown_size_are_refused_before_any_picture(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('points = ["a", "b"]')
    options = FaceOptions(schema=str(tmp_path / "mine.toml"))
    (tmp_path / "mine.toml").unlink()
    with pytest.raises(UsageError, match="a face of mine is beside those of ibug68"):
        Faces(FaceOptions()).ask({"crops_of": options.schema})
    Faces(options).ask({"crops_of": options.schema})


def pictures(folder: Path, n: int) -> None:
    folder.mkdir()
    for i in range(n):
        images.write(folder / f"{i}.png", np.full((40, 30, 3), i, np.uint8))


def test_pictures_alone_can_be_measured_but_not_learned_from(tmp_path: Path) -> None:
    pictures(tmp_path / "empty", 12)
    kind = load_task("faces")
    task = kind(FaceOptions())
    splits = task.splits(DataOptions(source=str(tmp_path / "empty")))
    assert len(splits.whole) == 12
    rows = [task.measure([], one) for one in splits.whole]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    assert task.summarise(columns, np.ones(12))["false_per_picture"] == 0
    with pytest.raises(DataError, match="no training picture has a labelled face"):
        task.prepare(splits.parts["train"])


def test_generated_faces_are_read_back_from_files(tmp_path: Path) -> None:
    task = load_task("faces")(FaceOptions(complete=True))
    drawn = task.generate(2, size=64, seed=1)
    for part, samples in drawn.items():
        (tmp_path / part).mkdir()
        for one in samples:
            task.write_sample(tmp_path / part, one)
    read = task.splits(DataOptions(source=str(tmp_path))).parts
    made = task.splits(DataOptions(n_generated=2)).parts
    assert {part: len(samples) for part, samples in read.items()} == {
        "train": 2, "val": 1, "test": 1,
    }  # fmt: skip
    first = read["train"][0]
    np.testing.assert_array_equal(first.image, drawn["train"][0].image)
    assert first.labels.keys() == made["train"][0].labels.keys()
    crop = Crop.of_points(drawn["train"][0].labels["points"], schema_of("ibug68"))
    assert crop is not None
    np.testing.assert_allclose(first.labels["places"][0], place_of(crop), atol=0.01)


def test_generated_faces_are_all_labelled() -> None:
    task = load_task("faces")(FaceOptions())
    train = task.splits(DataOptions(n_generated=2)).parts["train"]
    one = train[0]
    assert one.labels["places"].shape == (1, 4)
    assert one.labels["reach"].tolist() == [np.inf]
