"""The task of the ship's pose, with a network that sees every corner: discs of eight colours."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.data.sample import Image, Sample
from img2img.data.synth.ship import Flight, Ships
from img2img.errors import DataError, InputError, UsageError
from img2img.tasks.base import Arrays
from img2img.tasks.corner_finder import first_crop, near_crop
from img2img.tasks.pose_settling import settled_options
from img2img.tasks.ship_options import ShipOptions
from img2img.tasks.xwing import Sighting, XWing, camera_of
from img2img.vision.camera import Camera
from img2img.vision.pose import PoseFit, rotation_error_deg
from img2img.vision.schemas import SHIP8

COLOURS = np.array([[255 * (i >> k & 1) for k in range(3)] for i in range(8)], np.int64) // 2 + 64


def dotted(sample: Sample) -> Sample:
    """The frame with a disc in a colour of its own at every corner inside it, on grey."""
    image = np.full(sample.image.shape, 20, np.uint8)
    for point, colour in zip(sample.labels["points"], COLOURS, strict=True):
        x, y = (round(float(v) * 16) for v in point)
        cv2.circle(image, (x, y), 48, colour.tolist(), cv2.FILLED, cv2.LINE_AA, 4)
    return replace(sample, image=image)


def perfect(canvas: Image) -> Arrays:
    """Where each colour is, in one picture or several; a corner unseen has no confidence."""
    if canvas.ndim == 4:
        each = [perfect(one) for one in canvas]
        return {name: np.stack([arrays[name] for arrays in each]) for name in each[0]}
    points, confidence = np.zeros((8, 2), np.float32), np.zeros(8, np.float32)
    for i, colour in enumerate(COLOURS):
        near = np.abs(canvas.astype(np.int64) - colour).max(axis=2) < 24
        if near.any():
            y, x = np.nonzero(near)
            points[i], confidence[i] = (x.mean(), y.mean()), 0.9
    covariance = np.tile(np.eye(2, dtype=np.float32), (8, 1, 1))
    return {"points": points, "confidence": confidence, "covariance": covariance}


def frames(n: int = 6) -> list[Sample]:
    """Whose corners are all well inside, and apart."""
    found = []
    for sample in Ships(60, seed=4):
        points = np.asarray(sample.labels["points"])
        gaps = np.linalg.norm(points[:, None] - points, axis=-1) + 99 * np.eye(8)
        if (points > 8).all() and (points < 248).all() and gaps.min() > 9:
            found.append(dotted(sample))
        if len(found) == n:
            break
    return found


FRAMES = frames()


def task(**options: Any) -> XWing:
    return XWing(ShipOptions(**{"image_size": 256, "angles": 2, **options}))


def error_deg(sighting: Sighting, sample: Sample) -> float:
    assert sighting.fit.pose is not None, sighting.fit.reason
    return float(rotation_error_deg(sighting.fit.pose, np.asarray(sample.labels["pose"])))


# ---- looking


def test_perfect_corners_make_the_pose() -> None:
    assert len(FRAMES) >= 4
    for sample in FRAMES:
        assert error_deg(task().answer_sample(sample, perfect), sample) < 2.0


def test_a_closer_look_is_better() -> None:
    once, thrice = (
        np.median([error_deg(task(looks=n).answer_sample(s, perfect), s) for s in FRAMES])
        for n in (1, 3)
    )
    assert thrice < once


def test_the_first_look_holds_corners_outside_the_frame() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    crop = first_crop(image)
    assert (crop.x, crop.y, crop.side) == (99.5, 49.5, 300.0)
    assert near_crop(np.full((8, 2), 5.0), image) is None, "no size of a ship"
    assert near_crop(np.random.default_rng(0).uniform(900, 990, (8, 2)), image) is None


def test_nothing_seen_is_an_answer() -> None:
    blank = np.zeros((64, 64, 3), np.uint8)
    seen = task().answer(blank, perfect)
    told = task().to_json(seen)
    assert told["pose"] is None
    assert told["pose_reason"]
    assert told["rotation_deviation_deg"] is None
    assert told["ambiguous"] is False
    assert len(told["keypoints"]) == 8
    assert np.isnan(task().rows(seen)[0]["qw"])
    assert task().draw(blank, seen).shape == blank.shape


def test_the_camera_beside_a_picture_is_used(tmp_path: Path) -> None:
    sample = FRAMES[0]
    XWing(ShipOptions()).write_sample(tmp_path, replace(sample, id="ship-000007"))
    seen = task().answer_file(tmp_path / "7.jpg", sample.image, perfect)
    assert "camera_info.json" in seen.camera.source
    assert error_deg(seen, sample) < 2.0
    adapter = task()
    blind = adapter.answer_file(None, sample.image, perfect)
    assert blind.camera == Camera.default(*sample.image.shape[1::-1])
    adapter.ask({"camera": str(tmp_path / "camera_info.json")})
    assert "camera_info.json" in adapter.answer_file(None, sample.image, perfect).camera.source
    (tmp_path / "camera_info.json").write_text("{}")
    with pytest.raises(InputError, match="states no camera"):
        task().answer_file(tmp_path / "7.jpg", sample.image, perfect)


# ---- data


def test_written_frames_are_read_back(tmp_path: Path) -> None:
    adapter = XWing(ShipOptions())
    for sample in Ships(3, seed=1, size=64):
        adapter.write_sample(tmp_path, sample)
    read = adapter.splits(DataOptions(source=str(tmp_path), val_share=0.0, test_share=0.0)).whole
    for one, other in zip(read, Ships(3, seed=1, size=64), strict=True):
        for label in ("pose", "points"):
            np.testing.assert_allclose(one.labels[label], other.labels[label], atol=1e-3)
    assert adapter.check(DataOptions(source=str(tmp_path))).n_pictures == 3


def test_what_is_wrong_with_frames_is_named(tmp_path: Path) -> None:
    adapter = XWing(ShipOptions())
    for sample in Ships(4, seed=1, size=64):
        adapter.write_sample(tmp_path, sample)
    (tmp_path / "1_mat.json").unlink()
    (tmp_path / "2_mat.json").write_text("[[1, 2")
    report = adapter.check(DataOptions(source=str(tmp_path)))
    assert {problem.path for problem in report.problems} == {"1.jpg", "2.jpg"}
    assert report.fatal
    with pytest.raises(DataError, match=r"2 of 4 frames"):
        adapter.splits(DataOptions(source=str(tmp_path)))


def test_generated_flights_follow_each_other() -> None:
    adapter = XWing(ShipOptions(flight=True))
    train = adapter.generate(5, size=48, seed=0)["train"]
    poses = [np.asarray(sample.labels["pose"]) for sample in train]
    turns = [float(rotation_error_deg(a, b)) for a, b in pairwise(poses)]
    assert max(turns) < 5


def test_targets_show_what_a_look_sees() -> None:
    adapter, sample = XWing(ShipOptions()), Ships(1, seed=2)[0]
    plain = adapter.targets(sample, None)
    assert plain["image"].shape == (96, 96, 3)
    assert plain["points"].shape == (8, 2)
    inside = (plain["points"] > 0) & (plain["points"] < 95)
    assert inside.all()
    seen = [adapter.targets(sample, np.random.default_rng(i))["points"] for i in range(40)]
    spans = [float(np.ptp(points, axis=0).max()) for points in seen]
    assert min(spans) < 45 < 55 < max(spans), "far looks and near ones"


def test_a_mirrored_frame_has_its_corners_swapped() -> None:
    # A mirror exchanges the ship's sides: right corners have the names of left ones.
    assert [SHIP8.points[i] for i in SHIP8.flip_order[:2]] == [
        "left_nose_bottom", "right_nose_bottom"
    ]  # fmt: skip


# ---- through frames


def test_pictures_are_not_smoothed_unless_asked() -> None:
    adapter, seen = task(), task().answer_sample(FRAMES[0], perfect)
    assert not adapter.goes_in_order or adapter.asked.smooth == "auto"
    assert adapter.next_in("folder", seen, is_video=False) is seen


def test_a_missed_frame_is_bridged_in_a_flight() -> None:
    adapter = task()
    adapter.ask({"smooth": "filter"})
    assert adapter.goes_in_order
    flight = Flight(12, seed=3, size=96)
    for index, sample in enumerate(flight):
        truth = adapter.truth(sample)
        covariance = np.eye(6) * 1e-6
        seen = replace(truth, fit=replace(truth.fit, covariance=covariance))
        if index == 10:
            seen = replace(truth, fit=PoseFit(reason="nothing was seen."))
        told = adapter.next_in("flight", seen, is_video=False)
        assert told is not None
        if index == 10:
            assert told.is_bridged
            assert told.fit.reason is None
            assert error_deg(told, sample) < 2.0
            assert adapter.to_json(told)["bridged"] is True
            assert np.isfinite(told.fit.rotation_deviation_deg)


def test_a_followed_ship_is_not_searched_for_again() -> None:
    adapter, calls = task(), [0]
    adapter.ask({"smooth": "filter"})

    def counted(canvas: Image) -> Arrays:
        calls[0] += 1
        return perfect(canvas)

    counts = []
    for sample in (FRAMES[0], FRAMES[0], FRAMES[1]):
        calls[0] = 0
        seen = adapter.answer_sample(sample, counted)
        assert error_deg(seen, sample) < 2.0, "a cut in the film is noticed"
        adapter.next_in(".", seen, is_video=False)
        counts.append(calls[0])
    assert counts[1] == 2
    assert counts[0] > 2


def test_sequences_do_not_mix() -> None:
    adapter = task()
    adapter.ask({"smooth": "filter"})
    one, other = (adapter.truth(sample) for sample in FRAMES[:2])
    for _ in range(3):
        for name, seen in (("a", one), ("b", other)):
            fit = replace(seen.fit, covariance=np.eye(6) * 1e-6)
            told = adapter.next_in(name, replace(seen, fit=fit), is_video=False)
            assert told is not None
            assert told.fit.pose is not None
            assert seen.fit.pose is not None
            np.testing.assert_allclose(told.fit.pose, seen.fit.pose, atol=1e-9)


def test_lasers_are_drawn_instead_of_the_box() -> None:
    adapter = task()
    adapter.ask({"lasers": True})
    sample = FRAMES[0]
    seen = adapter.next_in("flight", adapter.truth(sample), is_video=True)
    assert seen is not None
    assert seen.lasers is not None
    drawn = adapter.draw(sample.image, seen)
    red = drawn.astype(int) - sample.image
    assert red[..., 0].max() > 60
    assert adapter.next_in("flight", None, is_video=True) is None, "an unreadable picture"


def test_rows_have_the_columns_of_the_table() -> None:
    adapter = task()
    seen = adapter.truth(FRAMES[0])
    row = adapter.rows(seen)[0]
    assert tuple(row) == adapter.columns
    quaternion = np.array([row[name] for name in ("qw", "qx", "qy", "qz")], np.float64)
    assert np.linalg.norm(quaternion) == pytest.approx(1)
    assert row["right_nose_bottom_x"] == pytest.approx(float(seen.points[0, 0]))


@pytest.mark.parametrize(
    ("question", "error"),
    [({"smooth": "fliter"}, UsageError), ({"camera": "none.json"}, DataError)],
)
def test_wrong_questions_are_named(question: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        task().ask(question)


# ---- settling


class FewFrames:
    def __len__(self) -> int:
        return len(FRAMES)

    def __getitem__(self, index: int) -> Sample:
        return FRAMES[index]


def test_settling_states_what_errors_are_like() -> None:
    rng = np.random.default_rng(0)

    def noisy(canvas: Image) -> Arrays:
        seen = perfect(canvas)
        return seen | {
            "points": seen["points"] + rng.normal(0, 2, seen["points"].shape).astype(np.float32)
        }

    adapter = task(decoder="least_squares")
    settled = settled_options(adapter, lambda _: noisy, FewFrames())  # type: ignore[arg-type]
    least, factor, scale = settled.deviation
    assert 1.0 < np.hypot(least, factor) < 4.0
    assert 0.3 < scale < 3.0
    assert len(settled.calibration) == 2
    told = XWing(settled)
    errors = [
        error_deg(seen, sample) / seen.fit.rotation_deviation_deg
        for sample in FRAMES
        for seen in [told.answer_sample(sample, noisy)]
        if seen.fit.pose is not None
    ]
    assert 0.2 < np.median(errors) < 2.0


def test_without_validation_frames_nothing_is_settled() -> None:
    adapter = task()
    assert adapter.settle(lambda _: perfect, Ships(0, seed=0)) == adapter.options


def test_the_camera_of_a_sample_is_the_one_it_was_drawn_with() -> None:
    assert camera_of(FRAMES[0]).fx == Camera.default(256, 256).fx
