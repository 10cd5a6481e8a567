"""`img2img label` as users meet it: methods, examples, and what is refused."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import img2img, sentence

FOREIGN = ("--set", "task.classes=floor:0,ball:60,box:90")


@pytest.fixture
def foreign(labelled: Path, tmp_path: Path) -> Path:
    """The same pictures with other classes, one of them near 64."""
    folder = shutil.copytree(labelled, tmp_path / "foreign")
    for path in (folder / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), np.array([0, 60, 90], np.uint8)[mask // 127])
    return folder


def _split(folder: Path, names: list[str], target: Path) -> Path:
    for kind in ("images", "masks"):
        (target / kind).mkdir(parents=True)
        for name in names:
            shutil.copy(folder / kind / name, target / kind / name)
    return target


def test_examples_name_any_classes_and_training_reads_the_proposals(
    foreign: Path, tmp_path: Path
) -> None:
    shown = _split(foreign, ["0.png", "1.png"], tmp_path / "shown")
    rest = _split(foreign, ["2.png", "3.png", "4.png", "5.png"], tmp_path / "rest")
    done = img2img(
        "label", "segmentation", rest, "--method", "kmeans", "--clusters", 3, "--examples", shown,
        *FOREIGN, "--out", "proposed", cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    told = json.loads((tmp_path / "proposed" / "proposals.json").read_text())
    assert told["n_scored"] == 4
    assert told["metrics"]["miou"] > 0.9
    assert int(told["unlabelled"]) >= 90 + 32
    assert f"without a label: {told['unlabelled']}" in done.out
    assert done.out.splitlines()[-1] == "proposed"
    masks = sorted((tmp_path / "proposed" / "masks").iterdir())
    mask = cv2.imread(str(masks[0]), cv2.IMREAD_UNCHANGED)
    mask[:8] = int(told["unlabelled"])  # as a method with doubts leaves it
    cv2.imwrite(str(masks[0]), mask)
    trained = img2img(
        "train", "segmentation", "--data", shown, "--pseudo", "proposed", *FOREIGN, "--model",
        "unet", "--set", "model.width=4", "--image-size", 32, "--steps", 1, "--batch-size", 2,
        "--dry-run", cwd=tmp_path,
    )  # fmt: skip
    assert trained.code == 0, trained.err


def test_other_classes_need_examples(foreign: Path, tmp_path: Path) -> None:
    asked = "label", "segmentation", foreign, "--method", "kmeans", "--out", "proposed"
    done = img2img(*asked, *FOREIGN, cwd=tmp_path)
    assert done.code == 2
    assert "--examples" in sentence(done)
    done = img2img(*asked, cwd=tmp_path)
    assert done.code == 3
    assert "task.classes" in sentence(done)
    assert not (tmp_path / "proposed").exists()


def test_a_model_has_its_own_classes(labelled: Path, tmp_path: Path) -> None:
    done = img2img("label", "segmentation", labelled, "--examples", labelled, cwd=tmp_path)
    assert done.code == 2
    assert "--examples" in sentence(done)


def test_a_network_of_segment_anything_must_be_at_hand(labelled: Path, tmp_path: Path) -> None:
    asked = "label", "segmentation", labelled, "--method", "sam", "--out", "proposed"
    done = img2img(*asked, cwd=tmp_path)
    assert done.code == 2
    assert "--weights" in sentence(done)
    done = img2img(*asked, "--weights", "gone", cwd=tmp_path)
    assert done.code == 3
    assert "hf download" in sentence(done)
    (tmp_path / "sam").mkdir()
    (tmp_path / "sam" / "config.json").write_text('{"model_type": "sam"}')
    (tmp_path / "transformers.py").write_text("raise ImportError('not installed')")
    done = img2img(
        *asked, "--weights", "sam", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}
    )  # fmt: skip
    assert done.code == 2
    assert "img2img[sam]" in sentence(done)


def test_the_folder_that_one_is_in_is_labelled(labelled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(labelled / "images", tmp_path / "photos" / "day")
    for name in (".", "../day"):
        done = img2img(
            "label", "segmentation", name, "--method", "kmeans", "--clusters", 3, cwd=folder
        )
        assert done.code == 0, done.err
        made = tmp_path / "photos" / "day-labels"
        assert len(list((made / "masks").iterdir())) == 6
        shutil.rmtree(made)
