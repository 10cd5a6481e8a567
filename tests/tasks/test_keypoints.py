"""The task `keypoints` with a network that answers what the test drew into its heatmaps."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from img2img.config import Config, DataOptions, parse_set
from img2img.data.crop import Crop, Proposal
from img2img.data.sample import Image, Sample
from img2img.engine.run import resolve
from img2img.errors import InputError, UsageError
from img2img.tasks.base import Arrays
from img2img.tasks.keypoint_options import KeypointOptions
from img2img.tasks.keypoints import Keypoints
from img2img.tasks.point_coding import best_decoder
from img2img.vision.draw_points import draw_heatmaps
from img2img.vision.heatmaps import DECODERS, draw, to_cells

SIZE = 96


class Oracle:
    """A network that sees a face's true points, as all crops of the picture are told to it.

    Args:
        task: says how heatmaps are drawn.
        points: (P, 2) in the picture.
    """

    def __init__(self, task: Keypoints, points: NDArray[np.float64]) -> None:
        self.task = task
        self.points = points
        self.crops: list[Crop] = []

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        own = Crop.apply

        def seen(crop: Crop, image: Image, size: int) -> Image:
            if size == SIZE:
                self.crops.append(crop)
            return own(crop, image, size)

        monkeypatch.setattr(Crop, "apply", seen)

    def __call__(self, canvas: Image) -> Arrays:
        assert canvas.shape == (SIZE, SIZE, 3)
        laid = self.crops[-1].to_canvas(self.points, SIZE)
        options = self.task.options
        maps, _ = draw(to_cells(laid, options.stride), (SIZE // 4, SIZE // 4), options.sigma)
        return {"heatmaps": maps}


@pytest.fixture(scope="module")
def sample() -> Sample:
    task = Keypoints(KeypointOptions())
    return task.splits(DataOptions(n_generated=2)).parts["train"][0]


def _task(**options: object) -> Keypoints:
    task = Keypoints(KeypointOptions(decoder="dark", **options))  # type: ignore[arg-type]
    task.ask({"flip": False})
    return task


def test_a_second_look_stands_upright_round_the_points(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = _task()
    oracle = Oracle(task, sample.labels["points"].astype(float))
    oracle.watch(monkeypatch)
    (face,) = task.answer_sample(sample, oracle)
    first, second = oracle.crops
    assert first.angle_rad == 0
    perfect = Crop.of_points(oracle.points, task.schema)
    assert perfect is not None
    assert second.side == pytest.approx(perfect.side, rel=0.05)
    assert second.angle_rad == pytest.approx(perfect.angle_rad, abs=0.05)
    np.testing.assert_allclose(face.points, oracle.points, atol=0.1 * second.side / SIZE * 4)
    assert task.measure([face], sample)["mean_error"] >= 0


def test_where_the_user_says(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    task = _task(looks=1)
    oracle = Oracle(task, sample.labels["points"].astype(float))
    oracle.watch(monkeypatch)
    task.ask({"face_box": "10,20,50,40"})
    assert not task.wants_first_look
    task.answer(sample.image, oracle)
    assert (oracle.crops[-1].x, oracle.crops[-1].y) == (30.0, 30.0)
    task.ask({"whole_image": True})
    task.answer(sample.image, oracle)
    assert oracle.crops[-1] == Crop.whole(*sample.image.shape[:2])
    with pytest.raises(UsageError, match="--lasers does not go with the task"):
        task.ask({"lasers": True})
    for box in ("1,2,3", "5,5,1,9"):
        with pytest.raises(UsageError, match="--face-box takes x0,y0,x1,y1"):
            task.ask({"face_box": box})


def test_a_box_beside_the_picture_is_named(sample: Sample) -> None:
    task = _task()
    height, width = sample.image.shape[:2]
    for box in ("-20,5,-1,30", f"{width},5,{width + 9},30", f"5,{height},30,{height + 9}"):
        task.ask({"face_box": box})
        with pytest.raises(InputError, match=rf"--face-box {box} .* {width} × {height} pixels"):
            task.answer(sample.image, lambda canvas: {})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"face_box": "1,2,9,9", "whole_image": True}, "--face-box and --whole-image"),
        ({"face_box": "1,2,9,9", "finder": "run"}, "--face-box and --finder"),
        ({"whole_image": True, "finder": "run"}, "--whole-image and --finder"),
    ],
)
def test_only_one_may_say_where_the_face_is(given: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=f"{told} contradict each other"):
        _task().ask(given)


@pytest.mark.parametrize("way", ["mixture", "groups"])
def test_shared_maps_have_small_cells_unless_told(way: str) -> None:
    def resolved(*flags: str) -> Config:
        given = parse_set([f"task.way={way}", *flags])
        return resolve("keypoints", [("flag", given)])

    assert resolved().task_options.stride == 2
    assert resolved().train.val_samples == 32
    assert resolved("task.stride=8", "train.val_samples=5").task_options.stride == 8
    assert resolved("train.val_samples=5").train.val_samples == 5
    assert resolve("keypoints", []).task_options.stride == 4


@pytest.mark.parametrize("way", ["mixture", "groups"])
def test_shared_maps_that_show_nothing_are_an_answer(way: str, sample: Sample) -> None:
    task = Keypoints(KeypointOptions(way=way, stride=2, looks=2))  # type: ignore[arg-type]
    task.prepare(task.splits(DataOptions(n_generated=4)).parts["train"])
    assert task.coding.shapes is not None
    assert task.coding.groups is not None
    shapes = {f"shape_{name}": part for name, part in task.coding.shapes.to_arrays().items()}
    maps = np.full((len(task.coding.groups), SIZE // 2, SIZE // 2), -1, np.float32)
    (face,) = task.answer_sample(sample, lambda canvas: {"heatmaps": maps, **shapes})
    assert np.isfinite(face.points).all()
    assert np.isfinite(task.measure([face], sample)["mean_error"])


def test_a_search_is_measured_on_the_faces_found(sample: Sample) -> None:
    task = _task()
    (truth,) = task.truth(sample)
    rows = [task.measure([replace(truth, points=truth.points + px)], sample) for px in (0, 900)]
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    assert task.summarise(table, np.ones(2))["nme"] > 1
    task.ask({"find": True})
    assert task.summarise(table, np.ones(2))["nme"] == 0
    assert task.summarise(table, np.ones(2))["recall"] == 0.5
    assert not task.tables(table, np.ones(2))["points"].values.any()


def test_proposals_that_end_on_one_face_are_one_face(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = _task()
    oracle = Oracle(task, sample.labels["points"].astype(float))
    oracle.watch(monkeypatch)
    crop = Crop.of_box(sample.labels["box"].astype(float))
    proposals = [Proposal(crop=crop.moved(shift=(dx, 0), scale=1, angle_rad=0), score=score)
                 for dx, score in ((0.02, 0.6), (-0.05, 0.9))]  # fmt: skip
    task.first_look = lambda image: proposals
    assert task.wants_first_look
    (face,) = task.answer(sample.image, oracle)
    assert face.score == 0.9
    task.first_look = lambda image: []
    assert task.answer(sample.image, oracle) == []
    assert task.to_json([]) == {"schema": "ibug68", "faces": []}


def test_the_mirrored_look_agrees(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is equivariant answers the same with and without --flip."""
    task = _task(looks=1)
    truth = sample.labels["points"].astype(float)
    oracle = Oracle(task, truth)
    oracle.watch(monkeypatch)
    (plain,) = task.answer_sample(sample, oracle)
    order = task.schema.flip_order
    calls = []

    def equivariant(canvas: Image) -> Arrays:
        maps = oracle(canvas)["heatmaps"]
        calls.append(canvas)
        return {"heatmaps": maps if len(calls) % 2 else maps[order][:, :, ::-1]}

    task.ask({"flip": True})
    (both,) = task.answer_sample(sample, equivariant)
    assert len(calls) == 2
    np.testing.assert_array_equal(calls[1], calls[0][:, ::-1])
    np.testing.assert_allclose(both.points, plain.points, atol=1e-3)


