"""What a session remembers beside pixels: names, edits, what the policy is told, and what can be undone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from pixelrl.errors import UsageError

MOST_UNDO = 200

Settings = dict[str, object]
"""What a policy is told: its ``level``, and the ``region`` of the object as edits have it (None: the most salient)."""
Change = list[object] | Settings
"""What one step of undo brings back: the list of edits, or the settings that were changed, as they were."""


@final
@dataclass
class Notes:
    """What ``session.json`` holds beside its format.

    `level` and `region` are those of the recorded run, `asked` the settings of one that is still to be done.
    """

    name: str
    suffix: str
    policy: str | None = None
    level: object = "auto"
    region: object = None
    asked: Settings | None = None
    mode: str = "replay"
    edits: list[object] = field(default_factory=list)
    undo: list[Change] = field(default_factory=list)
    redo: list[Change] = field(default_factory=list)
    changed: float = 0.0

    def settings(self) -> Settings:
        """Those that are wanted: what was asked for last, whether it has been done or not."""
        return self.asked or {"level": self.level, "region": self.region}

    def ask(self, settings: Settings) -> None:
        """Want some settings changed; nothing is left to do if that makes them those of the recorded run again."""
        wanted = self.settings() | settings
        self.asked = None if wanted == {"level": self.level, "region": self.region} else wanted

    def done(self, policy: str, level: object, wanted: Settings) -> None:
        """A run has been recorded that began when these settings were wanted; what came since is still to be done."""
        now = self.settings()
        self.policy, self.level, self.region = policy, level, wanted["region"]
        self.asked = None if now == wanted else now

    def as_now(self, change: Change) -> Change:
        """What would bring back what this change is about, as it is now."""
        return self.edits if isinstance(change, list) else {key: self.settings()[key] for key in change}

    def remember(self, former: Change) -> None:
        """Before something changes: it can be undone, and what was undone before cannot be redone."""
        self.undo, self.redo = [*self.undo, former][-MOST_UNDO:], []


def check_level(level: object) -> None:
    """Raise UsageError for what cannot be a level at all; whether it suits, the policy says."""
    if level != "auto" and (isinstance(level, bool) or not isinstance(level, (int, float))):
        raise UsageError(f'level = {level!r} must be a number, or "auto"')
