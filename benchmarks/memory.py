"""Peak resident memory of `pixelrl denoise` on a grey photograph of 12 megapixels, in a process of its own.

Writes a line of docs/benchmarks.md.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pages import write_section
from PIL import Image
from skimage import data

HEIGHT, WIDTH, SIGMA = 3000, 4000, 25


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        large = np.asarray(Image.fromarray(data.camera()).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
        noise = np.random.default_rng(0).normal(0, SIGMA, large.shape)
        source, target = Path(folder) / "noisy.png", Path(folder) / "clean.png"
        Image.fromarray(np.clip(np.rint(large + noise), 0, 255).astype(np.uint8)).save(source)
        began = time.perf_counter()
        command = [sys.executable, "-m", "pixelrl", "denoise", str(source), "-o", str(target), "--device", "cpu"]
        subprocess.run([*command, "--sigma", str(SIGMA)], check=True)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    text = f"{WIDTH}x{HEIGHT} pixels, grey: {peak / 1e9:.2f} GB at most, {seconds:.1f} s with start-up."
    write_section("benchmarks.md", "memory", f"`benchmarks/memory.py`: {text}")


if __name__ == "__main__":
    main()
