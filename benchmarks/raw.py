"""Ways to clean raw data, on photographs that are taken back to a made-up sensor: a table for docs/photographers.md.

    python benchmarks/raw.py FOLDER

Each photograph becomes the mosaic of a camera (`pixelrl.imaging.camera.Camera`), with noise of photons and of reading
them out, in a DNG file that LibRaw opens. The PSNR is that of the developed result, to the same mosaic without noise,
developed alike. The first ``--number`` photographs are taken, a square in the middle of each.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import pixelrl
from pixelrl.imaging.camera import Camera, Draw
from pixelrl.pictures.files import decode, read_picture
from pixelrl.pictures.raw import Sensor
from pixelrl.sensor import PHOTO, PLANES, clean_raw

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from dng import dng

SHOTS = (5e-4, 3e-3, 1.2e-2)
"""Variances of the noise of photons per unit of value: 2000, 330 and 83 photons at white."""
BLACK, WHITE = 512, 16383


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--number", type=int, default=12)
    parser.add_argument("--side", type=int, default=256)
    given = parser.parse_args()
    planes, photo = (pixelrl.load(name, device="cpu", precision="fp32") for name in (PLANES, PHOTO))
    files = sorted(given.folder.iterdir())[: given.number]
    rows: dict[str, list[list[float]]] = {}
    for column, shot in enumerate(SHOTS):
        for number, file in enumerate(files):
            noisy, clean = mosaics(middle(file, given.side), shot, number)
            sensor, target, seen = Sensor.of(noisy), decode(clean, "clean").pixels, decode(noisy, "noisy").pixels
            assert sensor is not None, "the mosaic is a usual one"
            results = {
                "developed, not cleaned": seen,
                f"{PHOTO}, on the developed picture": photo(seen, white=65535, legibility=0.0).image,
                f"{PLANES}, on the planes of the sensor": clean_raw(sensor, planes, None).picture.pixels,
                "the mean of both": clean_raw(sensor, planes, photo).picture.pixels,
            }
            for name, result in results.items():
                rows.setdefault(name, [[] for _ in SHOTS])[column].append(psnr(result, target))
    print("| | " + " | ".join(f"{1 / shot:.0f} photons at white" for shot in SHOTS) + " |")
    print("|---" * (1 + len(SHOTS)) + "|")
    for name, columns in rows.items():
        print(f"| {name} | " + " | ".join(f"{np.mean(column):.2f}" for column in columns) + " |")


def middle(file: Path, side: int) -> torch.Tensor:
    """A square of a photograph, ``(3, side, side)``."""
    pixels = read_picture(file).pixels
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return torch.from_numpy(pixels[top : top + side, left : left + side] / np.float32(255)).permute(2, 0, 1)


def mosaics(scene: torch.Tensor, shot: float, seed: int) -> tuple[bytes, bytes]:
    """Files of the mosaic with noise and without."""
    draw = Draw(torch.Generator().manual_seed(seed))
    camera = replace(Camera.drawn(draw), curve=False, corner=(0, 0), sharpening=0.0)
    raw = camera.mosaic(camera.raw(scene))[0]
    read = np.exp(2.18 * np.log(shot) + 1.2)  # as in pixelrl.imaging.camera.photographed
    noisy = raw + (shot * raw + read).sqrt() * draw.normal(tuple(raw.shape))
    neutral = min(camera.gains) / np.array(camera.gains)
    return tuple(  # type: ignore[return-value]
        dng(
            np.rint(np.clip(BLACK + (WHITE - BLACK) * values.numpy(), 0, WHITE)).astype(np.uint16),
            neutral=tuple(neutral),
            sees=torch.linalg.inv(camera.matrix).numpy(),
        )
        for values in (noisy, raw)
    )


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((one / 65535 - other / 65535) ** 2)))


if __name__ == "__main__":
    main()
