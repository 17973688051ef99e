"""A file that says: this session is open in a studio. The system takes the lock away when a process ends, however."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, final

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@final
class Lock:
    """Held from its making until `release`.

    Args:
        path: of the file, made if it is not there.

    Raises:
        BlockingIOError: another one holds it.
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        try:
            _take(self._file)
        except OSError as error:
            self._file.close()
            raise BlockingIOError(f"{path} is held") from error

    def release(self) -> None:
        """Let others have it."""
        self._file.close()


def held(path: Path) -> bool:
    """Whether somebody holds the lock of this file."""
    if not path.exists():
        return False
    try:
        Lock(path).release()
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
