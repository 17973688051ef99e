"""What a tab asks of a session and fetches when it is done: a report, and how sure the policy was of a pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pixelrl.errors import UsageError
from pixelrl.studio.exports import Export, report
from pixelrl.studio.runs import Progress
from pixelrl.studio.state import Json
from pixelrl.studio.sure import Sure
from pixelrl.studio.work import Job

if TYPE_CHECKING:
    from pixelrl.studio.studio import Studio


@final
class Asked:
    """The last answers, of each session one of a kind.

    Args:
        studio: that has the sessions open.
    """

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._reports: dict[str, Export] = {}
        self._sure: dict[str, Json] = {}
        self._last: Sure | None = None  # the run of which was asked last, for seldom only one of its pixels is

    def forget(self, identity: str) -> None:
        """What was asked of a session is wanted no more."""
        self._reports.pop(identity, None)
        self._sure.pop(identity, None)
        self._last = None

    def make_report(self, identity: str) -> Job:
        """Write the report on a session; `report` gives it when the job is done.

        Raises:
            UsageError: nothing was run yet, or the policy is still at work.
            BusyError: something else is being done.
        """
        session = self.studio.session(identity, use=True)
        session.require_result()

        def do(progress: Progress) -> str:
            self._reports[identity] = report(session, progress)
            return identity

        return self.studio.worker.submit("writing the report", identity, do)

    def report(self, identity: str) -> Export:
        """The report that was made last of a session; it is given once.

        Raises:
            UsageError: there is none.
        """
        made = self._reports.pop(identity, None)
        if made is None:
            raise UsageError("the report has not been made yet")
        return made

    def ask_how_sure(self, identity: str, x: int, y: int) -> Job:
        """Ask the policy again what it thought of a pixel; `sure` gives it when the job is done.

        Raises:
            UsageError: nothing was run yet, or the policy is still at work, or there is no such pixel.
            BusyError: something else is being done.
        """
        session = self.studio.session(identity, use=True)
        session.require_result()
        session.require_pixel(x, y)

        def do(progress: Progress) -> str:
            trace = session.shown_run().trace
            progress(0.0, "asking the policy again")
            last = self._last  # a closing session may forget it meanwhile
            if last is None or last.trace is not trace:
                agent = self.studio.agents.get(trace.policy)
                session.require_same(agent)
                last = Sure(agent, trace)
            self._last = last
            found = last.of(x, y, lambda share: progress(share, "asking the policy again"))
            self._sure[identity] = {"x": x, "y": y, "percent": found}
            return identity

        return self.studio.worker.submit("asking the policy", identity, do)

    def sure(self, identity: str) -> Json:
        """What was asked last of a session by `ask_how_sure`: percents by step, agent and action, of a pixel.

        Raises:
            UsageError: nothing was.
        """
        if identity not in self._sure:
            raise UsageError("the policy has not been asked how sure it was yet")
        return self._sure[identity]
