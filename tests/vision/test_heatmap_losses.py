"""Losses of points: known values, missing points, precision, and where their minimum lies."""

import math

import pytest
import torch
from torch import Tensor

from img2img.errors import UsageError
from img2img.models.point_heads import PointHead
from img2img.vision.heatmap_losses import (
    COORDINATE_LOSSES,
    HEATMAP_LOSSES,
    AdaptiveWingLoss,
    CoordinateL1,
    KlLoss,
    MseLoss,
    SoftArgmaxLoss,
    WingLoss,
    from_unit,
    to_unit,
)
from img2img.vision.heatmap_tensors import draw
from img2img.vision.heatmaps import to_cells

torch.set_num_threads(1)
SIZE = 16, 20
STRIDE, SIGMA = 4, 1.5


def _batch(*, missing: bool = True) -> dict[str, Tensor]:
    points = torch.tensor([[[30.0, 22.0], [41.5, 30.25]], [[20.0, 38.0], [60.0, 27.0]]])
    if missing:
        points[1, 0, 1] = torch.nan
    return {"points": points}


def _maps(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 2, *SIZE, generator=generator, requires_grad=True)


def _heatmap_loss(name: str) -> torch.nn.Module:
    return HEATMAP_LOSSES[name]("points", sigma=SIGMA, stride=STRIDE)


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_maps_of_missing_points_count_for_nothing(name: str) -> None:
    maps, batch = _maps(), _batch()
    loss = _heatmap_loss(name)(maps, batch)
    loss.backward()
    assert maps.grad is not None
    assert not maps.grad[1, 0].any()
    assert (maps.grad.abs().sum(dim=(2, 3)) > 0).tolist() == [[True, True], [False, True]]
    other = maps.detach().clone()
    other[1, 0] += 7 * torch.randn(SIZE)
    assert _heatmap_loss(name)(other, batch).item() == pytest.approx(loss.item(), abs=1e-6)


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_a_batch_without_points_costs_nothing_and_keeps_its_graph(name: str) -> None:
    maps = _maps()
    loss = _heatmap_loss(name)(maps, {"points": torch.full((2, 2, 2), torch.nan)})
    loss.backward()
    assert loss.item() == 0
    assert maps.grad is not None
    assert not maps.grad.any()


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_half_precision_is_summed_in_single(name: str) -> None:
    maps = _maps().detach()
    loss = _heatmap_loss(name)(maps.bfloat16(), _batch())
    assert loss.dtype == torch.float32
    expected = _heatmap_loss(name)(maps.bfloat16().float(), _batch())
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_what_costs_least_shows_the_points(name: str) -> None:
    loss, batch = _heatmap_loss(name), _batch(missing=False)
    maps = torch.zeros(2, 2, *SIZE, requires_grad=True)
    optimizer = torch.optim.Adam([maps], lr=0.2)
    for step in range(150):
        optimizer.param_groups[0]["lr"] = 0.2 * (1 - step / 150)
        optimizer.zero_grad()
        loss(maps, batch).backward()
        optimizer.step()
    head = PointHead(2, sigma=SIGMA, activation=loss.activation, stride=STRIDE,
                     decoder="softargmax" if name == "softargmax" else "least_squares")  # fmt: skip
    found = head(maps.detach())["points"]
    torch.testing.assert_close(found, batch["points"], atol=0.4, rtol=0)


@pytest.mark.parametrize("name", ["mse", "bce", "kl", "awing"])
def test_points_may_share_a_map(name: str) -> None:
    loss = HEATMAP_LOSSES[name]("points", sigma=SIGMA, stride=STRIDE, groups=[[0, 1]])
    drawn = draw(to_cells(_batch(missing=False)["points"], STRIDE), SIZE, SIGMA)
    shared = drawn.amax(dim=1, keepdim=True)
    right = {"bce": shared.clamp(1e-5, 1 - 1e-5).logit(), "kl": shared.clamp(min=1e-9).log()}
    best = right.get(name, shared).requires_grad_()
    loss(best, _batch(missing=False)).backward()
    assert best.grad is not None
    assert best.grad.abs().max() < 1e-3
    # A map with one unknown point among its points is unknown.
    one = loss(shared, _batch()), loss(shared[:1], {"points": _batch()["points"][:1]})
    assert one[0].item() == pytest.approx(one[1].item())


def test_a_point_for_every_map_is_needed_for_its_expectation() -> None:
    with pytest.raises(UsageError, match="a map for every point"):
        SoftArgmaxLoss("points", sigma=1.5, groups=[[0, 1]])


def test_kl_is_a_divergence() -> None:
    truth = draw(to_cells(_batch(missing=False)["points"], STRIDE), SIZE, SIGMA)
    loss = KlLoss("points", sigma=SIGMA, stride=STRIDE)
    assert loss(truth.clamp(min=1e-30).log() + 5, _batch(missing=False)).item() < 1e-5
    flat = loss(torch.zeros(2, 2, *SIZE), _batch(missing=False)).item()
    entropy = math.log(2 * math.pi * math.e * SIGMA**2)
    assert flat == pytest.approx(math.log(SIZE[0] * SIZE[1]) - entropy, abs=0.02)


