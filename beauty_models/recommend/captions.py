"""What may be said of a product: captions from its name, attributes, category and description."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import TypedDict

from beauty_models.intake.products import MARKS, Texts, clean
from beauty_models.intake.text import language, normalize


class Caption(TypedDict):
    """A text that describes a product."""

    kind: str  # name, description, attributes or category
    language: str  # ISO 639-1, or und
    text: str


# values that describe nothing one can see
EMPTY = {"", "yes", "no", "true", "false", "none", "null", "n/a"}
# "Washable." says something, "Soft" or "Size M" does not
MIN_SENTENCE = 8  # characters of a sentence that is worth a caption
MIN_SENTENCE_DENSE = 4  # the same in a language that says more with a character
DENSE = ("zh", "ja", "ko", "th")
UNSPACED = ("zh", "ja")  # written without spaces between words
LATIN = "latin"  # stands for every language that its script alone does not give away

# what ends a sentence besides a full stop: line breaks, ends of blocks, bullets
_LINE_BREAK = re.compile(
    r"<\s*(?:br|/p|/li|/div|/h\d|/tr|/td)\b[^<>]*>|[•·▪‣●■◦]|[\r\n]+", re.IGNORECASE
)
# an element whose text no visitor sees
_UNSEEN_ELEMENT = re.compile(r"<(script|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
# a full stop before a space, "1.5" is none; Chinese and Japanese put no space behind theirs
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=\S)|(?<=[。！？；])")
_WORD = re.compile(r"[^\W\d_]{3}|[\u4e00-\u9fff]")  # three letters, or a Chinese character
_NEVER = "(?!)"  # the pattern that matches nowhere; an empty one would match everywhere


def sentences(description: str) -> list[str]:
    """Return the distinct sentences of an HTML description, those long enough to say something."""
    visible = MARKS.sub("", html.unescape(_UNSEEN_ELEMENT.sub(" ", description)))
    distinct: dict[str, None] = {}  # a set that keeps its order
    for line in _LINE_BREAK.split(visible):
        for part in _SENTENCE_END.split(line):
            sentence = normalize(part).strip(" *-–—")
            dense = language(sentence) in DENSE
            if len(sentence) >= (MIN_SENTENCE_DENSE if dense else MIN_SENTENCE):
                distinct[sentence] = None
    return list(distinct)


def visible_values(attributes: dict[str, str]) -> list[str]:
    """Return the values that can be seen or felt: words, neither numbers nor yes and no."""
    return [
        value
        for value in attributes.values()
        if value.casefold() not in EMPTY and _WORD.search(value)
    ]


def _script(text: str) -> str:
    """Return the language of ``text`` where its script gives it away, else `LATIN`."""
    detected = language(text)
    return detected if detected in DENSE else LATIN


def _first_in(values: Sequence[str], script: str) -> str:
    """Return the first of ``values`` in ``script`` (as `_script` names it), or ""."""
    return next((value for value in values if _script(value) == script), "")


def _phrase(words: Sequence[str], script: str) -> str:
    """Return ``words`` as one text, those that are "" left out, as people write in ``script``."""
    words = [word for word in words if word]
    if script in UNSPACED:
        return "".join(words)
    return " ".join(words).lower()


def _names(texts: Texts) -> list[str]:
    """Return each name, and each name with the color in its own language."""
    names = []
    for name in texts["name"]:
        # with the color and without: people search for both
        names.append(name)
        color = _first_in(texts["color"], _script(name))
        if not color or color.casefold() in name.casefold():
            continue
        if _script(name) in UNSPACED:
            names.append(f"{color}{name}")
        else:
            names.append(f"{name} {color}")
    return names


def _attributes(texts: Texts, attributes: dict[str, str]) -> list[str]:
    """Return "green wool hoodie" in each language that says at least two of its three words.

    The three are color, material and category. The other attributes follow in one caption.
    """
    captions = []
    scripts = [_script(text) for text in (*texts["category"], *texts["name"])]
    for script in dict.fromkeys(scripts):
        words = []
        for field in ("color", "material", "category"):
            # of "Wool, Spandex" the first is what people call it
            words.append(_first_in(texts[field], script).split(", ")[0])
        # one word alone is the name of its kind already
        if sum(map(bool, words)) >= 2:
            captions.append(_phrase(words, script))
    # color and material stand in the caption above already
    named = {value.casefold() for field in ("color", "material") for value in texts[field]}
    others = [value for value in visible_values(attributes) if value.casefold() not in named]
    if others:
        captions.append(", ".join(others).lower())
    return captions


def _descriptions(
    texts: Texts,
    colors: Sequence[str],
    count: int,
) -> list[str]:
    """Return the first ``count`` sentences that name no other of the shop's ``colors``.

    Variants share a description that was written for one of them: "light green heathered hoodie"
    stands below the orange one, too. A sentence that names the product's own color stays.
    """
    candidates: list[str] = []
    for description in texts["description"]:
        candidates += sentences(description)
    own = set(re.findall(r"\w+", " ".join(texts["color"]).casefold()))
    if not own:
        return candidates[:count]
    own_color = _pattern_of_any(sorted(own))
    other_color = _pattern_of_any([color for color in colors if color.casefold() not in own])
    kept = [text for text in candidates if not other_color.search(text) or own_color.search(text)]
    return kept[:count]


def _pattern_of_any(words: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern that matches where any of ``words`` stands; nowhere if there are none."""
    patterns = []
    for word in words:
        escaped = re.escape(word)
        # there are no word boundaries where words are not spaced
        patterns.append(escaped if _script(word) in DENSE else rf"\b{escaped}\b")
    return re.compile("|".join(patterns) or _NEVER, re.IGNORECASE)


def _texts_by_kind(
    texts: Texts,
    attributes: dict[str, str],
    colors: Sequence[str],
    count: int,
) -> Iterator[tuple[str, str]]:
    """Yield kind and text of all captions, repeated ones, too."""
    for text in _names(texts):
        yield "name", text
    for text in _descriptions(texts, colors, count):
        yield "description", text
    for text in _attributes(texts, attributes):
        yield "attributes", text
    for text in texts["category"]:
        yield "category", _phrase([text], _script(text))


def captions(
    texts: Texts,
    attributes: dict[str, str],
    colors: Sequence[str],
    count: int,
    longest: int,
) -> list[Caption]:
    """Return what may be said of a product, each text once.

    ``texts`` are the product's own words by field, ``attributes`` its other ones by name.

    Args:
        colors: all colors the shop knows.
        count: sentences of a description at most.
        longest: characters of a caption at most; the rest is cut off.
    """
    # "green wool shirt" is too short to tell its language by, the whole description is not
    long_texts = [*texts["description"], *texts["name"]]
    latin_text = " ".join(text for text in long_texts if _script(text) == LATIN)
    latin_language = language(clean(latin_text))
    seen: set[str] = set()
    kept: list[Caption] = []
    for kind, whole in _texts_by_kind(texts, attributes, colors, count):
        text = whole[:longest].strip()
        # captions are drawn by weight: one that stands twice would be drawn twice as often
        if not text or text.casefold() in seen:
            continue
        seen.add(text.casefold())
        own_language = language(text)
        if own_language == "und":
            own_language = latin_language
        kept.append({"kind": kind, "language": own_language, "text": text})
    return kept
