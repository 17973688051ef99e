"""Keep the state of a training to go on from later, at half its size.

    python tools/keep_state.py runs/denoise-color ...

Each goes to training-state/NAME.safetensors, NAME being what its recipe calls it: weights and their average as float16,
the optimiser's moments as bfloat16. To go on, copy it to RUN/state.safetensors and give `--resume`; not to the bit.
"""

from __future__ import annotations

from pathlib import Path

import click
import torch

from pixelrl.checkpoint import read_tensors, write_tensors
from pixelrl.errors import UsageError
from pixelrl.training.state import CONTENT
from pixelrl.training.trainer import STATE_FILE

FOLDER = Path(__file__).parents[1] / "training-state"


def keep(run: Path, folder: Path = FOLDER) -> Path:
    """Write a run's state in half precision, without where its photographs and code of your own lay.

    Raises:
        UsageError: no state there.
    """
    tensors, header = read_tensors(run / STATE_FILE, CONTENT)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.ndim:
            # Squared gradients are too small for float16; for weights bfloat16 is too coarse.
            tensors[name] = tensor.to(torch.bfloat16 if name.startswith("optimiser.") else torch.float16)
    recipe = header["recipe"]
    assert isinstance(recipe, dict)
    for table, key in ((recipe, "initial"), *((recipe["data"], key) for key in recipe["data"])):
        if isinstance(table[key], str):
            table[key] = Path(table[key]).name
    header["modules"] = []
    target = folder / f"{recipe['name']}.safetensors"
    write_tensors(target, tensors, header)
    return target


@click.command(help=__doc__)
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(runs: tuple[Path, ...]) -> None:
    """Keep the state of each run."""
    for run in runs:
        try:
            target = keep(run)
        except UsageError as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
