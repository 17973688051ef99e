"""How sure a policy was of what a pixel did: its probabilities, which no run keeps, asked again around that pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from pixelrl.agent import Agent
from pixelrl.blocks.cut import Box, Reach, Span
from pixelrl.errors import UsageError
from pixelrl.report.asked import asked_again, condition_of, require_choosing
from pixelrl.trace import Trace
from pixelrl.types import Condition, Logits

_MOST_SURVEYED = 600_000
"""Pixels of a picture that a policy surveys as a whole before every step: more would take too long for an answer."""


@final
class Sure:
    """How sure a policy was in one run, for any of its pixels.

    Args:
        agent: the policy of the run.
        trace: the run.

    Raises:
        UsageError: the policy never learned to choose, or needs all of a large picture.
    """

    def __init__(self, agent: Agent, trace: Trace) -> None:
        self.agent, self.trace = agent, trace
        height, width = trace.actions.shape[-2:]
        require_choosing(trace, agent)
        if agent.policy.surveys and height * width > _MOST_SURVEYED:
            raise UsageError(
                f"{agent.name} looks at the whole picture before every step; of a large one that takes too long here"
            )

    @cached_property
    def _condition(self) -> Condition:
        """Of the whole picture, which says what the policy was told: of a part, noise looks otherwise than it did then.

        Of a large picture that takes seconds.
        """
        return condition_of(self.trace, self.agent)

    def of(self, x: int, y: int, progress: Callable[[float], object] = lambda share: None) -> list[list[list[float]]]:
        """In percent, the probability of every action of every agent of a pixel, at every step.

        As much of the picture is looked at as can make a difference there.

        Args:
            x: of the pixel, as it is stored.
            y: of the pixel, as it is stored.
            progress: called with the share of the work that is done; what it raises ends the work.

        Raises:
            UsageError: the policy does not fit the trace.
        """
        agent, trace = self.agent, self.trace
        steps, _, height, width = trace.actions.shape
        window = whole = Box.of(height, width)
        if not agent.policy.surveys:
            halo = Reach.of(agent.policy, agent.actions, steps, trace.legibility or 0.0).halo
            window = Box(Span(y, y + 1), Span(x, x + 1)).grown(halo, whole)
        rows, columns = (slice(span.start, span.stop) for span in (window.rows, window.columns))
        alike = self._condition.shape[-2:] == (1, 1)
        part = replace(
            trace,
            pixels=trace.pixels[rows, columns],
            actions=trace.actions[..., rows, columns],
            mask=None if trace.mask is None else trace.mask[rows, columns],
            alpha=None,
        )

        def read(logits: Logits) -> Tensor:
            return (200 * logits.float().softmax(1)).round().to(torch.uint8).flatten(1, 2)

        found, n = [], len(trace.action_names)
        condition = self._condition if alike else self._condition[..., rows, columns]
        for answer in asked_again(part, agent, read, condition=condition, progress=progress):
            here = answer[:, :, y - window.rows.start, x - window.columns.start].cpu()
            # Of one look all agents, or of each channel its own.
            agents = here.reshape(len(here), n, -1).movedim(1, 2).reshape(-1, n)
            found.append((agents / 2).tolist())
        return found
