"""Prefect's server behind a gate: no foreign web page and no foreign host name gets an answer.

Prefect's own server answers every ``Origin`` and every ``Host`` header. A page that somebody has
open in a browser could therefore read runs and start them: directly, or by letting its own host
name point at this machine (DNS rebinding). `Gate` refuses both before Prefect sees the request;
curl, clients and workers send no ``Origin`` and notice nothing.

    python -m flows.server --host 0.0.0.0 --allow-host prefect.example.com

`create_app` is the same for a server that somebody else starts:
``uvicorn --factory flows.server:create_app``.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from flows.settings import configure

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HOSTS_VARIABLE = "BEAUTY_SERVER_HOSTS"  # further host names, with commas between
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def _host_and_port(netloc: str) -> tuple[str, int | None]:
    """Return the parts of ``host:port``, the host without brackets; ("", None) if malformed."""
    try:
        parts = urlsplit(f"//{netloc}")
        return (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return "", None


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_own_page(origin: str, host_header: str) -> bool:
    """Return whether a page of ``origin`` came from the very server that ``host_header`` asks.

    The scheme is left out: behind a proxy that ends TLS, the page is https and our request http.
    """
    page = origin.partition("://")[2].lower()  # empty for "null", a sandboxed frame or a local file
    if page == host_header.lower():
        return True
    page_host, page_port = _host_and_port(page)
    asked_host, asked_port = _host_and_port(host_header)
    return {page_host, asked_host} <= LOOPBACK_NAMES and page_port == asked_port


class Gate:
    """An ASGI middleware that refuses (403) a foreign host name and a foreign web page.

    Own host names are the loopback ones, this machine's, and ``hosts``. An IP address is always
    fine: no name server can make a foreign page look as if it came from one. An ``Origin`` is own
    when it is the address that was asked, or another loopback name with the same port.
    """

    def __init__(self, app: App, hosts: Collection[str] = ()) -> None:
        self.app = app
        named = {host.strip().lower() for host in hosts if host.strip()}
        self.hosts = LOOPBACK_NAMES | {socket.gethostname().lower()} | named

    def _refusal(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        """Return why a request with these headers is refused, or None."""
        asked = [value.decode("latin-1") for name, value in headers if name == b"host"]
        # Two of them, and a proxy may look at the one and Prefect at the other.
        if len(asked) != 1:
            return "exactly one Host header is needed"
        host, _ = _host_and_port(asked[0])
        if host not in self.hosts and not _is_ip(host):
            return f"unknown host {asked[0]!r}; to allow a name, set {HOSTS_VARIABLE}"
        origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
        for origin in origins:
            if not _is_own_page(origin, asked[0]):
                return f"requests from pages of {origin!r} are refused"
        return None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a refused request here; hand any other on."""
        # "lifespan", the server's own start and end, has no headers.
        why = None
        if scope["type"] in ("http", "websocket"):
            why = self._refusal(scope["headers"])
        if why is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # 1008: policy violation
        else:
            body = f"refused: {why}\n".encode()
            headers = [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(body)).encode()),
            ]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": body})


DATABASE_VARIABLES = (
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_CONNECTION_URL",  # its name before Prefect 3
)
DRIVERS = {"postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}


def check_database() -> None:
    """Look whether Prefect can use the driver of its database's address.

    Prefect itself ends with a bare traceback.

    Raises:
        ValueError: it cannot; the message names the variable and the address's right beginning.
    """
    for variable in DATABASE_VARIABLES:
        scheme, found, _ = os.environ.get(variable, "").partition("://")
        kind = scheme.partition("+")[0]
        if found and scheme != DRIVERS.get(kind):
            right = " or ".join(f"{begin}://" for begin in DRIVERS.values())
            raise ValueError(
                f"{variable} begins with {scheme}://, which Prefect cannot use: {right}"
            )


def create_app() -> App:
    """Return Prefect's ASGI application behind the gate.

    It is set up by Prefect's own environment variables; ``BEAUTY_SERVER_HOSTS`` names further hosts
    by which clients and browsers reach it.

    Raises:
        ValueError: Prefect cannot use the database that they name.
    """
    check_database()
    # The pages ask the server that they came from, by whatever name and port it is reached.
    os.environ.setdefault("PREFECT_UI_API_URL", "/api")
    # Not documented outside of Prefect's source. `final`: no other server is made in this process,
    # so Prefect may optimise.
    from prefect.server.api.server import create_app as create_prefect_app

    return Gate(create_prefect_app(final=True), os.environ.get(HOSTS_VARIABLE, "").split(","))


def main() -> None:
    """Parse the command line and serve until stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.server",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=4200)
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name by which clients and browsers reach this server; may be repeated",
    )
    options = parser.parse_args()
    os.environ.pop("PREFECT_API_URL", None)  # this is the server itself
    names = [*os.environ.get(HOSTS_VARIABLE, "").split(","), *options.allow_host]
    os.environ[HOSTS_VARIABLE] = ",".join(name for name in names if name)
    configure()
    try:
        app = create_app()  # before any other import of Prefect, which reads the environment once
    except ValueError as error:
        sys.exit(f"error: {error}")

    import uvicorn
    from prefect.settings import get_current_settings

    api = get_current_settings().server.api
    print(f"Prefect http://{options.host}:{options.port}", flush=True)
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="info",
        timeout_keep_alive=api.keepalive_timeout,
        ws_ping_interval=api.websocket_ping_interval,
        ws_ping_timeout=api.websocket_ping_timeout,
    )


if __name__ == "__main__":
    main()
