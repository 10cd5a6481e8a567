"""The training loop, top to bottom. Validating, saving, averaging, stopping are visible lines."""

import math
import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from img2img.config import Config
from img2img.data.cache import PixelCache
from img2img.data.loader import Encoder, Loader
from img2img.data.sample import Dataset
from img2img.engine.checkpoint import FILE, Checkpoint, read_checkpoint, write_checkpoint
from img2img.engine.diagnosis import diagnose_nan
from img2img.engine.evaluate import collect, measure_rows
from img2img.engine.events import Event, Finished, Listener, Noted, Started, Stepped, Validated
from img2img.engine.optim import (
    Ema,
    Teacher,
    lr_factor,
    make_optimizer,
    optimizer_tensors,
    restore_optimizer,
)
from img2img.engine.polish import polish
from img2img.engine.progress import Budget, Progress, Window
from img2img.engine.runtime import Runtime, Signals, caught_signals, seed_step
from img2img.errors import DataError, Interrupted, RunError, UsageError
from img2img.inference.predictor import Predictor
from img2img.inference.torch_session import PREFIX, TorchSession
from img2img.inference.weights import Card
from img2img.models.network import Network
from img2img.tasks.base import Task

SAVE_INTERVAL_S = 300.0
Batch = dict[str, Tensor]


