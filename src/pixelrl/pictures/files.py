"""Picture files: read, written and listed. Depth, alpha, colour profile and EXIF survive both."""

from __future__ import annotations

import errno
import glob
import io
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import JpegImagePlugin, WebPImagePlugin

from pixelrl.errors import InputError, UsageError
from pixelrl.pictures import formats, tiff
from pixelrl.pictures.atomic import written_whole
from pixelrl.pictures.formats import PNG_HEAD, Picture

__all__ = ["SUFFIXES", "Picture", "check_writable", "list_pictures", "read_picture", "write_picture"]

_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WebP",
}
SUFFIXES = tuple(_FORMATS)
"""The suffixes of the files that can be read and written, in lower case."""

_DEPTHS = {
    "PNG": ("uint8", "uint16"),
    "JPEG": ("uint8",),
    "TIFF": ("uint8", "uint16", "float32"),
    "WebP": ("uint8",),
}
_LARGEST_SIDE = {"JPEG": 65500, "WebP": 16383}
_ENCODERS = {
    "PNG": formats.write_png,
    "JPEG": formats.write_jpeg,
    "TIFF": tiff.write_tiff,
    "WebP": formats.write_webp,
}


def read_picture(path: str | Path, *, max_pixels: int = 500_000_000) -> Picture:
    """The picture in a PNG, JPEG, TIFF or WebP file. A file that holds several (pages, an animation) is refused.

    Palette pictures become RGB, 1-bit ones 8-bit grey, CMYK RGB, float16 and float64 float32. What a suffix
    promises need not be what the file holds: the format is told by the first bytes. Raises InputError, one
    sentence with the file's name, for everything that cannot be read, and for more than ``max_pixels`` before
    anything is decoded.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; a picture file is needed")
    if path.suffix.lower() not in _FORMATS:
        raise InputError(f"{path}: the suffix {path.suffix!r} is not known; {_either(SUFFIXES)} can be read")
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: this is not a regular file; a picture file is needed")
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; the path of a picture is needed") from None
    except PermissionError:
        raise InputError(f"{path}: no permission to read it; a readable file is needed") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: it cannot be read ({error}); a readable file is needed") from error
    if not data:
        raise InputError(f"{path}: the file is empty (0 bytes); a picture file is needed")
    try:
        with formats.silence():
            return _decode(data, max_pixels)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except MemoryError as error:
        raise InputError(f"{path}: there is not enough memory for it; a smaller picture is needed") from error
    except Exception as error:  # decoders fail on damaged data in every way there is
        raise InputError(f"{path}: the data are damaged or truncated; an undamaged file is needed") from error


def _decode(data: bytes, max_pixels: int) -> Picture:
    if data.startswith(PNG_HEAD):
        return formats.read_png(data, max_pixels)
    # The plugins are called directly: Image.open would try every format that it knows.
    if data.startswith(b"\xff\xd8\xff"):
        return formats.read_simple(JpegImagePlugin.JpegImageFile(io.BytesIO(data)), max_pixels)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return formats.read_simple(WebPImagePlugin.WebPImageFile(io.BytesIO(data)), max_pixels)
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return tiff.read_tiff(data, max_pixels)
    raise InputError("its first bytes are not those of a picture; a PNG, JPEG, TIFF or WebP file is needed")


def check_writable(path: str | Path, picture: Picture, *, overwrite: bool = False, quality: int = 95) -> None:
    """Raise the UsageError that :func:`write_picture` would, as far as it can be known beforehand."""
    path = Path(path)
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: the suffix {path.suffix!r} is not known; {_either(SUFFIXES)} can be written")
    if not 1 <= quality <= 100:
        raise UsageError(f"quality {quality} is out of range; 1 to 100 is possible")
    height, width = picture.pixels.shape[:2]
    depth = str(picture.pixels.dtype)
    able = {name for name, depths in _DEPTHS.items() if depth in depths}
    able -= {"JPEG"} if picture.alpha is not None else set()
    able -= {name for name, side in _LARGEST_SIDE.items() if max(height, width) > side}
    if kind not in able:
        has = {"uint8": "8-bit", "uint16": "16-bit", "float32": "float32"}[depth]
        has += f" picture of {width} x {height}" + (" with transparency" if picture.alpha is not None else "")
        raise UsageError(f"{path}: {kind} cannot hold this {has}; {_either(sorted(able))} can")
    folder = path.parent
    if not folder.is_dir():
        raise UsageError(f"{path}: there is no folder {folder}; an existing one is needed")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{path}: the folder {folder} cannot be written to; one with write permission is needed")
    if path.is_dir():
        raise UsageError(f"{path}: this is a folder; a file name is needed")
    if os.path.lexists(path) and not overwrite:
        raise UsageError(f"{path}: the file exists; use --overwrite to replace it, or another name")


def write_picture(path: str | Path, picture: Picture, *, overwrite: bool = False, quality: int = 95) -> None:
    """Write a picture in the format of the suffix: all of it, or nothing at all if anything goes wrong.

    JPEG has no chroma subsampling and ``quality`` (1-100); WebP is lossless, and grey becomes RGB there; PNG
    and TIFF are deflated. Raises UsageError for a place that cannot be written, an existing file without
    ``overwrite``, and a format that cannot hold the picture (which names those that can).
    """
    path = Path(path)
    check_writable(path, picture, overwrite=overwrite, quality=quality)
    kind = _FORMATS[path.suffix.lower()]
    try:
        with formats.silence():
            data = _ENCODERS[kind](picture, quality)
    except MemoryError as error:
        raise UsageError(f"{path}: there is not enough memory to write it; a smaller picture is needed") from error
    except Exception as error:
        raise UsageError(f"{path}: it cannot be written as {kind} ({error}); try another format") from error
    try:
        with written_whole(path) as temporary, open(temporary, "xb") as file:
            file.write(data)
    except OSError as error:
        reasons = {
            errno.ENOSPC: f"the disk of {path.parent} is full; free space is needed",
            errno.EDQUOT: f"the disk quota of {path.parent} is used up; free space is needed",
            errno.EROFS: f"the folder {path.parent} is read-only; a writable one is needed",
            errno.EACCES: f"the folder {path.parent} cannot be written to; a writable one is needed",
        }
        reason = f"it cannot be written in {path.parent} ({error.strerror}); try another place"
        raise UsageError(f"{path}: {reasons.get(error.errno or 0, reason)}") from error


def list_pictures(inputs: Sequence[str | Path]) -> tuple[list[tuple[Path, Path]], list[InputError]]:
    """The picture files in files, folders and glob patterns, and what is wrong with inputs that give none.

    Each file comes with the relative path under which its result belongs in an output folder: its path inside
    the folder that was given, or else its name. Folders are searched to all depths, sorted, without hidden
    files. A file found twice counts once; a file whose relative path another one has already taken is a
    problem.
    """
    found: dict[Path, Path] = {}  # relative path -> file
    seen: set[Path] = set()
    problems: list[InputError] = []
    for entry in inputs:
        files = _expand(str(entry), problems)
        for file, relative in files:
            # The folder is resolved, the name is not: two links to one picture are two pictures.
            identity = file.parent.resolve() / file.name
            if identity in seen:
                continue
            seen.add(identity)
            if relative in found:
                problems.append(
                    InputError(
                        f"{file}: its result would be named {relative}, like that of {found[relative]}; "
                        "process them separately or give a folder that holds both"
                    )
                )
            else:
                found[relative] = file
    return [(file, relative) for relative, file in found.items()], problems


def _expand(entry: str, problems: list[InputError]) -> list[tuple[Path, Path]]:
    path = Path(entry)
    if path.is_dir():
        files = _walk(path, problems)
        if not files:
            problems.append(InputError(f"{entry}: there are no pictures in this folder ({_either(SUFFIXES)})"))
        return [(file, file.relative_to(path)) for file in files]
    if not os.path.lexists(path) and glob.has_magic(entry):
        matches = sorted(Path(match) for match in glob.glob(entry, recursive=True))
        files = [match for match in matches if match.suffix.lower() in _FORMATS and match.is_file()]
        if not files:
            problems.append(InputError(f"{entry}: no picture matches this pattern ({_either(SUFFIXES)})"))
        return [(file, Path(file.name)) for file in files]
    if not path.exists():
        problems.append(InputError(f"{entry}: there is no such file or folder; the path of a picture is needed"))
        return []
    return [(path, Path(path.name))]


def _walk(folder: Path, problems: list[InputError]) -> list[Path]:
    def unreadable(error: OSError) -> None:
        problems.append(InputError(f"{error.filename}: this folder cannot be read; a readable one is needed"))

    files = []
    for root, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(root, name) for name in names if not name.startswith(".")]
    return sorted(file for file in files if file.suffix.lower() in _FORMATS and file.is_file())


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
