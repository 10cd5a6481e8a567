"""The training loop, in this process, on networks of a few parameters."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from img2img.config import TrainOptions
from img2img.engine.checkpoint import FILE, read_checkpoint
from img2img.engine.events import Event, Noted, Stepped, Validated
from img2img.engine.optim import Ema, Teacher, lr_factor, make_optimizer
from img2img.engine.runtime import seed_step
from img2img.engine.trainer import Trainer
from img2img.errors import RunError

Make = Callable[..., tuple[Trainer, list[Event]]]


def _weights(trainer: Trainer) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in trainer.network.state_dict().items()}


def _of(kind: type, events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def _assert_close(a: dict[str, Tensor], b: dict[str, Tensor], *, atol: float) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        torch.testing.assert_close(value, b[key], atol=atol, rtol=0)


# ---- learning rate


def test_constant_and_plateau_schedules_stay() -> None:
    for schedule in ("constant", "plateau"):
        options = TrainOptions(schedule=schedule)  # type: ignore[arg-type]
        assert [lr_factor(options, step, step / 10) for step in range(11)] == [1.0] * 11


def test_cosine_falls_from_one_to_almost_nothing() -> None:
    options = TrainOptions(schedule="cosine")
    factors = [lr_factor(options, step, step / 100) for step in range(101)]
    assert factors[0] == pytest.approx(1)
    assert factors[50] == pytest.approx(0.5, abs=1e-3)
    assert factors[100] == pytest.approx(1e-3)
    assert all(late < early for early, late in pairwise(factors))


def test_one_cycle_rises_then_falls() -> None:
    options = TrainOptions(schedule="one-cycle")
    factors = [lr_factor(options, step, step / 100) for step in range(101)]
    assert factors[0] == pytest.approx(0.04)
    assert max(factors) == pytest.approx(1, abs=1e-3)
    assert factors.index(max(factors)) == 30
    assert factors[100] == pytest.approx(1e-4)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle", "plateau"])
def test_warm_up_is_linear_and_reaches_the_peak(schedule: Any) -> None:
    options = TrainOptions(schedule=schedule, warmup_steps=4)
    factors = [lr_factor(options, step, step / 100) for step in range(4)]
    assert factors == [0.25, 0.5, 0.75, 1.0]
    without = replace(options, warmup_steps=0)
    assert lr_factor(options, 4, 0.5) == lr_factor(without, 4, 0.5)


def test_the_loop_obeys_the_schedule(trainer: Make) -> None:
    made, events = trainer(steps=6, schedule="cosine", lr=0.02, warmup_steps=2)
    made.fit()
    expected = [0.02 * lr_factor(made.options, step, step / 6) for step in range(6)]
    assert [row.lr for row in _of(Stepped, events)] == pytest.approx(expected)


def test_plateau_divides_the_rate_by_ten(trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made, events = trainer(epochs=6, schedule="plateau", plateau_patience=1, lr=0.01)
    values = iter([1.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    monkeypatch.setattr(made, "measure_validation", lambda: {"psnr": next(values)})
    made.fit()
    by_epoch = [row.lr for row in _of(Stepped, events)][::2]
    # Better at epochs 1 and 2; worse after 3 and 4, so epoch 5 and 6 go at a tenth.
    assert by_epoch == pytest.approx([0.01, 0.01, 0.01, 0.01, 0.001, 0.001])


# ---- parts


def test_biases_and_norms_are_not_decayed() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    for name in ("adamw", "adam", "sgd"):
        options = TrainOptions(optimizer=name, weight_decay=0.1)  # type: ignore[arg-type]
        groups = make_optimizer(network, options).param_groups
        decay = {p.ndim: group["weight_decay"] for group in groups for p in group["params"]}
        assert decay == {4: 0.1, 1: 0.0}
        assert sum(len(group["params"]) for group in groups) == 4


LRS = {"adamw": 0.02, "adam": 0.02, "sgd": 0.2}


@pytest.mark.parametrize("optimizer", LRS)
def test_every_optimiser_lowers_the_loss(optimizer: str, trainer: Make) -> None:
    made, events = trainer(steps=80, optimizer=optimizer, lr=LRS[optimizer], log_every=20, n_val=0)
    made.fit()
    losses = [row.losses["l1"] for row in _of(Stepped, events)]
    print(losses)
    assert losses[-1] < 0.8 * losses[0]


def test_the_moving_average_follows_its_formula() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    ema = Ema(network, 0.75)
    expected = network[0].weight.detach().clone()
    for step in range(1, 41):
        with torch.no_grad():
            network[0].weight.add_(step)
            network[1].num_batches_tracked.add_(1)
        ema.update(network, step)
        decay = min(0.75, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * network[0].weight.detach()
    torch.testing.assert_close(ema.tensors["0.weight"], expected)
    assert ema.tensors["1.num_batches_tracked"].item() == 40


def test_the_average_is_validated_and_saved_and_training_goes_on_beside_it(trainer: Make) -> None:
    plain, _ = trainer(steps=5, lr=0.05, run="plain")
    plain.fit()
    averaged, events = trainer(steps=5, lr=0.05, ema=0.9, run="averaged")
    averaged.fit()
    _assert_close(_weights(averaged), _weights(plain), atol=0)
    saved = read_checkpoint(averaged.run / "last" / FILE)
    _assert_close(saved.part("raw."), _weights(plain), atol=0)
    assert averaged.ema is not None
    _assert_close(saved.part("network."), averaged.ema.tensors, atol=0)
    averaged.network.load_state_dict(averaged.ema.tensors)
    averaged.ema = None
    assert averaged.measure_validation() == _of(Validated, events)[-1].metrics


def test_micro_batches_add_up_to_the_batch(trainer: Make) -> None:
    whole, _ = trainer(steps=3, run="whole", optimizer="sgd", lr=0.05)
    whole.fit()
    parts, _ = trainer(steps=3, run="parts", optimizer="sgd", lr=0.05, micro_batch=3)
    parts.fit()
    _assert_close(_weights(parts), _weights(whole), atol=1e-6)
    assert any(not torch.equal(v, _weights(whole)[k]) for k, v in _weights(parts).items())


def test_clipping_bounds_the_step(trainer: Make) -> None:
    made, _ = trainer(steps=1, optimizer="sgd", lr=1.0, clip_norm=1e-3, beta1=0.0,
                      weight_decay=0.0, n_val=0)  # fmt: skip
    before = _weights(made)
    made.fit()
    after = _weights(made)
    moved = math.sqrt(sum(float((after[key] - before[key]).square().sum()) for key in before))
    assert moved == pytest.approx(1e-3, rel=1e-2)


def _with_dropout(trainer: Trainer) -> Trainer:
    def drop(body: nn.Module, given: tuple[Tensor]) -> Tensor:
        return nn.functional.dropout(given[0], 0.3, training=body.training)

    trainer.network.body.register_forward_pre_hook(drop)
    return trainer


def _short_of_memory(network: nn.Module, limit: int) -> None:
    """Makes the network run out of memory above `limit` samples, after some of the work."""

    def refuse(module: nn.Module, given: Any, maps: Tensor) -> None:
        if torch.is_grad_enabled() and len(maps) > limit:
            raise torch.OutOfMemoryError("pretended")

    network.register_forward_hook(refuse)


def test_memory_that_runs_out_halves_the_micro_batch(trainer: Make) -> None:
    short, events = trainer(steps=3, batch_size=8, run="short")
    _short_of_memory(_with_dropout(short).network, 3)
    short.fit()
    notes = [event.text for event in _of(Noted, events)]
    assert [note[:15] for note in notes] == ["memory ran out:"] * 2
    assert "2 samples" in notes[-1]
    assert short.progress.micro_batch == 2
    chosen, _ = trainer(steps=3, batch_size=8, run="chosen", micro_batch=2)
    _with_dropout(chosen).fit()
    _assert_close(_weights(short), _weights(chosen), atol=0)


def test_memory_too_short_for_one_sample_is_said(trainer: Make) -> None:
    made, _ = trainer(steps=3)
    _short_of_memory(made.network, 0)
    with pytest.raises(RunError, match="--batch-size"):
        made.fit()


def test_other_errors_are_not_taken_for_memory(trainer: Make) -> None:
    made, _ = trainer(steps=1)
    made.network.register_forward_hook(lambda *_: torch.zeros(2) + torch.zeros(3))
    with pytest.raises(RuntimeError, match="must match"):
        made.fit()


class _Poisoned(nn.Module):
    """An objective with a term that is no number from some step on."""

    def __init__(self, trainer: Trainer, *, at: int) -> None:
        super().__init__()
        self.inner, self.trainer, self.at = trainer.objective, trainer, at

    def forward(self, maps: Tensor, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        bad = math.nan if self.trainer.progress.step >= self.at else 0.0
        return {**self.inner(maps, batch), "poison": maps.mean() * bad}


@pytest.mark.parametrize(("log_every", "noticed"), [(1, 4), (100, 4)])
def test_nan_stops_with_a_diagnosis_and_the_last_good_weights(
    log_every: int, noticed: int, trainer: Make
) -> None:
    """Noticed at the next row of the log, at the latest before an epoch's end is validated."""
    made, _ = trainer(steps=20, log_every=log_every)
    made.objective = _Poisoned(made, at=3)
    with pytest.raises(RunError, match="poison is not finite") as caught:
        made.fit()
    message = str(caught.value)
    assert f"at step {noticed} " in message
    assert str(made.run / "last") in message
    assert "noise-" in message
    saved = read_checkpoint(made.run / "last" / FILE)
    assert saved.state["step"] == 2
    assert all(v.isfinite().all() for v in saved.tensors.values())


