"""``pixelrl denoise``."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from pixelrl.cli.common import DEVICE_OPTION, EXIT_INPUTS, EXIT_INTERRUPTED, PATH, complain, parse_level
from pixelrl.errors import InputError, UsageError

if TYPE_CHECKING:
    from pixelrl.agent import Agent
    from pixelrl.edits import Edit

Report = dict[str, object]
Level = float | Literal["auto"]

POLICIES = {"gaussian": "denoise", "poisson": "poisson", "saltpepper": "saltpepper"}
"""What the names of the policies for a kind of noise begin with."""


@dataclass(frozen=True)
class Settings:
    """How every picture is worked on."""

    agent_for: Callable[[int], Agent]
    sigma: Level
    peak: Level
    steps: int | None
    ensemble: bool
    edits: Sequence[Edit]


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-o", "--output", required=True, type=PATH, help="A picture for one input, else a folder.")
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
@click.option("--ensemble", is_flag=True, help="Mean of eight runs, mirrored and turned: better, 8 times slower.")
@click.option(
    "--steps", type=click.IntRange(min=0), help="Steps per pixel; what the policy was trained for if left out."
)
@click.option("--trace", type=PATH, help="Also write what every pixel did (one input only); see `pixelrl show`.")
@click.option("--edits", type=PATH, help="Edits (JSON) that overrule the agents; the policy reacts to them.")
@click.option("--suffix", default="", help="Added to the names of the results, before the dot.")
@click.option("--overwrite", is_flag=True, help="Replace results that exist.")
@click.option("--skip-existing", is_flag=True, help="Leave results that exist, and go on.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per picture instead of text.")
@DEVICE_OPTION
def denoise(
    inputs: tuple[str, ...],
    output: Path,
    noise: str | None,
    sigma: Level,
    peak: Level,
    policy: str | None,
    ensemble: bool,
    steps: int | None,
    trace: Path | None,
    edits: Path | None,
    suffix: str,
    overwrite: bool,
    skip_existing: bool,
    as_json: bool,
    device: str,
) -> int:
    """Remove noise from pictures.

    INPUT is a file, a folder (its tree is mirrored under the output) or a quoted pattern such as "scans/*.png". Bit
    depth, alpha, ICC profile and EXIF data are kept. A noise level that is not given is estimated from each picture.
    """
    from pixelrl.edits import load_edits
    from pixelrl.images import list_pictures

    if overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other; give one")
    if Path(suffix).name != suffix:
        raise UsageError(f"--suffix {suffix!r} is not part of a file name; give one without slashes")
    if noise is not None and policy is not None:
        raise UsageError("--noise and --policy both say which policy to use; give one")
    if ensemble and trace is not None:
        raise UsageError("--ensemble averages eight runs, which have no common --trace; give one of them")
    if ensemble and edits is not None:
        raise UsageError("--ensemble averages eight runs, which have no common --edits; give one of them")
    edited = () if edits is None else load_edits(edits)
    settings = Settings(_chooser(policy, POLICIES[noise or "gaussian"], device), sigma, peak, steps, ensemble, edited)
    settings.agent_for(1)  # a policy that is not there is refused before anything else
    found, problems = list_pictures(inputs)
    targets = place(found, output, suffix, alone=len(inputs) == 1 and not Path(inputs[0]).is_dir())
    if not (overwrite or skip_existing):
        taken = [target for _, target in targets if target.exists()]
        if taken:
            more = f" (and {len(taken) - 1} more)" if len(taken) > 1 else ""
            raise UsageError(f"{taken[0]} exists{more}; give --overwrite to replace it or --skip-existing to leave it")
    if trace is not None and len(targets) != 1:
        raise UsageError(f"--trace writes what happened to one picture; {len(targets)} were given")
    if trace is not None and trace.exists() and not overwrite:
        raise UsageError(f"{trace} exists; give --overwrite to replace it")
    if trace is not None:
        if trace.resolve() in {path.resolve() for pair in targets for path in pair}:
            raise UsageError(f"--trace {trace} is also the picture; give the trace another name")
        if not os.access(trace.parent, os.W_OK):
            raise UsageError(
                f"--trace {trace} cannot be written: {trace.parent} is not a folder that can be written to"
            )
    for problem in problems:
        complain(str(problem))
    failed, done = len(problems), 0
    with ExitStack() as stack:
        advance = _progress_bar(stack, len(targets))
        for source, target in targets:
            if skip_existing and target.exists():
                report: Report = {"input": str(source), "output": str(target), "skipped": True}
            else:
                try:
                    several = len(targets) > 1
                    report = _denoise_one(settings, source, target, trace, overwrite, several)
                    done += 1
                except InputError as error:
                    complain(str(error))
                    failed += 1
                    report = {"input": str(source), "error": str(error)}
                except KeyboardInterrupt:
                    complain(f"interrupted; {done} of {len(targets)} pictures are done")
                    sys.exit(EXIT_INTERRUPTED)
            advance()
            if as_json:
                click.echo(json.dumps(report))
            elif "error" not in report:
                click.echo(_sentence(report))
    return EXIT_INPUTS if failed else 0


def place(found: Sequence[tuple[Path, Path]], output: Path, suffix: str, alone: bool) -> list[tuple[Path, Path]]:
    """The output file of every input.

    Args:
        found: files with their path relative to what was asked for (`pixelrl.images.list_pictures`).
        output: as given.
        suffix: added to the stem.
        alone: a single file was named, so ``output`` may itself be the picture to write.

    Raises:
        UsageError: a picture's name for several inputs, or a folder that cannot be made.
    """
    from pixelrl.images import SUFFIXES

    # With one input any suffix means a picture, so that an unknown one is refused instead of becoming a folder.
    pictures = output.suffix != "" if alone else output.suffix.lower() in SUFFIXES
    names_a_picture = pictures and not output.is_dir()
    if names_a_picture and not alone:
        raise UsageError(f"several inputs cannot all become {output}; give a folder as -o")
    if names_a_picture:
        targets = [(source, output.with_stem(output.stem + suffix)) for source, _ in found]
    else:
        targets = [(source, output / name.with_stem(name.stem + suffix)) for source, name in found]
    for _, target in targets:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"output folder {target.parent} cannot be made: {error.strerror}") from error
    return targets


def _chooser(policy: str | None, stem: str, device: str) -> Callable[[int], Agent]:
    """Which policy a picture of so many channels gets: the one given, or the kind of noise's own for grey or colour."""
    from pixelrl.agent import load
    from pixelrl.checkpoint import shipped_policies

    loaded = cache(lambda name: load(name, device))

    def agent_for(channels: int) -> Agent:
        color = f"{stem}-color"
        return loaded(policy or (color if channels == 3 and color in shipped_policies() else f"{stem}-gray"))

    return agent_for


