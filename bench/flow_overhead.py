"""What the flow itself costs: ``python bench/flow_overhead.py [--families 2] [--stages 3] [--sleep 1]``.

In a scratch project whose stages only sleep, against a Prefect server that runs already, a table of seconds for the
whole process: the import of Prefect alone, ``dvc status``, a run of everything, a run of nothing, and the same two with
``dvc repro``. Set PREFECT_API_URL to measure against your server; without it a temporary one is started first.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
DVC = [sys.executable, "-m", "dvc"]
FLOW = [
    sys.executable,
    "-c",
    "from flows.retrain import run; run(None, lambda *event: None, only_stages=True)",
]


def _dvc_yaml(stages: int, sleep: float) -> str:
    made: dict[str, object] = {}
    for number in range(stages):
        source = f"build/${{key}}/{number - 1}" if number else "data/raw/${key}"
        out = f"build/${{key}}/{number}"
        do = {
            "cmd": f"sleep {sleep} && mkdir -p build/${{key}} && cp {source} {out}",
            "deps": [source],
            "params": [f"families.${{key}}.step{number}"],
            "outs": [out],
            "meta": {"tags": ["cpu"]},
        }
        made[f"step{number}"] = {"foreach": "${families}", "do": do}
    return yaml.safe_dump({"stages": made})


def make_project(folder: Path, families: int, stages: int, sleep: float) -> None:
    """Write a DVC project of ``families`` chains of ``stages`` stages, each sleeping ``sleep`` seconds, into ``folder``."""
    names = [f"f{number}" for number in range(families)]
    block = {f"step{number}": 1 for number in range(stages)}
    (folder / "params.yaml").write_text(
        yaml.safe_dump({"families": {name: dict(block) for name in names}})
    )
    (folder / "dvc.yaml").write_text(_dvc_yaml(stages, sleep))
    (folder / "data/raw").mkdir(parents=True)
    for name in names:
        (folder / "data/raw" / name).write_text(name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run([*DVC, "init", "-q"], cwd=folder, check=True)


def seconds(command: list[str], folder: Path) -> float:
    """Return the wall-clock seconds of ``command`` run in ``folder``; it must succeed."""
    began = time.perf_counter()
    subprocess.run(
        command,
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return time.perf_counter() - began


@contextmanager
def _server() -> Iterator[None]:
    os.environ |= {
        "PREFECT_HOME": tempfile.mkdtemp(),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        os.environ["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
        yield


def measure(families: int, stages: int, sleep: float, times: int) -> dict[str, float]:
    """Return the seconds of each row of the table; the repeatable ones as the best of ``times``."""
    rows: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        for folder in (Path(one), Path(two)):
            make_project(folder, families, stages, sleep)
        rows["flow, everything to do"] = seconds(FLOW, Path(one))
        rows["dvc repro, everything to do"] = seconds([*DVC, "repro"], Path(two))
        nothing = {
            "import prefect": [sys.executable, "-c", "import prefect"],
            "dvc status": [*DVC, "status"],
            "flow, nothing to do": FLOW,
            "dvc repro, nothing to do": [*DVC, "repro"],
        }
        for name, command in nothing.items():
            rows[name] = min(seconds(command, Path(one)) for _ in range(times))
    return rows


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", type=int, default=2)
    parser.add_argument("--stages", type=int, default=3)
    parser.add_argument("--sleep", type=float, default=1.0)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    with nullcontext() if "PREFECT_API_URL" in os.environ else _server():
        rows = measure(options.families, options.stages, options.sleep, options.times)
    for name, value in rows.items():
        print(f"{name:32}{value:8.2f} s")
    allowed = rows["import prefect"] + rows["dvc status"]
    print(f"{'nothing to do / (import+status)':32}{rows['flow, nothing to do'] / allowed:8.2f}")
    work = options.families * options.stages * options.sleep
    print(
        f"{'flow / sum of its stages':32}{rows['flow, everything to do'] / work:8.2f}  (of {work:g} s)"
    )


if __name__ == "__main__":
    main()
