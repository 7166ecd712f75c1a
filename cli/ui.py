"""Show past and present runs: ``python -m cli.ui`` serves Prefect's and MLflow's pages.

On this machine only: neither asks who its reader is. Both read the project's ``.beauty`` folder.
While they run, `flows.settings.configure` points new flow runs at this Prefect server, by way of
``.beauty/ui.json``. Ctrl-C stops both.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path

from beauty_models.files import private_folder, write_json
from flows.settings import UI_FILE, configure, is_listening
from tasks.pipeline import child
from tasks.registry import database
from tasks.state import STATE

HOST = "127.0.0.1"
START_S = 180.0  # a new database takes half a minute on a slow machine


def _commands(prefect: int, mlflow: int) -> dict[str, list[str]]:
    where = ["--host", HOST, "--port"]
    mlflow_server = [sys.executable, "-m", "mlflow", "server", *where, str(mlflow)]
    # Four is MLflow's own number, for many readers; here is one.
    mlflow_server += ["--workers", "1"]
    mlflow_server += ["--backend-store-uri", f"sqlite:///{STATE / 'mlflow.db'}"]
    mlflow_server += ["--artifacts-destination", str(STATE / "mlartifacts")]
    return {
        "prefect": [sys.executable, "-m", "flows.server", *where, str(prefect)],
        "mlflow": mlflow_server,
    }


def _serve(name: str, command: list[str], stop: threading.Event) -> None:
    """Run one server until it ends or ``stop`` is set, which its end sets for the other one."""
    log = STATE / "logs" / f"ui-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # Line by line: whoever opens the log wants to see what happens now.
    with log.open("w", encoding="utf-8", buffering=1) as lines:
        try:
            ended = child.run(
                command, os.environ, lambda line: print(line, file=lines), math.inf, stop
            )
            print(f"error: {name} {child.describe_exit(ended)}; see {log}", file=sys.stderr)
        except child.StoppedError:
            return
        finally:
            stop.set()


def _ready(urls: list[str], stop: threading.Event) -> bool:
    until = time.monotonic() + START_S
    while not stop.wait(0.3) and time.monotonic() < until:
        if all(is_listening(url) for url in urls):
            return True
    return False


def serve(prefect: int, mlflow: int) -> int:
    """Serve Prefect's and MLflow's pages until stopped; return the exit code.

    Args:
        prefect: port of Prefect's page.
        mlflow: port of MLflow's page.

    Raises:
        ValueError: something else listens on one of the ports.
    """
    urls = {"prefect": f"http://{HOST}:{prefect}", "mlflow": f"http://{HOST}:{mlflow}"}
    for name, url in urls.items():
        if is_listening(url):
            raise ValueError(f"{url} is taken; choose another port with --{name}-port")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    private_folder(STATE)
    # MLflow's server would make it in place: killed in between, it leaves half a database, which
    # the next start takes for an older version's.
    database.create_sqlite(STATE / "mlflow.db")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threads = [
        threading.Thread(target=_serve, args=(name, command, stop))
        for name, command in _commands(prefect, mlflow).items()
    ]
    for thread in threads:
        thread.start()
    served = False
    try:
        served = _ready(list(urls.values()), stop)
        if served:
            # Only now: new runs go to the server that this file names.
            write_json(UI_FILE, {**urls, "pid": os.getpid()})
            print(
                f"Prefect {urls['prefect']}\nMLflow  {urls['mlflow']}\nCtrl-C stops both.",
                flush=True,
            )
            stop.wait()
    except KeyboardInterrupt:
        pass
    finally:
        stop.set()
        UI_FILE.unlink(missing_ok=True)
        for thread in threads:
            thread.join()
    return 0 if served else 1


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m cli.ui",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--prefect-port", type=int, default=4200)
    parser.add_argument("--mlflow-port", type=int, default=5000)
    options = parser.parse_args()
    os.environ.pop("PREFECT_API_URL", None)  # this is the server itself
    os.environ["PREFECT_UI_API_URL"] = "/api"  # the pages ask the server that they came from
    configure()
    Path(STATE).mkdir(exist_ok=True)
    try:
        return serve(options.prefect_port, options.mlflow_port)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
