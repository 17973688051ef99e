"""``pixelrl denoise``."""

from __future__ import annotations

import click

from pixelrl.cli.common import level
from pixelrl.cli.options import Level, Settings, Work, picture_options, policies_for
from pixelrl.cli.work import run
from pixelrl.errors import UsageError

POLICIES = {
    "gaussian": "denoise",
    "poisson": "poisson",
    "poisson-gaussian": "poisson-gaussian",
    "saltpepper": "saltpepper",
}
"""What the names of the policies for a kind of noise begin with."""
PHOTO = "denoise-photo"
"""The policy whose strength can be told."""


def _numbers(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, Level]:
    numbers: dict[str, Level] = {}
    for given in value:
        name, _, number = given.partition("=")
        try:
            numbers[name.strip()] = float(number)
        except ValueError as error:
            raise click.BadParameter(f"{given!r} is not a name and a number, such as gain=2.5") from error
    return numbers


@click.command()
@picture_options
@click.option(
    "--noise",
    type=click.Choice(list(POLICIES)),
    help="Kind of noise: which policy to use.  [default: as is seen in each picture]",
)
@click.option(
    "--sigma",
    metavar="N|auto",
    callback=level(0, "grey levels"),
    default="auto",
    show_default=True,
    help="Gaussian noise: its standard deviation in grey levels.",
)
@click.option(
    "--peak",
    metavar="N|auto",
    callback=level(1e-3, "photons at white"),
    default="auto",
    show_default=True,
    help="Poisson noise: photons at white.",
)
@click.option(
    "--gain",
    metavar="N|auto",
    callback=level(0, "the value of one photon"),
    default="auto",
    show_default=True,
    help="Poisson-Gaussian noise: the value of one photon, as the picture counts.",
)
@click.option(
    "--read",
    metavar="N|auto",
    callback=level(0, "a standard deviation"),
    default="auto",
    show_default=True,
    help="Poisson-Gaussian noise: its standard deviation without light, as the picture counts.",
)
@click.option(
    "--offset",
    metavar="N|auto",
    callback=level(-1e9, "a value"),
    default="auto",
    show_default=True,
    help="Poisson-Gaussian noise: the value without light, as the picture counts.",
)
@click.option(
    "--strength",
    type=click.FloatRange(0, 2),
    help="How much of the noise to remove from photographs: 1 as much as is seen, less, or more.  [default: 1]",
)
@click.option("--policy", help="A shipped policy or a policy file, instead of --noise.")
@click.option(
    "--condition",
    "conditions",
    multiple=True,
    metavar="NAME=N",
    callback=_numbers,
    help="A number that a policy of your own takes.",
)
def denoise(
    work: Work,
    noise: str | None,
    sigma: Level,
    peak: Level,
    gain: Level,
    read: Level,
    offset: Level,
    strength: float | None,
    policy: str | None,
    conditions: dict[str, Level],
) -> int:
    """Remove noise from pictures.

    INPUT is a file, a folder (its tree is mirrored under the output), a quoted pattern such as "scans/*.png", or - for
    standard input. Bit depth, alpha, ICC profile and EXIF data are kept. Of a stack or an animation, every picture is
    worked on; a folder of Zarr, such as slide.ome.zarr, is one picture, which need not fit into the memory.

    With nothing else said, the noise that is seen in each picture decides what it is given to: denoise-photo where
    neighbours share the noise or, in colour, its level depends on the brightness, as in photographs from cameras;
    poisson-gaussian-gray where it does in grey, as in pictures of few photons; the policies for salt & pepper where
    specks are exactly black and white; and those for Gaussian noise where it is white. A picture with next to no noise
    is left as it is. A noise level that is not given is estimated from each picture.
    """
    if noise is not None and policy is not None:
        raise UsageError("--noise and --policy both say which policy to use; give one")
    named = noise is not None or policy is not None
    sensor: dict[str, Level] = {"gain": gain, "read": read, "offset": offset}
    levels: dict[str, Level] = {"sigma": sigma, "peak": peak, **sensor, **conditions}
    if policy is None and any(value != "auto" for value in sensor.values()):
        noise = noise or "poisson-gaussian"
    if policy is None and peak != "auto":
        noise = noise or "poisson"
    if strength is not None:
        levels["strength"] = strength
        policy = policy or (PHOTO if noise is None else None)
    numbers = [name for name, value in levels.items() if value != "auto"]
    settings = Settings(
        policies_for(policy, POLICIES[noise or "gaussian"]),
        levels,
        by_noise=noise is None and policy is None and not numbers,
        by_peak=noise == "poisson",
        implied_by=() if named else tuple(f"--{name}" for name in numbers if name not in conditions),
    )
    return run(work, settings)
