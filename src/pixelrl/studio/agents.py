"""The policies of a studio: those that ship and a person's own, each loaded once, and which of them is meant."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import final

import psutil

from pixelrl.agent import TILE, Agent, load
from pixelrl.checkpoint import shipped_policies
from pixelrl.errors import InputError, PixelRLError, UsageError
from pixelrl.pictures.formats import Picture
from pixelrl.studio.runs import Progress
from pixelrl.studio.seeing import AS_SEEN, Found, find
from pixelrl.studio.session import Session
from pixelrl.studio.state import Json, as_seen_state, policy_state
from pixelrl.studio.words import place
from pixelrl.tasks.conditioning import Given


@final
class Agents:
    """See the module.

    Args:
        device: where they compute.
        files: of a person's own policies.
        check: called before every layer of a network; what it raises ends the work.

    Raises:
        UsageError: one of the files cannot be loaded.
    """

    def __init__(self, device: str, files: Sequence[Path], check: Callable[[], object]) -> None:
        self.device, self.check = device, check
        self._agents: dict[str, Agent] = {}
        self.files: dict[str, Path] = {}
        """Where a person's own policies lie, by name."""
        for file in sorted(files, key=os.path.abspath):  # of two of one name, each is called alike in whatever order
            agent = self._load(file)
            if agent.name in (*shipped_policies(), *self._agents):  # the name is what a session remembers
                agent.card = replace(agent.card, name=f"{agent.name} ({file})")
            self._agents[agent.name], self.files[agent.name] = agent, file
        self.known = [*shipped_policies(), *self._agents]
        """The names of the policies that can be run."""
        self._loading = threading.Lock()

    def get(self, name: str) -> Agent:
        """A policy of `known`, loaded once.

        Raises:
            UsageError: there is none of this name.
        """
        with self._loading:
            if name not in self.known:
                raise UsageError(f"policy {name!r} is not here; start the studio with --policy and its file")
            if name not in self._agents:
                self._agents[name] = self._load(name)
            return self._agents[name]

    def require_known(self, policy: str) -> None:
        """Raise UsageError where there is no such policy."""
        if policy not in (*AS_SEEN, *self.known):
            raise UsageError(f"policy = {policy!r} is unknown; give one of {', '.join((*AS_SEEN, *self.known))}")

    def fitting(self, policy: str, session: Session) -> Agent:
        """As `get`; raises InputError where there is not enough memory for it to work on a session's picture."""
        agent = self.get(policy)
        check_memory(agent, session)
        return agent

    def _load(self, policy: str | Path) -> Agent:
        agent = load(policy, self.device)
        for module in agent.policy.modules():  # a tile takes seconds, a layer of it does not
            module.register_forward_pre_hook(lambda *_: self.check())
        return agent

    def states(self) -> list[Json]:
        """What can be run, for people to choose from; a file that cannot be read is left out."""
        found: list[Json] = []
        for name in sorted((*AS_SEEN, *self.known), key=place):
            try:
                found.append(as_seen_state(name) if name in AS_SEEN else policy_state(self.get(name)))
            except PixelRLError:
                continue
        return found

    def found(self, policy: str, level: Given, picture: Picture, progress: Progress) -> Found:
        """The policy that is meant, and what it is told: by a picture, where a task of `AS_SEEN` is given."""
        return find(policy, picture, self.get, progress) if policy in AS_SEEN else Found(policy, level, "")


def check_memory(agent: Agent, session: Session) -> None:
    """Raise InputError where the run would need more memory than there is."""
    pixels = session.height * session.width
    values = pixels * (1 if session.picture.pixels.ndim == 2 else 3)
    images = 4 * values * 8  # as it came, at each end of a step, told of noise, remembered; maps of actions
    network = 50 * len(agent.actions) * min(TILE * TILE, pixels)  # of a tile
    need = images + network
    free = psutil.virtual_memory().available
    if need > free:
        has = f"{need / 1e9:.1f} GB of memory are needed for it and {free / 1e9:.1f} GB are free"
        raise InputError(f"{session.folder.document.name}: {has}; cut the picture up")
