"""What of HTTP is alike for all addresses of the studio: how a body is read within limits, and the forms of answers."""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pixelrl.errors import UsageError
from pixelrl.studio.exports import Export
from pixelrl.studio.studio import Limits

_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_GRACE = 30.0
"""Seconds after which a body must have arrived at the least rate."""
Handler = Callable[[Request], Awaitable[Response]]
"""Answers a request."""


class RefusedError(Exception):
    """A request that is answered with a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def numbers(request: Request, *names: str) -> list[int]:
    """Whole numbers from 0 on in the address."""
    found = {name: request.query_params.get(name, "") for name in names}
    for name, text in found.items():
        if not (text.isdecimal() and len(text) < 10):
            raise UsageError(f"{name} = {text!r} must be a whole number")
    return [int(text) for text in found.values()]


async def read_body(request: Request, limit: int, limits: Limits) -> bytes:
    """The request's body, of which no more than the limit is ever read, and for which nobody waits without end."""
    sentence = f"the upload is larger than {limit / 1e6:g} MB, the most that the studio takes"
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > limit:
        raise RefusedError(413, sentence)
    body, stream = bytearray(), request.stream()
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        while True:
            late = began + _GRACE + len(body) / limits.slowest
            async with asyncio.timeout_at(min(late, clock() + limits.silence)):
                body += await anext(stream)
            if len(body) > limit:
                raise RefusedError(413, sentence)
    except StopAsyncIteration:
        return bytes(body)
    except TimeoutError:
        raise RefusedError(408, "the request did not arrive in time; send it again") from None


def raw(array: Any, box: Sequence[int] | None = None) -> Response:
    """``(h, w, c)`` bytes, and in headers their shape and, where it is told, their place in the picture."""
    headers = {"x-shape": ",".join(str(n) for n in array.shape)}
    if box is not None:
        headers["x-box"] = ",".join(str(n) for n in box)
    return Response(np.ascontiguousarray(array).tobytes(), media_type="application/octet-stream", headers=headers)


def attachment(made: Export) -> Response:
    """A file for the browser to keep."""
    quoted = urllib.parse.quote(made.name)
    headers = {"content-disposition": f"attachment; filename*=UTF-8''{quoted}", "x-name": quoted}
    headers["x-notes"] = urllib.parse.quote("; ".join(made.notes))
    return Response(made.data, media_type=made.kind, headers=headers)


def refusal(status: int, sentence: str, reason: str | None = None) -> Response:
    """A sentence on what was wrong, and a word by which the page knows what to do."""
    said = {"error": sentence} if reason is None else {"error": sentence, "reason": reason}
    return JSONResponse(said, status_code=status)


def static_routes() -> list[Route]:
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
