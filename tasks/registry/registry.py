"""The model registry in MLflow: candidates as versions, ``champion`` and ``challenger`` as aliases, never stages.

It is the server or database that MLFLOW_TRACKING_URI names, else SQLite in `.beauty/mlflow.db` with the files below
`.beauty/mlartifacts`. A version's source is the model folder of its run: safetensors and JSON as the family saved them, no
pickle, and the MLmodel file of `tasks.registry.flavor`.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from filelock import FileLock, Timeout

from beauty_models import families
from beauty_models.files import new_folder, private_folder, read_json
from tasks import health
from tasks.registry import database, succession
from tasks.registry.lineage import folder_hashes
from tasks.registry.succession import CHALLENGER, SINCE, Standing
from tasks.secrets import redact
from tasks.state import STATE

PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mssql": 1433}
LOCK_SECONDS = 3600.0  # how long to wait for another registration of the same family

Client = Any  # mlflow.MlflowClient, which takes seconds to import


class Point(NamedTuple):
    """A figure of a training, ``STAGE/FIGURE``, after an epoch or a step."""

    name: str
    step: int
    value: float


def tracking_uri() -> str:
    """Return where the registry is."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(STATE / 'mlflow.db').absolute()}"


def check_reachable() -> None:
    """Look whether the registry's server or database is there and can be used, before anything is trained for it.

    Raises:
        ValueError: it does not answer within `health.ANSWER_S` seconds, or cannot be used; the message says where its
            address comes from, and what to do.
    """
    uri = tracking_uri()
    if file := database.sqlite_file(uri):
        database.check_sqlite(file)
        return
    address = urlsplit(uri)
    if address.scheme in ("http", "https"):
        why = health.http_problem(f"{uri.rstrip('/')}/health", page_must_exist=False)
    elif _is_database(address):
        database.check_driver(uri)
        why = _why_no_connection(address)
    else:
        return  # a folder on this machine, or a service that MLflow knows
    if why:
        raise ValueError(
            f"MLflow at {redact(uri)} {redact(why)}. Its address comes from the environment variable "
            "MLFLOW_TRACKING_URI: start that server, or unset the variable, and the registry lies in .beauty/mlflow.db"
        )


def _is_database(address: SplitResult) -> bool:
    return address.scheme.partition("+")[0] in PORTS


def _why_no_connection(address: SplitResult) -> str | None:
    """Return why nothing takes a connection at a database's address, or None."""
    try:
        port = address.port or PORTS.get(address.scheme.partition("+")[0], 0)
        if address.hostname:
            socket.create_connection((address.hostname, port), health.ANSWER_S).close()
    except (OSError, ValueError) as error:
        return f"does not answer ({error})"
    return None


def url(family: str, version: int) -> str | None:
    """Return the page of a version in MLflow's own pages, or None where nothing serves them now."""
    server = tracking_uri()
    if not server.startswith("http"):
        server = ""
        with suppress(ValueError):  # `cli.ui` does not run, or has just ended
            server = str(read_json(STATE / "ui.json").get("mlflow"))
        where = urlsplit(server)
        if not where.hostname or _why_no_connection(where):
            return None
    return f"{redact(server).rstrip('/')}/#/models/{family}/versions/{version}"


@contextmanager
def explained() -> Iterator[None]:
    """Turn what MLflow raises into a ValueError of one sentence."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except (MlflowException, OperationalError) as error:
        first = str(error).split("\n")[0]
        if "database is locked" in first:
            raise ValueError(
                f"{redact(tracking_uri())} is locked by another program; end it, or wait for it, and try again"
            ) from None
        raise ValueError(f"MLflow at {redact(tracking_uri())}: {redact(first)}") from None


def client() -> Client:
    """Return a client of the registry; the first call makes the database.

    Raises:
        ValueError: the database is locked, its driver is not installed, or the server does not answer.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    if _is_database(urlsplit(tracking_uri())):
        database.check_driver(tracking_uri())
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is raised as well
    private_folder(STATE)
    (STATE / "locks").mkdir(exist_ok=True)
    with (
        FileLock(STATE / "locks" / "mlflow.lock"),
        explained(),
    ):  # two processes must not create the tables at once
        if file := database.sqlite_file(tracking_uri()):
            database.create_sqlite(file)
        return MlflowClient(tracking_uri=tracking_uri(), registry_uri=tracking_uri())


