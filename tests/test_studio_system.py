"""What the studio asks the system: where programs keep what they remember, and how much memory is free."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

import pixelrl
from pixelrl.errors import InputError
from pixelrl.studio import agents
from pixelrl.studio.store import default_folder


@pytest.mark.skipif(sys.platform != "linux", reason="the places of other systems are not this one's to say")
def test_sessions_lie_where_they_always_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "pixelrl" / "studio"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".local" / "state" / "pixelrl" / "studio"


def test_a_run_that_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = pixelrl.load("denoise-gray", "cpu")
    picture = SimpleNamespace(pixels=np.zeros((400, 500), np.uint8))
    folder = SimpleNamespace(document=SimpleNamespace(name="large.png"))
    session = SimpleNamespace(height=400, width=500, picture=picture, folder=folder)
    agents.check_memory(agent, session)  # type: ignore[arg-type]
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**6))
    with pytest.raises(InputError, match=r"large\.png: .* GB of memory are needed for it and 0\.0 GB are free"):
        agents.check_memory(agent, session)  # type: ignore[arg-type]
