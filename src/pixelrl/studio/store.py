"""Session folders on disk: what lets a crash or a reload lose no edit. All names in them are made here.

A folder holds the picture as it came (``input.*``), the recorded run (``trace.npz``), the masks of the edits
and of the object (``masks/*.png``) and, written anew after every change, ``session.json``.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import struct
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import final

import cv2
import numpy as np
import numpy.typing as npt

from pixelrl.errors import InputError, UsageError
from pixelrl.pictures.atomic import written_whole
from pixelrl.pictures.files import read_picture
from pixelrl.pictures.formats import PNG_HEAD, Picture, check_size
from pixelrl.studio.notes import Notes

_ID = re.compile(r"[0-9a-f]{16}")
_MASK = re.compile(r"masks/[0-9a-f]{16}\.png")
_FORMAT = 1
_MOST_MASKS = 5000
KEPT_WITHOUT_EDITS = 5
"""Sessions in which nothing was edited are only worth a few places in the list."""


def default_folder() -> Path:
    """Where this system keeps what programs remember."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "pixelrl" / "studio"


@final
class Folder:
    """One session's folder. Paths inside it are built from names that were made or checked here."""

    def __init__(self, path: Path, notes: Notes) -> None:
        self.path, self.notes = path, notes

    @property
    def id(self) -> str:
        """Its name in the store."""
        return self.path.name

    @property
    def trace(self) -> Path:
        """Where the recorded run is."""
        return self.path / "trace.npz"

    @property
    def input(self) -> Path:
        """Where the picture is."""
        return self.path / f"input{self.notes.suffix}"

    @property
    def stem(self) -> str:
        """The picture's name without its suffix, fit for a file name."""
        return re.sub(r"[^\w.-]+", "-", Path(self.notes.name).stem).strip("-.") or "picture"

    def picture(self, max_pixels: int) -> Picture:
        """Read the picture again."""
        return read_picture(self.input, max_pixels=max_pixels)

    def save(self) -> None:
        """Write the notes, whole or not at all."""
        self.notes.changed = time.time()
        content = json.dumps({"format": _FORMAT, **asdict(self.notes)})
        try:
            with written_whole(self.path / "session.json") as temporary:
                temporary.write_text(content, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"the session folder {self.path} cannot be written: {error.strerror}") from error

    def add_mask(self, inside: npt.NDArray[np.bool_]) -> str:
        """Keep a mask; returns the name by which edits refer to it."""
        folder = self.path / "masks"
        folder.mkdir(exist_ok=True)
        if sum(1 for _ in folder.iterdir()) >= _MOST_MASKS:
            raise UsageError(f"this session holds {_MOST_MASKS} painted regions already; start a new one")
        name = f"masks/{secrets.token_hex(8)}.png"
        encoded, data = cv2.imencode(".png", inside.astype(np.uint8) * 255)
        if not encoded:
            raise UsageError("the mask cannot be kept: the PNG encoder refused it")
        with written_whole(self.path / name) as temporary:
            temporary.write_bytes(data.tobytes())
        return name

    def has_mask(self, name: object) -> bool:
        """Whether this is the name of a mask in this folder."""
        return isinstance(name, str) and _MASK.fullmatch(name) is not None and (self.path / name).is_file()


