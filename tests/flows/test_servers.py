"""Servers that are dead, deaf or behind a proxy.

A run stops within seconds and says whose address it was, or goes on.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from mini import dvc, gone, runs, set_param
from processes import clean_environment, deaf_server, until

from flows import servers, settings
from flows.settings import free_port
from tasks import health, pending
from tasks.pipeline import child
from tasks.registry import connection

ROOT = Path(__file__).parents[2]
LONG = 600.0
RUN = "from cli.main import main; main()"
STAGES_ONLY = """
import sys
from flows import servers
with servers.api():
    from flows.retrain import run
    run(None, lambda *event: None, only_stages=True)
"""


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty folder in which nothing names a server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    for name in (
        "PREFECT_API_URL",
        "PREFECT_PROFILE",
        "PREFECT_PROFILES_PATH",
        "BEAUTY_API_FROM_UI",
    ):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_every_place_that_names_a_server_is_known(
    nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert servers.configured_api() is None
    (nobody / "home").mkdir()
    (nobody / "home/profiles.toml").write_text(
        'active = "office"\n[profiles.office]\nPREFECT_API_URL = "http://profile/api"\n'
    )
    expected = [("http://profile/api", "the profile 'office'")]
    (nobody / "pyproject.toml").write_text('[tool.prefect.api]\nurl = "http://pyproject/api"\n')
    assert servers.configured_api().url == "http://pyproject/api"  # type: ignore[union-attr]
    (nobody / "pyproject.toml").unlink()
    found = servers.configured_api()
    assert found and (found.url, found.source[:20]) == (expected[0][0], expected[0][1][:20])
    (nobody / "prefect.toml").write_text('[api]\nurl = "http://toml/api"\n')
    assert servers.configured_api() == ("http://toml/api", "api.url in prefect.toml")
    (nobody / ".env").write_text("PREFECT_API_URL='http://dotenv/api'\n")
    assert servers.configured_api() == ("http://dotenv/api", "PREFECT_API_URL in the file .env")
    (nobody / "own.toml").write_text((nobody / "home/profiles.toml").read_text())
    (nobody / "home/profiles.toml").unlink()
    for file in (".env", "prefect.toml"):
        (nobody / file).unlink()
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(nobody / "own.toml"))
    found = servers.configured_api()
    assert found and found.source == f"the profile 'office' in {nobody / 'own.toml'}"
    monkeypatch.setenv("prefect_api_url", "http://lower/api")
    assert servers.configured_api() == (
        "http://lower/api",
        "the environment variable prefect_api_url",
    )
    monkeypatch.delenv("prefect_api_url")
    monkeypatch.setenv("PREFECT_API_URL", "http://environment/api")
    found = servers.configured_api()
    assert found and "environment variable" in found.source


@pytest.mark.parametrize("how", ["dead", "deaf"])
def test_a_dead_or_deaf_server_stops_a_run_at_once(project: Path, how: str) -> None:
    with deaf_server() as deaf:
        port = deaf if how == "deaf" else free_port()
        url = f"http://me:hidden@127.0.0.1:{port}/api"
        environment = {**clean_environment(project / ".beauty/prefect"), "PREFECT_API_URL": url}
        began = time.monotonic()
        with pytest.raises(ValueError, match=r"environment variable PREFECT_API_URL") as error:
            servers.check_api(servers.Address(url, "the environment variable PREFECT_API_URL"))
        assert time.monotonic() - began < 2 * health.ANSWER_S
        assert "hidden" not in str(error.value)
        done = subprocess.run(
            [sys.executable, "-c", STAGES_ONLY], env=environment, capture_output=True, text=True
        )
    assert done.returncode and "does not answer" in done.stderr
    assert not Path("runs.txt").exists()


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_a_dead_registry_is_told_before_anything_is_trained(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"{scheme}://me:hidden@127.0.0.1:{free_port()}/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ValueError, match="environment variable MLFLOW_TRACKING_URI") as error:
        connection.check_reachable()
    assert "hidden" not in str(error.value)


@contextmanager
def answering(code: int) -> Iterator[tuple[str, list[str]]]:
    """Serve pages that all answer ``code``; yield host:port, and the logins that were sent."""
    logins: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            logins.append(self.headers.get("Authorization", ""))
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", logins
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("code", [200, 401, 403, 404, 500, 502, 503])
def test_only_a_server_that_is_well_or_guarded_is_taken(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy whose server is down every page is a 502 or 503."""
    with answering(code) as (place, logins):
        address = f"http://me:p%40ss@{place}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        api = servers.Address(f"{address}/api", "the environment variable PREFECT_API_URL")
        for look in (connection.check_reachable, lambda: servers.check_api(api)):
            well = code in (200, 401, 403) or (code == 404 and look is connection.check_reachable)
            if well:
                look()
                continue
            with pytest.raises(ValueError, match=f"answers {code}.*environment variable") as told:
                look()
            assert "p%40ss" not in str(told.value) and "p@ss" not in str(told.value)
    expected = "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert logins == [expected, expected]


