"""napari's own model of a viewer, without Qt: layers of a run, the legend's colours and names, painting and replay."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("napari_pixelrl")

from napari.components import ViewerModel

from napari_pixelrl._layers import add_run, replay, run_of, show_replayed, values_of
from napari_pixelrl._work import Settings, run
from pixelrl.actions.table import find_action

pytestmark = pytest.mark.filterwarnings("default")
NOISY = np.clip(np.random.default_rng(0).normal(120, 25, (24, 32)), 0, 255).astype(np.uint8)


def test_a_run_becomes_a_layer_of_labels_for_each_step_and_can_be_painted() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(NOISY, name="cells", scale=(2, 2), translate=(5, 0))
    done = run(values_of(layer), bool(layer.rgb), Settings("denoise-gray", {"sigma": 25.0}, steps=2))
    result, maps = add_run(viewer, layer, done)
    assert [each.name for each in viewer.layers] == ["cells", "cells: denoise-gray", "cells: step 1", "cells: step 2"]
    for each in (result, *maps):
        assert np.array_equal(each.scale, (2, 2))
        assert np.array_equal(each.translate, (5, 0))
    maps[0].visible = maps[1].visible = True
    number = int(maps[0].data[3, 4])
    name = done.operations[number - 1]
    colour = find_action(name).color
    assert np.allclose(
        maps[0].get_color(number)[:3], [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)], atol=1 / 255
    )
    assert f"operation: {name}" in maps[0].get_status((5 + 2 * 3, 2 * 4))["value"]

    maps[1].selected_label = done.operations.index("do nothing") + 1
    maps[0].selected_label = maps[1].selected_label
    for each in maps:
        each.data_setitem(tuple(np.indices((24, 16)).reshape(2, -1)), each.selected_label)
    viewer.layers.selection.active = maps[1]
    assert run_of(viewer) is done
    after = replay(viewer, done)
    show_replayed(viewer, done, after)
    assert np.array_equal(result.data[:, :16], NOISY[:, :16])
    assert run_of(viewer) is after
    maps[0].fill((0, 0), 0)  # erased: as the policy chose
    maps[1].fill((0, 0), 0)
    last = replay(viewer, after)
    show_replayed(viewer, after, last)
    assert np.array_equal(result.data, done.image)
    assert np.array_equal(maps[0].data, done.labels(0))

    viewer.layers.remove(maps[0])
    with pytest.raises(ValueError, match="1 of the 2 layers of steps are there"):
        replay(viewer, last)
    viewer.layers.selection.active = layer
    assert run_of(viewer) is None


def test_maps_of_colours_and_stacks_lie_where_the_picture_lies() -> None:
    viewer = ViewerModel()
    colours = np.repeat(NOISY[None, :16, :16, None], 3, -1).repeat(2, 0)  # a stack of two
    layer = viewer.add_image(colours, rgb=True, name="slide", scale=(3, 1, 1))
    done = run(values_of(layer), True, Settings("denoise-color", {"sigma": 25.0}, steps=1))
    result, (labels,) = add_run(viewer, layer, done)
    assert result.rgb
    assert labels.data.shape == (3, 2, 16, 16)
    assert np.array_equal(labels.scale, (1, 3, 1, 1))
    assert viewer.dims.ndim == 4


def test_no_qt_is_needed() -> None:
    code = "import sys, napari_pixelrl._layers, napari_pixelrl._work; print([m for m in sys.modules if 'Qt' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout == "[]\n", done.stderr
