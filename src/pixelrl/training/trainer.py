"""Training: the loop over batches, its log, and checkpoints from which it goes on bit for bit."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.checkpoint import save_policy
from pixelrl.errors import UsageError
from pixelrl.policies import Policy
from pixelrl.tasks import Episode
from pixelrl.training.finite import not_finite
from pixelrl.training.groups import GroupLearner
from pixelrl.training.interrupt import stop_on_interrupt
from pixelrl.training.learner import LOGGED, Learner, Logged
from pixelrl.training.log import TrainLog
from pixelrl.training.parallel import ALONE, Processes
from pixelrl.training.pictures import pictures_of
from pixelrl.training.recipe import PLACES, Recipe, recipe_from_dict
from pixelrl.training.search import SearchLearner
from pixelrl.training.start import card_of, initials, start_from, task_of
from pixelrl.training.state import read_state, restore, write_state
from pixelrl.training.trials import TrialLearner
from pixelrl.training.validation import BITS, columns_of, validate

PROGRESS = ("iteration", "phase", "lr", "minutes", "iterations_per_second", "crops_per_second")
"""Columns of the log that come before those of the learner and of the task."""
STATE_FILE, POLICY_FILE = "state.safetensors", "policy.safetensors"
SAVED_EVERY = 300.0
"""Seconds after which a checkpoint is written even where no validation is due: what a crash may cost."""


@dataclass(frozen=True)
class Progress:
    """What the caller is told after every iteration; the score is that of the last validation."""

    iteration: int
    iterations: int
    phase: str
    logged: Logged
    iterations_per_second: float
    seconds_left: float
    score: float | None


class Trainer:
    """One training run in one folder.

    Args:
        recipe: what to do.
        folder: where state, policy and log are kept.
        device: where to train.
        log_every: iterations between rows of the log.
        validate_every: iterations between validations, each followed by a checkpoint.
        processes: those that share every batch. The first validates, and alone touches the folder.

    Raises:
        UsageError: the recipe cannot be carried out, or (with `resume`) the state is not one of this recipe.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: str | Path,
        device: torch.device,
        log_every: int = 100,
        validate_every: int = 2000,
        processes: Processes = ALONE,
    ) -> None:
        recipe = recipe_from_dict(recipe.as_dict(), "the recipe")  # one that was made in Python is checked here
        self.recipe, self.folder, self.device, self.processes = recipe, Path(folder), device, processes
        if recipe.data.batch % processes.world:
            raise UsageError(
                f"data.batch = {recipe.data.batch} cannot be shared evenly by {processes.world} processes; "
                f"make it a multiple of {processes.world}"
            )
        self.log_every, self.validate_every = log_every, validate_every
        self.task = task_of(recipe)
        if self.task.metric_name in (*PROGRESS, *LOGGED, BITS):
            kind, name = recipe.task["kind"], self.task.metric_name
            raise UsageError(f"task {kind!r} has metric_name = {name!r}, which is another column of the log; rename it")
        ActionSet(self.task.action_names, may_import=True)  # the recipe's own; from here on they are known
        self.crops, self.validation = pictures_of(recipe, self.task, device)
        torch.manual_seed(recipe.seed)  # only the initial weights; everything later draws from the generators below
        self.card = card_of(recipe, self.task)
        self.policy = self.card.build().to(device)
        # By the policies to start from: those of their weights that this one has no place for, if there are any.
        self.left_out = {each: names for each in initials(recipe) if (names := start_from(self.policy, each))}
        self.ema = {name: tensor.clone() for name, tensor in self.policy.state_dict().items()}
        self.optimiser = torch.optim.Adam(self.policy.parameters(), lr=recipe.warm_start.lr)
        kinds = {"trials": TrialLearner, "search": SearchLearner, "groups": GroupLearner}
        kind = kinds.get("groups" if recipe.learner.in_groups else recipe.learner.gradient, Learner)
        self.learner = kind(self.policy, self.task, recipe.learner, processes)
        self.host_generator = torch.Generator().manual_seed(recipe.seed)
        self.generator = torch.Generator(device).manual_seed(recipe.seed + 1)
        self.iteration, self.seconds = 0, 0.0
        self.scores: dict[str, float] = {}
        self.interrupted = False
        self.saved: int | None = None

    def run(
        self,
        minutes: float | None = None,
        report: Callable[[Progress], None] | None = None,
        tensorboard: bool = False,
    ) -> bool:
        """Train until the recipe is done (True) or stopped by time or Ctrl-C (False); then save.

        Args:
            minutes: stop after this long, with a checkpoint.
            report: called after every iteration, in the first process only.
            tensorboard: also write an event file into the folder (needs the ``tensorboard`` extra).
        """
        began, first, total = time.monotonic(), self.processes.first, self.recipe.iterations
        seconds, done, kept = self.seconds, self.iteration, began
        row: dict[str, object] = {}
        opened = TrainLog(self.folder, self.iteration, self.columns, tensorboard) if first else contextlib.nullcontext()
        with stop_on_interrupt() as interrupted, opened as log:
            while self.iteration < total:
                late = minutes is not None and time.monotonic() - began > 60 * minutes
                # Agreed on, or those that go on would wait for ever for those that stopped.
                self.interrupted, late = self.processes.any([interrupted(), late], self.device)
                if self.interrupted or late:
                    break
                phase, lr, logged = self.step()
                if log is None:
                    continue
                elapsed = time.monotonic() - began
                self.seconds = seconds + elapsed
                rate = (self.iteration - done) / elapsed
                row = {"iteration": self.iteration, "phase": phase, "lr": lr, "minutes": self.seconds / 60, **logged}
                row |= {"iterations_per_second": rate, "crops_per_second": rate * self.recipe.data.batch}
                validated = self.iteration % self.validate_every == 0 or self.iteration == total
                if validated:
                    self.scores = self.validate()
                    row |= self.scores
                if validated or self.iteration % self.log_every == 0:
                    log.write(row)
                    row = {}
                if (validated or time.monotonic() - kept > SAVED_EVERY) and self.iteration < total:
                    self.save()
                    kept = time.monotonic()
                if report is not None:
                    left, score = (total - self.iteration) / rate, self.scores.get(self.task.metric_name)
                    report(Progress(self.iteration, total, phase, logged, rate, left, score))
            if log is not None and row:  # stopped between two rows
                log.write(row)
        if first:
            self.save()
        return self.iteration == total

    @property
    def columns(self) -> list[str]:
        """Of the log: the progress, what the learner logs, the bits of the maps, and the task's metric twice."""
        scores = columns_of(self.task, self.validation).values()
        return [*PROGRESS, *LOGGED, *(name for names in scores for name in names)]

    def step(self) -> tuple[str, float, Logged]:
        """One batch: the phase's name, the learning rate and what was logged."""
        phase, lr = self.recipe.phase(self.iteration)
        if self.iteration and phase != self.recipe.phase(self.iteration - 1)[0]:
            # What is learned on is the best there is: the average. At the end of a warm start whose learning rate did
            # not fall to 0, the weights themselves still stray around it.
            self.policy.load_state_dict(self.ema)
            # Adam's moments belong to the loss of the phase before. Kept, they would go on moving weights that the
            # new loss gives no gradient, the encoder's above all.
            self.optimiser = torch.optim.Adam(self.policy.parameters(), lr=lr)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.policy.train()
        # The whole batch in every process, each of which keeps its slice: how many random numbers a degradation takes
        # may depend on the pixels (Poisson noise on a CPU), and the processes' generators must stay alike.
        start = _slice(self.task.begin(self.crops[phase].sample(self.host_generator), self.generator), self.processes)
        logged: Logged = {}
        precision = torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.learner.precision == "bf16")
        if phase == "warm_start":
            with precision:
                loss, logged = self.learner.estimate_loss(start)
            logged = self._update(start, loss, logged)
        else:
            # The generator runs inside autocast and is left for each update.
            updates = self.learner.updates(start, self.generator)
            while True:
                with precision:
                    item = next(updates, None)
                if item is None:
                    break
                logged = self._update(start, *item, self.recipe.learner.encoder_gradient)
        self.iteration += 1
        return phase, lr, logged

    def _update(self, start: Episode, loss: Tensor, logged: Logged, encoder: float = 1.0) -> Logged:
        """Learn from the loss of this process's part of the batch; what is logged, for the whole batch.

        What forms the estimate takes this share of its step. (A smaller gradient would not do: Adam's steps do not
        depend on how large gradients are.)
        """
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        # DistributedDataParallel would average gradients on the way, but of one forward per backward. A policy is
        # asked many times for one loss (perceive, estimate, forward at every step), and not through its forward alone.
        gradients = [weight.grad for weight in self.policy.parameters() if weight.grad is not None]
        mean, *numbers = self.processes.average(gradients, [loss.item(), *logged.values()])
        if not math.isfinite(mean):
            cause = not_finite(start, self.learner.actions, self.task.num_steps)
            raise self._diverged(f"the loss at iteration {self.iteration} is {mean}", cause)
        if self.recipe.learner.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.recipe.learner.max_grad_norm)
        slow = [(w, w.detach().clone()) for w in self.policy.estimating()] if 0 < encoder < 1 else []
        self.optimiser.step()
        # The average follows quickly at first, or it would remember the initial weights for long.
        decay = min(self.recipe.learner.ema, (1 + self.iteration) / (10 + self.iteration))
        with torch.no_grad():
            for weight, before in slow:
                weight.lerp_(before, 1 - encoder)
            for name, tensor in self.policy.state_dict().items():
                self.ema[name].lerp_(tensor, 1 - decay)
        return dict(zip(logged, numbers, strict=True))

    def _diverged(self, what: str, cause: str | None = None) -> UsageError:
        go_on = "start again, for nothing was saved yet"
        if self.saved is not None:
            go_on = f"go on with --resume from {self.folder / STATE_FILE}, which is of iteration {self.saved}"
        return UsageError(f"{what}: {cause}, and {go_on}" if cause else f"{what}; lower the learning rate and {go_on}")

    def averaged_policy(self) -> Policy:
        """The policy with the moving average of the weights, in evaluation mode."""
        policy = self.card.build().to(self.device)
        policy.load_state_dict(self.ema)
        return policy.eval()

    def validate(self) -> dict[str, float]:
        """The scores of the averaged policy (`pixelrl.training.validation.validate`)."""
        return validate(self.averaged_policy(), self.task, self.validation, self.device)

    def save(self) -> None:
        """Write the policy (averaged weights) and the state to go on from.

        Raises:
            UsageError: a place that cannot be written, or weights that are not finite; the files are left as they are.
        """
        if not all(bool(torch.isfinite(weight).all()) for weight in self.policy.state_dict().values()):
            raise self._diverged(f"the weights after iteration {self.iteration} are not finite")
        # A policy is passed on: of folders and files it keeps the names, not where they lay on this machine.
        plan = self.recipe.as_dict()
        plan["data"] |= {key: Path(plan["data"][key]).name for key in PLACES}
        names = [Path(initial).name for initial in initials(self.recipe)]
        training = {
            "recipe": {**plan, "initial": names if len(names) > 1 else "".join(names)},
            "iterations": self.iteration,
            "minutes": round(self.seconds / 60, 1),
            **self.scores,
        }
        save_policy(self.folder / POLICY_FILE, self.averaged_policy(), replace(self.card, training=training))
        header = {"iteration": self.iteration, "seconds": self.seconds, "scores": dict(self.scores)}
        file, generators = self.folder / STATE_FILE, self._generators()
        write_state(file, self.policy, self.ema, self.optimiser, generators, self.recipe, header)
        self.saved = self.iteration

    def resume(self) -> list[str]:
        """Go on from the folder's state, however many processes wrote it.

        Returns:
            The phases that this recipe has otherwise than the one before: only they may change.

        Raises:
            UsageError: no state there, or one of another policy, task, learner, seed or data.
        """
        path = self.folder / STATE_FILE
        tensors, header, changed = read_state(path, self.recipe)
        self.ema = restore(path, tensors, self.policy, self.optimiser, self._generators())
        scores = header.get("scores")
        self.scores = {str(k): float(v) for k, v in scores.items()} if isinstance(scores, dict) else {}
        self.iteration, self.seconds = int(str(header["iteration"])), float(str(header["seconds"]))
        self.saved = self.iteration
        return changed

    def _generators(self) -> dict[str, torch.Generator]:
        return {"host_generator": self.host_generator, "generator": self.generator}


def _slice(start: Episode, processes: Processes) -> Episode:
    return replace(start, **{field.name: processes.mine(getattr(start, field.name)) for field in fields(start)})
