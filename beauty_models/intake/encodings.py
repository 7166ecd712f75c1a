"""In which encoding a text was delivered: told by its letters, and refused where two fit."""

from __future__ import annotations

import codecs
import io
import itertools
import re
import warnings
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple

import chardet

from beauty_models.intake import account

GUESSED_BY = 200_000  # bytes of a file that is not UTF-8, by which its encoding is guessed
BEGINNING = 4_096  # bytes in which a byte order mark, or the zeros of UTF-16, are looked for
# What chardet may answer: the encodings in which shops, Excel and old tills export, and no others.
# By Python's names; those that differ from one here in a letter or two are left out, for nobody
# could tell which one it is.
ENCODINGS = [
    "gb18030",
    "big5",
    "cp932",  # Shift JIS as Windows writes it
    "euc-jp",
    "cp949",
    "cp1252",  # Western Europe
    "iso8859-15",  # the same with the euro in another place
    "cp1250",  # Central Europe
    "iso8859-2",
    "cp1251",  # Cyrillic
    "iso8859-5",
    "koi8-u",  # and its Russian elder, which has no letters in its place
    "cp1253",  # Greek
    "cp1254",  # Turkish
    "cp1255",  # Hebrew
    "cp1256",  # Arabic
    "iso8859-6",
    "cp1257",  # Baltic
    "cp1258",  # Vietnamese
    "cp874",  # Thai
    "mac_roman",
    "mac_latin2",  # Central Europe
    "mac_turkish",
    "mac_greek",
    "mac_cyrillic",
    "cp850",  # DOS in Western Europe
    "cp858",  # the same with the euro
    "cp852",  # DOS in Central Europe
    "cp857",  # DOS in Turkey
    "cp737",  # DOS in Greece
    "cp775",  # DOS in the Baltics
    "cp862",  # DOS in Israel
    "cp866",  # DOS in Russia
]
WIDE_LEAD = 0.1  # of the best guess's score, before the second one
SIMILAR = 0.98  # of the best guess's score: a second one as good, and nobody knows which is meant
FEW_WORDS = 3  # distinct ones with other letters: up to so many they say little, and then
CLEAR = 0.6  # of the best guess's score is what a second one may have at most
FEWEST_ZEROS = 0.02  # of the bytes, in UTF-16; a few zeros are dirt
ALMOST_ALL = 0.95
# Times as many zeros in the one half of the letters as in the other: 一, frequent in Chinese, is
# U+4E00 and has one in the wrong half.
ONE_SIDE = 3
# What no text has: C1 control characters, pieces of boxes, letters of private use, the currency
# sign, a price in dotless i; where these two stand another encoding has the euro.
_CONTROLS = re.compile("[\x80-\x9f\u2500-\u259f\ue000-\uf8ff\xa4]|\\d ?ı(?!\\w)")
# What no word has: fractions before letters, digits and signs between them.
_ODD_WORD = re.compile(
    "[¼½¾][a-zß-ÿ]|[^\\W\\d_][\\d@§¨©¬®±²³¸¹º»«°¿¡£¥≤≈√∙†‡‰ˆ˜™„“”‹›…]+[^\\W\\d_]"
)
_WORD = re.compile('\\w[^\\s,;"]*')
MOST_ODD = 0.15  # of the words with other letters: brands and slips of the keyboard are odd
# Signs where English has them: apostrophes, quotes, dashes, prices, degrees, fractions, marks.
_SIGNS = re.compile(
    r"(?<=\w)’|[‘“](?=\w)|(?<=[\w.,!?%)])[”’]|(?<=[\w\s.!?,])[–—…]|[€£¥]\s?(?=\d)|(?<=\d)\s?[€£¥]"
    r"|(?<=\d)[°½¼¾]|(?<=\s)[½¼¾](?=\s)|(?<=\w)[™®©]|[•·](?=\s)|(?<=\S)\xa0(?=\S)|×(?=\s?\d)"
)
_ENGLISH = re.compile(
    r"\b(?:the|and|is|it|to|for|this|was|of|my|with|not|but|are|they|so|have|these|that|very|on)\b",
    re.IGNORECASE,
)
ENGLISH_SHARE = 0.1  # of the words; a review has 30 to 40 %
_SCRIPTS = [
    re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]"),
    re.compile("[\u0370-\u03ff]"),
    re.compile("[\u0400-\u04ff]"),
    re.compile("[\u0590-\u05ff]"),
    re.compile("[\u0600-\u06ff]"),
    re.compile("[\u0e00-\u0e7f]"),
]
# Between words; no byte of these is a part of a letter in any of `ENCODINGS` but UTF-16.
_WORD_ENDS = re.compile(rb"""[\s,;"]+""")
# The longer mark first: that of UTF-16-LE begins that of UTF-32-LE.
_BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_ESCAPES = {
    re.compile(rb"\x1b\$[B@]"): "iso2022_jp",
    re.compile(rb"\x1b\$\)C"): "iso2022_kr",
    re.compile(rb"~\{(?:[!-w][!-~])+~\}"): "hz",
}
# Bytes that do not fit the encoding become a lone surrogate, which no valid text can hold, so that
# they can be told from a replacement character that was delivered.
LOST = re.compile("[\ud800-\udfff]")
codecs.register_error("lost", lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]


