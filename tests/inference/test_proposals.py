"""Proposals as files: what is written, what is scored, and that each picture is answered once."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.data.formats.masks import mask_splits, unlabelled
from img2img.data.images import read
from img2img.errors import DataError
from img2img.inference import proposals
from img2img.inference.proposals import (
    ProposalFolder,
    pictures_in,
    propose_all,
    truths_of,
)
from img2img.tasks.segmentation import Segmentation
from img2img.tasks.segmentation_options import SegmentationOptions
from img2img.vision.classes import IGNORE, Classes, ClassSet
from img2img.vision.paint import class_colour

TASK = Segmentation(SegmentationOptions())


def _bright_is_egg(image: np.ndarray) -> Classes:
    """Right on the fixture's eggs, wrong on its pans; the two left columns stay open."""
    classes = (image.min(axis=2) > 200).astype(np.uint8)
    classes[:, :2] = IGNORE
    return classes


def test_each_picture_is_answered_once_and_scored_by_that_answer(
    labelled: Path, tmp_path: Path
) -> None:
    answered: list[bytes] = []

    def propose(image: np.ndarray) -> Classes:
        answered.append(image.tobytes())
        return _bright_is_egg(image)

    written = ProposalFolder(tmp_path / "out", TASK.classes)
    evaluation, failures = propose_all(
        TASK, propose, pictures_in(labelled), written,
        truths=truths_of(labelled, TASK.classes, None),
    )  # fmt: skip
    written.finish({"n_scored": 6})
    assert failures == []
    assert len(answered) == len(set(answered)) == 6
    assert evaluation is not None
    metrics = evaluation.metrics(TASK)
    assert metrics["iou_egg"] == pytest.approx(1)
    assert metrics["iou_pan"] == 0
    told = json.loads((tmp_path / "out" / "proposals.json").read_text())
    assert told["unlabelled"] == "64"
    assert told["classes"] == "background:0,egg:128,pan:255"
    samples = {sample.id: sample for sample in unlabelled(tmp_path / "out", TASK.classes)}
    assert len(samples) == 6
    for name, sample in samples.items():
        image = read(labelled / "images" / name)
        np.testing.assert_array_equal(sample.image, image)
        np.testing.assert_array_equal(sample.labels["classes"], _bright_is_egg(image))


def test_a_class_near_64_moves_the_value_of_open_pixels(labelled: Path, tmp_path: Path) -> None:
    classes = ClassSet.parse(["background:0", "egg:70", "pan:100"])
    written = ProposalFolder(tmp_path, classes)
    picture = labelled / "images" / "0.png"
    written.add(picture, "0.png", read(picture), _bright_is_egg(read(picture)))
    written.finish({})
    value = int(written.unlabelled)
    assert min(abs(value - other) for other in (0, 70, 100)) >= 32
    mask = cv2.imread(str(tmp_path / "masks" / "0.png.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(mask).tolist()) == {0, 70, value}
    (sample,) = unlabelled(tmp_path, classes)
    np.testing.assert_array_equal(sample.labels["classes"], _bright_is_egg(sample.image))


def test_overlays_show_classes_outlines_and_open_pixels(tmp_path: Path) -> None:
    image = np.full((40, 60, 3), 100, np.uint8)
    classes = np.zeros((40, 60), np.uint8)
    classes[5:25, 5:25] = 1
    classes[5:25, 35:55] = 2
    classes[30:36] = IGNORE
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), image)
    written = ProposalFolder(tmp_path / "out", TASK.classes, overlays=True)
    written.add(picture, "deep/a.png", image, classes)
    shown = read(tmp_path / "out" / "overlays" / "deep" / "a.png.png")
    np.testing.assert_array_equal(shown[classes == 0], 100)
    for index, (y, x) in {1: (15, 15), 2: (15, 45)}.items():
        colour = class_colour(index).astype(float)
        np.testing.assert_allclose(shown[y, x], 0.55 * 100 + 0.45 * colour, atol=1)
        np.testing.assert_array_equal(shown[5, x], colour)  # the outline
    np.testing.assert_allclose(shown[33, 30], 0.55 * 100 + 0.45 * 128, atol=1)


