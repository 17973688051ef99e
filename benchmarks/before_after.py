"""Crops before and after `pixelrl denoise`, told nothing, of free photographs; docs/before-after.md.

    python tools/training_photos.py PHOTOS
    python benchmarks/before_after.py PHOTOS --packages FOLDER [--only NAME]

FOLDER holds Debian's package lomiri-wallpapers-16.04 (`apt-get download lomiri-wallpapers-16.04`), whose photographs
are taken as they are, at full size, with the noise that their cameras and JPEG left. Those of PHOTOS are given
synthetic camera noise (`pixelrl.imaging.camera`), so there the clean picture is known, and stands at the right.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from command import Pixels, denoised_array
from pages import DOCS, write_section
from PIL import Image as PillowImage
from skimage import data

from pixelrl.imaging.camera import Draw, jpeg, photographed
from pixelrl.pictures.files import read_picture

FOLDER = "before-after"
SIDE, ZOOM, GAP = 150, 2, 6
AROUND = 480
"""Side in pixels of the square around a crop that the command is given."""


@dataclass(frozen=True)
class Crop:
    """Where a crop of `SIDE` x `SIDE` pixels lies, and of what.

    Attributes:
        source: a photograph of the package, of `PHOTOS`/test, or of scikit-image, without ending.
        corner: x and y of the crop's upper left pixel.
        shot: shot noise of the synthetic camera, the variance per unit of raw value; None for a picture as it is.
        quality: of the JPEG that the synthetic camera writes.
    """

    source: str
    corner: tuple[int, int]
    shot: float | None = None
    quality: int = 92


CROPS = {
    "mountains": Crop("picosdeeuropa_by_Aitzol_Berasategi", (2050, 560)),
    "haze": Crop("aitzgorri_by_Aitzol_Berasategi", (2000, 420)),
    "dusk": Crop("sunset_by_Aitzol_Berasategi", (1000, 1300)),
    "brush": Crop("Picture_1A_by_freespace", (1000, 900)),
    "rocket": Crop("rocket", (200, 120)),
    "galaxies": Crop("hubble_deep_field", (300, 300)),
    "coins": Crop("coins", (60, 60)),
    "astronaut": Crop("astronaut", (180, 30), 0.003),
    "coffee": Crop("coffee", (150, 60), 0.005),
    "wine": Crop("Wine_by_Jakkub_Mede", (100, 100), 0.008, 85),
    "cat": Crop("chelsea", (90, 60), 0.001),
    "tissue": Crop("ihc", (100, 100), 0.006, 75),
}


def photograph(crop: Crop, photos: Path, package: Path) -> Pixels:
    held_out = photos / "test" / f"{crop.source}-0.png"
    if crop.shot is not None:
        return read_picture(held_out).pixels
    found = sorted(package.rglob(f"{crop.source}.jpg"))
    pixels: Pixels = read_picture(found[0]).pixels if found else getattr(data, crop.source)()
    return pixels


def cut(pixels: Pixels, corner: tuple[int, int], side: int) -> Pixels:
    x, y = corner
    return pixels[y : y + side, x : x + side]


def before_and_clean(name: str, crop: Crop, pixels: Pixels) -> tuple[Pixels, Pixels | None]:
    """What the command is given, and the clean picture where it is known."""
    if crop.shot is None:
        return pixels, None
    height, width = (side // 2 * 2 for side in pixels.shape[:2])
    scene = torch.from_numpy(pixels[:height, :width].astype(np.float32) / 255).movedim(-1, 0)
    seed = int.from_bytes(name.encode()[:4])
    image, target = photographed(scene, crop.shot, Draw(torch.Generator().manual_seed(seed)))
    given, clean = ((255 * x.movedim(0, -1)).round().byte().numpy() for x in (jpeg(image, crop.quality), target))
    return given, clean


def panels(shown: list[Pixels]) -> Pixels:
    """Side by side, every pixel four times as large."""
    columns = []
    for each in shown:
        color = each if each.ndim == 3 else np.repeat(each[:, :, None], 3, 2)
        columns += [color.repeat(ZOOM, 0).repeat(ZOOM, 1), np.full((SIDE * ZOOM, GAP, 3), 255, np.uint8)]
    return np.concatenate(columns[:-1], 1)


def psnr(result: Pixels, clean: Pixels) -> float:
    return float(cv2.PSNR(np.ascontiguousarray(result), np.ascontiguousarray(clean)))


def said(report: dict[str, object]) -> str:
    condition = report["condition"]
    assert isinstance(condition, dict)
    told = ", ".join(f"{word} {value:.3g}" for word, value in condition.items())
    return f"`{report['policy']}`, {told}" if told else f"`{report['policy']}`"


def make(name: str, crop: Crop, photos: Path, package: Path) -> None:
    pixels = photograph(crop, photos, package)
    corner = crop.corner
    if crop.shot is None:  # a square around it, and not millions of pixels
        limits = (pixels.shape[1] - AROUND, pixels.shape[0] - AROUND)
        left, top = (max(0, min(at - (AROUND - SIDE) // 2, most)) for at, most in zip(corner, limits, strict=True))
        pixels = cut(pixels, (left, top), AROUND)
        corner = (corner[0] - left, corner[1] - top)
    given, clean = before_and_clean(name, crop, pixels)
    after, report = denoised_array(given)
    shown = [cut(each, corner, SIDE) for each in (given, after, clean) if each is not None]
    path = DOCS / FOLDER / f"{name}.jpg"
    path.parent.mkdir(exist_ok=True)
    PillowImage.fromarray(panels(shown)).save(path, quality=90, subsampling=0)
    line = f"{said(report)}."
    if clean is not None:
        line += f" PSNR of the whole picture {psnr(given, clean):.2f} dB before, {psnr(after, clean):.2f} dB after."
    sides = "before and after" if clean is None else "noisy, result, clean"
    write_section(f"{FOLDER}.md", name, f"![{name}: {sides}]({FOLDER}/{path.name})\n\n{line}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the crops of docs/before-after.md.")
    parser.add_argument("photos", type=Path, help="folder that tools/training_photos.py wrote")
    parser.add_argument("--packages", type=Path, required=True, help="folder with lomiri-wallpapers-16.04_*.deb")
    parser.add_argument("--only", action="append", choices=list(CROPS), help="this crop; may be repeated")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as package:
        for deb in arguments.packages.glob("lomiri-wallpapers-16.04_*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(deb), package], check=True)
        for name in arguments.only or CROPS:
            make(name, CROPS[name], arguments.photos, Path(package))


if __name__ == "__main__":
    main()
