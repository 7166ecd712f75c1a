"""The gate before Prefect's server.

Foreign pages and host names are refused, everybody else notices nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from processes import clean_environment, prefect_server
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

EVIL = "http://evil.example"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve Prefect behind the gate; it may also be reached as prefect.example.com."""
    home = tmp_path_factory.mktemp("gate")
    with prefect_server(
        home, clean_environment(home), "--allow-host", "prefect.example.com"
    ) as url:
        yield url


def ask(server: str, **headers: str) -> httpx.Response:
    """Ask for the flows as a page or a client would; in ``headers`` ``_`` stands for ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{server}/api/flows/filter", json={}, headers=named, timeout=120)


def port_of(server: str) -> int:
    return urlsplit(server).port or 0


@pytest.mark.parametrize(
    "origin",
    [EVIL, "null", "http://localhost:1", "https://127.0.0.1.evil.example", "http://[", "file://"],
)
def test_a_foreign_page_is_refused_and_may_read_nothing(server: str, origin: str) -> None:
    refused = ask(server, origin=origin)
    assert refused.status_code == 403
    assert "access-control-allow-origin" not in refused.headers
    preflight = httpx.options(
        f"{server}/api/flows/filter",
        headers={
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        },
        timeout=120,
    )
    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", ""])
def test_a_foreign_host_name_is_refused(server: str, host: str) -> None:
    at_our_port = f"{host}:{port_of(server)}"
    assert ask(server, host=at_our_port).status_code == 403
    # DNS rebinding: to the browser the page and the server are then one and the same place.
    assert ask(server, host=at_our_port, origin=f"http://{at_our_port}").status_code == 403


def test_pages_of_the_server_and_clients_are_answered(server: str) -> None:
    port = port_of(server)
    assert ask(server).json() == []
    assert ask(server, origin=server).json() == []
    assert ask(server, origin=f"http://localhost:{port}").status_code == 200
    assert ask(server, host=f"LOCALHOST:{port}").status_code == 200
    assert ask(server, host=f"192.168.7.7:{port}").status_code == 200
    # Behind a proxy that ends TLS and hands the Host header on:
    named = ask(server, host="prefect.example.com", origin="https://prefect.example.com")
    assert named.status_code == 200
    assert ask(server, host="prefect.example.com", origin=EVIL).status_code == 403


def test_a_foreign_page_gets_no_web_socket(server: str) -> None:
    address = f"{server.replace('http', 'ws', 1)}/api/events/in"
    with pytest.raises(InvalidStatus) as refused:
        connect(address, origin=EVIL, open_timeout=120, proxy=None)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403
    connect(address, open_timeout=120, proxy=None).close()


def test_the_pages_load_and_ask_the_server_they_came_from(server: str) -> None:
    page = httpx.get(server, headers={"accept": "text/html"}, follow_redirects=True, timeout=120)
    assert page.status_code == 200
    assert "<title>" in page.text
    assert httpx.get(f"{server}/ui-settings", timeout=120).json()["api_url"] == "/api"
