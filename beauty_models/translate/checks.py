"""What is wrong with a text beside its translations: characters, language, length, numbers."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from beauty_models.intake import languages
from beauty_models.intake.text import language as language_by_script
from beauty_models.translate.chinese import is_no_japanese, variant

_MARKUP = re.compile(r"<[^<>]{1,2000}>|&#?\w{1,10};|\{[^{}]{0,100}\}|https?://\S+")
_WORD = re.compile(r"[^\W\d_]{3,}")
# French and Spanish write spaces between thousands; in "RC4 128 bits" there are two numbers
_NUMBER = re.compile(r"(?<![A-Za-z\d])\d{1,3}(?: \d{3})+(?!\d)|\d+(?:[.,]\d+)*")
_LATIN = re.compile("[A-Za-z\u00aa-\u024f\u1e00-\u1eff]")
_SCRIPTS = {
    "Han": re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]"),
    "kana": re.compile("[\u3041-\u3096\u30a1-\u30fa\u31f0-\u31ff]"),
    "Hangul": re.compile("[\uac00-\ud7af\u1100-\u11ff\u3130-\u318f]"),
    "Cyrillic": re.compile("[\u0400-\u052f]"),
    "Greek": re.compile("[\u0370-\u03ff]"),
    "Arabic": re.compile("[\u0600-\u06ff\u0750-\u077f]"),
    "Hebrew": re.compile("[\u0590-\u05ff]"),
    "Thai": re.compile("[\u0e00-\u0e7f]"),
    "Devanagari": re.compile("[\u0900-\u097f]"),
}
# ISO 639-1 code → the scripts it is written in; all others are written in Latin letters
_WRITTEN_IN = {
    "zh": {"Han"},
    "ja": {"Han", "kana"},
    "ko": {"Hangul", "Han"},
    "ru": {"Cyrillic"},
    "uk": {"Cyrillic"},
    "bg": {"Cyrillic"},
    "el": {"Greek"},
    "ar": {"Arabic"},
    "fa": {"Arabic"},
    "he": {"Hebrew"},
    "th": {"Thai"},
    "hi": {"Devanagari"},
}
FOREIGN_SHARE = 0.3  # of the letters, from which a text is in another script
FOREIGN_SHARE_BESIDE_OWN = 0.1  # where the language has its own: Latin brands fill Chinese texts
NAME_WORDS = 6  # Latin words that a Chinese shop may leave as they are: brands, models, sizes
# characters, of the longest text of a unit; below, lengths say little: XXL is extra extra large
SHORTEST_COMPARED = 40
CERTAIN = 0.999  # probability by py3langid from which one text alone is called another language
CHUNK = 120  # characters of Latin letters, put together from short texts, that it is asked about
FEWEST_CHUNKS = 3


def primary(tag: str) -> str:
    """Return the language of a tag without its region: zh of zh-TW."""
    return tag.partition("-")[0]


def script_fault(text: str, tag: str) -> str:
    """Return why ``text`` cannot be in the language ``tag`` by its characters, or ""."""
    if text.isascii() and primary(tag) not in _WRITTEN_IN:
        return ""
    plain = _MARKUP.sub(" ", text)
    mixed = _mixed_word(plain)
    if mixed:
        return f"letters of two scripts in one word ({mixed})"
    counts = {name: len(script.findall(plain)) for name, script in _SCRIPTS.items()}
    latin = len(_LATIN.findall(plain))
    letters = latin + sum(counts.values())
    if not letters:
        return ""
    own = _WRITTEN_IN.get(primary(tag), set())
    foreign = {name: count for name, count in counts.items() if count and name not in own}
    if foreign:
        name = max(foreign, key=lambda name: foreign[name])
        # a lone の in Chinese is a fashion, a Greek letter a formula (μ-law)
        limit = (FOREIGN_SHARE_BESIDE_OWN if own else FOREIGN_SHARE) * letters
        if foreign[name] > max(1, limit):
            return f"written in {name}"
    if own and latin == letters and len(_WORD.findall(plain)) > NAME_WORDS:
        return "written in Latin letters"
    return _chinese_fault(plain, tag)


def _mixed_word(text: str) -> str:
    """Return a word that mixes Latin letters with their Cyrillic or Greek twins, or ""."""
    for match in _WORD.finditer(text):
        word = match[0]
        if word.isascii() or not _LATIN.search(word):
            continue
        if _SCRIPTS["Cyrillic"].search(word) or _SCRIPTS["Greek"].search(word):
            return word[:40]
    return ""


def _chinese_fault(text: str, tag: str) -> str:
    # a text with kana is Japanese, whatever Han it has
    if primary(tag) == "ja" and not _SCRIPTS["kana"].search(text) and is_no_japanese(text):
        return "in simplified Chinese characters"
    if primary(tag) != "zh":
        return ""
    written = variant(text)
    return f"in {written} characters" if written not in ("", _variant_of(tag)) else ""


def _variant_of(tag: str) -> str:
    return "traditional" if tag in ("zh-TW", "zh-HK", "zh-MO", "zh-Hant") else "simplified"


def language_fault(text: str, tag: str, others: Sequence[str]) -> str:
    """Return why ``text`` alone is surely in one of the ``others`` languages, or "".

    Only long texts in Latin letters are asked about: of short ones nobody can tell.
    """
    if len(text) < languages.SHORTEST or primary(tag) not in languages.KNOWN:
        return ""
    if not is_latin(tag) or text.isupper():
        return ""
    code, probability = languages.classify(_MARKUP.sub(" ", text))
    delivered = {primary(other) for other in others}
    if code == primary(tag) or code not in delivered or probability < CERTAIN:
        return ""
    return f"in the language {code}"


def is_latin(tag: str) -> bool:
    """Return whether the language ``tag`` is written in Latin letters."""
    return primary(tag) not in _WRITTEN_IN


def column_languages(texts: Sequence[str], tag: str) -> Counter[str]:
    """Return language → how many pieces of a column's ``texts`` are in it.

    Short texts are put together until they say enough; what nobody can tell does not count.
    """
    votes: Counter[str] = Counter()
    if primary(tag) == "zh":
        return _chinese_votes(texts, tag)
    if not is_latin(tag):
        for text in texts:
            votes[language_by_script(text)] += 1
        votes.pop("und", None)
        return votes
    piece = ""
    for text in texts:
        piece = f"{piece} {text}" if piece else text
        if len(piece) >= CHUNK:
            # English is told by its own small words; the rest by py3langid
            votes[languages.classify(_MARKUP.sub(" ", piece))[0]] += 1
            piece = ""
    return votes


def _chinese_votes(texts: Sequence[str], tag: str) -> Counter[str]:
    """As `column_languages`; traditional is another language where simplified Chinese is due.

    A text that may be either is Chinese and no more.
    """
    votes: Counter[str] = Counter()
    for text in texts:
        code = language_by_script(text)
        written = variant(text)
        if code == "zh" and written:
            code = "zh" if written == _variant_of(tag) else f"{written} Chinese"
        # one that tells no variant would outvote those that do
        if written or code not in ("zh", "und"):
            votes[code] += 1
    return votes


def wrong_language(votes: Counter[str], tag: str, limit: float) -> str:
    """Return the language that a column holds by its ``votes`` instead of ``tag``, or ""."""
    if primary(tag) not in (*languages.KNOWN, *_WRITTEN_IN):
        return ""
    total = sum(votes.values())
    wrong = total - votes[primary(tag)]
    if total < FEWEST_CHUNKS or wrong <= limit * total:
        return ""
    others = Counter({code: count for code, count in votes.items() if code != primary(tag)})
    return others.most_common(1)[0][0]


def length_faults(texts: Mapping[str, str], limit: float) -> dict[str, str]:
    """Return language → why a text says far more or less than the others of its unit.

    Lengths are compared as those of Latin letters. Of two texts nobody knows which is wrong, so
    both are.
    """
    sizes = {}
    for tag, text in texts.items():
        sizes[tag] = latin_size(text, tag)
    if len(sizes) < 2 or max(sizes.values()) < SHORTEST_COMPARED:
        return {}
    if len(sizes) == 2:
        smaller, larger = sorted(sizes.values())
        if larger <= limit * smaller:
            return {}
        reason = f"misaligned: one side says {larger / smaller:.0f} times as much as the other"
        return dict.fromkeys(sizes, reason)
    middle = statistics.median(sizes.values())
    faults = {}
    for tag, size in sizes.items():
        ratio = max(size / middle, middle / size)
        if ratio > limit and max(size, middle) >= SHORTEST_COMPARED:
            faults[tag] = f"misaligned: {ratio:.0f} times longer or shorter than the others"
    return faults


def latin_size(text: str, tag: str) -> float:
    """Return about how many Latin letters would say as much as ``text``; markup says nothing."""
    text = _MARKUP.sub("", text).strip()
    wide = sum(character >= "\u2e80" for character in text)
    return max(1.0, len(text) - wide + wide * languages.WIDTH.get(primary(tag), 1.0))


def number_faults(texts: Mapping[str, str]) -> dict[str, str]:
    """Return language → why the numbers of a text are others than those of its translations.

    Only numbers of two digits and more count: a 2 may be written out. A text is at fault when it
    shares none with most of the others that have numbers.
    """
    numbers = {tag: _numbers(text) for tag, text in texts.items()}
    numbers = {tag: found for tag, found in numbers.items() if found}
    faults = {}
    for tag, found in numbers.items():
        others = [other for name, other in numbers.items() if name != tag]
        against = sum(found.isdisjoint(other) for other in others)
        if others and against > len(others) / 2:
            shown = max(sorted(found), key=len)
            faults[tag] = f"misaligned: the number {shown} is in no other language"
    return faults


def _numbers(text: str) -> set[str]:
    plain = unicodedata.normalize("NFKC", _MARKUP.sub(" ", text))
    found = set()
    for match in _NUMBER.finditer(plain):
        # 7.0 is 7, but 10,000 is not 10
        whole = re.sub(r"[.,]0{1,2}$", "", match[0])
        # 802.3 may be written 802 3 elsewhere, 1,200 as 1200
        for written in (re.sub(r"\D", "", whole), *re.findall(r"\d+", whole)):
            digits = written.lstrip("0")
            if len(digits) > 1:
                found.add(digits)
    return found
