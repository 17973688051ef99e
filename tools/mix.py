"""Mix the weights of a policy with those of one that was trained on from it: OLD + SHARE * (NEW - OLD).

    python tools/mix.py OLD NEW SHARE -o RUN/policy.safetensors [--estimator marks]

A policy that learns something new from a trained one forgets a little; in between, both are often better than at either
end (Wortsman et al., CVPR 2022). SHARE is chosen on validation pictures; what NEW's file says of its
training is kept, but for its scores.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from pixelrl.checkpoint import find_policy, load_policy, save_policy
from pixelrl.errors import UsageError


def mix(old: str, new: str, share: float, target: Path, estimator: str | None = None) -> None:
    """Write the mixture as a policy file.

    Raises:
        UsageError: no such policies, or not two of one kind with the same operations.

    NEW may take more planes of condition: OLD's one then counts a share in each (`Policy.adapted`). It may have blocks
    at an eighth of the resolution: OLD counts as if it had them, without a way up from them. The mixture may have
    another ``estimator`` that has the same weights, whichever OLD and NEW have.
    """
    (one, card), (other, newer) = (load_policy(find_policy(name)) for name in (old, new))
    free = {"condition_planes": 1} | ({} if estimator is None else {"estimator": estimator})
    if not card.arguments.get("deepest"):
        free |= {"deepest": 0, "deepest_width": 1}
    if (card.kind, card.arguments | free, card.action_names) != (
        newer.kind,
        newer.arguments | free,
        newer.action_names,
    ):
        raise UsageError(f"{old} and {new} are not of one kind with the same operations; their weights cannot be mixed")
    weights = one.state_dict()
    mixture = {}
    for name, mine in other.state_dict().items():
        if name not in weights and name.startswith("encoder.deepest."):
            mixture[name] = share * mine if name.startswith("encoder.deepest.up.") else mine
        else:
            mixture[name] = other.adapted(name, weights[name]).lerp(mine, share)
    if estimator is not None:
        newer = replace(newer, arguments={**newer.arguments, "estimator": estimator})
        other = newer.build()
    other.load_state_dict(mixture)
    told = ("recipe", "iterations", "minutes", "judge", "factors")  # by the latter it is known to choose as it learned
    kept = {key: newer.training[key] for key in told if key in newer.training}
    save_policy(target, other, replace(newer, training={**kept, "mixed": {"with": card.name, "share": share}}))


@click.command(help=__doc__)
@click.argument("old")
@click.argument("new")
@click.argument("share", type=click.FloatRange(0, 1))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--estimator", help="How the mixture's estimate comes about, if not as NEW's.")
def main(old: str, new: str, share: float, output: Path, estimator: str | None) -> None:
    """Mix two policies."""
    try:
        mix(old, new, share, output, estimator)
    except UsageError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