def _is_utf8(lines: Iterable[bytes]) -> bool:
    """Return whether of the lines that are not ASCII nine of ten are UTF-8."""
    total = 0
    broken = 0
    for line in lines:
        if line.isascii():
            continue
        total += 1
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            broken += 1
    return broken <= 0.1 * total


def encoding_of(stream: BinaryIO, name: str) -> str:
    """Return the encoding of the text in ``stream``; ``name`` is for the messages.

    A byte order mark decides; else it is UTF-8 when 9 of 10 lines that are not ASCII are valid;
    else it is what ``ingest.reading.encoding`` says; else chardet guesses by lines with other
    letters from the whole file.

    Raises:
        ValueError: nothing fits, or two encodings fit that read the letters differently.
    """
    head = stream.read(BEGINNING)
    stream.seek(0)
    encoding = marked_encoding(head)
    wide = "" if encoding else _wide_encoding(head)
    if wide:
        evidence = "zeros beside its letters"
        account.guess("encoding", wide, sure="certain", evidence=evidence, file=name)
        return wide
    if encoding:
        if encoding != "utf-8":
            account.guess(
                "encoding", encoding, sure="certain", evidence="its byte order mark", file=name
            )
        return encoding
    if _is_utf8(stream):
        stream.seek(0)
        return _escaped_encoding(stream, name) or "utf-8"
    told = account.reading().encoding
    if told != "auto":
        evidence = "ingest.reading.encoding"
        account.guess("encoding", told, sure="certain", evidence=evidence, file=name)
        return told
    stream.seek(0)
    samples = _lines_and_words(stream, head)
    found = _guessed_encoding(samples, name)
    count = samples[0].count(b"\n") or 1
    counted = f"{count:,} lines" if count > 1 else "one line"
    evidence = f"letters of {counted}, {found.lead:.0%} ahead of the next"
    if found.by_signs:
        evidence = f"signs of {counted} in English, each where it belongs"
    account.guess(
        "encoding",
        f"{found.encoding} ({found.language})" if found.language else found.encoding,
        # One line alone was read wrongly once in a hundred samples, three lines never.
        sure="certain" if count >= account.ENOUGH and found.lead >= WIDE_LEAD else "likely",
        evidence=evidence,
        file=name,
    )
    return found.encoding


def marked_encoding(head: bytes) -> str:
    """Return the encoding whose byte order mark a file begins with, or ""."""
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return encoding
    return ""


