"""The texts of a delivery, unit by unit: parallel tables, pairs, translation memories, plain texts.

A unit is one thing said in one or several languages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from beauty_models.intake import account, columns, tables
from beauty_models.intake.rejected import Rejected
from beauty_models.progress import bar, log_line
from beauty_models.translate import PARALLEL_SUFFIXES, Columns, Ingest
from beauty_models.translate.glossary import Term, term
from beauty_models.translate.locales import Locales, TextColumn
from beauty_models.translate.memories import is_memory, units

GLOSSARIES = ("glossary", "brands", "terms", "术语", "品牌")
"""What a table is called, without its suffix, that holds terms to keep and no texts."""

BRANDS = ("brand", "brands", "品牌")  # what a first column of names is called
UNKNOWN = "und"
"""Language of a text of which the delivery says none."""


@dataclass
class Unit:
    """One thing, and how it is said."""

    file: str
    row: int
    id: str
    kind: str
    texts: dict[str, str]
    """Language → text, as it was delivered."""
    is_pair: bool
    """Both sides are asked for: an empty one is a fault, not a language that is not there."""
    fault: str = ""
    """Of the unit as a whole, told by the file itself."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Language → why its text is not taken."""

    def good(self) -> dict[str, str]:
        """Return the texts that are taken so far."""
        return {tag: text for tag, text in self.texts.items() if tag not in self.reasons}


class Delivery(NamedTuple):
    """What could be read of a source, and the rows that could not."""

    units: list[Unit]
    rejected: list[Rejected]
    terms: list[Term]
    """Of the files that are called as `GLOSSARIES`."""


class _Layout(NamedTuple):
    """Which columns of a table say what."""

    field: dict[str, str]  # of `Columns` → column
    wide: dict[str, list[TextColumn]]  # stem → its columns, a language each
    pair: tuple[str, str] | None  # the languages of source and target by the file's name


def read_deliveries(raw: Path, params: Ingest) -> Delivery:
    """Return the units of every file below ``raw``.

    A file that cannot be read is rejected with its reason; it ends nothing.

    Raises:
        ValueError: no file is of a format that is known, or a table says nothing of its languages.
    """
    locales = Locales(params.languages)
    delivery = Delivery([], [], [])
    files = _readable_files(raw)
    with bar("ingest: read", len(files)) as progress:
        for file in files:
            name = file.relative_to(raw).as_posix()
            try:
                if is_glossary(file):
                    delivery.terms.extend(read_terms(file, raw, locales))
                elif is_memory(file):
                    delivery.units.extend(_memory_units(file, name, locales))
                else:
                    _read_table(file, raw, name, params.columns, locales, delivery)
            except _UnclearError:
                raise
            except (ValueError, OSError) as error:
                # the message names the file by its path on this machine, which says nothing here
                reason = str(error).replace(f"{file}: ", "")
                delivery.rejected.append(Rejected(name, 0, reason, ""))
            progress.advance(note=file.name)
    return delivery


class _UnclearError(ValueError):
    """A table of which nobody can say which column holds which language: the user is to say."""


def _readable_files(raw: Path) -> list[Path]:
    formats = ", ".join((*tables.SUFFIXES, *PARALLEL_SUFFIXES))
    readable = []
    for file in tables.delivered_files(raw):
        if is_memory(file) or tables.is_table(file):
            readable.append(file)
        else:
            account.leave_aside("files", f"not one of {formats}", file)
    if not readable:
        raise ValueError(f"{raw}: no {formats} file in it")
    return readable


def is_glossary(file: Path) -> bool:
    """Return whether ``file`` is a table of terms, by its name."""
    return file.name.partition(".")[0].casefold() in GLOSSARIES and not is_memory(file)


