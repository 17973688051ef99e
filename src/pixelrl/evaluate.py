"""The paper's protocol on a folder of pictures: degrade, act greedily, measure. For every task, by its own metric."""

from __future__ import annotations

import functools
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import final

import torch

from pixelrl.agent import Agent
from pixelrl.engines import Fault, processes
from pixelrl.errors import InputError, UsageError
from pixelrl.pictures.files import read_picture
from pixelrl.pictures.listing import list_pictures
from pixelrl.pictures.values import array_to_tensor
from pixelrl.scores import Outcome, Score, check_conditioning, play, scored
from pixelrl.tasks import Episode, Task
from pixelrl.threads import threads
from pixelrl.types import Image
from pixelrl.validation import as_path, brief, finite_number, scalar

__all__ = ["Outcome", "Score", "Trial", "check_conditioning", "evaluate", "evaluate_pairs", "play", "scored"]


@dataclass(frozen=True)
class Trial:
    """A picture that is to be measured.

    Attributes:
        index: from 0, in the order of the names.
        name: of the file.
        path: of the clean picture.
        partner: of the degraded one, where they are pairs.
        state: of the generator before the picture is degraded, for who does not go through all of them.
    """

    index: int
    name: str
    path: Path
    partner: Path | None = None
    state: torch.Tensor | None = None


def evaluate(
    agent: Agent,
    folder: str | Path,
    task: Task,
    level: float,
    seed: int = 0,
    limit: int | None = None,
    ensemble: bool = False,
    legibility: float | None = None,
    workers: int | None = None,
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
        workers: so many processes of one thread each measure; None for this one. How many makes no difference.

    Raises:
        UsageError: no folder of pictures, a task that takes pairs, a policy that must be told what this task does
            not have, a legibility that it does not take, or a seed of more than 64 bits.
    """
    if task.from_pairs:
        raise UsageError("this task is measured on pairs of pictures; give their two folders to evaluate_pairs")
    check_conditioning(agent, task)
    level = scalar(level)
    if finite_number(level) is None:
        raise UsageError(f"level = {brief(level)} is no strength of degradation; give a number")
    pictures = _first(_pictures(as_path(folder, "folder")), limit)
    trials = [Trial(index, str(name), path) for index, (path, name) in enumerate(pictures)]
    if not isinstance(seed, Integral) or not -(2**63) <= int(seed) < 2**64:
        raise UsageError(f"seed = {brief(seed)} cannot be; give a whole number of 64 bits")
    generator = torch.Generator().manual_seed(int(seed))
    yield from _measured(agent, task, level, trials, generator, ensemble, legibility, workers)


def evaluate_pairs(
    agent: Agent,
    folder: str | Path,
    degraded: str | Path,
    limit: int | None = None,
    ensemble: bool = False,
    task: Task | None = None,
    legibility: float | None = None,
    workers: int | None = None,
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
        workers: so many processes of one thread each measure; None for this one.

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
    trials = _paired(as_path(folder, "folder"), as_path(degraded, "folder"), limit)
    yield from _measured(agent, task, 0.0, trials, torch.Generator(), ensemble, legibility, workers)


def _measured(
    agent: Agent,
    task: Task,
    level: float,
    trials: list[Trial],
    generator: torch.Generator,
    ensemble: bool,
    legibility: float | None,
    workers: int | None,
) -> Generator[Score, None, None]:
    """The scores, in the order of the pictures."""
    agent.check_legibility(legibility)
    if workers is None:
        starts = ((trial.name, _start(agent, task, level, trial, generator)) for trial in trials)
        for outcome in play(agent, task, starts, ensemble, legibility):
            yield scored(task, outcome)
        return
    measure = functools.partial(_measure, agent, task, level, ensemble, legibility)
    early: dict[int, Score] = {}
    following = 0
    with closing(processes(measure, _told(agent, task, level, trials, generator), workers)) as outcomes:
        for trial, score in outcomes:
            if isinstance(score, Fault):
                raise score.error or InputError(f"{trial.name}: the processes that measured it were killed")
            early[trial.index] = score
            while following in early:
                yield early.pop(following)
                following += 1


def _told(agent: Agent, task: Task, level: float, trials: list[Trial], generator: torch.Generator) -> Iterator[Trial]:
    """The trials with the generator's states. It runs on from picture to picture, so all are degraded here, too."""
    for trial in trials:
        yield replace(trial, state=generator.get_state())
        if trial.partner is None and trial is not trials[-1]:
            _start(agent, task, level, trial, generator)


def _measure(agent: Agent, task: Task, level: float, ensemble: bool, legibility: float | None, trial: Trial) -> Score:
    """Measure one picture, in a process of its own."""
    generator = torch.Generator()
    if trial.state is not None:
        generator.set_state(trial.state)
    with threads(1):
        start = _start(agent, task, level, trial, generator)
        (outcome,) = play(agent, task, [(trial.name, start)], ensemble, legibility)
        return scored(task, outcome)


def _start(agent: Agent, task: Task, level: float, trial: Trial, generator: torch.Generator) -> Episode:
    """The episode that a picture begins.

    Raises:
        UsageError: its partner is of another size.
    """
    clean = _read(trial.path, agent.num_channels)
    if trial.partner is None:
        return task.degrade(clean, level, generator)
    image = _read(trial.partner, agent.num_channels)
    if image.shape != clean.shape:
        raise UsageError(f"{trial.name} and its partner in {trial.partner.parent} are not of one size")
    return task.degrade(torch.cat([image, clean], 1), level, generator)


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


def _paired(folder: Path, degraded: Path, limit: int | None) -> list[Trial]:
    partners = {name.with_suffix(""): path for path, name in _pictures(degraded)}
    trials: list[Trial] = []
    for path, name in _first(_pictures(folder), limit):
        if name.with_suffix("") not in partners:
            raise UsageError(f"{name} has no partner of the same name in {degraded}")
        trials.append(Trial(len(trials), str(name), path, partners[name.with_suffix("")]))
    return trials


def _pictures(folder: Path) -> list[tuple[Path, Path]]:
    """Files and their names in the folder, in the order of the names."""
    if not os.path.isdir(folder):
        raise UsageError(f"{folder} is not a folder; give a folder of pictures")
    listing = list_pictures([folder])
    if listing.problems or not listing.files:
        raise UsageError(f"{folder} holds no pictures; give a folder of pictures")
    return listing.files


def _first(pictures: list[tuple[Path, Path]], limit: int | None) -> list[tuple[Path, Path]]:
    if limit is not None and (not isinstance(limit, Integral) or limit < 1):
        raise UsageError(f"limit = {brief(limit)} is no number of pictures; give a whole one, or None for all")
    return pictures[:limit]


def _read(path: Path, channels: int) -> Image:
    image = array_to_tensor(read_picture(path).pixels)
    if channels == 1 and image.shape[1] == 3:
        weights = image.new_tensor([0.299, 0.587, 0.114])  # ITU-R BT.601 luma
        return (image * weights[:, None, None]).sum(1, keepdim=True)
    return image.expand(-1, channels, -1, -1) if image.shape[1] == 1 else image
