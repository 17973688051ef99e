"""Build the wheel of pixelrl-onnx and run exported policies in an empty environment, without PyTorch.

    python tools/check_onnx.py

The environment gets the wheel and what it depends on, in the versions of constraints.txt. It must stay small, and the
results must be those of pixelrl.
"""

from __future__ import annotations

import sys
import tempfile
import venv
from pathlib import Path

import numpy as np
from environments import ROOT, call, install, program
from PIL import Image
from skimage import data

import pixelrl
from pixelrl.exporting.export import export

MOST_BYTES, MOST_LOST = 250e6, 0.02
"""Of the installation, and in dB against pixelrl in fp32."""

EMPTY = """
import importlib.util
assert importlib.util.find_spec("torch") is None, "PyTorch is installed"
assert importlib.util.find_spec("cv2") is None, "OpenCV is installed"
assert importlib.util.find_spec("pixelrl") is None, "pixelrl is installed"
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        call([sys.executable, "-m", "build", "--wheel", "--outdir", name, str(ROOT / "plugins" / "pixelrl-onnx")])
        (wheel,) = folder.glob("pixelrl_onnx-*.whl")
        place = folder / "environment"
        venv.create(place, with_pip=True)
        python, runner = program(place), program(place, "pixelrl-onnx")
        packages = Path(call([python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]).strip())
        before = size(packages)
        install(place, str(wheel))
        call([python, "-c", EMPTY], folder)
        for policy, clean in (("denoise-gray", data.camera()[128:384, 128:384]), ("denoise-color", data.astronaut())):
            compare(policy, clean, runner, folder)
        added = size(packages) - before
        print(f"the installation takes {added / 1e6:.0f} MB, and {before / 1e6:.0f} MB of pip beside it")
        assert added + before < MOST_BYTES, "the installation is too large"


def compare(policy: str, clean: np.ndarray, runner: str, folder: Path) -> None:
    """One picture by the runner and by pixelrl."""
    agent = pixelrl.load(policy, "cpu", "fp32")
    export(agent, folder / policy)
    noisy = np.clip(np.rint(clean + np.random.default_rng(0).normal(0, 25, clean.shape)), 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(folder / "noisy.png")
    denoise = [runner, "denoise", "noisy.png", "-o", "result.png", "--policy", policy, "--sigma", "25"]
    call([*denoise, "--trace", "trace.npz", "--threads", "1", "--overwrite"], folder)
    call([runner, "replay", "trace.npz", "-o", "again.png", "--overwrite"], folder)
    result, again = (np.asarray(Image.open(folder / name)) for name in ("result.png", "again.png"))
    assert np.array_equal(result, again), "the replay is not the result"
    wanted = agent(noisy, sigma=25, legibility=0)
    ours, theirs = (psnr(each, clean) for each in (wanted.image, result))
    actions = pixelrl.load_trace(folder / "trace.npz").actions
    differing = (actions != wanted.trajectory.actions[:, 0].numpy()).mean()
    print(f"{policy}: {theirs:.3f} dB, pixelrl {ours:.3f} dB, {differing:.5%} of the operations differ")
    assert abs(ours - theirs) < MOST_LOST, "the result is not that of pixelrl"


def psnr(image: np.ndarray, clean: np.ndarray) -> float:
    return float(-10 * np.log10(np.square((image - clean.astype(float)) / 255).mean()))


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
