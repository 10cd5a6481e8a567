"""What both sides of an adversarial objective minimise, and whose gradient is whose."""

import pytest
import torch
from torch import Tensor

from img2img.models.discriminator import PatchDiscriminator
from img2img.models.opponent import Opposed, Rules
from img2img.vision.adversarial import GanLoss
from img2img.vision.losses import ClippedLoss, Terms


def opposed(*, weight: float = 1.0, features: float = 0.0) -> Opposed:
    torch.manual_seed(0)
    opponent = PatchDiscriminator(1, width=4, n_layers=1)
    terms = Terms(l1=ClippedLoss("target", 1), weights={"l1": 100.0})
    rules = Rules(loss=GanLoss(), weight=weight)
    return Opposed(terms, opponent, rules, target="target", features=features)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    torch.manual_seed(1)
    image = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8)
    return {"image": image, "target": 255 * torch.rand(2, 16, 16, 1)}


def test_the_network_gets_its_gradient_through_an_opponent_that_gets_none(
    batch: dict[str, Tensor],
) -> None:
    objective = opposed(features=2.0)
    maps = torch.full((2, 1, 16, 16), 0.5, requires_grad=True)
    losses = objective(maps, batch)
    assert losses.keys() == {"l1", "gan", "features"}
    (losses["gan"] + losses["features"]).backward()
    assert maps.grad is not None
    assert float(maps.grad.abs().max()) > 0
    assert all(p.grad is None for p in objective.opponent.parameters())


def test_the_opponent_gets_a_gradient_of_its_own(batch: dict[str, Tensor]) -> None:
    objective = opposed()
    maps = torch.full((2, 1, 16, 16), 0.5)
    objective(maps, batch)
    judged = objective.judge(maps, batch)
    judged["discriminator"].backward()
    assert all(p.grad is not None for p in objective.opponent.parameters())
    assert not judged["discriminator_accuracy"].requires_grad
    assert float(judged["spread"]) < 0.05


def test_the_opponent_learns_to_tell_flat_answers_from_truths(batch: dict[str, Tensor]) -> None:
    objective = opposed()
    maps = torch.full((2, 1, 16, 16), 0.5)
    optimizer = torch.optim.Adam(objective.opponent.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        judged = objective.judge(maps, batch)
        judged["discriminator"].backward()
        optimizer.step()
    assert float(judged["discriminator_accuracy"]) > 0.95
    assert float(objective(maps, batch)["gan"].detach()) > 0.5


def test_weights_multiply(batch: dict[str, Tensor]) -> None:
    maps = torch.full((2, 1, 16, 16), 0.5)
    one, two = opposed()(maps, batch), opposed(weight=3.0)(maps, batch)
    torch.testing.assert_close(3 * one["gan"], two["gan"])
    plain = ClippedLoss("target", 1)(maps, batch)
    torch.testing.assert_close(one["l1"], 100 * plain)


def test_answers_beyond_the_limits_are_judged_as_they_will_be_clipped(
    batch: dict[str, Tensor],
) -> None:
    objective = opposed()
    wild = torch.full((2, 1, 16, 16), 7.0)
    torch.testing.assert_close(
        objective(wild, batch)["gan"], objective(wild.clamp(0, 1), batch)["gan"]
    )
