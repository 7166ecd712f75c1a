"""ingest: parallel and monolingual texts → clean units, in three parts that share no sentence."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import account, archives, languages, splits
from beauty_models.intake.counts import as_metrics
from beauty_models.intake.provenance import about
from beauty_models.intake.rejected import Rejected, check_rejected, rejected_table
from beauty_models.intake.text import language as language_by_script
from beauty_models.progress import bar
from beauty_models.translate import Ingest, checks
from beauty_models.translate.chinese import variant
from beauty_models.translate.cleaning import LOST, clean
from beauty_models.translate.deliveries import UNKNOWN, Unit, read_deliveries
from beauty_models.translate.glossary import Glossary
from beauty_models.translate.grouping import LARGEST_GROUP, groups, key
from beauty_models.translate.shifts import find_shifts

Keys = dict[str, str]
"""Language → key of what is said in it."""

MONOLINGUAL = pa.schema([("language", pa.string()), ("text", pa.string())])
JUDGED = 2000  # texts of a column by which its language is judged, at most


class Parallel(NamedTuple):
    """A unit that is kept."""

    unit: Unit
    texts: dict[str, str]
    keys: Keys
    group: str
    part: str


@dataclass
class Quality:
    """What was found and done on the way, for the account and the metrics."""

    removed: Counter[str] = field(default_factory=Counter)
    read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    largest_group: int = 0


def ingest(*, raw: Path, data: Path, params: Ingest) -> Metrics:
    """Read every parallel and monolingual text of ``raw`` and write the parts and ``schema.json``.

    ``train``, ``validation`` and ``test.parquet`` have a row per unit: id, kind, and a column for
    each language of the data, null where the unit is not said in it. ``monolingual.parquet`` has
    language and text: of the training units, and what was delivered in one language alone, without
    anything that validation or test says. ``glossary.json`` has the shop's terms.
    ``rejected.parquet`` has what is not taken, with the reason, ``account.json`` what was counted
    and guessed. A unit is in a part by the hash of its group (`grouping`); the same files give the
    same bytes.

    Raises:
        ValueError: no file can be read or says its languages, too much is rejected, or a part would
            be empty.
    """
    with (
        account.opened("translate", raw, params.reading) as book,
        archives.as_folders(raw, data) as book.raw,
    ):
        return _ingest(book.raw, data, params, book)


def _ingest(raw: Path, data: Path, params: Ingest, book: account.Account) -> Metrics:
    """As `ingest`, which opens the account ``book`` for it."""
    delivery = read_deliveries(raw, params)
    quality = Quality()
    _check(delivery.units, params, quality)
    rejected = [*delivery.rejected, *_rejected(delivery.units)]
    read = len(delivery.rejected) + quality.read
    # before anything is written: a bad delivery leaves no data folder
    check_rejected(rejected, len(rejected) / max(1, read), params.max_rejected, data)
    glossary = Glossary(tuple(dict.fromkeys(delivery.terms)))
    parallel = _parallel(delivery.units, glossary, params, quality)
    parts = {part: [row for row in parallel if row.part == part] for part in splits.PARTS}
    sizes = {part: len(rows) for part, rows in parts.items()}
    splits.check_filled(sizes, params.split, "units in two languages and more")
    monolingual = _monolingual(delivery.units, parts, glossary, quality)
    tags = _tags(params, parallel, monolingual)
    kept = read - len(rejected) - quality.dropped.total()
    texts = {part: sum(len(row.texts) for row in rows) for part, rows in parts.items()}
    book.settle(
        "texts", read=read, kept=kept, dropped=quality.dropped, rejected=rejected, parts=texts
    )
    for what, count in quality.removed.items():
        taken = f"{what} are left out of texts"
        account.guess("text", taken, sure="certain", evidence=f"{count:,} texts have some")
    counts = _counts(read, rejected, parts, monolingual, quality)
    with new_folder(data) as folder:
        for part, rows in parts.items():
            pq.write_table(_table(rows, tags), folder / f"{part}.parquet")
        pq.write_table(_monolingual_table(monolingual), folder / "monolingual.parquet")
        pq.write_table(rejected_table(rejected), folder / "rejected.parquet")
        glossary.write(folder)
        write_json(folder / "schema.json", _schema(raw, parts, monolingual, tags))
        book.write(folder, data)
    return as_metrics(counts)


def _check(units: Sequence[Unit], params: Ingest, quality: Quality) -> None:
    """Clean the texts of all ``units`` and give a reason to those that cannot be taken."""
    with bar("ingest: check", len(units)) as progress:
        for unit in units:
            _clean(unit, params, quality)
            progress.advance()
    _check_columns(units, params)
    _check_rows(units)
    for unit in units:
        _check_together(unit, params)


def _clean(unit: Unit, params: Ingest, quality: Quality) -> None:
    """Clean a unit's texts, tell the languages of those without, and look at each alone."""
    quality.read += len(unit.texts)
    for tag, text in list(unit.texts.items()):
        cleaned = clean(text, quality.removed)
        if tag == UNKNOWN:
            unit.texts.pop(tag)
            tag = _language_of(cleaned, params)
        unit.texts[tag] = cleaned
        reason = unit.fault or _fault(cleaned, tag, params)
        if reason:
            unit.reasons[tag] = reason
    # of a pair the other side goes, too, and says why
    if unit.is_pair and unit.reasons:
        first, reason = next(iter(unit.reasons.items()))
        for tag in unit.texts:
            unit.reasons.setdefault(tag, f"its other side is not taken: {first}, {reason}")