class Trainer:
    """Trains one network on one task.

    Args:
        task: gives samples, targets, objective and metrics.
        config: the resolved options; `precision` already decided.
        network: trained in place.
        card: what the saved weights say of themselves.
        train: the training samples.
        val: the validation samples; empty: the last weights are the best.
        runtime: device and processes.
        run: the run folder.
        listeners: called with every event, in the leading process.
    """

    def __init__(
        self,
        task: Task[Any, Any],
        config: Config,
        network: Network,
        card: Card,
        *,
        train: Dataset,
        val: Dataset,
        runtime: Runtime,
        run: Path,
        listeners: list[Listener],
    ) -> None:
        self.task, self.config, self.options = task, config, config.train
        self.network, self.card = network.to(runtime.device), card
        self.train, self.val, self.runtime, self.run = train, val, runtime, run
        self.listeners = listeners
        self.progress = Progress()
        self.objective = task.objective().to(runtime.device)
        if self.options.channels_last:
            self.network.to(memory_format=torch.channels_last)
        self.optimizer = make_optimizer(self.network, self.options)
        self.ema = Ema(self.network, self.options.ema) if self.options.ema else None
        self.teacher = self._make_teacher()
        self.scaler = torch.amp.GradScaler(
            runtime.device.type, enabled=self.options.precision == "fp16"
        )
        self.loader = self._make_loader()
        self.model = self._wrapped()
        self.budget = Budget(self.options, self.loader.steps_per_epoch)
        self.window = Window()
        self.signals = Signals()

    # ---- the loop

    def fit(self) -> Finished:
        """Trains to the end of the budget.

        Raises:
            Interrupted: SIGTERM or Ctrl-C, after saving.
            RunError: the loss became NaN or infinite; `last/` holds the last good checkpoint.
        """
        self.start()
        is_over = self.budget.reached(self.progress, self._clock_s()) is not None
        if self.progress.step and is_over and not self._polish_is_due():
            done = f"finished already, at step {self.progress.step}"
            self.emit(Noted(text=f"{done}: raise --epochs, --steps or --max-time to go on."))
        if self.progress.step == 0:
            self._save("last")
        with caught_signals() as self.signals:
            while (reason := self.budget.reached(self.progress, self._clock_s())) is None:
                self.progress.polished = False
                reason = self.epoch()
                self._stop_at_nan(self.runtime.mean(self.window.losses()))
                if reason == "epoch":
                    self.progress.epoch += 1
                    self.progress.step_in_epoch = 0
                with self.window.paused():
                    self._validate()
                    self._save("last")
            if self.progress.validated_step != self.progress.step:
                # Stopped between the last step and its validation, and resumed.
                self._validate()
                self._save("last")
            if self._polish_is_due():
                self._polish()
        return Finished(
            step=self.progress.step,
            reason=reason,
            elapsed_s=self.elapsed_s(),
            best={"metric": self.task.best.metric, "value": self.progress.best,
                  "step": self.progress.best_step},
        )  # fmt: skip

    def epoch(self) -> str:
        """Trains to the end of the epoch, or of the budget; says which."""
        progress = self.progress
        self._freeze_encoder(progress.epoch < self.options.freeze_encoder_epochs)
        self._to_training_mode()
        batches = self.loader.epoch(progress.epoch, skip=progress.step_in_epoch)
        for batch in self.window.timed(batches):
            self._step(batch)
            progress.step += 1
            progress.step_in_epoch += 1
            if self.ema is not None:
                self.ema.update(self.network, progress.step)
            if progress.step % self.options.log_every == 0:
                self._log()
            interrupted, save_due, time_over = self.runtime.agree(
                self.signals.caught, self._save_is_due(), self.elapsed_s() >= self.budget.max_time_s
            )
            if interrupted or save_due:
                with self.window.paused():
                    self._save("last")
            if interrupted:
                raise self.interrupted()
            if time_over:
                return "time"
            if progress.step == self.options.steps:
                return "steps"
        return "epoch"

    def _step(self, batch: Batch) -> None:
        """One optimiser step; halves the micro-batch when memory runs out, and tries again."""
        options, progress = self.options, self.progress
        share = self.budget.share_used(progress, self._clock_s())
        factor = lr_factor(options, progress.step, share) * progress.plateau_factor
        for group in self.optimizer.param_groups:
            group["lr"] = options.lr * factor
        while True:
            try:
                seed_step(options.seed, progress.step, self.runtime.rank)
                losses = self._accumulate(batch)
                break
            except (torch.OutOfMemoryError, RuntimeError) as error:
                self._halve_micro_batch(error, len(batch["image"]))
        if options.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), options.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.window.add(losses)

    def _accumulate(self, batch: Batch) -> dict[str, Tensor]:
        """Gradients of the mean loss over the batch, in micro-batches; the losses, detached."""
        self.optimizer.zero_grad(set_to_none=True)
        device = self.runtime.device
        n, size = len(batch["image"]), self.progress.micro_batch or len(batch["image"])
        sums: dict[str, Tensor] = {}
        for start in range(0, n, size):
            part = {k: v[start : start + size].to(device, non_blocking=True)
                    for k, v in batch.items()}  # fmt: skip
            share = len(part["image"]) / n
            last = start + size >= n
            waits = nullcontext() if last or self.runtime.world == 1 else self.model.no_sync()  # type: ignore[operator]
            with waits:
                with self.autocast():
                    if self.teacher is not None:
                        part["teacher"] = self.teacher(part["weak"])
                    losses = self.objective(self.model(part["image"]), part)
                    total = torch.stack(list(losses.values())).sum() * share
                self.scaler.scale(total).backward()
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0) + loss.detach() * share
        return sums

    # ---- what happens between steps

    def _validate(self) -> None:
        """Measures the weights on validation samples and keeps them if they are the best."""
        progress = self.progress
        if progress.validated_step == progress.step:
            return
        progress.validated_step = progress.step
        metrics = self.measure_validation()
        value = metrics.get(self.task.best.metric)
        better = self.task.best.better(value, progress.best) or not len(self.val)
        if better:
            progress.best, progress.best_step = value, progress.step
            progress.bad_validations = progress.plateau_bad = 0
            self._save("best")
        else:
            progress.bad_validations += 1
            progress.plateau_bad += 1
        if (
            self.options.schedule == "plateau"
            and progress.plateau_bad > self.options.plateau_patience
        ):
            progress.plateau_factor /= 10
            progress.plateau_bad = 0
        self.emit(
            Validated(step=progress.step, epoch=progress.epoch, metrics=metrics, best=better,
                      elapsed_s=self.elapsed_s())
        )  # fmt: skip

    def measure_validation(self) -> dict[str, float | None]:
        """The metrics of the weights to be saved, shared out over the processes."""
        count = min(len(self.val), self.options.val_samples or len(self.val))
        if count == 0:
            return {}
        trained = self._swap_in_average()
        # Batch statistics are each process's own until the next step; the leader's are saved.
        self.runtime.copy_from_leader(self.network.buffers())
        session = TorchSession(self.network, self.runtime.device, self.card, name="training")
        predictor = Predictor(self.task, session)
        mine = range(self.runtime.rank, count, self.runtime.world)
        rows = measure_rows(self.task, lambda s: predictor.run(s.image), self.val, mine)
        metrics = collect(self.runtime.gather(rows)).metrics(self.task)
        if trained is not None:
            self.network.load_state_dict(trained)
        self._to_training_mode()
        return metrics

    def _swap_in_average(self) -> dict[str, Tensor] | None:
        """Puts the moving average into the network; gives what was there, if anything changed."""
        if self.ema is None:
            return None
        trained = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.ema.tensors)
        return trained

    def _polish_is_due(self) -> bool:
        return self.options.polish_steps > 0 and not self.progress.polished

    def _polish(self) -> None:
        """The closing phase: L-BFGS on one fixed batch, validated like an epoch."""
        is_done = True
        if self.runtime.leads:
            trained = self._swap_in_average()
            is_done = polish(self)
            if trained is not None and not is_done:
                self.network.load_state_dict(trained)
        if self.runtime.agree(not is_done)[0]:
            raise self.interrupted()  # `last/` holds the weights from before
        self.runtime.copy_from_leader(self.network.state_dict().values())
        if self.ema is not None:
            self.ema = Ema(self.network, self.ema.decay)
        self.progress.polished = True
        self.progress.validated_step = -1
        self._validate()
        self._save("last")

    def _log(self) -> None:
        """One row of means; between these rows steps never wait for the device."""
        losses = self.runtime.mean(self.window.losses())
        elapsed_s = self.window.elapsed_s
        self._stop_at_nan(losses)
        self.emit(
            Stepped(
                step=self.progress.step,
                epoch=self.progress.epoch,
                losses=losses,
                lr=self.optimizer.param_groups[0]["lr"],
                samples_per_s=self.window.n_steps * self.options.batch_size / elapsed_s,
                wait_share=self.window.waited_s / elapsed_s,
                elapsed_s=self.elapsed_s(),
            )
        )
        self.window.reset()

    def _stop_at_nan(self, losses: dict[str, float]) -> None:
        bad = [name for name, value in losses.items() if not math.isfinite(value)]
        if bad:
            step = self.progress.step_in_epoch
            raise RunError(diagnose_nan(self, bad, self.loader.batches()[step - 1 : step]))

    def _halve_micro_batch(self, error: RuntimeError, n: int) -> None:
        """Makes room after memory ran out; any other error, or nothing left to halve, goes on."""
        words = str(error).lower()
        ran_out = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in words
        if not ran_out:
            raise error
        size = self.progress.micro_batch or n
        if size == 1 or self.runtime.world > 1:
            raise RunError(
                f"memory ran out with {size} samples at once: lower --batch-size, "
                "--image-size or --set train.micro_batch."
            ) from None
        self.progress.micro_batch = size // 2
        self.optimizer.zero_grad(set_to_none=True)
        if self.runtime.device.type == "cuda":
            torch.cuda.empty_cache()
        self.emit(Noted(text=f"memory ran out: {size // 2} samples at once from now on, "
                         "gradients accumulate to the same batch size."))  # fmt: skip

    def interrupted(self) -> Interrupted:
        """What is raised after a signal, once `last/` is saved."""
        return Interrupted(
            f"stopped at step {self.progress.step} and saved; go on with "
            f"`img2img train {self.config.task} --resume {self.run}`."
        )

    # ---- saving and resuming

    def checkpoint(self, *, whole: bool) -> Checkpoint:
        """The weights to use, with the training's own state where `whole`."""
        trained = dict(self.network.state_dict())
        used = trained if self.ema is None else self.ema.tensors
        tensors = {f"{PREFIX}{key}": value for key, value in used.items()}
        state: dict[str, Any] = {"step": self.progress.step}
        if whole:
            tensors |= {f"objective.{k}": v for k, v in self.objective.state_dict().items()}
            if self.ema is not None:
                tensors |= {f"raw.{key}": value for key, value in trained.items()}
            tensors |= {f"optimizer.{k}": v for k, v in optimizer_tensors(self.optimizer).items()}
            scale = self.scaler.state_dict() if self.scaler.is_enabled() else None
            state = asdict(replace(self.progress, loss_scale=scale, elapsed_s=self.elapsed_s()))
        facts = {"step": self.progress.step, "val": {self.task.best.metric: self.progress.best}}
        card = replace(self.card, facts=self.card.facts | facts)
        return Checkpoint(card=card, tensors=tensors, state=state)

    def resume(self) -> None:
        """Goes on from `last/` exactly where it stopped.

        Raises:
            DataError: nothing was saved yet.
            WeightsError: the checkpoint is damaged.
        """
        path = self.run / "last" / FILE
        if not path.is_file():
            raise DataError(
                f"{self.run} was stopped before its first save: delete it and train anew."
            )
        saved = read_checkpoint(path)
        weights = saved.part(PREFIX)
        self.network.load_state_dict(saved.part("raw.") or weights)
        if self.ema is not None:
            for key, value in weights.items():
                self.ema.tensors[key].copy_(value)
        self.objective.load_state_dict(saved.part("objective."))
        restore_optimizer(self.optimizer, saved.part("optimizer."))
        self.progress = Progress(**saved.state)
        if self.progress.loss_scale is not None:
            self.scaler.load_state_dict(self.progress.loss_scale)

    def _save(self, name: str) -> None:
        self._saved_at_s = time.perf_counter()
        checkpoint = self.checkpoint(whole=name == "last")
        good = all(
            torch.isfinite(v).all() for v in checkpoint.tensors.values() if v.is_floating_point()
        )
        if not good:
            raise RunError(diagnose_nan(self, ["a saved tensor"], []))
        if self.runtime.leads:
            write_checkpoint(self.run / name / FILE, checkpoint)
            if name == "best":
                # It would answer for the weights before these.
                (self.run / "best.onnx").unlink(missing_ok=True)

    def _save_is_due(self) -> bool:
        if self.options.save_every is not None:
            return self.progress.step % self.options.save_every == 0
        return time.perf_counter() - self._saved_at_s >= SAVE_INTERVAL_S

    # ---- parts

    def elapsed_s(self) -> float:
        """Seconds of training so far, those before a resume included."""
        return self.progress.elapsed_s + time.perf_counter() - self._started_at_s

    def _clock_s(self) -> float:
        """`elapsed_s` as all processes must see it: the leader's, where time limits the training
        and so decides the learning rate."""
        if math.isinf(self.budget.max_time_s):
            return self.elapsed_s()
        return float(self.runtime.from_leader(self.elapsed_s()))

    def start(self) -> None:
        """Starts the clock and tells the listeners what begins."""
        self._started_at_s = self._saved_at_s = time.perf_counter()
        self.progress.micro_batch = self.progress.micro_batch or self.options.micro_batch or 0
        n_parameters = sum(p.numel() for p in self.network.parameters())
        facts = {
            "task": self.config.task, "model": self.card.model, "parameters": n_parameters,
            "samples": len(self.train), "device": str(self.runtime.device),
            "precision": self.options.precision, "processes": self.runtime.world,
        }  # fmt: skip
        self.emit(
            Started(facts=facts, step=self.progress.step, total_steps=self.budget.total_steps)
        )

    def _make_loader(self) -> Loader:
        options, world = self.options, self.runtime.world
        if options.batch_size % world:
            raise UsageError(
                f"--batch-size {options.batch_size} cannot be shared out over {world} processes."
            )
        cache = PixelCache(self.train, self.run / "cache" / "pixels.u8", budget_mb=options.cache_mb)
        on_gpu = self.runtime.device.type == "cuda"
        return Loader(
            Encoder(self.task.targets, cache, options.seed),
            batch_size=options.batch_size,
            epoch_size=options.epoch_size,
            rank=self.runtime.rank,
            world=world,
            workers=options.workers if options.workers is not None else 0,
            pin=on_gpu,
        )

    def _make_teacher(self) -> Teacher | None:
        """The average as a network, where a term of the objective asks for its opinion."""
        if not any(getattr(term, "needs_teacher", False) for term in self.objective.modules()):
            return None
        if self.ema is None:
            raise UsageError("learning from pictures without labels needs train.ema, such as 0.99.")
        return Teacher(self.network, self.ema)

    def _wrapped(self) -> nn.Module:
        """The network as the loop calls it; what is saved is always `self.network`."""
        if self.options.compile and self.network._compiled_call_impl is None:
            self.network.compile()
        if self.runtime.world == 1:
            return self.network
        on_gpu = self.runtime.device.type == "cuda"
        return DistributedDataParallel(
            self.network, device_ids=[self.runtime.device] if on_gpu else None
        )

    def _freeze_encoder(self, frozen: bool) -> None:  # noqa: FBT001
        encoder = self.network.encoder
        if encoder is None or next(encoder.parameters()).requires_grad is not frozen:
            return
        encoder.requires_grad_(not frozen)
        # The wrapper looks at requires_grad when it is built.
        self.model = self._wrapped()

    def _to_training_mode(self) -> None:
        """Training mode, but for a frozen encoder: its batch statistics stay as well."""
        self.network.train()
        encoder = self.network.encoder
        if encoder is not None and not next(encoder.parameters()).requires_grad:
            encoder.eval()

    def autocast(self) -> torch.autocast:
        """The context of a forward pass in the run's precision."""
        kind = torch.float16 if self.options.precision == "fp16" else torch.bfloat16
        device = self.runtime.device.type
        return torch.autocast(device, kind, enabled=self.options.precision != "fp32")

    def emit(self, event: Event) -> None:
        """Tells every listener, in the leading process."""
        self.progress.n_rows += isinstance(event, Stepped | Validated)
        if self.runtime.leads:
            for listener in self.listeners:
                listener(event)
