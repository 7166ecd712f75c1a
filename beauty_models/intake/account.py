"""The account of an ingest: what was read, kept, dropped, rejected, left aside, and guessed.

A family opens one for the time of its work, settles what became of each kind of thing that it read
(rows, photos …), and writes it beside its data::

    with account.opened("sentiment", raw, params.reading) as book:
        ...                     # readers call `guess` and `leave_aside` of this module
        book.settle("reviews", read=9, kept=6, dropped={"equal texts": 2}, rejected=[one])
        with new_folder(data) as folder:
            ...
            book.write(folder, data)  # account.json

Leaving the block shows the table, once; an error on the way is preceded by what was known by then.

A reader says what it took for granted with `guess`, and what it did not read with `leave_aside`.
Both write into the account that is open, wherever the reader stands; where none is open (predict,
`beauty init`) they print a line instead. So a reader calls no `log_line` of its own. What is said
twice counts once: a file may be looked at several times. A thread takes the account along with
`contextvars.copy_context`; another process opens its own and hands back `Account.content`, which
`Account.add` puts into the first.

**When to guess, and when to stop.** What a file says of itself (a byte order mark, ``sep=;``,
``8/10``) is read and is no guess. What all its rows say together is a guess on good evidence
(`sureness`): it is taken and told. A guess that gives rows another label, or takes rows or files
away, and whose evidence is not good, raises a ValueError unless `reading` (``ingest.reading`` in
params.yaml) says which; its message ends with `remedy`, an option that can be pasted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from beauty_models.files import read_json, write_json
from beauty_models.intake.rejected import Rejected
from beauty_models.params import Reading
from beauty_models.progress import log_line

FILE = "account.json"
LISTED = 8  # reasons of a kind in the terminal's table; the file has all
# Columns where no person watches: `beauty retrain` puts "ingest@recommend: " before every line,
# and both have to fit into 80.
PIPE_WIDTH = 62
TERMINAL_WIDTH = 80
LISTED_COLUMNS = 4
PLACES = 20  # that the file lists for each reason; it counts all
OTHERS = "others"
ENOUGH = 10  # pieces of evidence that all say the same
# What differs between two rows with one fault: names in quotes, numbers, paths.
_DETAIL = re.compile(r"'[^']*'|\"[^\"]*\"|\S*[\d/\\]\S*|\S+\.\w{2,5}(?=[\s,)]|$)")

Sure = Literal["certain", "likely", "unsure"]


class Guess(NamedTuple):
    """What a reader took for granted."""

    subject: str  # encoding, dates, scale, separator, quotes, column, layout …
    taken: str  # what it is taken for
    sure: Sure
    evidence: str  # by what and how much of it


class Settled(NamedTuple):
    """What became of one kind of thing; ``read`` is the sum of the others."""

    read: int
    kept: int
    dropped: dict[str, int]  # reason → how many are not needed, without a fault of theirs
    rejected: list[Rejected]
    parts: dict[str, int]  # of what is kept; a thing may be in several or in none


class Contradiction(NamedTuple):
    """What a delivery says twice, and differently."""

    reason: str
    disagree: int
    of: int  # that could have contradicted each other
    example: str  # file and line


class Account:
    """What is told of one ingest."""

    def __init__(self, family: str, raw: Path, reading: Reading) -> None:
        self.family = family
        self.raw = raw
        self.reading = reading
        self.settled: dict[str, Settled] = {}
        self.contradictions: list[Contradiction] = []
        # thing and reason → place → how many there; guess → files
        self.aside: dict[tuple[str, str], dict[str, int]] = {}
        self.options: dict[tuple[str, str], str] = {}  # that would have it read
        self.guesses: dict[Guess, dict[str, None]] = {}
        self.written: Path | None = None

    def place(self, file: Path | str) -> str:
        """Return the name of ``file`` below the raw folder: absolute paths are a machine's own."""
        # Not by `Path`, to which "https://cdn/a.jpg" is a path with one slash too many.
        name = str(file)
        for root in (self.raw, self.raw.resolve()):
            if name.startswith(f"{root}/"):
                return name.removeprefix(f"{root}/")
        return Path(name).name if name.startswith("/") else name

    def settle(
        self,
        things: str,
        *,
        read: int,
        kept: int,
        dropped: Mapping[str, int] | None = None,
        rejected: Sequence[Rejected] = (),
        parts: Mapping[str, int] | None = None,
    ) -> None:
        """Say what became of all ``things`` (reviews, photos …) of the delivery."""
        dropped = {reason: count for reason, count in (dropped or {}).items() if count}
        assert read == kept + sum(dropped.values()) + len(rejected), (things, read, kept, dropped)
        assert min([kept, *dropped.values()]) >= 0, (things, kept, dropped)
        self.settled[things] = Settled(read, kept, dropped, list(rejected), dict(parts or {}))

    def contradict(self, reason: str, disagree: int, of: int, example: str) -> None:
        """Say that of ``of`` rows so many ``disagree`` with another column or row."""
        if disagree:
            self.contradictions.append(Contradiction(reason, disagree, of, example))

    def content(self) -> dict[str, Any]:
        """Return the content of account.json: neither times nor paths of this machine."""
        return {
            "counts": [_counts(things, part) for things, part in self.settled.items()],
            "contradicted": [item._asdict() for item in self.contradictions],
            "aside": _aside(self.aside, self.options),
            "guessed": _guessed(self.guesses),
        }

    def write(self, folder: Path, data: Path) -> None:
        """Write account.json into ``folder``, which becomes ``data`` when all is written."""
        write_json(folder / FILE, self.content())
        self.written = data / FILE

    def add(self, content: Mapping[str, Any]) -> None:
        """Put the guesses and what was left aside of another process into this account."""
        for row in content["aside"]:
            key = (row["what"], row["reason"])
            places = self.aside.setdefault(key, {})
            if row["option"]:
                self.options[key] = row["option"]
            places.update(row["places"])
            if others := row["count"] - sum(row["places"].values()):
                places[OTHERS] = places.get(OTHERS, 0) + others
        for row in content["guessed"]:
            guessed = Guess(row["subject"], row["taken"], row["sure"], row["evidence"])
            self.guesses.setdefault(guessed, {}).update(dict.fromkeys(row["files"]))

    def show(self, console: Console | None = None) -> None:
        """Print the account as one table."""
        screen = console or Console(highlight=False, emoji=False)
        width = min(TERMINAL_WIDTH, screen.width) if screen.is_terminal else PIPE_WIDTH
        content = self.content()
        screen.print(table(content), width=width)
        for row in content["aside"]:
            # On a line of its own, and never broken: it is to be copied.
            if row["option"]:
                screen.print(
                    Text(f"To have the {row['what']} read: {row['option']}"), soft_wrap=True
                )
        if self.written is not None:
            screen.print(Text(f"All of it: {self.written}"), soft_wrap=True)

    def tell(self) -> None:
        """Print the guesses, and what was left aside and why: no table comes any more."""
        for guessed, files in self.guesses.items():
            for file in files:
                log_line(_guess_line(guessed, file))
        for (things, reason), places in self.aside.items():
            place, count = next(iter(places.items()))
            if len(places) == 1:
                log_line(_aside_line(things, reason, place, count))
            else:
                total = sum(places.values())
                log_line(f"{total:,} {things} left aside, {reason} (first {place})")


