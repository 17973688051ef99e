"""The studio on the network: which address does what. Everything passes `pixelrl.studio.guard` first.

Every request says in ``session`` which session its tab shows. One that cannot be done to it as it is now is answered
409, with a sentence, and ``reason``: "closed" (it is on the disk only, and can be resumed) or "stale" (look again).
"""

from __future__ import annotations

import logging
import threading
import urllib.parse
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import final

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pixelrl.errors import PixelRLError
from pixelrl.pictures.display import orientation_of
from pixelrl.studio import requests
from pixelrl.studio.document import StaleError
from pixelrl.studio.exports import EXPORTS
from pixelrl.studio.folder import small_png
from pixelrl.studio.guard import App, Guard
from pixelrl.studio.http import Handler, RefusedError, attachment, numbers, raw, read_body, refusal, static_routes
from pixelrl.studio.preview import Box, parse_box
from pixelrl.studio.regions import area
from pixelrl.studio.session import Session
from pixelrl.studio.studio import ClosedError, Studio
from pixelrl.studio.wished import wish, wished
from pixelrl.studio.work import BusyError

_UPLOADS = 4
_LOG = logging.getLogger(__name__)
Answer = Callable[[Request, bytes], Response]
"""Answers a request with its body. Runs in a thread."""


def application(
    studio: Studio, token: str, hosts: frozenset[str], redeem: Callable[[str], bool], any_address: bool = False
) -> App:
    """The whole server, guarded (`Guard` says what the arguments are)."""
    served = _Served(studio)

    @asynccontextmanager
    async def alive(app: Starlette) -> AsyncIterator[None]:
        studio.worker.start()
        yield
        await run_in_threadpool(studio.close)

    app = Starlette(routes=served.routes(), lifespan=alive)
    return Guard(app, token, hosts, redeem, any_address)


