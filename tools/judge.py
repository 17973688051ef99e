"""Give a policy that consults the judge of another one, with its factors: all that is learned by reinforcement.

    python tools/judge.py POLICY JUDGE -o RUN/policy.safetensors [--factors] [--opponent] [--legibility L]

The judge sees how far outcomes miss the estimate, in units that follow the noise, and neither operations nor
pictures. So one that learned on grey noise can serve colour, photons or text; docs/legibility.md says which policies
have which judge, and what it is worth there. With --factors the policy gets the factors alone, and a judge that says
nothing: for salt & pepper that was as good. With --opponent the agents of the policy work on opponent colours from then
on, which needs no other weights: the encoder sees red, green and blue all the same. POLICY and JUDGE may be one.

POLICY may also be a lookahead policy, which is what recipes make that train an encoder alone. Then it becomes one that
consults, with its encoder and its training, and with the operations, steps, colours and default of JUDGE.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import torch

from pixelrl.checkpoint import PolicyCard, find_policy, load_policy, save_policy
from pixelrl.errors import UsageError
from pixelrl.imaging.color import OPPONENT
from pixelrl.policies import Consulting, Policy

PARTS = ("judge.", "log_factors")
"""What the names of the weights begin with that are learned by reinforcement."""
ENCODER = ("width", "deep_width", "depths", "deepest", "deepest_width", "num_channels")
"""The arguments of a policy that say how large its encoder is."""


def give(
    name: str,
    judge: str,
    target: Path,
    factors: bool = False,
    opponent: bool = False,
    legibility: float | None = None,
) -> None:
    """Write the policy with the other's judge as a policy file.

    Args:
        name: of the policy, or its file: one that consults, or a lookahead policy, whose encoder is taken.
        judge: the other policy's.
        target: what to write.
        factors: whether the judge is to say nothing, so that the factors alone choose.
        opponent: whether its agents are to work on opponent colours.
        legibility: its default; None for the one that it has.

    Raises:
        UsageError: no such policies, or not two that consult, with as many steps and judges of one size.
    """
    (policy, card), (other, its_card) = (load_policy(find_policy(each)) for each in (name, judge))
    if card.kind == "lookahead" and its_card.kind == "consulting":
        policy, card = consulting(policy, card, its_card)
    if not isinstance(policy, Consulting) or not isinstance(other, Consulting):
        raise UsageError(f"{name} and {judge} are not both of the kind consulting; others have no judge")
    theirs = {key: weight for key, weight in other.state_dict().items() if key.startswith(PARTS)}
    if any(weight.shape != policy.state_dict()[key].shape for key, weight in theirs.items()):
        raise UsageError(f"{name} and {judge} have judges of different sizes, or for another number of steps")
    policy.load_state_dict({**policy.state_dict(), **theirs})
    if factors:
        with torch.no_grad():
            policy.judge.leave.zero_()
    arguments = dict(card.arguments)
    if opponent:
        arguments["opponent"], card = True, replace(card, space=OPPONENT)
    if legibility is not None:
        arguments["default_legibility"] = legibility
    changed = replace(card, arguments=arguments).build()
    changed.load_state_dict(policy.state_dict())
    kept = {key: card.training[key] for key in ("recipe", "iterations", "minutes", "mixed") if key in card.training}
    training = {**kept, "factors" if factors else "judge": its_card.name}
    save_policy(target, changed, replace(card, arguments=arguments, training=training))


def consulting(policy: Policy, card: PolicyCard, like: PolicyCard) -> tuple[Policy, PolicyCard]:
    """A policy that consults with the encoder of another one, and with a judge that has learned nothing yet.

    Args:
        policy: the one whose encoder is taken.
        card: its card.
        like: the card of the policy that it is to be like in all but the encoder.

    Raises:
        UsageError: the two are told something else, or their estimates come about in another way.
    """
    size = {name: card.arguments[name] for name in ENCODER if name in card.arguments}
    kept = {name: value for name, value in like.arguments.items() if name not in ENCODER}
    mine = replace(like, name=card.name, arguments={**kept, **size}, training=card.training)
    made = mine.build()
    theirs, ours = policy.state_dict(), made.state_dict()
    taken = {name: theirs.get(name) for name in ours if not name.startswith(PARTS)}
    unfit = [name for name, weight in taken.items() if weight is None or weight.shape != ours[name].shape]
    alike = [each.arguments.get("estimator") for each in (card, like)]
    if unfit or card.condition != like.condition or alike[0] != alike[1]:
        raise UsageError(f"{card.name} has another kind of encoder than {like.name}, or is told something else")
    made.load_state_dict({**ours, **taken})
    return made, mine


@click.command(help=__doc__)
@click.argument("policy")
@click.argument("judge")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--factors", is_flag=True, help="Its factors alone; the judge says nothing.")
@click.option("--opponent", is_flag=True, help="Agents of opponent colours instead of red, green and blue.")
@click.option("--legibility", type=click.FloatRange(0, 1), help="The default of what is told.")
def main(policy: str, judge: str, output: Path, factors: bool, opponent: bool, legibility: float | None) -> None:
    """Give a policy another's judge."""
    try:
        give(policy, judge, output, factors, opponent, legibility)
    except UsageError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