_OPEN: ContextVar[Account | None] = ContextVar("account", default=None)
AUTO = Reading(encoding="auto", dates="auto", quotes="auto", sheets="auto", aside=[])


@contextmanager
def opened(family: str, raw: Path, reading: Reading) -> Iterator[Account]:
    """Yield the account that all readers write into while the block runs, and show it after."""
    account = Account(family, raw, reading)
    token = _OPEN.set(account)
    try:
        yield account
    except BaseException:
        # What was taken for granted may be why it failed.
        account.tell()
        raise
    finally:
        _OPEN.reset(token)
    account.show()


def is_open() -> bool:
    """Return whether a family's account is open."""
    return _OPEN.get() is not None


def reading() -> Reading:
    """Return how files that may be read in several ways are to be read: params.yaml's word."""
    account = _OPEN.get()
    return account.reading if account else AUTO


def guess(subject: str, taken: str, *, sure: Sure, evidence: str, file: Path | str = "") -> None:
    """Say that ``file``, or the whole delivery, is taken for something.

    Args:
        subject: encoding, dates, scale, separator, quotes, column, layout …
        taken: what it is taken for.
        sure: how sure that is, see `sureness`.
        evidence: by what, and by how much of it.
        file: as it was opened, or as it is called below the raw folder.
    """
    guessed = Guess(subject, taken, sure, evidence)
    account = _OPEN.get()
    if account is None:
        log_line(_guess_line(guessed, str(file)))
        return
    account.guesses.setdefault(guessed, {})[account.place(file)] = None


