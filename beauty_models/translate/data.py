"""ingest: parallel and monolingual texts → clean units, in three parts that share no sentence."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import account, archives, splits
from beauty_models.intake.counts import as_metrics
from beauty_models.intake.rejected import Rejected, check_rejected, rejected_table
from beauty_models.progress import bar
from beauty_models.translate import Ingest
from beauty_models.translate.deliveries import UNKNOWN, Unit, read_deliveries
from beauty_models.translate.glossary import Glossary
from beauty_models.translate.grouping import FEWEST, LARGEST_GROUP, groups, key
from beauty_models.translate.inspection import inspect
from beauty_models.translate.parts import (
    Parallel,
    Parts,
    all_rows,
    by_part,
    languages,
    monolingual_table,
    schema,
    table,
    tags_in_order,
)

Text = tuple[str, str]
"""Language and what is said."""


@dataclass
class Quality:
    """What was found and done on the way, for the account and the metrics."""

    read: int = 0  # texts
    removed: Counter[str] = field(default_factory=Counter)
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
    quality = Quality(read=len(delivery.rejected))
    quality.read += sum(len(unit.texts) for unit in delivery.units)
    inspect(delivery.units, params, quality.removed)
    rejected = [*delivery.rejected, *_rejected(delivery.units)]
    # before anything is written: a bad delivery leaves no data folder
    share = len(rejected) / max(1, quality.read)
    check_rejected(rejected, share, params.max_rejected, data)
    glossary = Glossary(tuple(dict.fromkeys(delivery.terms)))
    parts = by_part(_parallel(delivery.units, glossary, params, quality))
    sizes = {part: len(rows) for part, rows in parts.items()}
    splits.check_filled(sizes, params.split, "units in two languages and more")
    monolingual = _monolingual(delivery.units, parts, glossary, quality)
    _settle(book, parts, rejected, quality)
    with new_folder(data) as folder:
        _write(folder, raw, parts, monolingual, params)
        pq.write_table(rejected_table(rejected), folder / "rejected.parquet")
        glossary.write(folder)
        book.write(folder, data)
    counts = {
        "texts": quality.read,
        "rejected": len(rejected),
        "kept": sum(sizes.values()),
        "monolingual": len(monolingual),
        "duplicates": quality.dropped["the same unit is there already"],
        "largest_group": quality.largest_group,
        **sizes,
    }
    for tag, count in sorted(languages(parts).items()):
        counts[f"language_{tag}"] = count
    return as_metrics(counts)


def _settle(
    book: account.Account, parts: Parts, rejected: Sequence[Rejected], quality: Quality
) -> None:
    """Put what became of all texts into the account."""
    texts = {}
    for part, rows in parts.items():
        texts[part] = sum(len(row.texts) for row in rows)
    kept = quality.read - len(rejected) - quality.dropped.total()
    dropped = quality.dropped
    book.settle(
        "texts", read=quality.read, kept=kept, dropped=dropped, rejected=rejected, parts=texts
    )
    for what, count in quality.removed.items():
        taken = f"{what} are left out of texts"
        account.guess("text", taken, sure="certain", evidence=f"{count:,} texts have some")


def _write(
    folder: Path, raw: Path, parts: Parts, monolingual: Sequence[Text], params: Ingest
) -> None:
    """Write the parts, the texts to pretrain on, and schema.json into ``folder``."""
    tags = tags_in_order(params.languages, parts, monolingual)
    for part, rows in parts.items():
        pq.write_table(table(rows, tags), folder / f"{part}.parquet")
    pq.write_table(monolingual_table(monolingual), folder / "monolingual.parquet")
    write_json(folder / "schema.json", schema(raw, parts, monolingual, tags))


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
    kept = _distinct(units, quality)
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
    most = max(FEWEST, LARGEST_GROUP * len(kept))
    _tell_groups(counts, most, len(kept))
    rows = []
    for unit, keys, group in zip(kept, keyed, named, strict=True):
        part = splits.part(params.split, group, params.seed)
        # one such group would make the test part anything from empty to half of the data
        if counts[group] > most and params.split.train:
            part = "train"
        rows.append(Parallel(unit, unit.good(), keys, group, part))
    return rows


def _distinct(units: Iterable[Unit], quality: Quality) -> list[Unit]:
    """Return the parallel ``units`` without those that say in all languages what one before did."""
    distinct: dict[tuple[Text, ...], Unit] = {}
    for unit in units:
        texts = unit.good()
        if len(texts) < 2:
            continue
        same = tuple(sorted(texts.items()))
        if same in distinct:
            quality.dropped["the same unit is there already"] += len(texts)
        else:
            distinct[same] = unit
    return list(distinct.values())


def _tell_groups(counts: Counter[str], most: float, units: int) -> None:
    large = [count for count in counts.values() if count > most]
    if large:
        evidence = f"{sum(large):,} of {units:,} hang together by equal texts"
        taken = "units that share texts are trained on"
        account.guess("split", taken, sure="certain", evidence=evidence)


def _limited(units: Sequence[Unit], params: Ingest, quality: Quality) -> list[Unit]:
    """Return ``params.limit`` of ``units``, the same ones whatever their order, as delivered."""
    ranks = []
    for place, unit in enumerate(units):
        lines = [f"{tag} {text}" for tag, text in sorted(unit.good().items())]
        said = "\n".join([str(params.seed), *lines])
        ranks.append((hashlib.sha256(said.encode()).hexdigest(), place))
    chosen = {place for _, place in sorted(ranks)[: params.limit]}
    kept = []
    for place, unit in enumerate(units):
        if place in chosen:
            kept.append(unit)
        else:
            quality.dropped["beyond ingest.limit"] += len(unit.good())
    return kept


def _monolingual(
    units: Sequence[Unit], parts: Parts, glossary: Glossary, quality: Quality
) -> list[Text]:
    """Return the distinct texts of training units and of what stands alone.

    What validation or test says in any language is left out: pretraining would have read it.
    """
    held_out: set[str] = set()
    for row in all_rows(parts):
        if row.part != "train":
            held_out.update(row.keys.values())
    found: dict[Text, None] = {}
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
