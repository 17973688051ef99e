"""Start the server and say where it is."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import uvicorn

from pixelrl.agent import choose_device
from pixelrl.errors import InputError, UsageError
from pixelrl.studio.guard import Tickets
from pixelrl.studio.protocol import TimedProtocol
from pixelrl.studio.server import application
from pixelrl.studio.store import Store, default_folder
from pixelrl.studio.studio import Limits, Studio

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def serve(
    image: Path | None,
    mask: npt.NDArray[np.bool_] | None,
    host: str,
    port: int,
    folder: Path | None,
    max_pixels: int,
    browser: bool,
    device: str,
    policies: Sequence[Path] = (),
) -> None:
    """Serve until Ctrl-C.

    Raises:
        PixelRLError: a place that cannot be listened at or written to, a picture that cannot be read, a policy that
            cannot be loaded, or a mask (the object in it, ``(h, w)``) that does not suit.
    """
    choose_device(device)  # refused before anything else
    limits = Limits(pixels=max_pixels)
    studio = Studio(Store(folder or default_folder()), limits, device, policies)
    with listen_again(host, port, studio.store.root / ".pixelrl-port") as listener, closing(studio):
        port = listener.getsockname()[1]
        studio.store.tidy()
        earlier = None
        if image is not None:
            earlier = studio.open(_read(image, studio.limits.upload), image.name, mask).earlier
        wildcard = host in ("0.0.0.0", "::", "")
        hosts = LOOPBACK | ({socket.gethostname().lower()} if wildcard else {host.lower()})
        name = "127.0.0.1" if wildcard else f"[{host}]" if ":" in host else host

        def address(ticket: str) -> str:
            return f"http://{name}:{port}/?token={ticket}"

        def announce(ticket: str) -> None:
            with suppress(OSError):  # nobody reads any more what this process prints
                click.echo(f"For another browser: {address(ticket)}")

        tickets = Tickets(announce)
        config = uvicorn.Config(
            application(studio, secrets.token_urlsafe(24), hosts, tickets.redeem, wildcard),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            http=TimedProtocol,
            timeout_graceful_shutdown=2,
        )
        if not _is_loopback(host):
            click.echo(f"pixelrl: --host {host} lets other computers in; the connection is not encrypted", err=True)
        click.echo(f"PixelRL studio: {address(tickets.current)}")
        click.echo(f"Sessions are kept in {studio.store.root}; Ctrl-C ends the studio.")
        if earlier is not None:
            edits = f" with {earlier['edits']} edit{'' if earlier['edits'] == 1 else 's'}" if earlier["edits"] else ""
            click.echo(f"There is an earlier session of this picture{edits}; the page offers it.")
        if browser:
            threading.Timer(0.5, webbrowser.open, [address(tickets.current)]).start()
        uvicorn.Server(config).run(sockets=[listener])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections.

    Raises:
        UsageError: it cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # a browser that comes before the server is up waits, instead of being refused
    except OSError as error:
        listener.close()
        raise UsageError(f"--host {host} --port {port} cannot be listened at: {error.strerror}; give others") from error
    return listener


def listen_again(host: str, port: int, file: Path) -> socket.socket:
    """Like `listen`; without a port of one's own (0), at the one of last time, which ``file`` holds, if it is free.

    A tab that outlived the studio knows that address only, and still has changes to send there.
    """
    listener = None
    if port == 0:
        with suppress(OSError, ValueError, OverflowError, UsageError):
            listener = listen(host, int(file.read_text(encoding="ascii")))
    listener = listener or listen(host, port)
    with suppress(OSError):
        file.write_text(str(listener.getsockname()[1]), encoding="ascii")
    return listener


def _read(image: Path, most: int) -> bytes:
    try:
        if image.stat().st_size > most:
            raise InputError(f"{image}: it is larger than {most / 1e6:g} MB, the most that the studio takes")
        return image.read_bytes()
    except OSError as error:
        raise InputError(f"{image}: it cannot be read ({error.strerror}); the path of a picture is needed") from error
