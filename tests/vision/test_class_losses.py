"""Losses of classes: known values, ignored pixels, precision, and their grammar."""

import pytest
import torch
from torch import Tensor

from img2img.errors import UsageError
from img2img.vision.losses import (
    CLASS_LOSSES,
    ClassLoss,
    CrossEntropy,
    DiceLoss,
    FocalLoss,
    LovaszLoss,
    PseudoLabelLoss,
    Terms,
    class_terms,
)

WEIGHTS = (1.0, 2.0, 5.0)


def _loss(name: str) -> ClassLoss:
    if name == "weighted-ce":
        return CrossEntropy("classes", WEIGHTS)
    return CLASS_LOSSES[name]("classes")


def _batch(seed: int = 0, *, ignored: bool = True) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, 3, 6, 7, generator=generator, requires_grad=True)
    classes = torch.randint(0, 3, (2, 6, 7), generator=generator, dtype=torch.uint8)
    if ignored:
        classes[torch.rand(classes.shape, generator=generator) < 0.3] = 255
    return maps, {"classes": classes}


def _one_hot(classes: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(classes.long(), 3).movedim(-1, 1).float()


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_ignored_pixels_count_for_nothing(name: str) -> None:
    maps, batch = _batch()
    _loss(name)(maps, batch).backward()
    ignored = (batch["classes"] == 255)[:, None].expand_as(maps)
    assert maps.grad is not None
    assert not maps.grad[ignored].any()
    assert maps.grad[~ignored].abs().sum() > 0
    other = torch.where(ignored, 9 * torch.randn_like(maps), maps)
    assert _loss(name)(other, batch).item() == pytest.approx(
        _loss(name)(maps, batch).item(), abs=1e-6
    )


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_a_batch_without_labels_costs_nothing_and_keeps_its_graph(name: str) -> None:
    maps, batch = _batch()
    batch["classes"].fill_(255)
    loss = _loss(name)(maps, batch)
    loss.backward()
    assert loss == 0
    assert maps.grad is not None
    assert not maps.grad.any()


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_right_scores_cost_nothing_and_wrong_ones_much(name: str) -> None:
    _, batch = _batch(ignored=False)
    right = 30 * _one_hot(batch["classes"])
    assert _loss(name)(right, batch).item() == pytest.approx(0, abs=1e-5)
    assert _loss(name)(-right, batch) > 0.9


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_half_precision_is_finite_and_computed_in_float32(name: str, kind: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    sharp = (1000 * torch.randn(1, 3, 300, 300, generator=generator)).to(kind).requires_grad_()
    batch = {"classes": torch.randint(0, 3, (1, 300, 300), generator=generator)}
    with torch.autocast("cpu", torch.bfloat16):
        loss = _loss(name)(sharp, batch)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(_loss(name)(sharp.float(), batch).item(), rel=1e-6)
    loss.backward()
    assert sharp.grad is not None
    assert sharp.grad.isfinite().all()


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    maps, batch = _batch()
    assert torch.autograd.gradcheck(_loss(name), (maps.detach().double().requires_grad_(), batch))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropy_equals_torch_s(weights: tuple[float, ...] | None) -> None:
    maps, batch = _batch()
    theirs = torch.nn.functional.cross_entropy(
        maps,
        batch["classes"].long(),
        None if weights is None else torch.tensor(weights),
        ignore_index=255,
    )
    assert CrossEntropy("classes", weights)(maps, batch).item() == pytest.approx(
        theirs.item(), rel=1e-6
    )


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    maps, batch = _batch()
    plain = CrossEntropy("classes")(maps, batch).item()
    assert FocalLoss("classes", gamma=0)(maps, batch).item() == pytest.approx(plain, rel=1e-6)
    assert FocalLoss("classes")(maps, batch) < plain


@pytest.mark.filterwarnings("ignore")
def test_dice_and_lovasz_equal_segmentation_models_pytorch_s() -> None:
    from segmentation_models_pytorch.losses import DiceLoss as TheirDice
    from segmentation_models_pytorch.losses import LovaszLoss as TheirLovasz

    for seed in range(5):
        maps, batch = _batch(seed)
        if seed > 2:  # a class that lacks: theirs counts it in Dice's mean, ours does not
            batch["classes"][batch["classes"] == 1] = 0
        present = len(set(batch["classes"].unique().tolist()) - {255})
        truth = batch["classes"].long()
        dice = TheirDice("multiclass", ignore_index=255)(maps, truth) * 3 / present
        lovasz = TheirLovasz("multiclass", ignore_index=255)(maps, truth)
        assert DiceLoss("classes")(maps, batch).item() == pytest.approx(dice.item(), rel=1e-5)
        assert LovaszLoss("classes")(maps, batch).item() == pytest.approx(lovasz.item(), rel=1e-5)


def test_lovasz_of_hard_answers_is_one_minus_iou() -> None:
    _, batch = _batch(1)
    answer = torch.randint(0, 3, (2, 6, 7), generator=torch.Generator().manual_seed(5))
    known = batch["classes"] != 255
    ious = []
    for index in range(3):
        a, b = (answer == index) & known, batch["classes"] == index
        ious.append(((a & b).sum() / (a | b).sum()).item())
    loss = LovaszLoss("classes")(60 * _one_hot(answer), batch)
    assert loss.item() == pytest.approx(1 - sum(ious) / 3, abs=1e-5)


def _pseudo_batch() -> tuple[Tensor, dict[str, Tensor]]:
    """Four pixels: labelled, padding, sure teacher, unsure teacher."""
    classes = torch.tensor([[[0, 255, 255, 255]]], dtype=torch.uint8)
    inside = torch.tensor([[[True, False, True, True]]])
    teacher = torch.tensor([[9.0, 9, 9, 1], [0, 0, 0, 0.9]]).view(1, 2, 1, 4)
    maps = torch.zeros(1, 2, 1, 4, requires_grad=True)
    return maps, {"classes": classes, "inside": inside, "teacher": teacher}


def test_pseudo_labels_are_what_a_sure_teacher_says_of_unlabelled_pixels() -> None:
    maps, batch = _pseudo_batch()
    loss = PseudoLabelLoss("classes", confidence=0.9)(maps, batch)
    # The one sure pixel costs ln 2, times one chosen of two candidates.
    assert loss.item() == pytest.approx(0.5 * torch.tensor(2.0).log().item())
    loss.backward()
    assert maps.grad is not None
    assert maps.grad[0, :, 0].abs().sum(dim=0).gt(0).tolist() == [False, False, True, False]
    assert maps.grad[0, 0, 0, 2] < 0  # up with the teacher's class


@pytest.mark.parametrize("nobody", ["unsure", "labelled", "padding"])
def test_pseudo_labels_of_nothing_cost_nothing_and_keep_the_graph(nobody: str) -> None:
    maps, batch = _pseudo_batch()
    if nobody == "unsure":
        batch["teacher"].zero_()
    elif nobody == "labelled":
        batch["classes"].zero_()
    else:
        batch["inside"].zero_()
        batch["teacher"][..., 1:] = torch.nan
    loss = PseudoLabelLoss("classes", confidence=0.9)(maps, batch)
    loss.backward()
    assert loss == 0
    assert maps.grad is not None
    assert not maps.grad.any()


def test_pseudo_labels_in_half_precision() -> None:
    maps, batch = _pseudo_batch()
    batch["teacher"] = (6000 * batch["teacher"]).half()
    with torch.autocast("cpu", torch.bfloat16):
        loss = PseudoLabelLoss("classes", confidence=0.9)(maps.half(), batch)
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert loss > 0


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("ce", {"ce": 1}),
        ("ce+dice", {"ce": 1, "dice": 1}),
        ("0.5*focal+lovasz", {"focal": 0.5, "lovasz": 1}),
        (" 2 * weighted-ce + .25*dice ", {"weighted-ce": 2, "dice": 0.25}),
    ],
)
def test_sums_of_losses(text: str, weights: dict[str, float]) -> None:
    maps, batch = _batch()
    losses = class_terms(text, target="classes", class_weights=WEIGHTS)(maps, batch)
    expected = {name: w * _loss(name)(maps, batch).item() for name, w in weights.items()}
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dise", "did you mean 'dice'"),
        ("CE", "choose from"),
        ("", "write a sum"),
        ("ce+", "write a sum"),
        ("0*ce", "write a sum"),
        ("-1*ce", "write a sum"),
        ("1.2.3*ce", "write a sum"),
        ("ce-dice", "unknown loss"),
        ("ce+ce", "twice"),
        ("ce+weighted-ce", "weights of the classes"),
    ],
)
def test_what_is_no_sum_of_losses_is_told(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        class_terms(text, target="classes")


def test_terms_are_weighted_one_by_default() -> None:
    maps, batch = _batch()
    plain = CrossEntropy("classes")(maps, batch).item()
    terms = Terms(weights={"b": 3.0}, a=CrossEntropy("classes"), b=CrossEntropy("classes"))
    assert {k: v.item() for k, v in terms(maps, batch).items()} == pytest.approx(
        {"a": plain, "b": 3 * plain}
    )
