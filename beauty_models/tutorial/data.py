"""ingest: articles → clean, distinct, masked texts and the how-tos among them, in three parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from beauty_models.families import Metrics
from beauty_models.files import new_file, new_folder, write_json
from beauty_models.intake import account, archives, splits
from beauty_models.intake.counts import as_metrics
from beauty_models.intake.languages import shares, two_languages
from beauty_models.intake.provenance import about
from beauty_models.intake.rejected import (
    Rejected,
    check_rejected,
    good_rows,
    rejected_rows,
    rejected_table,
)
from beauty_models.intake.tables import example_id
from beauty_models.intake.text import fingerprint
from beauty_models.progress import bar
from beauty_models.tutorial import Ingest
from beauty_models.tutorial.articles import Article, read_articles
from beauty_models.tutorial.blocks import Block, read_html, read_markdown, write
from beauty_models.tutorial.cleaning import Removed, clean, promoted_names, repeated_blocks
from beauty_models.tutorial.duplicates import deduplicate
from beauty_models.tutorial.howto import extract, find_title
from beauty_models.tutorial.personal import known_names, mask
from beauty_models.tutorial.structure import Tutorial

MOST_PROMOTION = 0.5  # of an article's characters; the rest of a longer advertisement says nothing

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("language", pa.string()),
        ("text", pa.string()),
        ("tutorial", pa.bool_()),
        ("title", pa.string()),
        ("look", pa.string()),
        ("occasion", pa.string()),
        ("skin_type", pa.string()),
        ("products", pa.list_(pa.string())),
        ("tools", pa.list_(pa.string())),
        ("steps", pa.list_(pa.string())),
    ]
)


@dataclass
class Quality:
    """What was found and done on the way, for quality.md and the metrics."""

    removed: Removed = field(default_factory=Removed)
    personal: Counter[str] = field(default_factory=Counter)
    promoted: dict[str, int] = field(default_factory=dict)
    layouts: Counter[str] = field(default_factory=Counter)
    broken_front_matter: list[str] = field(default_factory=list)
    other_language: list[str] = field(default_factory=list)


@dataclass
class _Page:
    """An article on its way to a row."""

    article: Article
    blocks: list[Block]
    page_title: str = ""
    reason: str = ""
    title: str = ""
    language: str = ""
    text: str = ""


def ingest(*, raw: Path, data: Path, params: Ingest) -> Metrics:
    """Read every article of ``raw`` and write the parts, ``schema.json`` and ``quality.md``.

    ``train``, ``validation`` and ``test.parquet`` have the columns of `SCHEMA`, a row an article:
    text is the whole cleaned article as Markdown; steps and the rest are empty where the article is
    no how-to or does not say. ``rejected.parquet`` has what is not taken, with the reason,
    ``account.json`` what was counted and guessed. An article is in a part by the hash of its text;
    the same files give the same bytes.

    Raises:
        ValueError: no file can be read, too much is rejected, no article is a how-to, or a part
            would be empty.
    """
    with (
        account.opened("tutorial", raw, params.reading) as book,
        archives.as_folders(raw, data) as book.raw,
    ):
        return _ingest(book.raw, data, params, book)


def _ingest(raw: Path, data: Path, params: Ingest, book: account.Account) -> Metrics:
    """As `ingest`, which opens the account ``book`` for it."""
    delivery = read_articles(raw, params.columns)
    quality = Quality(broken_front_matter=delivery.broken_front_matter)
    pages = _cleaned(delivery.articles, params, quality)
    rows = _rows(pages)
    rejected = [*delivery.rejected, *rejected_rows(rows)]
    share = len(rejected) / max(1, len(rows) + len(delivery.rejected))
    # before anything is written: a bad delivery leaves no data folder
    check_rejected(rejected, share, params.max_rejected, data)
    good = good_rows(rows).copy()
    good["key"] = good["text"].map(fingerprint)
    groups = [f"article {key}" for key in good["key"]]
    good["part"] = [splits.part(params.split, group, params.seed) for group in groups]
    kept, dropped = deduplicate(good, params)
    kept = _with_tutorials(kept, pages, params, quality)
    parts = {part: kept[kept["part"] == part] for part in splits.PARTS}
    _check_parts(parts, params)
    counts = _counts(rows, rejected, kept, parts, quality)
    book.settle(
        "articles",
        read=len(rows) + len(delivery.rejected),
        kept=len(kept),
        dropped={
            "the text is there already": int(dropped["duplicates"]),
            "nearly the text of another one": int(dropped["near_duplicates"]),
            "long passages are another part's": int(dropped["passages_of_another_part"]),
        },
        rejected=rejected,
        parts={part: len(articles) for part, articles in parts.items()},
    )
    with new_folder(data) as folder:
        for part, articles in parts.items():
            pq.write_table(_table(articles), folder / f"{part}.parquet")
        pq.write_table(rejected_table(rejected), folder / "rejected.parquet")
        write_json(folder / "schema.json", _schema(raw, parts, quality, params))
        with new_file(folder / "quality.md") as file:
            file.write_text(_quality_page(quality, counts, rejected, parts), encoding="utf-8")
        _tell(quality, book, len(rows))
        book.write(folder, data)
    return dropped | as_metrics(counts)


def _cleaned(articles: Sequence[Article], params: Ingest, quality: Quality) -> list[_Page]:
    """Return the articles as clean blocks, each with its text or the reason why it is not taken."""
    pages = []
    with bar("ingest: clean", len(articles)) as progress:
        for article in articles:
            pages.append(_parsed(article, params))
            progress.advance(note=article.file)
    # what is repeated or promoted is seen only beside the other articles
    all_blocks = [page.blocks for page in pages]
    quality.promoted = promoted_names(all_blocks)
    repeated = repeated_blocks(all_blocks)
    for page in pages:
        if not page.reason:
            _finish(page, repeated, params, quality)
    return pages


def _parsed(article: Article, params: Ingest) -> _Page:
    page = _Page(article, [])
    if not article.text.strip():
        page.reason = "no text"
        return page
    # markup takes less than that, pictures within the page excepted; parsers take minutes for more
    if not article.html and len(article.text) > 3 * params.max_characters:
        page.reason = _too_long(len(article.text), params)
        return page
    try:
        if article.html:
            page.blocks, page.page_title = read_html(article.text)
        else:
            page.blocks = read_markdown(article.text)
    except (RecursionError, AssertionError) as error:
        # what the parsers raise on markup that nobody writes by hand
        page.reason = f"markup that cannot be read ({type(error).__name__})"
    if not page.reason and not page.blocks:
        page.reason = "no text beside markup and scripts"
    return page


def _too_long(characters: int, params: Ingest) -> str:
    return f"{characters} characters, an article has {params.max_characters} at most"


def _finish(page: _Page, repeated: set[str], params: Ingest, quality: Quality) -> None:
    """Clean and mask a page, tell its language and title, and find what is wrong with it."""
    before = sum(len(block.text) for block in page.blocks)
    removed = Removed()
    page.blocks = clean(page.blocks, quality.promoted, repeated, removed)
    personal: Counter[str] = Counter()
    title = find_title(page.blocks, page.article.given, page.page_title)
    known = known_names([title, *(block.text for block in page.blocks)])
    page.blocks = [_masked(block, personal, known) for block in page.blocks]
    page.title = mask(title, personal, known)
    first = page.blocks[0] if page.blocks else None
    if first is not None and first.kind == "heading" and _same(first.text, page.title):
        page.blocks = page.blocks[1:]
    page.text = write(page.title, page.blocks)
    page.reason = _fault(page, before, removed, params)
    if not page.reason:
        _add(quality.removed, removed)
        quality.personal += personal
        _tell_language(page, quality)


def _masked(block: Block, found: Counter[str], known: frozenset[str]) -> Block:
    text = mask(block.text, found, known)
    if text == block.text:
        return block
    lead = block.lead if text.startswith(block.lead) else ""
    return replace(block, text=text, lead=lead)


def _same(a: str, b: str) -> bool:
    return fingerprint(a) == fingerprint(b)


def _add(total: Removed, one: Removed) -> None:
    for name, value in vars(one).items():
        setattr(total, name, getattr(total, name) + value)


def _fault(page: _Page, before: int, removed: Removed, params: Ingest) -> str:
    """Return why an article is not taken, or ""; sets its language."""
    own = sum(len(block.text) for block in page.blocks)
    if removed.characters > MOST_PROMOTION * before:
        return f"mostly promotion: {removed.characters} of {before} characters"
    if own < params.min_characters:
        return f"shorter than {params.min_characters} characters"
    if own > params.max_characters:
        return _too_long(own, params)
    shared = shares(block.text for block in page.blocks)
    page.language = next(iter(shared))
    twofold = two_languages(shared)
    if twofold:
        return twofold
    if page.language not in params.languages:
        accepted = ", ".join(params.languages)
        return f"in the language {page.language}, ingest.languages has {accepted}"
    return ""


def _tell_language(page: _Page, quality: Quality) -> None:
    """Note an article that says it is in another language than its text is."""
    stated = str(page.article.given.get("language", "")).casefold()[:2]
    if stated and stated != page.language:
        place = page.article.file
        quality.other_language.append(f"{place} says {stated}, its text is {page.language}")


def _rows(pages: Sequence[_Page]) -> pd.DataFrame:
    """Return a row a page, with what `rejected_rows` and `deduplicate` need."""
    rows = []
    for number, page in enumerate(pages):
        rows.append(
            {
                "file": page.article.file,
                "row": page.article.row,
                "reason": page.reason,
                "text": page.text or page.article.text[:1000],
                "page": number,
            }
        )
    return pd.DataFrame(rows, columns=["file", "row", "reason", "text", "page"])


def _with_tutorials(
    kept: pd.DataFrame, pages: Sequence[_Page], params: Ingest, quality: Quality
) -> pd.DataFrame:
    """Return ``kept`` with id, language and the fields of the how-to that each article is."""
    ids = []
    languages = []
    found: list[Tutorial] = []
    for number in kept["page"]:
        page = pages[number]
        given = page.article.given
        stem = str(Path(page.article.file).with_suffix(""))
        stated = str(given.get("id", ""))
        ids.append(example_id(page.article.file, page.article.row, stated) if stated else stem)
        if page.article.row and not stated:
            ids[-1] = example_id(page.article.file, page.article.row, "")
        languages.append(page.language)
        tutorial, layout = extract(page.blocks, page.title, page.language, given, params.min_steps)
        quality.layouts[layout or "no how-to"] += 1
        found.append(tutorial)
    return kept.assign(id=ids, language=languages, found=pd.Series(found, index=kept.index))


def _table(articles: pd.DataFrame) -> pa.Table:
    found: list[Tutorial] = articles["found"].tolist()
    columns = {
        "id": articles["id"].tolist(),
        "language": articles["language"].tolist(),
        "text": articles["text"].tolist(),
        "tutorial": [bool(tutorial.steps) for tutorial in found],
    }
    for name in ("title", "look", "occasion", "skin_type"):
        columns[name] = [getattr(tutorial, name) for tutorial in found]
    for name in ("products", "tools", "steps"):
        columns[name] = [list(getattr(tutorial, name)) for tutorial in found]
    return pa.table(columns, schema=SCHEMA)


def _check_parts(parts: dict[str, pd.DataFrame], params: Ingest) -> None:
    sizes = {part: len(articles) for part, articles in parts.items()}
    splits.check_filled(sizes, params.split, "articles")
    if not params.split.train:
        return
    if not _tutorials(parts["train"]["found"]):
        raise ValueError(
            f"none of the {sizes['train']} articles to train on is a how-to with at least "
            f"{params.min_steps} ordered steps; more data or a smaller ingest.min_steps is needed"
        )


def _tutorials(found: Iterable[Tutorial]) -> int:
    return sum(bool(tutorial.steps) for tutorial in found)


def _counts(
    rows: pd.DataFrame,
    rejected: Sequence[Rejected],
    kept: pd.DataFrame,
    parts: dict[str, pd.DataFrame],
    quality: Quality,
) -> dict[str, int]:
    counts = {
        "articles": len(rows),
        "rejected": len(rejected),
        "kept": len(kept),
        "tutorials": _tutorials(kept["found"]),
    }
    for part, articles in parts.items():
        counts[part] = len(articles)
        counts[f"{part}_tutorials"] = _tutorials(articles["found"])
    for code, count in sorted(Counter(kept["language"]).items()):
        counts[f"language_{code}"] = count
    counts["promotion_removed"] = quality.removed.promotion
    counts["repeated_removed"] = quality.removed.repeated
    counts["sources_removed"] = quality.removed.sources
    counts["links_removed"] = quality.removed.links
    for kind in ("name", "handle", "mail", "phone", "identity_number"):
        counts[f"masked_{kind}"] = quality.personal[kind]
    counts["broken_front_matter"] = len(quality.broken_front_matter)
    counts["language_differs"] = len(quality.other_language)
    return counts


def _schema(
    raw: Path, parts: dict[str, pd.DataFrame], quality: Quality, params: Ingest
) -> dict[str, Any]:
    """Return the content of schema.json: what the data can teach, and where they come from."""
    test = parts["test"]
    rows = {part: len(articles) for part, articles in parts.items()}
    tutorials = {part: _tutorials(articles["found"]) for part, articles in parts.items()}
    return {
        "languages": list(params.languages),
        "rows": rows,
        "tutorials": tutorials,
        "promoted": quality.promoted,
        "split_sha256": splits.digest(zip(test["key"], test["language"], strict=True)),
        **about(raw),
    }


def _tell(quality: Quality, book: account.Account, articles: int) -> None:
    """Put what was taken for granted into the account ``book`` of so many ``articles``."""
    for name, count in quality.promoted.items():
        evidence = f"{count} articles link to it and name it"
        taken = f"{name}: what praises it is left out"
        account.guess("promotion", taken, sure="likely", evidence=evidence)
    for place in quality.broken_front_matter:
        account.guess("front matter", "lines", sure="unsure", evidence="it is not YAML", file=place)
    differing = len(quality.other_language)
    example = next(iter(quality.other_language), "")
    told = "the language stated is not that of the text, which decides"
    book.contradict(told, differing, articles, example)


def _quality_page(
    quality: Quality,
    counts: dict[str, int],
    rejected: Sequence[Rejected],
    parts: dict[str, pd.DataFrame],
) -> str:
    """Return quality.md: what an editor wants to know before this text is learned from."""
    lines = ["# The data", "", "| what | how many |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {count:,} |" for name, count in counts.items()]
    lines += ["", "## Layouts of the how-tos", "", "| layout | articles |", "|---|---|"]
    lines += [f"| {name} | {count} |" for name, count in quality.layouts.most_common()]
    if quality.promoted:
        lines += ["", "## Left out as promotion", ""]
        for name, count in quality.promoted.items():
            lines.append(f"- sentences that name {name}, which {count} articles link to and name")
    if rejected:
        lines += ["", "## Rejected", "", "| reason | articles |", "|---|---|"]
        reasons = Counter(row.reason.split(":")[0] for row in rejected)
        lines += [f"| {reason} | {count} |" for reason, count in reasons.most_common()]
    lines += ["", "## Stated otherwise", ""]
    lines += [f"- {line}" for line in quality.other_language] or ["- nothing"]
    lines += [f"- {place}: front matter is not YAML" for place in quality.broken_front_matter]
    lines += ["", "## A how-to of each part", ""]
    for part, articles in parts.items():
        shown = next((tutorial for tutorial in articles["found"] if tutorial.steps), None)
        if shown is None:
            continue
        lines += [f"### {part}: {shown.title}", ""]
        lines += [f"{number}. {step}" for number, step in enumerate(shown.steps, start=1)]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"