def read_terms(file: Path, raw: Path, locales: Locales) -> Iterator[Term]:
    """Yield the terms of a glossary: brands of its only column, or a row's word in each language.

    Each word of a row is an entry, translated by the others.

    Rows that say more of the same word are put together; of two translations into one language
    the first is taken, and that is told.

    Raises:
        ValueError: of several columns fewer than two are called as languages.
    """
    entries: dict[tuple[str, str], dict[str, str]] = {}
    for entry in _terms(file, raw, locales):
        known = entries.setdefault((entry.language, entry.text), {})
        for tag, text in entry.translations:
            if known.setdefault(tag, text) != text:
                log_line(
                    f"{file.name}: {entry.text!r} is {known[tag]!r} and {text!r} in {tag}; the "
                    "first is taken"
                )
    for (language, word), translations in entries.items():
        yield term(word, translations, language)


def _terms(file: Path, raw: Path, locales: Locales) -> Iterator[Term]:
    for table in tables.batches(file, raw):
        header = list(table.rows.columns)
        found = [item for item in locales.columns(header) if not item.stem]
        if len(header) > 1 and len(found) < 2 and header[0].casefold() not in BRANDS:
            raise ValueError(
                f"{file.name}: of its columns ({', '.join(header)}) fewer than two are called as "
                f"languages that are known here ({', '.join(locales.tags)}); give a column for "
                "each language, or one column of brands"
            )
        for cells in table.rows.itertuples(index=False, name=None):
            row = dict(zip(header, cells, strict=True))
            words = {item.language: row[item.column] for item in found if row[item.column]}
            if not words:
                yield from (Term(cell) for cell in list(row.values())[:1] if cell)
            elif len(set(words.values())) == 1:
                # the same everywhere
                yield Term(next(iter(words.values())))
            else:
                for language, word in words.items():
                    yield term(word, words, language)


def _memory_units(file: Path, name: str, locales: Locales) -> Iterator[Unit]:
    unknown: Counter[str] = Counter()
    for entry in units(file):
        texts: dict[str, str] = {}
        fault = entry.fault
        for language, text in entry.texts:
            tag = locales.tag(language)
            if not tag:
                unknown[language or "no language"] += 1
            elif texts.setdefault(tag, text) != text:
                fault = fault or f"it says {tag} twice, and differently"
        if texts:
            number = tables.example_id(name, entry.number, entry.id)
            yield Unit(name, entry.number, number, entry.kind, texts, len(texts) > 1, fault)
    for language, count in unknown.items():
        account.leave_aside("texts", f"in {language}, not in ingest.languages", name, count)


def _read_table(
    file: Path, raw: Path, name: str, known: Columns, locales: Locales, delivery: Delivery
) -> None:
    layout: _Layout | None = None
    for table in tables.batches(file, raw):
        if layout is None:
            layout = _layout(file, name, list(table.rows.columns), known, locales)
        for row, reason, text in table.rejected.itertuples(index=False, name=None):
            delivery.rejected.append(Rejected(name, row, reason, text))
        delivery.units.extend(_table_units(table.rows, name, layout, locales))


def _layout(file: Path, name: str, header: list[str], known: Columns, locales: Locales) -> _Layout:
    """Return which columns of ``file`` hold what.

    Raises:
        _UnclearError: none says a language, and none is known to hold plain texts.
    """
    found = locales.columns(header)
    wide: dict[str, list[TextColumn]] = {}
    for item in found:
        wide.setdefault(item.stem, []).append(item)
    _refuse_twice(file, wide)
    taken = {item.column for item in found}
    rest = [column for column in header if column not in taken]
    picked = columns.pick(rest, known.model_dump())
    _tell_columns(file, rest, picked, known, wide)
    pair = None
    has_pair = {"source", "target"} <= set(picked)
    if has_pair and not {"source_language", "target_language"} <= set(picked):
        pair = locales.in_file_name(name)
        if pair is not None:
            evidence = "the file is called so"
            account.guess(
                "languages", " → ".join(pair), sure="likely", evidence=evidence, file=file
            )
    states_pair = pair is not None or {"source_language", "target_language"} <= set(picked)
    if wide or (has_pair and states_pair) or ("text" in picked and not has_pair):
        return _Layout(picked, wide, pair)
    listed = ", ".join(header)
    raise _UnclearError(
        f"{file}: which language is in which column? It has {listed}. Name columns by their "
        "language (en, zh-CN, title_ja; more names: ingest.languages), or deliver source, target, "
        "source_language and target_language, or a file called NAME.en-ja.tsv, or text and language"
    )


