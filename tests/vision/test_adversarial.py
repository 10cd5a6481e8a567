"""Losses of two players: known values, whose gradient goes where, and collapses named once."""

import json
import math
from dataclasses import asdict

import pytest
import torch
from torch import Tensor

from img2img.vision.adversarial import CollapseWatch, GanLoss, feature_matching, relative_spread

KINDS = ("least-squares", "vanilla")


def _logits(value: float) -> Tensor:
    return torch.full((2, 1, 3, 4), value)


def _cross_entropy(logit: float, target: float) -> float:
    p = 1 / (1 + math.exp(-logit))
    return -target * math.log(p) - (1 - target) * math.log(1 - p)


def test_values_are_the_formulas() -> None:
    real, fake = _logits(0.7), _logits(-0.2)
    squares, entropy = GanLoss(), GanLoss(kind="vanilla", smoothing=0.1)
    assert squares.of_opponent(real, fake).item() == pytest.approx((0.3**2 + 0.2**2) / 2)
    assert squares.of_network(fake).item() == pytest.approx(1.2**2)
    expected = (_cross_entropy(0.7, 0.9) + _cross_entropy(-0.2, 0.0)) / 2
    assert entropy.of_opponent(real, fake).item() == pytest.approx(expected)
    # Smoothing is one-sided, and the opponent's alone.
    assert entropy.of_network(fake).item() == pytest.approx(_cross_entropy(-0.2, 1.0))


@pytest.mark.parametrize("kind", KINDS)
def test_the_players_pull_logits_in_opposite_directions(kind: str) -> None:
    loss = GanLoss(kind=kind)
    real, fake = _logits(0.4).requires_grad_(), _logits(0.4).requires_grad_()
    loss.of_opponent(real, fake).backward()
    assert (real.grad < 0).all()
    assert (fake.grad > 0).all()
    fake.grad = None
    loss.of_network(fake).backward()
    assert (fake.grad < 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_losses_are_computed_in_float32_at_least(kind: str, dtype: torch.dtype) -> None:
    logits = _logits(9.0).to(dtype)
    loss = GanLoss(kind=kind).of_opponent(logits, logits)
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert feature_matching([logits], [logits + 1]).dtype == loss.dtype


@pytest.mark.parametrize(("kind", "border"), [("least-squares", 0.5), ("vanilla", 0.0)])
def test_accuracy_is_the_share_judged_right(kind: str, border: float) -> None:
    loss = GanLoss(kind=kind)
    high, low = _logits(border + 0.1), _logits(border - 0.1)
    assert loss.accuracy(high, low) == 1
    assert loss.accuracy(low, high) == 0
    assert loss.accuracy(high, high) == loss.accuracy(low, low) == 0.5
    # A quarter of the truths wrong; more answers than truths count no more.
    mixed = torch.cat([high, high, high, low]).requires_grad_()
    accuracy = loss.accuracy(mixed, torch.cat([low] * 9))
    assert accuracy.item() == pytest.approx(0.875)
    assert not accuracy.requires_grad


def test_features_are_matched_layer_by_layer_and_truths_stand_still() -> None:
    real = [torch.zeros(2, 3, 8, 8), torch.zeros(2, 5, 2, 2)]
    fake = [torch.full_like(real[0], 2.0), torch.full_like(real[1], -1.0)]
    for feature in (*real, *fake):
        feature.requires_grad_()
    loss = feature_matching(real, fake)
    assert loss.item() == pytest.approx(1.5)
    loss.backward()
    assert all(feature.grad is None for feature in real)
    assert (fake[0].grad > 0).all()
    assert (fake[1].grad < 0).all()


def test_the_spread_is_relative_to_the_truths() -> None:
    real = torch.rand(4, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    assert relative_spread(real, real).item() == pytest.approx(1)
    assert relative_spread(real, 0.5 + 0.1 * real).item() == pytest.approx(0.1, abs=0.02)
    flat = torch.full_like(real, 0.3)
    same = real[:1].expand_as(real)
    for fake in (flat, same):
        assert relative_spread(real, fake) < 0.03
    # One picture cannot be compared with others; flat truths ask for nothing.
    assert relative_spread(real[:1], same[:1]).item() == pytest.approx(1)
    assert relative_spread(flat, flat) == 1
    assert relative_spread(flat, real) > 1


def _told(
    watch: CollapseWatch, rows: list[tuple[float, float]], *, spread: float = 1.0
) -> list[tuple[int, str]]:
    """(row, sentence) of every (accuracy, GAN loss) that was remarked on."""
    said = [watch.look(accuracy=a, gan_loss=g, spread=spread) for a, g in rows]
    return [(number, text) for number, text in enumerate(said) if text]


def test_a_discriminator_that_has_won_is_named_once() -> None:
    watch = CollapseWatch(patience=6)
    growing = [(0.995, 0.5 + 0.1 * step) for step in range(15)]
    [(row, text)] = _told(watch, growing)
    assert row == 5
    assert "the discriminator has won" in text
    assert "from 0.5 to 1;" in text
    assert text.count(".") == text.rstrip(".").count(".") + 1
    # It lost once, and wins again.
    [(row, _)] = _told(watch, [(0.7, 0.3), *growing])
    assert row == 6


def test_a_loss_that_stands_still_at_its_limit_is_a_victory_too() -> None:
    """Least squares end at 1 where the opponent is sure of every answer."""
    assert len(_told(CollapseWatch(patience=4), [(1.0, 1.0)] * 9)) == 1


@pytest.mark.parametrize(
    "rows",
    [
        [(0.95, 0.5 + 0.1 * step) for step in range(30)],
        [(1.0, 2 - 0.05 * step) for step in range(30)],
        [(0.9 if step % 5 == 0 else 1.0, 0.5 + 0.1 * step) for step in range(30)],
    ],
    ids=["not always right", "the network gains", "not for long"],
)
def test_a_game_that_goes_on_is_left_alone(rows: list[tuple[float, float]]) -> None:
    assert _told(CollapseWatch(patience=6), rows) == []


def test_answers_that_lost_their_variance_are_named_once() -> None:
    watch = CollapseWatch(patience=3)
    playing = [(0.6, 0.3)] * 8
    [(row, text)] = _told(watch, playing, spread=0.01)
    assert row == 2
    assert "collapsed" in text
    assert _told(watch, playing, spread=0.5) == []
    assert len(_told(watch, playing, spread=0.01)) == 1


def test_a_victory_told_of_late_is_not_lost() -> None:
    """Both collapses at once: one sentence at a time."""
    rows = [(1.0, 1.0)] * 5
    said = _told(CollapseWatch(patience=3), rows, spread=0.0)
    assert [row for row, _ in said] == [2, 3]


@pytest.mark.parametrize("cut", range(12))
def test_the_watch_goes_on_from_json(cut: int) -> None:
    rows = [(1.0, 0.5 + 0.1 * step) for step in range(6)] + [(0.5, 0.2)]
    rows += [(1.0, 0.9)] * 6
    whole = _told(CollapseWatch(patience=4), rows)
    watch = CollapseWatch(patience=4)
    before = _told(watch, rows[:cut])
    again = CollapseWatch(**json.loads(json.dumps(asdict(watch))))
    after = [(cut + row, text) for row, text in _told(again, rows[cut:])]
    assert before + after == whole
    assert len(whole) == 2
