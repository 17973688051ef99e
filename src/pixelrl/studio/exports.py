"""What a person takes along: picture, trace, edits, report. Always the exact result, never the preview."""

from __future__ import annotations

import io
import json
import shlex
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pixelrl.errors import UsageError
from pixelrl.pictures.display import orientation_exif, orientation_of
from pixelrl.pictures.files import FORMATS, encode, write_picture
from pixelrl.pictures.formats import Picture
from pixelrl.policy_files import command_for, read_header, shipped_policies
from pixelrl.studio.folder import Folder
from pixelrl.studio.runs import Progress
from pixelrl.studio.session import Session
from pixelrl.studio.stages import lossless, original
from pixelrl.trace import Trace, save_trace

KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".tif": "image/tiff"}
"""What browsers call the formats that can be written, by suffix."""


class Export(NamedTuple):
    """A file for the browser to keep, and what had to be left out of it, a sentence each."""

    name: str
    kind: str
    data: bytes
    notes: tuple[str, ...] = ()


def picture(session: Session) -> Export:
    """The result in the input's format (PNG for those that are only read), depth and metadata."""
    document = session.folder.document
    return _picture(session, document.kept_as or document.suffix)


def png(session: Session) -> Export:
    """The result without loss, for inputs whose own format loses something."""
    return _picture(session, ".png")


def stage(session: Session) -> Export:
    """The result as the next stage takes it: without loss, in the input's depth."""
    suffix, data = lossless(session.basis().picture)
    name = f"{session.folder.stem}-stage{session.folder.document.number}{suffix}"
    return Export(name, KINDS[suffix], data)


def _picture(session: Session, suffix: str) -> Export:
    _, pixels = session.result()
    suffix = suffix if suffix in KINDS else ".png"  # of a format that is only read
    whole = original(session.folder, session.picture).with_pixels(pixels)
    kind = next(kind for kind, ending in FORMATS.items() if ending == suffix)
    return Export(f"{session.folder.stem}-result{suffix}", KINDS[suffix], *encode(whole, kind))


def trace(session: Session) -> Export:
    """The run to which the edits are applied: the recorded one, or in *live* the policy's reaction to them."""
    happened, _ = session.result()  # in live, refuses while the policy is at work
    recorded = session.recorded
    assert recorded is not None
    kept = happened if session.mode == "live" else recorded.trace
    data = _through_file(".npz", lambda path: save_trace(path, kept))
    return Export(f"{session.folder.staged}.npz", "application/octet-stream", data)


def object_mask(session: Session) -> Export:
    """The object of a saliency policy, white on black, as ``pixelrl saliency --mask`` takes it."""
    session.require_nothing_requested()
    turn = orientation_exif(orientation_of(session.picture.exif))  # so that it lies as the picture does
    mask = Picture(session.recorded_object() * np.uint8(255), exif=turn)
    data = _through_file(".png", lambda path: write_picture(path, mask))
    return Export(f"{session.folder.staged}-object.png", "image/png", data)


HOW_TO = """These edits were made in pixelrl studio. To apply them again, unpack this file beside the trace and run

    pixelrl edit {trace} edits.json -o result.png

(replay: everything that the edits do not touch stays as recorded), or let the policy react to them (live):

    {live}
"""

LATER = """
This was stage {stage} of the picture. {taken} is the result of stage {before}: go to that stage, and save its picture.
"""


UNKNOWN_POLICY = """
POLICY.safetensors stands for the file of the policy {name}.
"""


def _command(trace: Trace, picture: str, mask: str, own: Path | None) -> str:
    """What does the same as the studio in *live*, with the picture, the mask and perhaps a policy of one's own."""
    shipped = shipped_policies().get(trace.policy)
    file = shipped or own
    known = None if file is None or not file.is_file() else command_for(read_header(file, "policy"))
    policy = trace.policy if shipped else str(own.absolute()) if own else "POLICY.safetensors"
    command = "saliency" if trace.mask is not None else known or "denoise"
    option = "--style" if command == "enhance" else "--policy"
    words = ["pixelrl", command, picture, option, policy]
    for name, value in trace.condition.items():
        words += [f"--{name}", repr(abs(value))]
        words += ["--attenuate"] if value < 0 else []
    words += [] if trace.mask is None else ["--mask", mask]
    words += [] if trace.legibility is None else ["--legibility", repr(trace.legibility)]
    return shlex.join([*words, "-o", "result.png", "--edits", "edits.json"])


def _how_to(folder: Folder, recorded: Trace, own: Path | None) -> str:
    """What to do with the edits, in words; a policy of one's own lies in a file."""
    stem, number = folder.staged, folder.document.number
    if number == 1:
        taken, more = folder.document.name, ""
    else:
        taken = f"{folder.stem}-stage{number - 1}{folder.input.suffix}"  # as `stage` calls it
        more = LATER.format(stage=number, taken=taken, before=number - 1)
    if own is None and recorded.policy not in shipped_policies():
        more += UNKNOWN_POLICY.format(name=recorded.policy)
    return HOW_TO.format(trace=f"{stem}.npz", live=_command(recorded, taken, f"{stem}-object.png", own)) + more


def edits(session: Session) -> Export:
    """The edits with their masks, as ``pixelrl edit`` takes them, and the object if there is one."""
    with session.lock:
        if session.recorded is None:
            raise UsageError("there are no edits yet; run a policy first")
        session.require_nothing_requested()
        content, recorded = list(session.folder.document.edits), session.recorded.trace
        own = session.policy_files.get(recorded.policy)
        inside = None if recorded.mask is None else object_mask(session)
    masks = {
        entry["region"]["mask"] for entry in content if isinstance(entry, dict) and "mask" in entry.get("region", {})
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("edits.json", json.dumps(content, indent=2) + "\n")
        archive.writestr("how-to.txt", _how_to(session.folder, recorded, own))
        if inside is not None:
            archive.writestr(inside.name, inside.data)
        for name in sorted(masks):
            archive.write(session.folder.path / name, name)
    return Export(f"{session.folder.staged}-edits.zip", "application/zip", file.getvalue())


def report(session: Session, progress: Progress) -> Export:
    """One page that explains what happened, with the edits. It takes long: ``progress`` is told how far it is."""
    try:
        from pixelrl.report.page import report_html
    except ImportError as error:
        raise UsageError(f"this installation cannot write reports: {error}") from error
    progress(0.0, "computing the exact result")
    happened, _ = session.result(lambda: progress(0.0, "computing the exact result"))
    page = report_html(happened, progress=lambda share: progress(share, "writing the report"))
    return Export(f"{session.folder.staged}-report.html", "text/html; charset=utf-8", page.encode())


EXPORTS: dict[str, Callable[[Session], Export]] = {
    "picture": picture,
    "png": png,
    "stage": stage,
    "trace": trace,
    "edits": edits,
    "object": object_mask,
}
"""What is made at once; a `report` is made as a job."""


def _through_file(suffix: str, write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="pixelrl-") as folder:
        path = Path(folder) / f"export{suffix}"
        write(path)
        return path.read_bytes()
