"""Ask a model about all rows of a file, and keep its answers so that a killed run goes on.

Rows are asked a chunk at a time, so memory does not grow with the file. Each chunk is kept beside
the output as it will stand there until all are answered; the output is then made whole, at once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypedDict

import pandas as pd
from filelock import FileLock, Timeout

from beauty_models import progress
from beauty_models.files import new_file, read_json, write_json
from beauty_models.serving import rows
from beauty_models.serving.readers import AnySource
from beauty_models.serving.rows import ERROR, Chunk, Record, Row
from beauty_models.serving.writers import writer_for

# Rows that are answered at once and kept in one part; a kill costs no more than these.
CHUNK_ROWS = 256
LISTED_REASONS = 5  # of failed rows, in the summary
SHOWN_VALUE = 40  # characters of a value, in a reason

# Counts up when parts are written in another way: those of an older version are not joined.
PARTS_FORMAT = 2


class Served(Protocol):
    """A loaded model, as `beauty_models.<family>.serving.Served`."""

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return the answers, a row for each of ``frame``, with a column ``error``."""
        ...


class Summary(TypedDict):
    """What became of a file."""

    out: str
    rows: int
    answered: int
    failed: int
    reasons: list[str]  # the first `LISTED_REASONS` distinct ones


@dataclass(frozen=True)
class RowPredictor:
    """A model that answers the rows of one file."""

    served: Served
    answers: tuple[str, ...]  # names of what is answered, ``error`` not among them
    columns: dict[str, str]  # the model's column → the file's; none for a folder of pictures
    params: dict[str, Any]  # what `Served.predict` takes besides
    source: Path
    pictures: tuple[str, ...] = ("image",)  # columns of pictures; a folder's files are the first

    def predict(self, chunk: Chunk) -> list[Row]:
        """Return the answers to each row of ``chunk``; a row with a fault is not asked about."""
        questions: list[Row] = []
        reasons: list[str] = []  # why a row is not asked, "" where it is
        for record in chunk.records:
            question, reason = self._question(record)
            reasons.append(reason)
            if not reason:
                questions.append(question)
        answered = self._ask(questions)
        answers = []
        for reason in reasons:
            answer: Row = {ERROR: reason} if reason else next(answered)
            answers.append({name: answer.get(name) for name in (*self.answers, ERROR)})
        return answers

    def _ask(self, questions: list[Row]) -> Iterator[Row]:
        """Return the model's answers, one for each of ``questions``."""
        if not questions:
            return iter([])
        names = list(self.columns) or [self.pictures[0]]
        # object: pandas would guess a type of each column, chunk by chunk.
        frame = pd.DataFrame(questions, columns=names, dtype=object)
        records = self.served.predict(frame, self.params).to_dict("records")
        return ({str(name): value for name, value in row.items()} for row in records)

    def _question(self, record: Record) -> tuple[Row, str]:
        """Return what the model is asked for one row, and why it cannot be asked, or ""."""
        if record.fault:
            return {}, record.fault
        if self.source.is_dir():
            return {self.pictures[0]: str(self.source / record.values[rows.PICTURE])}, ""
        question: Row = {}
        for name, column in self.columns.items():
            value = record.values.get(column)
            # No answer rather than one to something else.
            if isinstance(value, dict | list):
                shown = rows.json_text(value)[:SHOWN_VALUE]
                return {}, f"{column} holds {shown}, not one value"
            if isinstance(value, bytes) and name in self.pictures:
                value = f"data:;base64,{rows.base64_text(value)}"
            text = rows.cell(value)
            if rows.LOST.search(text):
                return {}, f"{column} holds characters that are lost"
            question[name] = self._picture_path(text) if name in self.pictures else text
        return question, ""

    def _picture_path(self, cell: str) -> str:
        """Return the path of a picture; a relative one lies beside the table."""
        if not cell or cell.startswith("data:"):
            return cell
        return str(self.source.parent / cell)