def test_a_database_that_mlflow_cannot_use_is_told_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mlflow.db"

    def told(uri: str) -> str:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with pytest.raises(ValueError) as error:
            connection.check_reachable()
        return str(error.value)

    def look(uri: str = f"sqlite:///{file}") -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        connection.check_reachable()

    look()  # not there yet: the first registration makes it
    assert not file.exists()
    file.write_bytes(b"nothing that SQLite knows" * 100)
    assert f"{file}: file is not a database" in told(f"sqlite:///{file}")
    file.unlink()
    file.mkdir()
    assert "unable to open" in told(f"sqlite:///{file}")
    assert "cannot be written to" in told("sqlite:////dev/null/x.db")
    file.rmdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{file}")
    monkeypatch.chdir(tmp_path)
    connection.client()
    look()  # of this very MLflow
    with closing(sqlite3.connect(file, isolation_level=None)) as base:
        base.execute("BEGIN IMMEDIATE")
        look()  # somebody else writes just now
        base.execute("ROLLBACK")
        base.execute("UPDATE alembic_version SET version_num = '0584bdc529eb'")
        assert "an older MLflow" in told(f"sqlite:///{file}")
        base.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        assert "a newer MLflow made it" in told(f"sqlite:///{file}")


def test_a_database_is_made_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while MLflow makes its tables, the next process begins anew.

    It would take them for an older version's.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    file = tmp_path / ".beauty/mlflow.db"
    unfinished = file.with_name("mlflow.db.unfinished")
    program = "from tasks.registry import connection; connection.client()"

    def killed_at(size: int) -> bool:
        """Kill the program when its unfinished database is larger than ``size``, if in time."""
        with subprocess.Popen([sys.executable, "-c", program]) as making:
            while making.poll() is None:
                with suppress(FileNotFoundError):
                    if unfinished.stat().st_size > size:
                        break
            making.kill()
        return making.returncode == -signal.SIGKILL and unfinished.exists()

    for kilobytes in (8, 100):
        # On a busy machine the program may be done before this one looks: then again.
        while not killed_at(1000 * kilobytes):
            file.unlink()
        assert not file.exists()
    connection.check_reachable()
    assert connection.client().search_registered_models() == []
    connection.check_reachable()
    assert file.exists() and not unfinished.exists()


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("mysql://me:hidden@127.0.0.1:1/x", "pip install mysqlclient"),
        ("postgresql+pg8000://me:hidden@127.0.0.1:1/x", "pip install pg8000"),
        ("postgresql+asyncpg://me:hidden@127.0.0.1:1/x", "begin the address with postgresql://"),
        ("postgres://me:hidden@127.0.0.1:1/x", "no address of a server or database"),
    ],
)
def test_a_missing_driver_is_told_with_its_remedy(
    uri: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for look in (connection.check_reachable, connection.client):
        with pytest.raises(ValueError, match="MLFLOW_TRACKING_URI") as told:
            look()
        assert words in str(told.value) and "hidden" not in str(told.value)


def test_prefect_s_database_needs_its_own_driver(tmp_path: Path) -> None:
    environment = clean_environment(tmp_path)
    environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = "postgresql://me:hidden@127.0.0.1/x"
    command = [sys.executable, "-m", "flows.server", "--port", str(free_port())]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and "hidden" not in done.stderr
    assert done.stderr.startswith("error: PREFECT_SERVER_DATABASE_CONNECTION_URL begins with")
    assert "postgresql+asyncpg://" in done.stderr and "Traceback" not in done.stderr


def test_a_version_s_page_is_named_only_where_something_serves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert connection.version_url("lips", 3) is None
    ui = tmp_path / ".beauty/ui.json"
    ui.parent.mkdir()
    with answering(200) as (place, _):
        ui.write_text(json.dumps({"mlflow": f"http://{place}"}))
        assert connection.version_url("lips", 3) == f"http://{place}/#/models/lips/versions/3"
    assert connection.version_url("lips", 3) is None, "its process was killed, the file stayed"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:hidden@mlflow.example/")
    assert (
        connection.version_url("lips", 3) == "https://***@mlflow.example/#/models/lips/versions/3"
    )


def test_a_proxy_does_not_come_between_this_machine_and_itself(project: Path) -> None:
    environment = clean_environment(project / ".beauty/prefect")
    proxy = f"http://127.0.0.1:{free_port()}"  # nobody is there, as an office proxy is not
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        environment[name] = proxy
    environment.pop("no_proxy", None)
    environment |= {"NO_PROXY": "intranet.example"}
    done = subprocess.run(
        [sys.executable, "-c", STAGES_ONLY], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert dvc("status").strip() == "Data and pipelines are up to date."


def test_hosts_without_a_proxy_stay_and_ours_join_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "a.example, localhost")
    settings.keep_loopback_off_proxies()
    settings.keep_loopback_off_proxies()
    expected = "a.example,localhost,127.0.0.1,::1"
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == expected


def test_the_temporary_server_ends_with_a_killed_run(project: Path) -> None:
    set_param("lips", "ingest", sleep=600)
    environment = clean_environment(project / ".beauty/prefect")
    run = subprocess.Popen([sys.executable, "-c", STAGES_ONLY], env=environment)
    family: list[psutil.Process] = []
    try:
        until(lambda: "ingest@lips" in runs(), "ingest@lips does not begin", LONG)
        family = psutil.Process(run.pid).children(recursive=True)
        words = [" ".join(process.cmdline()) for process in family]
        for what in ("flows.server", "dvc", "work.py"):
            assert any(what in line for line in words), words
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert all(gone(process.pid, LONG) for process in family)


def test_nothing_to_do_is_answered_without_prefect_and_mlflow(project: Path) -> None:
    """The miniature families have no source and no registry.

    What a run does beyond the stages is put aside here.
    """
    dvc("repro", "-q")
    code = (
        "import sys, json\n"
        "from tasks import pending\n"
        "from tasks.registry import register\n"
        "from tasks.sources import fetch\n"
        "fetch.is_up_to_date = register.is_registered = lambda family: True\n"
        "rows = pending.all_done(['lips', 'nails'])\n"
        "print(json.dumps([rows, [m for m in ('prefect', 'mlflow', 'torch') if m in sys.modules]]))"
    )

    def ask() -> list[object]:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        return list(json.loads(done.stdout))

    rows, heavy = ask()
    assert isinstance(rows, list) and {row["state"] for row in rows} == {"Skipped"}
    assert len(rows) == 4 and heavy == []
    set_param("lips", "pretrain", n=2)
    assert ask()[0] is None
    assert pending.all_done(["lips"]) is None, "params.yaml has no source: the run says so"


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """Told from the log alone here; a full disk is played by `make game-day`."""
    log = tmp_path / "server.log"
    program = "print('OSError: no such port'); print('Exiting.')"
    with log.open("w") as output:
        leashed = child.start([sys.executable, "-c", program], os.environ, 1.0, stdout=output)
    leashed.process.wait()
    with pytest.raises(RuntimeError, match="did not come up: OSError: no such port; its log is"):
        servers._wait_until_well("http://127.0.0.1:9/api", leashed, log)
    leashed.leash.close()
