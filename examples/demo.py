"""The main job on one photograph: add noise, clean it, and draw what every pixel did at every step.

    python examples/demo.py FOLDER

The photograph is scikit-image's `camera`, which comes inside its wheel.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from pixelrl.imaging.metrics import psnr
from pixelrl.pictures.values import array_to_tensor

SIGMA = 25


def pixelrl(*arguments: str) -> None:
    print("$ pixelrl", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "pixelrl", *arguments], check=True)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    clean = data.camera()
    noise = np.random.default_rng(0).normal(0, SIGMA, clean.shape)
    noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    clean_file, noisy_file, result_file = (str(folder / f"{name}.png") for name in ("clean", "noisy", "denoised"))
    trace_file, strip_file = str(folder / "denoised.npz"), str(folder / "strip.png")
    Image.fromarray(clean).save(clean_file)
    Image.fromarray(noisy).save(noisy_file)

    pixelrl("denoise", noisy_file, "-o", result_file, "--trace", trace_file, "--overwrite")
    pixelrl("show", trace_file, "-o", strip_file, "--reference", clean_file, "--overwrite")

    result = np.asarray(Image.open(result_file))
    before, after = (psnr(array_to_tensor(x), array_to_tensor(clean)).item() for x in (noisy, result))
    print(f"\nPSNR {before:.2f} dB noisy, {after:.2f} dB cleaned.")
    print("Noisy, clean, and the operation of every pixel at every step:")
    print(Path(strip_file).resolve())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
