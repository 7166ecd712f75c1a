"""One champion after another, on two machines at once, stopped and killed at any moment.

MLflow is real.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import postgres
import pytest
from processes import running, until

from flows.settings import free_port
from tasks.registry import connection, registry, runs, succession

ROOT = Path(__file__).parents[2]

# A machine: its own checkout, a shared registry. Each candidate has a figure; the champion's is on
# its version.
MACHINE = """
import json, random, sys
from pathlib import Path
from tasks.registry import connection, registry, runs

name, rounds = sys.argv[1], int(sys.argv[2])
chance = random.Random(name)
client = connection.client()
artifacts = Path("artifacts-" + name)
artifacts.mkdir(exist_ok=True)
(artifacts / "card.md").write_text(name)
for number in range(rounds):
    figure = chance.random()
    run = runs.log_run(client, "lips", {}, {"figure": figure}, artifacts, {})
    version = registry.add_version(client, "lips", run, "a card")
    while True:
        standing = registry.standing(client, "lips")
        known = {v["version"]: v["metrics"]["figure"] for v in registry.versions("lips")}
        against = known.get(standing.champion, 0.0)
        registry.tag_version(client, "lips", version, {"judged_against": str(standing.champion)})
        if figure <= against or registry.promote(client, "lips", version, standing):
            break