def _refuse_twice(file: Path, wide: Mapping[str, list[TextColumn]]) -> None:
    """Raise an error where two columns hold the same language: which one counts?"""
    for found in wide.values():
        by_language: dict[str, str] = {}
        for item in found:
            other = by_language.setdefault(item.language, item.column)
            if other != item.column:
                raise _UnclearError(
                    f"{file}: the columns {other} and {item.column} are both {item.language}; "
                    "take one away, or name it in ingest.languages as a language of its own"
                )


def _tell_columns(
    file: Path,
    header: list[str],
    picked: dict[str, str],
    known: Columns,
    wide: Mapping[str, list[TextColumn]],
) -> None:
    """Say which columns are read: with columns of languages, plain texts beside them are not."""
    shown = dict(picked)
    if wide:
        for unused in ("text", "source", "target", "source_language", "target_language"):
            shown.pop(unused, None)
    account.tell_columns(file, header, shown, known.model_dump())


def _table_units(
    rows: pd.DataFrame, name: str, layout: _Layout, locales: Locales
) -> Iterator[Unit]:
    cells = {column: rows[column].tolist() for column in rows.columns}
    for place, number in enumerate(rows.index):
        row = {column: values[place] for column, values in cells.items()}
        given = row.get(layout.field.get("id", ""), "")
        unit_id = tables.example_id(name, int(number), given)
        kind = row.get(layout.field.get("kind", ""), "")
        if layout.wide:
            yield from _wide_units(row, name, int(number), unit_id, kind, layout)
        else:
            texts, is_pair, fault = _long_texts(row, layout, locales)
            yield Unit(name, int(number), unit_id, kind, texts, is_pair, fault)


def _wide_units(
    row: Mapping[str, str], name: str, number: int, unit_id: str, kind: str, layout: _Layout
) -> Iterator[Unit]:
    """Yield a unit for each stem: title_en and title_ja are one, description_en another."""
    several = len(layout.wide) > 1
    for stem, found in layout.wide.items():
        texts = {item.language: row[item.column] for item in found if row[item.column]}
        # with two languages a row is a pair; with more, one may well be missing
        is_pair = len(found) == 2
        if is_pair:
            texts = {item.language: row[item.column] for item in found}
        if texts:
            own_id = f"{unit_id}:{stem}" if several and stem else unit_id
            yield Unit(name, number, own_id, stem or kind, texts, is_pair)


def _long_texts(
    row: Mapping[str, str], layout: _Layout, locales: Locales
) -> tuple[dict[str, str], bool, str]:
    """Return the texts of a row with a pair or a single text, whether it is a pair, its fault."""
    of = layout.field
    if "source" not in of or "target" not in of:
        said = row.get(of.get("language", ""), "")
        tag = locales.tag(said) if said else UNKNOWN
        fault = "" if tag else f"in {said}, not in ingest.languages"
        return {tag or said: row[of["text"]]}, False, fault
    said_pair = layout.pair
    if said_pair is None:
        said_pair = (row[of["source_language"]], row[of["target_language"]])
    texts: dict[str, str] = {}
    fault = ""
    for column, said in zip(("source", "target"), said_pair, strict=True):
        tag = locales.tag(said)
        if not tag:
            fault = f"in {said or 'no language'}, not in ingest.languages"
        if (tag or said) in texts:
            fault = f"both sides are said to be {said}"
        texts[tag or said] = row[of[column]]
    return texts, True, fault
