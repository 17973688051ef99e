"""What a person waits for in the studio: the first result, one edit on the screen, the exact replay; and memory.

Each size in a process of its own, without the browser, on grey photographs: the edit protects a rectangle of a tenth of
the width and height in the middle. Writes a table of docs/benchmarks.md.

    python benchmarks/studio.py [MEGAPIXELS ...]
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pages import table, write_section
from PIL import Image
from skimage import data

SIZES = {0.25: (576, 432), 2: (1632, 1224), 12: (4000, 3000)}


def measure(width: int, height: int) -> str:
    import pixelrl
    from pixelrl.studio.changes import Append
    from pixelrl.studio.session import Session
    from pixelrl.studio.store import Store

    photo = np.asarray(Image.fromarray(data.camera()).resize((width, height), Image.Resampling.BICUBIC))
    noise = np.random.default_rng(0).normal(0, 25, photo.shape)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(np.rint(photo + noise), 0, 255).astype(np.uint8)).save(buffer, "png")
    agent = pixelrl.load("denoise-gray", "cpu")
    with tempfile.TemporaryDirectory() as folder:
        session = Session(*Store(Path(folder)).create(buffer.getvalue(), "photo.png", 20_000_000))
        began = time.perf_counter()
        session.run(agent, 25.0, lambda *_: None)
        first = time.perf_counter() - began
        box = [width * 45 // 100, height * 45 // 100, width * 55 // 100, height * 55 // 100]
        began = time.perf_counter()
        session.change(Append({"steps": "all", "region": {"box": box}, "do": {"force": "do nothing"}}))
        soon = time.perf_counter() - began
        while session.preview.todo:
            session.advance()
        shown = time.perf_counter() - began
        began = time.perf_counter()
        session.result()
        exact = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return f"{first:.1f} s | {soon:.2f} s | {shown:.2f} s | {exact:.1f} s | {peak:.2f} GB"


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(measure(*SIZES[float(sys.argv[2])]))
        return
    lines = []
    for size in map(float, sys.argv[1:] or SIZES):
        command = [sys.executable, __file__, "--one", str(size)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        lines.append([f"{size:g}", *done.stdout.strip().split(" | ")])
    header = [
        "megapixels",
        "first result",
        "edit on the screen, nearest part",
        "all of it",
        "exact replay",
        "peak memory",
    ]
    write_section("benchmarks.md", "studio", table(header, lines))


if __name__ == "__main__":
    main()