def test_heatmaps_lie_over_the_points(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    task = _task(looks=1)
    oracle = Oracle(task, np.asarray(sample.labels["points"], np.float64)[30:31].repeat(68, axis=0))
    oracle.watch(monkeypatch)
    task.ask({"heatmaps": True})
    (face,) = task.answer_sample(sample, oracle)
    assert face.heat is not None
    assert face.heat.values.shape == (SIZE // 4, SIZE // 4), "small, however large the picture"
    blank = np.zeros_like(sample.image)
    heat = draw_heatmaps(blank, [face.heat]).sum(axis=2, dtype=np.float64)
    rows, columns = np.mgrid[: heat.shape[0], : heat.shape[1]]
    middle = [(place * heat).sum() / heat.sum() for place in (columns, rows)]
    np.testing.assert_allclose(middle, oracle.points[0], atol=0.2)
    drawn = task.draw(sample.image, [face])
    assert (drawn != Keypoints(task.options).draw(sample.image, [replace(face, heat=None)])).any()
    numbers = Keypoints(KeypointOptions(way="coordinates"))
    with pytest.raises(UsageError, match="--heatmaps: these weights answer coordinates"):
        numbers.ask({"heatmaps": True})


def test_settling_chooses_the_decoder_and_what_confidence_is_worth(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = Keypoints(KeypointOptions(looks=1))
    val = task.splits(DataOptions(n_generated=2)).parts["train"]
    monkeypatch.setattr(type(val), "__getitem__", lambda self, index: sample)
    oracle = Oracle(task, sample.labels["points"].astype(float))
    oracle.watch(monkeypatch)
    asked: list[KeypointOptions] = []

    def network(options: KeypointOptions) -> Oracle | object:
        asked.append(options)
        if options.decoder == "contours":
            return oracle

        def points(canvas: Image) -> Arrays:
            maps = oracle(canvas)["heatmaps"]
            peaks = DECODERS[options.decoder](maps, options.sigma).in_pixels(options.stride)
            return {"points": peaks.points, "confidence": peaks.confidence}

        return points

    settled = task.settle(network, val)  # type: ignore[arg-type]
    assert [options.decoder for options in asked] == ["contours", "least_squares"]
    assert settled.decoder == "least_squares"
    assert len(settled.calibration) == 2
    assert replace(settled, decoder="auto", calibration=(), mean_face=()) == task.options
    empty = val.subset([])
    assert task.settle(network, empty) == task.options  # type: ignore[arg-type]


def test_equal_decoders_go_to_the_graph() -> None:
    errors = {"argmax": 2.0, "dark": 1.0, "least_squares": 1.004, "softargmax": 1.2}
    assert best_decoder(errors) == "least_squares"
    assert best_decoder(errors | {"dark": 0.9}) == "dark"


def test_a_schema_of_ones_own_travels_in_the_options(tmp_path: Path) -> None:
    file = tmp_path / "eyes.toml"
    file.write_text(
        'points = ["right_eye", "left_eye", "chin"]\npairs = [["left_eye", "right_eye"]]\n'
    )
    options = KeypointOptions(schema=str(file))
    file.unlink()
    task = Keypoints(KeypointOptions(schema=options.schema))
    assert task.schema.points == ("right_eye", "left_eye", "chin")
    assert json.loads(options.schema)["name"] == "eyes"


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"decoder": "darc"}, "did you mean 'dark'"),
        ({"loss": "wing"}, "task.loss of heatmaps"),
        ({"way": "coordinates", "loss": "kl"}, "task.loss of coordinates"),
        ({"way": "mixture", "loss": "softargmax"}, "a heatmap for every point"),
        ({"schema": "ibug86"}, "ibug68"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, str], hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        KeypointOptions(**options)  # type: ignore[arg-type]


def test_the_baseline_lays_the_mean_face_into_the_rough_box(sample: Sample) -> None:
    task = Keypoints(KeypointOptions())
    assert task.baselines() == {}
    parts = task.splits(DataOptions(n_generated=40)).parts
    task.prepare(parts["train"].subset(range(4)))
    settled = task.settle(None, parts["train"].subset([]))  # type: ignore[arg-type]
    known = Keypoints(settled)
    (face,) = known.baselines()["mean_shape"](sample)
    row = known.measure([face], sample)
    nme = known.summarise({k: np.array([v]) for k, v in row.items()}, np.ones(1))["nme"]
    assert 0.02 < nme < 0.6


def test_drawn_faces_give_the_points_that_are_learned() -> None:
    for name, n in (("kaggle15", 15), ("nose", 1)):
        task = Keypoints(KeypointOptions(schema=name))
        samples = task.splits(DataOptions(n_generated=2)).parts["train"]
        assert samples[0].labels["points"].shape == (n, 2)
        assert task.targets(samples[0], np.random.default_rng(0))["points"].shape == (n, 2)
