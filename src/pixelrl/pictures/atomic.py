"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; it is renamed in the end, or removed if anything goes wrong.

    Not tempfile: its files are private (mode 0600), and these should have the mode any new file has.
    """
    temporary = path.parent / f".pixelrl-{secrets.token_hex(8)}.tmp"
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
