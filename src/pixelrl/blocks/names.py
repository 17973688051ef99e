"""Which files are worked on block by block, known without opening more than a file's first bytes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

ZARR = ".zarr"
TIFF = (".tif", ".tiff", ".btf", ".tf8")
SLIDES = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide", ".czi", ".dcm")
"""Of files that are opened with openslide. Slides that are TIFF by name are opened as such."""
LARGE = 100_000_000
"""A TIFF with more pixels in a plane is worked on block by block: as a whole it would need tens of gigabytes."""


def is_huge(source: Path, target: Path) -> bool:
    """Whether a picture is to be worked on block by block.

    Folders of Zarr and slides are; a TIFF if its result is to be Zarr, or if it is `LARGE`.

    Args:
        source: the picture.
        target: what is to become of it.
    """
    suffix = source.suffix.lower()
    try:
        if source.is_dir():
            return suffix == ZARR
        if not source.is_file():
            return False
    except OSError:  # a name that is too long, which others explain
        return False
    return suffix in SLIDES or (suffix in TIFF and (target.suffix.lower() == ZARR or _is_large(source)))


def _is_large(path: Path) -> bool:
    """Of a TIFF; not if it cannot be read, which others explain."""
    import tifffile

    with suppress(OSError, ValueError, IndexError, tifffile.TiffFileError), tifffile.TiffFile(path) as file:
        page = file.pages.first
        return bool(page.imagewidth * page.imagelength > LARGE)
    return False
