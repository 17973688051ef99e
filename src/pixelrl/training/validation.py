"""Validation: how good a policy is on pictures that it does not learn from, while it is being trained."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pixelrl.actions import ActionSet
from pixelrl.imaging.metrics import bits_per_pixel
from pixelrl.policies import Policy
from pixelrl.rollout import rollout
from pixelrl.tasks import Task

BITS = "bits"
"""The column of the log for the bits per pixel of the maps."""

ValidationCrops = Mapping[str, Sequence[Tensor]]
"""Float crops ``(1, c, h, w)`` by the ending of their columns in the log (`pixelrl.training.pictures.Pictures`)."""


def columns_of(task: Task, crops: ValidationCrops) -> dict[str, tuple[str, str, str]]:
    """For each kind of validation crops, the names of what is measured.

    Of the bits per pixel, and of the metric of the result and of the estimate.
    """
    name = task.metric_name
    kinds = [kind for kind, own in crops.items() if own or not kind]
    return {kind: (f"{BITS}{kind}", f"{name}{kind}", f"{name}_estimate{kind}") for kind in kinds}


@torch.no_grad()
def validate(policy: Policy, task: Task, crops: ValidationCrops, device: torch.device) -> dict[str, float]:
    """The task's metric of the result and of the policy's estimate, and the bits per pixel of the maps of actions.

    All are means over crops and levels. For the photos of ``data.more_validation`` apart, under names that end in
    ``_more``.

    Args:
        policy: in evaluation mode.
        task: whose levels are measured, each with the same noise every time.
        crops: to measure on.
        device: that of policy and crops.
    """
    actions = ActionSet(task.action_names)
    totals: dict[str, list[float]] = {}
    for kind, (bits, of_result, of_estimate) in columns_of(task, crops).items():
        generator = torch.Generator(device).manual_seed(0)
        for level, clean in itertools.product(task.levels, crops[kind]):
            start = task.degrade(clean, level, generator)
            estimate = policy.estimate(policy.perceive(start.image, start.condition), start.image)
            if estimate is not None:
                totals.setdefault(of_estimate, []).append(task.metric(estimate, start).item())
            played, final = rollout(policy, actions, start.image, start.condition, task.num_steps)
            totals.setdefault(bits, []).append(bits_per_pixel(played.actions).item())
            totals.setdefault(of_result, []).append(task.metric(final, start).item())
    return {name: sum(values) / len(values) for name, values in totals.items()}
