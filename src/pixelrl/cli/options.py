"""The options that the commands on pictures share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from pixelrl.cli.common import (
    DASK_OPTION,
    DEVICE_OPTION,
    FORMAT_OPTION,
    INPUT,
    LEGIBILITY_OPTION,
    PATH,
    PRECISION_OPTION,
    QUALITY_OPTION,
    THREADS_OPTION,
    WHITE_OPTION,
    WORKERS_OPTION,
    Box,
    shard,
)
from pixelrl.engines import Shard
from pixelrl.policy_files import Command, for_channels

if TYPE_CHECKING:
    from pixelrl.agent import Agent

Level = float | Literal["auto"]

DEPTHS = {"8": "uint8", "16": "uint16", "32": "float32"}
"""The dtype of pictures of so many bits."""


@dataclass(frozen=True)
class Work:
    """The options that `picture_options` adds, as they were given."""

    inputs: tuple[str, ...]
    output: Path
    ensemble: bool
    steps: int | None
    legibility: float | None
    trace: Path | None
    edits: Path | None
    suffix: str
    kind: str | None
    quality: int | None
    depth: str | None
    white: float | None
    overwrite: bool
    skip_existing: bool
    as_json: bool
    device: str
    precision: str
    threads: int | None
    workers: int | None
    dask: str | None
    shard: Shard | None
    report: Path | None


_OPTIONS = (
    click.argument("inputs", nargs=-1, required=True, type=INPUT, metavar="INPUT..."),
    click.option(
        "-o",
        "--output",
        required=True,
        type=PATH,
        help="A picture for one input, else a folder; - for standard output.",
    ),
    click.option("--ensemble", is_flag=True, help="Mean of eight runs, mirrored and turned: better, 8 times slower."),
    click.option(
        "--steps", type=click.IntRange(0, 1000), help="Steps per pixel; what the policy was trained for if left out."
    ),
    LEGIBILITY_OPTION,
    click.option("--trace", type=PATH, help="Also write what every pixel did (one input only); see `pixelrl show`."),
    click.option("--edits", type=PATH, help="Edits (JSON) that overrule the agents; the policy reacts to them."),
    click.option("--suffix", default="", help="Added to the names of the results, before the dot."),
    FORMAT_OPTION,
    QUALITY_OPTION,
    click.option(
        "--bit-depth", "depth", type=click.Choice(list(DEPTHS)), help="Of the results.  [default: as the input]"
    ),
    WHITE_OPTION,
    click.option("--overwrite", is_flag=True, help="Replace results that exist."),
    click.option("--skip-existing", is_flag=True, help="Leave results that exist, and go on."),
    click.option("--json", "as_json", is_flag=True, help="Print a JSON object per picture instead of text."),
    DEVICE_OPTION,
    PRECISION_OPTION,
    THREADS_OPTION,
    WORKERS_OPTION,
    DASK_OPTION,
    click.option(
        "--shard",
        metavar="I/N",
        callback=shard,
        help="Do the share I of N, from 1/N to N/N, of the pictures; for batch systems.",
    ),
    click.option(
        "--report",
        type=PATH,
        help="Also write a line of JSON for each picture; --skip-existing adds to a file that is there.",
    ),
)


def picture_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command INPUT, -o and the other options of `Work`, which it receives as its argument ``work``."""

    @functools.wraps(command)
    def gathered(**given: object) -> int:
        work = Work(**{field.name: given.pop(field.name) for field in fields(Work)})  # type: ignore[arg-type]
        return command(work=work, **given)

    result: Callable[..., int] = gathered
    for option in reversed(_OPTIONS):
        result = option(result)
    return result


@dataclass(frozen=True)
class Settings:
    """What a command says beside the shared options.

    Attributes:
        policies: the names or files of the policies for grey and for colour pictures.
        levels: what the policy is told, by name (sigma, peak, strength), as given.
        mask: the picture of the object, for policies that take one.
        save_mask: where to write the object that was emphasised or attenuated.
        command: its name; policies of which it is known that they are for another one are refused.
        seeks_text: whether text is sought, so that it is to be said if none was found.
        within: a picture, white where text is sought; everywhere if it and ``region`` are left out.
        region: ``(x0, y0, x1, y1)``, likewise, in pixels of the picture as viewers show it.
        by_noise: whether the noise that is seen in each picture says which policy it is given to, instead of
            ``policies``.
        by_peak: whether the peak of Poisson noise, in the levels or as estimated, says which of ``policies`` is taken.
        by_text: whether the text that is seen in a grey picture says which policy it is given to.
        implied_by: the options whose numbers alone said what kind of noise there is, such as ``--strength``.
    """

    policies: tuple[str, str]
    levels: Mapping[str, Level]
    mask: Path | None = None
    save_mask: Path | None = None
    command: Command = "denoise"
    seeks_text: bool = False
    within: Path | None = None
    region: Box | None = None
    by_noise: bool = False
    by_peak: bool = False
    by_text: bool = False
    implied_by: tuple[str, ...] = ()
    # Of this command alone: a file of the same name may be another one when the next command runs in this process.
    _agents: dict[str, Agent] = field(default_factory=dict, repr=False)

    @property
    def given(self) -> dict[str, float]:
        """Those of the levels that are numbers; the others are to be estimated."""
        return {name: value for name, value in self.levels.items() if value != "auto"}

    @property
    def limited(self) -> bool:
        """Whether text is sought in a part of the picture alone."""
        return self.within is not None or self.region is not None

    def agent(self, policy: str, work: Work) -> Agent:
        """A policy, loaded once."""
        if policy not in self._agents:
            from pixelrl.agent import load

            self._agents[policy] = load(policy, work.device, work.precision)
        return self._agents[policy]


def policies_for(policy: str | None, stem: str) -> tuple[str, str]:
    """The policies for grey and colour pictures: the one given, or the shipped ones whose names begin with ``stem``."""
    return for_channels(stem) if policy is None else (policy, policy)
