"""What the platform itself costs: ``python -m bench.flow_overhead [--times 7] [--everything]``.

**Nothing to do** is what a person meets most often, and it is promised: in a scratch project with
three families, all up to date and registered, ``beauty retrain`` without a server answers in at
most 2.0 times one ``dvc status``, and with a running Prefect server in at most 1.5 times ``import
prefect`` plus ``dvc status``. The commands take turns, so that whatever else the machine does meets
all of them; a ratio is of the runs of one round. Shown are medians and the ends.

**Everything to do** (``--everything``) is a project whose stages only sleep: the flow beside ``dvc
repro``, whole processes.

With PREFECT_API_URL your server is measured; without it one is started for the measurement.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import yaml

from bench.game_day.project import FAMILY, Project, make_template, scratch_params

ROOT = Path(__file__).parent.parent
DVC = [sys.executable, "-m", "dvc"]
FLOW = [
    sys.executable,
    "-c",
    "from flows.retrain import run; run(None, lambda *event: None, only_stages=True)",
]
COPIES = ("swatchtwo", "swatchthree")  # of the scratch family, so that there are three
WITHOUT, WITH = "beauty retrain, no server", "beauty retrain, a server"
STATUS, IMPORT = "dvc status", "import prefect"
LIMITS = {WITHOUT: 2.0, WITH: 1.5}


def _dvc_yaml(stages: int, sleep: float) -> str:
    steps: dict[str, object] = {}
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
        steps[f"step{number}"] = {"foreach": "${families}", "do": do}
    return yaml.safe_dump({"stages": steps})


def make_project(folder: Path, families: int, stages: int, sleep: float) -> None:
    """Write a DVC project of ``families`` chains of ``stages`` stages into ``folder``.

    Each stage sleeps ``sleep`` seconds.
    """
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


def seconds(command: list[str], folder: Path, env: dict[str, str] | None = None) -> float:
    """Return the wall-clock seconds of ``command`` run in ``folder``; it must succeed."""
    began = time.perf_counter()
    subprocess.run(
        command,
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=env or {**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return time.perf_counter() - began


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """Yield the API of PREFECT_API_URL's server, else of one that lives as long as the block."""
    own = os.environ.get("PREFECT_API_URL")
    if own:
        yield own
        return
    os.environ["PREFECT_HOME"] = str(folder / "prefect-home")
    before = Path.cwd()
    os.chdir(folder)  # its log goes to .beauty of where we are
    try:
        from flows import servers, settings

        settings.configure()
        with servers.temporary_server() as api:
            yield api
    finally:
        os.chdir(before)


def three_families(folder: Path) -> Project:
    """Make a project with three families of the game of faults, and bring them up to date.

    Raises:
        RuntimeError: they did not come to their end; with the last lines.
    """
    project = make_template(folder / "project")
    block = scratch_params()["families"][FAMILY]
    for name in COPIES:
        copy = project.folder / "beauty_models" / name
        shutil.copytree(project.folder / "beauty_models" / FAMILY, copy)
        for file in copy.rglob("*.py"):
            file.write_text(file.read_text().replace(FAMILY, name))
    families = {name: deepcopy(block) for name in (FAMILY, *COPIES)}  # no YAML aliases
    content = {"stages": {"export": []}, "families": families}
    (project.folder / "params.yaml").write_text(yaml.safe_dump(content))
    finished = project.run("retrain")
    if finished.code:
        raise RuntimeError(f"the families are not up to date: {finished.last_lines(8)}")
    return project


def nothing_to_do(project: Project, api: str, times: int) -> dict[str, list[float]]:
    """Return the seconds of each command in ``times`` rounds, each in another order."""
    alone = project.environment()
    commands = {
        STATUS: ([*DVC, "status"], alone),
        IMPORT: ([sys.executable, "-c", "import prefect"], alone),
        WITHOUT: (project.command("retrain"), alone),
        WITH: (project.command("retrain"), {**alone, "PREFECT_API_URL": api}),
    }
    rows: dict[str, list[float]] = {name: [] for name in commands}
    rng = random.Random(1)
    for number in range(times + 1):
        order = list(commands)
        rng.shuffle(order)
        for name in order:
            command, env = commands[name]
            elapsed = seconds(command, project.folder, env)
            if number:  # the first round only warms the disk's cache
                rows[name].append(elapsed)
    return rows


def ratios(rows: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return of each promise the ratio that it limits, round by round."""
    both = [status + imported for status, imported in zip(rows[STATUS], rows[IMPORT], strict=True)]
    return {
        WITHOUT: [took / base for took, base in zip(rows[WITHOUT], rows[STATUS], strict=True)],
        WITH: [took / base for took, base in zip(rows[WITH], both, strict=True)],
    }


def print_nothing(rows: dict[str, list[float]]) -> bool:
    """Print the table and a verdict for each promise; return whether both hold."""
    print(f"{'seconds':28}{'median':>8}{'least':>8}{'most':>8}   ({len(rows[STATUS])} rounds)")
    for name, took in rows.items():
        print(f"{name:28}{statistics.median(took):8.2f}{min(took):8.2f}{max(took):8.2f}")
    held = True
    for name, values in ratios(rows).items():
        against = STATUS if name == WITHOUT else f"({IMPORT} + {STATUS})"
        middle = statistics.median(values)
        limit = LIMITS[name]
        held = held and middle <= limit
        print(
            f"{name} / {against}: {middle:.2f} ({min(values):.2f} to {max(values):.2f}), "
            f"at most {limit}: {'held' if middle <= limit else 'NOT HELD'}"
        )
    return held


def everything_to_do(families: int, stages: int, sleep: float, api: str) -> dict[str, float]:
    """Return the seconds of the flow and of ``dvc repro`` over stages that only sleep."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PREFECT_API_URL": api}
    with tempfile.TemporaryDirectory() as for_flow, tempfile.TemporaryDirectory() as for_dvc:
        for folder in (Path(for_flow), Path(for_dvc)):
            make_project(folder, families, stages, sleep)
        return {
            "flow, everything to do": seconds(FLOW, Path(for_flow), env),
            "dvc repro, everything to do": seconds([*DVC, "repro"], Path(for_dvc), env),
        }


def main() -> int:
    """Parse the command line, measure and print; return 1 when a promise does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.flow_overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--times", type=int, default=7, help="rounds")
    parser.add_argument("--everything", action="store_true", help="measure sleeping stages too")
    parser.add_argument("--families", type=int, default=2)
    parser.add_argument("--stages", type=int, default=3)
    parser.add_argument("--sleep", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="beauty-bench-") as place, _server(Path(place)) as api:
        held = print_nothing(nothing_to_do(three_families(Path(place)), api, options.times))
        if options.everything:
            rows = everything_to_do(options.families, options.stages, options.sleep, api)
            for name, value in rows.items():
                print(f"{name:28}{value:8.2f}")
            work = options.families * options.stages * options.sleep
            ratio = rows["flow, everything to do"] / work
            print(f"{'flow / sum of its stages':28}{ratio:8.2f}   (of {work:g} s)")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
