"""Segmentation as users meet it: masks of the picture's own size, and data that are refused."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import Outcome, img2img, sentence

from img2img.engine.run import resolve
from img2img.registry import load_task


@pytest.mark.parametrize("size", [(40, 48), (57, 91), (91, 57), (1, 30), (30, 1), (1, 1)])
def test_masks_have_the_pictures_size_and_values(
    size: tuple[int, int], segmentation_run: Path, tmp_path: Path
) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), picture)
    done = img2img(
        "predict", "segmentation", "photo.png", "--weights", segmentation_run, "--out", "answers",
        "--overlay", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    mask = cv2.imread(str(tmp_path / done.json["mask"]), cv2.IMREAD_UNCHANGED)
    assert mask.shape == size
    assert set(np.unique(mask).tolist()) <= {0, 128, 255}
    classes = done.json["classes"]
    assert list(classes) == ["background", "egg", "pan"]
    assert sum(entry["pixels"] for entry in classes.values()) == size[0] * size[1]
    for value, name in ((128, "egg"), (255, "pan")):
        assert classes[name]["pixels"] == int((mask == value).sum())
        assert (classes[name]["box"] is None) == (classes[name]["pixels"] == 0)


def test_what_was_learned_is_measured_well(
    segmentation_run: Path, labelled: Path, tmp_path: Path
) -> None:
    done = img2img(
        "eval", "segmentation", "--weights", segmentation_run, "--data", labelled, "--min",
        "iou_egg=0.8", "--json", "-", cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["n"] == 6
    assert done.json["metrics"]["miou"]["low"] is not None
    assert set(done.json["baselines"]) == {"background", "colour_and_shape"}


def test_an_unknown_metric_is_named(segmentation_run: Path, labelled: Path, tmp_path: Path) -> None:
    done = img2img(
        "eval", "segmentation", "--weights", segmentation_run, "--data", labelled, "--min",
        "iou_eg=0.8", cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 2
    assert "iou_egg" in sentence(done)


def test_tiles_answer_large_pictures(
    segmentation_run: Path, labelled: Path, tmp_path: Path
) -> None:
    picture = cv2.imread(str(labelled / "images" / "0.png"))
    cv2.imwrite(str(tmp_path / "wall.png"), np.tile(picture, (3, 3, 1)))
    done = img2img(
        "predict", "segmentation", "wall.png", "--weights", segmentation_run, "--tile", 48, "--out",
        "answers", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    mask = cv2.imread(str(tmp_path / done.json["mask"]), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (120, 144)
    n_eggs, _ = cv2.connectedComponents((mask == 128).astype(np.uint8))
    assert n_eggs - 1 >= 9


def _train(folder: Path, cwd: Path, *more: object) -> Outcome:
    return img2img(
        "train", "segmentation", "--data", folder, "--model", "unet", "--set", "model.width=4",
        "--image-size", 32, "--steps", 1, "--batch-size", 2, "--dry-run", *more, cwd=cwd,
    )  # fmt: skip


def test_a_missing_mask_is_named(labelled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(labelled, tmp_path / "data")
    (folder / "groups.csv").unlink()
    (folder / "masks" / "3.png").unlink()
    done = _train(folder, tmp_path)
    assert done.code == 3
    assert "3.png has no mask" in sentence(done)


def test_a_mask_of_another_size_is_named(labelled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(labelled, tmp_path / "data")
    cv2.imwrite(str(folder / "masks" / "2.png"), np.zeros((40, 40), np.uint8))
    done = _train(folder, tmp_path)
    assert done.code == 3
    assert "48x40" in sentence(done)
    assert "40x40" in done.err


def test_a_mask_of_unknown_values_is_named(labelled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(labelled, tmp_path / "data")
    cv2.imwrite(str(folder / "masks" / "1.png"), np.full((40, 48), 64, np.uint8))
    done = _train(folder, tmp_path)
    assert done.code == 3
    assert "1.png" in sentence(done)


def test_classes_by_colour(labelled: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(labelled, tmp_path / "data")
    for path in (folder / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        colours = np.zeros((*mask.shape, 3), np.uint8)
        colours[mask == 128] = (255, 0, 0)  # BGR
        colours[mask == 255] = (0, 0, 255)
        cv2.imwrite(str(path), colours)
    classes = "--set", "task.classes=floor:#000000,ball:#0000ff,box:#ff0000"
    assert _train(folder, tmp_path, *classes).code == 0
    assert _train(folder, tmp_path).code == 3


def test_unlabelled_pictures_join_the_training(labelled: Path, tmp_path: Path) -> None:
    done = img2img(
        "train", "segmentation", "--data", labelled, "--pseudo", labelled / "images", "--model",
        "unet", "--set", "model.width=4", "--image-size", 32, "--steps", 3, "--batch-size", 4,
        "--set", "semi.confidence=0", "--set", "train.log_every=1", "--out", "run", cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "pseudo" in (tmp_path / "run" / "metrics.jsonl").read_text()
    refused = img2img("train", "sobel", "--pseudo", labelled, "--dry-run", cwd=tmp_path)
    assert refused.code == 2
    assert "--pseudo" in sentence(refused)


@pytest.mark.parametrize(("share", "times"), [(0.0, 1), (0.5, 3), (0.8, 12)])
def test_few_labelled_pictures_are_shown_as_often_as_many_without(
    labelled: Path, tmp_path: Path, share: float, times: int
) -> None:
    for number in range(18):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((8, 8, 3), number, np.uint8))
    config = resolve("segmentation", [("flag", {
        "data": {"source": str(labelled), "pseudo": str(tmp_path), "val_share": 0, "test_share": 0},
        "semi": {"labelled_share": share},
    })])  # fmt: skip
    task = load_task("segmentation").configured(config)
    train = task.balanced(task.splits(config.data).parts["train"])
    assert len(train) == 6 * times + 18
    assert len({record.id for record in train.records}) == 24


def test_proposals_of_a_model_are_learned_from(
    segmentation_run: Path, labelled: Path, tmp_path: Path
) -> None:
    done = img2img(
        "label", "segmentation", labelled, "--method", "model", "--weights", segmentation_run,
        "--confidence", 0.8, "--out", "proposed", "--overlay", cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "iou_egg" in done.out
    masks = sorted((tmp_path / "proposed" / "masks").iterdir())
    assert [mask.name for mask in masks] == [f"{index}.png.png" for index in range(6)]
    values = {v for mask in masks for v in np.unique(cv2.imread(str(mask), 0)).tolist()}
    assert {0, 128} <= values <= {0, 64, 128, 255}
    assert _train(labelled, tmp_path, "--pseudo", "proposed").code == 0


@pytest.mark.parametrize("method", ["kmeans", "encoder-kmeans"])
def test_clusters_are_proposed(method: str, labelled: Path, tmp_path: Path) -> None:
    done = img2img(
        "label", "segmentation", labelled / "images", "--method", method, "--encoder", "resnet18",
        "--clusters", 3, "--out", "proposed", cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert len(list((tmp_path / "proposed" / "masks").iterdir())) == 6
