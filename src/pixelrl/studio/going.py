"""Going on with another task on a picture's result, and doing later stages again when an earlier one has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast, final

from pixelrl.studio.document import StaleError
from pixelrl.studio.preview import Box
from pixelrl.studio.runs import Progress
from pixelrl.studio.session import Phase, Session
from pixelrl.studio.stages import chain, damage, follow, older, require_whole
from pixelrl.studio.state import Json, session_state
from pixelrl.studio.work import Job
from pixelrl.tasks.conditioning import Given

if TYPE_CHECKING:
    from pixelrl.studio.studio import Studio


@final
class Going:
    """The later stages of pictures.

    Args:
        studio: that has the sessions open.
    """

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def state(self, session: Session) -> Json:
        """What the page is told of a session, the stages of its picture, and the id of that picture."""
        known, stages = session_state(session), chain(session.folder)
        # Looked at each time: a damaged stage may have been removed meanwhile, or put right.
        said = [] if (damaged := damage(stages)) is None else [damaged]
        listed = [
            {
                "id": stage.id,
                "policy": stage.document.policy,
                "edits": len(stage.document.order),
                "older": old,
                "open": self.studio.is_open(stage.id),
            }
            for stage, old in zip(stages, older(stages), strict=True)
        ]
        notes = [*cast(list[str], known["notes"]), *said]
        shown = listed if session.recorded is not None else []
        return {**known, "notes": notes, "picture": stages[0].id, "stages": shown}

    def go_on(self, identity: str, after: str, policy: str, level: Given, seen: Box | None = None) -> Job:
        """Let a policy work on the result of a picture's last stage, as its next one.

        Args:
            identity: of the session that is shown where this is asked.
            after: the id of the stage that is taken for the last one there.
            policy: its name, or a task of `AS_SEEN`.
            level: what it is told; nothing for such a task.
            seen: the region that is looked at, which is done first.

        Raises:
            StaleError: another stage is the last one.
            UsageError: there is no such policy, or a stage is damaged.
            BusyError: something else is being done.
        """
        session = self.studio.session(identity, use=True)
        self.studio.agents.require_known(policy)

        def last() -> str:
            stages = chain(session.folder)
            require_whole(stages)
            found = stages[-1].id
            if found != after:
                raise StaleError("the stages of this picture were changed in another tab meanwhile; look again")
            return found

        last()

        def do(progress: Progress) -> str:
            progress(0.0, "computing the exact result")
            before = self._ready(last(), progress)
            basis = before.basis(lambda: progress(0.0, "computing the exact result"))
            found = self.studio.agents.found(policy, level, basis.picture, progress)
            agent = self.studio.agents.fitting(found.policy, before)
            stage = Session(follow(before.folder, basis), basis.picture)
            try:
                stage.folder.claim()
                region = None if seen is None else seen.grown(0, stage.width, stage.height)
                stage.found = found.said
                stage.run(agent, found.level, progress, region, session)
            except BaseException:
                self.studio.store.discard(stage.folder)
                raise
            self.studio.add(stage)
            return stage.folder.id

        return self.studio.worker.submit("running a policy", identity, do)

    def renew(self, identity: str) -> Job:
        """Do those stages of a picture again that are of an older result. Their settings and edits stay.

        Args:
            identity: of the session that is shown where this is asked.

        Raises:
            BusyError: something else is being done.
        """
        session = self.studio.session(identity, use=True)

        def do(progress: Progress) -> str:
            stages = chain(session.folder)
            require_whole(stages)
            todo = [place for place, old in enumerate(older(stages)) if old]
            for done, place in enumerate(todo):
                self.studio.worker.let_go()  # of the stages that are done
                part = _part(progress, done / len(todo), 1 / len(todo), f"stage {place + 1}: ")
                before = self._ready(stages[place - 1].id, part)
                basis = before.basis(lambda part=part: part(0.0, "computing the exact result"))  # type: ignore[misc]
                stage = self.studio.opened(stages[place].id, part)
                document = stage.folder.document
                agent = self.studio.agents.fitting(document.policy or "", stage)
                stage.found = ""
                stage.run(agent, cast(Given, document.settings()["level"]), part, basis=basis)
            return identity

        return self.studio.worker.submit("doing later stages again", identity, do)

    def _ready(self, identity: str, progress: Progress) -> Session:
        """A session that is open, and of which nothing is still wanted of the policy."""
        session = self.studio.opened(identity, progress)
        session.retry()
        while session.phase in (Phase.RERUN, Phase.REACT):
            self.studio.react(session, progress)
        return session


def _part(progress: Progress, begin: float, share: float, name: str) -> Callable[[float, str], None]:
    return lambda done, label: progress(begin + share * done, name + label)
