"""All sessions on the disk: made, found again, forgotten and brought back."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import final

import platformdirs

from pixelrl.errors import InputError, UsageError
from pixelrl.pictures.formats import Picture
from pixelrl.studio.document import Document
from pixelrl.studio.folder import Folder, has_trace
from pixelrl.studio.stages import STAGES, chain, new_place, unfinished
from pixelrl.studio.suffixes import SUFFIXES, suffix_of

_ID = re.compile(r"[0-9a-f]{16}")
_FORGOTTEN = ".forgotten"
KEPT_WITHOUT_EDITS = 5
"""Sessions in which nothing was edited are only worth a few places in the list."""
KEPT_FORGOTTEN = 86400.0
"""Seconds after which what another studio forgot is removed: it does that itself when it ends, unless it was killed."""

_MAKING = 60.0
"""Seconds after which a folder in which nothing was written down is certainly not being made any more."""


def default_folder() -> Path:
    """Where this system keeps what programs remember."""
    return platformdirs.user_state_path("pixelrl", appauthor=False) / "studio"


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
        self._forgotten: dict[Path, int] = {}  # what this one forgot, and when

    # --- New ones ---------------------------------------------------------------------------------

    def create(self, data: bytes, name: str, max_pixels: int) -> tuple[Folder, Picture]:
        """A new session for the bytes of a picture file.

        Raises:
            InputError: not a picture, or one with too many pixels (told from its header, before it is decoded).
        """
        shown = Path(name.replace("\\", "/")).name[:120] or "picture"
        try:
            suffix = suffix_of(data, max_pixels)
        except InputError as error:
            raise InputError(f"{shown}: {error}") from None
        folder = self._new(Document(name=shown, suffix=suffix))
        try:
            folder.input.write_bytes(data)
            try:
                picture = folder.picture(max_pixels)
            except InputError as error:  # says the path in the session, which nobody knows
                raise InputError(f"{shown}: {str(error).removeprefix(f'{folder.input}: ')}") from None
            folder.save(folder.document)
        except OSError as error:
            self._remove(folder.path)
            raise UsageError(f"the session folder {folder.path} cannot be written: {error.strerror}") from error
        except BaseException:
            self._remove(folder.path)
            raise
        return folder, picture

    def branch(self, folder: Folder, kept: Iterable[int] = ()) -> Folder:
        """A new session on the same picture, with the same object, and with the edits of these numbers; it is claimed.

        Of a later stage, copies of the stages before it come with it.

        Raises:
            UsageError: one of these is damaged, or the new session cannot be written.
        """
        document = folder.document
        entries = {number: document.entries[number] for number in kept}
        own = Document(
            name=document.name,
            suffix=document.suffix,
            region=document.settings()["region"],
            entries=entries,
            order=tuple(entries),
            count=document.count,
            number=document.number,
            source=document.source,
            kept_as=document.kept_as,
        )
        before: list[Folder] = []
        if document.number > 1:
            before = [stage for stage in chain(folder) if stage.document.number < document.number]
            if len(before) != document.number - 1:
                raise UsageError("a stage before this one is damaged, and cannot be copied")
        root, new = self.root / secrets.token_hex(8), None
        try:
            root.mkdir(mode=0o700)
            new = Folder(new_place(root) if before else root, own)
            new.claim()  # before there is a picture that could be tidied away
            for stage in before:
                _copy(stage.path, root if stage is before[0] else new_place(root))
            shutil.copyfile(folder.input, new.input)
            if (folder.path / "masks").is_dir():
                shutil.copytree(folder.path / "masks", new.path / "masks")
            new.save(new.document)
        except (OSError, UsageError) as error:
            if new is not None:
                new.release()
            self._remove(root)
            if isinstance(error, UsageError):
                raise
            reason = error.strerror or "the disk is full, or a file is gone"  # of several files at once, there is none
            raise UsageError(f"the session folder {root} cannot be written: {reason}") from error
        return new

    def _new(self, document: Document) -> Folder:
        path = self.root / secrets.token_hex(8)
        path.mkdir(mode=0o700)
        return Folder(path, document)

    # --- Those that are there ---------------------------------------------------------------------

    def open(self, identity: str) -> Folder:
        """The session of this id.

        Raises:
            UsageError: there is none, or its document is damaged.
        """
        path = self._path(identity)
        try:
            folder = Folder.read(path)
            if folder.document.suffix not in SUFFIXES:
                raise ValueError("an unknown suffix")
        except FileNotFoundError:
            raise UsageError(f"there is no session {identity}; give one of those that are offered") from None
        except (OSError, ValueError) as error:
            raise UsageError(f"session {identity} is damaged ({error}); forget it, or look into {path}") from error
        return folder

    def offered(self) -> list[Folder]:
        """The sessions in which a policy has run: first those with edits, the latest before the others.

        So a session with edits is never pushed out of sight by those without. Of a picture with later stages, which
        counts as one with edits, it is the first.
        """
        found = [chain(folder) for folder in self._folders() if folder.finished]
        return [stages[0] for stages in sorted(found, key=lambda stages: (not _worked_on(stages), -_changed(stages)))]

    def damaged(self) -> list[Path]:
        """The folders of pictures whose ``session.json`` cannot be read, the latest first."""
        found = []
        for path in filter(_is_session, self.root.iterdir()):
            try:
                self.open(path.name)
            except UsageError:
                with suppress(FileNotFoundError):  # it was removed just now, and is not damaged
                    found.append((path.stat().st_mtime, path))
        return [path for _, path in sorted(found, reverse=True)]

    def earlier(self, data: bytes) -> Folder | None:
        """The latest session of a picture file with these bytes in which there are edits or later stages, or None."""

        def same(folder: Folder) -> bool:
            try:
                return folder.input.stat().st_size == len(data) and folder.input.read_bytes() == data
            except OSError:
                return False

        found = ((folder, chain(folder)) for folder in self.offered())
        edited = (
            folder for folder, stages in found if len(stages) > 1 or any(stage.document.order for stage in stages)
        )
        return next((folder for folder in edited if same(folder)), None)

    def _folders(self) -> Iterator[Folder]:
        for path in filter(_is_session, self.root.iterdir()):
            with suppress(UsageError):
                yield self.open(path.name)

    def _path(self, identity: str, ending: str = "") -> Path:
        """Where a session of this id is: a picture's first stage, or a later one."""
        if not isinstance(identity, str) or not _ID.fullmatch(identity):
            raise UsageError("a session's id is 16 hexadecimal digits; give one of those that are offered")
        name = identity + ending
        later = (path for path in self.root.glob(f"*/{STAGES}/{name}") if _ID.fullmatch(path.parents[1].name))
        return self.root / name if (self.root / name).is_dir() else next(later, self.root / name)

    # --- Forgetting -------------------------------------------------------------------------------

    def forget(self, identity: str) -> None:
        """Take a session out of the list: a picture with all its stages, or its last stage. `restore` brings it back.

        Raises:
            UsageError: there is none, or a studio has it open, or it is a stage that others follow.
        """
        path = self._path(identity)
        if not path.is_dir():
            raise UsageError("there is no such session; give one of those that are offered")
        if _held(path):
            raise UsageError("this session is open; close it first")
        if path.parent != self.root and chain(self.open(identity))[-1].id != identity:
            raise UsageError("other stages follow this one; remove the last one first")
        gone = path.with_name(identity + _FORGOTTEN)
        shutil.rmtree(gone, ignore_errors=True)
        path.rename(gone)
        now = time.time_ns()  # the system's own mark of a time is too coarse to tell one who forgets from the next
        os.utime(gone, ns=(now, now))
        self._forgotten[gone] = gone.stat().st_mtime_ns

    def restore(self, identity: str) -> None:
        """Bring a forgotten session back.

        Raises:
            UsageError: it is gone for good, or another stage has taken its place.
        """
        gone = self._path(identity, _FORGOTTEN)
        if gone.parent != self.root and gone.is_dir():
            stage = Folder.read(gone)
            if chain(Folder.read(stage.root))[-1].document.number >= stage.document.number:
                raise UsageError("another stage has taken this one's place; remove that one first")
        try:
            gone.rename(gone.with_name(identity))
        except OSError:
            raise UsageError("this session cannot be brought back any more") from None

    def purge(self) -> None:
        """Remove from the disk what was forgotten here: nobody can bring it back any more."""
        for path, when in self._forgotten.items():
            if path.is_dir() and path.stat().st_mtime_ns == when:  # not by another one, after it had been brought back
                self._remove(path)
        self._forgotten.clear()

    def discard(self, folder: Folder, whole: bool = False) -> None:
        """Remove a session for good that holds nothing of a person's; ``whole``: with all stages of its picture."""
        folder.release()
        self._remove(folder.root if whole else folder.path)

    def tidy(self) -> None:
        """Remove sessions without edits, but for the latest few, and stages that were never finished.

        What another studio forgot long ago is removed, too, and what one that was killed had only begun to make.
        One with edits or with later stages, or an open one, is never removed.
        """
        spare = KEPT_WITHOUT_EDITS
        for path in self.root.iterdir():
            if _ID.fullmatch(path.name) and _abandoned(path):
                self._remove(path)
        for stages in sorted(map(chain, self._folders()), key=lambda stages: -_changed(stages)):
            for path in unfinished(stages[0]):
                self._remove(path)
            if _worked_on(stages) or _held(stages[0].path):
                continue
            spare -= 1
            if spare < 0:
                self._remove(stages[0].path)
        for path in (*self.root.glob(f"*{_FORGOTTEN}"), *self.root.glob(f"*/{STAGES}/*{_FORGOTTEN}")):
            if not _ID.fullmatch(path.name.removesuffix(_FORGOTTEN)):
                continue  # a person's own
            if path not in self._forgotten and time.time() - path.stat().st_mtime >= KEPT_FORGOTTEN:
                self._remove(path)

    @staticmethod
    def _remove(path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)


