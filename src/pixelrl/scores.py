"""What a policy makes of an episode of a task, and how good that is by the task's own metric."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from pixelrl.agent import Agent
from pixelrl.errors import UsageError
from pixelrl.imaging.color import from_space, to_space
from pixelrl.imaging.metrics import ActionMaps, agreement, bits_per_pixel, ssim
from pixelrl.tasks import Episode, Task
from pixelrl.types import Image


@dataclass(frozen=True)
class Outcome:
    """A policy's work on one picture.

    Attributes:
        name: the file.
        start: the episode as the task began it; ``b`` is 1.
        final: the result, ``(1, c, h, w)`` in the task's space, neither clipped nor rounded.
        estimate: the policy's own estimate before any action, likewise; None if it forms none.
        seconds: for the whole episode, network and filters.
        actions: the maps of actions, ``(t, 1, g, h, w)``; None of the mean of several runs.
    """

    name: str
    start: Episode
    final: Image
    estimate: Image | None
    seconds: float
    actions: ActionMaps | None = None


@dataclass(frozen=True)
class Score:
    """The measures of one picture.

    Attributes:
        name: the file.
        metric: what is measured, `pixelrl.tasks.Task.metric_name`.
        before: that of the picture as the agents saw it first.
        after: that of the result.
        ssim: of the result and the target (`pixelrl.imaging.metrics.ssim`).
        estimate: the metric of the policy's own estimate before any action; None if it forms none.
        seconds: for the whole episode, network and filters.
        bits_per_pixel: of the maps of actions (`pixelrl.imaging.metrics.bits_per_pixel`); None of the mean of several
            runs, which has no maps.
        agreement: the share of neighbours that do the same, at each step (`pixelrl.imaging.metrics.agreement`);
            likewise.
    """

    name: str
    metric: str
    before: float
    after: float
    ssim: float
    estimate: float | None
    seconds: float
    bits_per_pixel: float | None = None
    agreement: tuple[float, ...] | None = None

    def as_dict(self) -> dict[str, object]:
        """For files: the metric's own name is part of the keys, ``psnr_input``, ``psnr``, ``psnr_estimate``."""
        return {
            "name": self.name,
            f"{self.metric}_input": self.before,
            self.metric: self.after,
            "ssim": self.ssim,
            f"{self.metric}_estimate": self.estimate,
            "seconds": self.seconds,
            "bits_per_pixel": self.bits_per_pixel,
            "agreement": None if self.agreement is None else list(self.agreement),
        }


def check_conditioning(agent: Agent, task: Task) -> None:
    """Refuse a policy that must be told what a task's episodes do not hold.

    Raises:
        UsageError: it must.
    """
    if agent.card.condition not in (None, task.conditioning.reference):
        kind = agent.conditioning.name
        raise UsageError(f"policy {agent.name} must be told {kind}, which this task does not have")


def play(
    agent: Agent,
    task: Task,
    starts: Iterable[tuple[str, Episode]],
    ensemble: bool = False,
    legibility: float | None = None,
) -> Iterator[Outcome]:
    """Let a policy act on episodes of a task, each of one picture with its name."""
    agent.check_legibility(legibility)
    for name, start in starts:
        image, condition = from_space(start.image, task.space).to(agent.device), start.condition.to(agent.device)
        _synchronise(agent.device)
        began = time.perf_counter()
        actions = None
        if ensemble:
            final = agent.ensembled(image, condition)
        else:
            trajectory, final = agent.run(image, condition, legibility=legibility)
            actions = trajectory.actions
        _synchronise(agent.device)
        seconds = time.perf_counter() - began
        estimate = agent.clean_estimate(image, condition)
        if estimate is not None:
            estimate = to_space(estimate.cpu(), task.space)
        yield Outcome(name, start, to_space(final.cpu(), task.space), estimate, seconds, actions)


def scored(task: Task, outcome: Outcome) -> Score:
    """The measures of an outcome by a task's metric."""
    start, estimate, actions = outcome.start, outcome.estimate, outcome.actions
    shown, target = (from_space(image, task.space) for image in (outcome.final, start.target))
    return Score(
        outcome.name,
        task.metric_name,
        task.metric(start.image, start).item(),
        task.metric(outcome.final, start).item(),
        ssim(shown, target).item(),
        None if estimate is None else task.metric(estimate, start).item(),
        outcome.seconds,
        None if actions is None else bits_per_pixel(actions).item(),
        None if actions is None else tuple(agreement(actions)[:, 0].tolist()),
    )


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
