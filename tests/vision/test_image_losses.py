"""Losses of pictures against metrics and torchmetrics, at limits, borders and half precision."""

import numpy as np
import pytest
import torch
from torch import Tensor

from img2img.errors import UsageError
from img2img.vision.image_losses import (
    PICTURE_LOSSES,
    CharbonnierLoss,
    GradientLoss,
    MsSsimLoss,
    PictureLoss,
    SsimLoss,
    similarity_maps,
)
from img2img.vision.metrics import structural_similarity

torch.set_num_threads(1)


def _pair(
    *shape: int, noise: float = 0.2, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, dict[str, Tensor]]:
    """Maps (B, C, H, W) in 0…1 and a batch with their truth, never at a limit."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(shape, generator=generator, dtype=dtype) * 0.8 + 0.1
    maps = truth + noise * torch.randn(shape, generator=generator, dtype=dtype)
    return maps.requires_grad_(), {"target": 255 * truth.permute(0, 2, 3, 1)}


def _loss(name: str) -> PictureLoss:
    return PICTURE_LOSSES[name]("target")


@pytest.mark.parametrize("name", PICTURE_LOSSES)
def test_equal_pictures_cost_nothing_and_others_do(name: str) -> None:
    maps, batch = _pair(2, 3, 24, 30)
    equal = batch["target"].permute(0, 3, 1, 2) / 255
    assert _loss(name)(equal, batch).item() == pytest.approx(0, abs=1e-6)
    loss = _loss(name)(maps, batch)
    assert loss.ndim == 0
    assert loss > 0.01
    loss.backward()
    assert torch.isfinite(maps.grad).all()
    assert maps.grad.any()


@pytest.mark.parametrize("name", PICTURE_LOSSES)
def test_beyond_a_limit_of_the_truth_nothing_costs(name: str) -> None:
    maps = torch.tensor([1.4, -0.3]).view(1, 1, 2, 1).repeat(1, 1, 12, 24).requires_grad_()
    batch = {"target": torch.tensor([255.0, 0.0]).view(1, 2, 1, 1).repeat(1, 12, 24, 1)}
    _loss(name)(maps, batch).backward()
    assert _loss(name)(maps, batch).item() == pytest.approx(0, abs=1e-6)
    assert not maps.grad.any()
    wrong = torch.flip(maps.detach(), [2]).requires_grad_()
    _loss(name)(wrong, batch).backward()
    assert wrong.grad.any()


@pytest.mark.parametrize("name", PICTURE_LOSSES)
@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_half_precision_changes_nothing_but_the_maps(name: str, precision: torch.dtype) -> None:
    maps, batch = _pair(1, 2, 24, 24, noise=0.02)
    half = maps.detach().to(precision)
    with torch.autocast("cpu", torch.bfloat16):
        loss = _loss(name)(half, batch)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(_loss(name)(half.float(), batch).item(), rel=1e-5)


@pytest.mark.parametrize("name", PICTURE_LOSSES)
def test_steps_against_the_gradient_lead_to_the_truth(name: str) -> None:
    maps, batch = _pair(1, 1, 24, 24)
    optimizer = torch.optim.Adam([maps], lr=0.01)
    first = _loss(name)(maps, batch).item()
    for _ in range(100):
        optimizer.zero_grad()
        loss = _loss(name)(maps, batch)
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 10


def test_bytes_will_do_for_the_truth() -> None:
    maps, _ = _pair(1, 1, 12, 12)
    truth = torch.randint(1, 255, (1, 12, 12, 1), dtype=torch.uint8)
    for name in PICTURE_LOSSES:
        expected = _loss(name)(maps, {"target": truth.float()})
        assert torch.equal(_loss(name)(maps, {"target": truth}), expected)


def test_charbonnier_is_its_formula() -> None:
    batch = {"target": torch.full((1, 1, 2, 1), 127.5)}
    maps = torch.tensor([0.5, 0.9]).view(1, 1, 1, 2)
    expected = (0.0 + (0.4**2 + 0.01) ** 0.5 - 0.1) / 2
    assert CharbonnierLoss("target", epsilon=0.1)(maps, batch).item() == pytest.approx(expected)


def test_gradient_is_its_formula_and_blind_to_an_offset() -> None:
    truth = torch.tensor([[0.2, 0.4, 0.4], [0.2, 0.4, 0.9]])
    answer = torch.tensor([[0.2, 0.3, 0.4], [0.2, 0.4, 0.4]])
    batch = {"target": 255 * truth.view(1, 2, 3, 1)}
    loss = GradientLoss("target")
    across, down = (0.1 + 0.1 + 0.0 + 0.5) / 4, (0.0 + 0.1 + 0.5) / 3
    assert loss(answer.view(1, 1, 2, 3), batch).item() == pytest.approx(across + down)
    assert loss(truth.view(1, 1, 2, 3) + 0.05, batch).item() == pytest.approx(0, abs=1e-6)
    thin = {"target": batch["target"][:, :1, :1]}
    assert loss(torch.zeros(1, 1, 1, 1), thin).item() == 0


@pytest.mark.parametrize("size", [(6, 6), (40, 53)])
def test_ssim_is_what_evaluations_measure(size: tuple[int, int]) -> None:
    maps, batch = _pair(2, 3, *size, dtype=torch.float64)
    ours = SsimLoss("target")(maps, batch).item()
    answers = (255 * maps.detach()).flatten(0, 1).numpy()
    truths = batch["target"].permute(0, 3, 1, 2).flatten(0, 1).numpy()
    planes = zip(answers, truths, strict=True)
    measured = np.mean([structural_similarity(a, b) for a, b in planes])
    assert ours == pytest.approx(1 - measured, abs=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_similarity_is_torchmetrics() -> None:
    from torchmetrics.functional.image import structural_similarity_index_measure as reference

    maps, batch = _pair(1, 2, 40, 53, dtype=torch.float64)
    answer, truth = maps.detach(), batch["target"].permute(0, 3, 1, 2) / 255
    similarity, contrast = reference(
        answer, truth, data_range=1.0, return_contrast_sensitivity=True
    )
    luminance, structure = similarity_maps(answer, truth)
    assert (luminance * structure).mean().item() == pytest.approx(similarity.item(), abs=1e-9)
    # Its contrast leaves the border out.
    inner = structure[..., 5:-5, 5:-5].mean().item()
    assert inner == pytest.approx(contrast.mean().item(), abs=1e-9)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_ms_ssim_is_torchmetrics_but_for_borders(noise: float) -> None:
    from torchmetrics.functional.image import (
        multiscale_structural_similarity_index_measure as reference,
    )

    maps, batch = _pair(2, 1, 352, 352, noise=noise)
    truth = batch["target"].permute(0, 3, 1, 2) / 255
    expected = 1 - reference(maps.detach(), truth, data_range=1.0).item()
    assert MsSsimLoss("target")(maps, batch).item() == pytest.approx(expected, rel=0.03)


def test_small_pictures_leave_coarse_scales_out() -> None:
    maps, batch = _pair(1, 1, 21, 64)
    ours, single = (PICTURE_LOSSES[name]("target")(maps, batch) for name in ("ms-ssim", "ssim"))
    torch.testing.assert_close(ours, single)
    maps, batch = _pair(1, 1, 22, 64)
    ours, single = (PICTURE_LOSSES[name]("target")(maps, batch) for name in ("ms-ssim", "ssim"))
    assert abs(ours - single) > 1e-3


def test_pictures_without_room_for_a_window_are_refused() -> None:
    for name in ("ssim", "ms-ssim"):
        maps, batch = _pair(1, 1, 5, 40)
        with pytest.raises(UsageError, match="at least 6 pixels a side, not 5×40"):
            _loss(name)(maps, batch)


def test_opposites_have_a_finite_slope() -> None:
    _, batch = _pair(1, 1, 32, 32)
    opposite = (1 - batch["target"].permute(0, 3, 1, 2) / 255).requires_grad_()
    loss = MsSsimLoss("target")(opposite, batch)
    loss.backward()
    assert 0.9 < loss.item() <= 1
    assert torch.isfinite(opposite.grad).all()