def _is_session(path: Path) -> bool:
    """Whether a folder in the store is that of a session; one that is just being made is not yet."""
    return _ID.fullmatch(path.name) is not None and (path / "session.json").is_file()


def _abandoned(path: Path) -> bool:
    """Whether this is the folder of a session that was begun to be made, and that nobody makes any more."""
    made = any(path.rglob("session.json")) or any(map(has_trace, (path, *(path / STAGES).glob("*"))))
    return path.is_dir() and not made and time.time() - path.stat().st_mtime > _MAKING and not _held(path)


def _held(path: Path) -> bool:
    """Whether some studio has a session open, or one of the stages in it, perhaps one without a run yet."""
    return any(Folder(each, _NOBODY).held for each in (path, *(path / STAGES).glob("*")))


def _worked_on(stages: Sequence[Folder]) -> bool:
    """Whether there is more in a picture's stages than the run of a policy, or in one that can be brought back."""
    forgotten = any((stages[0].path / STAGES).glob(f"*{_FORGOTTEN}"))
    return len(stages) > 1 or forgotten or any(stage.document.edited for stage in stages)


def _changed(stages: Sequence[Folder]) -> float:
    return max(stage.document.changed for stage in stages)


def _copy(path: Path, to: Path) -> None:
    """A session's folder, without its later stages and without what a running studio holds there."""
    left_out = shutil.ignore_patterns(STAGES, "lock", ".pixelrl-*", "frames-*")
    shutil.copytree(path, to, ignore=left_out, dirs_exist_ok=True)


_NOBODY = Document(name="", suffix="")
