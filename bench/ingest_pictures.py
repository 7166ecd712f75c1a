"""Ten and twenty thousand pictures through recommend's ingest, by one process and by several.

``python -m bench.ingest_pictures`` makes shops of drawn products, a picture each, and takes them in
by one process, by two, and by a Dask cluster of two worker processes on this machine. It prints the
seconds, the most memory that the stage and its workers had, and whether the bytes are the same.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import yaml
from PIL import Image
from rich.console import Console
from rich.table import Table

from beauty_models import params
from beauty_models.intake import images, synthetic
from beauty_models.progress import bar

ROOT = Path(__file__).parent.parent
DRAWN = 100  # products; each picture is one of them in a light and before a wall of its own
SIZE = (600, 750)  # pixels
LOOK_EVERY = 0.1  # seconds between two looks at the memory
MEGABYTE = 1_000_000
COLORS = list(synthetic.COLORS)
KINDS = list(synthetic.KINDS)
PATTERNS = list(synthetic.PATTERNS)


class Taken(NamedTuple):
    """What one run of the stage took."""

    seconds: float
    busy: float  # seconds of processor, of the stage and of all who work for it
    stage: int  # bytes of its own at most, files that are mapped not counted
    workers: int  # bytes of all workers together at most
    digest: str  # of all that it wrote


def drawn() -> list[Image.Image]:
    """Return `DRAWN` products."""
    products = []
    for number in range(DRAWN):
        product = synthetic.product(
            KINDS[number % len(KINDS)],
            COLORS[number % len(COLORS)],
            PATTERNS[number % len(PATTERNS)],
            size=SIZE[0],
            seed=number,
            background="room",
        )
        products.append(product.resize(SIZE))
    return products


def draw_shop(folder: Path, count: int) -> None:
    """Write a table of ``count`` products and their pictures into ``folder``."""
    products = drawn()
    pictures = folder / "images"
    pictures.mkdir(parents=True)
    with (
        (folder / "products.csv").open("w", newline="", encoding="utf-8") as stream,
        bar("bench: draw", count) as progress,
    ):
        table = csv.writer(stream)
        table.writerow(["sku", "name", "color", "image"])
        for number in range(count):
            rng = np.random.default_rng(number)
            # Large shapes of many colors: no picture may be taken for a copy of another one.
            shapes = rng.integers(0, 256, (6, 6, 3), np.uint8)
            wall = Image.fromarray(shapes).resize(SIZE, Image.Resampling.BICUBIC)
            picture = Image.blend(products[number % DRAWN], wall, 0.5)
            name = f"{number:07}.jpg"
            (pictures / name).write_bytes(images.encode(picture))
            kind = KINDS[number % len(KINDS)]
            color = COLORS[number % len(COLORS)]
            table.writerow([f"P{number:07}", f"{color} {kind} number {number}", color, name])
            progress.advance()


def write_params(file: Path) -> None:
    """Write this project's params to ``file``, with every product and picture let in."""
    block = params.read(ROOT / "params.yaml")["recommend"]
    block["ingest"] |= {"limit": 0, "max_rejected": 1.0}
    file.write_text(yaml.safe_dump({"families": {"recommend": block}}), encoding="utf-8")


def own_memory(process: psutil.Process) -> int:
    """Return the bytes that ``process`` holds alone; 0 where it is gone."""
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0


def busy_seconds(others: list[int]) -> float:
    """Return the processor's seconds of all children that ended, and of ``others`` so far."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = ended.ru_utime + ended.ru_stime
    for other in others:
        used = psutil.Process(other).cpu_times()
        seconds += used.user + used.system
    return seconds


def digest(data: Path) -> str:
    """Return a hash of all files of ``data``, their names included."""
    content = hashlib.sha256()
    for file in sorted(data.iterdir()):
        content.update(file.name.encode())
        with file.open("rb") as stream:
            content.update(hashlib.file_digest(stream, "sha256").digest())
    return content.hexdigest()[:16]


def ingest(raw: Path, folder: Path, settings: dict[str, str], others: list[int]) -> Taken:
    """Run recommend's ingest of ``raw`` with the environment ``settings``, and watch it.

    ``others`` are processes besides its children that work for it.
    """
    data = folder / "data"
    command = [sys.executable, "-m", "beauty_models", "ingest", "recommend"]
    command += ["--raw", str(raw), "--data", str(data), "--params", str(folder / "params.yaml")]
    began = time.monotonic()
    busy_before = busy_seconds(others)
    with (folder / "log.txt").open("w") as log:
        running = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT
        )
        stage = psutil.Process(running.pid)
        most = 0
        most_of_workers = 0
        while running.poll() is None:
            time.sleep(LOOK_EVERY)
            most = max(most, own_memory(stage))
            try:
                workers = stage.children(recursive=True)
            except psutil.Error:
                continue
            workers += [psutil.Process(other) for other in others if psutil.pid_exists(other)]
            most_of_workers = max(most_of_workers, sum(map(own_memory, workers)))
    seconds = time.monotonic() - began
    if running.returncode:
        raise SystemExit((folder / "log.txt").read_text())
    busy = busy_seconds(others) - busy_before
    return Taken(seconds, busy, most, most_of_workers, digest(data))


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, list[int]]]:
    """Yield the address of a Dask cluster on this machine, and its workers' processes."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as running:
        processes = [nanny.pid for nanny in running.workers.values()]
        yield running.scheduler_address, processes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 20_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cluster", type=int, default=2, help="worker processes of Dask; 0: none")
    parser.add_argument("--keep", type=Path, help="where the drawn shops are kept and taken from")
    options = parser.parse_args()
    table = Table("pictures", "by", "seconds", "processor", "stage MB", "workers MB", "sha256")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_params(folder / "params.yaml")
        for count in options.counts:
            raw = (options.keep or folder) / f"shop-{count}"
            if not raw.exists():
                draw_shop(raw, count)

            def row(way: str, taken: Taken, count: int = count) -> None:
                table.add_row(
                    f"{count:,}",
                    way,
                    f"{taken.seconds:.0f}",
                    f"{taken.busy:.0f} s",
                    f"{taken.stage / MEGABYTE:.0f}",
                    f"{taken.workers / MEGABYTE:.0f}",
                    taken.digest,
                )
                Console().print(table)

            for workers in options.workers:
                settings = {"BEAUTY_WORKERS": str(workers)}
                row(f"{workers} processes", ingest(raw, folder, settings, []))
            if options.cluster:
                with cluster(options.cluster) as (address, processes):
                    settings = {"DASK_SCHEDULER_ADDRESS": address}
                    taken = ingest(raw, folder, settings, processes)
                    row(f"Dask, {options.cluster} workers", taken)


if __name__ == "__main__":
    main()
