"""Answer a whole file or folder: every column of it kept as it was, the model's answers beside them, nothing lost.

``beauty predict FAMILY --file IN --out OUT`` for any family that serves (`beauty_models.<family>.serving`). IN is CSV, TSV, JSON
Lines or Parquet, or a folder of pictures (`beauty_models.serving.rows`); OUT is one of these by its suffix. IN is read a chunk at a
time, so memory does not grow with it. A row that cannot be answered stays, with the reason. Each chunk is kept beside OUT as it
will stand there until all are answered, so the same command goes on after a kill and ends with the same bytes. Without
``--out`` the answers are returned.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from beauty_models import params as settings
from beauty_models import progress
from beauty_models.files import new_file, read_json, write_json
from beauty_models.intake import tables
from beauty_models.serving import rows
from beauty_models.serving.rows import Chunk, Record, Row

ROWS = 256  # answered at once, and kept in one part
TABLE_ROWS = 65_536  # in a row group of a Parquet file that is written
REASONS = 5  # of failed rows that are told
SHOWN = 40  # column names in a message
ERROR = "error"  # the answer that says why there is none

Source = rows.Delimited | rows.JsonLines | rows.Parquet | rows.Folder


class Served(Protocol):
    """A loaded model, as `beauty_models.<family>.serving.Served`."""

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return the answers, a row for each of ``frame``, with a column ``error``."""
        ...


@dataclass(frozen=True)
class Asking:
    """How rows are asked: the model's column → the file's, and what ``predict`` takes besides."""

    served: Served
    answers: tuple[str, ...]  # names of what is answered, ``error`` not among them
    columns: dict[str, str]
    params: dict[str, Any]
    place: Path

    def answer(self, chunk: Chunk) -> list[Row]:
        """Return the answers to each row of ``chunk``; a row that is broken is not asked."""
        reasons = [record.broken for record in chunk.records]
        asked: list[Row] = []
        for number, record in enumerate(chunk.records):
            row = {} if reasons[number] else self._asked(record)
            reasons[number] = reasons[number] or row.pop(ERROR, "")
            if not reasons[number]:
                asked.append(row)
        names = list(self.columns) if self.columns else ["image"]
        frame = pd.DataFrame(asked, columns=names, dtype=object)
        said = self.served.predict(frame, self.params).to_dict("records") if asked else []
        given = iter(said)
        answers = []
        for reason in reasons:
            answer: Row = {ERROR: reason} if reason else {str(k): v for k, v in next(given).items()}
            answers.append({name: answer.get(name) for name in (*self.answers, ERROR)})
        return answers

    def _asked(self, record: Record) -> Row:
        """Return what the model is asked for one row, or its ``error``."""
        if self.place.is_dir():
            return {"image": str(self.place / record.values[rows.PICTURE])}
        found: Row = {}
        for name, column in self.columns.items():
            value = record.values.get(column)
            if isinstance(value, dict | list):
                return {ERROR: f"{column} holds {rows.json_text(value)[:SHOWN]}, not one value"}
            if isinstance(value, bytes) and name == "image":
                value = f"data:;base64,{rows.base64_text(value)}"
            text = rows.cell(value)
            if rows.LOST.search(text):
                return {ERROR: f"{column} holds characters that are lost"}
            found[name] = self._beside(text) if name == "image" else text
        return found

    def _beside(self, cell: str) -> str:
        """Return the path of a picture; a relative one lies beside the table."""
        if not cell or cell.startswith("data:"):
            return cell
        return str(self.place.parent / cell)


def _plain(text: str) -> str:
    """Return ``text`` so that it can be written: what was lost in reading becomes the sign for that."""
    return rows.LOST.sub("\ufffd", text)


