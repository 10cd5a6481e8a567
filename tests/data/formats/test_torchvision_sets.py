"""Published data sets, in the on-disk formats that torchvision and COCO have."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import cv2
import numpy as np
import pytest

from img2img.data.formats.torchvision_sets import NAMES, torchvision_splits
from img2img.data.sample import Image, Splits
from img2img.errors import DataError, UsageError


def _noise(height: int, width: int, seed: int) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _write(path: Path, picture: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(path.suffix, picture[..., ::-1])
    path.write_bytes(data.tobytes())


def _load(name: str, root: Path, *, download: bool = False) -> Splits:
    return torchvision_splits(name, root=root, download=download)


def _counts(splits: Splits) -> dict[str, int]:
    return {part: len(samples) for part, samples in splits.parts.items()}


# -------------------------------------------------------------------------------------- CIFAR-100


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Image]:
    """A small CIFAR-100 in the official format; its pictures, (N, 32, 32, 3), by part."""
    from torchvision.datasets import CIFAR100

    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    pictures = {"train": _noise(60 * 32, 32, 0), "test": _noise(12 * 32, 32, 1)}
    stacks = {part: stack.reshape(-1, 32, 32, 3) for part, stack in pictures.items()}
    for part, stack in stacks.items():
        # As published: a row a picture, all of red, then green, then blue.
        planes = stack.transpose(0, 3, 1, 2).reshape(len(stack), 3072)
        batch = {"data": planes, "fine_labels": [0] * len(stack), "filenames": ["a"] * len(stack)}
        (folder / part).write_bytes(pickle.dumps(batch))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": ["apple"]}))
    md5 = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    monkeypatch.setattr(CIFAR100, "train_list", [["train", md5["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", md5["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", {**CIFAR100.meta, "md5": md5["meta"]})
    return stacks


def test_cifar_pictures(cifar: dict[str, Image], tmp_path: Path) -> None:
    splits = _load("cifar100", tmp_path)
    for index, picture in enumerate(cifar["test"]):
        sample = splits.parts["test"][index]
        assert sample.id == f"test/{index:05d}"
        assert sample.image.dtype == np.uint8
        assert np.array_equal(sample.image, picture)
    for sample in splits.parts["train"]:
        assert np.array_equal(sample.image, cifar["train"][int(sample.id[-5:])])


def test_cifar_parts(cifar: dict[str, Image], tmp_path: Path) -> None:
    splits = _load("cifar100", tmp_path)
    counts = _counts(splits)
    assert splits.stated
    assert counts["test"] == 12
    assert counts["train"] + counts["val"] == 60
    assert 1 <= counts["val"] <= 15
    ids = [record.id for part in splits.parts.values() for record in part.records]
    assert sorted(ids) == sorted(record.id for record in splits.whole.records)
    assert len(set(ids)) == 72
    again = _load("cifar100", tmp_path)
    assert again.parts["val"].records == splits.parts["val"].records


def test_cifar_digests_follow_the_pixels(cifar: dict[str, Image], tmp_path: Path) -> None:
    digests = [record.digest for record in _load("cifar100", tmp_path).whole.records]
    assert len(set(digests)) == 72


def test_share_of_validation(cifar: dict[str, Image], tmp_path: Path) -> None:
    half = torchvision_splits("cifar100", root=tmp_path, download=False, val_share=0.5)
    assert 20 <= _counts(half)["val"] <= 40
    none = torchvision_splits("cifar100", root=tmp_path, download=False, val_share=0.0)
    assert not none.parts.get("val")


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_cifar_opens_no_pickle_of_another_checksum(
    name: str, cifar: dict[str, Image], tmp_path: Path
) -> None:
    trace = tmp_path / "opened"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(trace),)

    path = tmp_path / "cifar-100-python" / name
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match="damaged"):
        _load("cifar100", tmp_path)
    assert not trace.exists()


# ------------------------------------------------------------------------------- Oxford-IIIT Pets


@pytest.fixture
def pets(tmp_path: Path) -> dict[str, Image]:
    """A small Oxford-IIIT Pets; its pictures by file name."""
    home = tmp_path / "oxford-iiit-pet"
    (home / "annotations").mkdir(parents=True)
    stems = [f"Abyssinian_{index}" for index in range(8)] + [f"beagle_{i}" for i in range(4)]
    pictures = {f"{stem}.jpg": _noise(20 + i, 30, i) for i, stem in enumerate(stems)}
    for name, picture in pictures.items():
        # Some files of the set are no JPEG, whatever they are called; so are all of these.
        _, data = cv2.imencode(".png", picture[..., ::-1])
        (home / "images").mkdir(exist_ok=True)
        (home / "images" / name).write_bytes(data.tobytes())
    lines = [f"{stem} {1 + (stem[0] == 'b')} {1 + (stem[0] == 'b')} 1\n" for stem in stems]
    (home / "annotations" / "trainval.txt").write_text("".join(lines[:7]))
    (home / "annotations" / "test.txt").write_text("".join(lines[7:11]))
    return pictures


def test_pets(pets: dict[str, Image], tmp_path: Path) -> None:
    splits = _load("oxford-iiit-pets", tmp_path)
    counts = _counts(splits)
    assert (counts["train"] + counts["val"], counts["test"]) == (7, 4)
    assert counts["val"] >= 1
    assert splits.stated
    assert [record.id for record in splits.parts["test"].records] == [
        "images/Abyssinian_7.jpg",
        "images/beagle_0.jpg",
        "images/beagle_1.jpg",
        "images/beagle_2.jpg",
    ]
    for record in splits.whole.records:
        expected = pets[record.id.removeprefix("images/")]
        assert (record.height, record.width) == expected.shape[:2]
        assert np.array_equal(splits.whole.pixels(record), expected)


def test_pets_digest_changes_with_the_file(pets: dict[str, Image], tmp_path: Path) -> None:
    before = {
        record.id: record.digest for record in _load("oxford-iiit-pets", tmp_path).whole.records
    }
    path = tmp_path / "oxford-iiit-pet/images/beagle_0.jpg"
    _, data = cv2.imencode(".png", pets["beagle_1.jpg"])
    path.write_bytes(data.tobytes())
    after = {
        record.id: record.digest for record in _load("oxford-iiit-pets", tmp_path).whole.records
    }
    assert {name for name in before if before[name] != after[name]} == {"images/beagle_0.jpg"}


def test_a_missing_picture_is_named(pets: dict[str, Image], tmp_path: Path) -> None:
    (tmp_path / "oxford-iiit-pet/images/beagle_1.jpg").unlink()
    with pytest.raises(DataError, match=r"beagle_1\.jpg.*fetch it again"):
        _load("oxford-iiit-pets", tmp_path)


# ---------------------------------------------------------------------------------- COCO-minitrain


def _annotate(path: Path, names: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [
        {"id": number, "file_name": name, "height": 16, "width": 24}
        for number, name in enumerate(names)
    ]
    path.write_text(json.dumps({"images": listed, "annotations": [], "categories": []}))


def _names(start: int, stop: int) -> list[str]:
    return [f"{number:012d}.jpg" for number in range(start, stop)]


@pytest.mark.parametrize("place", ["images/train2017", "train2017", "minitrain2017", "images", "."])
@pytest.mark.parametrize("annotations", ["annotations", "."])
def test_coco_layouts(place: str, annotations: str, tmp_path: Path) -> None:
    for name in _names(0, 12):
        _write(tmp_path / place / name, _noise(16, 24, 0))
    _annotate(tmp_path / annotations / "instances_minitrain2017.json", _names(0, 10))
    splits = _load(f"coco-minitrain:{tmp_path}", tmp_path / "unused")
    counts = _counts(splits)
    assert counts["train"] + counts["val"] == len(splits.whole) == 10
    assert counts["val"] >= 1
    assert splits.whole[3].image.shape == (16, 24, 3)


def test_coco_takes_the_stated_validation_and_the_small_training_set(tmp_path: Path) -> None:
    for part, names in {"train2017": _names(0, 9), "val2017": _names(100, 103)}.items():
        for name in names:
            _write(tmp_path / "images" / part / name, _noise(16, 24, 0))
    _annotate(tmp_path / "instances_minitrain2017.json", _names(0, 5))
    _annotate(tmp_path / "annotations/instances_train2017.json", _names(0, 9))
    _annotate(tmp_path / "annotations/instances_val2017.json", _names(100, 103))
    splits = _load(f"coco-minitrain:{tmp_path}", tmp_path)
    assert _counts(splits) == {"train": 5, "val": 3}
    assert splits.parts["val"].records[0].id == "images/val2017/000000000100.jpg"


def test_coco_is_read_without_torch(tmp_path: Path) -> None:
    _write(tmp_path / "images/a.png", _noise(16, 24, 0))
    _annotate(tmp_path / "instances_minitrain2017.json", ["a.png"])
    script = (
        "import sys; from pathlib import Path\n"
        "from img2img.data.formats.torchvision_sets import torchvision_splits\n"
        f"torchvision_splits('coco-minitrain:{tmp_path}', root=Path(), download=False)\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "no COCO file"),
        ("[]", "no COCO file"),
        ('{"images": [{"id": 1}]}', "no COCO file"),
        ('{"images": []}', "lists no images"),
        ('{"images": [{"file_name": "gone.jpg"}]}', "gone.jpg"),
        ('{"images": [{"file_name": "../secret.jpg"}]}', "outside"),
        ('{"images": [{"file_name": "/secret.jpg"}]}', "outside"),
    ],
)
def test_coco_that_cannot_be_used(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "instances_minitrain2017.json").write_text(content)
    with pytest.raises(DataError, match=told):
        _load(f"coco-minitrain:{tmp_path}", tmp_path)


# -------------------------------------------------------------------------------------- not there


@pytest.mark.parametrize("name", ["cifar100", "oxford-iiit-pets"])
def test_without_download_the_message_names_the_flag(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^{name} .*--download"):
        _load(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "module"), [("cifar100", "cifar"), ("oxford-iiit-pets", "oxford_iiit_pet")]
)
def test_a_download_that_fails(
    name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(f"torchvision.datasets.{module}.download_and_extract_archive", refuse)
    with pytest.raises(DataError, match=r"could not be downloaded.*no route to host"):
        _load(name, tmp_path, download=True)


@pytest.mark.parametrize("name", ["coco-minitrain", "coco-minitrain:nowhere"])
def test_coco_without_a_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give its folder"):
        _load(name, tmp_path, download=True)


def test_coco_folder_without_annotations(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no annotations/instances_\*\.json"):
        _load(f"coco-minitrain:{tmp_path}", tmp_path)


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'cifar100'"):
        _load("cifar10", tmp_path)
    with pytest.raises(UsageError, match="takes no folder"):
        _load("cifar100:here", tmp_path)
    assert len(set(NAMES)) == 3
