"""Install each extra into a fresh environment, and use what it is for; without it, the fault must name it.

    python tools/check_extras.py [EXTRA ...]

One environment gets the package of this checkout and what it depends on. Each extra is added to a copy of that, so that
none can rest on another's packages. Extras that only developers use (`TOOLS`) are not tried.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import tomllib
import venv
from pathlib import Path

from environments import ROOT, install, program, run

TOOLS = {"dev", "docs"}

PICTURES = """
import numpy as np
from PIL import Image
from skimage import data

noisy = np.clip(data.camera()[200:264, 200:264] + np.random.default_rng(0).normal(0, 15, (64, 64)), 0, 255)
Image.fromarray(noisy.astype(np.uint8)).save("noisy.png")
Image.fromarray(data.coffee()[:96, :96]).save("photo.png")
"""

COMMAND = """
import subprocess, sys

def pixelrl(*words):
    done = subprocess.run([sys.executable, "-m", "pixelrl", *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
"""

USES = {
    "codes": """
import torch
from pixelrl.imaging.codes import reads
assert reads(torch.ones(1, 1, 32, 32)).shape == (1,)
""",
    "dask": COMMAND
    + """
try:
    from distributed import LocalCluster
except ImportError:
    pixelrl("denoise", "noisy.png", "-o", "out", "--dask", "tcp://127.0.0.1:1")
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        pixelrl("denoise", "noisy.png", "photo.png", "-o", "out", "--dask", cluster.scheduler_address)
""",
    "gym": """
import pixelrl.envs
import gymnasium
env = gymnasium.make("pixelrl.envs:Denoise-v0", size=16)
env.reset(seed=1)
assert "reward_map" in env.step(env.action_space.sample())[-1]
""",
    "pettingzoo": """
from pixelrl.envs import PixelParallelEnv
import gymnasium
env = PixelParallelEnv(gymnasium.make("pixelrl.envs:Denoise-v0", size=6))
env.reset(seed=1)
assert len(env.agents) == 36
""",
    "torchrl": """
from pixelrl.envs import PixelTensorDictEnv
import gymnasium
env = PixelTensorDictEnv(gymnasium.make_vec("pixelrl.envs:Denoise-v0", num_envs=2, size=16))
assert "reward_map" in env.rollout(2)["next"].keys()
""",
    "zarr": COMMAND
    + """
try:
    import numpy, zarr
    from PIL import Image
    zarr.save("noisy.zarr", numpy.asarray(Image.open("noisy.png")))
except ImportError:
    import pathlib
    pathlib.Path("noisy.zarr").mkdir()
pixelrl("denoise", "noisy.zarr", "-o", "clean.ome.zarr", "--noise", "gaussian", "--sigma", "15")
""",
    "slides": COMMAND
    + """
import numpy, tifffile
from PIL import Image
pixels = numpy.asarray(Image.open("photo.png"))
tifffile.imwrite("slide.svs", pixels, tile=(64, 64), photometric="rgb")
pixelrl("denoise", "slide.svs", "-o", "clean.tif", "--noise", "gaussian", "--sigma", "15")
assert tifffile.imread("clean.tif").shape == pixels.shape
""",
    "onnx": """
from pixelrl.errors import UsageError
from pixelrl.imaging.saliency import find_model
try:
    find_model("onnx:no.onnx")
except UsageError as fault:
    if "does not exist" not in str(fault):
        raise
""",
    "photo": COMMAND
    + """
from pathlib import Path
try:
    import pillow_heif, PIL.Image
    pillow_heif.register_heif_opener()
    PIL.Image.open("photo.png").save("photo.heic")
except ImportError:
    Path("photo.heic").write_bytes(b"\\0\\0\\0\\x18ftypheic" + bytes(64))
pixelrl("denoise", "photo.heic", "-o", "clean.png", "--sigma", "5")
""",
    "plot": COMMAND + 'pixelrl("noise", "photo.png", "-o", "noise.png")',
    "hub": """
from pixelrl.hub import HubPolicy
HubPolicy.of("denoise-gray").save_pretrained("mine")
assert HubPolicy.from_pretrained("mine").agent().name == "denoise-gray"
""",
    "studio": """
import subprocess, sys, urllib.request
words = [sys.executable, "-u", "-m", "pixelrl", "studio", "photo.png", "--folder", "sessions", "--no-browser"]
process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
try:
    said = process.stdout.readline().split()
    if not said:
        sys.exit(process.stderr.read())
    assert b"<html" in urllib.request.urlopen(said[-1]).read()
finally:
    process.terminate()
""",
    "tensorboard": """
from pathlib import Path
from pixelrl.training.log import TrainLog
TrainLog(Path("run"), 0, ["iteration"], tensorboard=True)
assert list(Path("run").glob("events*"))
""",
}
"""For every extra a program that uses it, in a folder with a noisy grey picture and a photograph."""
NAMED = {"pettingzoo": "gym", "torchrl": "gym"}
"""Where nothing is installed, the first extra that is missed is another."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="all of them if left out")
    chosen = parser.parse_args().extras or list(USES)
    described = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    untried = set(described["project"]["optional-dependencies"]) - TOOLS - set(USES)
    if untried:
        sys.exit(f"tools/check_extras.py says nothing of {', '.join(sorted(untried))}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = folder / "base"
        venv.create(base, with_pip=True)
        install(base, str(ROOT))
        for extra in chosen:
            try_extra(extra, base, folder)


def try_extra(extra: str, base: Path, folder: Path) -> None:
    """Its use fails without it, by a sentence that names it, and succeeds with it."""
    began = time.monotonic()
    work = folder / f"{extra}-work"
    work.mkdir()
    (work / "use.py").write_text(USES[extra], encoding="utf-8")
    run([program(base), "-c", PICTURES], work)
    without = run([program(base), "use.py"], work, may_fail=True)
    assert without.returncode, f"without {extra} its use did not fail"
    assert f"pixelrl[{NAMED.get(extra, extra)}]" in without.stderr, (
        f"the fault does not name the extra {extra}:\n{without.stderr}"
    )
    place = folder / extra
    # Hard links: packages are replaced when they are upgraded, never written into.
    shutil.copytree(base, place, symlinks=True, copy_function=os.link)
    install(place, f"{ROOT}[{extra}]")
    run([program(place), "use.py"], work)
    shutil.rmtree(place)
    print(f"{extra}: works, and without it the fault names it; {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