class _Delimited:
    """Writes CSV or TSV. Where IN is the like, its rows are taken as they stand there, and so are delimiter and line ends."""

    def __init__(self, source: Source, suffix: str, names: list[str]) -> None:
        self.columns, self.names = source.columns, names
        self.delimiter, self.ending, self.mark = rows.DELIMITERS[suffix], "\n", ""
        self.copies, header = False, ""
        if isinstance(source, rows.Delimited):
            if source.file.suffix.lower() == suffix and source.delimiter in tables.DELIMITERS:
                self.delimiter = source.delimiter
            self.copies = source.delimiter == self.delimiter
            self.ending, header = source.ending, source.header
            self.mark = rows.MARK if source.marked else ""
        self.head = self._row([*self.columns, *names])
        if self.copies:
            self.head = f"{header}{self.delimiter}{self._row(names)}"

    def _row(self, cells: Sequence[str]) -> str:
        stream = io.StringIO(newline="")
        csv.writer(stream, delimiter=self.delimiter, lineterminator=self.ending).writerow(cells)
        return stream.getvalue()

    def part(self, file: Path, chunk: Chunk, answers: list[Row]) -> None:
        """Write the rows of one chunk."""
        with file.open("w", encoding="utf-8", newline="") as stream:
            for record, answer in zip(chunk.records, answers, strict=True):
                said = [rows.cell(value) for value in answer.values()]
                if self.copies and not record.broken:
                    stream.write(_plain(f"{record.written}{self.delimiter}{self._row(said)}"))
                else:
                    own = [rows.cell(record.values.get(name)) for name in self.columns]
                    stream.write(_plain(self._row([*own, *said])))

    def join(self, file: Path, parts: list[Path]) -> None:
        """Write the header and all parts."""
        with file.open("wb") as stream:
            stream.write((self.mark + _plain(self.head)).encode())
            _append(stream, parts)


class _JsonLines:
    """Writes JSON Lines. A row of JSON Lines is taken as it stands there, with the answers behind it."""

    def __init__(self, source: Source, names: list[str]) -> None:
        self.copies, self.names = isinstance(source, rows.JsonLines), names

    def part(self, file: Path, chunk: Chunk, answers: list[Row]) -> None:
        """Write the rows of one chunk."""
        with file.open("w", encoding="utf-8", newline="") as stream:
            for record, answer in zip(chunk.records, answers, strict=True):
                said = dict(zip(self.names, answer.values(), strict=True))
                line = rows.json_text(record.values | said)
                if self.copies and record.written:
                    line = record.written[:-1].rstrip() + (", " if record.values else "")
                    line += rows.json_text(said)[1:]
                stream.write(_plain(line) + "\n")

    def join(self, file: Path, parts: list[Path]) -> None:
        """Write all parts."""
        with file.open("wb") as stream:
            _append(stream, parts)