@final
class Store:
    """All sessions.

    Args:
        root: the folder that holds their folders; made if it is not there.

    Raises:
        UsageError: it cannot be made.
    """

    def __init__(self, root: Path) -> None:
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise UsageError(f"--folder {root} cannot be made: {error.strerror}; give another place") from error
        if not os.access(root, os.W_OK | os.X_OK):
            raise UsageError(f"--folder {root} cannot be written to; give another place")
        self.root = root

    def create(self, data: bytes, name: str, max_pixels: int) -> tuple[Folder, Picture]:
        """A new session for the bytes of a picture file.

        Raises:
            InputError: not a picture, or one with too many pixels (told from its header, before it is decoded).
        """
        shown = Path(name.replace("\\", "/")).name[:120] or "picture"
        try:
            suffix = _suffix(data, max_pixels)
        except InputError as error:
            raise InputError(f"{shown}: {error}") from None
        path = self.root / secrets.token_hex(8)
        path.mkdir(mode=0o700)
        try:
            folder = Folder(path, Notes(shown, suffix))
            folder.input.write_bytes(data)
            try:
                picture = folder.picture(max_pixels)
            except InputError as error:  # says the path in the session, which nobody knows
                raise InputError(f"{shown}: {str(error).removeprefix(f'{folder.input}: ')}") from None
            folder.save()
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return folder, picture

    def branch(self, folder: Folder) -> Folder:
        """A new session on the same picture, with the same object, without edits."""
        path = self.root / secrets.token_hex(8)
        path.mkdir(mode=0o700)
        new = Folder(path, Notes(folder.notes.name, folder.notes.suffix, region=folder.notes.settings()["region"]))
        shutil.copyfile(folder.input, new.input)
        if (folder.path / "masks").is_dir():
            shutil.copytree(folder.path / "masks", path / "masks")
        new.save()
        return new

    def open(self, identity: object) -> Folder:
        """The session of this id.

        Raises:
            UsageError: there is none, or its notes are damaged.
        """
        if not isinstance(identity, str) or not _ID.fullmatch(identity):
            raise UsageError("a session's id is 16 hexadecimal digits; give one of those that are offered")
        path = self.root / identity
        try:
            content = json.loads((path / "session.json").read_text(encoding="utf-8"))
            if content.pop("format") != _FORMAT:
                raise ValueError("another format")
            notes = Notes(**content)
            if notes.suffix not in _SUFFIXES:
                raise ValueError("an unknown suffix")
        except FileNotFoundError:
            raise UsageError(f"there is no session {identity}; give one of those that are offered") from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(f"session {identity} is damaged ({error}); forget it, or look into {path}") from error
        return Folder(path, notes)

    def forget(self, identity: object) -> None:
        """Remove a session from the disk."""
        if not isinstance(identity, str) or not _ID.fullmatch(identity) or not (self.root / identity).is_dir():
            raise UsageError("there is no such session; give one of those that are offered")
        shutil.rmtree(self.root / identity, ignore_errors=True)

    def offered(self) -> list[Folder]:
        """The sessions on the disk that have a run, the latest first. Those that cannot be read are passed over."""
        found = []
        for path in self.root.iterdir():
            if _ID.fullmatch(path.name):
                try:
                    folder = self.open(path.name)
                except UsageError:
                    continue
                if folder.trace.is_file():
                    found.append(folder)
        return sorted(found, key=lambda folder: -folder.notes.changed)

    def tidy(self, keep: str | None = None) -> None:
        """Remove sessions without edits, but for the latest few. A session with edits is never removed here."""
        spare = KEPT_WITHOUT_EDITS
        folders = [self._or_none(path.name) for path in self.root.iterdir() if _ID.fullmatch(path.name)]
        for folder in sorted((f for f in folders if f is not None), key=lambda folder: -folder.notes.changed):
            notes = folder.notes
            if folder.id == keep or notes.edits or notes.undo or notes.redo:
                continue
            spare -= 1
            if spare < 0:
                self.forget(folder.id)

    def _or_none(self, identity: str) -> Folder | None:
        try:
            return self.open(identity)
        except UsageError:
            return None


_SUFFIXES = (".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".pnm")


def _suffix(data: bytes, max_pixels: int) -> str:
    """The suffix that goes with the first bytes; PNG's size, which stands right there, is checked at once."""
    if data.startswith(PNG_HEAD):
        if len(data) >= 24 and data[12:16] == b"IHDR":
            width, height = struct.unpack(">II", data[16:24])
            check_size(width, height, max_pixels)
        return ".png"
    if data.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return ".webp"
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return ".tif"
    if data.startswith(b"BM"):
        return ".bmp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return ".gif"
    if data[:1] == b"P" and data[1:2] in b"123456" and data[2:3].isspace():
        return ".pnm"
    if not data:
        raise InputError("the file is empty (0 bytes); a picture file is needed")
    raise InputError(
        "its first bytes are not those of a picture; a PNG, JPEG, TIFF, WebP, BMP, GIF or PNM file is needed"
    )
