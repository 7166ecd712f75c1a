"""Raw texts that need no network: the starter, which the project wrote, and the toy set."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from beauty_models.files import new_file, write_json
from beauty_models.translate import phrases
from beauty_models.translate.phrases import LANGUAGES, Modifier, Noun

STARTER = {
    "license": "Apache-2.0",
    "commercial_use": True,
    "attribution": "Product texts put together from words written for this project, "
    "beauty_models/translate/lexicon.",
}

BEAUTY = ("lips", "face", "eyes", "nails", "tools", "skin", "oil", "body", "scent", "hair")
# Frame → classes of nouns that it can be said of; a tool has no amount, a scarf no size.
FRAME_KINDS = {
    "beauty": tuple(kind for kind in BEAUTY if kind != "tools"),
    "wear": tuple(kind for kind in phrases.WEAR if kind not in ("bags", "tie", "warm")),
    "coloured": (*phrases.WEAR, "lips", "nails", "eyes"),
    "suits": ("skin", "oil", "hair"),
}
# What is put on the skin in the morning and stays there.
CREAMS = {
    *("face cream", "day cream", "eye cream", "serum", "toner", "essence", "emulsion", "sunscreen"),
    *("face oil", "body lotion", "body cream", "hand cream", "primer", "foundation", "BB cream"),
}
# None of these is a house that sells anything, as far as is known.
BRANDS = (
    *("Veloria", "Thistle & Rue", "Orsaline", "Kamiro", "Maison Tilvert", "Nordalba", "Feynwick"),
    *("Sable & Finch", "Luméa Vox", "Hanabira Lab", "Ostra Viva", "Quillmere"),
)
AMOUNTS = {
    "liquid": [
        "15 ml",
        "30 ml",
        "50 ml",
        "75 ml",
        "100 ml",
        "150 ml",
        "200 ml",
        "250 ml",
        "400 ml",
    ],
    "solid": ["2 g", "3.5 g", "5 g", "8 g", "10 g", "12 g"],
}
PRICES = ["$24.90", "€19.95", "¥1,980", "£12.50", "$8", "€149", "£35", "¥12,800", "$1,250"]
PERCENTAGES = ["10%", "15%", "20%", "25%", "30%", "40%", "50%", "70%"]
SIZES = [("XS", "XL"), ("36", "44"), ("34", "42"), ("XXS", "XXL"), ("38", "46"), ("2XL", "4XL")]
PLACEHOLDERS = ["{name}", "%s", "{0}", "{{ value }}", "%(count)d", "${item}", "{size}"]
TITLES = 2600  # phrases without a sentence around them
FRAMED = 2400
MISSING = 0.04  # of the rows lack a language, as real ones do


class Row(NamedTuple):
    """A unit of the starter."""

    kind: str
    texts: dict[str, str]


def starter(*, raw: Path) -> None:
    """Write ``products.tsv``, ``labels.tmx``, ``glossary.tsv`` and ``LICENSE.json`` into ``raw``.

    About 5,000 product texts in eight languages, a column each; care instructions and labels as a
    translation memory; the brands that every language keeps. Always the same ones.
    """
    rng = random.Random(7)
    rows = [*_titles(rng, TITLES, LANGUAGES), *_framed(rng, FRAMED)]
    raw.mkdir(parents=True, exist_ok=True)
    with new_file(raw / "products.tsv") as file:
        _write(file, _with_gaps(rows, rng), LANGUAGES)
    with new_file(raw / "labels.tmx") as file:
        # that a translation tool's file is read, too, is seen in every run
        file.write_text(_tmx(_labels(rng)), encoding="utf-8")
    with new_file(raw / "glossary.tsv") as file:
        file.write_text("\n".join(["brand", *BRANDS]) + "\n", encoding="utf-8")
    write_json(raw / "LICENSE.json", STARTER)


def _write(file: Path, rows: Sequence[Row], languages: Sequence[str]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(["id", "kind", *languages])
        for number, row in enumerate(rows, start=1):
            cells = [row.texts.get(tag, "") for tag in languages]
            writer.writerow([f"P{number:05}", row.kind, *cells])


def _with_gaps(rows: Iterable[Row], rng: random.Random) -> list[Row]:
    """Return ``rows`` of which a few lack a language."""
    gapped = []
    for row in rows:
        texts = dict(row.texts)
        if rng.random() < MISSING:
            texts.pop(rng.choice(LANGUAGES[1:]))
        gapped.append(Row(row.kind, texts))
    return gapped


def _modified(noun: Noun, rng: random.Random, most: int) -> list[Modifier]:
    """Return up to ``most`` modifiers that suit ``noun``, each of another kind."""
    suitable = [modifier for modifier in phrases.modifiers() if modifier.suits(noun)]
    drawn = rng.sample(suitable, min(len(suitable), 4 * most))
    # two of a kind contradict each other more often than not: black and white, matte and creamy
    by_kind: dict[str, Modifier] = {}
    for modifier in drawn:
        by_kind.setdefault(modifier.kind, modifier)
    return list(by_kind.values())[:most]


def _phrases(noun: Noun, chosen: Sequence[Modifier]) -> dict[str, str]:
    return {tag: phrases.phrase(noun, chosen, tag) for tag in LANGUAGES}


def _titles(rng: random.Random, count: int, languages: Sequence[str]) -> list[Row]:
    """Return ``count`` different phrases; every noun stands alone once."""
    found: dict[str, Row] = {}
    for noun in phrases.nouns():
        texts = _phrases(noun, [])
        found[texts["en"]] = Row("product", texts)
    while len(found) < count:
        noun = rng.choice(phrases.nouns())
        chosen = _modified(noun, rng, rng.choice([1, 2, 2, 3]))
        texts = _phrases(noun, chosen)
        found.setdefault(texts["en"], Row("title", texts))
    rows = []
    for row in found.values():
        texts = {tag: phrases.capital(row.texts[tag]) for tag in languages}
        rows.append(Row(row.kind, texts))
    return rows


def _framed(rng: random.Random, count: int) -> list[Row]:
    """Return ``count`` different sentences and titles with brands, prices, sizes and codes."""
    found: dict[str, Row] = {}
    # drawn until enough are different: some frames have few nouns and fill up early
    while len(found) < count:
        of, frame = rng.choice(phrases.frames())
        noun = rng.choice([noun for noun in phrases.nouns() if _suits(of, noun)])
        row = _filled(of, frame, noun, rng)
        found.setdefault(row.texts["en"], row)
    return list(found.values())


def _suits(of: str, noun: Noun) -> bool:
    """Return whether a frame ``of`` something can be said of ``noun``."""
    if of == "cream":
        return noun.name("en") in CREAMS
    if of == "made":
        return bool(_that_suit("material", noun))
    # all other frames, such as "is back in stock", can be said of anything
    return of not in FRAME_KINDS or noun.kind in FRAME_KINDS[of]


def _that_suit(kind: str, noun: Noun) -> list[Modifier]:
    """Return the modifiers of a kind that can be said of ``noun``."""
    suitable = []
    for modifier in phrases.modifiers():
        if modifier.kind == kind and modifier.suits(noun):
            suitable.append(modifier)
    return suitable


def _filled(of: str, frame: Mapping[str, str], noun: Noun, rng: random.Random) -> Row:
    """Return a frame filled with ``noun``, with the same numbers and names in every language."""
    chosen = _modified(noun, rng, rng.choice([1, 1, 2]))
    other = rng.choice([item for item in phrases.nouns() if _go_together(item, noun)])
    said = _said_of(of, noun, rng)
    values = _values(noun, rng)
    texts = {}
    for tag in LANGUAGES:
        slots = {**values, "np": phrases.phrase(noun, chosen, tag)}
        if of == "made" and said is not None:
            slots["material"] = phrases.bare(said, tag)
            slots["substance"] = phrases.substance(said, tag)
            slots["percent"] = "100%"
        elif said is not None:
            slots["for"] = phrases.bare(said, tag)
        texts[tag] = phrases.fill(frame[tag], slots, tag, noun, other)
    kind = "title" if of in ("title", "beauty", "wear") else "sentence"
    return Row(kind, texts)


def _go_together(one: Noun, other: Noun) -> bool:
    return one is not other and (one.kind in BEAUTY) == (other.kind in BEAUTY)


def _said_of(of: str, noun: Noun, rng: random.Random) -> Modifier | None:
    """Return the material or the skin type that a frame asks for."""
    kind = {"made": "material", "suits": "for"}.get(of)
    return rng.choice(_that_suit(kind, noun)) if kind else None


def _values(noun: Noun, rng: random.Random) -> dict[str, str]:
    """Return what every language keeps as it is."""
    solid = noun.kind in ("lips", "eyes", "face")
    size, size2 = rng.choice(SIZES)
    letters = "".join(rng.choices("ABCDEFGHKLMNPRSTVWXZ", k=2))
    return {
        "amount": rng.choice(AMOUNTS["solid" if solid else "liquid"]),
        "brand": rng.choice(BRANDS),
        "code": f"{letters}-{rng.randint(100, 9999)}",
        "price": rng.choice(PRICES),
        "percent": rng.choice(PERCENTAGES),
        "n": str(rng.randint(2, 12)),
        "size": size,
        "size2": size2,
    }


def _labels(rng: random.Random) -> list[Row]:
    """Return the texts that stand alone, their placeholders filled the same in all languages."""
    rows = []
    for kind, texts in phrases.sentences():
        values = {
            "t": rng.choice(["30", "40", "60"]),
            "m": rng.choice(["6", "10", "12", "15"]),
            "d": rng.choice(["3", "14", "30"]),
            "ph": rng.choice(PLACEHOLDERS),
            "price": rng.choice(PRICES),
            "url": "https://shop.example/track",
            "mail": "help@shop.example",
        }
        # not by str.format: {name} and {0} are what some of these texts are to hold
        filled = {tag: phrases.filled_slots(text, values) for tag, text in texts.items()}
        rows.append(Row(kind, filled))
    return rows


def _tmx(rows: Sequence[Row]) -> str:
    """Return ``rows`` as a translation memory, TMX 1.4."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<tmx version="1.4">',
        '<header creationtool="beauty-models" creationtoolversion="1" segtype="sentence" '
        'o-tmf="tsv" adminlang="en" srclang="en" datatype="plaintext"/>',
        "<body>",
    ]
    for number, row in enumerate(rows, start=1):
        lines.append(f'<tu tuid="L{number:03}"><prop type="x-kind">{escape(row.kind)}</prop>')
        for tag, text in row.texts.items():
            lines.append(f"<tuv xml:lang={quoteattr(tag)}><seg>{escape(text)}</seg></tuv>")
        lines.append("</tu>")
    return "\n".join([*lines, "</body>", "</tmx>"]) + "\n"


