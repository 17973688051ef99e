"""The panel: which layer, which policy; run, cancel, replay. A thread works, and a timer asks how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import napari.layers
from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    FloatSlider,
    LineEdit,
    ProgressBar,
    PushButton,
    SpinBox,
    create_widget,
)
from napari.qt.threading import FunctionWorker, create_worker
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QTimer

import pixelrl
from napari_pixelrl._layers import add_run, replay, run_of, show_replayed, values_of
from napari_pixelrl._work import BY_NOISE, Run, Settings, Stopped, parse_numbers, run

if TYPE_CHECKING:
    from napari.viewer import Viewer


class Panel(Container[Any]):
    """The widget of the plug-in; ``viewer`` is given by napari."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.layer = create_widget(annotation=napari.layers.Image, label="layer")
        self.policy = ComboBox(label="policy", choices=[BY_NOISE, *pixelrl.shipped_policies()], value=BY_NOISE)
        self.numbers = LineEdit(label="numbers", tooltip="What the policy is told, as sigma=25; the rest is estimated.")
        self.own_legibility = CheckBox(label="legibility of its makers", value=True)
        self.legibility = FloatSlider(label="legibility", min=0, max=1, step=0.05, value=0.4)
        self.channel_axis = SpinBox(
            label="axis of channels", min=-1, max=9, value=-1, tooltip="Each channel has a noise of its own; -1: none."
        )
        self.start, self.cancel = PushButton(text="Run"), PushButton(text="Cancel", enabled=False)
        self.again = PushButton(text="Replay what is painted")
        self.bar = ProgressBar(min=0, max=100, value=0, label="")
        rows = (self.layer, self.policy, self.numbers, self.own_legibility, self.legibility, self.channel_axis)
        super().__init__(widgets=[*rows, self.start, self.cancel, self.bar, self.again])
        self.start.changed.connect(self.run)
        self.cancel.changed.connect(self.stop)
        self.again.changed.connect(self.replay)
        self.worker: FunctionWorker[Run | _Ended] | None = None
        self._stopped, self._share = threading.Event(), 0.0
        self._timer = QTimer()
        self._timer.setInterval(100)
        self._timer.timeout.connect(self._tell)

    def settings(self) -> Settings:
        """What is chosen.

        Raises:
            pixelrl.UsageError: the numbers are none.
        """
        axis = self.channel_axis.value
        return Settings(
            policy=self.policy.value,
            numbers=parse_numbers(self.numbers.value),
            legibility=None if self.own_legibility.value else self.legibility.value,
            channel_axis=None if axis < 0 else axis,
        )

    def run(self) -> None:
        """Let the policy work on the layer."""
        layer = self.layer.value
        if layer is None:
            show_error("there is no image layer; open a picture first")
            return
        try:
            settings = self.settings()
        except pixelrl.PixelRLError as error:
            show_error(str(error))
            return

        def done(result: Run) -> None:
            add_run(self.viewer, layer, result)
            for remark in result.remarks:
                show_info(remark)

        self._begin(done, run, values_of(layer), bool(layer.rgb), settings)

    def replay(self) -> None:
        """Carry out what is painted in the layers of the chosen layer's run."""
        before = run_of(self.viewer)
        if before is None:
            show_error("the chosen layer belongs to no run; choose its result, or the map of one of its steps")
            return
        self._begin(lambda after: show_replayed(self.viewer, before, after), replay, self.viewer, before)

    def stop(self) -> None:
        """End the work; nothing of it is kept."""
        self._stopped.set()

    def _begin(self, done: Callable[[Run], None], work: Callable[..., Run], *arguments: object) -> None:
        self._stopped.clear()
        self._share = 0.0

        def told(result: Run | _Ended) -> None:
            if isinstance(result, Run):
                done(result)
            else:
                (show_error if result.refused else show_info)(result.words)

        self.worker = create_worker(_attempted, work, *arguments, self._progress, _start_thread=False)
        self.worker.returned.connect(told)
        self.worker.finished.connect(self._end)
        self._enable(False)
        self._timer.start()
        self.worker.start()

    def _progress(self, share: float) -> None:
        """Told by the thread."""
        self._share = share
        if self._stopped.is_set():
            raise Stopped

    def _tell(self) -> None:
        self.bar.value = round(100 * self._share)

    def _end(self) -> None:
        self._timer.stop()
        self._tell()
        self._enable(True)
        self.worker = None

    def _enable(self, idle: bool) -> None:
        self.start.enabled = self.again.enabled = idle
        self.cancel.enabled = not idle


@dataclass(frozen=True)
class _Ended:
    """Work of which nothing came: what a person is told, and whether it is a refusal. napari raises errors itself."""

    words: str
    refused: bool


def _attempted(work: Callable[..., Run], *arguments: object) -> Run | _Ended:
    """What comes of the work, or why nothing does; faults of ours are for napari to show."""
    try:
        return work(*arguments)
    except Stopped:
        return _Ended("stopped; nothing was changed", refused=False)
    except (pixelrl.PixelRLError, ValueError) as error:
        return _Ended(str(error), refused=True)
