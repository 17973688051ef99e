"""What a full disk, a kill, a second studio or a damaged file does to sessions of the studio; without a browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixelrl.agent import Agent
from pixelrl.errors import UsageError
from pixelrl.studio.session import Session
from pixelrl.studio.stages import chain, older
from pixelrl.studio.store import Store
from pixelrl.studio.studio import Limits, Studio
from test_studio import agent, begun, box_edit, edit, noise, quiet, store
from test_studio_stages import went_on

__all__ = ["agent", "store"]


def studio_with(store: Store, agent: Agent, **limits: int) -> Studio:
    """A studio that offers this policy; its worker does nothing yet."""
    studio = Studio(store, Limits(**limits), "cpu")
    studio.agents._agents["small"] = agent
    studio.agents.known.append("small")
    return studio


def resumed(store: Store, session: Session) -> Session:
    """The session as another studio opens it."""
    folder = store.open(session.folder.id)
    again = Session(folder, folder.picture(10**6))
    again.resume(quiet)
    return again


def cut(path: Path, amount: int) -> None:
    """Without its last bytes, as after a disk was full."""
    path.write_bytes(path.read_bytes()[:-amount])


# --- Stages -----------------------------------------------------------------------------------------------------------


def test_a_damaged_stage_is_named_and_those_after_it_stay(store: Store, agent: Agent) -> None:
    first = begun(store, agent, noise(20, 24))
    second = went_on(first, agent)
    third = went_on(second, agent, 5.0)
    edit(second, box_edit(1, 1, 9, 9))
    shown = third.result()[1]
    for session in (first, second, third):
        session.close()
    cut(second.folder.path / "session.json", 20)
    stages = chain(store.open(third.folder.id))
    assert older(stages) == [False, True]
    studio = studio_with(store, agent)
    session = studio.opened(third.folder.id, quiet)
    assert "stage 2 of this picture is damaged" in session.notices[0]
    job = studio.going.renew(third.folder.id)
    with pytest.raises(UsageError, match="stage 2 of this picture is damaged"):
        job.do(quiet)
    with pytest.raises(UsageError, match="stage 2 of this picture is damaged"):
        studio.going.go_on(third.folder.id, third.folder.id, "small", 5.0)
    with pytest.raises(UsageError, match="a stage before this one is damaged"):
        store.branch(session.folder)
    studio.close()
    assert np.array_equal(resumed(store, third).result()[1], shown)


def test_a_damaged_last_stage_is_named(store: Store, agent: Agent) -> None:
    first = begun(store, agent, noise(20, 24))
    second = went_on(first, agent)
    first.close()
    second.close()
    cut(second.folder.path / "session.json", 20)
    studio = studio_with(store, agent)
    assert "a later stage of this picture is damaged" in studio.opened(first.folder.id, quiet).notices[0]
    with pytest.raises(UsageError, match="a later stage of this picture is damaged"):
        studio.going.go_on(first.folder.id, first.folder.id, "small", 5.0)
    studio.close()
    assert second.folder.trace.is_file()


def test_a_stage_of_a_damaged_first_one_is_refused_in_a_sentence(store: Store, agent: Agent) -> None:
    first = begun(store, agent, noise(20, 24))
    second = went_on(first, agent)
    first.close()
    second.close()
    cut(first.folder.path / "session.json", 20)
    studio = studio_with(store, agent)
    with pytest.raises(UsageError, match="stage 1 of this picture is damaged"):
        studio.opened(second.folder.id, quiet)
    studio.close()
