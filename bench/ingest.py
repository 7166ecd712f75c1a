"""sentiment's ingest at 10,000 to 10,000,000 reviews: seconds and peak memory of the real command.

``python -m bench.ingest --reviews 10000 100000`` writes one table of reviews for each size and runs
``python -m beauty_models ingest sentiment`` on it in a child process. The reviews are real ones of
``--source`` (a CSV with text, and label or rating), each half of one joined with half of another
of the same verdict; without ``--source`` they are the starter's. ``--templates`` fills templates
instead: texts that share many shingles and are hard on the search for near duplicates.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from beauty_models import params
from beauty_models.intake import columns, tables
from beauty_models.sentiment import starter

PRODUCTS = 20_000
POLLED = 1.0  # seconds between two looks at the child's memory, which cost it some
SUBJECTS = ["shampoo", "lipstick", "mascara", "dress", "blouse", "sweater", "face cream", "toner"]
COLORS = ["red", "rose", "coral", "plum", "nude", "ivory", "black", "navy", "teal", "sand"]
PEOPLE = ["my mother", "my sister", "a friend", "my daughter", "myself", "a colleague"]
PLACES = ["the office", "a wedding", "school", "the gym", "a party", "the beach", "a trip"]
VERDICTS = {
    "5": ["I love it", "it is perfect", "very happy with it", "I would buy it again"],
    "1": ["I regret it", "it fell apart", "very unhappy with it", "I sent it back"],
}


class Review(NamedTuple):
    """A real review; ``rating`` is 5, 1 or what its file says."""

    text: str
    rating: str


class Run(NamedTuple):
    """What one ingest took."""

    seconds: float
    processor: float  # seconds, of all its processes: what else the machine does is not counted
    peak: int  # bytes, of the process and its children together
    output: str


def real_reviews(sources: list[Path]) -> list[Review]:
    """Return the reviews of the tables ``sources`` that have a text and a verdict."""
    known = params.load("sentiment").ingest.columns.model_dump()
    reviews = []
    for file in sources:
        rows = tables.read(file).rows
        column_of = columns.pick(list(rows.columns), known)
        verdict = column_of.get("label") or column_of.get("rating")
        if verdict is None:
            continue
        stars = {"0": "1", "1": "5", "negative": "1", "positive": "5"}
        for text, value in zip(rows[column_of["text"]], rows[verdict], strict=True):
            rating = stars.get(value, value) if "label" in column_of else value
            if text and rating:
                reviews.append(Review(text, rating))
    return reviews


def joined(reviews: list[Review], count: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Yield ``count`` texts with their rating: half of one review, and half of another."""
    rng = random.Random(seed)
    # Halves of one language and one verdict are joined: files differ in both.
    alike: dict[tuple[bool, str], list[str]] = {}
    for review in reviews:
        alike.setdefault((review.text.isascii(), review.rating), []).append(review.text)
    for _ in range(count):
        first = rng.choice(reviews)
        second = rng.choice(alike[first.text.isascii(), first.rating])
        head = first.text[: _cut(first.text, rng)]
        tail = second[_cut(second, rng) :]
        yield head + tail, first.rating


