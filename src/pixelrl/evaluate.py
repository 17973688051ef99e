"""The paper's protocol on a folder of clean pictures: degrade, act greedily, measure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from pixelrl.agent import Agent
from pixelrl.errors import UsageError
from pixelrl.imaging.metrics import psnr, ssim
from pixelrl.pictures.arrays import array_to_tensor
from pixelrl.pictures.files import list_pictures, read_picture
from pixelrl.tasks import Task
from pixelrl.types import Condition, Image


@dataclass(frozen=True)
class Score:
    """The measures of one picture, in dB except where said.

    Attributes:
        name: the file.
        psnr_input: of the degraded picture.
        psnr: of the result.
        ssim: of the result (see `pixelrl.imaging.metrics.ssim`).
        psnr_estimate: of the policy's own estimate before any action; None if it forms none.
        seconds: for the whole episode, network and filters.
    """

    name: str
    psnr_input: float
    psnr: float
    ssim: float
    psnr_estimate: float | None
    seconds: float


def evaluate(
    agent: Agent,
    folder: Path,
    task: Task,
    level: float,
    seed: int = 0,
    limit: int | None = None,
    ensemble: bool = False,
) -> Iterator[Score]:
    """Score a policy on every picture of a folder, in the order of their names.

    The noise comes from one CPU generator that runs on from picture to picture, so the first N pictures get the same
    noise whatever the limit, and every policy sees the same noisy pictures.

    Args:
        agent: the policy.
        folder: clean pictures; colour ones are made grey for a grey policy.
        task: the kind of degradation.
        level: its strength, in the unit of `Task.degrade`.
        seed: of the noise.
        limit: only the first so many pictures.
        ensemble: the mean of eight runs (`Agent.ensembled`).

    Raises:
        UsageError: no folder of pictures.
    """
    if agent.card.condition not in (None, task.condition_name):
        raise UsageError(f"policy {agent.name} must be told {agent.card.condition}, which this kind of noise has not")
    generator = torch.Generator().manual_seed(seed)
    for path, name in _pictures(folder)[:limit]:
        clean = _read(path, agent.num_channels)
        start = task.degrade(clean, level, generator)
        yield _score(agent, str(name), start.image, start.condition, clean, ensemble)


def evaluate_pairs(
    agent: Agent, folder: Path, degraded: Path, limit: int | None = None, ensemble: bool = False
) -> Iterator[Score]:
    """Score a policy on pictures that are degraded already, such as the fixed test images of text removal.

    Args:
        agent: the policy; it must take no noise level.
        folder: clean pictures; colour ones are made grey for a grey policy.
        degraded: their degraded partners of the same names, whatever the ending.
        limit: only the first so many pictures.
        ensemble: the mean of eight runs (`Agent.ensembled`).

    Raises:
        UsageError: no folder of pictures, a partner that is missing or of another size, or a policy that must be told a
            level.
    """
    if agent.card.condition is not None:
        raise UsageError(f"policy {agent.name} must be told {agent.card.condition}, which pictures on disk do not say")
    partners = {name.with_suffix(""): path for path, name in _pictures(degraded)}
    for path, name in _pictures(folder)[:limit]:
        if name.with_suffix("") not in partners:
            raise UsageError(f"{name} has no partner of the same name in {degraded}")
        clean = _read(path, agent.num_channels)
        image = _read(partners[name.with_suffix("")], agent.num_channels)
        if image.shape != clean.shape:
            raise UsageError(f"{name} and its partner in {degraded} are not of one size")
        yield _score(agent, str(name), image, image.new_zeros((1, 1)), clean, ensemble)


def _score(agent: Agent, name: str, noisy: Image, condition: Condition, clean: Image, ensemble: bool) -> Score:
    image, condition = noisy.to(agent.device), condition.to(agent.device)
    _synchronise(agent.device)
    began = time.perf_counter()
    final = agent.ensembled(image, condition) if ensemble else agent.run(image, condition)[1]
    _synchronise(agent.device)
    seconds = time.perf_counter() - began
    final = final.cpu()
    with torch.no_grad():
        estimate = agent.policy.estimate(agent.policy.perceive(image, condition), image)
    return Score(
        name,
        psnr(noisy, clean).item(),
        psnr(final, clean).item(),
        ssim(final, clean).item(),
        None if estimate is None else psnr(estimate.cpu(), clean).item(),
        seconds,
    )


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
        weights = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601 luma
        return (image * weights[:, None, None]).sum(1, keepdim=True)
    return image.expand(-1, channels, -1, -1) if image.shape[1] == 1 else image


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
