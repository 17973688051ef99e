"""Build the source distribution and from it the wheel, and clean a picture with it in an empty environment.

    python tools/check_wheel.py [--keep FOLDER]

The environment gets the wheel and what it depends on, in the versions of constraints.txt, and nothing of the checkout.
"""

from __future__ import annotations

import argparse
import email
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from environments import ROOT, call, install, program, run

CLEAN = """
import sys
from importlib import resources
import numpy as np
from PIL import Image
from skimage import data
import pixelrl

here = resources.files("pixelrl")
assert not str(here).startswith(sys.argv[1]), f"{here} is the checkout, not the wheel"
clean = data.camera()[128:384, 128:384]
noisy = np.clip(np.rint(clean + np.random.default_rng(0).normal(0, 25, clean.shape)), 0, 255).astype(np.uint8)
Image.fromarray(clean).save("clean.png")
Image.fromarray(noisy).save("noisy.png")
"""

GAIN = """
import numpy as np
from PIL import Image

clean, noisy, result = (np.asarray(Image.open(f"{name}.png"), float) for name in ("clean", "noisy", "result"))
before, after = (20 * np.log10(255 / np.sqrt(np.square(x - clean).mean())) for x in (noisy, result))
print(f"cleaned in an empty environment: {before:.2f} dB -> {after:.2f} dB")
assert after > before + 7, "the picture was not cleaned"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="build into this folder instead of a temporary one")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(keep or folder / "dist")
        clean_a_picture(wheel, folder)


def build(folder: Path) -> Path:
    """The wheel, made from the source distribution, after a look into both."""
    call([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)])
    (sdist,), (wheel,) = folder.glob("pixelrl-*.tar.gz"), folder.glob("pixelrl-*.whl")
    with tarfile.open(sdist) as archive:
        source = {PurePosixPath(*PurePosixPath(name).parts[1:]) for name in archive.getnames()}
    tracked = {PurePosixPath(line) for line in call(["git", "-C", str(ROOT), "ls-files"]).splitlines()}
    expect(source, {path for path in tracked if path.parts[0] in ("src", "tests", "docs", "examples")}, sdist)
    with zipfile.ZipFile(wheel) as archive:
        installed = {PurePosixPath(name) for name in archive.namelist()}
        (metadata,) = (name for name in installed if name.match("*.dist-info/METADATA"))
        described = email.message_from_bytes(archive.read(str(metadata)))
    package = PurePosixPath("src/pixelrl")
    expect(installed, {path.relative_to("src") for path in tracked if path.is_relative_to(package)}, wheel)
    strangers = {path.parts[0] for path in installed} - {"pixelrl", metadata.parts[0]}
    assert not strangers, f"{wheel.name} installs more than the package: {strangers}"
    text = str(described.get_payload())
    assert "](docs/" not in text, f"{wheel.name}: the description links to files of the checkout"
    print(f"{sdist.name}: {sdist.stat().st_size / 1e6:.1f} MB; {wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
    return wheel


def expect(found: Collection[PurePosixPath], wanted: Collection[PurePosixPath], where: Path) -> None:
    missing = sorted(str(path) for path in set(wanted) - set(found))
    assert wanted, "no files are tracked"
    assert not missing, f"{where.name} lacks {', '.join(missing)}"


def clean_a_picture(wheel: Path, folder: Path) -> None:
    """Install the wheel into an environment of its own, and use it from a folder outside the checkout."""
    began = time.monotonic()
    place, work = folder / "environment", folder / "work"
    work.mkdir()
    venv.create(place, with_pip=True)
    python, pixelrl = program(place), program(place, "pixelrl")
    install(place, str(wheel))
    print(f"installed in {time.monotonic() - began:.0f} s")
    call([python, "-c", CLEAN, str(ROOT)], work)
    call([pixelrl, "denoise", "noisy.png", "-o", "result.png", "--sigma", "25", "--trace", "trace.npz"], work)
    print(call([python, "-c", GAIN], work), end="")
    call([pixelrl, "explain", "trace.npz", "-o", "report.html"], work)
    assert "denoise-color" in call([pixelrl, "policies"], work)
    for recipe in ("denoise-gray", "paper/gaussian-25-plain"):
        training = ["train", recipe, "-o", "run", "--set", "data.folder=nowhere"]
        refused = run([pixelrl, *training], work, may_fail=True)
        assert refused.returncode == 2, refused
        assert "nowhere" in refused.stderr, refused.stderr  # the recipe was found; only the photographs are missing


if __name__ == "__main__":
    main()
