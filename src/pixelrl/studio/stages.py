"""Tasks that follow one another on one picture: each stage is a session of its own, on the result of the one before.

The first stage's folder holds those of the later ones, in ``stages/``, so that a picture is one thing on the disk. A
stage's document says from which result it was made, as the `result_key` of the stage before: if that has another one by
now, the stage is of an older result. This module knows folders and documents only; `going` lets policies work.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pixelrl.errors import UsageError
from pixelrl.pictures.files import DEPTHS, FORMATS, encode
from pixelrl.pictures.formats import Picture
from pixelrl.studio.document import Document
from pixelrl.studio.folder import Folder, has_trace
from pixelrl.trace import Trace

STAGES = "stages"
"""The folder, in that of a picture, which holds the folders of its later stages."""
_ID = "[0-9a-f]" * 16
_STARTING = 60.0
"""Seconds after which somebody who began a stage certainly holds its lock."""


class Basis(NamedTuple):
    """What a later stage is made from.

    Attributes:
        picture: the result of the stage before.
        source: the `result_key` of that result.
    """

    picture: Picture
    source: str


def digest(trace: Trace) -> str:
    """A short text that no other run has: what the policy was told, what it saw and what it did."""
    told = [trace.policy, dict(trace.condition), trace.legibility, trace.precision, trace.space, trace.action_names]
    scale = None if trace.scale is None else [trace.scale.black, trace.scale.white]
    known = hashlib.blake2b(json.dumps([*told, scale]).encode(), digest_size=16)
    for array in (trace.pixels, trace.actions, trace.mask):
        if array is not None:
            known.update(f"{array.dtype}{array.shape}".encode())
            known.update(np.ascontiguousarray(array).data)
    return known.hexdigest()


def result_key(document: Document) -> str:
    """A short text that is another one whenever the result is: of the run and of the edits that are switched on."""
    edits = [entry for entry in document.edits if not entry.get("off")]
    content = [document.ran, *([document.mode, edits] if edits else [])]
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def chain(folder: Folder) -> list[Folder]:
    """The stages of a picture in their order, given one of them.

    Those that were never finished are left out, and so are those that cannot be read: `damage` says which these are.

    Raises:
        UsageError: the first one cannot be read.
    """
    try:
        first = folder if folder.document.number == 1 else Folder.read(folder.root)
    except (OSError, ValueError) as error:
        raise UsageError(f"stage 1 of this picture is damaged ({error}); look into {folder.root}") from error
    later = []
    for path in sorted((first.path / STAGES).glob(_ID)):
        try:
            stage = folder if path.name == folder.id else Folder.read(path)
        except (OSError, ValueError):  # begun by a studio that was killed, or damaged
            continue
        if stage.finished:
            later.append(stage)
    return [first, *sorted(later, key=lambda stage: stage.document.number)]


def damage(stages: Sequence[Folder]) -> str | None:
    """What must be said of a picture of which a stage that was finished cannot be read; None if all can be."""
    gaps = (before.document.number + 1 for before, stage in itertools.pairwise(stages) if _gap(before, stage))
    lost, known = next(gaps, 0), {stage.path for stage in stages}
    others = [path for path in (stages[0].path / STAGES).glob(_ID) if path not in known]
    if not lost and not any(map(_finished, others)):
        return None
    name = f"stage {lost}" if lost else "a later stage"
    return f"{name} of this picture is damaged, and those after it cannot be done again; look into {stages[0].path}"


def _gap(before: Folder, stage: Folder) -> bool:
    """Whether a stage does not directly follow the one that stands before it."""
    return stage.document.number != before.document.number + 1


def require_whole(stages: Sequence[Folder]) -> None:
    """Raise UsageError where a stage of a picture cannot be read."""
    said = damage(stages)
    if said is not None:
        raise UsageError(said)


def unfinished(first: Folder) -> list[Path]:
    """The folders of later stages whose run never ended, as when a studio was killed, and that nobody works on."""
    places = [path for path in (first.path / STAGES).glob(_ID) if time.time() - path.stat().st_mtime > _STARTING]
    return [path for path in places if not _finished(path) and not Folder(path, first.document).held]


def _finished(path: Path) -> bool:
    """Whether a policy has ended in the stage of this folder, although its run may be lost since.

    Without any document its first run was not written down: the studio was killed just before.
    """
    with suppress(OSError, ValueError):
        return Folder.read(path).finished
    return (path / "session.json").is_file() and has_trace(path)


def older(stages: Sequence[Folder]) -> list[bool]:
    """Of each stage, whether it is of an older result of those before it than they have now, or lacks its run."""
    found = [False]
    for before, stage in itertools.pairwise(stages):
        lost = _gap(before, stage) or not stage.trace.is_file()
        found.append(found[-1] or lost or stage.document.source != result_key(before.document))
    return found


def lossless(picture: Picture) -> tuple[str, bytes]:
    """Suffix and bytes of a file from which the very pixels can be read again: PNG, or TIFF of floats."""
    kind = "png" if str(picture.pixels.dtype) in DEPTHS["png"] else "tiff"
    return FORMATS[kind], encode(picture, kind)[0]


def follow(last: Folder, basis: Basis) -> Folder:
    """A new stage after the last one, in which nothing has been run yet.

    Raises:
        UsageError: the folder cannot be written.
    """
    suffix, data = lossless(basis.picture)
    before = last.document
    document = Document(
        name=before.name,
        suffix=suffix,
        kept_as=before.kept_as or before.suffix,
        number=before.number + 1,
        source=basis.source,
    )
    stage = Folder(new_place(last.root), document)
    stage.write_input(data)
    stage.save(document)
    return stage


def new_place(root: Path) -> Path:
    """An empty folder for one more stage of the picture whose folder this is."""
    (root / STAGES).mkdir(mode=0o700, exist_ok=True)
    path = root / STAGES / secrets.token_hex(8)
    path.mkdir(mode=0o700)
    return path


def original(folder: Folder, picture: Picture) -> Picture:
    """The picture as it came, with all that its file says, given one of its stages and the picture of that."""
    if folder.document.number == 1:
        return picture
    height, width = picture.pixels.shape[:2]
    return Folder.read(folder.root).picture(height * width)
