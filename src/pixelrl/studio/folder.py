"""One session's folder: what lets a crash or a reload lose no edit. All names in it are made or checked here.

It holds the picture as it came (``input.*``), a small one for lists (``thumb.png``), the recorded run (``trace-*.npz``,
or ``trace.npz``),
the masks of the edits and of the object (``masks/*.png``) and, written anew after every change, ``session.json``; and
of a picture on which more than one task was done, the folders of the later `stages`.
While a studio has it open, that studio holds the lock of the file ``lock``.
"""

from __future__ import annotations

import itertools
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import final

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from pixelrl.errors import UsageError
from pixelrl.pictures.atomic import written_whole
from pixelrl.pictures.display import as_seen, orientation_of, upright
from pixelrl.pictures.files import read_picture
from pixelrl.pictures.formats import Picture
from pixelrl.pictures.scale import Scale
from pixelrl.studio.document import Document, decoded, encoded
from pixelrl.studio.lock import Lock, held

HELD = "this session is open in another studio; go on there, or end that one first"
_MASK = re.compile(r"masks/[0-9a-f]{16}\.png")
_TRACE = re.compile(r"trace(-[0-9a-f]{32})?\.npz")
_MOST_MASKS = 5000
_TRIES, _PATIENCE = 3, 5.0
"""How often a lock is tried that somebody holds, and for how many seconds where others only look whether it is held:
a moment each, and longer where such a process has to wait for its turn."""
_THUMB = 168
"""Pixels of the longer side."""


