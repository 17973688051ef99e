"""The studio on the network: which address does what. Everything passes `pixelrl.studio.guard` first."""

from __future__ import annotations

import json
import logging
import threading
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

import cv2
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pixelrl.errors import PixelRLError, UsageError
from pixelrl.pictures.display import orientation_of, upright
from pixelrl.studio.exports import EXPORTS
from pixelrl.studio.guard import App, Guard
from pixelrl.studio.studio import Studio, parse_box
from pixelrl.studio.work import BusyError

_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_THUMB = 168
_LOG = logging.getLogger(__name__)
Handler = Callable[[Request], Awaitable[Response]]


class RefusedError(Exception):
    """A request that is answered with a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def application(studio: Studio, token: str, hosts: frozenset[str], any_address: bool = False) -> App:
    """The whole server, guarded."""
    served = _Served(studio)

    @asynccontextmanager
    async def alive(app: Starlette) -> AsyncIterator[None]:
        studio.worker.start()
        yield
        studio.worker.end()

    app = Starlette(routes=served.routes(), lifespan=alive)
    return Guard(app, token, hosts, any_address)


class _Served:
    """The handlers. What takes time runs in a thread, and no more of it at once than the limits say."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.slots = threading.BoundedSemaphore(studio.limits.at_once)
        self.large = threading.BoundedSemaphore(1)

    def routes(self) -> list[Route]:
        get: dict[str, Callable[[Request], Response]] = {
            "/api/state": self.state,
            "/api/policies": lambda request: JSONResponse(self.studio.policies()),
            "/api/sessions": lambda request: JSONResponse(self.studio.offered()),
            "/api/frame/{step:int}": self.frame,
            "/api/map/{step:int}": self.map,
            "/api/object": lambda request: _raw(self.studio.current().wanted_object()[..., None].view(np.uint8)),
            "/api/thumb/{step:int}": self.thumb,
            "/api/pixel": self.pixel,
            "/api/export/{what}": self.export,
        }
        post: dict[str, Callable[[Any], object]] = {
            "/api/resume": lambda body: self.studio.resume(body.get("id")),
            "/api/forget": lambda body: self.studio.forget(body.get("id")),
            "/api/run": lambda body: self.studio.run(body.get("policy"), body.get("level")),
            "/api/ask": lambda body: self.studio.current().ask({k: body[k] for k in ("level", "region") if k in body}),
            "/api/cancel": lambda body: self.studio.cancel(),
            "/api/mask": lambda body: self.studio.current().add_mask(body.get("box"), body.get("runs")),
            "/api/same": lambda body: self.studio.current().same_action(
                body.get("step"), body.get("x"), body.get("y"), body.get("channel")
            ),
            "/api/edits": self.edits,
            "/api/undo": lambda body: self.studio.current().undo(),
            "/api/redo": lambda body: self.studio.current().redo(),
            "/api/mode": lambda body: self.studio.current().set_mode(body.get("mode")),
        }
        return [
            *(Route(path, self._answering(answer), methods=["GET"]) for path, answer in get.items()),
            *(Route(path, self._doing(deed), methods=["POST"]) for path, deed in post.items()),
            Route("/api/open", self._caught(self.open), methods=["POST"]),
            *_static(),
        ]

    # --- Around every request ---------------------------------------------------------------------

    def _caught(self, handler: Handler) -> Handler:
        async def caught(request: Request) -> Response:
            if not self.slots.acquire(blocking=False):
                return _error(503, "the studio has too many requests at once; try again in a moment")
            try:
                return await handler(request)
            except RefusedError as error:
                return _error(error.status, str(error))
            except BusyError as error:
                return _error(429, str(error))
            except PixelRLError as error:
                return _error(400, str(error))
            except MemoryError:
                return _error(507, "there is not enough memory for this; a smaller picture is needed")
            except ClientDisconnect:
                return Response(status_code=400)
            except Exception as error:
                _LOG.exception("a request failed")
                return _error(500, f"this is a fault of the studio ({type(error).__name__}); the terminal says more")
            finally:
                self.slots.release()

        return caught

    def _answering(self, answer: Callable[[Request], Response]) -> Handler:
        async def handler(request: Request) -> Response:
            return await run_in_threadpool(answer, request)

        return self._caught(handler)

    def _doing(self, deed: Callable[[Any], object]) -> Handler:
        async def handler(request: Request) -> Response:
            body = await _body(request, self.studio.limits.request)
            try:
                content = json.loads(body or b"{}")
            except (ValueError, RecursionError) as error:
                raise RefusedError(400, "the request is not valid JSON") from error
            if not isinstance(content, dict):
                raise RefusedError(400, "the request must be a JSON object")
            since = content.get("since")

            def do() -> Response:
                said = deed(content)
                self.studio.worker.wake()
                if isinstance(said, dict):
                    return JSONResponse(said)
                return JSONResponse(self.studio.state(since if type(since) is int else None))

            return await run_in_threadpool(do)

        return self._caught(handler)

    # --- Handlers ---------------------------------------------------------------------------------

    def state(self, request: Request) -> Response:
        since = request.query_params.get("since", "")
        return JSONResponse(self.studio.state(int(since) if since.isdigit() and len(since) < 16 else None))

    async def open(self, request: Request) -> Response:
        if not self.large.acquire(blocking=False):
            raise BusyError("another picture is being opened; wait until it is done")
        try:
            data = await _body(request, self.studio.limits.upload)
            name = urllib.parse.unquote(request.headers.get("x-name", ""), errors="replace")[:300]
            await run_in_threadpool(self.studio.open, data, name)
        finally:
            self.large.release()
        return JSONResponse(await run_in_threadpool(self.studio.state))

    def edits(self, body: Any) -> object:
        near = body.get("near")
        ok = isinstance(near, list) and len(near) == 2 and all(type(n) in (int, float) for n in near)
        self.studio.current().set_edits(body.get("edits"), (float(near[0]), float(near[1])) if ok else None)
        return None

    def frame(self, request: Request) -> Response:
        session, plain = self.studio.current(), "plain" in request.query_params
        step = request.path_params["step"]
        if session.recorded is None and step == 0:
            return _raw(session.input_frame())
        return _raw(session.frame(step, plain, parse_box(request.query_params.get("box"))))

    def map(self, request: Request) -> Response:
        box, plain = parse_box(request.query_params.get("box")), "plain" in request.query_params
        maps = self.studio.current().action_map(request.path_params["step"], plain, box)
        return _raw(np.moveaxis(maps, 0, -1))

    def thumb(self, request: Request) -> Response:
        session = self.studio.current()
        image = upright(session.frame(request.path_params["step"], False), orientation_of(session.picture.exif), (0, 1))
        scale = _THUMB / max(image.shape[:2])
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
        encoded, data = cv2.imencode(".png", small[..., ::-1] if small.ndim == 3 else small)
        return Response(data.tobytes() if encoded else b"", media_type="image/png")

    def pixel(self, request: Request) -> Response:
        x, y = request.query_params.get("x", ""), request.query_params.get("y", "")
        if not (x.isdecimal() and y.isdecimal() and len(x + y) < 20):
            raise UsageError(f"the pixel ({x!r}, {y!r}) must be two whole numbers")
        return JSONResponse(self.studio.current().pixel(int(x), int(y)))

    def export(self, request: Request) -> Response:
        what = request.path_params["what"]
        if what not in EXPORTS:
            raise RefusedError(404, f"{what!r} cannot be exported; {', '.join(EXPORTS)} can")
        if not self.large.acquire(blocking=False):
            raise BusyError("another export is being made; wait until it is done")
        try:
            made = EXPORTS[what](self.studio.current())
        finally:
            self.large.release()
        quoted = urllib.parse.quote(made.name)
        headers = {"content-disposition": f"attachment; filename*=UTF-8''{quoted}", "x-name": quoted}
        return Response(made.data, media_type=made.kind, headers=headers)


