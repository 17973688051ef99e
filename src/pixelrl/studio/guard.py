"""What every request must pass before the studio looks at it. Pure ASGI, so that it is the outermost layer.

Another web page in the same browser can send requests to this server, and a name that it controls can resolve to this
machine (DNS rebinding). So the Host must be ours, an Origin must be ours, and every call of the API needs the token
that only the address which was printed holds, in a header of its own: no cookie that a browser would add by itself.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, final

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_HEADER = "x-pixelrl-token"

HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""On every response."""


@final
class Guard:
    """Refuses requests; lets the others through, with safe headers on their responses.

    Args:
        app: what is guarded.
        token: which every request under ``/api/`` must carry.
        hosts: names and addresses under which the server may be called, without the port.
        any_address: also take every Host that is an IP address: for servers that listen on all of them.
    """

    def __init__(self, app: App, token: str, hosts: frozenset[str], any_address: bool = False) -> None:
        self.app, self.token, self.hosts, self.any_address = app, token, hosts, any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def send_safely(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                named = {name for name, _ in message.get("headers", [])}
                extra = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in named]
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        refused = self.refusal(scope)
        if refused is None:
            await self.app(scope, receive, send_safely)
        else:
            status, sentence = refused
            body = json.dumps({"error": sentence}).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send_safely({"type": "http.response.start", "status": status, "headers": headers})
            await send_safely({"type": "http.response.body", "body": body})

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and sentence if a request is refused."""
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        host = headers.get("host", [])
        if len(host) != 1 or not self._ours(host[0], scope):
            return 403, "the Host of this request is not this studio; use the address that pixelrl studio printed"
        origin = headers.get("origin", [])
        if origin and origin != [f"http://{host[0]}"]:
            return 403, "the Origin of this request is another web page, which may not use the studio"
        if not scope["path"].startswith("/api/"):
            return None
        if headers.get("sec-fetch-site", ["same-origin"])[0] not in ("same-origin", "none"):
            return 403, "this request comes from another web page, which may not use the studio"
        token = headers.get(TOKEN_HEADER, [])
        if len(token) != 1 or not hmac.compare_digest(token[0].encode(), self.token.encode()):
            return 401, "the token is missing or not this studio's; open the address that pixelrl studio printed last"
        return None

    def _ours(self, host: str, scope: Scope) -> bool:
        name, _, port = host.rpartition(":") if host[-1:] != "]" and ":" in host else (host, "", "80")
        name = name.removeprefix("[").removesuffix("]").lower()
        server = scope.get("server")
        if server is not None and server[1] is not None and port != str(server[1]):
            return False
        if name in self.hosts:
            return True
        if not self.any_address:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
