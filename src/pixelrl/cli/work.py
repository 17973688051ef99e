"""What the commands that work on pictures share: their options, and the way through many pictures."""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from pixelrl.cli.common import DEVICE_OPTION, EXIT_INPUTS, EXIT_INTERRUPTED, PATH, complain
from pixelrl.errors import InputError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pixelrl.agent import Agent
    from pixelrl.edits import Edit

Report = dict[str, object]
Level = float | Literal["auto"]


@dataclass(frozen=True)
class Work:
    """The options that `picture_options` adds, as they were given."""

    inputs: tuple[str, ...]
    output: Path
    ensemble: bool
    steps: int | None
    trace: Path | None
    edits: Path | None
    suffix: str
    overwrite: bool
    skip_existing: bool
    as_json: bool
    device: str


_OPTIONS = (
    click.argument("inputs", nargs=-1, required=True, metavar="INPUT..."),
    click.option("-o", "--output", required=True, type=PATH, help="A picture for one input, else a folder."),
    click.option("--ensemble", is_flag=True, help="Mean of eight runs, mirrored and turned: better, 8 times slower."),
    click.option(
        "--steps", type=click.IntRange(min=0), help="Steps per pixel; what the policy was trained for if left out."
    ),
    click.option("--trace", type=PATH, help="Also write what every pixel did (one input only); see `pixelrl show`."),
    click.option("--edits", type=PATH, help="Edits (JSON) that overrule the agents; the policy reacts to them."),
    click.option("--suffix", default="", help="Added to the names of the results, before the dot."),
    click.option("--overwrite", is_flag=True, help="Replace results that exist."),
    click.option("--skip-existing", is_flag=True, help="Leave results that exist, and go on."),
    click.option("--json", "as_json", is_flag=True, help="Print a JSON object per picture instead of text."),
    DEVICE_OPTION,
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
    """How every picture is worked on.

    Attributes:
        agent_for: the policy for a picture of so many channels.
        levels: what the policy is told, by name (sigma, peak, strength).
        mask: for saliency.
    """

    agent_for: Callable[[int], Agent]
    levels: Mapping[str, Level]
    mask: npt.NDArray[np.bool_] | None = None


def run(work: Work, settings: Settings) -> int:
    """Work on all pictures: the exit code.

    Raises:
        UsageError: options that contradict each other, a result that exists, or one that cannot be written.
    """
    from pixelrl.edits import load_edits
    from pixelrl.pictures.files import list_pictures

    trace, overwrite = work.trace, work.overwrite
    if overwrite and work.skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other; give one")
    if Path(work.suffix).name != work.suffix:
        raise UsageError(f"--suffix {work.suffix!r} is not part of a file name; give one without slashes")
    for name, value in (("--trace", trace), ("--edits", work.edits)):
        if work.ensemble and value is not None:
            raise UsageError(f"--ensemble averages eight runs, which have no common {name}; give one of them")
    edits = () if work.edits is None else load_edits(work.edits)
    settings.agent_for(1)  # a policy that is not there is refused before anything else
    listing = list_pictures(work.inputs)
    found, problems = listing.files, listing.problems
    alone = len(work.inputs) == 1 and not Path(work.inputs[0]).is_dir()
    targets = place(found, work.output, work.suffix, alone)
    if not (overwrite or work.skip_existing):
        taken = [target for _, target in targets if target.exists()]
        if taken:
            more = f" (and {len(taken) - 1} more)" if len(taken) > 1 else ""
            raise UsageError(f"{taken[0]} exists{more}; give --overwrite to replace it or --skip-existing to leave it")
    if trace is not None:
        _check_trace(trace, targets, overwrite)
    for problem in problems:
        complain(str(problem))
    failed, done = len(problems), 0
    with ExitStack() as stack:
        advance = _progress_bar(stack, len(targets))
        for source, target in targets:
            if work.skip_existing and target.exists():
                report: Report = {"input": str(source), "output": str(target), "skipped": True}
            else:
                try:
                    report = _one(work, settings, edits, source, target, several=len(targets) > 1)
                    done += 1
                except InputError as error:
                    complain(str(error))
                    failed += 1
                    report = {"input": str(source), "error": str(error)}
                except KeyboardInterrupt:
                    complain(f"interrupted; {done} of {len(targets)} pictures are done")
                    sys.exit(EXIT_INTERRUPTED)
            advance()
            if work.as_json:
                click.echo(json.dumps(report))
            elif "error" not in report:
                click.echo(_sentence(report))
    return EXIT_INPUTS if failed else 0


def _check_trace(trace: Path, targets: Sequence[tuple[Path, Path]], overwrite: bool) -> None:
    if len(targets) != 1:
        raise UsageError(f"--trace writes what happened to one picture; {len(targets)} were given")
    if trace.exists() and not overwrite:
        raise UsageError(f"{trace} exists; give --overwrite to replace it")
    if trace.resolve() in {path.resolve() for pair in targets for path in pair}:
        raise UsageError(f"--trace {trace} is also the picture; give the trace another name")
    if not os.access(trace.parent, os.W_OK):
        raise UsageError(f"--trace {trace} cannot be written: {trace.parent} is not a folder that can be written to")


def place(found: Sequence[tuple[Path, Path]], output: Path, suffix: str, alone: bool) -> list[tuple[Path, Path]]:
    """The output file of every input.

    Args:
        found: files with their path relative to what was asked for (`pixelrl.pictures.files.list_pictures`).
        output: as given.
        suffix: added to the stem.
        alone: a single file was named, so ``output`` may itself be the picture to write.

    Raises:
        UsageError: a picture's name for several inputs, or a folder that cannot be made.
    """
    from pixelrl.pictures.files import SUFFIXES

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


def chooser(policy: str | None, stem: str, device: str) -> Callable[[int], Agent]:
    """Which policy a picture of so many channels gets: the one given, or of ``stem``'s the grey or colour one."""
    from pixelrl.agent import load
    from pixelrl.checkpoint import shipped_policies

    loaded = functools.cache(lambda name: load(name, device))

    def agent_for(channels: int) -> Agent:
        color = f"{stem}-color"
        return loaded(policy or (color if channels == 3 and color in shipped_policies() else f"{stem}-gray"))

    return agent_for


def _one(work: Work, settings: Settings, edits: Sequence[Edit], source: Path, target: Path, several: bool) -> Report:
    from pixelrl.pictures.files import check_writable, read_picture, write_picture
    from pixelrl.trace import save_trace

    picture = read_picture(source)
    try:
        check_writable(target, picture, overwrite=work.overwrite)  # before the work, not after it
    except UsageError as error:
        if several:  # this one picture's format, say: the others can still be done
            raise InputError(str(error)) from error
        raise
    began = time.perf_counter()
    agent = settings.agent_for(picture.pixels.shape[2] if picture.pixels.ndim == 3 else 1)
    levels = settings.levels
    sigma, peak, strength = (levels.get(name, "auto") for name in ("sigma", "peak", "strength"))
    if work.ensemble:
        image, told = agent.ensemble(picture.pixels, sigma, peak, work.steps)
    else:
        result = agent(picture.pixels, sigma, peak, work.steps, edits=edits, strength=strength, mask=settings.mask)
        image, told = result.image, dict(result.condition)
    seconds = time.perf_counter() - began
    write_picture(target, picture.with_pixels(image), overwrite=work.overwrite)
    if work.trace is not None:
        save_trace(work.trace, result.trace().of(picture))
    return {
        "input": str(source),
        "output": str(target),
        "policy": agent.name,
        **told,
        "estimated": [name for name in told if levels.get(name) == "auto"],
        "steps": agent.card.num_steps if work.steps is None else work.steps,
        "ensemble": work.ensemble,
        "seconds": round(seconds, 3),
        "trace": None if work.trace is None else str(work.trace),
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