def _denoise_one(
    settings: Settings, source: Path, target: Path, trace: Path | None, overwrite: bool, several: bool
) -> Report:
    from pixelrl.images import check_writable, read_picture, write_picture
    from pixelrl.trace import save_trace

    picture = read_picture(source)
    try:
        check_writable(target, picture, overwrite=overwrite)  # before the work, not after it
    except UsageError as error:
        if several:  # this one picture's format, say: the others can still be done
            raise InputError(str(error)) from error
        raise
    began = time.perf_counter()
    agent = settings.agent_for(picture.pixels.shape[2] if picture.pixels.ndim == 3 else 1)
    if settings.ensemble:
        image, told = agent.ensemble(picture.pixels, settings.sigma, settings.peak, settings.steps)
    else:
        result = agent(picture.pixels, settings.sigma, settings.peak, settings.steps, edits=settings.edits)
        image, told = result.image, dict(result.condition)
    seconds = time.perf_counter() - began
    write_picture(target, picture.with_pixels(image), overwrite=overwrite)
    if trace is not None:
        save_trace(trace, result.trace())
    return {
        "input": str(source),
        "output": str(target),
        "policy": agent.name,
        **told,
        "estimated": [name for name in told if {"sigma": settings.sigma, "peak": settings.peak}[name] == "auto"],
        "steps": agent.card.num_steps if settings.steps is None else settings.steps,
        "ensemble": settings.ensemble,
        "seconds": round(seconds, 3),
        "trace": None if trace is None else str(trace),
        "notes": list(picture.notes),
    }


def _sentence(report: Report) -> str:
    if report.get("skipped"):
        return f"{report['input']}: {report['output']} exists, left alone"
    estimated, words = report["estimated"], ""
    assert isinstance(estimated, list)
    for name in ("sigma", "peak"):
        if name in report:
            words += f", {name} {report[name]:.1f}{' (estimated)' if name in estimated else ''}"
    notes = report["notes"]
    remarks = "".join(f"; {note}" for note in notes) if isinstance(notes, list) else ""
    return f"{report['input']} -> {report['output']}{words}, {report['seconds']} s{remarks}"


def _progress_bar(stack: ExitStack, total: int) -> Callable[[], object]:
    """Shown on a terminal only; the returned function advances it by one picture."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    visible = console.is_terminal and total > 1
    progress = stack.enter_context(Progress(*columns, console=console, transient=True, disable=not visible))
    task = progress.add_task("", total=total)
    return lambda: progress.advance(task)
