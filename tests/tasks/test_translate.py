"""Pictures from pictures: options, pairs that are made, answers, measures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from img2img.config import DataOptions
from img2img.data import images
from img2img.data.sample import Sample
from img2img.data.synth.textures import Textures
from img2img.data.view import View
from img2img.errors import DataError, UsageError
from img2img.registry import load_task
from img2img.tasks.translate import Translate, Translated, TranslateOptions


def task(**options: Any) -> Translate:
    made = load_task("translate")(TranslateOptions(**options))
    assert isinstance(made, Translate)
    return made


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six pictures that have no pairs."""
    for record in (textures := Textures(6, seed=0, size=40)).records:
        images.write(tmp_path / f"{record.id}.png", textures.pixels(record))
    return tmp_path


# ---- options


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="go together"):
        TranslateOptions(input="photos")
    with pytest.raises(UsageError, match="name two folders"):
        TranslateOptions(input="photos", target="photos")
    layout = TranslateOptions(input="a", target="b", direction="backward").pair_layout()
    assert (layout.names, layout.forward) == (("a", "b"), False)


@pytest.mark.parametrize("options", [{"layout": "side-by-side"}, {"input": "a", "target": "b"}])
def test_a_filter_contradicts_a_layout(options: dict[str, Any], photos: Path) -> None:
    wrong = TranslateOptions(filter="noise", **options)
    with pytest.raises(UsageError, match="leave one of them out"):
        Translate.defaults_for(wrong, "resunet", source=str(photos))


@pytest.mark.parametrize("parent", ["", "train"])
def test_a_filter_of_a_folder_of_pairs_is_refused(parent: str, tmp_path: Path) -> None:
    folder = tmp_path / parent
    for sample in task().generate(2, size=24, seed=0)["train"]:
        task().write_sample(folder, sample)
    with pytest.raises(UsageError, match=f"holds pairs already: .* --data at {folder / 'target'}"):
        Translate.defaults_for(TranslateOptions(filter="blur"), "resunet", source=str(tmp_path))
    found = Translate.defaults_for(
        TranslateOptions(filter="blur"), "resunet", source=str(folder / "target")
    )
    assert found["task"] == {"channels": 3}


def test_channels_are_those_of_the_targets(photos: Path, tmp_path: Path) -> None:
    def channels(source: Path | str, **options: Any) -> Any:
        found = Translate.defaults_for(TranslateOptions(**options), "resunet", source=str(source))
        return found.get("task", {}).get("channels")

    assert channels(photos, filter="grey") == 3
    pairs = tmp_path / "pairs"
    for sample in task(filter="grey").generate(2, size=24, seed=0)["train"]:
        task().write_sample(pairs, sample)
    assert channels(pairs) == 3
    assert channels(pairs, direction="backward") == 1
    assert channels(pairs / "input", filter="noise") == 1
    assert channels("cifar100", filter="noise") is None


# ---- data


def test_generated_pairs_are_noisy_and_clean() -> None:
    textures = Textures.splits(3).parts["train"]
    samples = task().splits(DataOptions(n_generated=3)).parts["train"]
    for sample, texture in zip(samples, textures, strict=True):
        np.testing.assert_array_equal(sample.labels["target"], texture.image)
        noise = sample.image.astype(float) - texture.image
        inside = (texture.image > 100) & (texture.image < 155)
        if inside.sum() > 2000:
            assert noise[inside].std() == pytest.approx(25, rel=0.1)


@pytest.mark.parametrize("filter", ["blur:2", "grey", "edges"])
def test_pairs_are_made_of_pictures_without_pairs(filter: str, photos: Path) -> None:
    splits = task(filter=filter).splits(DataOptions(source=str(photos)))
    assert splits.name == f"{photos} ({filter})"
    assert all(splits.parts[part] for part in ("train", "val", "test"))
    for sample in splits.whole:
        np.testing.assert_array_equal(sample.labels["target"], images.read(photos / sample.id))
        assert (sample.image != sample.labels["target"]).any()
        assert (sample.image == sample.image[..., :1]).all() == (filter != "blur:2")