def tell_columns(
    file: Path | str,
    header: Iterable[str],
    picked: Mapping[str, str],
    accepted: Mapping[str, Sequence[str]],
    multiple: Iterable[str] = (),
) -> None:
    """Say which columns of a table are taken for what by half their name, and which are not read.

    Args:
        file: the table.
        header: its columns.
        picked: field → column, as `columns.pick` gives them.
        accepted: field → the names that its column may have.
        multiple: fields of which all columns are read.
    """
    # Without an account only what was guessed would be of interest, and it is in the message.
    if not is_open():
        return
    field_of = {}
    for field, names in accepted.items():
        field_of.update(dict.fromkeys(map(str.casefold, names), field))
    for column in header:
        name = column.strip().casefold()
        field = field_of.get(name, "")
        if column in picked.values():
            if not field:
                owner = next(field for field, taken in picked.items() if taken == column)
                evidence = "no other column ends so"
                guess("column", f"{owner} is {column}", sure="likely", evidence=evidence, file=file)
        elif field not in multiple:
            reason = f"another one is the {field}" if field else "no field takes them"
            leave_aside("columns", reason, f"{file}: {column}")


def leave_aside(
    things: str, reason: str, place: Path | str, count: int = 1, option: str = ""
) -> None:
    """Say that ``count`` ``things`` at ``place`` (a file, a column of a file) are not read.

    ``option``, of `remedy`, would have them read.
    """
    account = _OPEN.get()
    if account is None:
        log_line(_aside_line(things, reason, str(place), count))
        return
    account.aside.setdefault((things, reason), {})[account.place(place)] = count
    if option:
        account.options[things, reason] = option


def contradict(reason: str, disagree: int, of: int, example: str) -> None:
    """Say that of ``of`` rows so many ``disagree`` with another column or row; see `guess`."""
    account = _OPEN.get()
    if account is not None:
        account.contradict(reason, disagree, of, example)


def is_aside(file: Path | str) -> bool:
    """Return whether params.yaml says that ``file`` is not to be read; it is then told."""
    account = _OPEN.get()
    if account is None:
        return False
    place = Path(account.place(file))
    if not any(place.match(pattern) for pattern in account.reading.aside):
        return False
    leave_aside("files", "ingest.reading.aside says so", file)
    return True


def sureness(agree: int, against: int = 0) -> Sure:
    """Return how sure a reading is that ``agree`` pieces of evidence support and others do not.

    With `ENOUGH` for it and none against it, it is certain: if one of four rows could say
    otherwise, ten would be silent in 6 % of files. One against ten for is a slip of the keyboard.
    """
    if agree >= ENOUGH and not against:
        return "certain"
    if agree > ENOUGH * against:
        return "likely"
    return "unsure"


def remedy(setting: str, value: str) -> str:
    """Return the option that sets ``ingest.SETTING``, ready to paste; "" where no family reads."""
    account = _OPEN.get()
    if account is None:
        return ""
    return "--set " + shlex.quote(f"{account.family}.ingest.{setting}={value}")


def _guess_line(guessed: Guess, file: str) -> str:
    where = f"{file}: " if file else ""
    return f"{where}{guessed.subject} read as {guessed.taken} ({guessed.sure}: {guessed.evidence})"


def _aside_line(things: str, reason: str, place: str, count: int) -> str:
    where = f"{place}: " if place else ""
    # Of one file the name says enough.
    number = f"{count:,} {things} " if count > 1 or not place else ""
    return f"{where}{number}left aside, {reason}"


def _counts(things: str, settled: Settled) -> dict[str, Any]:
    dropped = [{"reason": reason, "count": count} for reason, count in settled.dropped.items()]
    return {
        "what": things,
        "read": settled.read,
        "kept": settled.kept,
        "dropped": dropped,
        "rejected": grouped(settled.rejected),
        "parts": settled.parts,
    }


def grouped(rejected: Iterable[Rejected]) -> list[dict[str, Any]]:
    """Return reason, count and example (file:line) of ``rejected``, the most frequent first.

    Reasons that differ in a name or a number are one, with dots in its place.
    """
    rows_of: dict[str, list[Rejected]] = {}
    for row in rejected:
        rows_of.setdefault(_DETAIL.sub("…", row.reason), []).append(row)
    groups = []
    for kind, rows in rows_of.items():
        first = min(rows)
        alike = len({row.reason for row in rows}) == 1
        place = f"{first.file}:{first.row}" if first.row else first.file
        reason = first.reason if alike else kind
        groups.append({"reason": reason, "count": len(rows), "example": place})
    return sorted(groups, key=lambda group: (-group["count"], group["reason"]))