TOY_LANGUAGES = ("en", "zh-CN", "ja")
TOY_NOUNS = ("dress", "skirt", "shirt", "sweater", "jacket", "boots", "scarf", "handbag")
TOY_MODIFIERS = ("black", "white", "red", "blue", "green", "cotton", "wool", "leather", "striped")


def toy(*, raw: Path) -> None:
    """Write ``products.csv``, ``pairs.en-zh.tsv`` and ``LICENSE.json`` into the folder ``raw``.

    Some 300 phrases in three languages, always the same ones. As in real deliveries some repeat,
    a text is in another language than its column, a side is empty, and a pair does not belong
    together.
    """
    rows = _toy_rows()
    wrong = dict(rows[0].texts) | {"ja": "这是一件写错了栏的连衣裙"}
    rows += [rows[1], rows[2], Row("title", wrong)]
    raw.mkdir(parents=True, exist_ok=True)
    with (
        new_file(raw / "products.csv") as file,
        file.open("w", encoding="utf-8", newline="") as out,
    ):
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["kind", *TOY_LANGUAGES])
        for row in rows:
            writer.writerow([row.kind, *(row.texts[tag] for tag in TOY_LANGUAGES)])
    pairs = ["source\ttarget", "Free returns\t免费退货", "Gift card\t", "Size 38\t尺码 42"]
    with new_file(raw / "pairs.en-zh.tsv") as file:
        file.write_text("\n".join(pairs) + "\n", encoding="utf-8")
    write_json(raw / "LICENSE.json", STARTER)


def _toy_rows() -> list[Row]:
    """Return every phrase of the toy's nouns with one or two modifiers, some with a size."""
    nouns = [noun for noun in phrases.nouns() if noun.name("en") in TOY_NOUNS]
    words = [item for item in phrases.modifiers() if item.words["en"] in TOY_MODIFIERS]
    found: dict[str, Row] = {}
    for noun in nouns:
        suitable = [item for item in words if item.suits(noun)]
        for first, second in product(suitable, repeat=2):
            chosen = [first] if first is second else [first, second]
            if len(chosen) == 2 and first.kind == second.kind:
                continue
            texts = _phrases(noun, chosen)
            if len(chosen) == 2 and len(found) % 3 == 0:
                size = f", {len(found) + 10} cm"
                texts = {tag: text + size for tag, text in texts.items()}
            found.setdefault(texts["en"], Row("title", texts))
    return list(found.values())
