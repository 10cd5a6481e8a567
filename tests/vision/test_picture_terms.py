"""Sums of losses of pictures, from text to scalar."""

import pytest
import torch

from img2img.errors import UsageError
from img2img.vision.image_losses import PICTURE_LOSSES
from img2img.vision.loss_sums import PICTURE_LOSS_NAMES, parse_picture_losses
from img2img.vision.picture_terms import picture_terms


def test_names_are_those_there_are() -> None:
    assert set(PICTURE_LOSS_NAMES) == {"l1", "mse", *PICTURE_LOSSES}


def test_sums_are_read() -> None:
    assert parse_picture_losses("l1") == {"l1": 1}
    assert parse_picture_losses("l1+0.2*ms-ssim + .5 * gradient") == {
        "l1": 1, "ms-ssim": 0.2, "gradient": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "write a sum such as l1"),
        ("l1+", "write a sum"),
        ("0*l1", "write a sum"),
        ("l1*2", "write a sum"),
        ("-1*l1", "write a sum"),
        ("l1+l1", "twice"),
        ("charboner", "did you mean 'charbonnier'"),
    ],
)
def test_other_texts_are_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parse_picture_losses(text)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PICTURE_LOSS_NAMES)
def test_every_loss_is_zero_at_the_truth_and_has_a_slope(name: str, channels: int) -> None:
    truth = torch.randint(0, 256, (2, 24, 24, channels), dtype=torch.uint8)
    maps = (truth.permute(0, 3, 1, 2) / 255).requires_grad_()
    objective = picture_terms(f"2*{name}", target="target")
    assert float(objective(maps, {"target": truth})[name].detach()) == pytest.approx(0, abs=1e-5)
    off = (maps * 0.8).detach().requires_grad_()
    loss = objective(off, {"target": truth})[name]
    loss.backward()
    assert float(loss.detach()) > 0
    assert off.grad is not None
    assert off.grad.abs().sum() > 0
    once = picture_terms(name, target="target")(off, {"target": truth})[name]
    assert float(loss.detach()) == pytest.approx(2 * float(once.detach()))
