"""What all generated pictures have in common: reproducible, disjoint parts."""

from collections.abc import Callable

import numpy as np
import pytest

from img2img.data.sample import Splits
from img2img.data.synth.generated import Generated
from img2img.data.synth.kitchen import Kitchens
from img2img.data.synth.textures import Textures

Kind = Callable[..., Generated]
KINDS = pytest.mark.parametrize("kind", [Kitchens, Textures])
SPLITS = pytest.mark.parametrize("splits_of", [Kitchens.splits, Textures.splits])


@KINDS
def test_a_picture_is_a_function_of_seed_and_index(kind: Kind) -> None:
    few, many, other = kind(3, seed=1, size=48), kind(9, seed=1, size=48), kind(3, seed=2, size=48)

    def pixels(samples: Generated, place: int) -> np.ndarray:
        return samples.pixels(samples.records[place])

    assert np.array_equal(pixels(few, 2), pixels(many, 2))
    assert np.array_equal(pixels(few, 2), pixels(many.subset([7, 2]), 1))
    assert not np.array_equal(pixels(many, 2), pixels(many, 3))
    assert not np.array_equal(pixels(many, 2), pixels(other, 2))


@KINDS
def test_records_tell_pictures_apart(kind: Kind) -> None:
    assert kind(124, seed=0).records[123].id == f"{kind.kind}-000123"
    digests = {
        record.digest
        for seed in (0, 1)
        for size in (32, 64)
        for record in kind(5, seed=seed, size=size).records
    }
    assert len(digests) == 20


@pytest.mark.parametrize(
    ("height", "width"),
    [(1, 1), (1, 9), (9, 1), (2, 2), (37, 91), (91, 37), (7, 300), (301, 5), (120, 160)],
)
@KINDS
def test_any_size(kind: Kind, height: int, width: int) -> None:
    pictures = kind(0, seed=0)
    for seed in range(30):
        pixels = pictures.draw(np.random.default_rng(seed), height, width)
        assert pixels.shape == (height, width, kind.planes)
        assert pixels.dtype == np.uint8
        assert pixels[..., 3:].max(initial=0) <= 2, "a class, where there are classes"


@SPLITS
def test_parts_share_no_picture_and_grow_in_place(splits_of: Callable[..., Splits]) -> None:
    splits = splits_of(10, n_val=4, n_test=3, size=32)
    sizes = {part: len(samples) for part, samples in splits.parts.items()}
    assert sizes == {"train": 10, "val": 4, "test": 3}
    assert splits.stated
    assert splits.name == f"generated {splits.whole.kind}s"
    ids = [record.id for record in splits.whole.records]
    assert len(set(ids)) == 17
    assert ids == [record.id for part in splits.parts.values() for record in part.records]
    larger = splits_of(20, n_val=4, n_test=3, size=32)
    assert larger.parts["val"].records == splits.parts["val"].records
    assert larger.parts["train"].records[:10] == splits.parts["train"].records
    assert np.array_equal(splits.whole[12].image, splits.parts["val"][2].image)


@SPLITS
def test_parts_may_be_empty(splits_of: Callable[..., Splits]) -> None:
    assert splits_of(2, n_val=0, n_test=0, size=16).pick(None)[0] == "train"
