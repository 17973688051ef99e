"""The panel in a Qt application without a screen, on napari's model of a viewer: run, cancel, replay, errors."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("napari_pixelrl")
pytest.importorskip("pytestqt")

from napari.components import ViewerModel

from napari_pixelrl import _panel
from napari_pixelrl._panel import Panel

pytestmark = pytest.mark.filterwarnings("default")
NOISY = np.clip(np.random.default_rng(0).normal(120, 25, (24, 32)), 0, 255).astype(np.uint8)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a person is told."""
    words: list[str] = []
    monkeypatch.setattr(_panel, "show_error", words.append)
    monkeypatch.setattr(_panel, "show_info", words.append)
    return words


@pytest.fixture
def panel(qtbot) -> Panel:
    viewer = ViewerModel()
    layer = viewer.add_image(NOISY, name="cells")
    made = Panel(viewer)
    qtbot.addWidget(made.native)
    made.layer.choices = [layer]
    made.policy.value, made.numbers.value = "denoise-gray", "sigma=25"
    return made


def test_run_paint_and_replay(panel: Panel, qtbot, said: list[str]) -> None:
    panel.start.changed.emit(True)
    assert panel.cancel.enabled
    assert not panel.start.enabled
    qtbot.waitUntil(lambda: panel.worker is None, timeout=120_000)
    layers = panel.viewer.layers
    assert [each.name for each in layers][:3] == ["cells", "cells: denoise-gray", "cells: step 1"]
    assert panel.bar.value == 100
    assert panel.start.enabled
    before = np.array(layers[1].data)
    for each in layers[2:]:
        each.data[:, :16] = layers[1].metadata["pixelrl"].operations.index("do nothing") + 1
    panel.again.changed.emit(True)
    qtbot.waitUntil(lambda: panel.worker is None, timeout=120_000)
    assert np.array_equal(layers[1].data[:, :16], NOISY[:, :16])
    assert not np.array_equal(layers[1].data, before)
    assert said == []


def test_cancel_keeps_nothing(panel: Panel, qtbot, said: list[str]) -> None:
    panel.run()
    panel.stop()
    qtbot.waitUntil(lambda: panel.worker is None, timeout=120_000)
    assert [each.name for each in panel.viewer.layers] == ["cells"]
    assert said == ["stopped; nothing was changed"]


def test_errors_are_told(panel: Panel, qtbot, said: list[str]) -> None:
    panel.numbers.value = "sigma"
    panel.run()
    assert said.pop() == "'sigma' is not a name and a number, such as sigma=25"
    panel.numbers.value = "peak=3"
    panel.run()
    qtbot.waitUntil(lambda: panel.worker is None, timeout=120_000)
    assert "policy denoise-gray takes sigma" in said.pop()
    panel.replay()
    assert said.pop().startswith("the chosen layer belongs to no run")
