"""What several tests of the studio share: a real server in a thread, and what a tab of a browser asks it."""

from __future__ import annotations

import itertools
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from browser import PATIENCE, browser_page
from pixelrl.studio.store import Store
from pixelrl.studio.studio import Limits

TOKEN = "a-token"
_TOKENS = itertools.count()
# Nothing here is encrypted. Without a context every request would read the certificates of all authorities first, which
# takes ten times as long as the request.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextmanager
def served(folder: Path, limits: Limits | None = None, policies: Sequence[Path] = ()) -> Iterator[tuple[str, str]]:
    """Address and token of a real server, in a thread."""
    uvicorn = pytest.importorskip("uvicorn")
    from pixelrl.studio.protocol import TimedProtocol
    from pixelrl.studio.serve import LOOPBACK, listen
    from pixelrl.studio.server import application
    from pixelrl.studio.studio import Studio

    listener = listen("127.0.0.1", 0)
    studio = Studio(Store(folder), limits or Limits(upload=10**6, request=10**5), "cpu", policies)
    config = uvicorn.Config(
        application(studio, TOKEN, LOOPBACK, TOKEN.__eq__),
        log_level="error",
        ws="none",
        http=TimedProtocol,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", TOKEN
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def studio_page(folder: Path, width: int = 1280, height: int = 720) -> Iterator[Any]:
    """The studio, with its sessions in this folder, in a page as `browser_page` gives it."""
    with served(folder) as (base, token), browser_page(width, height) as page:
        page.goto(f"{base}/?token={token}")
        yield page


def call(address: str, method: str, path: str, token: str | None = TOKEN, **options: Any):
    import httpx

    headers = {**({} if token is None else {"X-PixelRL-Token": token}), **options.pop("headers", {})}
    return httpx.request(method, address + path, headers=headers, timeout=PATIENCE, verify=NO_CERTIFICATES, **options)


def entered(address: str) -> dict[str, str]:
    """The headers of a browser that has opened a printed address."""
    import httpx

    answer = httpx.get(address, timeout=PATIENCE, verify=NO_CERTIFICATES)
    assert answer.status_code == 303
    cookie = answer.headers.get("set-cookie", "").partition(";")[0]
    return {"Cookie": cookie, "X-PixelRL-Page": "1"}


class Tab:
    """A tab that shows one session, as the page's scripts use the server."""

    def __init__(self, address: str, headers: dict[str, str] | None = None) -> None:
        self.address, self.headers = address, headers or {"X-PixelRL-Token": TOKEN}
        self.session: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        assert self.session is not None
        return self.session["id"]

    def get(self, path: str) -> Any:
        """Of the session at hand, if there is one; the bare answer."""
        if self.session is not None:
            path += f"{'&' if '?' in path else '?'}session={self.id}"
        return call(self.address, "GET", path, None, headers=self.headers)

    def send(self, path: str, **body: object) -> Any:
        """The bare answer."""
        if self.session is not None:
            body = {"session": self.id, **body}
        return call(self.address, "POST", path, None, json=body, headers=self.headers)

    def post(self, path: str, **body: object) -> Any:
        answer = self.send(path, **body)
        assert answer.is_success, answer.text
        said = answer.json()
        if isinstance(said, dict) and "session" in said:
            self.session = said["session"]
        return said

    def open(self, data: bytes, name: str = "photo.png") -> dict[str, Any]:
        answer = call(self.address, "POST", "/api/open", None, content=data, headers={**self.headers, "X-Name": name})
        assert answer.is_success, answer.text
        self.session = answer.json()["session"]
        return self.session

    def state(self, job: int | None = None) -> dict[str, Any]:
        state = self.get(f"/api/state?job={job or 0}").json()
        self.session = state["session"]
        return state

    def wait(self, job: int | None = None) -> dict[str, Any]:
        """Until the job is done, and nothing more is to come; then the tab shows the job's session."""
        while job is not None:
            state = call(self.address, "GET", f"/api/state?job={job}&session=", None, headers=self.headers).json()
            if state["outcome"] is not None:
                assert state["outcome"]["error"] is None
                if state["outcome"]["session"] is not None:
                    self.session = {"id": state["outcome"]["session"]}
                break
            time.sleep(0.03)
        while (state := self.state())["job"] or state["session"].get("waiting"):
            time.sleep(0.03)
        assert state["error"] is None
        assert self.session is not None
        return self.session

    def run(self, policy: str, level: object = "auto", **options: object) -> dict[str, Any]:
        return self.wait(self.post("/api/run", policy=policy, level=level, **options)["job"])

    def resume(self, identity: str) -> dict[str, Any]:
        return self.wait(self.post("/api/resume", id=identity)["job"])

    def change(self, kind: str, revision: int | None = None, token: str | None = None, **fields: object) -> Any:
        """The bare answer; what the tab shows follows it."""
        assert self.session is not None
        answer = self.send(
            "/api/change",
            revision=self.session["revision"] if revision is None else revision,
            token=token or f"token-{next(_TOKENS):05}",
            change={"type": kind, **fields},
        )
        if answer.is_success:
            self.session = answer.json()["session"]
        return answer

    def append(self, edit: dict[str, object]) -> int:
        answer = self.change("append", edit=edit)
        assert answer.is_success, answer.text
        return answer.json()["added"]

    @property
    def edits(self) -> list[dict[str, Any]]:
        assert self.session is not None
        return [item["edit"] for item in self.session["edits"]]