class _Parquet:
    """Writes Parquet. Columns of a Parquet file keep their types; the answers are texts, nested ones JSON."""

    def __init__(self, source: Source, names: list[str]) -> None:
        self.names = names
        if isinstance(source, rows.Parquet):
            self.own = source.schema
        else:
            types = source.types() if isinstance(source, rows.JsonLines) else {}
            self.own = pa.schema([(name, types.get(name, pa.string())) for name in source.columns])
        self.schema = self.own
        for name in names:
            self.schema = self.schema.append(pa.field(name, pa.string()))

    def part(self, file: Path, chunk: Chunk, answers: list[Row]) -> None:
        """Write the rows of one chunk."""
        if chunk.batch is not None:
            own = chunk.batch.columns
        else:
            own = [
                pa.array(
                    [_typed(r.values.get(kind.name), kind.type) for r in chunk.records], kind.type
                )
                for kind in self.own
            ]
        said = [_texts(list(cells)) for cells in zip(*(a.values() for a in answers), strict=True)]
        pq.write_table(pa.Table.from_arrays([*own, *said], schema=self.schema), file)

    def join(self, file: Path, parts: list[Path]) -> None:
        """Write all parts, in larger row groups than theirs."""
        together = max(1, TABLE_ROWS // ROWS)
        with pq.ParquetWriter(file, self.schema) as writer:
            for start in range(0, len(parts), together):
                some = [
                    pq.read_table(part, schema=self.schema)
                    for part in parts[start : start + together]
                ]
                writer.write_table(pa.concat_tables(some))


def _typed(value: Any, kind: pa.DataType) -> Any:
    return _plain(rows.cell(value)) if value is not None and kind == pa.string() else value


def _texts(cells: list[Any]) -> pa.Array:
    return pa.array([_typed(cell, pa.string()) for cell in cells], pa.string())


def _append(stream: Any, parts: list[Path]) -> None:
    for part in parts:
        with part.open("rb") as content:
            shutil.copyfileobj(content, stream)


def _writer(source: Source, out: Path, names: list[str]) -> _Delimited | _JsonLines | _Parquet:
    suffix = out.suffix.lower()
    if suffix in rows.DELIMITERS:
        return _Delimited(source, suffix, names)
    return _JsonLines(source, names) if suffix in rows.JSON_LINES else _Parquet(source, names)


class _Parts:
    """What is answered so far, a file for each `ROWS` rows beside ``out``; it belongs to one input, model and command."""

    def __init__(self, out: Path, identity: Row) -> None:
        self.folder = out.with_name(f".{out.name}.parts")
        identity = identity | {"rows": ROWS, "format": 2}
        about = self.folder / "about.json"
        if about.exists() and read_json(about) != identity:
            progress.log_line(
                f"predict: {self.folder} holds answers to another input, or of another model; beginning anew"
            )
            about.unlink()
        if not about.exists():
            for part in self.folder.glob("0*"):
                part.unlink()
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(about, identity)

    def file(self, number: int) -> Path:
        """Return where the rows of the chunk ``number`` lie."""
        return self.folder / f"{number:08}"

    def _note(self, number: int) -> Path:
        return self.folder / f"{number:08}.json"

    def made(self) -> int:
        """Return how many chunks are there, from the first one on."""
        number = 0
        while self._note(number).exists():
            number += 1
        return number

    def keep(self, number: int, answers: list[Row]) -> None:
        """Note that the chunk ``number`` is written whole, and what failed in it."""
        reasons = [answer[ERROR] for answer in answers if answer[ERROR] is not None]
        write_json(self._note(number), {"rows": len(answers), "reasons": reasons})

    def notes(self, count: int) -> Iterator[Row]:
        """Yield the notes of the first ``count`` chunks."""
        return (read_json(self._note(number)) for number in range(count))


def answer_file(
    asking: Asking, source: Source, out: Path, *, prefix: str, identity: Row
) -> dict[str, Any]:
    """Answer all rows of ``source`` and write them with their answers to ``out``, whole or not at all.

    Args:
        asking: the model, and which columns it is asked with.
        source: a table or a folder of pictures.
        out: CSV, TSV, JSON Lines or Parquet.
        prefix: of the names of the new columns.
        identity: what a run that was killed must have in common with this one for its answers to be taken.

    Returns:
        ``out``, ``rows``, ``answered``, ``failed`` and the first reasons.

    Raises:
        ValueError: another run is writing ``out``.
    """
    folder = out.with_name(f".{out.name}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            return _answer_file(asking, source, out, prefix, identity)
    except Timeout:
        raise ValueError(
            f"--out {out}: another run is writing it; wait for it, or give another name"
        ) from None


def _answer_file(
    asking: Asking, source: Source, out: Path, prefix: str, identity: Row
) -> dict[str, Any]:
    parts = _Parts(out, identity)
    writer = _writer(source, out, [prefix + name for name in (*asking.answers, ERROR)])
    count = parts.made()
    chunks = source.chunks(ROWS)
    for _ in range(count):
        next(chunks)
    total = sum(note["rows"] for note in parts.notes(count))
    if count:
        progress.log_line(f"predict: {total:,} rows were answered before; going on")
    with progress.bar("predict", source.total, source.done) as bar:
        for chunk in chunks:
            answers = asking.answer(chunk)
            with new_file(parts.file(count)) as temporary:
                writer.part(temporary, chunk, answers)
            parts.keep(count, answers)
            count += 1
            total += len(answers)
            bar.advance(source.done - bar.done, f"{total:,} rows")
    whole = parts.folder / "whole"  # there, a kill leaves nothing beside OUT
    with new_file(whole) as temporary:
        writer.join(temporary, [parts.file(number) for number in range(count)])
    reasons = [reason for note in parts.notes(count) for reason in note["reasons"]]
    whole.replace(out)
    shutil.rmtree(parts.folder)
    return {
        "out": str(out),
        "rows": total,
        "answered": total - len(reasons),
        "failed": len(reasons),
        "reasons": list(dict.fromkeys(reasons))[:REASONS],
    }


def answer_rows(asking: Asking, source: Source) -> list[Row]:
    """Return for each row of ``source`` what was asked, and the answers."""
    found = []
    read = asking.columns or {"image": rows.PICTURE}
    with progress.bar("predict", source.total) as bar:
        for chunk in source.chunks(ROWS):
            for record, answer in zip(chunk.records, asking.answer(chunk), strict=True):
                asked = {name: rows.cell(record.values.get(at)) for name, at in read.items()}
                found.append(asked | answer)
            bar.advance(source.done - bar.done, f"{len(found):,} rows")
    return found


def _digest(place: Path) -> str:
    """Return a hash of the file, or of the names, sizes and times of a folder's files."""
    if place.is_file():
        with place.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in sorted(place.rglob("*")):
        if file.is_file() and not any(
            part.startswith(".") for part in file.relative_to(place).parts
        ):
            stat = file.stat()
            name = file.relative_to(place).as_posix()
            digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="replace"))
    return digest.hexdigest()


