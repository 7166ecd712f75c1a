"""Damaged files of every format against the readers: a reason or rows, never a traceback.

``make fuzz``, or ``python -m bench.fuzz --seconds 60 [TARGET …]``.

Atheris (libFuzzer for Python, Apache-2.0) mutates small valid files, which `tests/intake/known.py`
writes, and keeps what reaches new code of the readers. Each target runs in a process of its own
with a limit on memory and on the time of one input. A finding is kept as a file of its format below
``build/fuzz/TARGET``, one for each place in the code, with the command that repeats it:
``python -m bench.fuzz --repeat TARGET FILE``.

Allowed are rows, and a ValueError that names the file (of a picture: a BadImageError).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FOUND = Path("build/fuzz")
MEMORY_DISK = Path("/dev/shm")
SECONDS = 30  # of each target
MEMORY_MB = 2_500  # of one process; with torch's libraries loaded none is below 500
LONGEST_INPUT_S = 10
LARGEST_INPUT = 20_000  # bytes
UNPACKED = 20_000_000  # bytes that a packed file may have in here
READERS = (
    "beauty_models.intake.tables",
    "beauty_models.intake.delimited",
    "beauty_models.intake.json_shapes",
    "beauty_models.intake.json_tables",
    "beauty_models.intake.parquet_tables",
    "beauty_models.intake.records",
    "beauty_models.intake.workbooks",
    "beauty_models.intake.encodings",
    "beauty_models.intake.packed",
    "beauty_models.intake.images",
    "beauty_models.serving",
    "beauty_models.params",
    "zipfile",
)


class Target(NamedTuple):
    """One reader and the names under which it is given its input."""

    names: tuple[str, ...]  # the input's first byte chooses one
    read: Callable[[Path], None]


def read_table(file: Path) -> None:
    from beauty_models.intake import tables

    if tables.is_table(file):
        tables.read(file)


def read_params(file: Path) -> None:
    from beauty_models import params

    params.read(file)
    params.stages(file)


class Echo:
    """A model that answers every row."""

    def predict(self, frame, params=None):  # type: ignore[no-untyped-def]
        return frame.assign(answer="x", error="")


def answer(file: Path) -> None:
    """Answer all rows of ``file``, and write them, as `predict --file` does."""
    from beauty_models.serving import answers, readers

    source = readers.open_source(file, file)
    if not source.columns:
        return
    predictor = answers.RowPredictor(
        Echo(), ("answer",), {"text": source.columns[0]}, {}, file, ("image",)
    )
    for suffix in (".csv", ".jsonl", ".parquet"):
        out = file.with_name(f"answers{suffix}")
        out.unlink(missing_ok=True)
        source.done = 0
        answers.answer_file(predictor, source, out, prefix="prediction_", identity={})


def open_picture(file: Path) -> None:
    from beauty_models.intake import images

    with contextlib.suppress(images.BadImageError):
        picture = images.open_image(file.read_bytes(), 4_000_000, 8)
        images.perceptual_hash(picture)
        images.encode(picture)


TARGETS = {
    "delimited": Target(("a.csv", "a.tsv", "a.txt"), read_table),
    "json": Target(("a.json", "a.jsonl"), read_table),
    "parquet": Target(("a.parquet",), read_table),
    "workbook": Target(("a.xlsx", "a.xls", "a.ods", "a.xlsb"), read_table),
    "packed": Target(("a.zip", "a.csv.gz", "a.csv.bz2", "a.jsonl.zst"), read_table),
    "params": Target(("params.yaml",), read_params),
    "answers": Target(("a.csv", "a.tsv", "a.json", "a.jsonl", "a.parquet", "a.csv.gz"), answer),
    "pictures": Target(("picture",), open_picture),
}


def seeds() -> dict[str, list[tuple[str, bytes]]]:
    """Return target → names and contents of small valid files."""
    from tests.intake import known as k

    table = k.Known(("text", "stars"), [('nice, "really"', "5"), ("很好\nindeed", ""), ("no", "1")])
    texts = [("a.csv", k.delimited(table, k.Dialect(delimiter=mark))) for mark in ",;|"]
    texts += [
        ("a.tsv", k.delimited(table, k.Dialect(delimiter="\t", line_end="\r\n"))),
        ("a.csv", k.delimited(table, k.Dialect(doubled=False))),
        ("a.csv", 'sep=;\ntext;stars\n7" screen;\\N\n'),
    ]
    plain = [(name, text.encode()) for name, text in texts]
    encoded = [("a.csv", texts[0][1].encode(name)) for name in ("utf-16", "gb18030", "utf-32")]
    encoded += [("a.csv", "text,stars\ntrès déçue,1\nça va,4\n".encode("cp1252"))]
    json_files = [("a" + Path(n).suffix, t.encode()) for n, t in k.json_files(table).items()]
    json_files = [(name.replace("ndjson", "jsonl"), content) for name, content in json_files]
    parquets = [("a.parquet", content) for content in k.parquet_files(table)]
    content = plain[0][1]
    packed = [("a.zip", k.packed(content, "a.csv", ".zip"))]
    packed += [(f"a.csv{suffix}", k.packed(content, "a.csv", suffix)) for suffix in (".gz", ".bz2")]
    packed += [("a.jsonl.zst", k.packed(json_files[0][1], "a.jsonl", ".zst"))]
    with tempfile.TemporaryDirectory() as folder:
        rows = [table.header, *table.rows, (True, 4.5)]
        book = k.workbook(Path(folder) / "a.xlsx", {"A": rows, "B": [["x"], [1]]})
        workbooks = [("a.xlsx", book.read_bytes())]
    return {
        "delimited": [*plain, *encoded, ("a.txt", plain[3][1])],
        "json": json_files,
        "parquet": parquets,
        "workbook": workbooks,
        "packed": packed,
        "params": [("params.yaml", content) for content in _params_files()],
        "answers": [*plain[:4], *encoded, *json_files[:4], *parquets, packed[1]],
        "pictures": [("picture", content) for content in _pictures()],
    }


def _params_files() -> list[bytes]:
    whole = (ROOT / "params.yaml").read_bytes()
    short = b"stages: {export: [sentiment]}\nfamilies:\n  sentiment: &a\n    source: starter\n"
    return [short + b"  tryon: {<<: *a, x: [1, 2.5, null, 2026-01-01]}\n", whole[:4000], short]


def _pictures() -> list[bytes]:
    from PIL import Image

    pictures = []
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"):
        for mode in ("RGB", "P", "RGBA", "CMYK", "I;16", "1"):
            stream = io.BytesIO()
            exif = Image.Exif()
            exif[0x0112] = 6
            try:
                Image.new(mode, (16, 12)).save(stream, kind, exif=exif)
            except (OSError, ValueError):
                continue  # no such pixels in this format
            pictures.append(stream.getvalue())
    return pictures


def fault(target: Target, file: Path) -> str:
    """Return what is wrong with how ``file`` is read, as a traceback, or ""."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            target.read(file)
    except ValueError as error:
        if str(file) not in str(error):
            return traceback.format_exc()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # a panic of Rust is no Exception
        return traceback.format_exc()
    return ""


