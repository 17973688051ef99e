"""A face is left as it was taken, while everything around it is denoised.

    python examples/protect.py FOLDER

Writes the noisy photograph, the edits, and the results without and with them, live and replayed.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

import pixelrl

SIGMA = 20
FACE = [[205, 60], [240, 50], [268, 75], [270, 140], [250, 172], [222, 176], [196, 150], [190, 95]]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    clean = data.astronaut()[:256, 64:400]
    noise = np.random.default_rng(0).normal(0, SIGMA, clean.shape)
    noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    face = [[x - 64, y] for x, y in FACE]
    file = folder / "edits.json"
    file.write_text(json.dumps([{"region": {"polygon": face}, "do": {"force": "do nothing"}}], indent=1) + "\n")

    edits = pixelrl.load_edits(file)
    agent = pixelrl.load("denoise-color")
    plain = agent(noisy, sigma=SIGMA)
    live = agent(noisy, sigma=SIGMA, edits=edits)
    pixelrl.save_trace(folder / "plain.npz", plain.trace())  # for `pixelrl edit plain.npz edits.json -o replayed.png`
    inside = edits[0].region(*noisy.shape[:2]).numpy()
    assert np.array_equal(live.image[inside], noisy[inside])
    for name, pixels in (("noisy", noisy), ("plain", plain.image), ("protected", live.image)):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    sheet = np.concatenate([noisy, plain.image, live.image], 1)
    Image.fromarray(sheet).save(folder / "sheet.png")
    print(f"{inside.sum()} pixels of the face kept their bits: {folder / 'sheet.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
