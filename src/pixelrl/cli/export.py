"""``pixelrl export``: a policy for machines without PyTorch."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pixelrl.cli.common import PATH
from pixelrl.cli.outputs import check_folder
from pixelrl.errors import UsageError


@click.command()
@click.argument("policy")
@click.option("-o", "--output", required=True, type=PATH, help="The folder to write.")
@click.option("--int8", is_flag=True, help="Let most layers compute in 8 bits: faster, about 0.03 dB lost at most.")
@click.option("--pictures", type=PATH, help="Folder of clean pictures to calibrate --int8.  [default: scikit-image's]")
@click.option("--overwrite", is_flag=True, help="Replace an export that is there.")
def export(policy: str, output: Path, int8: bool, pictures: Path | None, overwrite: bool) -> None:
    """Write a POLICY for pixelrl-onnx, which runs it without PyTorch, at legibility 0.

    POLICY is a shipped name or a file. It takes pip install "pixelrl[onnx]".
    """
    check_folder(output)
    if not overwrite and os.path.isdir(output) and any(output.iterdir()):
        raise UsageError(f"{output} is not empty; give --overwrite to replace the export in it, or another folder")
    if pictures is not None and not int8:
        raise UsageError("--pictures calibrate 8 bits; give --int8, too, or leave them out")
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise UsageError('exporting takes the package onnx; install it with pip install "pixelrl[onnx]"') from error

    from pixelrl.agent import load
    from pixelrl.exporting.export import export as write
    from pixelrl.exporting.export import exportable

    agent, eight = load(policy, "cpu", "fp32"), None
    exportable(agent)
    if int8:
        from pixelrl.exporting.calibration import calibrated

        eight = calibrated(agent, pictures)
    write(agent, output, eight)
    click.echo(f"{output}: {agent.name} at legibility 0, {'int8' if int8 else 'fp32'}")