def test_nan_is_never_saved_between_two_rows(trainer: Make) -> None:
    made, _ = trainer(steps=20, log_every=100, save_every=1, n_train=40)
    made.objective = _Poisoned(made, at=3)
    with pytest.raises(RunError):
        made.fit()
    assert read_checkpoint(made.run / "last" / FILE).state["step"] == 3


def test_better_weights_remove_the_export_of_older_ones(trainer: Make) -> None:
    made, _ = trainer(steps=2)
    made.run.mkdir(exist_ok=True)
    (made.run / "best.onnx").write_bytes(b"of older weights")
    made.fit()
    assert not (made.run / "best.onnx").exists()


def test_a_training_saves_before_its_first_step(trainer: Make) -> None:
    made, _ = trainer(steps=20)
    made.objective = _Poisoned(made, at=0)
    with pytest.raises(RunError, match="the last good checkpoint"):
        made.fit()
    assert read_checkpoint(made.run / "last" / FILE).state["step"] == 0


# ---- budgets


def test_early_stopping_counts_validations_without_a_better_one(
    trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, events = trainer(epochs=50, early_stopping=2)
    values = iter([1.0, 3.0, 2.0, 3.0, *[9.0] * 46])
    monkeypatch.setattr(made, "measure_validation", lambda: {"psnr": next(values)})
    finished = made.fit()
    assert finished.reason == "early stopping"
    assert finished.best == {"metric": "psnr", "value": 3.0, "step": 4}
    assert [event.best for event in _of(Validated, events)] == [True, True, False, False]
    assert read_checkpoint(made.run / "best" / FILE).state["step"] == 4


def test_a_time_budget_ends_the_training_with_a_validation(
    trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, events = trainer(epochs=None, max_time="5s")
    # A second a step, by a clock of our own.
    monkeypatch.setattr(made, "elapsed_s", lambda: float(made.progress.step))
    finished = made.fit()
    assert (finished.reason, finished.step) == ("time", 5)
    assert _of(Validated, events)[-1].step == 5
    rates = [row.lr for row in _of(Stepped, events)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.2 * rates[0]


def test_steps_and_epochs_end_the_training(trainer: Make) -> None:
    by_steps, events = trainer(steps=3, run="steps")
    assert (by_steps.fit().reason, by_steps.progress.step) == ("steps", 3)
    assert [event.step for event in _of(Validated, events)] == [2, 3]
    by_epochs, events = trainer(epochs=2, run="epochs")
    assert (by_epochs.fit().reason, by_epochs.progress.step) == ("epochs", 4)
    assert [event.step for event in _of(Validated, events)] == [2, 4]


def test_without_validation_samples_the_last_weights_are_the_best(trainer: Make) -> None:
    made, _ = trainer(epochs=2, n_val=0)
    made.fit()
    best, last = (read_checkpoint(made.run / name / FILE) for name in ("best", "last"))
    assert best.state["step"] == last.state["step"] == 4
    _assert_close(best.part("network."), last.part("network."), atol=0)


# ---- phases


def test_the_encoder_stays_for_the_first_epochs(trainer: Make) -> None:
    made, _ = trainer(model="autoencoder", model_options={"width": 2}, epochs=3,
                      freeze_encoder_epochs=2)  # fmt: skip
    assert made.network.encoder is not None
    encoder = dict(made.network.encoder.named_parameters())
    first = {key: value.detach().clone() for key, value in encoder.items()}
    decoder = made.network.body.decoder[0].weight.detach().clone()  # type: ignore[union-attr,index]
    seen: list[bool] = []

    def compare(event: Event) -> None:
        if isinstance(event, Validated):
            seen.append(all(torch.equal(encoder[key], first[key]) for key in first))

    made.listeners.append(compare)
    made.fit()
    assert seen == [True, True, False]
    assert not torch.equal(decoder, made.network.body.decoder[0].weight)  # type: ignore[union-attr,index]


@pytest.mark.parametrize("encoder", ["mobilenet_v2", "tu-tf_efficientnet_lite0"])
def test_frozen_stages_never_learn_and_keep_their_statistics(encoder: str, trainer: Make) -> None:
    made, _ = trainer(model=f"unet:{encoder}", model_options={"encoder_weights": "none"},
                      steps=2, frozen_stages=2)  # fmt: skip
    assert made.network.encoder is not None
    first = {key: value.clone() for key, value in made.network.encoder.state_dict().items()}
    made.fit()
    after = made.network.encoder.state_dict()
    stays = [torch.equal(after[key], first[key]) for key in first]
    n_frozen = stays.index(False)
    assert not any(stays[n_frozen:])  # what learns comes after all that stays, norms included
    assert 20 < n_frozen < len(first) / 2
    assert any(key.endswith("running_var") for key in list(first)[:n_frozen])


def test_the_teacher_is_the_average_after_steps_and_after_a_resume(trainer: Make) -> None:
    first, _ = trainer(steps=3, ema=0.5)
    assert first.ema is not None
    teacher = Teacher(first.network, first.ema)
    image = torch.rand(1, 3, 16, 16)
    before = teacher(image)
    first.fit()
    assert not torch.equal(teacher(image), before)
    _assert_close(dict(teacher.network.state_dict()), first.ema.tensors, atol=0)
    assert not torch.equal(teacher(image), first.network.eval()(image))
    again, _ = trainer(steps=3, ema=0.5)
    assert again.ema is not None
    resumed = Teacher(again.network, again.ema)
    again.resume()
    torch.testing.assert_close(resumed(image), teacher(image), atol=0, rtol=0)


@pytest.mark.parametrize("float64", [True, False])
def test_polish_lowers_the_loss(float64: bool, trainer: Make) -> None:
    made, events = trainer(steps=40, lr=0.05, polish_steps=60, polish_samples=4, n_train=4,
                           polish_float64=float64)  # fmt: skip
    made.fit()
    polish = [row.losses["polish"] for row in _of(Stepped, events) if "polish" in row.losses]
    before = [row.losses["l1"] for row in _of(Stepped, events) if "l1" in row.losses]
    assert len(polish) == 3
    assert polish[-1] < polish[0]
    assert polish[-1] < 0.7 * before[-1]
    assert made.progress.polished
    assert {value.dtype for value in _weights(made).values()} == {torch.float32}
    assert _of(Validated, events)[-1].metrics["psnr"] > _of(Validated, events)[-2].metrics["psnr"]


# ---- the machine


def test_every_step_and_process_has_a_seed_of_its_own() -> None:
    def draw(seed: int, step: int, rank: int) -> float:
        seed_step(seed, step, rank)
        return float(torch.rand(()))

    keys = [(seed, step, rank) for seed in range(2) for step in range(3) for rank in range(2)]
    draws = [draw(*key) for key in keys]
    assert len(set(draws)) == len(keys)
    assert draws == [draw(*key) for key in keys]


class _Reads(TorchDispatchMode):
    """Counts reads of a tensor's value, which wait for the device, by the step they come in."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.trainer, self.steps = trainer, set[int]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            self.steps.add(self.trainer.progress.step)
        return func(*args, **(kwargs or {}))


def test_only_rows_of_the_log_read_values_from_the_device(trainer: Make) -> None:
    made, _ = trainer(epochs=1, n_train=48, batch_size=4, log_every=5, ema=0.9, clip_norm=1.0)
    with _Reads(made) as reads:
        made.fit()
    assert reads.steps == {0, 5, 10, 12}  # 0: saved before the first step


def test_bf16_trains_and_saves_float32(trainer: Make) -> None:
    made, events = trainer(steps=20, precision="bf16", model="autoencoder", lr=0.02,
                           model_options={"width": 4}, n_train=4)  # fmt: skip
    kinds: set[torch.dtype] = set()
    made.network.body.register_forward_hook(lambda _m, _g, maps: kinds.add(maps.dtype))
    made.fit()
    assert torch.bfloat16 in kinds
    losses = [row.losses["l1"] for row in _of(Stepped, events)]
    assert losses[-1] < 0.95 * losses[0]
    saved = read_checkpoint(made.run / "last" / FILE)
    assert {v.dtype for v in saved.tensors.values() if v.is_floating_point()} == {torch.float32}


def test_resuming_restores_everything(trainer: Make) -> None:
    options: dict[str, Any] = {
        "steps": 6, "ema": 0.9, "model": "autoencoder", "model_options": {"width": 2},
        "optimizer": "sgd", "save_every": 3,
    }  # fmt: skip
    whole, _ = trainer(**options, run="whole")
    _with_dropout(whole).fit()
    half, _ = trainer(**options, run="half")

    def stop(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == 5:
            raise ZeroDivisionError

    _with_dropout(half).listeners.append(stop)
    with pytest.raises(ZeroDivisionError):
        half.fit()
    resumed, events = trainer(**options, run="half")
    _with_dropout(resumed).resume()
    assert resumed.progress.step == 4
    resumed.fit()
    _assert_close(_weights(resumed), _weights(whole), atol=0)
    assert [row.step for row in _of(Stepped, events)][-1] == 6


def test_best_and_last_are_whole_files(trainer: Make) -> None:
    made, _ = trainer(epochs=1)
    made.fit()
    names = sorted(
        str(path.relative_to(made.run)) for path in Path(made.run).rglob("*.safetensors")
    )
    assert names == ["best/checkpoint.safetensors", "last/checkpoint.safetensors"]
    assert not list(Path(made.run).rglob(".*part*"))