async def _body(request: Request, limit: int) -> bytes:
    """The request's body, of which no more than the limit is ever read."""
    sentence = f"the upload is larger than {limit / 1e6:g} MB, the most that the studio takes"
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > limit:
        raise RefusedError(413, sentence)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise RefusedError(413, sentence)
    return bytes(body)


def _raw(array: Any) -> Response:
    """``(h, w, c)`` bytes, and their shape in a header."""
    headers = {"x-shape": ",".join(str(n) for n in array.shape)}
    return Response(np.ascontiguousarray(array).tobytes(), media_type="application/octet-stream", headers=headers)


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status_code=status)


def _static() -> list[Route]:
    """The page. Its files are read once, here; no request names a path."""
    folder = resources.files("pixelrl.studio") / "static"
    routes = []
    for file in folder.iterdir():
        suffix = "." + file.name.rpartition(".")[2]
        if suffix in _TYPES:
            response = Response(file.read_bytes(), media_type=_TYPES[suffix])
            routes.append(Route(f"/static/{file.name}", _constant(response), methods=["GET"]))
            if file.name == "index.html":
                routes.append(Route("/", _constant(response), methods=["GET"]))
    return routes


def _constant(response: Response) -> Handler:
    async def handler(request: Request) -> Response:
        return response

    return handler
