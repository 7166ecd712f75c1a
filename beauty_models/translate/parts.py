"""The units of train, validation and test, as ingest writes them, and what schema.json says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from beauty_models.intake import splits
from beauty_models.intake.provenance import about
from beauty_models.translate.deliveries import Unit

Keys = dict[str, str]
"""Language → key of what is said in it, see `grouping`."""

MONOLINGUAL = pa.schema([("language", pa.string()), ("text", pa.string())])


class Parallel(NamedTuple):
    """A unit that is kept."""

    unit: Unit
    texts: dict[str, str]
    keys: Keys
    group: str
    part: str


Parts = dict[str, list[Parallel]]
"""Part → its units."""


def by_part(rows: Iterable[Parallel]) -> Parts:
    """Return the units of each part, in their order."""
    parts: Parts = {part: [] for part in splits.PARTS}
    for row in rows:
        parts[row.part].append(row)
    return parts


def all_rows(parts: Parts) -> Iterator[Parallel]:
    """Yield the units of all parts."""
    for rows in parts.values():
        yield from rows


def languages(parts: Parts) -> Counter[str]:
    """Return language → how many units are said in it."""
    counts: Counter[str] = Counter()
    for row in all_rows(parts):
        counts.update(row.texts.keys())
    return counts


def tags_in_order(
    known: Iterable[str], parts: Parts, monolingual: Iterable[tuple[str, str]]
) -> list[str]:
    """Return the languages of the data, in the order of the ``known`` ones of params.yaml."""
    there = set(languages(parts))
    there.update(tag for tag, _ in monolingual)
    return [tag for tag in known if tag in there]


def table(rows: Sequence[Parallel], tags: Sequence[str]) -> pa.Table:
    """Return the content of a part's file: id, kind, and a column per language."""
    columns: dict[str, list[str | None]] = {
        "id": [row.unit.id for row in rows],
        "kind": [row.unit.kind for row in rows],
    }
    for tag in tags:
        columns[tag] = [row.texts.get(tag) for row in rows]
    # a column without a text would be of no type
    schema = pa.schema([(name, pa.string()) for name in columns])
    return pa.table(columns, schema=schema)


def monolingual_table(texts: Sequence[tuple[str, str]]) -> pa.Table:
    """Return the content of monolingual.parquet."""
    rows = [{"language": tag, "text": text} for tag, text in texts]
    return pa.Table.from_pylist(rows, schema=MONOLINGUAL)


def schema(
    raw: Path, parts: Parts, monolingual: Sequence[tuple[str, str]], tags: Sequence[str]
) -> dict[str, Any]:
    """Return the content of schema.json: what the data can teach, and where they come from."""
    counts = languages(parts)
    alone = Counter(tag for tag, _ in monolingual)
    kinds = Counter(row.unit.kind for row in all_rows(parts))
    return {
        "languages": {tag: counts[tag] for tag in tags},
        "monolingual": _sorted(alone),
        "kinds": _sorted(kinds),
        "rows": {part: len(rows) for part, rows in parts.items()},
        "pairs": _pairs(parts, tags),
        "split_sha256": splits.digest(_answers(parts["test"])),
        **about(raw),
    }


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _pairs(parts: Parts, tags: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return "en ja" → part → how many units are said in both; either may be the source."""
    pairs: dict[str, dict[str, int]] = {}
    for a, b in combinations(tags, 2):
        counts = {}
        for part, rows in parts.items():
            counts[part] = sum(a in row.texts and b in row.texts for row in rows)
        # two languages may never have met, as en-ja and en-de in one delivery
        if any(counts.values()):
            pairs[f"{a} {b}"] = counts
    return pairs


def _answers(rows: Sequence[Parallel]) -> Iterator[tuple[str, str]]:
    """Yield what two models must have been asked alike to be compared, for the split's digest."""
    for row in rows:
        for tag, text in sorted(row.texts.items()):
            yield f"{tag} {row.keys[tag]}", text
