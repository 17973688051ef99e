"""``pixelrl show --maps``: the map of each step as a picture, as large as the one that was worked on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixelrl.pictures.display import orientation_of
from pixelrl.pictures.files import read_picture
from pixelrl.report.maps import action_map_image
from pixelrl.trace import Trace, save_trace

NAMES = ("do nothing", "box", "median")


@pytest.mark.parametrize(("colours", "files"), [(1, ["step-01.png", "step-02.png"]), (3, None)])
def test_maps_are_written_in_the_operations_colours(run, tmp_path: Path, colours: int, files: list[str] | None) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (12, 20, 3) if colours == 3 else (12, 20), dtype=np.uint8)
    actions = random.integers(0, 3, (2, colours, 12, 20), dtype=np.uint8)
    save_trace(tmp_path / "t.npz", Trace(pixels, actions, NAMES, "some-policy", orientation=6))
    folder = tmp_path / "deep" / "maps"
    code, out, _ = run("show", tmp_path / "t.npz", "-o", tmp_path / "strip.png", "--maps", folder)
    assert (code, out.splitlines()[1]) == (0, str(folder))
    agents = ("-red", "-green", "-blue")
    assert sorted(file.name for file in folder.iterdir()) == (
        files or sorted(f"step-0{step}{agent}.png" for step in (1, 2) for agent in agents)
    )
    picture = read_picture(folder / ("step-02.png" if files else "step-02-blue.png"))
    assert np.array_equal(picture.pixels, np.asarray(action_map_image(actions[1, -1], NAMES)))
    assert orientation_of(picture.exif) == 6
    code, _, err = run("show", tmp_path / "t.npz", "-o", tmp_path / "b.png", "--maps", tmp_path / "t.npz")
    assert code == 2
    assert "--maps" in err
