"""Paired pictures as users have them: two folders, or both pictures side by side."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.formats.paired import (
    PairedPictures,
    n_channels_of,
    n_target_channels,
    paired_splits,
)
from img2img.data.formats.picture_pairs import PairLayout, holds_pairs, look_side_by_side
from img2img.data.sample import Image, Splits
from img2img.data.synth.textures import draw_texture
from img2img.errors import DataError, UsageError
from img2img.vision.degradations import Degradation

ANY, SIDES = PairLayout(), PairLayout(kind="side-by-side")


def photo(seed: int, height: int = 24, width: int = 36) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def negative(seed: int) -> Image:
    return 255 - photo(seed)


def put(path: Path, picture: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, picture)


def add(folder: Path, name: str, seed: int, names: tuple[str, str] = ("input", "target")) -> None:
    put(folder / names[0] / name, photo(seed))
    put(folder / names[1] / name, negative(seed))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(8):
        add(tmp_path, f"{seed}.png", seed)
    return tmp_path


@pytest.fixture
def sides(tmp_path: Path) -> Path:
    """Four textures beside their negatives."""
    for seed in range(4):
        texture = draw_texture(np.random.default_rng(seed), 64, 64)
        put(tmp_path / "sides" / f"{seed}.png", np.hstack([texture, 255 - texture]))
    return tmp_path / "sides"


def splits_of(folder: Path, layout: PairLayout = ANY, channels: int = 3, **options: Any) -> Splits:
    return paired_splits(DataOptions(source=str(folder), **options), layout, channels=channels)


def refusal(folder: Path, layout: PairLayout = ANY) -> str:
    with pytest.raises(DataError) as caught:
        splits_of(folder, layout)
    return str(caught.value)


# ---- what is read


def test_samples_hold_the_input_and_its_target(folder: Path) -> None:
    splits = splits_of(folder)
    assert sorted(sample.id for sample in splits.whole) == [f"{seed}.png" for seed in range(8)]
    for sample in splits.whole:
        seed = int(Path(sample.id).stem)
        np.testing.assert_array_equal(sample.image, photo(seed))
        np.testing.assert_array_equal(sample.labels["target"], negative(seed))
    assert all(splits.parts[part] for part in ("train", "val", "test"))
    assert not splits.stated


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_carry_the_target_in_further_planes(channels: int, folder: Path) -> None:
    whole = splits_of(folder, channels=channels).whole
    assert isinstance(whole, PairedPictures)
    record = whole.records[0]
    pixels = whole.pixels(record)
    assert pixels.shape == (record.height, record.width, whole.planes) == (24, 36, 3 + channels)
    assert pixels.dtype == np.uint8
    pixels.flags.writeable = False  # as the cache has them
    sample = whole.sample(record, pixels)
    np.testing.assert_array_equal(sample.labels["target"], whole[0].labels["target"])
    if channels == 1:
        truth = cv2.cvtColor(negative(int(Path(sample.id).stem)), cv2.COLOR_RGB2GRAY)
        np.testing.assert_array_equal(sample.labels["target"][..., 0], truth)


def test_backward_learns_the_inputs_from_the_targets(folder: Path) -> None:
    forward, backward = splits_of(folder), splits_of(folder, PairLayout(forward=False))
    for one, other in zip(forward.whole, backward.whole, strict=True):
        assert one.id == other.id
        np.testing.assert_array_equal(one.image, other.labels["target"])
        np.testing.assert_array_equal(one.labels["target"], other.image)


@pytest.mark.parametrize(
    ("names", "layout"),
    [(("A", "B"), ANY), (("bad", "good"), PairLayout(names=("bad", "good")))],
)
def test_other_names_of_the_folders(
    names: tuple[str, str], layout: PairLayout, tmp_path: Path
) -> None:
    for seed in range(3):
        add(tmp_path, f"{seed}.png", seed, names)
    for sample in splits_of(tmp_path, layout).whole:
        np.testing.assert_array_equal(sample.image, photo(int(Path(sample.id).stem)))


def test_endings_may_differ_unless_names_are_shared(tmp_path: Path) -> None:
    put(tmp_path / "input" / "a.bmp", photo(0))
    put(tmp_path / "target" / "a.png", negative(0))
    for name in ("b.png", "b.bmp"):
        add(tmp_path, name, 1)
    ids = [record.id for record in splits_of(tmp_path).whole.records]
    assert sorted(ids) == ["a.bmp", "b.bmp", "b.png"]
    (tmp_path / "target" / "b.bmp").unlink()
    told = refusal(tmp_path)
    assert "input/b.bmp, input/b.png and target/b.png" in told


def test_subfolders_state_the_parts(tmp_path: Path) -> None:
    for part, n_samples in (("train", 3), ("valid", 1), ("test", 2)):
        for seed in range(n_samples):
            add(tmp_path / part, f"{seed}.png", seed)
    splits = splits_of(tmp_path)
    assert splits.stated
    ids = {part: [r.id for r in found.records] for part, found in splits.parts.items()}
    assert ids == {
        "train": ["train/0.png", "train/1.png", "train/2.png"],
        "val": ["valid/0.png"],
        "test": ["test/0.png", "test/1.png"],
    }


def test_parts_may_lie_below_the_two_folders(tmp_path: Path) -> None:
    for part in ("train", "val"):
        add(tmp_path, f"{part}/a.png", 0, ("A", "B"))
    splits = splits_of(tmp_path)
    assert {part: len(found) for part, found in splits.parts.items()} == {"train": 1, "val": 1}


def test_groups_stay_together(folder: Path) -> None:
    rows = [f"input/{seed}.png,film{seed % 4}" for seed in range(8)]
    (folder / "groups.csv").write_text("\n".join(["image,group", *rows]))
    splits = splits_of(folder, folds=4, fold=1)
    assert len({record.group for record in splits.parts["test"].records}) == 1
    assert len(splits.parts["test"]) == 2
    backward = splits_of(folder, PairLayout(forward=False), folds=4, fold=1)
    for one, other in zip(splits.whole.records, backward.whole.records, strict=True):
        assert (one.id, one.group) == (other.id, other.group)


def test_digests_follow_both_pictures(folder: Path) -> None:
    before = {record.id: record.digest for record in splits_of(folder).whole.records}
    put(folder / "target" / "3.png", photo(99))
    after = {record.id: record.digest for record in splits_of(folder).whole.records}
    assert {sample for sample in before if before[sample] != after[sample]} == {"3.png"}


# ---- side by side


def test_pictures_side_by_side_are_recognised(sides: Path) -> None:
    splits = splits_of(sides)
    assert len(splits.whole) == 4
    for sample in splits.whole:
        assert sample.image.shape == (64, 64, 3)
        np.testing.assert_array_equal(sample.labels["target"], 255 - sample.image)
    record = splits.whole.records[0]
    assert (record.height, record.width) == (64, 64)


def test_backward_takes_the_right_half_for_the_input(sides: Path) -> None:
    forward, backward = splits_of(sides, SIDES), splits_of(sides, PairLayout(forward=False))
    np.testing.assert_array_equal(forward.whole[0].image, backward.whole[0].labels["target"])
    np.testing.assert_array_equal(forward.whole[0].labels["target"], backward.whole[0].image)


@pytest.mark.parametrize("filter", ["noise", "blur", "grey", "edges"])
def test_pairs_of_any_filter_look_side_by_side(filter: str, tmp_path: Path) -> None:
    worse = Degradation.parse(filter)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        texture = draw_texture(rng, 96, 96)
        put(tmp_path / f"{seed}.png", np.hstack([worse(texture, rng), texture]))
    assert look_side_by_side(sorted(tmp_path.iterdir()))


def test_panoramas_are_no_pairs(tmp_path: Path) -> None:
    for seed in range(8):
        put(tmp_path / f"{seed}.png", draw_texture(np.random.default_rng(seed), 96, 192))
    assert not look_side_by_side(sorted(tmp_path.iterdir()))
    told = refusal(tmp_path)
    assert "holds no folders input and target" in told
    assert "task.layout=side-by-side" in told
    assert "task.filter=noise" in told
    assert len(splits_of(tmp_path, SIDES).whole) == 8


def test_an_odd_width_side_by_side_is_named(sides: Path) -> None:
    put(sides / "2.png", photo(0, 64, 127))
    told = refusal(sides, SIDES)
    assert "2.png is 127 pixels wide" in told
    assert "even width" in told


def test_one_odd_picture_among_pairs_side_by_side_is_named(sides: Path) -> None:
    put(sides / "2.png", photo(0, 64, 127))
    assert "3 of 4 pictures" in refusal(sides)
    assert "2.png is 127 pixels wide" in refusal(sides)
    put(sides / "2.png", photo(0, 64, 126))
    assert "task.layout=side-by-side" in refusal(sides)
    (sides / "2.png").write_bytes(b"")
    assert "2.png is empty" in refusal(sides)


def test_an_odd_picture_between_those_that_are_measured_is_named_later(sides: Path) -> None:
    for seed in range(4, 100):
        shutil.copy(sides / f"{seed % 4}.png", sides / f"{seed}.png")
    put(sides / "13.png", photo(0, 64, 127))
    assert "13.png is 127 pixels wide" in refusal(sides)


# ---- what is refused


def test_pictures_without_a_partner_are_named(folder: Path) -> None:
    (folder / "target" / "3.png").unlink()
    assert f"{folder / 'input' / '3.png'} has no partner" in refusal(folder)
    (folder / "input" / "3.png").unlink()
    (folder / "input" / "5.png").unlink()
    assert f"{folder / 'target' / '5.png'} has no partner" in refusal(folder)
    (folder / "input" / "6.png").unlink()
    assert "2 of 7 samples" in refusal(folder)


@pytest.mark.parametrize(
    ("parent", "layout"), [("", ANY), ("train", ANY), ("", PairLayout(kind="folders"))]
)
def test_two_folders_of_other_names_are_proposed(
    parent: str, layout: PairLayout, tmp_path: Path
) -> None:
    for seed in range(3):
        add(tmp_path / parent, f"{seed}.png", seed, ("x", "the y"))
    told = refusal(tmp_path, layout)
    assert "--set task.input='the y' --set task.target=x" in told
    splits_of(tmp_path, PairLayout(names=("the y", "x")))


def test_folders_of_two_names_are_refused_until_one_is_said(folder: Path) -> None:
    for seed in range(8):
        add(folder, f"{seed}.png", seed, ("A", "B"))
    told = refusal(folder)
    assert "holds input and target, and A and B as well" in told
    assert "--set task.input=A --set task.target=B" in told
    assert len(splits_of(folder, PairLayout(names=("A", "B"))).whole) == 8


def test_the_command_that_lists_all_can_be_pasted(folder: Path) -> None:
    (folder / "target" / "3.png").write_bytes(b"")
    layout = PairLayout(names=("input", "target"))
    command = f"`img2img data check translate --data {folder}"
    assert f"{command}`" in refusal(folder)
    assert f"{command} --set task.input=input --set task.target=target`" in refusal(folder, layout)


def test_different_sizes_are_named(folder: Path) -> None:
    put(folder / "target" / "3.png", photo(0, 24, 35))
    told = refusal(folder)
    assert f"{folder / 'input' / '3.png'} has 36x24 pixels" in told
    assert f"{folder / 'target' / '3.png'} has 35x24" in told


def test_unreadable_files_are_named(folder: Path) -> None:
    (folder / "target" / "3.png").write_bytes(b"")
    assert f"{folder / 'target' / '3.png'} is empty" in refusal(folder)


def test_a_picture_that_breaks_later_is_a_data_error(folder: Path) -> None:
    whole = splits_of(folder).whole
    shutil.rmtree(folder / "target")
    with pytest.raises(DataError, match="target"):
        whole[0]


def test_folders_that_are_missing_or_of_another_kind(folder: Path, tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "gone")
    assert "is a file" in refusal(folder / "input" / "0.png")
    assert "holds no folders bad and good" in refusal(
        folder, PairLayout(kind="folders", names=("bad", "good"))
    )
    shutil.rmtree(folder / "target")
    assert f"add {folder / 'target'}" in refusal(folder)
    with pytest.raises(UsageError, match="name two folders"):
        PairLayout(names=("a", "a"))


# ---- what is found out


def test_channels_are_those_of_the_targets(folder: Path) -> None:
    assert n_target_channels(folder, ANY) == 3
    for path in (folder / "target").iterdir():
        put(path, photo(0)[..., :1].repeat(3, axis=-1))
    assert n_target_channels(folder, ANY) == 1
    assert n_target_channels(folder, PairLayout(forward=False)) == 3
    (folder / "target" / "0.png").write_bytes(b"")
    assert n_target_channels(folder, ANY) == 1
    assert (n_channels_of(folder / "input"), n_channels_of(folder / "target")) == (3, 1)


def test_where_pairs_are(folder: Path, sides: Path) -> None:
    assert holds_pairs(folder, ANY)
    assert not holds_pairs(folder / "input", ANY)
    assert not holds_pairs(folder / "gone", ANY)
    assert not holds_pairs(sides, ANY)  # it might be pictures to make pairs of
    assert holds_pairs(sides, SIDES)
