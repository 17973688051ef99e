"""Learning by search among judges: every picture of a batch tries two opposite changes of the weights.

Agents that consult choose together, and what a weight of the judge is worth shows in whole episodes only: no action
and no region has it to itself. So the weights themselves are explored (Sehnke et al., "Parameter-exploring policy
gradients", Neural Networks 2010; Salimans et al., arXiv 1703.03864). Each picture of a batch is played twice with the
same noise, by the weights w + e and w - e, and e is drawn anew for each picture ::

    gradient = mean over pictures of (log C(w + e) - log C(w - e)) e / (2 spread^2)

C is what an episode costs: what the result misses of the target, in the unit in which disagreeing with all neighbours
costs 1, and the bits per pixel of the maps, for a bit stands for about a third of a disagreement. That is the measure
by which maps are read (`pixelrl.imaging.metrics.bits_per_pixel`), and of no single agent, so only whole episodes can
be paid by it. The logarithm lets all prices count alike. The gradient is that of the mean
of log C around w, with the agents' whole consultation in it. It needs no value and no gradient through the policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import torch
from torch import Tensor, nn

from pixelrl.imaging.metrics import bits_per_pixel
from pixelrl.policies import Memory
from pixelrl.rl.neighbours import dissent
from pixelrl.rollout import Actor, episode
from pixelrl.tasks import Episode
from pixelrl.training.learner import ConsultingLearner, Game, Logged

SPREAD = 0.12
"""Standard deviation of the changes that are tried."""
BIT = 1 / 3
"""What a bit costs, where disagreeing with all neighbours costs 1."""
LEAST_COST = 1e-6
"""Added before the logarithm: an episode without any fault costs nothing."""


class SearchLearner(ConsultingLearner):
    """Searches among the judges of a policy whose agents consult."""

    def updates(self, start: Episode, generator: torch.Generator) -> Iterator[tuple[Tensor, Logged]]:
        """Play every picture twice, and yield a loss whose gradient is the one found."""
        weights = self.consulting.choosing()
        with torch.no_grad():
            memory, game = self.perceived(start, generator)
            kept = nn.utils.parameters_to_vector(weights)
            drawn = torch.randn(
                (self.processes.world * len(memory), len(kept)), generator=generator, device=memory.device
            )
            gradient, costs, dissents = torch.zeros_like(kept), [], []
            for i, change in enumerate(SPREAD * self.processes.mine(drawn)):
                logs = []
                for sign in (1, -1):
                    nn.utils.vector_to_parameters(kept + sign * change, weights)
                    cost, disagreed = self._cost(game, memory[i : i + 1], i)
                    logs.append((cost + LEAST_COST).log())
                    costs.append(cost)
                    dissents.append(disagreed)
                gradient += (logs[0] - logs[1]) * change / (2 * SPREAD**2 * len(memory))
            nn.utils.vector_to_parameters(kept, weights)
        # Its value is 0 and says nothing; its gradient is the one above.
        now = nn.utils.parameters_to_vector(weights)
        loss = ((now - now.detach()) * gradient).sum()
        logged = {
            "policy_loss": torch.stack(costs).add(LEAST_COST).log().mean().item(),
            "reward": -torch.stack(costs).mean().item(),
            "dissent": torch.stack(dissents).mean().item(),
        }
        yield loss, logged

    def _cost(self, game: Game, memory: Memory, i: int) -> tuple[Tensor, Tensor]:
        """What the episode of a batch's i-th picture costs, and the share of neighbours that disagree in it."""
        start = replace(
            game.start, **{each.name: getattr(game.start, each.name)[i : i + 1] for each in fields(Episode)}
        )
        actor = Actor(self.policy, None, memory)
        steps = list(episode(start.image, self.actions, actor, self.task.num_steps))
        maps = torch.stack([step.decision.actions for step in steps])
        bits = bits_per_pixel(maps).mean().to(memory.device) / maps.shape[2]
        # What going to the target at once would still earn is what the result misses of it.
        left = game.scale[i : i + 1] * self.task.step_reward(start, steps[-1].after, start.target)
        return left.mean() + BIT * bits, torch.stack([dissent(each).mean() for each in maps]).mean()
