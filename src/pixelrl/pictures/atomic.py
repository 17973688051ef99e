"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from pixelrl.errors import UsageError


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuse to write over a file, or a link, that is there; everything that writes asks this.

    Raises:
        UsageError: it is there, unless ``overwrite``.
    """
    if not overwrite and os.path.lexists(path):
        raise UsageError(f"{path} exists; give --overwrite to replace it, or another name")


@contextlib.contextmanager
def written_whole(path: Path, *, first: bool = False) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; it is renamed in the end, or removed if anything goes wrong.

    Args:
        path: the name that it gets.
        first: whether a file stays that has come there meanwhile. (Where the system can give a file two names; else
            the last one stays.)

    Not tempfile: its files are private (mode 0600), and these should have the mode any new file has.
    """
    temporary = path.parent / f".pixelrl-{secrets.token_hex(8)}.tmp"
    try:
        yield temporary
        if first:
            with contextlib.suppress(OSError):
                os.link(temporary, path)
            if path.exists():
                temporary.unlink()
                return
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
