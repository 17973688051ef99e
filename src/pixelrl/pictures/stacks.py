"""Files of several pictures, opened by what they hold: TIFF stacks and animations."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import GifImagePlugin, ImageFile, PngImagePlugin, WebPImagePlugin

from pixelrl.errors import InputError
from pixelrl.pictures.animations import Animation
from pixelrl.pictures.formats import silence
from pixelrl.pictures.raw import is_raw
from pixelrl.pictures.stack import Stack
from pixelrl.pictures.tiff_stacks import TiffStack

__all__ = ["Stack", "TiffStack", "open_stack"]


def open_stack(source: Path | bytes, *, max_pixels: int = 500_000_000) -> Stack | None:
    """The stack in a file, by its path or its bytes; None where it is a single picture that says no more than others.

    Where the file is damaged or no picture: None, too, for whoever reads the picture knows better what is wrong.

    Raises:
        InputError: pictures too large, or of a kind that is not read; with the reason only.
    """
    try:
        with silence():
            return _open(source, max_pixels)
    except InputError:
        raise
    except Exception:  # decoders fail on damaged data in every way there is
        return None


def _open(source: Path | bytes, max_pixels: int) -> Stack | None:
    head = source[:16] if isinstance(source, bytes) else _head(source)
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        if is_raw(source):
            return None
        stack = TiffStack(source, max_pixels)
        if len(stack) > 1 or stack.described:
            return stack
        stack.close()
        return None
    plugins: dict[bytes, Callable[[Any], ImageFile.ImageFile]] = {
        b"GIF8": GifImagePlugin.GifImageFile,
        b"RIFF": WebPImagePlugin.WebPImageFile,
        b"\x89PNG": PngImagePlugin.PngImageFile,
    }
    plugin = plugins.get(head[:4])
    if plugin is None:
        return None
    image = plugin(io.BytesIO(source) if isinstance(source, bytes) else str(source))
    animation = None
    try:
        if getattr(image, "n_frames", 1) > 1:
            animation = Animation(image, source, max_pixels)
    finally:
        if animation is None:
            image.close()
    return animation


def _head(path: Path) -> bytes:
    if not os.path.isfile(path):
        return b""
    with path.open("rb") as file:
        return file.read(16)
