"""Rows a picture, and what is made of them."""

import numpy as np
import pytest

from img2img.data.sample import Sample
from img2img.inference.evaluate import Evaluation, collect, joined
from img2img.tasks.segmentation import Segmentation, Segmented
from img2img.tasks.segmentation_options import SegmentationOptions
from img2img.tasks.sobel import Sobel, SobelOptions

TASK = Segmentation(SegmentationOptions())
SHAPE = (20, 30)


def _classes(*boxes: tuple[int, int]) -> np.ndarray:
    """Background with rows from `boxes` (first row, class) to the bottom."""
    classes = np.zeros(SHAPE, np.uint8)
    for top, index in boxes:
        classes[top:] = index
    return classes


def _evaluation(*pairs: tuple[np.ndarray, np.ndarray]) -> Evaluation:
    rows = []
    for index, (answer, truth) in enumerate(pairs):
        image = np.zeros((*truth.shape, 3), np.uint8)
        sample = Sample(
            id=f"{index}", group=f"g{index % 2}", image=image, labels={"classes": truth}
        )
        result = Segmented(answer, np.ones(answer.shape, np.float32))
        rows.append((index, sample.id, sample.group, TASK.measure(result, sample)))
    return collect(rows)


EGG, PAN, NONE = _classes((10, 1)), _classes((15, 2)), _classes()


def test_each_picture_alone_leaves_out_the_classes_that_it_lacks() -> None:
    evaluation = _evaluation((EGG, EGG), (NONE, PAN), (EGG, EGG))
    first, second, _ = evaluation.each(TASK)
    assert first["miou"] == 1
    assert first["iou_pan"] is None
    assert (second["iou_egg"], second["iou_pan"]) == (None, 0)
    assert second["miou"] == pytest.approx(0.75 / 2)
    assert list(first) == list(TASK.metrics)


def test_a_part_leaves_out_the_classes_that_it_lacks() -> None:
    evaluation = _evaluation((EGG, EGG), (NONE, PAN), (EGG, EGG))
    eggs = evaluation.at([2, 0])
    assert eggs.ids == ["2", "0"]
    assert eggs.metrics(TASK)["miou"] == 1
    assert eggs.metrics(TASK)["iou_pan"] is None
    assert np.isnan(eggs.tables(TASK)["confusion"].values[2]).all()


def test_the_confusion_matrix_counts_every_picture_alike() -> None:
    half = np.where(np.arange(SHAPE[1]) < 15, EGG, 0).astype(np.uint8)
    large = np.kron(EGG, np.ones((3, 3), np.uint8))
    table = _evaluation((half, EGG), (large, large)).tables(TASK)["confusion"]
    assert table.rows == table.columns == ("background", "egg", "pan")
    np.testing.assert_allclose(table.values[:2], [[1, 0, 0], [0.25, 0.75, 0]])
    content = table.to_json()
    assert content["values"][2] == [None, None, None]
    assert content["shares"]


def test_other_tasks_have_no_tables() -> None:
    assert Sobel(SobelOptions()).tables({}, np.ones(1)) == {}


def test_parts_join_to_the_whole() -> None:
    whole = _evaluation((EGG, EGG), (NONE, PAN), (NONE, EGG))
    again = joined([whole.at([0, 1]), whole.at([2])])
    assert (again.ids, again.groups) == (whole.ids, whole.groups)
    assert again.to_json(TASK) == whole.to_json(TASK)


def test_intervals_follow_the_groups() -> None:
    evaluation = _evaluation((EGG, EGG), (NONE, EGG), (EGG, EGG))
    assert evaluation.to_json(TASK)["miou"]["low"] is not None
    one = evaluation.regrouped(dict.fromkeys(evaluation.ids, "scene"))
    assert one.to_json(TASK)["miou"] == {"value": evaluation.metrics(TASK)["miou"], "low": None,
                                         "high": None}  # fmt: skip
    alone = evaluation.regrouped({})
    assert alone.groups == alone.ids
