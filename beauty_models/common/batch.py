"""Answer a whole file or folder: every column of it kept as it was, the model's answers beside them, nothing lost.

``beauty predict FAMILY --file IN --out OUT`` for any family that serves (`beauty_models.<family>.serving`). IN is CSV, TSV, JSON
Lines or Parquet, or a folder of pictures; OUT is CSV, TSV, JSON Lines or Parquet by its suffix. A row that cannot be answered
stays, with the reason. Answers are kept in parts beside OUT until all are there, so the same command goes on after a kill.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.common import progress, tables
from beauty_models.common.files import new_file, read_json, write_json

ROWS = 256  # answered at once, and kept in one part
DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
FORMATS = (*DELIMITERS, *JSON_LINES, ".parquet")
PICTURE = "file"  # the column of a folder's rows: the picture's path below the folder
BROKEN = "\0why"  # key of a row that could not be read whole

Row = dict[str, Any]


class Served(Protocol):
    """A loaded model, as `beauty_models.<family>.serving.Served`."""

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return the answers, a row for each of ``frame``, with a column ``error``."""
        ...


def _delimited(file: Path) -> Iterator[Row]:
    text = tables.decode(file.read_bytes(), str(file))
    first = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=tables.delimiter_of(first))
    header: list[str] = []
    for cells in reader:
        if not any(cells):
            continue
        if not header:
            header = cells
            continue
        row: Row = dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=False))
        if len(cells) != len(header):
            rest = f", beyond it: {cells[len(header) :]}" if len(cells) > len(header) else ""
            row[BROKEN] = f"{len(cells)} cells where the header has {len(header)}{rest}"
        yield row


def _json_lines(file: Path) -> Iterator[Row]:
    for line in tables.decode(file.read_bytes(), str(file)).split("\n"):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        yield value if isinstance(value, dict) else {"line": line, BROKEN: "not a JSON object"}


def _parquet(file: Path) -> Iterator[Row]:
    try:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(ROWS):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file}: not a Parquet file that can be read ({error!s:.100})") from None


def _folder(folder: Path) -> Iterator[Row]:
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder)
        if file.is_file() and not any(part.startswith(".") for part in path.parts):
            yield {PICTURE: path.as_posix()}


def read(place: Path) -> Iterator[Row]:
    """Yield the rows of a table, their values as they are (of CSV and TSV: texts), or the files of a folder.

    Raises:
        ValueError: it is of no known format or cannot be read.
    """
    if place.is_dir():
        return _folder(place)
    suffix = place.suffix.lower()
    if suffix in DELIMITERS:
        return _delimited(place)
    if suffix in JSON_LINES:
        return _json_lines(place)
    if suffix == ".parquet":
        return _parquet(place)
    raise ValueError(f"{place}: give {', '.join(FORMATS)}, or a folder of pictures")


