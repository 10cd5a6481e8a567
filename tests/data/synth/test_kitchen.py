"""The generated kitchens, with exact and plausible classes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from img2img.data.synth.kitchen import PARTS, Kitchens

EGGS = frozenset({"shell", "peeled", "fried"})
N = 60


def drawn(n: int = N, size: int = 96, without: frozenset[str] = frozenset()) -> NDArray[np.uint8]:
    """(n, size, size, 4) of the first pictures of seed 3."""
    kitchens = Kitchens(n, seed=3, size=size, without=without)
    return np.stack([kitchens.pixels(record) for record in kitchens.records])


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    return drawn()


def test_a_sample_holds_a_picture_and_its_classes() -> None:
    kitchens = Kitchens(1, seed=0, size=40)
    pixels = kitchens.pixels(kitchens.records[0])
    sample = kitchens[0]
    assert pixels.shape == (40, 40, kitchens.planes) == (40, 40, 4)
    assert sample.image.shape == (40, 40, 3)
    assert sample.labels["classes"].shape == (40, 40)
    assert pixels.dtype == sample.image.dtype == sample.labels["classes"].dtype == np.uint8
    assert np.array_equal(sample.labels["classes"], pixels[..., 3])


def test_what_is_left_out_changes_the_digest() -> None:
    sets = (frozenset[str](), frozenset({"hands"}), frozenset({"hands", "pans"}))
    digests = {Kitchens(1, seed=0, without=without).records[0].digest for without in sets}
    assert len(digests) == 3


def test_shares_of_the_classes(pictures: NDArray[np.uint8]) -> None:
    classes = pictures[..., 3]
    assert 0.01 < (classes == 1).mean() < 0.15
    assert 0.03 < (classes == 2).mean() < 0.25
    seen = np.stack([(classes == index).any(axis=(1, 2)) for index in (1, 2)])
    assert 0.5 < seen[0].mean() < 0.9
    assert 0.3 < seen[1].mean() < 0.7
    assert 0.03 < (~seen.any(axis=0)).mean() < 0.25


def test_eggs_come_in_all_sizes() -> None:
    """From a few hundredths of the side to half of it."""
    areas = [(Kitchens(1, seed=s, size=64)[0].labels["classes"] == 1).sum() for s in range(80)]
    shares = np.array([area for area in areas if area]) / 64**2
    assert shares.min() < 0.004
    assert shares.max() > 0.15


def test_pictures_differ_in_light(pictures: NDArray[np.uint8]) -> None:
    means = pictures[..., :3].mean(axis=(1, 2, 3))
    assert np.percentile(means, 5) < 75
    assert np.percentile(means, 95) > 140
    assert 70 < means.mean() < 150


@pytest.mark.parametrize("part", PARTS)
def test_every_part_can_be_switched_off(part: str, pictures: NDArray[np.uint8]) -> None:
    less = drawn(12, without=frozenset({part}))
    assert less.shape == pictures[:12].shape
    assert (less != pictures[:12]).any(axis=(1, 2, 3)).any()


def test_without_eggs_no_pixel_is_egg() -> None:
    classes = drawn(20, without=EGGS)[..., 3]
    assert not (classes == 1).any()
    assert (classes == 2).any()


@pytest.mark.parametrize("kind", sorted(EGGS))
def test_each_kind_of_egg_alone(kind: str) -> None:
    classes = drawn(20, 64, without=(EGGS | {"pans"}) - {kind})[..., 3]
    assert set(np.unique(classes)) == {0, 1}


def test_without_pans_no_pixel_is_pan() -> None:
    classes = drawn(20, without=frozenset({"pans"}))[..., 3]
    assert not (classes == 2).any()
    assert (classes == 1).any()


def test_handles_belong_to_their_pans() -> None:
    """From above, a pan with its handle fills less of its bounding box than a disc does."""
    alone = frozenset(PARTS) - {"pans", "handles"}
    plain = alone | {"handles"}
    assert _fill(plain) > _fill(alone) + 0.1


def _fill(without: frozenset[str]) -> float:
    """Mean share of the box around whole single pans that they cover."""
    shares = []
    for mask in drawn(60, 64, without=without)[..., 3] == 2:
        border = mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
        if mask.sum() > 30 and not border:
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            shares.append(mask.sum() / (np.ptp(rows) + 1) / (np.ptp(columns) + 1))
    return float(np.mean(shares))


def test_an_edge_of_the_picture_is_an_edge_of_the_classes() -> None:
    """In a bare kitchen the brightness changes at the classes' borders more than 2 px aside."""
    without = frozenset(PARTS) - {"shell", "pans"}
    steps = {-2: [0.0], 0: [0.0], 2: [0.0]}
    for pixels in drawn(40, 128, without=without).astype(float):
        picture, border = pixels[..., :3].mean(-1), np.diff(pixels[..., 3], axis=1) != 0
        step = np.abs(np.diff(picture, axis=1))
        for shift, found in steps.items():
            found.extend(step[np.roll(border, shift, axis=1)])
    aside, at, other = (np.mean(found) for found in steps.values())
    assert at > 2 * max(aside, other)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(ValueError, match="camera"):
        Kitchens(1, seed=0, without=frozenset({"cameras"}))
