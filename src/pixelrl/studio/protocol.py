"""HTTP of which no request is waited for without end: uvicorn's own protocol has no time limit for a request's head.

A connection from which no whole head has come in time is closed. So it does not matter how many of them there are, and
uvicorn's limit of connections, which counts these too and refuses everybody else, is not needed.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD = 10.0
"""Seconds for the head of a request, from its first byte, or for a new connection from its beginning."""


class TimedProtocol(H11Protocol):
    """One connection."""

    head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A browser, or somebody, has come."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Some bytes came: perhaps the end of a head, perhaps the beginning of the next one."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE or self.conn.our_state is h11.DONE:  # or the rest of one that was refused
            self._expect_head()
        else:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._stop()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self.head_timer is None:
            self.head_timer = self.loop.call_later(HEAD, self._give_up)

    def _stop(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _give_up(self) -> None:
        self.head_timer = None
        transport: Any = self.transport
        if transport is not None and not transport.is_closing():
            transport.close()