def _plain(value: Any) -> str:
    """Return ``value`` as a cell of text: nested ones as JSON, None as nothing."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _write_delimited(file: Path, rows: Callable[[], Iterator[Row]], delimiter: str) -> None:
    header = list(dict.fromkeys(key for row in rows() for key in row))
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        writer.writerow(header)
        for row in rows():
            writer.writerow([_plain(row.get(key)) for key in header])


def _write_json_lines(file: Path, rows: Callable[[], Iterator[Row]]) -> None:
    with file.open("w", encoding="utf-8") as stream:
        for row in rows():
            stream.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def _write_parquet(file: Path, rows: Callable[[], Iterator[Row]], source: Path) -> None:
    header = list(dict.fromkeys(key for row in rows() for key in row))
    known: dict[str, pa.DataType] = {}
    if source.suffix.lower() == ".parquet":
        known = {field.name: field.type for field in pq.read_schema(source)}
    schema = pa.schema([(name, known.get(name, pa.string())) for name in header])
    with pq.ParquetWriter(file, schema) as writer:
        for chunk in _chunks(rows()):
            typed = [
                {
                    key: row.get(key) if key in known or row.get(key) is None else _plain(row[key])
                    for key in header
                }
                for row in chunk
            ]
            writer.write_table(pa.Table.from_pylist(typed, schema=schema))


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _digest(place: Path) -> str:
    """Return a hash of the file, or of the names, sizes and times of a folder's files."""
    digest = hashlib.sha256()
    if place.is_file():
        with place.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    for row in _folder(place):
        stat = (place / row[PICTURE]).stat()
        digest.update(f"{row[PICTURE]}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _frame(chunk: list[Row], place: Path, columns: dict[str, str]) -> pd.DataFrame:
    """Return what the model is asked: its columns, taken from those of the file that hold them."""
    if place.is_dir():
        return pd.DataFrame({"image": [str(place / row[PICTURE]) for row in chunk]}, dtype=object)
    asked = {}
    for name, column in columns.items():
        cells = [row.get(column) for row in chunk]
        if name == "image":  # a relative path lies beside the table
            cells = [_beside(place, cell) for cell in cells]
        asked[name] = cells
    return pd.DataFrame(asked, index=range(len(chunk)), dtype=object)


def _beside(table: Path, cell: Any) -> Any:
    if not isinstance(cell, str) or not cell or cell.startswith("data:"):
        return cell
    return str(table.parent / cell)


def _columns(
    place: Path, first: Row, wanted: dict[str, bool], mapping: dict[str, str]
) -> dict[str, str]:
    """Return the model's column → the column of ``place``, whose first row is ``first``.

    Raises:
        ValueError: one that the model needs is not there.
    """
    if place.is_dir():
        if "image" not in wanted:
            raise ValueError(f"{place}: a folder of pictures, but this family reads texts")
        return {}
    names = [name for name in first if name != BROKEN]
    if unknown := sorted(set(mapping) - set(wanted)):
        raise ValueError(f"--map {unknown[0]}=…: the model reads {', '.join(wanted)}")
    found = {name: mapping.get(name, name) for name in wanted}
    missing = [column for name, column in found.items() if column not in names and name in mapping]
    if not missing and not any(column in names for column in found.values()):
        missing = list(found.values())
    missing += [found[name] for name, must in wanted.items() if must and found[name] not in names]
    if missing:
        field = next(name for name, column in found.items() if column == missing[0])
        raise ValueError(
            f"{place}: no column {missing[0]!r}; it has {', '.join(names)}; name one with --map {field}=COLUMN"
        )
    return {name: column for name, column in found.items() if column in names}


class _Parts:
    """The answers so far, a file for each `ROWS` rows, beside ``out``; they belong to one input, model and command."""

    def __init__(self, out: Path, identity: dict[str, Any]) -> None:
        self.folder = out.with_name(f".{out.name}.parts")
        about = self.folder / "about.json"
        if about.exists() and read_json(about) != identity:
            progress.say(f"predict: {self.folder} is of another input or model; beginning anew")
            shutil.rmtree(self.folder)
        if not about.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(about, identity)

    def file(self, number: int) -> Path:
        """Return where the answers of the chunk ``number`` lie."""
        return self.folder / f"{number:08}.json"

    def keep(self, number: int, records: list[Row]) -> None:
        """Keep the answers of the chunk ``number``: the columns' names in their order, and the values of each row."""
        names = list(dict.fromkeys(name for record in records for name in record))
        values = [[record.get(name) for name in names] for record in records]
        write_json(self.file(number), {"names": names, "rows": values})

    def read(self, number: int) -> list[Row]:
        """Return the answers of the chunk ``number``."""
        kept = read_json(self.file(number))
        return [dict(zip(kept["names"], values, strict=True)) for values in kept["rows"]]


def _answer(served: Served, frame: pd.DataFrame, chunk: list[Row], params: Row) -> list[Row]:
    """Return a record of answers for each row of ``chunk``; ``error`` is None where it was answered."""
    answers = served.predict(frame, params).to_dict("records")
    records: list[Row] = []
    for row, answer in zip(chunk, answers, strict=True):
        record = {str(name): value for name, value in answer.items()}
        record["error"] = row.get(BROKEN) or record.get("error")
        if row.get(
            BROKEN
        ):  # what is there may not be what was meant: no answer rather than a wrong one
            record = dict.fromkeys(record) | {"error": row[BROKEN]}
        records.append(record)
    return records


def answer_file(
    served: Served,
    place: Path,
    out: Path,
    *,
    columns: dict[str, str],
    params: Row,
    prefix: str,
    identity: Row,
) -> dict[str, Any]:
    """Answer all rows of ``place`` and write them with their answers to ``out``, whole or not at all.

    Args:
        served: the model.
        place: a table or a folder of pictures.
        out: CSV, TSV, JSON Lines or Parquet.
        columns: the model's column → the file's.
        params: what the model's ``predict`` takes besides.
        prefix: of the names of the new columns.
        identity: what a run that was killed must have in common with this one for its answers to be taken.

    Returns:
        ``out``, ``rows``, ``answered``, ``failed`` and the first reasons.
    """
    total = sum(1 for _ in read(place))
    parts = _Parts(out, identity)
    with progress.bar("predict", total) as bar:
        for number, chunk in enumerate(_chunks(read(place))):
            if not parts.file(number).exists():
                records = _answer(served, _frame(chunk, place, columns), chunk, params)
                parts.keep(number, records)
            bar.advance(len(chunk), f"{min((number + 1) * ROWS, total)} of {total} rows")
    reasons: list[str] = []

    def rows() -> Iterator[Row]:
        reasons.clear()
        for number, chunk in enumerate(_chunks(read(place))):
            for row, record in zip(chunk, parts.read(number), strict=True):
                if record["error"] is not None:
                    reasons.append(str(record["error"]))
                kept = {name: value for name, value in row.items() if name != BROKEN}
                yield kept | {prefix + name: value for name, value in record.items()}

    suffix = out.suffix.lower()
    with new_file(out) as temporary:
        if suffix in DELIMITERS:
            _write_delimited(temporary, rows, DELIMITERS[suffix])
        elif suffix in JSON_LINES:
            _write_json_lines(temporary, rows)
        else:
            _write_parquet(temporary, rows, place)
    shutil.rmtree(parts.folder)
    return {
        "out": str(out),
        "rows": total,
        "answered": total - len(reasons),
        "failed": len(reasons),
        "reasons": list(dict.fromkeys(reasons))[:5],
    }


def predict_file(family: str, model: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """Answer ``--file IN --out OUT`` with the model in the folder ``model``; return the summary of `answer_file`.

    Raises:
        ValueError: IN or OUT is of no known format, OUT is there already, or IN lacks what the model reads.
    """
    serving = import_module(f"beauty_models.{family}.serving")
    parser = argparse.ArgumentParser(prog=f"beauty predict {family}", description=__doc__)
    parser.add_argument("--file", type=Path, required=True, help="a table, or a folder of pictures")
    parser.add_argument("--out", type=Path, required=True, help=f"{', '.join(FORMATS)}")
    parser.add_argument("--map", action="append", default=[], metavar="text=COLUMN")
    parser.add_argument("--column", help="short for --map text=COLUMN")
    parser.add_argument("--prefix", default="prediction_", help="of the new columns' names")
    parser.add_argument("--force", action="store_true", help="replace OUT")
    for name, value in serving.PARAMS.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args(arguments)
    place, out = options.file, options.out
    if not place.exists():
        raise ValueError(f"{place}: no such file or folder")
    if out.suffix.lower() not in FORMATS:
        raise ValueError(f"--out {out}: the suffix says the format; give {', '.join(FORMATS)}")
    if out.resolve() == place.resolve():
        raise ValueError(
            f"--out {out}: is the input itself, which stays as it is; give another name"
        )
    if out.exists() and not options.force:
        raise ValueError(f"--out {out}: is there already; --force replaces it")
    pairs = [pair.partition("=") for text in options.map for pair in text.split(",")]
    mapping = {name: column for name, _, column in pairs}
    if options.column:
        mapping["text"] = options.column
    first = next(iter(read(place)), None)  # a table of text is decoded whole for it: once
    if first is None:
        raise ValueError(f"{place}: there is nothing in it")
    columns = _columns(place, first, serving.COLUMNS, mapping)
    if taken := [name for name in first if name.startswith(options.prefix)]:
        raise ValueError(f"{place}: has a column {taken[0]!r} already; choose another --prefix")
    params = {name: getattr(options, name) for name in serving.PARAMS}
    identity = {
        "input": _digest(place),
        "model": _digest(model),
        "columns": columns,
        "params": params,
    }
    served = serving.Served(model)
    return answer_file(
        served,
        place,
        out,
        columns=columns,
        params=params,
        prefix=options.prefix,
        identity=identity,
    )
