"""``pixelrl noise``: what the noise of pictures is like, in words, as JSON, and drawn."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixelrl.blocks.names import is_huge
from pixelrl.cli.common import (
    EXIT_FAULT,
    EXIT_INPUTS,
    INPUT,
    PATH,
    STANDARD,
    THREADS_OPTION,
    WHITE_OPTION,
    complain,
    say,
)
from pixelrl.cli.outputs import check_apart, check_folder, check_place, make_folder
from pixelrl.cli.places import Job, is_one_picture
from pixelrl.cli.work import blame
from pixelrl.errors import InputError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from pixelrl.noise.model import NoiseModel
    from pixelrl.pictures.arrays import Array
    from pixelrl.pictures.files import Picture
    from pixelrl.pictures.scale import Scale


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=INPUT, metavar="INPUT...")
@click.option("-o", "--output", type=PATH, help="Also draw it: a .png, .svg or .pdf for one input, else a folder.")
@WHITE_OPTION
@click.option("--overwrite", is_flag=True, help="Replace drawings that exist.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per picture instead of text.")
@THREADS_OPTION
def noise(
    inputs: tuple[str, ...],
    output: Path | None,
    white: float | None,
    overwrite: bool,
    as_json: bool,
    threads: int | None,
) -> int:
    """Say what the noise of pictures is like.

    INPUT is a file, a folder, a quoted pattern such as "scans/*.png", or - for standard input. What is seen is the
    level of the noise (its standard deviation, white being 255) by brightness in each channel, and whether it comes in
    blotches. Of a picture that need not fit into the memory, such as slide.ome.zarr, samples are looked at.
    """
    from pixelrl.noise.plot import check_plotting
    from pixelrl.pictures.listing import Listing, list_pictures

    if str(STANDARD) in inputs and len(inputs) > 1:
        raise UsageError("- stands for standard input, which holds one picture; give it alone")
    if inputs == (str(STANDARD),) and (sys.stdin is None or sys.stdin.isatty()):
        raise UsageError("- is standard input, which is the terminal, or closed; send a picture with < or |")
    huge = len(inputs) == 1 and is_huge(Path(inputs[0]), Path())
    alone = huge or is_one_picture(inputs)
    if output is not None:
        _check_output(output, alone, overwrite=overwrite)
        check_plotting()
    if huge:
        if output is not None:
            check_apart([("-o", output)], [("the picture", Path(inputs[0]))])
        _tell_huge(Path(inputs[0]), output, white, threads, as_json)
        return 0
    listing = Listing([(STANDARD, STANDARD)]) if inputs == (str(STANDARD),) else list_pictures(inputs)
    jobs = [Job(source, _drawing(output, name, alone)) for source, name in listing.files]
    if output is not None:
        if not alone:
            _check_drawings(jobs, overwrite=overwrite)
        check_apart([("-o", job.target) for job in jobs], [("a picture", job.source) for job in jobs])
    code = EXIT_INPUTS if listing.problems else 0
    for problem in listing.problems:
        _fail(problem.message, problem.input, as_json)
    for job in jobs:
        try:
            _tell(job, output is not None, white, threads, as_json)
        except Exception as error:
            message, ours = blame(error, job)
            if len(jobs) == 1 and not isinstance(message, InputError):
                raise
            code = EXIT_FAULT if ours else code or EXIT_INPUTS
            _fail(str(message), str(job.source), as_json)
    return code


def _drawing(output: Path | None, name: Path, alone: bool) -> Path:
    """Where the noise of a picture of this name is drawn."""
    return STANDARD if output is None else output if alone else output / name.with_suffix(".png")


def _check_output(output: Path, alone: bool, *, overwrite: bool) -> None:
    from pixelrl.noise.plot import ENDINGS

    if not alone:
        if output.suffix.lower() in ENDINGS or output == STANDARD:
            raise UsageError(f"several inputs cannot all become {output}; give a folder as -o")
        check_folder(output)
        return
    check_place(output, overwrite=overwrite)
    if output.suffix.lower() not in ENDINGS:
        raise UsageError(f"{output}: the ending {output.suffix!r} is not known; {', '.join(ENDINGS)} can be written")


def _check_drawings(jobs: list[Job], *, overwrite: bool) -> None:
    """Refuse drawings that exist, and two of one name."""
    sources: dict[Path, Path] = {}
    for source, target in jobs:
        if target in sources:
            raise UsageError(f"{source} and {sources[target]} would both be drawn as {target}; draw one at a time")
        sources[target] = source
        if not overwrite and os.path.lexists(target):
            raise UsageError(f"{target} exists; give --overwrite to replace it, or another name")


def _tell(job: Job, drawn: bool, white: float | None, number: int | None, as_json: bool) -> None:
    """Say what one picture's noise is like, and draw it.

    Raises:
        InputError: the picture cannot be read, or is none.
    """
    from pixelrl.pictures.channels import join_alpha
    from pixelrl.pictures.scale import Scale
    from pixelrl.threads import threads, worthwhile_threads

    picture, of_several = _first(job)
    scale = Scale.of(picture.pixels, white)
    height, width = picture.pixels.shape[:2]
    pixels = picture.pixels if picture.alpha is None else join_alpha(picture.pixels, picture.alpha)
    notes = [of_several, scale.remark(str(picture.pixels.dtype)), *picture.notes]
    with threads(number or worthwhile_threads(height * width)):
        report, words = _seen(job, pixels, scale, notes, drawn)
    say(json.dumps(report) if as_json else f"{job.name}{f' -> {job.target}' if drawn else ''}: {words}")


def _tell_huge(source: Path, output: Path | None, white: float | None, number: int | None, as_json: bool) -> None:
    """Say what the noise of each channel of a picture is like that need not fit into the memory, by samples of it.

    Raises:
        InputError: it cannot be read.
        UsageError: it is to be drawn, and has several channels.
    """
    from contextlib import closing

    from pixelrl.blocks.plan import Layout, looked_at, same_size
    from pixelrl.blocks.sources import open_source
    from pixelrl.cli.common import set_threads

    set_threads(number)
    with closing(open_source(source)) as held:
        layout = Layout.of(held.array, held.axes, True)
        if output is not None and layout.channels > 1:
            raise UsageError(f"{source} has {layout.channels} channels, and -o draws one; leave it out")
        for channel in range(layout.channels):
            parts, scale = looked_at(held.array, layout, channel, white)
            job = Job(source, STANDARD if output is None else output)
            name = f"channel {channel}: " if layout.channels > 1 else ""
            report, words = _seen(job, same_size(parts), scale, [], output is not None)
            more = {"channel": channel} if name else {}
            place = "" if output is None else f" -> {output}"
            say(json.dumps({**report, **more}) if as_json else f"{job.name}{place}: {name}{words}")


def _seen(job: Job, pixels: Array, scale: Scale, notes: list[str | None], drawn: bool) -> tuple[dict[str, object], str]:
    """What is seen in pixels, with alpha or without, as a report and in words; drawn, if it is to be.

    Raises:
        InputError: values that are not finite.
    """
    from pixelrl.imaging.noise import covered
    from pixelrl.imaging.specks import SPECKS, salt_and_pepper
    from pixelrl.noise.estimate import noise_of
    from pixelrl.pictures.arrays import unpack

    try:
        unpacked = unpack(pixels, scale)
    except InputError as error:
        raise InputError(f"{job.name}: {error}") from error
    model = noise_of(unpacked.tensor, unpacked.opacity)
    specks = SPECKS if salt_and_pepper(covered(unpacked.tensor[:1], unpacked.opacity)) else None
    if drawn:
        from pixelrl.noise.spectrum import spectrum

        _draw(job, model, spectrum(unpacked.tensor, unpacked.opacity))
    said = list(dict.fromkeys(filter(None, (specks, *notes))))
    report = {"input": str(job.source), **model.as_dict(), "plot": str(job.target) if drawn else None, "notes": said}
    return report, f"{model.words()}{''.join(f'; {note}' for note in said)}"


def _first(job: Job) -> tuple[Picture, str | None]:
    """The picture, or the first one of a stack and words that say so.

    Raises:
        InputError: it cannot be read.
    """
    from pixelrl.cli.one import read, standard_input
    from pixelrl.pictures.files import READABLE
    from pixelrl.pictures.stacks import open_stack

    data = standard_input(job)
    known = job.source.suffix.lower() in READABLE and os.path.isfile(job.source)
    if data is None and not known:  # `read` knows what is wrong
        return read(job, data)[0], None
    try:
        stack = open_stack(job.source if data is None else data)
        if stack is None:
            return read(job, data)[0], None
        with stack:
            several = f"this is the first of {len(stack)} pictures ({stack.words})" if len(stack) > 1 else None
            return stack.picture(0), several
    except InputError as error:
        raise error if str(error).startswith(job.name) else InputError(f"{job.name}: {error}") from error


def _draw(job: Job, model: NoiseModel, waves: tuple[Tensor, Tensor] | None) -> None:
    from pixelrl.noise.plot import draw
    from pixelrl.pictures.atomic import written_whole

    make_folder(job.target.parent)
    try:
        with written_whole(job.target) as temporary:
            draw(temporary, job.target.suffix[1:].lower(), Path(job.name).name, model, waves)
    except OSError as error:
        raise UsageError(f"{job.target} cannot be written: {error.strerror}") from error


def _fail(message: str, given: str, as_json: bool) -> None:
    complain(message)
    if as_json:
        say(json.dumps({"input": given, "error": message}))
