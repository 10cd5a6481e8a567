"""Heatmaps on tensors are those on arrays."""

import numpy as np
import pytest
import torch

from img2img.vision import heatmaps
from img2img.vision.heatmap_tensors import draw, joined, known, least_squares, soft_argmax

torch.set_num_threads(1)
SIZE = 30, 37


def _points() -> torch.Tensor:
    points = torch.rand(2, 20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = points * torch.tensor([42.0, 35.0]) - 3  # some beyond the border
    points[0, 3], points[1, 5, 0] = torch.nan, torch.nan
    return points


def test_drawn_maps_equal_those_on_arrays() -> None:
    points = _points()
    maps = draw(points, SIZE, 1.6)
    for one, expected in zip(maps, points.numpy(), strict=True):
        drawn, weights = heatmaps.draw(expected, SIZE, 1.6)
        np.testing.assert_allclose(one.numpy(), drawn, atol=1e-6)
    np.testing.assert_array_equal(known(points)[1].numpy(), weights)
    assert maps[~known(points)].abs().sum() == 0


def test_a_shared_map_has_the_greatest_of_its_points() -> None:
    maps = draw(_points(), SIZE, 1.6)
    shared = joined(maps, [[0, 1, 2], [7]])
    assert shared.shape == (2, 2, *SIZE)
    assert torch.equal(shared[:, 0], maps[:, :3].amax(dim=1))
    assert torch.equal(shared[:, 1], maps[:, 7])


@pytest.mark.parametrize("width", [0.7, 1.0, 1.5])
@pytest.mark.parametrize("sigma", [1.0, 1.5, 3.0])
def test_decoded_points_equal_those_on_arrays(sigma: float, width: float) -> None:
    maps = draw(_points(), SIZE, sigma * width).float()
    maps += 0.03 * torch.randn(maps.shape, generator=torch.Generator().manual_seed(1))
    for on_tensors, on_arrays in (
        (least_squares(maps, sigma), heatmaps.least_squares),
        (soft_argmax(maps), heatmaps.softargmax),
    ):
        for index, one in enumerate(maps):
            expected = on_arrays(one.numpy(), sigma)
            for ours, theirs in zip(on_tensors, expected, strict=True):
                np.testing.assert_allclose(ours[index].numpy(), theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 2)])
def test_the_smallest_maps_have_answers(shape: tuple[int, int]) -> None:
    for fill in (torch.zeros, torch.ones, lambda s: -torch.ones(s)):
        for answer in (least_squares(fill((1, 2, *shape)), 1.5), soft_argmax(fill((1, 2, *shape)))):
            assert all(part.isfinite().all() for part in answer)


def test_soft_argmax_can_be_learned_through() -> None:
    maps = torch.rand(1, 2, 9, 9, requires_grad=True)
    soft_argmax(maps)[0].sum().backward()
    assert maps.grad is not None
    assert maps.grad.abs().sum() > 0