def test_a_point_far_outside_has_no_distribution() -> None:
    batch = {"points": torch.tensor([[[30.0, 22.0], [500.0, 30.0]]])}
    maps = torch.randn(1, 2, *SIZE, requires_grad=True)
    KlLoss("points", sigma=SIGMA, stride=STRIDE)(maps, batch).backward()
    assert maps.grad is not None
    assert not maps.grad[0, 1].any()
    assert SoftArgmaxLoss("points", sigma=SIGMA, stride=STRIDE)(maps, batch).isfinite()


def test_the_spread_term_prefers_the_gaussian_s_width() -> None:
    batch = _batch(missing=False)
    loss = SoftArgmaxLoss("points", sigma=SIGMA, stride=STRIDE)
    costs = [
        loss(draw(to_cells(batch["points"], STRIDE), SIZE, width).log().clamp(min=-60), batch)
        for width in (0.8, SIGMA, 2.5)
    ]
    assert costs[1] < costs[0]
    assert costs[1] < costs[2]


def test_soft_argmax_measures_distance_in_halves_of_the_map() -> None:
    loss = SoftArgmaxLoss("points", sigma=SIGMA)
    costs = []
    for column in (14, 19):
        maps = torch.full((1, 1, *SIZE), -100.0)
        maps[0, 0, 8, column] = 0
        costs.append(loss(maps, {"points": torch.tensor([[[3.0, 8.0]]])}).item())
    # Both spots are as far from the Gaussian as can be: what differs is the distance.
    assert costs[1] - costs[0] == pytest.approx(5 * 2 / SIZE[1], abs=1e-4)


def test_adaptive_wing_is_as_in_the_paper() -> None:
    """Its equation 3, one cell at a time, with the weights of its equation 5."""
    batch = {"points": torch.tensor([[[6.0, 7.0]]])}
    maps = torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(0)) * 1.6
    truth = draw(batch["points"], SIZE, SIGMA)[0, 0]
    total = 0.0
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            power = 2.1 - float(truth[y, x])
            error = abs(float(maps[0, 0, y, x] - truth[y, x]))
            slope = 14 * (1 / (1 + 0.5**power)) * power * 0.5 ** (power - 1)
            offset = 0.5 * slope - 14 * math.log(1 + 0.5**power)
            cost = 14 * math.log(1 + error**power) if error < 0.5 else slope * error - offset
            near = truth[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].max() >= 0.2
            total += cost * (11 if near else 1)
    ours = AdaptiveWingLoss("points", sigma=SIGMA)(maps, batch).item()
    assert ours == pytest.approx(total / (SIZE[0] * SIZE[1]), rel=1e-4)


def test_mse_of_an_empty_map_is_the_mean_square_of_the_gaussian() -> None:
    loss = MseLoss("points", sigma=SIGMA, stride=STRIDE)
    expected = math.pi * SIGMA**2 / (SIZE[0] * SIZE[1])
    assert loss(torch.zeros(2, 2, *SIZE), _batch(missing=False)).item() == pytest.approx(
        expected, rel=1e-3
    )


# ---- coordinates


@pytest.mark.parametrize("shape", [(2, 2, 2), (2, 4), (2, 4, 1, 1)])
@pytest.mark.parametrize("name", COORDINATE_LOSSES)
def test_missing_points_cost_nothing_in_any_layout(name: str, shape: tuple[int, ...]) -> None:
    loss = COORDINATE_LOSSES[name]("points", size_px=(80, 64))
    values = torch.full(shape, 0.3, requires_grad=True)
    loss(values, _batch()).backward()
    assert values.grad is not None
    moved = (values.grad.reshape(2, 2, 2) != 0).all(dim=-1)
    assert moved.tolist() == [[True, True], [False, True]]
    assert not values.grad.reshape(2, 2, 2)[1, 0].any()
    right = to_unit(_batch()["points"], torch.tensor([80.0, 64.0])).nan_to_num(5).reshape(shape)
    assert loss(right, _batch()).item() == pytest.approx(0, abs=1e-7)
    nothing = loss(values, {"points": torch.full((2, 2, 2), torch.nan)})
    assert nothing.item() == 0


def test_wing_is_as_in_the_paper_in_pixels_of_256() -> None:
    points = torch.tensor([[[100.0, 100.0]]])
    wing = WingLoss("points", size_px=(256, 256))
    for error_px in (0.5, 5.0, 9.9, 10.1, 40.0):
        values = to_unit(points + error_px, torch.tensor([256.0, 256.0]))
        inner = 10 * math.log(1 + min(error_px, 10) / 2)
        expected = inner + max(0.0, error_px - 10)
        assert wing(values, {"points": points}).item() * 128 == pytest.approx(expected, rel=1e-4)


def test_l1_is_in_halves_of_the_side() -> None:
    points = torch.tensor([[[10.0, 10.0]]])
    size = torch.tensor([40.0, 20.0])
    values = to_unit(points + torch.tensor([4.0, 1.0]), size)
    loss = CoordinateL1("points", size_px=(40, 20))(values, {"points": points})
    assert loss.item() == pytest.approx((4 / 20 + 1 / 10) / 2)


def test_the_unit_frame_runs_from_edge_to_edge() -> None:
    size = torch.tensor([40.0, 20.0])
    edges = torch.tensor([[-0.5, -0.5], [39.5, 19.5], [19.5, 9.5]])
    expected = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]])
    torch.testing.assert_close(to_unit(edges, size), expected)
    torch.testing.assert_close(from_unit(expected, size), edges)
