"""The training loop, top to bottom. Validating, saving, averaging, stopping are visible lines."""

import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from img2img.config import Config
from img2img.data.loader import make_loader
from img2img.data.sample import Dataset
from img2img.engine.checkpoint import restore, save
from img2img.engine.diagnosis import diagnose_nan
from img2img.engine.events import Event, Finished, Listener, Noted, Started, Stepped, Validated
from img2img.engine.optim import Ema, lr_factor, make_optimizer, make_teacher, set_lr
from img2img.engine.polish import polish
from img2img.engine.progress import Budget, Progress, Window
from img2img.engine.runtime import Runtime, Signals, caught_signals, ran_out_of_memory, seed_step
from img2img.errors import Interrupted, RunError
from img2img.inference.evaluate import collect, measure_rows
from img2img.inference.predictor import Predictor
from img2img.inference.torch_session import TorchSession
from img2img.inference.weights import Card
from img2img.models.network import Network
from img2img.models.opponent import Adversarial
from img2img.tasks.base import Task

SAVE_INTERVAL_S = 300.0
Batch = dict[str, Tensor]
Player = tuple[nn.Module, torch.optim.Optimizer]


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
        self.frozen_stages = self.network.first_stages(self.options.frozen_stages)
        self.game = self.objective if isinstance(self.objective, Adversarial) else None
        self.optimizer = make_optimizer(self.network, self.options)
        self.players: list[Player] = [(self.network, self.optimizer)]
        if self.game is not None:
            opponent, rate = self.game.opponent, self.game.rules.rate
            self.players.append((opponent, make_optimizer(opponent, self.options, rate=rate)))
            runtime.copy_from_leader(opponent.state_dict().values())
        self.ema = Ema(self.network, self.options.ema) if self.options.ema else None
        self.teacher = make_teacher(self.network, self.objective, self.ema)
        self.scaler = torch.amp.GradScaler(
            runtime.device.type, enabled=self.options.precision == "fp16"
        )
        self.loader = make_loader(
            task.targets, train, self.options, cache=run / "cache" / "pixels.u8",
            rank=runtime.rank, world=runtime.world, pin=runtime.device.type == "cuda",
        )  # fmt: skip
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
                polish(self)
                self._validate()
                self._save("last")
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
        self.freeze()
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
        for _, optimizer in self.players:
            set_lr(optimizer, options.lr * factor)
        if self.game is not None:
            self.game.step = progress.step
        while True:
            try:
                seed_step(options.seed, progress.step, self.runtime.rank)
                losses = self._accumulate(batch)
                break
            except (torch.OutOfMemoryError, RuntimeError) as error:
                self._halve_micro_batch(error, len(batch["image"]))
        for module, optimizer in self.players:
            if options.clip_norm is not None:
                self.scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(module.parameters(), options.clip_norm)
            self.scaler.step(optimizer)
        self.scaler.update()
        self.window.add(losses)

    def _accumulate(self, batch: Batch) -> dict[str, Tensor]:
        """Gradients of the mean loss over the batch, in micro-batches; the losses, detached."""
        self._zero_grad()
        n, size = len(batch["image"]), self.progress.micro_batch or len(batch["image"])
        sums: dict[str, Tensor] = {}
        for start in range(0, n, size):
            part = {k: v[start : start + size].to(self.runtime.device, non_blocking=True)
                    for k, v in batch.items()}  # fmt: skip
            share = len(part["image"]) / n
            last = start + size >= n
            waits = nullcontext() if last or self.runtime.world == 1 else self.model.no_sync()  # type: ignore[operator]
            with waits:
                with self.autocast():
                    if self.teacher is not None:
                        part["teacher"] = self.teacher(part["weak"])
                    maps = self.model(part["image"])
                    losses = self.objective(maps, part)
                    total = torch.stack(list(losses.values())).sum() * share
                self.scaler.scale(total).backward()
            if self.game is not None:
                with self.autocast():
                    judged = self.game.judge(maps.detach(), part)
                self.scaler.scale(judged["discriminator"] * share).backward()
                losses |= judged
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0) + loss.detach() * share
        if self.game is not None:
            self.runtime.average(p.grad for p in self.game.opponent.parameters())
        return sums

    def _zero_grad(self) -> None:
        for _, optimizer in self.players:
            optimizer.zero_grad(set_to_none=True)

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
        progress.validated(self.options, value, better=better)
        if better:
            self._save("best")
        self.emit(
            Validated(step=progress.step, epoch=progress.epoch, metrics=metrics, best=better,
                      elapsed_s=self.elapsed_s())
        )  # fmt: skip

    def measure_validation(self) -> dict[str, float | None]:
        """The metrics of the weights to be saved, shared out over the processes."""
        count = min(len(self.val), self.options.val_samples or len(self.val))
        if count == 0:
            return {}
        with self.ema.swapped_in(self.network) if self.ema else nullcontext():
            # Batch statistics are each process's own until the next step; the leader's are saved.
            self.runtime.copy_from_leader(self.network.buffers())
            session = TorchSession(self.network, self.runtime.device, self.card, name="training")
            predictor = Predictor(self.task, session)
            mine = range(self.runtime.rank, count, self.runtime.world)
            rows = measure_rows(self.task, predictor.run_sample, self.val, mine)
            metrics = collect(self.runtime.gather(rows)).metrics(self.task)
        self._to_training_mode()
        return metrics

    def _polish_is_due(self) -> bool:
        return self.game is None and self.options.polish_steps > 0 and not self.progress.polished

    def _log(self) -> None:
        """One row of means; between these rows steps never wait for the device."""
        losses = self.runtime.mean(self.window.losses())
        elapsed_s = self.window.elapsed_s
        self._stop_at_nan(losses)
        if (collapse := self.progress.look(losses)) is not None:
            self.emit(Noted(text=collapse))
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
        if not ran_out_of_memory(error):
            raise error
        size = self.progress.micro_batch or n
        if size == 1 or self.runtime.world > 1:
            raise RunError(
                f"memory ran out with {size} samples at once: lower --batch-size, "
                "--image-size or --set train.micro_batch."
            ) from None
        self.progress.micro_batch = size // 2
        self._zero_grad()
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

    def resume(self) -> None:
        """Goes on from `last/` exactly where it stopped; raises what `restore` does."""
        restore(self)

    def _save(self, name: str) -> None:
        """Writes `last/`, the whole training, or `best/`, its weights."""
        self._saved_at_s = time.perf_counter()
        save(self, name)

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

    def _wrapped(self) -> nn.Module:
        """The network as the loop calls it; what is saved is always `self.network`."""
        if self.options.compile and self.network._compiled_call_impl is None:
            self.network.compile()
        return self.runtime.wrapped(self.network)

    def _frozen(self) -> list[nn.Module]:
        """What this epoch does not train: first the encoder, later its first stages."""
        encoder = self.network.encoder
        if encoder is not None and self.progress.epoch < self.options.freeze_encoder_epochs:
            return [encoder]
        return self.frozen_stages

    def freeze(self) -> None:
        """Stops the layers that this epoch does not train from learning."""
        learned = [p.requires_grad for p in self.network.parameters()]
        self.network.requires_grad_()
        for layer in self._frozen():
            layer.requires_grad_(False)
        if learned != [p.requires_grad for p in self.network.parameters()]:
            # The wrapper looks at requires_grad when it is built.
            self.model = self._wrapped()

    def _to_training_mode(self) -> None:
        """Training mode, but for frozen layers: their batch statistics stay as well."""
        self.network.train()
        for layer in self._frozen():
            layer.eval()

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
