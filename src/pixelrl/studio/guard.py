"""What every request must pass before the studio looks at it. Pure ASGI, so that it is the outermost layer.

Another web page in the same browser can send requests to this server, and a name that it controls can resolve to this
machine (DNS rebinding). So the Host must be ours, an Origin must be ours, and every call of the API needs what only the
address that was printed gives: its ticket is exchanged, once, for a cookie that no script can read and that goes to the
API only. Browsers write down the addresses that they visit, and there the ticket is worth nothing any more. A browser
adds a cookie by itself, to requests of other pages too. So with the cookie a header is asked for that only a script of
this origin can send: for any other the browser asks first, and gets no permission.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, final

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_HEADER = "x-pixelrl-token"
PAGE_HEADER = "x-pixelrl-page"
"""What the page's own requests carry, whatever its value."""

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
class Tickets:
    """What the printed addresses hold: each is good for one browser, and then the next one is announced.

    Args:
        announce: told of every ticket but the first, as soon as the one before has been used.
    """

    def __init__(self, announce: Callable[[str], object]) -> None:
        self.current = secrets.token_urlsafe(24)
        self._announce = announce

    def redeem(self, given: str) -> bool:
        """Whether this is the current ticket; from then on it is another one."""
        if not same(given, self.current):
            return False
        self.current = secrets.token_urlsafe(24)
        self._announce(self.current)
        return True


@final
class Guard:
    """Refuses requests; lets the others through, with safe headers on their responses.

    Args:
        app: what is guarded.
        token: with which a request under ``/api/`` may come in without a cookie.
        hosts: names and addresses under which the server may be called, without the port.
        redeem: whether what an address holds is exchanged for a cookie.
        any_address: also take every Host that is an IP address: for servers that listen on all of them.
    """

    def __init__(
        self, app: App, token: str, hosts: frozenset[str], redeem: Callable[[str], bool], any_address: bool = False
    ) -> None:
        self.app, self.token, self.hosts, self.redeem, self.any_address = app, token, hosts, redeem, any_address
        self._key = secrets.token_urlsafe(24)

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
        given = _ticket(scope)
        if refused is None and given is not None:
            headers = [(b"location", b"/#start"), (b"content-length", b"0")]
            if self.redeem(given):
                headers.append((b"set-cookie", self._cookie(scope).encode()))
            await send_safely({"type": "http.response.start", "status": 303, "headers": headers})
            await send_safely({"type": "http.response.body", "body": b""})
        elif refused is None:
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
        if not self._known(headers, scope):
            return 401, "this browser is not known here; open the address that pixelrl studio has printed last"
        return None

    def _known(self, headers: Mapping[str, Sequence[str]], scope: Scope) -> bool:
        """Whether a request comes from who has the token, or once had it."""
        token = headers.get(TOKEN_HEADER, [])
        if token:
            return len(token) == 1 and same(token[0], self.token)
        name = self._cookie_name(scope)
        parts = [part.strip().partition("=") for line in headers.get("cookie", []) for part in line.split(";")]
        keys = [value for key, _, value in parts if key == name]
        return len(keys) == 1 and same(keys[0], self._key) and PAGE_HEADER in headers

    def _cookie(self, scope: Scope) -> str:
        # No end is given: it lasts as long as the browser, and the key as long as this server.
        return f"{self._cookie_name(scope)}={self._key}; Path=/api/; HttpOnly; SameSite=Strict"

    @staticmethod
    def _cookie_name(scope: Scope) -> str:
        """With the port: browsers keep one set of cookies for all servers of a host."""
        server = scope.get("server")
        return f"pixelrl-{'' if server is None else server[1]}"

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


def _ticket(scope: Scope) -> str | None:
    """What the printed address holds; None if this is another address."""
    if scope["path"] != "/" or not scope.get("query_string"):
        return None
    found = urllib.parse.parse_qs(scope["query_string"].decode("latin-1")).get("token")
    return None if found is None else found[0]


def same(given: str, secret: str) -> bool:
    """Whether somebody knows a secret; how long the answer takes says nothing of it."""
    return hmac.compare_digest(given.encode(), secret.encode())
