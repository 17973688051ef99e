"""``pixelrl denoise``."""

from __future__ import annotations

import click

from pixelrl.cli.common import parse_level
from pixelrl.cli.work import Level, Settings, Work, chooser, picture_options, run
from pixelrl.errors import UsageError

POLICIES = {"gaussian": "denoise", "poisson": "poisson", "saltpepper": "saltpepper"}
"""What the names of the policies for a kind of noise begin with."""


@click.command()
@picture_options
@click.option(
    "--noise", type=click.Choice(list(POLICIES)), help="Kind of noise: which policy to use.  [default: gaussian]"
)
@click.option(
    "--sigma",
    metavar="N|auto",
    callback=parse_level,
    default="auto",
    show_default=True,
    help="Gaussian noise: its standard deviation in grey levels.",
)
@click.option(
    "--peak",
    metavar="N|auto",
    callback=parse_level,
    default="auto",
    show_default=True,
    help="Poisson noise: photons at white.",
)
@click.option("--policy", help="A shipped policy or a policy file, instead of --noise.")
def denoise(work: Work, noise: str | None, sigma: Level, peak: Level, policy: str | None) -> int:
    """Remove noise from pictures.

    INPUT is a file, a folder (its tree is mirrored under the output) or a quoted pattern such as "scans/*.png". Bit
    depth, alpha, ICC profile and EXIF data are kept. A noise level that is not given is estimated from each picture.
    """
    if noise is not None and policy is not None:
        raise UsageError("--noise and --policy both say which policy to use; give one")
    agent_for = chooser(policy, POLICIES[noise or "gaussian"], work.device)
    return run(work, Settings(agent_for, {"sigma": sigma, "peak": peak}))