def _language_of(text: str, params: Ingest) -> str:
    """Return the tag of a text of which the delivery says no language, `UNKNOWN` if none is sure.

    Of Chinese the characters say which one; where they do not, it is simplified, as most is.
    """
    code = language_by_script(text)
    if code == UNKNOWN and len(text) >= languages.SHORTEST:
        classified, probability = languages.classify(text)
        code = classified if probability >= checks.CERTAIN else UNKNOWN
    if code == "zh":
        code = "zh-TW" if variant(text) == "traditional" else "zh-CN"
    return code if code in params.languages else UNKNOWN


def _fault(text: str, tag: str, params: Ingest) -> str:
    """Return what is wrong with one text by itself, or ""."""
    if not text:
        return "empty"
    if tag == UNKNOWN:
        return "nothing says its language: a column `language` is needed"
    if len(text) < params.min_characters:
        return f"shorter than {params.min_characters} characters"
    if len(text) > params.max_characters:
        most = params.max_characters
        return f"{len(text)} characters, a text has {most} at most: deliver it in pieces"
    if LOST.search(text):
        return "characters that are lost: private or replaced ones"
    return checks.script_fault(text, tag)


def _check_columns(units: Sequence[Unit], params: Ingest) -> None:
    """Reject the texts of a column that holds another language than it says."""
    columns: dict[tuple[str, str], list[Unit]] = {}
    for unit in units:
        for tag in unit.good():
            columns.setdefault((unit.file, tag), []).append(unit)
    for (_, tag), holding in columns.items():
        telling = [unit.texts[tag] for unit in holding if not _is_copied(unit, tag)]
        step = max(1, len(telling) // JUDGED)
        votes = checks.column_languages(telling[::step], tag)
        wrong = checks.wrong_language(votes, tag, params.max_wrong_language)
        if wrong:
            share = votes[wrong] / votes.total()
            reason = f"the column says {tag} and holds {wrong} ({share:.0%} of its texts)"
            for unit in holding:
                unit.reasons[tag] = reason


def _check_rows(units: Sequence[Unit]) -> None:
    """Reject the texts of columns that slipped by a row."""
    files: dict[tuple[str, str], list[Unit]] = {}
    for unit in units:
        # titles and descriptions of one table have lengths of their own
        stem = unit.kind if unit.id.endswith(f":{unit.kind}") else ""
        files.setdefault((unit.file, stem), []).append(unit)
    for rows in files.values():
        for number, reasons in find_shifts(rows).items():
            for tag, reason in reasons.items():
                if tag in rows[number].texts:
                    rows[number].reasons.setdefault(tag, reason)


def _is_copied(unit: Unit, tag: str) -> bool:
    """Return whether a unit says the same in another language: a name, which tells none."""
    return list(unit.texts.values()).count(unit.texts[tag]) > 1


def _check_together(unit: Unit, params: Ingest) -> None:
    """Look at the texts of a unit beside each other."""
    texts = unit.good()
    for tag, text in texts.items():
        others = [other for other in unit.texts if other != tag]
        reason = checks.language_fault(text, tag, others)
        if reason:
            unit.reasons[tag] = reason
    for faults in (
        checks.length_faults(unit.good(), params.max_length_ratio),
        checks.number_faults(unit.good()),
    ):
        unit.reasons.update(faults)
    if unit.is_pair and unit.reasons:
        first, reason = next(iter(unit.reasons.items()))
        for tag in unit.texts:
            unit.reasons.setdefault(tag, f"its other side is not taken: {first}, {reason}")


def _rejected(units: Iterable[Unit]) -> list[Rejected]:
    found = []
    for unit in units:
        for tag, reason in unit.reasons.items():
            told = reason if tag == UNKNOWN else f"{tag}: {reason}"
            found.append(Rejected(unit.file, unit.row, told, unit.texts.get(tag, "")))
    return found


def _parallel(
    units: Sequence[Unit], glossary: Glossary, params: Ingest, quality: Quality
) -> list[Parallel]:
    """Return the distinct units that are said in two languages and more, each with its part."""
    distinct: dict[tuple[tuple[str, str], ...], Unit] = {}
    for unit in units:
        texts = unit.good()
        if len(texts) < 2:
            continue
        same = tuple(sorted(texts.items()))
        if same in distinct:
            quality.dropped["the same unit is there already"] += len(texts)
        else:
            distinct[same] = unit
    kept = list(distinct.values())
    if params.limit and len(kept) > params.limit:
        kept = _limited(kept, params, quality)
    keyed = []
    with bar("ingest: split", len(kept)) as progress:
        for unit in kept:
            keyed.append({tag: key(text, glossary) for tag, text in unit.good().items()})
            progress.advance()
    named = groups(keyed)
    counts = Counter(named)
    quality.largest_group = max(counts.values(), default=0)
    most = max(1, LARGEST_GROUP * len(kept))
    rows = []
    for unit, keys, group in zip(kept, keyed, named, strict=True):
        part = splits.part(params.split, group, params.seed)
        if counts[group] > most and params.split.train:
            part = "train"
        rows.append(Parallel(unit, unit.good(), keys, group, part))
    _tell_groups(counts, most, len(kept))
    return rows


def _tell_groups(counts: Counter[str], most: float, units: int) -> None:
    large = [count for count in counts.values() if count > most]
    if large:
        account.guess(
            "split",
            "units that share texts are trained on",
            sure="certain",
            evidence=f"{sum(large):,} of {units:,} hang together by equal texts",
        )


def _limited(units: Sequence[Unit], params: Ingest, quality: Quality) -> list[Unit]:
    """Return ``params.limit`` of ``units``, the same ones whatever their order, as delivered."""
    ranks = []
    for place, unit in enumerate(units):
        said = "\n".join(f"{tag} {text}" for tag, text in sorted(unit.good().items()))
        ranks.append((hashlib.sha256(f"{params.seed}:{said}".encode()).hexdigest(), place))
    chosen = {place for _, place in sorted(ranks)[: params.limit]}
    for place, unit in enumerate(units):
        if place not in chosen:
            quality.dropped["beyond ingest.limit"] += len(unit.good())
    return [unit for place, unit in enumerate(units) if place in chosen]


def _monolingual(
    units: Sequence[Unit],
    parts: dict[str, list[Parallel]],
    glossary: Glossary,
    quality: Quality,
) -> list[tuple[str, str]]:
    """Return (language, text), distinct, of training units and of what stands alone.

    What validation or test says in any language is left out.
    """
    held_out = set()
    for part in ("validation", "test"):
        for row in parts[part]:
            held_out |= set(row.keys.values())
    found: dict[tuple[str, str], None] = {}
    for row in parts["train"]:
        found.update(dict.fromkeys(row.texts.items()))
    for unit in units:
        texts = unit.good()
        if len(texts) != 1:
            continue
        item = next(iter(texts.items()))
        if item in found:
            quality.dropped["the text is there already"] += 1
        elif key(item[1], glossary) in held_out:
            quality.dropped["validation or test says it"] += 1
        else:
            found[item] = None
    return list(found)


def _tags(
    params: Ingest, parallel: Sequence[Parallel], monolingual: Sequence[tuple[str, str]]
) -> list[str]:
    """Return the languages of the data, in the order of params.yaml."""
    there = {tag for row in parallel for tag in row.texts}
    there |= {tag for tag, _ in monolingual}
    return [tag for tag in params.languages if tag in there]


def _table(rows: Sequence[Parallel], tags: Sequence[str]) -> pa.Table:
    columns: dict[str, list[str | None]] = {
        "id": [row.unit.id for row in rows],
        "kind": [row.unit.kind for row in rows],
    }
    for tag in tags:
        columns[tag] = [row.texts.get(tag) for row in rows]
    return pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns]))


