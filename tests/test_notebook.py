"""How results show themselves in a notebook, and the notebook of the documentation."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

import pixelrl
from pixelrl.agent import Agent
from pixelrl.report import notebook as shown
from pixelrl.report.strip import strip

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "notebook.ipynb"


@pytest.fixture(scope="module")
def agent() -> Agent:
    return pixelrl.load("denoise-gray", "cpu")


def picture(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(60, 190, shape, dtype=np.uint8)


def pictures_in(page: str) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/\w+;base64,([^"]+)"', page)
    return [np.asarray(PillowImage.open(io.BytesIO(base64.b64decode(text)))) for text in found]


def test_a_result_shows_before_after_and_its_maps(agent: Agent) -> None:
    image = picture(40, 48)
    result = agent(image, sigma=20)
    page = result._repr_html_()
    before, after, sheet = pictures_in(page)
    assert np.array_equal(before, image)
    assert np.array_equal(after, result.image)
    assert np.array_equal(sheet, np.asarray(strip(result.trace())))  # its legend is in it, and tested there
    assert "denoise-gray</b> sigma 20, legibility 0.4" in page
    assert f"{result.bits_per_pixel[0]:.1f} bits per pixel" in page
    assert not re.search(r"<script|http", page)
    assert repr(result) == "<Result of denoise-gray: sigma=20, 48 x 40 pixels, 5 steps>"
    edited = result.edited(pixelrl.Edit(force="do nothing"))
    assert np.array_equal(pictures_in(edited._repr_html_())[1], image)


def test_where_no_html_is_shown_it_is_a_picture(agent: Agent) -> None:
    image = picture(40, 48)
    result = agent(image, sigma=20)
    sheet = np.asarray(PillowImage.open(io.BytesIO(result._repr_png_())).convert("L"))
    assert np.array_equal(sheet[-40:, :48], image)
    assert np.array_equal(sheet[-40:, -48:], result.image)


def test_ipython_shows_it(agent: Agent) -> None:
    formatters = pytest.importorskip("IPython.core.formatters", reason="IPython is not installed")
    data, _ = formatters.DisplayFormatter().format(agent(picture(16, 16), sigma=20))
    assert {"text/html", "image/png", "text/plain"} <= set(data)
    assert data["image/png"].startswith(b"\x89PNG")


def test_of_a_batch_some_are_shown(agent: Agent) -> None:
    several = [picture(16, 20) + i for i in range(8)]
    result = agent(several, sigma=20)
    page = result._repr_html_()
    assert len(pictures_in(page)) == 2 * shown.MOST
    assert np.array_equal(pictures_in(page)[3], result.image[1])
    assert "and 2 more" in page
    assert repr(result).startswith("<Result of denoise-gray: 8 images, sigma=20,")
    other = agent(several[:2])
    assert repr(other) == "<Result of denoise-gray: 2 images, 20 x 16 pixels, 5 steps>"  # each has its own sigma
    assert len(pictures_in(other._repr_html_())) == 4


def test_large_pictures_are_shrunk_and_their_maps_are_not_drawn(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "SIDE", 20)
    monkeypatch.setattr(shown, "LARGEST", 1000)
    result = agent(picture(40, 48), sigma=20)
    page = result._repr_html_()
    assert [each.shape for each in pictures_in(page)] == [(14, 16)] * 2  # by three, and the rest is a pixel
    assert "pixelrl.strip(result.trace())" in page


def test_photographs_stand_upright_and_values_in_other_units_are_scaled(agent: Agent) -> None:
    image = PillowImage.fromarray(picture(16, 24))
    image.getexif()[274] = 6
    before = pictures_in(agent(image, sigma=20)._repr_html_())[0]
    assert np.array_equal(before, np.rot90(np.asarray(image), -1))
    counts = picture(16, 24).astype(np.uint16) * 16 + picture(16, 24) % 16
    result = agent(counts, sigma=20)
    before, after = pictures_in(result._repr_html_())[:2]
    np.testing.assert_allclose(before, counts / 4095 * 255, atol=1)
    np.testing.assert_allclose(after, result.image / 4095 * 255, atol=1)
    assert "white is 4095" in result._repr_html_()


def test_names_are_no_html() -> None:
    image = torch.zeros(1, 1, 4, 4)
    page = shown.Shown("<b>&", "1 < 2", image, image, None).html()
    assert "&lt;b&gt;&amp;" in page
    assert "1 &lt; 2" in page


def test_no_steps_have_no_maps(agent: Agent) -> None:
    assert "bits per pixel" not in agent(picture(16, 16), sigma=20, steps=0)._repr_html_()


def test_the_notebook_is_small_and_was_run() -> None:
    notebook = json.loads(DOCUMENT.read_text())
    assert DOCUMENT.stat().st_size < 1_000_000
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert sum("text/html" in output.get("data", {}) for output in outputs) >= 3


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    pytest.importorskip("nbclient", reason="notebooks are run by nbclient, which is not installed")
    copy = tmp_path / "notebook.ipynb"
    copy.write_text(DOCUMENT.read_text())
    done = subprocess.run([sys.executable, ROOT / "tools" / "notebook.py", copy], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    new, old = (json.loads(path.read_text())["cells"] for path in (copy, DOCUMENT))
    for after, before in zip(new, old, strict=True):
        kinds = [[sorted(each.get("data", {})) for each in cell.get("outputs", [])] for cell in (after, before)]
        assert kinds[0] == kinds[1], "".join(before["source"])
