"""``pixelrl import`` and ``policies``: which policies there are, and others' made into one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from pixelrl.cli.common import PATH, check_file
from pixelrl.cli.outputs import check_apart, check_place
from pixelrl.policy_files import About, about_policies, read_header, shipped_policies


@click.command("import")
@click.argument("weights", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The policy file to write (.safetensors).")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
def import_policy(weights: Path, output: Path, overwrite: bool) -> None:
    """Turn WEIGHTS (.npz) released by the paper's authors into a policy file."""
    check_place(output, overwrite=overwrite)
    check_file(weights, "weights", "a file of weights (.npz)")
    check_apart([("-o", output)], [("the weights", weights)])

    from pixelrl.checkpoint import save_policy
    from pixelrl.importers import import_chainer

    policy, card = import_chainer(weights)
    save_policy(output, policy, card)
    click.echo(str(output))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with all numbers.")
def policies(as_json: bool) -> None:
    """List the shipped policies: what each is for, what it is told, and what was measured of it.

    Numbers are means over pictures that no policy was trained with, before and after; the tables that they are of stand
    in the documentation.
    """
    from dataclasses import asdict

    headers = {name: read_header(path, "policy") for name, path in shipped_policies().items()}
    about = about_policies()
    if as_json:
        keys = ("kind", "num_steps", "action_names", "condition")
        content = {name: {**asdict(about[name]), **{key: headers[name][key] for key in keys}} for name in headers}
        click.echo(json.dumps(content, indent=1))
        return
    click.echo(_table(headers, about))


def _table(headers: Mapping[str, Mapping[str, object]], about: Mapping[str, About]) -> str:
    """The policies as lines for a terminal, and below them the operations of each."""
    import io
    import sys

    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("policy", "for", "measured", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.columns[0].no_wrap = True
    uses: dict[tuple[str, ...], list[str]] = {}
    for name, header in headers.items():
        operations = header["action_names"]
        assert isinstance(operations, list)
        uses.setdefault(tuple(operations), []).append(name)
        quality = "\n".join(line for each in about[name].measured for line in (f"{each.what}:", *each.lines()))
        told = f"told: {about[name].told}\n" if about[name].told else ""
        table.add_row(name, f"{about[name].use}\n{told}{header['num_steps']} steps", quality)
        table.add_section()
    console = Console(file=io.StringIO(), force_terminal=sys.stdout.isatty(), highlight=False)
    if not console.is_terminal:
        console = Console(file=io.StringIO(), width=150, highlight=False)
    console.print(table)
    for operations, names in uses.items():
        console.print(f"{', '.join(names)}: {len(operations)} operations", style="bold")
        console.print(f"  {', '.join(operations)}\n")
    buffer = console.file
    assert isinstance(buffer, io.StringIO)
    return "\n".join(line.rstrip() for line in buffer.getvalue().rstrip().splitlines())
