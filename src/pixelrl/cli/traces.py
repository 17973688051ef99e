"""``pixelrl show``, ``replay`` and ``edit``: look at a trace, carry it out again, or carry it out differently."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pixelrl.cli.common import FORMAT_OPTION, PATH, QUALITY_OPTION, STANDARD, check_file, complain, read_reference
from pixelrl.cli.outputs import check_apart, check_folder, check_place, make_folder, write_result
from pixelrl.errors import UsageError
from pixelrl.pictures.atomic import check_free

if TYPE_CHECKING:
    from pixelrl.trace import Trace

_TRACE = "a trace, as --trace writes it"


@click.command()
@click.argument("trace", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The picture to write, for instance strip.png.")
@click.option("--reference", type=PATH, help="The clean picture, if there is one: shown with PSNRs.")
@click.option("--maps", type=PATH, help="Also write the map of each step, of the picture's size, into this folder.")
@click.option("--overwrite", is_flag=True, help="Replace pictures that exist.")
def show(trace: Path, output: Path, reference: Path | None, maps: Path | None, overwrite: bool) -> None:
    """Draw what every pixel did at every step; as an animation if the name ends in .gif or .webp."""
    from pixelrl.pictures.files import SUFFIXES

    check_file(trace, "trace", _TRACE)
    if output != STANDARD and output.suffix.lower() not in (*SUFFIXES, ".gif"):
        known = ", ".join((*SUFFIXES, ".gif"))
        raise UsageError(f"{output}: the ending {output.suffix!r} is not known; {known} can be written")
    check_place(output, overwrite=overwrite)
    if reference is not None:
        check_file(reference, "--reference", "the clean picture")
    if maps is not None:
        check_folder(maps, "--maps")
    beside = [] if reference is None else [("the reference", reference)]
    check_apart([("-o", output)], [("the trace", trace), *beside])

    from pixelrl.report.animation import draw
    from pixelrl.trace import load_trace

    recorded = load_trace(trace)
    if maps is not None:
        for path in _map_files(maps, recorded):
            check_free(path, overwrite=overwrite)
    clean = None if reference is None else read_reference(reference, recorded)
    make_folder(output.parent)
    draw(output, recorded, clean, overwrite=overwrite)
    click.echo(str(output))
    if maps is not None:
        _write_maps(maps, recorded, overwrite=overwrite)


def _write_maps(folder: Path, trace: Trace, *, overwrite: bool) -> None:
    """The map of each step as a PNG in the operations' own colours; of each colour where each has agents of its own."""
    import numpy as np

    from pixelrl.pictures.display import orientation_exif
    from pixelrl.pictures.files import Picture, write_picture
    from pixelrl.report.maps import action_map_image

    make_folder(folder)
    all_maps = (actions for maps in trace.actions for actions in maps)
    for path, actions in zip(_map_files(folder, trace), all_maps, strict=True):
        drawn = np.array(action_map_image(actions, trace.action_names))
        write_picture(path, Picture(drawn, exif=orientation_exif(trace.orientation)), overwrite=overwrite)
    click.echo(str(folder))


def _map_files(folder: Path, trace: Trace) -> list[Path]:
    """Of each step, and of each of its agents."""
    agents = ("",) if trace.actions.shape[1] == 1 else ("-red", "-green", "-blue")
    return [folder / f"step-{step:02d}{agent}.png" for step in range(1, len(trace.actions) + 1) for agent in agents]


@click.command()
@click.argument("trace", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The picture to write; - for standard output.")
@FORMAT_OPTION
@QUALITY_OPTION
@click.option("--overwrite", is_flag=True, help="Replace the picture if it exists.")
def replay(trace: Path, output: Path, kind: str | None, quality: int | None, overwrite: bool) -> None:
    """Rebuild a result from its trace: the same bits, with no network."""
    check_file(trace, "trace", _TRACE)
    if output != STANDARD:
        check_place(output, overwrite=overwrite)
    check_apart([("-o", output)], [("the trace", trace)])

    from pixelrl.trace import load_trace

    write_result(output, load_trace(trace).result(), kind, quality, overwrite=overwrite)


@click.command()
@click.argument("trace", type=PATH)
@click.argument("edits", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The picture to write; - for standard output.")
@click.option("--trace", "edited_trace", type=PATH, help="Also write the edited trace.")
@FORMAT_OPTION
@QUALITY_OPTION
@click.option("--overwrite", is_flag=True, help="Replace results that exist.")
def edit(
    trace: Path,
    edits: Path,
    output: Path,
    edited_trace: Path | None,
    kind: str | None,
    quality: int | None,
    overwrite: bool,
) -> None:
    """Carry a TRACE out with EDITS (JSON): what they do not touch stays as recorded, and no network is asked.

    For the other way, in which the policy reacts to the edits, see `pixelrl denoise --edits`.
    """
    check_file(trace, "trace", _TRACE)
    check_file(edits, "edits", "a file of edits (JSON)")
    if output != STANDARD:
        check_place(output, overwrite=overwrite)
    check_apart([("-o", output)], [("the trace", trace), ("the edits", edits)])
    if edited_trace is not None:
        check_place(edited_trace, overwrite=overwrite, option="--trace")
        check_apart([("--trace", edited_trace)], [("the picture", output), ("the edits", edits)])

    from dataclasses import replace

    from pixelrl.edits import idle_words, laid, load_edits
    from pixelrl.trace import load_trace, save_trace

    recorded = load_trace(trace)
    size = recorded.actions.shape[-2:]
    trajectory = recorded.trajectory().edited(laid(load_edits(edits), size, recorded.orientation))
    if (words := idle_words(trajectory.idle_edits, f" of {edits}")) is not None:
        complain(words)
    edited = replace(recorded, actions=trajectory.actions[:, 0].numpy())
    write_result(output, edited.result(), kind, quality, overwrite=overwrite)
    if edited_trace is not None:
        make_folder(edited_trace.parent)
        save_trace(edited_trace, edited)
