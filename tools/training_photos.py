"""Gather photographs with full chroma for training, validation and tests: Debian's wallpapers and scikit-image's own.

    python tools/training_photos.py FOLDER

writes FOLDER/train, FOLDER/validation and FOLDER/test, as PNG, and FOLDER/licences.json with what each package says of
the pictures. Which picture goes where stands in benchmarks/photos.toml. Debian's packages are fetched by `apt-get
download` (on Debian or Ubuntu; run `apt-get update` before), or taken from --packages, a folder of .deb files.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
import tomllib
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import click
import cv2
import numpy as np
from jaxtyping import UInt8

PLAN = Path(__file__).parent.parent / "benchmarks" / "photos.toml"
ENDINGS = {".jpg", ".jpeg", ".png"}

Pixels = UInt8[np.ndarray, "h w 3"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--packages", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of .deb files.")
def main(folder: Path, packages: Path | None) -> None:
    """Gather photographs into FOLDER/train, FOLDER/validation and FOLDER/test."""
    plan = tomllib.loads(PLAN.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        unpacked = Path(scratch)
        licences = {name: _unpack(name, unpacked, packages) for name in plan["packages"]["names"]}
        found = _pictures(unpacked)
        for part in ("train", "validation", "test"):
            target = folder / part
            target.mkdir(parents=True, exist_ok=True)
            for name in plan[part]["names"]:
                if name not in found:
                    raise click.ClickException(f"{name} is in none of the packages; see {PLAN}")
                for i, picture in enumerate(_cut(_reduced(found[name], part, plan), part, plan)):
                    cv2.imwrite(str(target / f"{name}-{i}.png"), picture)
    licences["scikit-image"] = (_skimage() / "README.txt").read_text(encoding="utf-8")
    (folder / "licences.json").write_text(json.dumps(licences, indent=1), encoding="utf-8")


def _unpack(name: str, into: Path, packages: Path | None) -> str:
    """Unpack a Debian package; its copyright file."""
    place = packages or into
    if packages is None:
        # As root, apt fetches as a user of its own, who may not write here; it then says so and goes on.
        subprocess.run(["apt-get", "download", name], cwd=into, check=True, capture_output=True)
    deb = next(place.glob(f"{name}_*.deb"), None)
    if deb is None:
        raise click.ClickException(f"{place} holds no package {name}_*.deb")
    (into / name).mkdir()
    subprocess.run(["dpkg-deb", "-x", deb, into / name], check=True)
    return (into / name / "usr/share/doc" / name / "copyright").read_text(encoding="utf-8")


def _pictures(unpacked: Path) -> dict[str, Path]:
    """Pictures by their name, or by the wallpaper's where a folder holds one picture in several sizes: the largest."""
    found: dict[str, Path] = {}
    for path in sorted([*unpacked.rglob("*"), *_skimage().iterdir()]):
        if path.suffix.lower() not in ENDINGS:
            continue
        name = path.parents[2].name if path.parent.name == "images" else path.stem
        if name not in found or path.stat().st_size > found[name].stat().st_size:
            found[name] = path
    return found


def _skimage() -> Path:
    spec = find_spec("skimage")
    assert spec is not None, "PixelRL depends on scikit-image"
    return Path(str(spec.origin)).parent / "data"


def _reduced(path: Path, part: str, plan: dict[str, float]) -> Pixels:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if path.parent == _skimage() and path.suffix == ".png":
        return pixels
    most = plan["test_pixels" if part == "test" else "pixels"]
    factor = max(plan["factor"], math.sqrt(pixels.shape[0] * pixels.shape[1] / most))
    return cv2.resize(pixels, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)


def _cut(pixels: Pixels, part: str, plan: dict[str, list[int]]) -> list[Pixels]:
    height, width = pixels.shape[:2]
    if part == "validation":
        return [pixels[:, : width // 2], pixels[:, width - width // 2 :]]
    if part == "test":
        if height * width <= 1.01 * plan["test_pixels"]:  # as reduced, up to rounding of the sides
            return [pixels]
        side = plan["test_side"] if width >= height else plan["test_side"][::-1]
        left, top = (max(0, (n - most) // 2) for n, most in zip((width, height), side, strict=True))
        return [pixels[top : top + side[1], left : left + side[0]]]
    rows, columns = (np.linspace(0, n, max(1, round(n / plan["tile"])) + 1, dtype=int) for n in (height, width))
    return [pixels[top:bottom, left:right] for top, bottom in pairwise(rows) for left, right in pairwise(columns)]


if __name__ == "__main__":
    main()