def _aside(
    aside: Mapping[tuple[str, str], Mapping[str, int]], options: Mapping[tuple[str, str], str]
) -> list[dict[str, Any]]:
    rows = []
    for (things, reason), places in aside.items():
        count = sum(places.values())
        listed = dict(sorted(places.items())[:PLACES])
        option = options.get((things, reason), "")
        told = {"what": things, "reason": reason, "count": count, "places": listed}
        rows.append(told | {"option": option})
    return sorted(rows, key=lambda row: (-row["count"], row["what"], row["reason"]))


def _guessed(guesses: Mapping[Guess, Iterable[str]]) -> list[dict[str, Any]]:
    rows = []
    for guessed, files in guesses.items():
        places = sorted(files)
        rows.append(guessed._asdict() | {"files": places[:PLACES], "count": len(places)})
    return sorted(rows, key=lambda row: (row["subject"], row["files"], row["taken"]))


class Line(NamedTuple):
    """A line of the table, in the terminal as on a page."""

    head: str  # read, kept, …; "" where it is that of the line above
    number: str
    text: str
    example: str


def lines_of(data: Path) -> list[Line]:
    """Return the lines of the account in the folder ``data``; none where it has none."""
    file = data / FILE
    return list(lines(read_json(file))) if file.exists() else []


def lines(content: Mapping[str, Any]) -> Iterator[Line]:
    """Yield the lines of the table of an account.json's ``content``."""
    for counts in content["counts"]:
        yield from _lines_of_counts(counts)
    yield from _lines_of_rows("contradicted", map(_contradicted, content["contradicted"]))
    yield from _lines_of_rows("left aside", map(_left_aside, content["aside"]))
    yield from _lines_of_rows("guessed", _guesses(content["guessed"]))


def _lines_of_counts(counts: Mapping[str, Any]) -> Iterator[Line]:
    yield Line("read", f"{counts['read']:,}", counts["what"], "")
    parts = [f"{name} {count:,}" for name, count in counts["parts"].items() if count]
    yield Line("kept", f"{counts['kept']:,}", ", ".join(parts), "")
    dropped = [Line("", f"{row['count']:,}", row["reason"], "") for row in counts["dropped"]]
    yield from _lines_of_rows("dropped", dropped)
    rejected = []
    for row in counts["rejected"]:
        rejected.append(Line("", f"{row['count']:,}", row["reason"], row["example"]))
    yield from _lines_of_rows("rejected", rejected)


def _lines_of_rows(head: str, rows: Iterable[Line]) -> Iterator[Line]:
    """Yield ``rows``, the first of them under ``head``, and of many the first ones."""
    rows = list(rows)
    for row in rows[:LISTED]:
        yield row._replace(head=head)
        head = ""
    if len(rows) > LISTED:
        yield Line("", "", f"and {len(rows) - LISTED} more kinds, see {FILE}", "")


def _contradicted(row: Mapping[str, Any]) -> Line:
    share = row["disagree"] / max(1, row["of"])
    text = f"{row['reason']} ({share:.1%} of {row['of']:,})"
    return Line("", f"{row['disagree']:,}", text, row["example"])


def _left_aside(row: Mapping[str, Any]) -> Line:
    text = f"{row['what']}: {row['reason']}"
    places = list(row["places"])
    # A column says more than its file: of several that are not read one may be missed.
    first = ", ".join(places[:LISTED_COLUMNS]) if row["what"] == "columns" else places[0]
    return Line("", f"{row['count']:,}", text, first)


def _guesses(rows: Iterable[Mapping[str, Any]]) -> list[Line]:
    """Return a line for each reading; files that were read alike share it."""
    by_reading: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        by_reading.setdefault((row["subject"], row["taken"], row["sure"]), []).append(row)
    found = []
    for (subject, taken, sure), alike in by_reading.items():
        count = sum(row["count"] for row in alike)
        first = alike[0]
        text = f"{subject}: {taken} ({sure}: {first['evidence']})"
        place = first["files"][0]
        # What holds for the whole delivery has no file.
        found.append(Line("", f"{count:,}" if place else "", text, place))
    return found


def table(content: Mapping[str, Any]) -> Table:
    """Return the table of an account.json's ``content`` for a terminal; it cuts nothing."""
    drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    drawn.add_column("", no_wrap=True)
    drawn.add_column("number", justify="right", no_wrap=True)
    drawn.add_column("what (and where first)", overflow="fold")
    for line in lines(content):
        if line.head == "read" and drawn.row_count:
            drawn.add_section()
        # One after the other: a column of its own would be empty in most lines, and take a third.
        where = f" ({line.example})" if line.example else ""
        what = Text.assemble(line.text, (where, "dim"))
        drawn.add_row(Text(line.head, "bold"), Text(line.number), what)
    return drawn
