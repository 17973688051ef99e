"""What the commands share: exit codes, messages, option types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixelrl.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pixelrl.pictures.arrays import Array
    from pixelrl.trace import Trace

EXIT_USAGE, EXIT_INPUTS, EXIT_INTERRUPTED = 2, 3, 130

PATH = click.Path(path_type=Path)
DEVICE_OPTION = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)


def complain(message: str) -> None:
    """One line on stderr."""
    click.echo(f"pixelrl: {message}", err=True)


def parse_level(context: click.Context, parameter: click.Parameter, value: str) -> float | str:
    """A noise level, at least 0, or the word ``auto``."""
    if value == "auto":
        return value
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise click.BadParameter(f"{value!r} is not a noise level; give a number of at least 0, or auto")
    return number


def read_mask(path: Path) -> npt.NDArray[np.bool_]:
    """A picture as a mask ``(h, w)``: inside where it is at least half white. Raises InputError if it is no picture."""
    from pixelrl.pictures.arrays import SCALES
    from pixelrl.pictures.files import read_picture

    pixels = read_picture(path).pixels
    grey = pixels if pixels.ndim == 2 else pixels[..., :3].mean(-1)
    inside: npt.NDArray[np.bool_] = grey >= SCALES[str(pixels.dtype)] / 2
    return inside


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
