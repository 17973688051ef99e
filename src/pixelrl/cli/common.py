"""What the commands share: exit codes, messages, option types."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from pixelrl.engines import Shard
from pixelrl.errors import UsageError

if TYPE_CHECKING:
    from pixelrl.pictures.arrays import Array
    from pixelrl.trace import Trace

EXIT_FAULT, EXIT_USAGE, EXIT_INPUTS, EXIT_INTERRUPTED = 1, 2, 3, 130

LEFT_ALONE = "next to no noise seen, so the picture is left as it was"

STANDARD = Path("-")
"""As a name: standard input or output."""

MOST_WORKERS = 1024
"""Threads, or processes: more than any machine here needs, and fewer than it takes to have the system refuse them."""


class _Name(click.Path):
    """The name of a file or folder. An empty one, as of a variable that is not set, would be the folder at hand."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if value == "":
            self.fail("the name is empty", parameter, context)
        return super().convert(value, parameter, context)


class Finite(click.FloatRange):
    """A number within limits, and neither infinite nor NaN, which lies within any limits."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """The number, or what is wrong with it."""
        number = super().convert(value, parameter, context)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number", parameter, context)
        return number


PATH = _Name(path_type=Path)
INPUT = _Name(path_type=str)
"""A file, a folder, a pattern or ``-``."""
DEVICE_OPTION = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)
PRECISION_OPTION = click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    default="auto",
    show_default=True,
    help="In which numbers the encoder computes; auto is bf16 where the processor has instructions for it.",
)
THREADS_OPTION = click.option(
    "--threads",
    type=click.IntRange(1, MOST_WORKERS),
    help="Threads to compute with.  [default: as many as there are cores, fewer for small pictures]",
)
WORKERS_OPTION = click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    metavar="N",
    help="Work in N processes of one thread each.  [default: in this one]",
)
DASK_OPTION = click.option(
    "--dask", metavar="ADDRESS", help="Work on the dask cluster of this scheduler, such as tcp://10.0.0.1:8786."
)
FORMAT_OPTION = click.option(
    "--format",
    "kind",
    type=click.Choice(["png", "jpeg", "tiff", "webp"]),
    help="Of the results.  [default: by the ending of -o, or as the input]",
)
QUALITY_OPTION = click.option(
    "--quality",
    type=click.IntRange(1, 100),
    help="Of JPEG and WebP.  [default: 95; WebP without loss, or 90 if the input had lost something]",
)

LEGIBILITY_OPTION = click.option(
    "--legibility",
    type=click.FloatRange(0, 1),
    metavar="0..1",
    help="How plain the maps of what every pixel did shall be: 0 for the best picture, 1 for the plainest maps.  "
    "[default: as the policy's makers recommend]",
)

WHITE_OPTION = click.option(
    "--white",
    type=Finite(0, min_open=True),
    help="The value that stands for white, such as 4095.  [default: as the values tell]",
)


def set_threads(number: int | None) -> None:
    """Compute with so many threads from now on; None for as many as PyTorch takes by itself."""
    if number is not None:
        import cv2
        import torch

        torch.set_num_threads(number)
        cv2.setNumThreads(number)


def complain(message: str) -> None:
    """One line on stderr."""
    try:
        click.echo(f"pixelrl: {message}", err=True)
    except OSError:  # nobody can be told
        discard(sys.stderr)


def say(message: str) -> bool:
    """One line on stdout. False if it cannot be written, which is said once and ends nothing."""
    try:
        click.echo(message)
    except OSError as error:
        output_lost(error)
        return error.errno == errno.EPIPE  # whoever closed the pipe has read enough
    return True


def output_lost(error: OSError) -> None:
    """Standard output cannot be written to: say why, and write no more of it."""
    discard(sys.stdout)
    if error.errno != errno.EPIPE:
        complain(f"standard output cannot be written ({error.strerror})")


def discard(stream: TextIO) -> None:
    """Let what is written to a stream from now on, and what it still holds, go nowhere."""
    with open(os.devnull, "wb") as nowhere, contextlib.suppress(OSError):  # a stream without a file
        os.dup2(nowhere.fileno(), stream.fileno())


Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels; x1 and y1 are exclusive."""


def parse_region(context: click.Context, parameter: click.Parameter, value: str | None) -> Box | None:
    """A callback for an option that is a rectangle."""
    if value is None:
        return None
    try:
        x0, y0, x1, y1 = (int(part) for part in value.split(","))
    except ValueError as error:
        message = f"{value!r} is not a region; give x0,y0,x1,y1 in pixels, for instance 0,0,256,256"
        raise click.BadParameter(message) from error
    from pixelrl.validation import check_box

    try:
        check_box((x0, y0, x1, y1), value)
    except UsageError as error:
        raise click.BadParameter(str(error)) from error
    return x0, y0, x1, y1


def level(low: float, unit: str) -> Callable[[click.Context, click.Parameter, str], Any]:
    """A callback for an option that is a number of at least ``low``, or the word ``auto``."""

    def parse(context: click.Context, parameter: click.Parameter, value: str) -> float | str:
        if value == "auto":
            return value
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not low <= number < float("inf"):
            raise click.BadParameter(f"{value!r} is not a noise level; give {unit}, at least {low:g}, or auto")
        return number

    return parse


def shard(context: click.Context, parameter: click.Parameter, value: str | None) -> Shard | None:
    """A callback for an option that is a share of many, as 2/8."""
    try:
        return None if value is None else Shard.parse(value)
    except UsageError as error:
        raise click.BadParameter(str(error)) from error


def check_engine(workers: int | None, dask: str | None) -> None:
    """Refuse two ways of working at once.

    Raises:
        UsageError: both are given.
    """
    if workers is not None and dask is not None:
        raise UsageError("--workers and --dask both say who works; give one")


def check_file(path: Path, option: str, what: str) -> None:
    """Refuse a file that is not there.

    Raises:
        UsageError: naming the option and what it should be.
    """
    if path == STANDARD:
        raise UsageError(f"{option} -: this is not read from standard input; give a file")
    if not os.path.isfile(path):
        raise UsageError(f"{option} {path} does not exist or is no file; give {what}")


def read_reference(path: Path, trace: Trace) -> Array:
    """The pixels of the clean picture, turned as those of the trace's photo are stored.

    Raises:
        InputError: it is no picture.
        UsageError: it is not of the size and kind of the trace's picture.
    """
    from pixelrl.pictures.display import as_stored, orientation_of, upright
    from pixelrl.pictures.files import read_picture

    clean = read_picture(path)
    pixels = as_stored(upright(clean.pixels, orientation_of(clean.exif), (0, 1)), trace.orientation, (0, 1))
    if pixels.shape != trace.pixels.shape:
        raise UsageError(f"{path} is of shape {clean.pixels.shape}, the trace's picture of {trace.pixels.shape}")
    return pixels