def _accepted(family: str) -> dict[str, list[str]]:
    """Return field → the column names that params.yaml, where there is one, accepts for it."""
    if not settings.PARAMS_FILE.exists():
        return {}
    block = settings.read().get(family, {})
    names: dict[str, list[str]] = block.get("ingest", {}).get("columns", {})
    return names


def _columns(
    source: Source,
    place: Path,
    wanted: dict[str, bool],
    mapping: dict[str, str],
    accepted: dict[str, list[str]],
) -> dict[str, str]:
    """Return the model's column → the column of ``place``: by ``mapping``, the same name, or one that training accepts.

    Raises:
        ValueError: one that the model needs is not there, or several could be meant.
    """
    if isinstance(source, rows.Folder):
        if "image" not in wanted:
            raise ValueError(
                f"{place}: a folder, but this family reads texts; give a table: {', '.join(rows.FORMATS)}"
            )
        return {}
    if unknown := sorted(set(mapping) - set(wanted)):
        raise ValueError(f"--map {unknown[0]}=…: the model reads {', '.join(wanted)}")
    names = source.columns
    there = f"it has {', '.join(names[:SHOWN])}{' …' if len(names) > SHOWN else ''}"
    found: dict[str, str] = {}
    for name in wanted:
        if name in mapping:
            if mapping[name] not in names:
                raise ValueError(
                    f"{place}: no column {mapping[name]!r}; {there}; name one with --map {name}=COLUMN"
                )
            found[name] = mapping[name]
            continue
        known = {word.casefold() for word in accepted.get(name, [])}
        fits = [column for column in names if column.casefold() in known]
        same = [column for column in names if column.casefold() == name]
        if len(choice := same or fits) > 1:
            raise ValueError(
                f"{place}: {' or '.join(map(repr, choice))}? Say which with --map {name}=COLUMN"
            )
        if choice:
            found[name] = choice[0]
    missing = [name for name, must in wanted.items() if must and name not in found]
    if missing or not found:
        name = (missing or list(wanted))[0]
        raise ValueError(
            f"{place}: no column {' or '.join(map(repr, missing or wanted))}; {there}; name one with --map {name}=COLUMN"
        )
    return found


