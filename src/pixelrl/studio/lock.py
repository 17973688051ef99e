"""A file that says: this session is open in a studio. The system takes the lock away when a process ends, however."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, final

if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[bytes], shared: bool = False) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # which knows no shared locks
else:
    import fcntl

    def _take(file: IO[bytes], shared: bool = False) -> None:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


@final
class Lock:
    """Held from its making until `release`.

    Args:
        path: of the file, made if it is not there.
        shared: whether others may hold it that share it, too, as those do who only look.

    Raises:
        BlockingIOError: another one holds it.
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path, shared: bool = False) -> None:
        self._file = path.open("a+b")  # some network file systems share locks of files only that can be read
        try:
            _take(self._file, shared)
        except OSError as error:
            self._file.close()
            raise BlockingIOError(f"{path} is held") from error

    def release(self) -> None:
        """Let others have it."""
        self._file.close()


def held(path: Path) -> bool:
    """Whether somebody holds the lock of this file. Several may look at a time: none takes another one for a holder."""
    if not path.exists():
        return False
    try:
        Lock(path, shared=True).release()
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
