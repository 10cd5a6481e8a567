"""Which pixels without labels an opponent of masks lets the network learn from."""

import pytest
import torch
from torch import Tensor

from img2img.models.discriminator import PatchDiscriminator
from img2img.models.mask_opponent import OpposedMasks, PseudoLabels
from img2img.models.opponent import Rules
from img2img.vision.adversarial import GanLoss
from img2img.vision.classes import IGNORE
from img2img.vision.losses import class_terms

N, SIDE = 3, 16


def opposed(*, believed: float = 0.2, unbelieved_steps: int = 0) -> OpposedMasks:
    torch.manual_seed(0)
    opponent = PatchDiscriminator(N, width=4, n_layers=1, norm="none", n_conditions=0)
    rules = Rules(loss=GanLoss(kind="vanilla"), weight=0.01)
    pseudo = PseudoLabels(weight=1.0, believed=believed, unbelieved_steps=unbelieved_steps)
    terms = class_terms("ce", target="classes")
    return OpposedMasks(terms, opponent, rules, pseudo, target="classes")


@pytest.fixture
def batch() -> dict[str, Tensor]:
    """The first picture is labelled, the second is not; a frame of both is padding."""
    torch.manual_seed(1)
    classes = torch.randint(0, N, (2, SIDE, SIDE), dtype=torch.uint8)
    inside = torch.zeros(2, SIDE, SIDE, dtype=torch.bool)
    inside[:, 2:-2, 2:-2] = True
    classes[~inside] = IGNORE
    classes[1] = IGNORE
    teacher = torch.randn(2, N, SIDE, SIDE)
    labelled = torch.tensor([[True], [False]])
    return {"classes": classes, "inside": inside, "teacher": teacher, "labelled": labelled}


def maps() -> Tensor:
    torch.manual_seed(2)
    return torch.randn(2, N, SIDE, SIDE, requires_grad=True)


def test_a_believed_mask_is_learned_where_nobody_labelled(batch: dict[str, Tensor]) -> None:
    scores = maps()
    loss = opposed(believed=0.0)(scores, batch)["pseudo"]
    loss.backward()
    assert scores.grad is not None
    touched = scores.grad.abs().sum(dim=1) > 0
    assert bool((touched[1] == batch["inside"][1]).all())
    assert not bool(touched[0].any())


def test_nothing_is_learned_from_masks_that_are_not_believed(batch: dict[str, Tensor]) -> None:
    assert float(opposed(believed=1.0)(maps(), batch)["pseudo"].detach()) == 0


def test_verdicts_count_after_the_first_steps(batch: dict[str, Tensor]) -> None:
    """Of the optimiser, however many batches are judged in one."""
    objective = opposed(believed=0.0, unbelieved_steps=2)
    for step, is_learned in ((0, False), (1, False), (2, True)):
        objective.step = step
        for _ in range(2):
            assert (float(objective(maps(), batch)["pseudo"].detach()) > 0) is is_learned
            objective.judge(maps().detach(), batch)


def test_the_opponent_looks_at_labelled_pictures_alone(batch: dict[str, Tensor]) -> None:
    objective, scores = opposed(), maps().detach()
    before = objective.judge(scores, batch)
    scores[1] += 10 * torch.randn(N, SIDE, SIDE)
    after = objective.judge(scores, batch)
    torch.testing.assert_close(before, after)


def test_what_lies_outside_of_the_picture_changes_no_verdict(batch: dict[str, Tensor]) -> None:
    objective, scores = opposed(), maps().detach()
    wild = torch.where(batch["inside"][:, None], scores, 10 * torch.randn_like(scores))
    torch.testing.assert_close(objective(scores, batch)["gan"], objective(wild, batch)["gan"])
    torch.testing.assert_close(objective.judge(scores, batch), objective.judge(wild, batch))


def test_an_object_pasted_into_a_picture_makes_it_no_labelled_one(
    batch: dict[str, Tensor],
) -> None:
    objective, scores = opposed(believed=0.0), maps().detach()
    before = objective.judge(scores, batch)
    batch["classes"][1, 5:9, 5:9] = 1
    torch.testing.assert_close(objective.judge(scores, batch), before)


def test_a_batch_without_labels_is_no_catastrophe(batch: dict[str, Tensor]) -> None:
    batch["classes"][:] = IGNORE
    batch["labelled"][:] = False
    objective, scores = opposed(), maps()
    losses = objective(scores, batch) | objective.judge(scores.detach(), batch)
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())
    assert float(losses["discriminator"].detach()) == 0
