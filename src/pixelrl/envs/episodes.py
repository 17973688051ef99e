"""Episodes of a task, one step at a time, on tensors: what all the environments here share. It knows no library.

All episodes of a batch begin together, and as a task's episodes have one length, they end together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.envs.pictures import Pictures, photos_for
from pixelrl.errors import UsageError
from pixelrl.imaging.color import from_space
from pixelrl.noise.model import NAMES
from pixelrl.rollout import Decision, Step, episode
from pixelrl.tasks import Episode, Task, build_task
from pixelrl.tasks.conditioning import Nothing
from pixelrl.training.data import Crops
from pixelrl.training.learner import Game
from pixelrl.types import ActionMap, Image
from pixelrl.validation import brief, finite_number, scalar

Observation = Float[Tensor, "b p h w"]
RewardMap = Float[Tensor, "b h w"]

LEAST_SIDE = 16
"""Noise of cameras, text and objects need so many pixels; of smaller pictures the episode begins on as many, and its
middle is played."""
MOST = 100_000
"""Pixels of a side, and episodes at once: more than any memory holds."""


class Outcome(NamedTuple):
    """What came of a step: what is seen now, what every agent earned, and whether the episodes have ended."""

    observation: Observation
    reward_map: RewardMap
    ended: bool


class Episodes:
    """A batch of episodes of one task, on random crops of pictures.

    Args:
        task: a task, or the name of one, as a recipe has it.
        task_arguments: of a task that is named.
        pictures: see `pixelrl.envs.pictures.Pictures`.
        size: side of the crops in pixels.
        channels: 1 for grey pictures, 3 for colour.
        level: the strength of degradation, in `Task.degrade`'s unit; None for another one in every episode, as in
            training.
        batch: how many episodes are played at once.
        device: where.

    Raises:
        UsageError: an unknown task, pictures that do not fit it, or a size, batch, level or device that is none.
    """

    def __init__(
        self,
        task: Task | str,
        task_arguments: Mapping[str, object] | None,
        pictures: Pictures,
        size: int,
        channels: int,
        level: float | None,
        batch: int,
        device: str | torch.device,
    ) -> None:
        for name, value, of in (("size", size, "pixels"), ("num_envs", batch, "episodes")):
            if type(value) is not int or not 1 <= value <= MOST:
                raise UsageError(f"{name} = {brief(value)} is no number of {of}; give a whole one from 1 to {MOST}")
        if not isinstance(task, (Task, str)):
            raise UsageError(f"task = {brief(task)} is no task; give a pixelrl.tasks.Task, or the name of one")
        if task_arguments is not None and not isinstance(task_arguments, Mapping):
            raise UsageError(f"task_arguments = {brief(task_arguments)} are none; give them by name")
        if isinstance(task, Task) and task_arguments:
            raise UsageError("task_arguments are for a task that is named; give them to the task itself")
        self.task = task if isinstance(task, Task) else build_task(task, dict(task_arguments or {}))
        self.actions = ActionSet(self.task.action_names, may_import=True)
        level = scalar(level)
        if level is not None and finite_number(level) is None:
            raise UsageError(f"level = {brief(level)} is no strength of degradation; give a number, or None for others")
        self.size, self.channels, self.level, self.batch = size, channels, level, batch
        try:
            self.device = torch.device(device)
        except (RuntimeError, TypeError, ValueError) as error:
            raise UsageError(f"device {brief(device)} is unknown; give cpu or cuda") from error
        photos = photos_for(self.task, pictures, channels)
        self._crops = Crops(photos, max(size, LEAST_SIDE), batch, self.device, setting="size")
        self._host_generator, self._generator = torch.Generator(), torch.Generator(self.device)
        self._start: Episode | None = None
        self._image: Image | None = None
        self._steps: Iterator[Step] | None = None
        self._chosen: ActionMap | None = None
        self._done = 0

    @property
    def planes(self) -> tuple[str, ...]:
        """What the planes of an observation are: the picture's channels, what the policy is told, and the time."""
        told = self.task.conditioning
        if isinstance(told, Nothing):
            names: tuple[str, ...] = ()
        elif told.num_planes == 1:
            names = (told.name,)
        else:
            names = tuple(f"{told.name} {i}" for i in range(told.num_planes))
        return (*NAMES[self.channels], *names, "time")

    def seed(self, seed: int) -> None:
        """Begin anew to draw random numbers; what follows depends on the seed alone."""
        self._host_generator.manual_seed(seed)
        self._generator.manual_seed(seed)

    @torch.no_grad()
    def begin(self) -> Observation:
        """Begin new episodes; those that are being played are given up."""
        clean = self._crops.sample(self._host_generator)
        if self.level is None:
            start = self.task.begin(clean, self._generator)
        else:
            start = self.task.degrade(clean, self.level, self._generator)
        self._start = middle(start, self.size)
        self._image, self._done = self._start.image, 0
        self._steps = episode(self._image, self.actions, self._act, self.task.num_steps)
        return self._observation()

    @torch.no_grad()
    def step(self, actions: Integer[Tensor, "b h w"]) -> Outcome:
        """Carry out an operation at every pixel, by its index in ``actions.names``.

        Raises:
            UsageError: no episode is being played, or these are no actions of so many pixels.
        """
        if self._steps is None:
            raise UsageError("no episode is being played; call reset first")
        shape = (self.batch, self.size, self.size)
        if tuple(actions.shape) != shape:
            raise UsageError(f"the actions are of shape {tuple(actions.shape)}; give one for each pixel, {shape}")
        steps, self._steps = self._steps, None
        self._chosen = actions[:, None].to(self.device)
        try:
            step = next(steps)
        except ValueError as error:
            raise UsageError(f"{error}; the episode is given up") from error
        reward_map = Game(self.task, self._begun(), self._scale(), price=0.0).played(step).reward[:, 0]
        self._image, self._done = step.after, self._done + 1
        ended = self._done == self.task.num_steps
        if not ended:
            self._steps = steps
        return Outcome(self._observation(), reward_map, ended)

    def metric(self) -> Float[Tensor, " b"]:
        """How good the pictures are now, by the measure `Task.metric_name`."""
        return self.task.metric(self._now(), self._begun())

    def picture(self) -> Image:
        """The pictures now, in sRGB, not clipped."""
        return from_space(self._now(), self.task.space)

    def _act(self, *_: object) -> Decision:
        assert self._chosen is not None, "an episode goes on only after somebody has chosen"
        return Decision(self._chosen)

    def _begun(self) -> Episode:
        if self._start is None:
            raise UsageError("no episode has begun; call reset first")
        return self._start

    def _now(self) -> Image:
        self._begun()
        assert self._image is not None, "an episode that has begun has an image"
        return self._image

    def _scale(self) -> Tensor:
        return self._begun().reward_scale[:, :, None, None]

    def _observation(self) -> Observation:
        image = self._now()
        time = image.new_full((self.batch, 1, self.size, self.size), self._done / self.task.num_steps)
        told = self._begun().condition.expand(-1, -1, self.size, self.size)
        if isinstance(self.task.conditioning, Nothing):
            told = told[:, :0]
        return torch.cat([image, told, time], 1)


def middle(start: Episode, size: int) -> Episode:
    """The middle of pictures as an episode begins, ``size`` pixels a side."""
    side = start.image.shape[-1]
    if side == size:
        return start
    first = (side - size) // 2
    there = (..., slice(first, first + size), slice(first, first + size))
    told = start.condition if start.condition.shape[-1] == 1 else start.condition[there]
    return replace(start, image=start.image[there], target=start.target[there], condition=told)