class PartFiles:
    """What is answered so far: a file for each `CHUNK_ROWS` rows, in a hidden folder beside OUT.

    The parts belong to one input, model and command; those of another are thrown away.
    """

    def __init__(self, out: Path, identity: Row) -> None:
        self.folder = parts_folder(out)
        identity = identity | {"rows": CHUNK_ROWS, "format": PARTS_FORMAT}
        about = self.folder / "about.json"
        if about.exists() and read_json(about) != identity:
            progress.log_line(
                f"predict: {self.folder} holds answers to another input, or of another model; "
                "beginning anew"
            )
            about.unlink()
        # Without about.json a kill came while the parts were thrown away, or before the first one.
        if not about.exists():
            # Numbers of eight digits; about.json and the lock, which is held, stay.
            for part in self.folder.glob("0*"):
                part.unlink()
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(about, identity)

    def file(self, number: int) -> Path:
        """Return where the rows of the chunk ``number`` lie."""
        return self.folder / f"{number:08}"

    def _note(self, number: int) -> Path:
        return self.folder / f"{number:08}.json"

    def count(self) -> int:
        """Return how many chunks are there, from the first one on."""
        number = 0
        while self._note(number).exists():
            number += 1
        return number

    def note(self, number: int, answers: list[Row]) -> None:
        """Note that the chunk ``number`` is written whole, and what failed in it."""
        reasons = [answer[ERROR] for answer in answers if answer[ERROR] is not None]
        write_json(self._note(number), {"rows": len(answers), "reasons": reasons})

    def notes(self, count: int) -> Iterator[Row]:
        """Yield the notes of the first ``count`` chunks."""
        return (read_json(self._note(number)) for number in range(count))


def parts_folder(out: Path) -> Path:
    """Return the folder of what is answered of ``out`` so far."""
    return out.with_name(f".{out.name}.parts")


def answer_file(
    predictor: RowPredictor, source: AnySource, out: Path, *, prefix: str, identity: Row
) -> Summary:
    """Answer all rows of ``source`` and write them with their answers to ``out``, or nothing.

    Args:
        predictor: the model, and which columns it is asked with.
        source: a table or a folder of pictures.
        out: CSV, TSV, JSON, JSON Lines or Parquet, gzipped or not.
        prefix: of the names of the new columns.
        identity: what a run that was killed must share with this one for its answers to be taken.

    Raises:
        ValueError: another run is writing ``out``.
    """
    folder = parts_folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # The kernel takes this lock away with its process, so a kill leaves none behind.
        with FileLock(folder / "lock", timeout=0):
            parts = PartFiles(out, identity)
            return _answer_file(predictor, source, out, prefix, parts)
    except Timeout:
        raise ValueError(
            f"--out {out}: another run is writing it; wait for it, or give another name"
        ) from None


def _answer_file(
    predictor: RowPredictor, source: AnySource, out: Path, prefix: str, parts: PartFiles
) -> Summary:
    names = [prefix + name for name in (*predictor.answers, ERROR)]
    writer = writer_for(source, out, names)
    count = parts.count()
    chunks = source.chunks(CHUNK_ROWS)
    # Read again, but not asked again: no place in a file can be jumped to in all formats.
    for _ in range(count):
        next(chunks)
    total = sum(note["rows"] for note in parts.notes(count))
    if count:
        progress.log_line(f"predict: {total:,} rows were answered before; going on")
    with progress.bar("predict", source.total, source.done) as bar:
        for chunk in chunks:
            answers = predictor.predict(chunk)
            with new_file(parts.file(count)) as temporary:
                writer.part(temporary, chunk, answers)
            # After the part is whole: a kill in between asks the chunk again.
            parts.note(count, answers)
            count += 1
            total += len(answers)
            bar.advance(source.done - bar.done, f"{total:,} rows")
    whole = parts.folder / "whole"  # there, a kill leaves nothing beside OUT
    with new_file(whole) as temporary:
        writer.join(temporary, [parts.file(number) for number in range(count)])
    reasons: list[str] = []
    for note in parts.notes(count):
        reasons.extend(note["reasons"])
    # In this order: a kill in between leaves OUT whole, and parts that the next run joins again.
    whole.replace(out)
    shutil.rmtree(parts.folder)
    return {
        "out": str(out),
        "rows": total,
        "answered": total - len(reasons),
        "failed": len(reasons),
        "reasons": list(dict.fromkeys(reasons))[:LISTED_REASONS],
    }


def answer_rows(predictor: RowPredictor, source: AnySource) -> list[Row]:
    """Return for each row of ``source`` what was asked, and the answers."""
    answered = []
    columns = predictor.columns or {predictor.pictures[0]: rows.PICTURE}
    with progress.bar("predict", source.total) as bar:
        for chunk in source.chunks(CHUNK_ROWS):
            answers = predictor.predict(chunk)
            for record, answer in zip(chunk.records, answers, strict=True):
                asked = {}
                for name, column in columns.items():
                    asked[name] = rows.cell(record.values.get(column))
                answered.append(asked | answer)
            bar.advance(source.done - bar.done, f"{len(answered):,} rows")
    return answered