def _wide_encoding(head: bytes) -> str:
    """Return the encoding of text with two or four bytes a letter and no mark, or "".

    Commas, digits and line ends then have a zero in every other byte, while Cyrillic letters have a
    4: without the zeros such a text is valid UTF-8, and another one.
    """
    if head.count(0) < FEWEST_ZEROS * len(head):
        return ""
    places = [sum(byte == 0 for byte in head[place::4]) for place in range(4)]
    quarter = max(1, len(head) // 4)
    # UTF-32 has no letter above 0x10FFFF: of each four bytes one is always 0, the second almost.
    if places[3] >= ALMOST_ALL * quarter and places[2] >= ALMOST_ALL * quarter:
        return "utf-32-le"
    if places[0] >= ALMOST_ALL * quarter and places[1] >= ALMOST_ALL * quarter:
        return "utf-32-be"
    even = places[0] + places[2]
    odd = places[1] + places[3]
    if odd > ONE_SIDE * even:
        return "utf-16-le"
    return "utf-16-be" if even > ONE_SIDE * odd else ""


def _escaped_encoding(stream: BinaryIO, name: str) -> str:
    """Return the encoding of ASCII that says other letters by escapes, as e-mails do, or ""."""
    found = ""
    for line in stream:
        if not line.isascii():
            return ""  # the escapes are then a text's: a smiley such as ~{o~}
        if found or b"\x1b$" not in line and b"~{" not in line:
            continue
        found = next((code for mark, code in _ESCAPES.items() if mark.search(line)), "")
    if found:
        account.guess("encoding", found, sure="certain", evidence="its escapes", file=name)
    return found


class _Reading(NamedTuple):
    """A sample in one of the encodings that fit it."""

    text: str
    encoding: str  # Python's name
    language: str
    score: float
    lead: float = 1.0  # of the next reading's score, as a share of this one's
    by_signs: bool = False


def _lines_and_words(stream: BinaryIO, head: bytes) -> list[bytes]:
    """Return lines that are not ASCII from everywhere in ``stream``, and their words that are not.

    The first bytes alone say nothing where the accents begin late. Of what looks like UTF-16, whose
    lines do not end with a byte, the beginning.
    """
    if b"\0" in head:
        return [stream.read(GUESSED_BY)]
    lines = [line for line in stream if not line.isascii()]
    size = sum(map(len, lines))
    sample = b"".join(lines[:: max(1, size // GUESSED_BY)])[:GUESSED_BY]
    return [sample, b" ".join(_other_words(sample))]


def _other_words(sample: bytes) -> list[bytes]:
    """Return the words of ``sample`` that are not ASCII."""
    return [word for word in _WORD_ENDS.split(sample) if not word.isascii()]


def _readings(sample: bytes) -> list[_Reading]:
    """Return the readings of ``sample`` that differ, the likeliest first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that its own fallback, cp1252, may be left out
        guesses = chardet.detect_all(
            sample, ignore_threshold=True, include_encodings=ENCODINGS, max_bytes=GUESSED_BY
        )
    by_text: dict[str, _Reading] = {}
    for guess in guesses:
        if guess["encoding"]:
            encoding = codecs.lookup(guess["encoding"]).name
            # Half a character may stand at the sample's end, and a few bytes may be damaged.
            text = sample.decode(encoding, "replace")
            if _is_nonsense(text):
                continue  # another encoding's letters
            reading = _Reading(text, encoding, guess["language"] or "", guess["confidence"])
            by_text.setdefault(text, reading)
    return sorted(by_text.values(), key=lambda reading: reading.score, reverse=True)


def _is_nonsense(text: str) -> bool:
    """Return whether ``text`` has what people do not write, too often for a slip."""
    if _CONTROLS.search(text):
        return True
    words = [word for word in _WORD.findall(text) if not word.isascii()]
    odd = sum(map(_is_odd, words))
    return odd > MOST_ODD * len(words)


def _is_odd(word: str) -> bool:
    """Return whether ``word`` mixes scripts, signs or capitals as no word does."""
    if _ODD_WORD.search(word) or sum(bool(script.search(word)) for script in _SCRIPTS) > 1:
        return True
    return any(a.islower() and b.isupper() for a, b in itertools.pairwise(word))


def _is_english_with_signs(text: str) -> bool:
    """Return whether ``text`` is English whose only other characters are signs in their places.

    In other languages a letter may stand where English has a sign: a Mac's país is pa’s.
    """
    if not _SIGNS.sub("", text).isascii():
        return False
    words = len(text.split())
    return len(_ENGLISH.findall(text)) >= ENGLISH_SHARE * words


def _guessed_encoding(samples: Iterable[bytes], name: str) -> _Reading:
    """Return how to read a file, by the first of ``samples`` that is plain.

    Raises:
        ValueError: nothing fits, or two readings fit about as well.
    """
    readings: list[_Reading] = []
    for sample in samples:
        readings = _readings(sample)
        # Among many English words three French ones hardly count: then the words decide.
        if len(readings) == 1:
            return readings[0]
        # Windows writes It’s; chardet sees a letter as well in it, and nobody writes Itís.
        signs = [reading for reading in readings if _is_english_with_signs(reading.text)]
        if len(signs) == 1:
            return signs[0]._replace(language="en", by_signs=True)
        few = len(set(_other_words(sample))) <= FEW_WORDS
        most = CLEAR if few else SIMILAR
        if readings and readings[1].score < most * readings[0].score:
            return readings[0]._replace(lead=1 - readings[1].score / readings[0].score)
        if few and readings:
            break  # alone they say even less
    if not readings:
        raise ValueError(
            f"{name}: neither UTF-8 nor any of {', '.join(ENCODINGS)}; save it as UTF-8"
            + _or_set("NAME")
        )
    first, second = readings[:2]
    raise ValueError(
        f"{name}: not UTF-8, and it may be {first.encoding} ({first.text[:20]!r} …) as well as "
        f"{second.encoding} ({second.text[:20]!r} …); save it as UTF-8"
        + _or_set(first.encoding, second.encoding)
    )


def _or_set(encoding: str, other: str = "") -> str:
    """Return the rest of a message: the option that says the encoding, "" where there is none."""
    option = account.remedy("reading.encoding", encoding)
    if not option:
        return ""
    # the option is pasted as it stands: what else it may be has to be seen, too
    return f", or say which with {option}" + (f" (or {other})" if other else "")


def decode(content: bytes, name: str) -> str:
    """Return ``content`` as text without BOMs and NULs, in the encoding that `encoding_of` finds.

    What does not fit it becomes a lone surrogate.
    """
    encoding = encoding_of(io.BytesIO(content), name)
    return clean(content.decode(encoding, "lost"))


def clean(text: str) -> str:
    """Return ``text`` without byte order marks and NULs."""
    return text.replace("\ufeff", "").replace("\0", "")
