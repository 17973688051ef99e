"""Training: the loop over batches, its log, and checkpoints from which it goes on bit for bit."""

from __future__ import annotations

import contextlib
import csv
import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.checkpoint import PolicyCard, load_weights, read_tensors, save_policy, write_tensors
from pixelrl.data import Crops, load_photos, rescaled, split
from pixelrl.errors import UsageError
from pixelrl.learner import Learner, Logged
from pixelrl.metrics import psnr
from pixelrl.policies import Policy
from pixelrl.recipe import Recipe
from pixelrl.rollout import rollout
from pixelrl.tasks import Task, build_task

STATE_FILE, POLICY_FILE, LOG_FILE = "state.safetensors", "policy.safetensors", "log.csv"
VALIDATION_SIDE = 160
COLUMNS = [
    "iteration", "phase", "lr", "minutes", "iterations_per_second", "estimate_l1", "policy_loss", "value_loss",
    "entropy", "reward", "psnr", "psnr_estimate",
]  # fmt: skip


@dataclass(frozen=True)
class Progress:
    """What the caller is told after every iteration; PSNRs are those of the last validation."""

    iteration: int
    iterations: int
    phase: str
    logged: Logged
    iterations_per_second: float
    seconds_left: float
    psnr: float | None


class Trainer:
    """One training run in one folder.

    Args:
        recipe: what to do.
        folder: where state, policy and log are kept.
        device: where to train.
        log_every: iterations between rows of the log.
        validate_every: iterations between validations, each followed by a checkpoint.

    Raises:
        UsageError: the recipe cannot be carried out, or (with `resume`) the state is not one of this recipe.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, device: torch.device, log_every: int = 100, validate_every: int = 2000
    ) -> None:
        self.recipe, self.folder, self.device = recipe, folder, device
        self.log_every, self.validate_every = log_every, validate_every
        self.task = _task(recipe)
        if not recipe.data.folder:
            raise UsageError("data.folder is not set; give a folder of clean pictures, --set data.folder=FOLDER")
        train, validation = split(load_photos(Path(recipe.data.folder)), recipe.data.validation)
        self.crops = Crops(rescaled(train, recipe.data.scales), recipe.data.crop, recipe.data.batch, device)
        self.validation = [_centre(photo, VALIDATION_SIDE).to(device) for photo in validation]
        torch.manual_seed(recipe.seed)  # only the initial weights; everything later draws from the generators below
        self.card = _card(recipe, self.task)
        self.policy = self.card.build().to(device)
        self.ema = {name: tensor.clone() for name, tensor in self.policy.state_dict().items()}
        self.optimiser = torch.optim.Adam(self.policy.parameters(), lr=recipe.warm_start.lr)
        self.learner = Learner(self.policy, self.task, recipe.learner)
        self.host_generator = torch.Generator().manual_seed(recipe.seed)
        self.generator = torch.Generator(device).manual_seed(recipe.seed + 1)
        self.iteration, self.seconds = 0, 0.0
        self.scores: dict[str, float] = {}
        self.interrupted = False

    def run(
        self,
        minutes: float | None = None,
        report: Callable[[Progress], None] | None = None,
        tensorboard: bool = False,
    ) -> bool:
        """Train until the recipe is done (True) or stopped by time or Ctrl-C (False); then save.

        Args:
            minutes: stop after this long, with a checkpoint.
            report: called after every iteration.
            tensorboard: also write an event file into the folder (needs the ``tensorboard`` extra).
        """
        began = time.monotonic()
        before, first = self.seconds, self.iteration
        with _stop_on_interrupt() as interrupted, _Log(self.folder, self.iteration, tensorboard) as log:
            while self.iteration < self.recipe.iterations:
                self.interrupted = interrupted()
                if self.interrupted or (minutes is not None and time.monotonic() - began > 60 * minutes):
                    break
                phase, lr, logged = self.step()
                elapsed = time.monotonic() - began
                self.seconds = before + elapsed
                done = self.iteration == self.recipe.iterations
                validated = self.iteration % self.validate_every == 0 or done
                if validated:
                    self.scores = self.validate()
                rate = (self.iteration - first) / elapsed
                if validated or self.iteration % self.log_every == 0:
                    row = {"iteration": self.iteration, "phase": phase, "lr": lr, "minutes": self.seconds / 60}
                    log.write({**row, "iterations_per_second": rate, **logged, **(self.scores if validated else {})})
                if validated and not done:
                    self.save()
                if report is not None:
                    left = (self.recipe.iterations - self.iteration) / rate
                    total = self.recipe.iterations
                    report(Progress(self.iteration, total, phase, logged, rate, left, self.scores.get("psnr")))
        self.save()
        return self.iteration == self.recipe.iterations

    def step(self) -> tuple[str, float, Logged]:
        """One batch: the phase's name, the learning rate and what was logged."""
        phase, lr = self.recipe.phase(self.iteration)
        if self.iteration and phase != self.recipe.phase(self.iteration - 1)[0]:
            # Adam's moments belong to the loss of the phase before. Kept, they would go on moving weights that the
            # new loss gives no gradient, the encoder's above all.
            self.optimiser = torch.optim.Adam(self.policy.parameters(), lr=lr)
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        self.policy.train()
        clean = self.crops.sample(self.host_generator)
        start = self.task.begin(clean, self.generator)
        logged: Logged = {}
        precision = torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.learner.precision == "bf16")
        if phase == "warm_start":
            with precision:
                loss, logged = self.learner.estimate_loss(start)
            self._update(loss)
        else:
            # The generator runs inside autocast and is left for each update.
            updates = self.learner.updates(start, self.generator)
            while True:
                with precision:
                    item = next(updates, None)
                if item is None:
                    break
                loss, logged = item
                self._update(loss)
        self.iteration += 1
        return phase, lr, logged

    def _update(self, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise UsageError(f"the loss at iteration {self.iteration} is {loss.item()}; lower the learning rate")
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe.learner.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.recipe.learner.max_grad_norm)
        self.optimiser.step()
        # The average follows quickly at first, or it would remember the initial weights for long.
        decay = min(self.recipe.learner.ema, (1 + self.iteration) / (10 + self.iteration))
        with torch.no_grad():
            for name, tensor in self.policy.state_dict().items():
                self.ema[name].lerp_(tensor, 1 - decay)

    def averaged_policy(self) -> Policy:
        """The policy with the moving average of the weights, in evaluation mode."""
        policy = self.card.build().to(self.device)
        policy.load_state_dict(self.ema)
        return policy.eval()

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mean PSNR over the validation crops and the task's levels, of the result and of the estimate."""
        policy, actions = self.averaged_policy(), ActionSet(self.task.action_names)
        generator = torch.Generator(self.device).manual_seed(0)
        totals: dict[str, list[float]] = {}
        for level in self.task.levels:
            for clean in self.validation:
                start = self.task.degrade(clean, level, generator)
                estimate = policy.estimate(policy.perceive(start.image, start.condition), start.image)
                if estimate is not None:
                    totals.setdefault("psnr_estimate", []).append(psnr(estimate, start.target).item())
                _, final = rollout(policy, actions, start.image, start.condition, self.task.num_steps)
                totals.setdefault("psnr", []).append(psnr(final, start.target).item())
        return {name: sum(values) / len(values) for name, values in totals.items()}

    def save(self) -> None:
        """Write the policy (averaged weights) and the state to go on from."""
        # A policy is passed on: of the folder of photographs it keeps the name, not where it lay on this machine.
        data = replace(self.recipe.data, folder=Path(self.recipe.data.folder).name)
        training = {
            "recipe": replace(self.recipe, data=data).as_dict(),
            "iterations": self.iteration,
            "minutes": round(self.seconds / 60, 1),
            **self.scores,
        }
        save_policy(self.folder / POLICY_FILE, self.averaged_policy(), replace(self.card, training=training))
        tensors = {f"policy.{name}": tensor for name, tensor in self.policy.state_dict().items()}
        tensors |= {f"ema.{name}": tensor for name, tensor in self.ema.items()}
        names = [name for name, _ in self.policy.named_parameters()]
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{names[index]}.{key}": tensor for key, tensor in moments.items()}
        tensors["host_generator"] = self.host_generator.get_state()
        tensors["generator"] = self.generator.get_state()
        header = {"format": 1, "content": "training state", "iteration": self.iteration, "seconds": self.seconds}
        header["scores"] = dict(self.scores)
        write_tensors(self.folder / STATE_FILE, tensors, {**header, "recipe": self.recipe.as_dict()})

    def resume(self) -> None:
        """Go on from the folder's state.

        Raises:
            UsageError: no state there, or one whose policy is another.
        """
        path = self.folder / STATE_FILE
        tensors, header = read_tensors(path, "training state")
        recipe = header["recipe"]
        ours = json.loads(json.dumps(self.recipe.as_dict()))
        for key in ("task", "policy", "seed", "data"):
            theirs = recipe.get(key) if isinstance(recipe, dict) else None
            if {**_table(theirs), "folder": ""} != {**_table(ours[key]), "folder": ""}:
                raise UsageError(f"{path} was trained with another {key} ({theirs}); start a new folder")
        load_weights(self.policy, _under(tensors, "policy."), path)
        self.ema = {name: tensor.to(self.device) for name, tensor in _under(tensors, "ema.").items()}
        names = [name for name, _ in self.policy.named_parameters()]
        state = {index: _under(tensors, f"optimiser.{name}.") for index, name in enumerate(names)}
        groups = self.optimiser.state_dict()["param_groups"]
        state = {index: moments for index, moments in state.items() if moments}
        self.optimiser.load_state_dict({"state": state, "param_groups": groups})
        self.host_generator.set_state(tensors["host_generator"])
        self.generator.set_state(tensors["generator"])
        scores = header.get("scores")
        self.scores = {str(k): float(v) for k, v in scores.items()} if isinstance(scores, dict) else {}
        self.iteration, self.seconds = int(str(header["iteration"])), float(str(header["seconds"]))


