"""What a file of several pictures is, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from pixelrl.pictures.formats import Picture


class Stack(AbstractContextManager["Stack"], ABC):
    """The pictures of one file, in their order. Use it as a context: the file stays open.

    Attributes:
        words: what it is called, with its axes: "T 3, Z 5, C 2".
        shape: the length of each axis but those of a picture, by the axis' letter.
        channels: for each picture, the name of its channel; pictures of one channel share their noise.
        formats: the formats, keys of `pixelrl.pictures.files.FORMATS`, in which all of it can be written; first that of
            the file, or the one that comes nearest.
        notes: what of the file is not written again, a sentence each.
        described: whether the file says more of its pictures than a file of one picture can.
    """

    words: str
    shape: dict[str, int]
    channels: tuple[str, ...]
    formats: tuple[str, ...]
    notes: tuple[str, ...] = ()
    described = False

    def __len__(self) -> int:
        return len(self.channels)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    @abstractmethod
    def picture(self, number: int) -> Picture:
        """One of the pictures, counted from 0.

        Raises:
            InputError: it is damaged, or of a kind that is not read; with the reason only.
        """

    @abstractmethod
    def write(self, path: Path, kind: str, pictures: Iterator[Picture], quality: int | None) -> tuple[str, ...]:
        """Write others in their place, as they come, with all that the file says of them.

        Args:
            path: a name that is free.
            kind: one of ``formats``.
            pictures: as many, of the same sizes, all of one dtype.
            quality: of lossy WebP, or None.

        Returns:
            What had to be left out, a sentence each.
        """


def bytes_of(source: Path | bytes) -> bytes:
    """All that a file holds, by its path or as it is."""
    return source if isinstance(source, bytes) else source.read_bytes()
