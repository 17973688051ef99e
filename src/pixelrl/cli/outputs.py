"""Where commands write to: refused before any work, made when there is something to write."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixelrl.cli.common import STANDARD, complain, discard
from pixelrl.errors import UsageError
from pixelrl.pictures.atomic import check_free

if TYPE_CHECKING:
    from pixelrl.pictures.files import Picture


def write_standard_output(data: bytes) -> None:
    """A whole file on stdout.

    Raises:
        UsageError: standard output is full or closed.
    """
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except OSError as error:
        discard(sys.stdout)
        raise UsageError(f"-o -: standard output cannot be written ({error.strerror})") from error


def prepare(output: Path, picture: Picture, quality: int | None, *, overwrite: bool) -> None:
    """Before the work: make the folder of a result, and refuse what `write_to` could not write there.

    Args:
        output: the file; ``-`` is standard output.
        picture: of the size and depth of the result, with alpha if that has it.
        quality: of JPEG and WebP.
        overwrite: whether the file may be there.

    Raises:
        UsageError: as `write_to`.
    """
    from pixelrl.pictures.files import check_writable

    if output != STANDARD:
        make_folder(output.parent)
        check_writable(output, picture, overwrite=overwrite, quality=quality)


def same_file(source: Path | bytes, picture: Picture, result: Picture) -> bytes | None:
    """The bytes of a JPEG or lossy WebP file of which no pixel changed: compressed anew, it would change all over.

    None for other files, and where something was converted or left out when the file was read.

    Args:
        source: the file, or its bytes.
        picture: as it was read.
        result: what became of it.
    """
    import numpy as np

    from pixelrl.pictures.files import format_of

    if picture.notes or result.pixels.dtype != np.uint8 or not np.array_equal(result.pixels, picture.pixels):
        return None
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError:  # it was there before the work: its pixels are written instead
        return None
    return data if format_of(data) == "jpeg" or picture.lossy else None


def write_to(
    output: Path, picture: Picture, kind: str, quality: int | None, *, overwrite: bool, same: bytes | None = None
) -> tuple[str, ...]:
    """Write a picture to a file, or in the format ``kind`` to standard output (``-``): what had to be left out of it.

    Args:
        output: the file; ``-`` is standard output.
        picture: with all that goes with it.
        kind: of standard output.
        quality: of JPEG and WebP.
        overwrite: whether the file may be there.
        same: the bytes of a file that holds the picture already (`same_file`): written where they are of the format.

    Raises:
        UsageError: it cannot be written there.
    """
    from pixelrl.pictures.files import encode, format_by_suffix, format_of, write_picture

    if same is not None and format_of(same) != (kind if output == STANDARD else format_by_suffix(output)):
        same = None
    if output == STANDARD:
        data, lost = encode(picture, kind, quality=quality, name="-o -") if same is None else (same, ())
        write_standard_output(data)
        return lost
    return write_picture(output, picture, overwrite=overwrite, quality=quality, encoded=same)


def check_kind(output: Path, kind: str | None) -> None:
    """Refuse a format that is not the one which the name of a picture asks for.

    Raises:
        UsageError: they contradict each other.
    """
    from pixelrl.pictures.files import format_by_suffix

    if kind is not None and output != STANDARD and format_by_suffix(output) != kind:
        raise UsageError(f"--format {kind} and the ending of -o {output} contradict each other; leave one out")


def write_result(output: Path, picture: Picture, kind: str | None, quality: int | None, *, overwrite: bool) -> None:
    """Write the picture that a command makes, and say where it is; ``-`` is standard output (PNG, if nothing is said).

    Raises:
        UsageError: it cannot be written there.
    """
    from pixelrl.pictures.files import format_by_suffix

    check_kind(output, kind)
    if quality is not None and (kind or format_by_suffix(output) or "png") not in ("jpeg", "webp"):
        raise UsageError("--quality is for JPEG and WebP; leave it out, or give --format jpeg or webp")
    if output != STANDARD:
        make_folder(output.parent)
    lost = write_to(output, picture, kind or "png", quality, overwrite=overwrite)
    if output != STANDARD:
        click.echo(str(output))
    for note in lost:
        complain(note)


def check_place(path: Path, *, overwrite: bool, option: str = "-o") -> None:
    """Refuse a file that cannot be written there, before any work. Folders that are missing can be made.

    Raises:
        UsageError: the file exists, unless ``overwrite``; it is a folder, its name is too long, or a folder above it is
            none or cannot be written to.
    """
    if path == STANDARD:
        raise UsageError(f"{option} -: this cannot be written to standard output; give a file")
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise UsageError(f"{option} {path} cannot be written: {error.strerror}") from error
    else:
        if os.path.isdir(path):
            raise UsageError(f"{option} {path} is a folder; give the name of a file")
        check_free(path, overwrite=overwrite)
    check_folder(path.parent, option)


def check_apart(written: Iterable[tuple[str, Path]], read: Iterable[tuple[str, Path]]) -> None:
    """Refuse to write into a file that is read, or into one twice, also where files may be replaced.

    Args:
        written: options, and the file that each names.
        read: what a file is, and the file: "the edits". Standard input and output are no files.

    Raises:
        UsageError: a file is both.
    """
    known = {_identity(path): what for what, path in read if path != STANDARD}
    for option, path in written:
        if path == STANDARD:
            continue
        identity = _identity(path)
        if identity in known:
            raise UsageError(f"{option} {path} is also {known[identity]}; give another name")
        known[identity] = f"what {option} names"


def _identity(path: Path) -> object:
    """The same for two names of one file."""
    try:
        found = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def check_folder(folder: Path, option: str = "-o") -> None:
    """Refuse a folder that neither is there nor can be made.

    Raises:
        UsageError: something above it is no folder, or cannot be written to.
    """
    above = folder
    while not os.path.lexists(above) and above != above.parent:
        above = above.parent
    if not os.path.isdir(above):
        raise UsageError(f"{option}: the folder {folder} cannot be made: {above} is a file; give another place")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UsageError(f"{option}: {above} is a folder that cannot be written to; give another place")


def make_folder(folder: Path) -> None:
    """Make a folder that `check_folder` has let pass.

    Raises:
        UsageError: it cannot be made after all.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"output folder {folder} cannot be made: {error.strerror}") from error
