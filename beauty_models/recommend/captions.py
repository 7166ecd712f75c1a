"""What may be said of a product: captions from its name, its attributes, its category and its description."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from beauty_models.intake.products import MARKS, Texts, clean
from beauty_models.intake.text import language, normalize

EMPTY = {
    "",
    "yes",
    "no",
    "true",
    "false",
    "none",
    "null",
    "n/a",
}  # values that describe nothing one can see


SHORTEST = (
    8  # characters of a sentence worth a caption, half as many for Chinese, Japanese and Korean
)


_BREAK = re.compile(
    r"<\s*(?:br|/p|/li|/div|/h\d|/tr|/td)\b[^<>]*>|[•·▪‣●■◦]|[\r\n]+", re.IGNORECASE
)


_SCRIPT = re.compile(r"<(script|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)


_END = re.compile(r"(?<=[.!?])\s+(?=\S)|(?<=[。！？；])")


_DENSE = ("zh", "ja", "ko", "th")


_LATIN = "latin"


def sentences(description: str) -> list[str]:
    """Return the distinct sentences of an HTML description: line breaks, paragraphs and bullets end one as full stops do."""
    found: dict[str, None] = {}
    for piece in _BREAK.split(MARKS.sub("", html.unescape(_SCRIPT.sub(" ", description)))):
        for part in _END.split(piece):
            sentence = normalize(part).strip(" *-–—")
            if len(sentence) >= SHORTEST / (2 if language(sentence) in _DENSE else 1):
                found[sentence] = None
    return list(found)


def visible(values: dict[str, str]) -> list[str]:
    """Return the values of attributes that can be seen or felt: words, neither numbers nor yes and no."""
    return [
        value
        for value in values.values()
        if value.casefold() not in EMPTY and re.search(r"[^\W\d_]{3}|[\u4e00-\u9fff]", value)
    ]


def _tongue(text: str) -> str:
    found = language(text)
    return found if found in _DENSE else _LATIN


def _of(values: Sequence[str], tongue: str) -> str:
    """Return the first of ``values`` in ``tongue``, or ""."""
    return next((value for value in values if _tongue(value) == tongue), "")


def _phrase(words: Sequence[str], tongue: str) -> str:
    said = [word for word in words if word]
    return "".join(said) if tongue in ("zh", "ja") else " ".join(said).lower()


def _names(texts: Texts) -> list[str]:
    """Return each name, and each name with the colour in its own language."""
    found = []
    for name in texts["name"]:
        colour = _of(texts["color"], _tongue(name))
        parts = [colour, name] if _tongue(name) in ("zh", "ja") else [name, colour]
        found += (
            [name]
            if not colour or colour.casefold() in name.casefold()
            else [name, ("" if parts[0] == colour else " ").join(parts)]
        )
    return found


def _attributes(texts: Texts, values: dict[str, str]) -> list[str]:
    """Return "green wool hoodie" in each language that says at least two of colour, material and category, and the other attributes."""
    found = []
    for tongue in dict.fromkeys(map(_tongue, [*texts["category"], *texts["name"]])):
        words = [
            _of(texts[field], tongue).split(", ")[0] for field in ("color", "material", "category")
        ]
        if sum(map(bool, words)) >= 2:
            found.append(_phrase(words, tongue))
    told = {value.casefold() for field in ("color", "material") for value in texts[field]}
    others = [value for value in visible(values) if value.casefold() not in told]
    return [*found, ", ".join(others).lower()] if others else found


def _descriptions(texts: Texts, colours: Sequence[str], count: int) -> list[str]:
    """Return the first ``count`` sentences, without those that name another of the shop's ``colours`` than this product's own.

    Variants share a description that was written for one of them: "light green heathered hoodie" stands below the orange one, too.
    """
    own = {word for colour in texts["color"] for word in re.findall(r"\w+", colour.casefold())}
    strange = re.compile(
        "|".join(_word(colour) for colour in colours if colour.casefold() not in own) or "(?!)",
        re.IGNORECASE,
    )
    mine = re.compile("|".join(map(_word, sorted(own))) or "(?!)", re.IGNORECASE)
    found = [sentence for text in texts["description"] for sentence in sentences(text)]
    return [s for s in found if not own or not strange.search(s) or mine.search(s)][:count]


def _word(text: str) -> str:
    return re.escape(text) if _tongue(text) in _DENSE else rf"\b{re.escape(text)}\b"


def captions(
    texts: Texts, values: dict[str, str], colours: Sequence[str], count: int, longest: int
) -> list[dict[str, str]]:
    """Return what may be said of a product: dicts of kind (name, description, attributes, category), language and text, each text once.

    Args:
        values: its attributes.
        colours: all colours the shop knows.
        count: sentences of a description at most.
        longest: characters of a caption at most; the rest is cut off.
    """
    said = {
        "name": _names(texts),
        "description": _descriptions(texts, colours, count),
        "attributes": _attributes(texts, values),
        "category": [_phrase([name], _tongue(name)) for name in texts["category"]],
    }
    latin = language(
        clean(
            " ".join(
                text for text in [*texts["description"], *texts["name"]] if _tongue(text) == _LATIN
            )
        )
    )
    seen: set[str] = set()
    kept = []
    for kind, texts_of_kind in said.items():
        for text in (text[:longest].strip() for text in texts_of_kind):
            if text and text.casefold() not in seen:
                seen.add(text.casefold())
                own = language(text)
                kept.append(
                    {"kind": kind, "language": latin if own == "und" else own, "text": text}
                )
    return kept
