"""Choosing actions at random, as training does."""

from __future__ import annotations

import torch

from pixelrl.rollout import Choose
from pixelrl.training.parallel import ALONE, Processes
from pixelrl.types import ActionMap, Logits


def sampler(generator: torch.Generator, processes: Processes = ALONE) -> Choose:
    """Sample every agent's action from softmax(logits): the Gumbel-max trick, on the generator's device.

    Of several processes, each draws for the whole batch and uses its part: so all generators stay alike.
    """

    def sample(logits: Logits) -> ActionMap:
        whole = (processes.world * len(logits), *logits.shape[1:])
        uniform = processes.mine(torch.rand(whole, generator=generator, device=logits.device))
        return (logits - uniform.clamp_min(1e-20).log().neg().log()).argmax(1).to(torch.uint8)

    return sample