class _Log:
    """CSV rows (those after the checkpoint that is gone on from are dropped) and optional TensorBoard scalars."""

    def __init__(self, folder: Path, iteration: int, tensorboard: bool) -> None:
        path = folder / LOG_FILE
        rows: list[dict[str, str]] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if iteration and path.is_file():
                with path.open(newline="") as old:
                    rows = [row for row in csv.DictReader(old) if int(row["iteration"]) <= iteration]
            self.file = path.open("w", newline="")
        except OSError as error:
            raise UsageError(f"run folder {folder} cannot be written: {error.strerror}") from error
        self.rows = csv.DictWriter(self.file, COLUMNS)
        self.rows.writeheader()
        self.rows.writerows(rows)
        self.board = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise UsageError("--tensorboard needs the tensorboard package: pip install tensorboard") from error
            self.board = SummaryWriter(str(folder))

    def write(self, row: dict[str, object]) -> None:
        self.rows.writerow({key: f"{value:.6g}" if isinstance(value, float) else value for key, value in row.items()})
        self.file.flush()
        if self.board is not None:
            for key, value in row.items():
                if isinstance(value, float):
                    self.board.add_scalar(key, value, row["iteration"])

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        if self.board is not None:
            self.board.close()


@contextlib.contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks for a stop after the iteration at hand; a second one interrupts at once."""
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    try:
        old = signal.signal(signal.SIGINT, ask)
    except ValueError:  # not the main thread: nothing to listen to
        yield lambda: False
        return
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, old)


def _task(recipe: Recipe) -> Task:
    arguments = {key: tuple(v) if isinstance(v, list) else v for key, v in recipe.task.items() if key != "kind"}
    return build_task(str(recipe.task["kind"]), arguments)


def _card(recipe: Recipe, task: Task) -> PolicyCard:
    arguments = {key: value for key, value in recipe.policy.items() if key != "kind"}
    kind = str(recipe.policy["kind"])
    card = PolicyCard(recipe.name, kind, arguments, task.action_names, task.num_steps, None, {})
    return replace(card, condition=task.condition_name if card.build().takes_condition else None)


def _centre(photo: Tensor, side: int) -> Tensor:
    """A float ``(1, 1, h, w)`` crop of at most ``side`` pixels from the middle."""
    top, left = (max(0, (n - side) // 2) for n in photo.shape[-2:])
    return photo[None, :, top : top + side, left : left + side].float() / 255


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _table(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {"": value}