@contextmanager
def locked(family: str, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the family's registration lock of this checkout.

    Raises:
        ValueError: another process holds it for longer than ``seconds``; the message names it.
    """
    file = STATE / "locks" / f"register-{family}.lock"
    holder = file.with_suffix(".holder")
    private_folder(STATE)
    file.parent.mkdir(exist_ok=True)
    try:
        with FileLock(file, timeout=seconds):
            holder.write_text(
                f"process {os.getpid()} on {socket.gethostname()} since {_now()}", encoding="utf-8"
            )
            yield
    except Timeout:
        raise ValueError(
            f"registry locked by {holder.read_text(encoding='utf-8')}; wait for it or end it, then try again"
        ) from None


def _now() -> str:
    return datetime.now(UTC).isoformat()


def aliases(registry: Client, family: str) -> dict[str, int]:
    """Return alias → version of the family; empty when nothing is registered yet."""
    with explained():
        succession.settle(registry, family)
        return succession.aliases(registry, family)


def standing(registry: Client, family: str) -> Standing:
    """Return what a candidate is judged against now."""
    with explained():
        return succession.settle(registry, family)


def log_run(
    registry: Client,
    family: str,
    params: dict[str, str],
    metrics: dict[str, float],
    artifacts: Path,
    tags: dict[str, str],
) -> str:
    """Record a finished run with everything below ``artifacts``; return its id."""
    from mlflow.entities import Metric, Param

    with explained():
        run = registry.create_run(
            _experiment(registry, family), run_name=family, tags=tags
        ).info.run_id
        for start in range(0, len(params), 100):  # as many as one request may hold
            registry.log_batch(
                run,
                params=[
                    Param(key, value[:6000])
                    for key, value in list(params.items())[start : start + 100]
                ],
            )
        time = int(datetime.now(UTC).timestamp() * 1000)
        for start in range(0, len(metrics), 1000):
            registry.log_batch(
                run,
                metrics=[
                    Metric(key, value, time, 0)
                    for key, value in list(metrics.items())[start : start + 1000]
                ],
            )
        registry.log_artifacts(run, str(artifacts))
        registry.set_terminated(run)
        return str(run)


def log_curves(registry: Client, run: str, points: Sequence[Point]) -> None:
    """Add the curves of the trainings to a run; MLflow draws each figure over its steps."""
    from mlflow.entities import Metric

    time = int(datetime.now(UTC).timestamp() * 1000)
    with explained():
        for start in range(0, len(points), 1000):  # as many as one request may hold
            batch = [
                Metric(point.name, point.value, time, point.step)
                for point in points[start : start + 1000]
            ]
            registry.log_batch(run, metrics=batch)


@contextmanager
def _unless_it_exists() -> Iterator[None]:
    """Let pass that another machine was a moment faster in creating the same thing."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _experiment(registry: Client, family: str) -> str:
    """Return the id of the family's experiment, made with the first run."""
    if registry.get_experiment_by_name(family) is None:
        place = None
        if not tracking_uri().startswith("http"):
            place = (STATE / "mlartifacts" / family).absolute().as_uri()
        with _unless_it_exists():
            registry.create_experiment(family, artifact_location=place)
    return str(registry.get_experiment_by_name(family).experiment_id)


def attach(registry: Client, run: str, texts: dict[str, str]) -> None:
    """Add text files, name → content, to a run."""
    with explained():
        for name, text in texts.items():
            registry.log_text(run, text, name)


def add_version(registry: Client, family: str, run: str, description: str) -> int:
    """Make the run's model folder a version of the family, without an alias yet; return the version."""
    with explained():
        if not registry.search_registered_models(f"name='{family}'"):
            with _unless_it_exists():
                registry.create_registered_model(family)
        version = registry.create_model_version(
            family, f"runs:/{run}/model", run_id=run, description=description
        )
        return int(version.version)


def describe(registry: Client, family: str, version: int, description: str) -> None:
    """Set what the page of a version says of it, Markdown."""
    with explained():
        registry.update_model_version(family, str(version), description)


def tag_version(registry: Client, family: str, version: int, tags: dict[str, str]) -> None:
    """Set ``tags`` of a version, in place of former ones of the same names."""
    with explained():
        for name, value in tags.items():
            registry.set_model_version_tag(family, str(version), name, value)


def promote(registry: Client, family: str, version: int, judged_against: Standing) -> bool:
    """Make ``version`` champion, unless the champion is no longer the one it was judged against; return whether it is."""
    with explained():
        return succession.succeed(registry, family, version, judged_against)


def keep_as_challenger(registry: Client, family: str, version: int) -> None:
    """Point the alias ``challenger`` at ``version``."""
    with explained():
        registry.set_registered_model_alias(family, CHALLENGER, str(version))


def versions(family: str | None = None) -> list[dict[str, Any]]:
    """Return what is registered, newest first: family, version, aliases, metrics, gate and lineage of each version."""
    registry = client()
    names = [family] if family else families.names()
    return [
        _described(registry, found, aliases(registry, name))
        for name in names
        for found in _all(registry, name)
    ]


def _all(registry: Client, family: str) -> list[Any]:
    with explained():
        found = registry.search_model_versions(f"name='{family}'", max_results=10_000)
        return sorted(found, key=lambda version: -int(version.version))


def _described(registry: Client, version: Any, pointers: dict[str, int]) -> dict[str, Any]:
    with explained():
        logged = registry.get_run(version.run_id).data.metrics
    # the ends of training curves are not what the version is judged by
    metrics = {
        name: value
        for name, value in logged.items()
        if name.partition("/")[0] not in families.STAGES
    }
    return {
        "family": version.name,
        "version": int(version.version),
        "aliases": sorted(
            alias for alias, number in pointers.items() if number == int(version.version)
        ),
        "metrics": dict(sorted(metrics.items())),
        "gate": json.loads(version.tags.get("gate", "{}")),
        "lineage": json.loads(version.tags.get("lineage", "{}")),
    }


def find(registry: Client, family: str, identity: str) -> int | None:
    """Return the version whose registration under ``identity`` was finished."""
    return next(
        (
            int(version.version)
            for version in _all(registry, family)
            if version.tags.get("identity") == identity
        ),
        None,
    )


def finish(registry: Client, family: str, version: int, identity: str) -> None:
    """Mark the registration of ``version`` as finished; a killed one has no such mark and is done again."""
    with explained():
        registry.set_model_version_tag(family, str(version), "identity", identity)


def rollback(family: str, to: int | None = None) -> dict[str, Any]:
    """Point ``champion`` at version ``to``, or at the champion before the present one; return that version's description.

    The version it leaves is no longer counted as a former champion, so a second rollback goes further back.

    Raises:
        ValueError: there is no champion, no former one, or no version ``to``; its files are damaged; or another process
            changed the champion meanwhile.
    """
    with locked(family):
        registry = client()
        present = standing(registry, family)
        known = {int(version.version): version for version in _all(registry, family)}
        target = _rollback_target(family, known, present.champion) if to is None else to
        if target not in known or target == present.champion:
            what = "is the champion" if target == present.champion else "is not registered"
            raise ValueError(f"{family}: version {target} {what}; see `beauty models`")
        with tempfile.TemporaryDirectory(prefix="beauty-") as folder:
            download_model(family, target, into=Path(folder) / "version")  # refuses damaged files
        if not promote(registry, family, target, present):
            raise ValueError(
                f"{family}: another process has just changed the champion; look at `beauty models` and try again"
            )
        with explained():
            if present.champion is not None:
                registry.delete_model_version_tag(family, str(present.champion), SINCE)
                registry.set_model_version_tag(family, str(present.champion), "rolled_back", _now())
            return _described(registry, known[target], aliases(registry, family))


def _rollback_target(family: str, known: dict[int, Any], present: int | None) -> int:
    """Return the version that was champion last before ``present``."""
    former = [
        (version.tags[SINCE], number)
        for number, version in known.items()
        if SINCE in version.tags and number != present
    ]
    if present is None:
        raise ValueError(
            f"{family}: there is no champion yet, and none before it; `beauty models {family}` lists the versions, "
            f"`beauty rollback {family} --to VERSION` makes one champion"
        )
    if not former:
        raise ValueError(f"{family}: there is no champion before version {present} to go back to")
    return int(max(former)[1])


def champion_version(family: str, version: int | None = None) -> int:
    """Return ``version`` or, without one, the champion's.

    Raises:
        ValueError: there is none.
    """
    found = version or aliases(client(), family).get("champion")
    if found is None:
        raise ValueError(
            f"{family}: no champion is registered yet; run `beauty retrain {family}`, or name a version of `beauty models`"
        )
    return found


def download_model(family: str, version: int | None = None, *, into: Path) -> Path:
    """Download the model of a version, the champion without one, below ``into``; return the model's folder.

    Raises:
        ValueError: there is no such version, or its files are not those that were registered.
    """
    number = champion_version(family, version)
    with new_folder(into) as new:
        download(family, number, "model", new)
        if folder_hashes(new / "model") != lineage(family, number)["files"]:
            raise ValueError(
                f"{family} version {number}: its files are not those that were registered; choose another version"
            )
    return into / "model"


def lineage(family: str, version: int) -> dict[str, Any]:
    """Return where a version comes from, see `tasks.registry.lineage`.

    Raises:
        ValueError: there is no such version, or it was registered by other means.
    """
    tags = _version(client(), family, version).tags
    if "lineage" not in tags:
        raise ValueError(
            f"{family} version {version}: it has no lineage, so `beauty` did not register it; choose another version"
        )
    return dict(json.loads(tags["lineage"]))


def _version(registry: Client, family: str, version: int) -> Any:
    found = next((known for known in _all(registry, family) if int(known.version) == version), None)
    if found is None:
        raise ValueError(f"{family}: version {version} is not registered; see `beauty models`")
    return found


def download(family: str, version: int, path: str, folder: Path) -> Path:
    """Put the artifact ``path``, a file or a folder, of a version's run into ``folder``; return where it lies."""
    from mlflow.artifacts import download_artifacts

    run = _version(client(), family, version).run_id
    with explained():
        return Path(
            download_artifacts(
                run_id=run, artifact_path=path, dst_path=str(folder), tracking_uri=tracking_uri()
            )
        )