@final
class _Served:
    """The handlers. What takes time runs in a thread, and no more of it at once than the limits say.

    A body is read before a place is taken: whoever sends slowly keeps nobody waiting.
    """

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.slots = threading.BoundedSemaphore(studio.limits.at_once)
        self.uploads = threading.BoundedSemaphore(_UPLOADS)
        self.large = threading.BoundedSemaphore(1)

    def routes(self) -> list[Route]:
        get: dict[str, Answer] = {
            "/api/state": self.state,
            "/api/policies": lambda request, _: JSONResponse(self.studio.agents.states()),
            "/api/sessions": lambda request, _: JSONResponse(self.studio.offered()),
            "/api/sessions/{id}/thumb": self.session_thumb,
            "/api/frame/{step:int}": self.frame,
            "/api/map/{step:int}": self.map,
            "/api/arrived": self.arrived,
            "/api/object": lambda request, _: raw(self._shown(request).wanted_object()[..., None].view(np.uint8)),
            "/api/area/{number:int}": self.area,
            "/api/thumb/{step:int}": self.thumb,
            "/api/pixel": self.pixel,
            "/api/value": self.value,
            "/api/sure": lambda request, _: JSONResponse(self.studio.asked.sure(self._shown(request).folder.id)),
            "/api/report": lambda request, _: attachment(self.studio.asked.report(self._shown(request).folder.id)),
            "/api/export/{what}": self.export,
        }
        post: dict[str, Answer] = {
            "/api/open": self.open,
            "/api/change": self._doing(requests.ChangeIt, self.change),
            "/api/run": self._doing(requests.RunIt, self.run),
            "/api/go-on": self._doing(requests.GoOn, self.go_on),
            "/api/renew": self._doing(requests.OfSession, self.renew),
            "/api/cancel": self._doing(requests.OfSession, lambda asked: self.studio.cancel(asked.session)),
            "/api/mask": self._doing(requests.MaskIt, lambda asked: self._used(asked).add_mask(asked.box, asked.runs)),
            "/api/same": self._doing(
                requests.SameIt,
                lambda asked: self._used(asked).same_action(asked.step, asked.x, asked.y, asked.channel),
            ),
            "/api/report": self._doing(requests.OfSession, self.make_report),
            "/api/sure": self._doing(requests.SureOf, self.ask_how_sure),
            "/api/resume": self._doing(requests.Named, self.resume),
            "/api/forget": self._doing(requests.Named, self.forget),
            "/api/restore": self._doing(requests.Named, self.restore),
        }
        return [
            *(Route(path, self._handler(answer), methods=["GET"]) for path, answer in get.items()),
            *(Route(path, self._handler(answer), methods=["POST"]) for path, answer in post.items()),
            *static_routes(),
        ]

    # --- Around every request ---------------------------------------------------------------------

    def _handler(self, answer: Answer) -> Handler:
        async def handler(request: Request) -> Response:
            try:
                body = await self._body(request) if request.method == "POST" else b""
                if not self.slots.acquire(blocking=False):
                    raise RefusedError(503, "the studio has too many requests at once; try again in a moment")
                try:
                    return await run_in_threadpool(answer, request, body)
                finally:
                    self.slots.release()
            except RefusedError as error:
                return refusal(error.status, str(error))
            except BusyError as error:
                return refusal(429, str(error))
            except ClosedError as error:
                return refusal(409, str(error), "closed")
            except StaleError as error:
                return refusal(409, str(error), "stale")
            except PixelRLError as error:
                return refusal(400, str(error))
            except MemoryError:
                return refusal(507, "there is not enough memory for this; a smaller picture is needed")
            except ClientDisconnect:
                return Response(status_code=400)
            except Exception as error:
                _LOG.exception("a request failed")
                return refusal(500, f"this is a fault of the studio ({type(error).__name__}); the terminal says more")

        return handler

    async def _body(self, request: Request) -> bytes:
        limits = self.studio.limits
        if request.url.path != "/api/open":
            return await read_body(request, limits.request, limits)
        if not self.uploads.acquire(blocking=False):
            raise BusyError("other pictures are being sent; wait until they are there")
        try:
            return await read_body(request, limits.upload, limits)
        finally:
            self.uploads.release()

    def _doing(self, kind: type[requests.AnyRequest], do: Callable[[requests.AnyRequest], object]) -> Answer:
        """Answered with what ``do`` returns, or (None) with the state."""

        def answer(request: Request, body: bytes) -> Response:
            asked = requests.parsed(body, kind)
            said = do(asked)
            self.studio.worker.wake()
            return JSONResponse(self.studio.state(asked.session, asked.since) if said is None else said)

        return answer

    def _shown(self, request: Request) -> Session:
        return self.studio.session(request.query_params.get("session") or None)

    def _used(self, asked: requests.OfSession) -> Session:
        return self.studio.session(asked.session, use=True)

    # --- Handlers ---------------------------------------------------------------------------------

    def state(self, request: Request, body: bytes) -> Response:
        def number(name: str) -> int | None:
            text = request.query_params.get(name, "")
            return int(text) if text.isdecimal() and len(text) < 16 else None

        session = request.query_params.get("session") or None
        return JSONResponse(self.studio.state(session, number("since"), number("job")))

    def open(self, request: Request, body: bytes) -> Response:
        name = urllib.parse.unquote(request.headers.get("x-name", ""), errors="replace")[:300]
        if not self.large.acquire(blocking=False):
            raise BusyError("another picture is being opened; wait until it is done")
        try:
            session = self.studio.open(body, name)
        finally:
            self.large.release()
        return JSONResponse(self.studio.state(session.folder.id))

    def change(self, asked: requests.ChangeIt) -> object:
        added = self._used(asked).change(asked.change, asked.revision, asked.token, asked.near)
        return {**self.studio.state(asked.session, asked.since), "added": added}

    def run(self, asked: requests.RunIt) -> object:
        seen = None if asked.seen is None else Box(*asked.seen)
        return {"job": self.studio.run(asked.session, asked.policy, asked.level, asked.keep, seen).number}

    def go_on(self, asked: requests.GoOn) -> object:
        seen = None if asked.seen is None else Box(*asked.seen)
        return {"job": self.studio.going.go_on(asked.session, asked.after, asked.policy, asked.level, seen).number}

    def renew(self, asked: requests.OfSession) -> object:
        return {"job": self.studio.going.renew(asked.session).number}

    def make_report(self, asked: requests.OfSession) -> object:
        return {"job": self.studio.asked.make_report(asked.session).number}

    def ask_how_sure(self, asked: requests.SureOf) -> object:
        return {"job": self.studio.asked.ask_how_sure(asked.session, asked.x, asked.y).number}

    def resume(self, asked: requests.Named) -> object:
        return {"job": self.studio.resume(asked.id, asked.session).number}

    def forget(self, asked: requests.Named) -> object:
        self.studio.forget(asked.id, asked.session)
        return self.studio.offered()

    def restore(self, asked: requests.Named) -> object:
        self.studio.store.restore(asked.id)
        return self.studio.offered()

    def session_thumb(self, request: Request, body: bytes) -> Response:
        folder = self.studio.store.open(request.path_params["id"])
        return Response(folder.thumbnail(self.studio.limits.pixels), media_type="image/png")

    def frame(self, request: Request, body: bytes) -> Response:
        session, plain = self._shown(request), "plain" in request.query_params
        step = request.path_params["step"]
        if session.recorded is None and step == 0:
            return raw(session.input_frame())
        return raw(session.frame(step, plain, parse_box(request.query_params.get("box"))))

    def arrived(self, request: Request, body: bytes) -> Response:
        arrived = self._shown(request).arrived
        if arrived is None:
            raise RefusedError(404, "the run is over, or nothing has come of it yet")
        return raw(arrived.shown, arrived.box)

    def map(self, request: Request, body: bytes) -> Response:
        box, plain = parse_box(request.query_params.get("box")), "plain" in request.query_params
        maps = self._shown(request).action_map(request.path_params["step"], plain, box)
        return raw(np.moveaxis(maps, 0, -1))

    def area(self, request: Request, body: bytes) -> Response:
        session = self._shown(request)
        box, inside = area(session.outlined(request.path_params["number"]), session.height, session.width)
        return raw(inside[..., None], box)

    def thumb(self, request: Request, body: bytes) -> Response:
        session = self._shown(request)
        image = session.frame(request.path_params["step"], False)
        return Response(small_png(image, orientation_of(session.picture.exif)), media_type="image/png")

    def pixel(self, request: Request, body: bytes) -> Response:
        return JSONResponse(self._shown(request).pixel(*numbers(request, "x", "y")))

    def value(self, request: Request, body: bytes) -> Response:
        return JSONResponse(self._shown(request).value(*numbers(request, "x", "y", "step")))

    def export(self, request: Request, body: bytes) -> Response:
        what = request.path_params["what"]
        if what not in EXPORTS:
            raise RefusedError(404, f"{what!r} cannot be exported; {', '.join(EXPORTS)} can")
        if not self.large.acquire(blocking=False):
            raise BusyError("another export is being made; wait until it is done")
        try:
            session = self._shown(request)
            as_wished = what == "picture" and "format" in request.query_params
            return attachment(wished(session, wish(request.query_params)) if as_wished else EXPORTS[what](session))
        finally:
            self.large.release()