def test_pictures_of_groups_among_the_examples_are_not_scored(
    labelled: Path, tmp_path: Path
) -> None:
    shown = tmp_path / "shown"
    for kind in ("images", "masks"):
        (shown / kind).mkdir(parents=True)
        shutil.copy(labelled / kind / "1.png", shown / kind / "renamed.png")
    options = DataOptions(source=str(shown), val_share=0, test_share=0)
    examples = mask_splits(options, TASK.classes).whole
    truths = truths_of(labelled, TASK.classes, examples)
    with (labelled / "groups.csv").open() as file:
        others = {row["image"] for row in csv.DictReader(file) if row["group"] != "scene1"}
    assert {path.name for path in truths.samples} == others
    assert "2 pictures" in truths.note


def test_a_folder_with_masks_for_some_pictures_is_labelled_without_a_score(
    labelled: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(labelled, tmp_path / "data")
    (folder / "groups.csv").unlink()
    (folder / "masks" / "3.png").unlink()
    truths = truths_of(folder, TASK.classes, None)
    assert not truths.samples
    assert "3.png has no mask" in truths.note
    evaluation, _ = propose_all(
        TASK, _bright_is_egg, pictures_in(folder), ProposalFolder(tmp_path / "out", TASK.classes),
        truths=truths,
    )  # fmt: skip
    assert evaluation is None


def test_an_unreadable_picture_is_told_and_the_rest_is_done(labelled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(labelled / "images", tmp_path / "photos")
    (folder / "2.png").write_bytes(b"no picture")
    written = ProposalFolder(tmp_path / "out", TASK.classes)
    _, failures = propose_all(
        TASK, _bright_is_egg, pictures_in(folder), written, truths=truths_of(folder, TASK.classes,
        None),
    )  # fmt: skip
    written.finish({})
    assert len(failures) == 1
    assert "2.png" in str(failures[0])
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 5


def test_a_folder_of_folders_with_masks_is_refused(labelled: Path) -> None:
    with pytest.raises(DataError, match=str(labelled)):
        pictures_in(labelled.parent)


def test_what_was_done_before_an_interruption_can_be_used(labelled: Path, tmp_path: Path) -> None:
    answers = []

    def propose(image: np.ndarray) -> Classes:
        if len(answers) == 3:
            raise KeyboardInterrupt
        answers.append(_bright_is_egg(image))
        return answers[-1]

    classes = ClassSet.parse(["background:0", "egg:70", "pan:100"])
    written = ProposalFolder(tmp_path, classes)
    with pytest.raises(KeyboardInterrupt):
        propose_all(
            TASK, propose, pictures_in(labelled), written,
            truths=truths_of(labelled / "images", TASK.classes, None),
        )  # fmt: skip
    samples = unlabelled(tmp_path, classes)
    assert len(samples) == 3
    for sample, answer in zip(samples, answers, strict=True):
        np.testing.assert_array_equal(sample.labels["classes"], answer)


@pytest.mark.parametrize("broken", ["mask", "picture"])
def test_a_picture_is_not_left_without_its_mask(
    broken: str, labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = ProposalFolder(tmp_path, TASK.classes)
    pictures = [labelled / "images" / f"{index}.png" for index in range(2)]
    written.add(pictures[0], "0.png", read(pictures[0]), _bright_is_egg(read(pictures[0])))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    if broken == "mask":
        monkeypatch.setattr(proposals, "write", interrupted)
    else:
        monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        written.add(pictures[1], "1.png", read(pictures[1]), _bright_is_egg(read(pictures[1])))
    monkeypatch.undo()
    assert [sample.id for sample in unlabelled(tmp_path, TASK.classes)] == ["0.png"]