@final
class Folder:
    """A session's folder.

    Args:
        path: of the folder.
        document: what its ``session.json`` holds, or is to hold.
    """

    def __init__(self, path: Path, document: Document) -> None:
        self.path, self.document = path, document
        self._lock: Lock | None = None

    @classmethod
    def read(cls, path: Path) -> Folder:
        """A folder that is there.

        Raises:
            FileNotFoundError: it is not.
            OSError: it cannot be read.
            ValueError: its ``session.json`` is damaged.
        """
        document = decoded((path / "session.json").read_bytes())
        if not _TRACE.fullmatch(document.trace):
            raise ValueError("a run of an unknown name")
        return cls(path, document)

    @property
    def id(self) -> str:
        """Its name in the store."""
        return self.path.name

    @property
    def trace(self) -> Path:
        """Where the recorded run is."""
        return self.path / self.document.trace

    @property
    def finished(self) -> bool:
        """Whether a policy has ended in it, although its run may be lost since."""
        return self.document.policy is not None or self.trace.is_file()

    @property
    def input(self) -> Path:
        """Where the picture is."""
        return self.path / f"input{self.document.suffix}"

    @property
    def root(self) -> Path:
        """The folder of the picture's first stage, which holds those of the others."""
        return self.path if self.document.number == 1 else self.path.parents[1]

    @property
    def stem(self) -> str:
        """The picture's name without its suffix, fit for a file name."""
        return re.sub(r"[^\w.-]+", "-", Path(self.document.name).stem).strip("-.") or "picture"

    @property
    def staged(self) -> str:
        """`stem`, with the number of the stage if it is not the first."""
        return self.stem if self.document.number == 1 else f"{self.stem}-stage{self.document.number}"

    def picture(self, max_pixels: int) -> Picture:
        """Read the picture again."""
        return read_picture(self.input, max_pixels=max_pixels)

    def write_input(self, data: bytes) -> None:
        """Have this as the picture from now on; raises UsageError if it cannot be written."""
        self._write(self.input.name, data)
        (self.path / "thumb.png").unlink(missing_ok=True)  # of the picture before

    def save(self, document: Document) -> None:
        """Make this the document, once it is on the disk, whole.

        Raises:
            UsageError: it cannot be written; the document stays what it was.
        """
        document = msgspec.structs.replace(document, changed=time.time())
        self._write("session.json", encoded(document))
        self.document = document

    def keep_former(self) -> None:
        """Put a copy of ``session.json`` aside, before something in it that is no use is left out."""
        shutil.copyfile(self.path / "session.json", self.path / "session-before.json")

    def _write(self, name: str, data: bytes) -> None:
        try:
            with written_whole(self.path / name) as temporary:
                temporary.write_bytes(data)
        except OSError as error:
            raise UsageError(f"the session folder {self.path} cannot be written: {error.strerror}") from error

    # --- Who has it open --------------------------------------------------------------------------

    def claim(self) -> None:
        """Open it for oneself, as it is then.

        Raises:
            UsageError: another studio has it open, or it cannot be written to.
        """
        until = time.monotonic() + _PATIENCE
        try:
            for tries in itertools.count(1):
                late = time.monotonic() > until
                try:
                    self._lock = Lock(self.path / "lock")
                    break
                except BlockingIOError:
                    # Those who only look share it, where the system knows how, and are soon gone. Whoever has the
                    # session open does not.
                    if late or (tries >= _TRIES and self.held):
                        raise UsageError(HELD) from None
                time.sleep(0.03)
        except OSError as error:
            raise UsageError(f"the session folder {self.path} cannot be written: {error.strerror}") from error
        if (self.path / "session.json").is_file():
            self.document = Folder.read(self.path).document
        for left in self.path.glob(".pixelrl-*.tmp"):  # by a process that was killed
            left.unlink(missing_ok=True)
        if self.trace.is_file():
            for left in _traces(self.path):  # of a run before this one, or of one that was not written down
                if left != self.trace:
                    left.unlink(missing_ok=True)

    def release(self) -> None:
        """Let others open it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def held(self) -> bool:
        """Whether some studio, perhaps this one, has it open."""
        return held(self.path / "lock")

    # --- Masks and the small picture --------------------------------------------------------------

    def add_mask(self, inside: npt.NDArray[np.bool_]) -> str:
        """Keep a mask; returns the name by which edits refer to it."""
        folder = self.path / "masks"
        folder.mkdir(exist_ok=True)
        if sum(1 for _ in folder.iterdir()) >= _MOST_MASKS:
            raise UsageError(f"this session holds {_MOST_MASKS} painted regions already; start a new one")
        name = f"masks/{secrets.token_hex(8)}.png"
        self._write(name, _png(inside.astype(np.uint8) * 255))
        return name

    def has_mask(self, name: object) -> bool:
        """Whether this is the name of a mask in this folder."""
        return isinstance(name, str) and _MASK.fullmatch(name) is not None and (self.path / name).is_file()

    def thumbnail(self, max_pixels: int) -> bytes:
        """The picture as a small PNG, made when it is first asked for.

        Raises:
            InputError: the picture cannot be read any more.
        """
        path = self.path / "thumb.png"
        if not path.is_file():
            picture = self.picture(max_pixels)
            eight_bits = picture.with_dtype("uint8", Scale.of(picture.pixels))
            small = small_png(as_seen(eight_bits.pixels, picture.icc_profile), orientation_of(picture.exif))
            self._write(path.name, small)
        return path.read_bytes()


def _traces(path: Path) -> list[Path]:
    return [file for file in path.glob("trace*.npz") if _TRACE.fullmatch(file.name)]


def has_trace(path: Path) -> bool:
    """Whether a run has been recorded in the session of this folder, as far as can be told without its document."""
    return bool(_traces(path))


def small_png(image: npt.NDArray[np.uint8], orientation: int) -> bytes:
    """``(h, w)`` or ``(h, w, c)`` in 8 bits as a PNG that fits into a list, turned upright."""
    image = np.ascontiguousarray(upright(image, orientation, (0, 1)))
    height, width = image.shape[:2]
    scale = _THUMB / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    return _png(small[..., ::-1] if small.ndim == 3 else small)


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    encoded_well, data = cv2.imencode(".png", image)
    if not encoded_well:
        raise UsageError("the picture cannot be kept: the PNG encoder refused it")
    return bytes(data.tobytes())
