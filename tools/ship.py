"""Put trained policies into the package, their weights in half precision: half the size, and loaded as float32.

    python tools/ship.py runs/denoise-gray/policy.safetensors ...

Each file goes to src/pixelrl/weights/NAME.safetensors, NAME being what its recipe calls it. docs/policies.md says what
half precision changes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from pixelrl.checkpoint import load_policy, save_policy
from pixelrl.errors import UsageError

WEIGHTS = Path(__file__).parents[1] / "src" / "pixelrl" / "weights"


def ship(source: Path, folder: Path = WEIGHTS) -> Path:
    """Store a policy file's weights in half precision in a folder.

    Raises:
        UsageError: no policy file, or a weight beyond the range of half precision.
    """
    policy, card = load_policy(source, torch.device("cpu"))
    for name, weight in policy.half().state_dict().items():
        if not torch.isfinite(weight).all():
            raise UsageError(f"{source}: the weight {name} is beyond the range of half precision")
    target = folder / f"{card.name}.safetensors"
    save_policy(target, policy, card)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policies", nargs="+", type=Path, metavar="POLICY")
    parser.add_argument("--folder", type=Path, default=WEIGHTS, help="put them there instead of into the package")
    arguments = parser.parse_args()
    for source in arguments.policies:
        try:
            target = ship(source, arguments.folder)
        except UsageError as error:
            parser.error(str(error))
        print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
