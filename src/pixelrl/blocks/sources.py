"""The ways to open a huge picture."""

from __future__ import annotations

from pathlib import Path

from pixelrl.blocks import ome, slides, tiff
from pixelrl.blocks.held import Held
from pixelrl.blocks.names import SLIDES, TIFF


def open_source(path: Path) -> Held:
    """Look into a picture.

    Raises:
        UsageError: a library that reads it is not installed.
        InputError: there is no picture in it that can be read in parts.
    """
    suffix = path.suffix.lower()
    if suffix in TIFF:
        return tiff.open_tiff(path)
    return slides.open_slide(path) if suffix in SLIDES else ome.open_source(path)