def test_a_filter_is_part_of_the_digest(photos: Path) -> None:
    digests = {
        task(filter=filter).splits(DataOptions(source=str(photos))).whole.records[0].digest
        for filter in ("noise", "noise:10", "blur")
    }
    assert len(digests) == 3


def test_a_folder_of_pairs_is_taken_as_it_is(photos: Path, tmp_path: Path) -> None:
    made = task(filter="grey").splits(DataOptions(source=str(photos)))
    for sample in made.whole:
        task().write_sample(tmp_path / "pairs", sample)
    data = DataOptions(source=str(tmp_path / "pairs"))
    for filter in (None, "blur"):
        read = {sample.id: sample for sample in task(filter=filter).splits(data).whole}
        for sample in made.whole:
            np.testing.assert_array_equal(read[sample.id].image, sample.image)
            np.testing.assert_array_equal(read[sample.id].labels["target"],
                                          sample.labels["target"])  # fmt: skip


def test_pictures_without_pairs_are_refused_without_a_filter(photos: Path) -> None:
    with pytest.raises(DataError, match=r"task\.filter=noise"):
        task().splits(DataOptions(source=str(photos)))


def test_samples_of_all_parts_are_written_where_they_are_read(tmp_path: Path) -> None:
    for part, samples in task().generate(2, size=24, seed=0).items():
        (tmp_path / part).mkdir()
        for sample in samples:
            task().write_sample(tmp_path / part, sample)
    splits = task().splits(DataOptions(source=str(tmp_path)))
    assert {part: len(found) for part, found in splits.parts.items()} == {
        "train": 2, "val": 1, "test": 1,
    }  # fmt: skip
    sample = splits.parts["train"][0]
    assert sample.id == "train/texture-000000.png"
    task().write_sample(tmp_path / "copy" / "train", sample)
    (written,) = (tmp_path / "copy" / "train" / "target").iterdir()
    assert written.name == "texture-000000.png", "the part is not written twice"


def test_training_squares_need_no_large_pictures() -> None:
    small = task(image_size=32)
    sample = task().generate(1, size=9, seed=0)["train"][0]
    for rng in (None, np.random.default_rng(0)):
        encoded = small.targets(sample, rng)
        assert encoded["image"].shape == encoded["target"].shape == (32, 32, 3)


# ---- answers


@pytest.mark.parametrize("channels", [1, 3])
def test_the_overlay_shows_both_halves(channels: int) -> None:
    image = np.full((10, 20, 3), 60, np.uint8)
    drawn = task().draw(image, Translated(np.full((10, 20, channels), 200, np.uint8)))
    assert (drawn[:, :10] == 60).all()
    assert (drawn[:, 10] == 255).all()
    assert (drawn[:, 11:] == 200).all()
    assert (image == 60).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_identity_is_measured_in_the_targets_channels(channels: int) -> None:
    coloured = task(channels=channels)
    sample = coloured.generate(1, size=48, seed=0)["train"][0]
    assert sample.labels["target"].shape == (48, 48, channels)
    identity = coloured.baselines()["identity"](sample)
    assert identity.image.shape == (48, 48, channels)
    noisy = coloured.measure(identity, sample)
    assert 15 < noisy["psnr"] < 30
    if channels == 3:
        np.testing.assert_array_equal(identity.image, sample.image)
    truth = coloured.truth(sample)
    assert truth is not None
    assert coloured.measure(truth, sample)["psnr"] == 100


def test_what_is_measured_is_the_answer_before_rounding() -> None:
    target = np.full((20, 20, 3), 100, np.uint8)
    sample = Sample(id="a", group="a", image=target, labels={"target": target})
    decoded = {"image": target, "value": np.full((20, 20, 3), 100.4, np.float32)}
    result = task().result(decoded, View.whole(20, 20))
    assert task().measure(result, sample)["mae"] == pytest.approx(0.4, abs=1e-4)
    rounded = task().result({"image": target}, View.whole(20, 20))
    assert task().measure(rounded, sample)["mae"] == 0
