"""What `pixelrl denoise` makes of a picture: the command itself, as it is typed, in this process, with one thread."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image as PillowImage

import pixelrl
from pixelrl.cli import cli
from pixelrl.pictures.files import read_picture

Pixels = npt.NDArray[np.generic]


def denoised(picture: Path, *options: str) -> tuple[Pixels, dict[str, Any]]:
    """The pixels ``(h, w)`` or ``(h, w, c)`` that the command writes, without loss, and what it says with --json."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.tif" if picture.suffix == ".tif" else "result.png")
        said = io.StringIO()
        line = ["denoise", str(picture), "-o", str(result), "--json", "--threads", "1", "--device", "cpu", *options]
        with contextlib.redirect_stdout(said):
            code = cli.main(line, standalone_mode=False)
        if code:
            raise SystemExit(f"pixelrl {' '.join(line)} ended with {code}: {said.getvalue()}")
        return read_picture(result).pixels, json.loads(said.getvalue().splitlines()[-1])


def denoised_array(pixels: Pixels, *options: str) -> tuple[Pixels, dict[str, Any]]:
    """The same for pixels, which are stored as a picture first: 8 bits as PNG, floats as TIFF."""
    with tempfile.TemporaryDirectory() as folder:
        if pixels.dtype == np.uint8:
            picture = Path(folder, "picture.png")
            PillowImage.fromarray(pixels).save(picture)
        else:
            picture = Path(folder, "picture.tif")
            tifffile.imwrite(picture, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
        return denoised(picture, *options)


def digest(files: Iterable[Path]) -> str:
    """Of names and contents, so that what was measured with others does not pass for this."""
    found = hashlib.sha256()
    for file in files:
        found.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()[:16]


@functools.cache
def command_digest() -> str:
    """Of everything that decides what the command does when it is told nothing: policies, estimates, their choice."""
    package = Path(pixelrl.__file__).parent
    files = [package / "auto.py", package / "imaging" / "noise.py", package / "imaging" / "specks.py"]
    for folder, pattern in (
        ("tasks/conditioning", "*.py"), ("noise", "*.*"), ("weights", "denoise*"), ("weights", "poisson*"),
    ):  # fmt: skip
        files += sorted((package / folder).glob(pattern))
    return digest(files)
