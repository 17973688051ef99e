"""Tensors that a session keeps for long: large ones lie in files, and take memory only while they are looked at."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import sys
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast, final

import torch
from torch import Tensor

LEAST = 8_000_000
"""Bytes of a tensor from which on it lies in a file."""
_PAGE_OUT = 21
"""Linux's advice that pages of a mapping are taken out of the memory, what was written to them excepted."""


@final
class Kept:
    """A tensor, in a file without a name that vanishes with it, or in the memory.

    Args:
        tensor: the tensor, which lies in the mapping if there is one.
        folder: where files for others like it are made; None for none.
        file: that file, unless this is a copy.
        mapping: of the file, if it lies in one.
        own: whether what is written is written to the file, so that copies see it.
    """

    def __init__(
        self,
        tensor: Tensor,
        folder: Path | None = None,
        file: BinaryIO | None = None,
        mapping: mmap.mmap | None = None,
        own: bool = True,
    ) -> None:
        self.tensor, self.folder = tensor, folder
        self._file, self._mapping, self._own = file, mapping, own
        if file is not None:
            weakref.finalize(self, file.close)

    @classmethod
    def empty(cls, shape: Sequence[int], dtype: torch.dtype, folder: Path | None) -> Kept:
        """One to be filled; in the memory if it is small, or there is no folder, or no room in it."""
        length = math.prod(shape) * dtype.itemsize
        if folder is None or length < LEAST:
            return cls(torch.empty(tuple(shape), dtype=dtype), folder)
        with contextlib.ExitStack() as stack:
            try:
                made = tempfile.TemporaryFile(dir=folder, prefix="frames-")  # noqa: SIM115 - the stack closes it
                file = stack.enter_context(cast(BinaryIO, made))
                if hasattr(os, "posix_fallocate"):  # a disk that is full must not be found out by writing
                    os.posix_fallocate(file.fileno(), 0, length)
                else:
                    file.truncate(length)
                mapping = mmap.mmap(file.fileno(), length)
            except OSError:
                return cls(torch.empty(tuple(shape), dtype=dtype), folder)
            stack.pop_all()
        return cls(torch.frombuffer(mapping, dtype=dtype).view(tuple(shape)), folder, file, mapping)

    def like(self, tensor: Tensor) -> Kept:
        """The values of another tensor, kept in the same way; the tensor itself if that is the memory."""
        kept = Kept.empty(tensor.shape, tensor.dtype, self.folder)
        if kept._mapping is None:
            return Kept(tensor, self.folder)
        kept.tensor.copy_(tensor)
        kept.let_go()
        return kept

    def copy(self) -> Kept:
        """One that can be written to without changing this one; only what is written takes memory."""
        if self._mapping is None or self._file is None:
            return Kept(self.tensor.clone(), self.folder)
        mapping = mmap.mmap(self._file.fileno(), len(self._mapping), access=mmap.ACCESS_COPY)
        tensor = torch.frombuffer(mapping, dtype=self.tensor.dtype).view(self.tensor.shape)
        return Kept(tensor, self.folder, None, mapping, own=False)

    def let_go(self) -> None:
        """Take no memory until it is looked at again, where the system knows how; what was written is kept."""
        if self._mapping is None or not hasattr(self._mapping, "madvise"):
            return
        with contextlib.suppress(OSError, ValueError):
            if self._own:
                self._mapping.madvise(mmap.MADV_DONTNEED)
            elif sys.platform == "linux":
                self._mapping.madvise(_PAGE_OUT)
