"""The paper's protocol on a folder of pictures: degrade, act greedily, measure. For every task, by its own metric."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

from pixelrl.agent import Agent
from pixelrl.errors import UsageError
from pixelrl.imaging.color import from_space, to_space
from pixelrl.imaging.metrics import ActionMaps, agreement, bits_per_pixel, ssim
from pixelrl.pictures.arrays import array_to_tensor
from pixelrl.pictures.files import read_picture
from pixelrl.pictures.listing import list_pictures
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


def evaluate(
    agent: Agent,
    folder: str | Path,
    task: Task,
    level: float,
    seed: int = 0,
    limit: int | None = None,
    ensemble: bool = False,
    legibility: float | None = None,
) -> Iterator[Score]:
    """Score a policy on every picture of a folder, in the order of their names.

    The noise comes from one CPU generator that runs on from picture to picture, so the first N pictures get the same
    noise whatever the limit, and every policy sees the same noisy pictures.

    Args:
        agent: the policy.
        folder: clean pictures; colour ones are made grey for a grey policy.
        task: the kind of degradation, and the measure of success.
        level: its strength, in the unit of `Task.degrade`.
        seed: of the generator.
        limit: only the first so many pictures.
        ensemble: the mean of eight runs (`Agent.ensembled`), for which the legibility is always 0.
        legibility: how plain the maps shall be (`Agent.run`).

    Raises:
        UsageError: no folder of pictures, a task that takes pairs, a policy that must be told what this task does
            not have, or a legibility that it does not take.
    """
    if task.from_pairs:
        raise UsageError("this task is measured on pairs of pictures; give their two folders to evaluate_pairs")
    check_conditioning(agent, task)
    generator = torch.Generator().manual_seed(seed)
    starts = (
        (str(name), task.degrade(_read(path, agent.num_channels), level, generator))
        for path, name in _pictures(Path(folder))[:limit]
    )
    for outcome in play(agent, task, starts, ensemble, legibility):
        yield scored(task, outcome)


def evaluate_pairs(
    agent: Agent,
    folder: str | Path,
    degraded: str | Path,
    limit: int | None = None,
    ensemble: bool = False,
    task: Task | None = None,
    legibility: float | None = None,
) -> Iterator[Score]:
    """Score a policy on pairs of pictures, such as the fixed test images of text removal, or looks.

    Args:
        agent: the policy; it must be told nothing beside the picture.
        folder: clean pictures, or those that show the look; colour ones are made grey for a grey policy.
        degraded: their degraded partners, or those without the look, of the same names, whatever the ending.
        limit: only the first so many pictures.
        ensemble: the mean of eight runs (`Agent.ensembled`).
        task: one that learns from pairs, for its metric and space; the PSNR in sRGB if left out.
        legibility: how plain the maps shall be (`Agent.run`).

    Raises:
        UsageError: no folder of pictures, a partner that is missing or of another size, a policy that must be told
            something, a task that takes no pairs, or a legibility that the policy does not take.
    """
    if agent.card.condition is not None:
        kind = agent.conditioning.name
        raise UsageError(f"policy {agent.name} must be told {kind}, which pictures on disk do not say")
    task = _Pairs() if task is None else task
    if not task.from_pairs:
        raise UsageError("this task degrades pictures itself; give it clean ones alone")
    starts = _paired(agent, Path(folder), Path(degraded), limit, task)
    for outcome in play(agent, task, starts, ensemble, legibility):
        yield scored(task, outcome)


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
        with torch.no_grad():
            seen = to_space(image, agent.card.space)
            estimate = agent.policy.estimate(agent.policy.perceive(seen, condition), seen)
        if estimate is not None:
            estimate = to_space(from_space(estimate.cpu(), agent.card.space), task.space)
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


@final
class _Pairs(Task):
    """Pictures that were degraded by somebody else."""

    from_pairs = True
    levels = ()

    def degrade(self, clean: Image, level: float, generator: torch.Generator) -> Episode:
        before, after = clean.chunk(2, 1)
        return Episode(before, after, self.conditioning.condition(before, {}), clean.new_ones((len(clean), 1)))

    def begin(self, clean: Image, generator: torch.Generator) -> Episode:
        return self.degrade(clean, 0.0, generator)


def _paired(agent: Agent, folder: Path, degraded: Path, limit: int | None, task: Task) -> Iterator[tuple[str, Episode]]:
    generator = torch.Generator()
    partners = {name.with_suffix(""): path for path, name in _pictures(degraded)}
    for path, name in _pictures(folder)[:limit]:
        if name.with_suffix("") not in partners:
            raise UsageError(f"{name} has no partner of the same name in {degraded}")
        clean = _read(path, agent.num_channels)
        image = _read(partners[name.with_suffix("")], agent.num_channels)
        if image.shape != clean.shape:
            raise UsageError(f"{name} and its partner in {degraded} are not of one size")
        yield str(name), task.degrade(torch.cat([image, clean], 1), 0.0, generator)


def _pictures(folder: Path) -> list[tuple[Path, Path]]:
    """Files and their names in the folder, in the order of the names."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give a folder of pictures")
    listing = list_pictures([folder])
    if listing.problems or not listing.files:
        raise UsageError(f"{folder} holds no pictures; give a folder of pictures")
    return listing.files


def _read(path: Path, channels: int) -> Image:
    image = array_to_tensor(read_picture(path).pixels)
    if channels == 1 and image.shape[1] == 3:
        weights = image.new_tensor([0.299, 0.587, 0.114])  # ITU-R BT.601 luma
        return (image * weights[:, None, None]).sum(1, keepdim=True)
    return image.expand(-1, channels, -1, -1) if image.shape[1] == 1 else image


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
