"""``pixelrl show``, ``replay`` and ``edit``: look at a trace, carry it out again, or carry it out differently."""

from __future__ import annotations

from pathlib import Path

import click

from pixelrl.cli.common import PATH, read_reference
from pixelrl.errors import UsageError


@click.command()
@click.argument("trace", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The picture to write, for instance strip.png.")
@click.option("--reference", type=PATH, help="The clean picture, if there is one: shown with PSNRs.")
@click.option("--overwrite", is_flag=True, help="Replace the picture if it exists.")
def show(trace: Path, output: Path, reference: Path | None, overwrite: bool) -> None:
    """Draw what every pixel did at every step; as an animation if the name ends in .gif or .webp."""
    from pixelrl.report.animation import draw
    from pixelrl.trace import load_trace

    recorded = load_trace(trace)
    clean = None if reference is None else read_reference(reference, recorded)
    draw(output, recorded, clean, overwrite=overwrite)
    click.echo(str(output))


@click.command()
@click.argument("trace", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The picture to write.")
@click.option("--overwrite", is_flag=True, help="Replace the picture if it exists.")
def replay(trace: Path, output: Path, overwrite: bool) -> None:
    """Rebuild a result from its trace: the same bits, with no network."""
    from pixelrl.pictures.files import write_picture
    from pixelrl.trace import load_trace

    write_picture(output, load_trace(trace).result(), overwrite=overwrite)
    click.echo(str(output))


@click.command()
@click.argument("trace", type=PATH)
@click.argument("edits", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The picture to write.")
@click.option("--trace", "edited_trace", type=PATH, help="Also write the edited trace.")
@click.option("--overwrite", is_flag=True, help="Replace results that exist.")
def edit(trace: Path, edits: Path, output: Path, edited_trace: Path | None, overwrite: bool) -> None:
    """Carry a TRACE out with EDITS (JSON): what they do not touch stays as recorded, and no network is asked.

    For the other way, in which the policy reacts to the edits, see `pixelrl denoise --edits`.
    """
    from dataclasses import replace

    from pixelrl.edits import load_edits
    from pixelrl.pictures.files import write_picture
    from pixelrl.trace import load_trace, save_trace

    if edited_trace is not None and edited_trace.exists() and not overwrite:
        raise UsageError(f"{edited_trace} exists; give --overwrite to replace it")
    if edited_trace is not None and edited_trace.resolve() == output.resolve():
        raise UsageError(f"--trace {edited_trace} is also the picture; give the trace another name")
    recorded = load_trace(trace)
    trajectory = recorded.trajectory().edited(load_edits(edits))
    edited = replace(recorded, actions=trajectory.actions[:, 0].numpy())
    write_picture(output, edited.result(), overwrite=overwrite)
    if edited_trace is not None:
        save_trace(edited_trace, edited)
    click.echo(str(output))
