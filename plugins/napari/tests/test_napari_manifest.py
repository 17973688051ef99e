"""npe2's own checker on the manifest, and that what it names is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

npe2 = pytest.importorskip("npe2")
pytest.importorskip("napari_pixelrl")

pytestmark = pytest.mark.filterwarnings("default")
FILE = Path(__file__).parents[1] / "src" / "napari_pixelrl" / "napari.yaml"


def test_the_checker_of_npe2_finds_nothing_wrong() -> None:
    checked = subprocess.run([sys.executable, "-m", "npe2", "validate", str(FILE)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "valid" in checked.stdout


def test_what_the_manifest_names_is_there() -> None:
    manifest = npe2.PluginManifest.from_file(FILE)
    assert manifest.name == "napari-pixelrl"
    (command,) = manifest.contributions.commands
    (widget,) = manifest.contributions.widgets
    assert widget.command == command.id
    module, _, name = command.python_name.partition(":")
    assert f"class {name}(" in (FILE.parent / f"{module.rpartition('.')[2]}.py").read_text()
