"""From a run to napari's layers and back, without Qt: the result, and a layer of labels for each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from napari.layers import Labels as LabelsLayer
from napari.utils.colormaps import DirectLabelColormap

from napari_pixelrl._work import Array, Run
from pixelrl.actions.table import find_action

if TYPE_CHECKING:
    from napari.components import ViewerModel

KEY, STEP = "pixelrl", "pixelrl step"
"""Where layers remember, in their metadata, which run they belong to, and which of its steps they show."""
UNKNOWN = "#888888"


def values_of(layer: Image) -> Array:
    """The values of a layer, at its full size."""
    data: Any = layer.data[0] if layer.multiscale else layer.data
    return data  # type: ignore[no-any-return]


def colormap(operations: tuple[str, ...]) -> DirectLabelColormap:
    """The colours of the project's legend for labels, which count operations from 1."""
    colours: dict[int | None, str] = {None: "transparent", 0: "transparent"}
    colours |= {number: find_action(name).color for number, name in enumerate(operations, 1)}
    return DirectLabelColormap(color_dict=colours)


def add_run(viewer: ViewerModel, layer: Image, run: Run) -> tuple[Image, list[LabelsLayer]]:
    """Add the result of a run, and a layer for each step, seen from the first step on; the maps are hidden at first."""
    placed = dict(scale=layer.scale, translate=layer.translate)
    result = Image(
        run.image,
        name=f"{layer.name}: {run.policy}",
        rgb=layer.rgb,
        metadata={KEY: run},
        contrast_limits=None if layer.rgb else layer.contrast_limits,
        colormap=None if layer.rgb else layer.colormap,
        **placed,
    )
    viewer.add_layer(result)
    names = {"index": range(len(run.operations) + 1), "operation": ["as the policy chose", *run.operations]}
    if run.agents > 1:
        placed = dict(scale=np.insert(layer.scale, 0, 1), translate=np.insert(layer.translate, 0, 0))
    maps = []
    for step in range(run.num_steps):
        labels = LabelsLayer(
            run.labels(step),
            name=f"{layer.name}: step {step + 1}",
            colormap=colormap(run.operations),
            features=names,
            metadata={KEY: run, STEP: step},
            opacity=1.0,
            visible=False,
            **placed,
        )
        labels.brush_size = 10
        maps.append(labels)
        viewer.add_layer(labels)
    viewer.layers.selection.active = result
    return result, maps


def maps_of(viewer: ViewerModel, run: Run) -> list[LabelsLayer]:
    """The layers of a run's steps, in their order.

    Raises:
        ValueError: some were removed.
    """
    found = [layer for layer in viewer.layers if isinstance(layer, LabelsLayer) and layer.metadata.get(KEY) is run]
    if len(found) != run.num_steps:
        raise ValueError(
            f"{len(found)} of the {run.num_steps} layers of steps are there; all are needed to replay them"
        )
    return sorted(found, key=lambda layer: int(layer.metadata[STEP]))


def run_of(viewer: ViewerModel) -> Run | None:
    """The run to which the chosen layer belongs; None for another one."""
    active = viewer.layers.selection.active
    found = None if active is None else active.metadata.get(KEY)
    return found if isinstance(found, Run) else None


def replay(viewer: ViewerModel, run: Run, progress: Callable[[float], object] = lambda share: None) -> Run:
    """Carry out the operations that are painted in a run's layers, and show the result in its place.

    Raises:
        ValueError: layers of steps were removed.
    """
    maps = maps_of(viewer, run)
    return run.replayed([np.asarray(layer.data) for layer in maps], progress)


def show_replayed(viewer: ViewerModel, before: Run, after: Run) -> None:
    """Put a replayed run in the place of the one before; what was erased shows the policy's choice again."""
    for step, layer in enumerate(maps_of(viewer, before)):
        layer.data = after.labels(step)
        layer.metadata = {**layer.metadata, KEY: after}
    for layer in viewer.layers:
        if isinstance(layer, Image) and layer.metadata.get(KEY) is before:
            layer.data = after.image
            layer.metadata = {**layer.metadata, KEY: after}
