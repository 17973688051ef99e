"""``pixelrl export``: a policy for machines without PyTorch."""

from __future__ import annotations

from pathlib import Path

import click

from pixelrl.cli.common import PATH
from pixelrl.cli.outputs import check_folder
from pixelrl.errors import UsageError


@click.command()
@click.argument("policy")
@click.option("-o", "--output", required=True, type=PATH, help="The folder to write.")
@click.option("--overwrite", is_flag=True, help="Replace an export that is there.")
def export(policy: str, output: Path, overwrite: bool) -> None:
    """Write a POLICY for pixelrl-onnx, which runs it without PyTorch, at legibility 0.

    POLICY is a shipped name or a file. It takes pip install "pixelrl[onnx]".
    """
    check_folder(output)
    if not overwrite and output.is_dir() and any(output.iterdir()):
        raise UsageError(f"{output} is not empty; give --overwrite to replace the export in it, or another folder")
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise UsageError('exporting takes the package onnx; install it with pip install "pixelrl[onnx]"') from error

    from pixelrl.agent import load
    from pixelrl.exporting.export import export as write

    agent = load(policy, "cpu", "fp32")
    write(agent, output)
    click.echo(f"{output}: {agent.name} at legibility 0, fp32")