def _monolingual_table(texts: Sequence[tuple[str, str]]) -> pa.Table:
    columns = {"language": [tag for tag, _ in texts], "text": [text for _, text in texts]}
    return pa.table(columns, schema=MONOLINGUAL)


def _counts(
    read: int,
    rejected: Sequence[Rejected],
    parts: dict[str, list[Parallel]],
    monolingual: Sequence[tuple[str, str]],
    quality: Quality,
) -> dict[str, int]:
    counts = {
        "texts": read,
        "rejected": len(rejected),
        "kept": sum(map(len, parts.values())),
        "monolingual": len(monolingual),
        "duplicates": quality.dropped["the same unit is there already"],
        "largest_group": quality.largest_group,
    }
    for part, rows in parts.items():
        counts[part] = len(rows)
    for tag, count in sorted(_languages(parts).items()):
        counts[f"language_{tag}"] = count
    return counts


def _languages(parts: dict[str, list[Parallel]]) -> Counter[str]:
    return Counter(tag for rows in parts.values() for row in rows for tag in row.texts)


def _schema(
    raw: Path,
    parts: dict[str, list[Parallel]],
    monolingual: Sequence[tuple[str, str]],
    tags: Sequence[str],
) -> dict[str, Any]:
    """Return the content of schema.json: what the data can teach, and where they come from."""
    counts = _languages(parts)
    kinds = Counter(row.unit.kind for rows in parts.values() for row in rows)
    return {
        "languages": {tag: counts[tag] for tag in tags},
        "monolingual": dict(sorted(Counter(tag for tag, _ in monolingual).items())),
        "kinds": dict(sorted(kinds.items())),
        "rows": {part: len(rows) for part, rows in parts.items()},
        "pairs": _pairs(parts, tags),
        "split_sha256": splits.digest(_answers(parts["test"])),
        **about(raw),
    }


def _pairs(parts: dict[str, list[Parallel]], tags: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return "en ja" → part → how many units are said in both; either may be the source."""
    pairs = {f"{a} {b}": dict.fromkeys(parts, 0) for a, b in combinations(tags, 2)}
    for part, rows in parts.items():
        for row in rows:
            said = [tag for tag in tags if tag in row.texts]
            for a, b in combinations(said, 2):
                pairs[f"{a} {b}"][part] += 1
    return {name: counts for name, counts in pairs.items() if any(counts.values())}


def _answers(rows: Sequence[Parallel]) -> Iterator[tuple[str, str]]:
    for row in rows:
        for tag, text in sorted(row.texts.items()):
            yield f"{tag} {row.keys[tag]}", text