def _cut(text: str, rng: random.Random) -> int:
    """Return a place near the middle of ``text``, behind a space where there is one."""
    middle = rng.randint(len(text) // 4, len(text) - len(text) // 4)
    space = text.find(" ", middle)
    return middle if space < 0 else space + 1


def templated(count: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Yield ``count`` texts out of one template with their rating; most shingles are shared."""
    rng = random.Random(seed)
    for number in range(count):
        rating = rng.choice(list(VERDICTS))
        yield (
            f"I bought this {rng.choice(COLORS)} {rng.choice(SUBJECTS)} for {rng.choice(PEOPLE)} "
            f"to wear to {rng.choice(PLACES)} and {rng.choice(VERDICTS[rating])}; order "
            f"{rng.randrange(10**9)} came after {rng.randrange(2, 60)} days in "
            f"{rng.choice(COLORS)} paper, lot {number * 7919 % 10**7}",
            rating,
        )


def write(file: Path, texts: Iterator[tuple[str, str]], seed: int = 1) -> None:
    """Write ``texts`` as the table id, text, rating, product, date."""
    rng = random.Random(seed)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "text", "rating", "product", "date"])
        for number, (text, rating) in enumerate(texts):
            date = f"2025-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
            writer.writerow([number, text, rating, f"P{rng.randrange(PRODUCTS)}", date])


def measure(command: list[str], environment: dict[str, str] | None = None) -> Run:
    """Run ``command``; its memory is looked at every `POLLED` seconds, children included."""
    start = time.perf_counter()
    before = _processor_seconds()
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    peak = 0

    def watch() -> None:
        nonlocal peak
        while child.poll() is None:
            peak = max(peak, _memory(child.pid))
            time.sleep(POLLED)

    watcher = threading.Thread(target=watch)
    watcher.start()
    lines = []
    assert child.stdout
    for line in child.stdout:
        lines.append(line)
    child.wait()
    watcher.join()
    output = "".join(lines)
    if child.returncode:
        raise ValueError(f"{' '.join(command)} ended with {child.returncode}:\n{output[-2000:]}")
    seconds = time.perf_counter() - start
    return Run(seconds, _processor_seconds() - before, peak, output)


def _processor_seconds() -> float:
    """Return what the children that have ended, and theirs, took of the processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _memory(process: int) -> int:
    """Return the resident bytes of a process and its children; what they share counts once."""
    total = 0
    try:
        parent = psutil.Process(process)
        for member in (parent, *parent.children(recursive=True)):
            memory = member.memory_full_info()
            total += memory.uss if member.pid != process else memory.rss
    except psutil.Error:  # it has just ended
        pass
    return total


def main() -> None:
    """Write the tables, ingest them, print seconds and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reviews", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--source", type=Path, nargs="*", default=[])
    parser.add_argument("--templates", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the tables go; kept when it is given")
    options = parser.parse_args()
    table = Table(
        "reviews", "MB", "s", "processor, s", "peak, GB", "to train on", title="sentiment ingest"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        sources = options.source
        if not sources and not options.templates:
            starter.starter(raw=folder / "starter")
            sources = sorted((folder / "starter").glob("*.csv"))
        reviews = [] if options.templates else real_reviews(sources)
        for count in options.reviews:
            raw = folder / f"{count}{'-templates' if options.templates else ''}"
            raw.mkdir(parents=True, exist_ok=True)
            file = raw / "reviews.csv"
            if not file.exists():
                write(file, templated(count) if options.templates else joined(reviews, count))
            run = ingest(raw, folder / "data")
            kept = str(pq.read_metadata(folder / "data/train.parquet").num_rows)
            table.add_row(
                f"{count:,}",
                f"{file.stat().st_size / 1e6:,.0f}",
                f"{run.seconds:,.1f}",
                f"{run.processor:,.1f}",
                f"{run.peak / 1e9:.2f}",
                f"{int(kept):,}",
            )
    Console().print(table)


def ingest(raw: Path, data: Path) -> Run:
    """Run sentiment's ingest on ``raw``, all texts of it, in a child process."""
    command = [sys.executable, "-m", "beauty_models", "ingest", "sentiment"]
    settings = data.with_name("params.yaml")
    original = Path("params.yaml").read_text(encoding="utf-8")
    # The starter takes 5,000 texts, so as to be quick.
    settings.write_text(original.replace("limit: 5000 ", "limit: 0 "), encoding="utf-8")
    places = ["--raw", str(raw), "--data", str(data), "--params", str(settings)]
    return measure([*command, *places], {**os.environ, "OMP_NUM_THREADS": "1"})


if __name__ == "__main__":
    main()
