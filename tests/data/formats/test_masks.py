"""Folders of pictures and masks as users have them."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.formats.masks import MaskFolder, mask_splits, unlabelled, with_open_value
from img2img.data.sample import Splits
from img2img.errors import DataError, InputError, UsageError
from img2img.vision.classes import IGNORE, Classes, ClassSet
from img2img.vision.masks import repair

CLASSES = ClassSet.parse(["background:0", "egg:128", "pan:255"])


def classes_of(seed: int, height: int = 24, width: int = 36) -> Classes:
    """A pan and an egg on the table."""
    plane = np.zeros((height, width), np.uint8)
    rng = np.random.default_rng(seed)
    cv2.circle(plane, (int(rng.integers(8, 16)), 12), 7, 2, -1)
    cv2.circle(plane, (int(rng.integers(26, 31)), 12), 4, 1, -1)
    return plane


def photo(seed: int, height: int = 24, width: int = 36) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def add(folder: Path, picture: str, mask: str = "", *, seed: int = 0) -> None:
    """A picture in images/ and its mask in masks/, where it has one."""
    for kind, name in (("images", picture), ("masks", mask)):
        path = folder / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "images" and picture:
            images.write(path, photo(seed))
        if kind == "masks" and mask:
            images.write(path, CLASSES.to_mask(classes_of(seed)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(8):
        add(tmp_path, f"{seed}.png", f"{seed}.png", seed=seed)
    return tmp_path


def splits_of(folder: Path, classes: ClassSet = CLASSES, **options: Any) -> Splits:
    return mask_splits(DataOptions(source=str(folder), **options), classes)


def refusal(folder: Path, classes: ClassSet = CLASSES) -> str:
    with pytest.raises(DataError) as caught:
        splits_of(folder, classes)
    return str(caught.value)


# ---- what is read


def test_samples_hold_the_picture_and_its_classes(folder: Path) -> None:
    splits = splits_of(folder)
    assert [record.id for record in splits.whole.records] != []
    assert sorted(sample.id for sample in splits.whole) == [f"{seed}.png" for seed in range(8)]
    for sample in splits.whole:
        seed = int(Path(sample.id).stem)
        np.testing.assert_array_equal(sample.image, photo(seed))
        np.testing.assert_array_equal(sample.labels["classes"], classes_of(seed))
        assert sample.image.flags.c_contiguous
    assert not splits.stated
    assert splits.name == str(folder)


def test_pixels_carry_the_classes_in_a_fourth_plane(folder: Path) -> None:
    whole = splits_of(folder).whole
    assert isinstance(whole, MaskFolder)
    record = whole.records[0]
    pixels = whole.pixels(record)
    assert pixels.shape == (record.height, record.width, whole.planes) == (24, 36, 4)
    assert whole.labels[record.id].path == folder / "masks" / record.id
    pixels.flags.writeable = False  # as the cache has them
    np.testing.assert_array_equal(whole.sample(record, pixels).image, whole[0].image)


def test_subfolders_state_the_parts(tmp_path: Path) -> None:
    for part, n_samples in (("train", 3), ("valid", 1), ("test", 2)):
        for seed in range(n_samples):
            add(tmp_path / part, f"{seed}.jpg", f"{seed}.png", seed=seed)
    splits = splits_of(tmp_path)
    assert splits.stated
    ids = {part: [r.id for r in found.records] for part, found in splits.parts.items()}
    assert ids == {
        "train": ["train/0.jpg", "train/1.jpg", "train/2.jpg"],
        "val": ["valid/0.jpg"],
        "test": ["test/0.jpg", "test/1.jpg"],
    }


def test_parts_may_lie_below_images_and_masks(tmp_path: Path) -> None:
    for part in ("train", "val"):
        add(tmp_path, f"{part}/a.jpg", f"{part}/a.png")
    splits = splits_of(tmp_path)
    assert {part: len(found) for part, found in splits.parts.items()} == {"train": 1, "val": 1}


def test_groups_stay_together_and_reach_the_samples(folder: Path) -> None:
    rows = [f"{seed}.png,film{seed % 4}" for seed in range(8)]
    (folder / "groups.csv").write_text("\n".join(["image,group", *rows]))
    splits = splits_of(folder, folds=4, fold=1)
    assert len({record.group for record in splits.parts["test"].records}) == 1
    assert len(splits.parts["test"]) == 2
    assert splits.parts["test"][0].group.startswith("film")
    assert splits_of(folder, groups="none").whole.records[0].group in {f"{n}.png" for n in range(8)}


def test_digests_cover_picture_mask_and_classes(folder: Path) -> None:
    def digest(classes: ClassSet = CLASSES) -> str:
        records = {record.id: record for record in splits_of(folder, classes).whole.records}
        return records["0.png"].digest

    before = digest()
    renamed = ClassSet.parse(["background:0", "shell:128", "pan:255"])
    assert digest() == before != digest(renamed)
    images.write(folder / "masks/0.png", CLASSES.to_mask(classes_of(99)))
    other_mask = digest()
    images.write(folder / "images/0.png", photo(99))
    assert len({before, other_mask, digest()}) == 3


# ---- which mask belongs to which picture


def test_stems_pair_whatever_the_endings(tmp_path: Path) -> None:
    add(tmp_path, "a.JPG", "a.png")
    add(tmp_path, "deep/b.png", "deep/b.bmp")
    add(tmp_path, "c.d.png", "c.d.png")
    assert len(splits_of(tmp_path).whole) == 3


def test_one_stem_with_several_endings_pairs_by_the_whole_name(tmp_path: Path) -> None:
    add(tmp_path, "a.png", "a.png", seed=1)
    add(tmp_path, "a.bmp", "a.bmp", seed=2)
    whole = splits_of(tmp_path).whole
    assert isinstance(whole, MaskFolder)
    assert all(whole.labels[record.id].path.name == record.id for record in whole.records)


def test_a_doubtful_stem_is_an_error_that_names_all_files(tmp_path: Path) -> None:
    add(tmp_path, "a.png", "a.png")
    add(tmp_path, "a.bmp")
    told = refusal(tmp_path)
    assert "images/a.bmp, images/a.png and masks/a.png" in told
    assert "groups.csv (columns image and mask)" in told


def test_groups_csv_pairs_what_names_do_not(tmp_path: Path) -> None:
    add(tmp_path, "a.png", "first.png", seed=1)
    add(tmp_path, "a.bmp", "second.png", seed=2)
    add(tmp_path, "c.png", "c.png", seed=3)
    rows = ["image,mask", "a.png,second.png", "a.bmp,first.png", "gone.png,gone.png"]
    (tmp_path / "groups.csv").write_text("\n".join(rows))
    labels = {sample.id: sample.labels["classes"] for sample in splits_of(tmp_path).whole}
    for name, seed in (("a.png", 2), ("a.bmp", 1), ("c.png", 3)):
        np.testing.assert_array_equal(labels[name], classes_of(seed))


def test_a_mask_that_groups_csv_names_must_be_there(folder: Path) -> None:
    (folder / "groups.csv").write_text("image,mask\n0.png,zero.png\n")
    told = refusal(folder)
    assert "0.png has no mask" in told
    assert "zero.png, which does not exist" in told


def test_pictures_and_masks_without_a_partner_are_counted(folder: Path) -> None:
    (folder / "masks/3.png").unlink()
    add(folder, "", "lonely.png")
    told = refusal(folder)
    assert told.startswith(f"2 of 9 samples in {folder} cannot be used, the first: ")
    assert told.endswith(f"run `img2img data check segmentation --data {folder}` for all of them.")
    assert f"{folder / 'images/3.png'} has no mask: add one of the same name" in told
    (folder / "images/3.png").unlink()
    assert f"{folder / 'masks/lonely.png'} has no picture" in refusal(folder)


def test_a_folder_of_another_layout(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "gone")
    images.write(tmp_path / "a.png", photo(0))
    assert "put the pictures into images and masks" in refusal(tmp_path)
    assert "is no COCO file" in refusal(tmp_path / "a.png")
    add(tmp_path, "a.png")
    assert f"{tmp_path / 'images'} has no masks beside it" in refusal(tmp_path)
    (tmp_path / "masks").mkdir()
    assert "holds no pictures" in refusal(tmp_path)


# ---- masks that cannot be used


def test_a_mask_of_another_size(folder: Path) -> None:
    images.write(folder / "masks/2.png", CLASSES.to_mask(classes_of(2, 36, 24)))
    told = refusal(folder)
    assert told.startswith("1 of 8 samples")
    assert "2.png has 36x24 pixels, but its mask" in told
    assert "has 24x36: give both the same size" in told


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_unreadable_files_are_counted(kind: str, folder: Path) -> None:
    (folder / kind / "1.png").write_bytes(b"")
    (folder / kind / "2.png").write_bytes(b"no picture")
    told = refusal(folder)
    assert told.startswith("2 of 8 samples")
    assert f"{folder / kind / '1.png'} is empty" in told


def test_values_of_no_class_are_told_with_their_share(folder: Path) -> None:
    mask = CLASSES.to_mask(classes_of(0))
    mask[:12] = 70
    images.write(folder / "masks/0.png", mask)
    told = refusal(folder)
    # Half of the mask, less three rows that the background is near to.
    assert "37.6% of the pixels of" in told
    assert "fit none of background:0,egg:128,pan:255, such as 70" in told
    assert "--set task.classes=NAME:VALUE" in told
    with_other = ClassSet.parse(["background:0", "egg:128", "pan:255", "shadow:70"])
    assert len(splits_of(folder, with_other).whole) == 8


def test_masks_of_indices_are_not_taken_for_background(folder: Path) -> None:
    for seed in range(8):
        images.write(folder / f"masks/{seed}.png", classes_of(seed))
    told = refusal(folder)
    assert "hold nothing but background" in told
    assert "values 2, 1 were taken" in told
    indexed = ClassSet.parse(["background:0", "egg:1", "pan:2"])
    samples = {sample.id: sample for sample in splits_of(folder, indexed).whole}
    np.testing.assert_array_equal(samples["5.png"].labels["classes"], classes_of(5))


def test_masks_without_an_object_are_in_order(folder: Path) -> None:
    for seed in range(8):
        images.write(folder / f"masks/{seed}.png", np.zeros((24, 36), np.uint8))
    assert len(splits_of(folder).whole) == 8


def test_a_file_that_breaks_later_is_a_data_error(folder: Path) -> None:
    whole = splits_of(folder).whole
    (folder / "masks" / whole.records[0].id).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        whole[0]
    images.write(folder / "masks" / whole.records[1].id, np.zeros((9, 9), np.uint8))
    with pytest.raises(DataError, match="give both the same size"):
        whole[1]


def test_wrong_folds_are_told_before_the_files_are_read(folder: Path) -> None:
    (folder / "images/1.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"data\.folds is 9"):
        splits_of(folder, folds=9)


# ---- kinds of mask files


def test_jpeg_masks_are_repaired(tmp_path: Path) -> None:
    add(tmp_path, "a.png", "a.jpg", seed=4)
    add(tmp_path, "b.png", "b.png", seed=5)
    samples = {sample.id: sample for sample in splits_of(tmp_path).whole}
    np.testing.assert_array_equal(samples["a.png"].labels["classes"], classes_of(4))


def decoded(path: Path, *, indexed: bool = True) -> Any:
    return images.decode_mask(path.read_bytes(), path.name, indexed=indexed)


def test_grey_values_are_unchanged(tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    cv2.imwrite(str(tmp_path / "grey.png"), values)
    cv2.imwrite(str(tmp_path / "colour.png"), cv2.merge((values, values, values)))
    cv2.imwrite(str(tmp_path / "deep.png"), values.astype(np.uint16))
    Pillow.fromarray(values).convert("LA").save(tmp_path / "alpha.png")
    for path in sorted(tmp_path.iterdir()):
        np.testing.assert_array_equal(decoded(path), values)


def test_values_above_255_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((9, 9), 300, np.uint16))
    with pytest.raises(InputError, match=r"deep\.png holds values above 255"):
        decoded(tmp_path / "deep.png")


def test_colours_come_as_rgb(tmp_path: Path) -> None:
    images.write(tmp_path / "a.png", photo(0))
    np.testing.assert_array_equal(decoded(tmp_path / "a.png"), photo(0))


def test_masks_are_turned_as_pictures_are(tmp_path: Path) -> None:
    values = CLASSES.to_mask(classes_of(0))[..., 0]
    turned = Pillow.fromarray(values)
    exif = turned.getexif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    turned.save(tmp_path / "a.jpg", exif=exif, quality=100)
    mask = decoded(tmp_path / "a.jpg")
    assert mask.shape == images.read(tmp_path / "a.jpg").shape[:2] == (36, 24)
    assert np.abs(mask.astype(int) - np.rot90(values, -1)).max() < 20


@pytest.mark.parametrize("bits", [2, 8])
def test_a_palette_gives_indices_or_colours(bits: int, tmp_path: Path) -> None:
    palette = Pillow.fromarray(classes_of(0))
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 128, 64])
    palette.save(tmp_path / "a.png", bits=bits, transparency=0)
    np.testing.assert_array_equal(decoded(tmp_path / "a.png"), classes_of(0))
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 128, 64]], np.uint8)[classes_of(0)]
    np.testing.assert_array_equal(decoded(tmp_path / "a.png", indexed=False), colours)


def test_a_palette_of_greys_gives_the_greys(tmp_path: Path) -> None:
    palette = Pillow.fromarray(classes_of(0))
    palette.putpalette([0, 0, 0, 128, 128, 128, 255, 255, 255])
    palette.save(tmp_path / "a.png")
    np.testing.assert_array_equal(
        decoded(tmp_path / "a.png"), CLASSES.to_mask(classes_of(0))[..., 0]
    )


def test_masks_of_colours(tmp_path: Path) -> None:
    coloured = ClassSet.parse(["road:#800080", "car:#0000ff", "tree:#00ff00"], ignore="#ffffff")
    expected = classes_of(0)
    expected[0] = IGNORE
    add(tmp_path, "a.png", "a.png")
    images.write(tmp_path / "masks/a.png", coloured.to_mask(expected))
    (sample,) = splits_of(tmp_path, coloured).whole
    np.testing.assert_array_equal(sample.labels["classes"], expected)


# ---- pictures without labels


def test_pictures_without_masks_are_all_ignored(tmp_path: Path) -> None:
    for seed in range(3):
        images.write(tmp_path / f"{seed}.png", photo(seed))
    samples = unlabelled(tmp_path, CLASSES)
    assert samples.planes == 4
    assert len(samples) == 3
    np.testing.assert_array_equal(samples[1].image, photo(1))
    assert (samples[1].labels["classes"] == IGNORE).all()
    assert len(samples.subset([0, 2])) == 2


def test_masks_of_img2img_label_leave_value_64_open(folder: Path) -> None:
    mask = CLASSES.to_mask(classes_of(0))
    mask[:4] = 64
    images.write(folder / "masks/0.png", mask)
    samples = {sample.id: sample for sample in unlabelled(folder, CLASSES)}
    assert len(samples) == 8
    classes = samples["0.png"].labels["classes"]
    assert (classes[:4] == IGNORE).all()
    np.testing.assert_array_equal(classes[4:], classes_of(0)[4:])


def test_open_pixels_get_a_value_far_from_every_class() -> None:
    assert with_open_value(CLASSES).ignore == (64, 64, 64)
    assert with_open_value(dataclasses.replace(CLASSES, ignore=(9, 9, 9))).ignore == (9, 9, 9)
    rng = np.random.default_rng(0)
    for n_classes in (2, 3, 4):
        values = sorted(rng.choice(256, n_classes, replace=False).tolist())
        classes = ClassSet.parse([f"c{value}:{value}" for value in values])
        opened = with_open_value(classes)
        assert opened.is_grey
        value = (opened.ignore or (0,))[0]
        far = min(abs(value - other) for other in values)
        assert far >= 32  # four classes leave a gap of 64 levels somewhere, or 32 at an end
        if min(abs(64 - other) for other in values) >= 32:
            assert value == 64
        every = np.array([[*range(n_classes), IGNORE]], np.uint8)
        np.testing.assert_array_equal(repair(opened.to_mask(every), opened).classes, every)


def test_open_pixels_are_told_from_many_classes_and_from_colours() -> None:
    many = ClassSet.parse([f"c{value}:{value}" for value in range(250)])
    assert with_open_value(many).ignore == (255, 255, 255)
    coloured = ClassSet.parse(["road:#404050", "car:#0000ff", "tree:#ffffff"])
    value = with_open_value(coloured).ignore
    assert value is not None
    gaps = np.abs(np.array(coloured.colours) - value).max(axis=1)
    assert gaps.min() >= 32


def test_proposals_say_which_value_is_open(folder: Path) -> None:
    (folder / "proposals.json").write_text('{"unlabelled": "200"}')
    mask = CLASSES.to_mask(classes_of(0))
    mask[:4] = 200
    images.write(folder / "masks/0.png", mask)
    samples = {sample.id: sample for sample in unlabelled(folder, CLASSES)}
    assert (samples["0.png"].labels["classes"][:4] == IGNORE).all()


@pytest.mark.parametrize(
    ("told", "match"),
    [('{"unlabelled": "128"}', "that of a class"), ('{"unlabelled": "grey"}', "no value"),
     ("{}", "KeyError"), ("[1]", "TypeError"), ("{", "JSONDecodeError")],
)  # fmt: skip
def test_proposals_that_say_nonsense_are_refused(told: str, match: str, folder: Path) -> None:
    (folder / "proposals.json").write_text(told)
    with pytest.raises(DataError, match=match):
        unlabelled(folder, CLASSES)


def test_unlabelled_pictures_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        unlabelled(tmp_path / "gone", CLASSES)


# ---- the real thing


@pytest.mark.shared
def test_every_real_mask_has_three_classes_and_nothing_else() -> None:
    named = os.environ.get("IMG2IMG_TEST_EGGPAN")
    if not named:
        pytest.skip("IMG2IMG_TEST_EGGPAN names no folder of eggs and pans")
    whole = splits_of(Path(named)).whole
    seen = set()
    for sample in whole:
        present = set(np.unique(sample.labels["classes"]).tolist())
        assert present <= {0, 1, 2}, sample.id
        assert sample.labels["classes"].shape == sample.image.shape[:2]
        seen |= present
    assert seen == {0, 1, 2}


def test_pictures_that_are_held_out_are_not_learned_from_without_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ("own/images", "own/masks", "bare"):
        (tmp_path / folder).mkdir(parents=True)
    for index in range(6):
        picture = rng.integers(0, 256, (8, 9, 3), np.uint8)
        images.write(tmp_path / "own" / "images" / f"{index}.png", picture)
        images.write(tmp_path / "own" / "masks" / f"{index}.png", np.full((8, 9, 1), 128, np.uint8))
        images.write(tmp_path / "bare" / f"other-{index}.png", picture)
    classes = ClassSet.parse(["background:0", "egg:128"])
    held_out = mask_splits(
        DataOptions(source=str(tmp_path / "own"), val_share=0, test_share=0.5), classes
    ).parts["test"]
    found = unlabelled(tmp_path / "bare", classes, without=[held_out])
    assert len(found) == 6 - len(held_out)
    assert {f"other-{record.id}" for record in held_out.records}.isdisjoint(
        record.id for record in found.records
    )
    with pytest.raises(DataError, match="no picture that is not held out"):
        unlabelled(tmp_path / "bare", classes, without=[unlabelled(tmp_path / "bare", classes)])
