"""Photographs outside BSDS500, for `results.py`: those that come inside scikit-image's wheel.

    python benchmarks/outside.py FOLDER
    python benchmarks/results.py FOLDER --limit 100

The first command writes FOLDER/gray/test and FOLDER/color/test. Drawings, stereo twins, binary pictures and those with
noise of their own are left out. With --limit the results go to runs/, beside those of BSDS500.
"""

import sys
from pathlib import Path

from PIL import Image
from skimage import data

GRAY = ("brick", "camera", "cell", "clock", "coins", "grass", "gravel", "moon", "page", "text")
COLOR = ("astronaut", "cat", "coffee", "immunohistochemistry", "rocket")


def main(folder: Path) -> None:
    for kind, names in (("gray", GRAY), ("color", COLOR)):
        place = folder / kind / "test"
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            Image.fromarray(getattr(data, name)()).save(place / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
