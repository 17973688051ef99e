"""Packages that only some pictures need, of the extra ``photo``."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from pixelrl.errors import InputError

DEVELOP = "develop it into a TIFF or PNG first, for instance with darktable or RawTherapee"
CONVERT = "convert it to PNG or JPEG first, for instance with ImageMagick or a photo program"


def is_installed(name: str) -> bool:
    """Whether a module can be imported, without doing so."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of the package in which it would be
        return False


def photo_module(name: str, pictures: str, instead: str = CONVERT) -> ModuleType:
    """A module of the extra ``photo``.

    Args:
        name: as it is imported.
        pictures: what needs it, such as "HEIC".
        instead: what else can be done with such a picture.

    Raises:
        InputError: it is not installed; the message names the extra, and the other way out.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        needs = 'needs packages that are not installed: pip install "pixelrl[photo]"'
        raise InputError(f"{pictures} {needs}; or {instead}") from error