print("done", flush=True)
"""


def _machine(folder: Path, uri: str, name: str, rounds: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MACHINE, name, str(rounds)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": uri},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=["sqlite", "server", "postgresql"])
def shared(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cleanup: ExitStack,
) -> Iterator[str]:
    """Yield the address of a registry that several machines may share."""
    monkeypatch.chdir(tmp_path)
    database = f"sqlite:///{tmp_path / 'mlflow.db'}"
    if request.param == "postgresql":
        if why := postgres.missing():
            pytest.skip(why)
        pytest.importorskip("psycopg2", reason="psycopg2-binary is not installed")
        database = cleanup.enter_context(postgres.cluster()).replace("+asyncpg", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", database)
    connection.client()  # makes the tables
    if request.param != "server":
        yield database
        return
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", database]
    command += ["--artifacts-destination", str(tmp_path / "files")]
    address = f"http://127.0.0.1:{port}"
    with running(command, tmp_path / "server.log", os.environ):

        def healthy() -> bool:
            with suppress(httpx.HTTPError):
                return httpx.get(f"{address}/health", timeout=30).status_code == 200
            return False

        until(healthy, "the MLflow server does not come up")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield address


def _line(client: Any) -> list[int]:
    """Return the versions of all claims, in the order of their numbers."""
    line: list[int] = []
    while found := client.get_experiment_by_name(f"lips champion {len(line) + 1}"):
        line.append(int(found.tags["version"]))
    return line


def _check_line(client: Any) -> None:
    """Each champion is better than the one before, which is the one it was judged against.

    The alias is at the last.
    """
    versions = {version["version"]: version for version in registry.versions("lips")}
    tags = {int(v.version): v.tags for v in client.search_model_versions("name='lips'")}
    line = _line(client)
    assert registry.aliases(client, "lips")["champion"] == line[-1]
    before: int | None = None
    for version in line:
        assert tags[version]["judged_against"] == str(before)
        if before is not None:
            figures = [versions[number]["metrics"]["figure"] for number in (before, version)]
            assert figures[0] < figures[1]
        before = version
    best = max(versions.values(), key=lambda version: version["metrics"]["figure"])
    assert line[-1] == best["version"]


def test_two_machines_at_once_many_times(shared: str, tmp_path: Path) -> None:
    machines = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        machines.append(_machine(tmp_path / name, shared, name, rounds=6))
    chance = random.Random(3)
    while any(machine.poll() is None for machine in machines):
        machine = chance.choice(machines)  # the slow one: stopped wherever it is
        with suppress(ProcessLookupError):
            machine.send_signal(signal.SIGSTOP)
            time.sleep(chance.uniform(0.0, 0.6))
            machine.send_signal(signal.SIGCONT)
        time.sleep(chance.uniform(0.0, 0.3))
    assert [machine.communicate()[0] for machine in machines] == ["done\n", "done\n"]
    client = connection.client()
    assert len(registry.versions("lips")) == 12
    _check_line(client)


def test_a_machine_that_is_killed_again_and_again_leaves_one_champion(
    client: Any, tmp_path: Path
) -> None:
    database = connection.tracking_uri()
    chance = random.Random(5)
    (tmp_path / "a").mkdir()
    for number in range(4):
        machine = _machine(tmp_path / "a", database, f"a{number}", rounds=20)
        before = len(registry.versions("lips"))
        while machine.poll() is None and len(registry.versions("lips")) < before + 1:
            time.sleep(0.05)
        time.sleep(chance.uniform(0.0, 0.3))
        machine.kill()
        machine.communicate()
    champion = registry.aliases(client, "lips")["champion"]
    assert champion == _line(client)[-1]


def _run(client: Any, figure: float) -> str:
    artifacts = Path("artifacts")
    artifacts.mkdir(exist_ok=True)
    (artifacts / "card.md").write_text("a card")
    return runs.log_run(client, "lips", {}, {"figure": figure}, artifacts, {})


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a registry with three versions of lips, the first of which is champion."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = connection.client()
    for _ in range(3):
        registry.add_version(made, "lips", _run(made, 0.0), "a card")
    assert succession.succeed(made, "lips", 1, succession.settle(made, "lips"))
    return made


def test_only_who_saw_the_present_champion_succeeds(client: Any) -> None:
    seen = succession.settle(client, "lips")
    assert succession.succeed(client, "lips", 2, seen)
    assert not succession.succeed(client, "lips", 3, seen)
    assert succession.settle(client, "lips") == succession.Standing(2, 2)
    assert client.get_experiment_by_name("lips champion 2").lifecycle_stage == "deleted"


def test_a_claim_whose_process_died_is_carried_out_by_the_next_reader(client: Any) -> None:
    client.create_experiment("lips champion 2", tags={"version": "2"})
    assert registry.champion_version("lips") == 2
    assert int(client.get_model_version_by_alias("lips", "champion").version) == 2


def test_an_alias_moved_late_by_a_stopped_process_is_put_right(client: Any) -> None:
    assert succession.succeed(client, "lips", 2, succession.settle(client, "lips"))
    client.set_model_version_tag("lips", "1", succession.MOVING + "somebody", "1")
    client.set_registered_model_alias("lips", "champion", "1")
    assert registry.champion_version("lips") == 2


def test_a_helped_mover_that_wakes_late_and_is_killed_is_put_right(client: Any) -> None:
    """A claims and stops before its alias call; B helps A, and version 3 succeeds.

    A's call goes out, and A dies.
    """
    client.create_experiment("lips champion 2", tags={"version": "2"})
    client.set_model_version_tag("lips", "2", succession.MOVING + "of-a", "2")
    assert registry.champion_version("lips") == 2  # B carries A's claim out
    assert succession.succeed(client, "lips", 3, succession.settle(client, "lips"))
    client.set_registered_model_alias("lips", "champion", "2")
    assert succession.settle(client, "lips") == succession.Standing(3, 3)
    assert registry.champion_version("lips") == 3


def test_an_alias_moved_by_hand_stays(client: Any) -> None:
    client.set_registered_model_alias("lips", "champion", "3")
    assert registry.champion_version("lips") == 3
    assert succession.succeed(client, "lips", 2, succession.settle(client, "lips"))
    assert registry.champion_version("lips") == 2
    assert registry.aliases(client, "lips") == {"champion": 2}


def test_of_two_that_set_a_new_tag_at_once_the_second_overwrites() -> None:
    from mlflow.exceptions import MlflowException

    rows: dict[str, str] = {}

    def write(name: str, value: str) -> None:
        if name not in rows:  # the other machine adds it between our look and our insert
            rows[name] = "theirs"
            raise MlflowException("(psycopg2.errors.UniqueViolation) duplicate key value")
        rows[name] = value

    connection.overwrite(write, "champion_number", "ours")
    assert rows == {"champion_number": "ours"}

    def always_fails(name: str) -> None:
        raise MlflowException("the database is gone")

    with pytest.raises(MlflowException, match="is gone"):
        connection.overwrite(always_fails, "champion_number")


def test_versions_of_a_family_that_this_checkout_lacks_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    client = connection.client()
    (tmp_path / "artifacts").mkdir()
    figures = {"macro_f1": 0.5, "finetune/loss": 1.0}
    run = runs.log_run(client, "lips", {}, figures, tmp_path / "artifacts", {})
    registry.add_version(client, "lips", run, "a card")
    [version] = registry.versions("lips")
    assert version["metrics"] == {"macro_f1": 0.5}
