"""The package as a whole: its names, its version, and what a first use imports."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import pixelrl
from conftest import CHECKED, Run
from pixelrl.imaging.metrics import psnr

ROOT = Path(__file__).parents[1]

SLOW_IMPORTS = ("scipy", "skimage", "pywt", "tifffile", "rich", "onnxruntime", "starlette", "gymnasium", "torchrl")
"""What a picture in an array needs nothing of. scipy.stats alone took a second."""

FIRST_USE = """
import sys
import numpy as np
import pixelrl
assert "torch" not in sys.modules, "importing the package imports torch"
agent = pixelrl.load("denoise-gray", device="cpu")
for given in ({"sigma": 25}, {}):
    agent(np.full((16, 16), 100, np.uint8), **given)
    print(*sys.modules)
"""


def test_names_can_be_completed() -> None:
    assert {"load", "load_edits", "load_trace", "save_trace", "strip", "Agent", "Edit"} <= set(dir(pixelrl))
    assert set(pixelrl.__all__) == set(dir(pixelrl))
    for name in pixelrl.__all__:
        assert getattr(pixelrl, name) is not None
    with pytest.raises(AttributeError):
        pixelrl.lode  # noqa: B018


def test_a_first_use_imports_torch_and_little_else() -> None:
    done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    told, estimated = (set(line.split()) for line in done.stdout.splitlines())
    assert "torch" in told
    assert told & set(SLOW_IMPORTS) == set()
    assert estimated & set(SLOW_IMPORTS) == {"pywt"}  # the estimate of the noise is a wavelet transform


def test_there_is_one_source_for_the_version(run: Run) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/pixelrl/__init__.py"
    assert run("--version") == (0, f"pixelrl, version {pixelrl.__version__}\n", "")


def test_shapes_are_checked_in_modules_that_exist() -> None:
    """The hook in conftest.py says nothing of a name that no module has, and then checks nothing."""
    assert [name for name in CHECKED if find_spec(f"pixelrl.{name}") is None] == []
    with pytest.raises(Exception, match="Type-check error"):
        psnr(torch.zeros(2, 2), torch.zeros(2, 2))
