"""What a finder of faces is measured by."""

import numpy as np
import pytest

from img2img.vision import finding

FACE = np.array([[100.0, 80.0, 40.0, 0.1]])
LABELS = {"reach": 1.6, "threshold": 0.5}


def rows(*pictures: dict[str, float]) -> dict[str, np.ndarray]:
    return {name: np.array([one[name] for one in pictures]) for name in pictures[0]}


def metrics(*pictures: dict[str, float], weights: list[float] | None = None) -> dict[str, float]:
    return finding.summarise(rows(*pictures), np.array(weights or [1.0] * len(pictures)))


def answers(*faces: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(faces, np.float64).reshape(-1, 4)


@pytest.mark.parametrize(
    ("place", "is_found"),
    [((109, 80, 40, 0), True), ((111, 80, 40, 0), False), ((100, 80, 59, 0), True),
     ((100, 80, 61, 0), False), ((100, 80, 27, 0), True), ((100, 80, 26, 0), False)],
)  # fmt: skip
def test_a_face_is_found_within_limits(place: tuple[float, ...], is_found: bool) -> None:
    assert finding.is_found(np.array([place]), FACE[0]).tolist() == [is_found]


def test_errors_are_shares_of_the_side_and_degrees() -> None:
    row = finding.row(answers((104, 80, 44, 0.2)), np.array([0.9]), FACE, **LABELS)
    found = metrics(row)
    assert found["recall"] == found["precision"] == found["average_precision"] == 1
    assert found["centre_error"] == pytest.approx(0.1)
    assert found["side_error"] == pytest.approx(0.1)
    assert found["angle_error_deg"] == pytest.approx(np.degrees(0.1))
    assert np.isnan(found["false_per_picture"])


def test_a_second_answer_to_a_face_is_false() -> None:
    row = finding.row(answers(*FACE, *FACE), np.array([0.8, 0.9]), FACE, **LABELS)
    assert (row["n_found"], row["n_false"]) == (1, 1)
    assert (row["score_0"], row["hit_0"], row["score_1"], row["hit_1"]) == (0.9, 1, 0.8, 0)


def test_what_is_not_sure_counts_for_ranks_alone() -> None:
    row = finding.row(answers(*FACE), np.array([0.4]), FACE, **LABELS)
    found = metrics(row)
    assert (found["recall"], found["average_precision"]) == (0, 1)
    assert np.isnan(found["precision"])
    assert np.isnan(found["angle_error_deg"])


def test_answers_far_from_the_labelled_face_are_not_ranked() -> None:
    there = answers((100, 80 + 1.7 * 40, 40, 0), (100, 80 + 1.5 * 40, 40, 0))
    row = finding.row(there, np.array([0.9, 0.8]), FACE, **LABELS)
    assert (row["n_false"], row["score_0"], row["hit_0"]) == (2, 0.8, 0)
    assert np.isnan(row["score_1"])


def test_false_faces_are_counted_where_all_faces_are_labelled() -> None:
    nothing = np.zeros((0, 4))
    everything = {"reach": np.inf, "threshold": 0.5}
    pictures = [
        finding.row(answers(*FACE), np.array([0.9]), nothing, **everything),
        finding.row(nothing, np.zeros(0), nothing, **everything),
        finding.row(answers((9, 9, 9, 0)), np.array([0.9]), FACE, **LABELS),
    ]
    found = metrics(*pictures)
    assert found["false_per_picture"] == 0.5
    assert (found["recall"], found["precision"]) == (0, 0)
    assert np.isnan(metrics(pictures[1])["recall"])


def test_average_precision_of_a_known_ranking() -> None:
    """Hits of 0.9 and 0.7 with a false one between: half of the faces at 1, half at 2/3."""
    one = finding.row(answers(*FACE), np.array([0.9]), FACE, **LABELS)
    two = finding.row(
        answers((100, 120, 40, 0), *FACE), np.array([0.8, 0.7]), FACE, **LABELS
    )  # fmt: skip
    assert metrics(one, two)["average_precision"] == pytest.approx(0.5 + 0.5 * 2 / 3)
    missed = finding.row(np.zeros((0, 4)), np.zeros(0), FACE, **LABELS)
    assert metrics(one, missed)["average_precision"] == pytest.approx(0.5)


def test_all_faces_of_a_crowd_are_ranked() -> None:
    crowd = np.array([(100 * x, 100 * y, 40, 0) for x in range(8) for y in range(5)], np.float64)
    row = finding.row(crowd, np.linspace(0.9, 0.6, 40), crowd, reach=np.inf, threshold=0.5)
    assert metrics(row)["average_precision"] == pytest.approx(1)
    alone = finding.row(answers(*FACE), np.array([0.95]), FACE, reach=np.inf, threshold=0.5)
    assert metrics(row, alone)["average_precision"] == pytest.approx(1)


def test_precision_at_a_recall_is_the_best_there_or_above() -> None:
    """A false one of 0.9, hits of 0.8 and 0.7: precision rises from 1/2 to 2/3."""
    one = finding.row(answers((100, 120, 40, 0), *FACE), np.array([0.9, 0.8]), FACE, **LABELS)
    two = finding.row(answers(*FACE), np.array([0.7]), FACE, **LABELS)
    assert metrics(one, two)["average_precision"] == pytest.approx(2 / 3)


def test_answers_of_one_score_have_no_order() -> None:
    hit = finding.row(answers(*FACE), np.array([0.7]), FACE, **LABELS)
    false = finding.row(answers((100, 120, 40, 0)), np.array([0.7]), FACE, **LABELS)
    assert metrics(hit, false)["average_precision"] == pytest.approx(0.25)
    assert metrics(false, hit)["average_precision"] == pytest.approx(0.25)


def test_a_weight_of_two_is_a_picture_twice() -> None:
    rng = np.random.default_rng(0)
    pictures = [
        finding.row(FACE + rng.normal(0, (6, 6, 4, 0.1), (4, 4)), rng.random(4), FACE, **LABELS)
        for _ in range(6)
    ]
    doubled = metrics(*pictures, weights=[2, 1, 0, 1, 1, 2])
    repeated = metrics(*(pictures[i] for i in (0, 0, 1, 3, 4, 5, 5)))
    assert doubled == pytest.approx(repeated, nan_ok=True)
