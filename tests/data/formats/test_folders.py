from pathlib import Path

import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.formats.folders import PictureFolder, picture_splits
from img2img.errors import DataError

OPTIONS = DataOptions(val_share=0.3, test_share=0.2)


def fill(folder: Path, names: list[str]) -> None:
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        images.write(path, rng.integers(0, 256, (4 + seed, 9, 3), np.uint8))


def ids(splits, part: str) -> list[str]:
    return [record.id for record in splits.parts[part].records]


def test_records_tell_what_the_files_hold(tmp_path: Path) -> None:
    fill(tmp_path, ["a/10.png", "a/2.png", "b.bmp"])
    splits = picture_splits(OPTIONS, tmp_path)
    records = {record.id: record for record in splits.whole.records}
    assert sorted(records) == ["a/10.png", "a/2.png", "b.bmp"]
    assert (records["a/2.png"].height, records["a/2.png"].width) == (5, 9)
    assert len({record.digest for record in records.values()}) == 3
    assert all(len(record.digest) == 32 for record in records.values())
    assert not splits.stated
    assert splits.name == str(tmp_path)


def test_the_digest_follows_the_content_and_not_the_name(tmp_path: Path) -> None:
    fill(tmp_path, ["a.png", "b.png"])
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes())
    records = {record.id: record for record in picture_splits(OPTIONS, tmp_path).whole.records}
    assert records["a.png"].digest == records["c.png"].digest != records["b.png"].digest


def test_samples_are_the_decoded_pictures(tmp_path: Path) -> None:
    fill(tmp_path, ["a.png", "b.png"])
    for sample in picture_splits(OPTIONS, tmp_path).whole:
        np.testing.assert_array_equal(sample.image, images.read(tmp_path / sample.id))


def test_an_undivided_folder_is_divided_by_share(tmp_path: Path) -> None:
    fill(tmp_path, [f"scene{n % 3}/{n}.png" for n in range(12)])
    splits = picture_splits(OPTIONS, tmp_path)
    assert sum(len(part) for part in splits.parts.values()) == len(splits.whole) == 12
    assert all(len(splits.parts[part]) > 0 for part in ("train", "val", "test"))
    assert splits.pick(None) == ("all", splits.whole)


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_subfolders_state_the_parts(val: str, tmp_path: Path) -> None:
    fill(tmp_path, ["train/a.png", "train/cats/b.png", f"{val}/c.png", "test/d.png"])
    splits = picture_splits(OPTIONS, tmp_path)
    assert splits.stated
    assert list(splits.parts) == ["train", "val", "test"]
    assert ids(splits, "train") == ["train/a.png", "train/cats/b.png"]
    assert ids(splits, "val") == [f"{val}/c.png"]
    assert ids(splits, "test") == ["test/d.png"]
    assert splits.pick(None)[0] == "test"


def test_val_is_carved_where_only_train_is_stated(tmp_path: Path) -> None:
    names = [f"train/{n}.png" for n in range(10)]
    fill(tmp_path, [*names, "test/a.png", "test/b.png"])
    splits = picture_splits(OPTIONS, tmp_path)
    assert splits.stated
    assert ids(splits, "test") == ["test/a.png", "test/b.png"]
    assert sorted(ids(splits, "train") + ids(splits, "val")) == sorted(names)
    assert ids(splits, "train")
    assert ids(splits, "val")


def test_a_stated_test_part_stays_out_of_training(tmp_path: Path) -> None:
    fill(tmp_path, [*(f"cats/{n}.png" for n in range(8)), "test/1.png"])
    splits = picture_splits(OPTIONS, tmp_path)
    assert ids(splits, "test") == ["test/1.png"]
    assert len(splits.parts["train"]) + len(splits.parts["val"]) == 8


def test_pictures_beside_stated_parts_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path, ["train/a.png", "val/b.png", "cover.png"])
    splits = picture_splits(OPTIONS, tmp_path)
    assert [record.id for record in splits.whole.records] == ["train/a.png", "val/b.png"]


def test_a_folder_called_train_without_pictures_states_nothing(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/notes.txt").write_text("nothing")
    fill(tmp_path, ["a.png", "train.png"])
    assert not picture_splits(OPTIONS, tmp_path).stated


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone does not exist"):
        picture_splits(OPTIONS, tmp_path / "gone")
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(DataError, match=r"a\.txt is a file: give the folder"):
        picture_splits(OPTIONS, tmp_path / "a.txt")
    with pytest.raises(DataError, match="holds no pictures"):
        picture_splits(OPTIONS, tmp_path)


def test_unreadable_pictures_are_counted_and_the_first_is_explained(tmp_path: Path) -> None:
    fill(tmp_path, ["a.png", "b.png", "c.jpg"])
    (tmp_path / "b.png").write_bytes(b"")
    (tmp_path / "c.jpg").write_bytes((tmp_path / "c.jpg").read_bytes()[:-30])
    with pytest.raises(DataError) as caught:
        picture_splits(OPTIONS, tmp_path)
    assert str(caught.value) == (
        f"2 of 3 pictures in {tmp_path} cannot be read, the first: {tmp_path / 'b.png'} is empty "
        f"(zero bytes); run `img2img data check sobel --data {tmp_path}` for all of them."
    )


def test_a_picture_that_breaks_later_is_a_data_error(tmp_path: Path) -> None:
    fill(tmp_path, ["a.png"])
    whole = picture_splits(OPTIONS, tmp_path).whole
    assert isinstance(whole, PictureFolder)
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.png cannot be read"):
        whole[0]