def _place(told: str) -> str:
    """Return where an error came from: its kind and the last lines of our own code."""
    own = re.findall(r'File "\S*?/(beauty_models/\S+)", line (\d+)', told)
    kind = told.strip().splitlines()[-1].partition(":")[0]
    return f"{kind} {own[-1] if own else ''}"


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one target in this process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=list(READERS), enable_loader_override=False):
        from beauty_models import params  # noqa: F401
        from beauty_models.intake import images, packed, tables  # noqa: F401
        from beauty_models.serving import answers, readers  # noqa: F401
    packed.LARGEST = UNPACKED
    target = TARGETS[name]
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, (file_name, content) in enumerate(seeds()[name]):
        chosen = target.names.index(file_name)
        (corpus / f"seed-{number}").write_bytes(bytes([chosen]) + content)
    scratch = Path(
        tempfile.mkdtemp(prefix="fuzz-", dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None)
    )
    known: set[str] = set()

    def one(data: bytes) -> None:
        if not data:
            return
        file_name = target.names[data[0] % len(target.names)]
        file = scratch / file_name
        file.write_bytes(data[1:])
        told = fault(target, file)
        if told and (place := _place(told)) not in known:
            known.add(place)
            digest = hashlib.sha256(data).hexdigest()[:8]
            kept = found / f"{digest}{''.join(Path(file_name).suffixes)}"
            kept.write_bytes(data[1:])
            print(f"FOUND {place}\n  python -m bench.fuzz --repeat {name} {kept}", flush=True)
            kept.with_name(f"{kept.name}.txt").write_text(told)

    options = [
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-timeout={LONGEST_INPUT_S}",
        f"-max_len={LARGEST_INPUT}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
        "-verbosity=1",
        "-seed=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


def run(name: str, seconds: int) -> bool:
    """Fuzz a target in a child, print a line of what came of it; return whether all was well."""
    command = [sys.executable, "-m", "bench.fuzz", "--child", name, "--seconds", str(seconds)]
    child = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, errors="replace")
    output = child.stdout + child.stderr
    executed = re.findall(r"number_of_executed_units: (\d+)", output)
    covered = re.findall(r"cov: (\d+)", output)
    places = re.findall(r"^FOUND .*\n.*", child.stdout, re.MULTILINE)
    ended = re.findall(r"Test unit written to (\S+)", output)
    print(
        f"{name:10} {int(executed[-1]) if executed else 0:>9,} inputs, "
        f"{covered[-1] if covered else '?':>5} branches covered, {len(places)} faults"
        f"{', ended by ' + ended[-1] if ended else ''}",
        flush=True,
    )
    for place in places:
        print(f"  {place}")
    if child.returncode and not ended:
        print(output[-2000:])
    return not (places or ended or child.returncode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], help="default: all")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each target")
    parser.add_argument("--repeat", nargs=2, metavar=("TARGET", "FILE"))
    parser.add_argument("--child", choices=TARGETS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        fuzz(options.child, options.seconds)
        return
    if options.repeat:
        name, kept = options.repeat
        told = fault(TARGETS[name], Path(kept))
        print(told or "no fault")
        sys.exit(bool(told))
    well = [run(name, options.seconds) for name in options.targets or TARGETS]
    sys.exit(not all(well))


if __name__ == "__main__":
    main()