def _checked_out(place: Path, out: Path, force: bool) -> None:
    """Refuse a place where the answers cannot be written.

    Raises:
        ValueError: see the messages.
    """
    if out.suffix.lower() not in rows.FORMATS:
        raise ValueError(
            f"--out {out}: the suffix says the format; give a name that ends in {', '.join(rows.FORMATS)}"
        )
    if out.is_dir():
        raise ValueError(f"--out {out}: is a folder; give the name of a file in it")
    if place.exists() and out.exists() and out.samefile(place):
        raise ValueError(
            f"--out {out}: is the input itself, which stays as it is; give another name"
        )
    if out.exists() and not force:
        raise ValueError(
            f"--out {out}: is there already; give another name, or --force, which replaces it"
        )


def _options(family: str, params: dict[str, Any], arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"beauty predict {family}",
        description="Answer a whole file or folder; every column is kept, the answers stand beside them.",
    )
    parser.add_argument("--file", type=Path, required=True, help="a table, or a folder of pictures")
    parser.add_argument(
        "--out", type=Path, help=f"{', '.join(rows.FORMATS)}; else they are printed"
    )
    parser.add_argument("--map", action="append", default=[], metavar="text=COLUMN")
    parser.add_argument("--column", help="short for --map text=COLUMN")
    parser.add_argument("--prefix", default="prediction_", help="of the new columns' names")
    parser.add_argument("--force", action="store_true", help="replace OUT")
    for name, value in params.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args(arguments)
    options.mapping = {}
    for pair in [pair for text in options.map for pair in text.split(",")]:
        name, sign, column = pair.partition("=")
        if not (name and sign and column):
            raise ValueError(f"--map {pair}: needs FIELD=COLUMN, such as text=comment")
        options.mapping[name] = column
    if options.column:
        options.mapping["text"] = options.column
    return options


def predict_file(family: str, model: Path, arguments: Sequence[str]) -> Any:
    """Answer ``--file IN`` with the model in the folder ``model``.

    Returns:
        With ``--out OUT`` the summary of `answer_file`, without it the rows of `answer_rows`.

    Raises:
        ValueError: IN or OUT is of no known format, OUT is there already, or IN lacks what the model reads.
    """
    serving = import_module(f"beauty_models.{family}.serving")
    options = _options(family, serving.PARAMS, arguments)
    place, out = options.file, options.out
    if out is not None:
        _checked_out(place, out, options.force)
    source = rows.source(place, out or place)
    columns = _columns(source, place, serving.COLUMNS, options.mapping, _accepted(family))
    for name, column in columns.items():
        if column != name and name not in options.mapping:
            progress.log_line(f"{place}: {name} is the column {column!r}")
    if next(source.chunks(1), None) is None:
        what = "no file in this folder" if place.is_dir() else "no rows in it"
        raise ValueError(f"{place}: there is nothing to answer, {what}; was the download cut off?")
    source.done = 0
    new = {options.prefix + name for name in (*serving.ANSWERS, ERROR)}
    if out is not None and (taken := sorted(new & set(source.columns))):
        raise ValueError(
            f"{place}: has a column {taken[0]!r} already, which stays as it is; choose another name for the answers: --prefix model_"
        )
    params = {name: getattr(options, name) for name in serving.PARAMS}
    asking = Asking(serving.Served(model), serving.ANSWERS, columns, params, place)
    if out is None:
        return answer_rows(asking, source)
    identity = {
        "input": _digest(place),
        "model": _digest(model),
        "columns": columns,
        "params": params,
        "prefix": options.prefix,
    }
    return answer_file(asking, source, out, prefix=options.prefix, identity=identity)
