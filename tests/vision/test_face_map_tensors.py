"""Losses of a finder's maps."""

import numpy as np
import pytest
import torch
from torch import Tensor

from img2img.vision.face_map_tensors import CentreLoss, PlaceLoss
from img2img.vision.face_maps import encoded

FACES = np.array([[30.0, 40.0, 40.0, 0.0], [90.0, 44.0, 24.0, 0.5]])


def batch() -> dict[str, Tensor]:
    maps = encoded(FACES, (12, 16), 8, sides=(10, 200))
    return {name: torch.from_numpy(array)[None] for name, array in maps.items()}


def perfect(truth: dict[str, Tensor]) -> Tensor:
    logits = torch.where(truth["heat"] == 1, 20.0, -20.0)
    return torch.cat([logits[:, None], truth["place"]], dim=1)


def test_perfect_maps_cost_nothing() -> None:
    truth = batch()
    for loss in (CentreLoss(), PlaceLoss((0, 1), soft=0.2), PlaceLoss((2,), soft=0.1)):
        assert float(loss(perfect(truth), truth)) == pytest.approx(0, abs=1e-6)


def test_the_loss_of_centres_is_that_of_the_paper() -> None:
    truth = {"heat": torch.tensor([[[1.0, 0.5, 0.0]]]), "known": torch.ones(1, 1, 3)}
    maps = torch.zeros(1, 6, 1, 3)  # a probability of one half everywhere
    terms = 0.25 + 0.5**4 * 0.25 + 0.25
    assert float(CentreLoss()(maps, truth)) == pytest.approx(terms * np.log(2))


def test_what_is_not_known_costs_nothing() -> None:
    truth = batch()
    maps = perfect(truth)
    maps[0, 0, 1, 9] = 30  # a false face
    assert float(CentreLoss()(maps, truth)) > 1
    truth["known"][0, 1, 9] = 0
    assert float(CentreLoss()(maps, truth)) == pytest.approx(0, abs=1e-6)


def test_only_cells_that_tell_a_place_cost() -> None:
    truth = batch()
    maps = perfect(truth).requires_grad_()
    loss = PlaceLoss((0, 1), soft=0.2)(maps + 1, truth)
    loss.backward()
    assert maps.grad is not None
    moved = maps.grad[0].abs().sum(dim=0) > 0
    assert torch.equal(moved, truth["told"][0] > 0)
    assert not maps.grad[0, 3:].any()
    assert float(loss.detach()) == pytest.approx(2 * (1 - 0.2 / 2), rel=1e-5)


def test_a_batch_without_faces_has_a_loss() -> None:
    maps = encoded(np.zeros((0, 4)), (4, 4), 8, sides=(10, 200))
    empty = {name: torch.from_numpy(array)[None] for name, array in maps.items()}
    answers = torch.zeros(1, 6, 4, 4)
    assert float(CentreLoss()(answers, empty)) == pytest.approx(16 * 0.25 * np.log(2))
    assert float(PlaceLoss((0,), soft=0.1)(answers, empty)) == 0
