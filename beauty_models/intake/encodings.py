"""In which encoding a text was delivered: told by its letters, and refused where two fit."""

from __future__ import annotations

import codecs
import io
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
    "utf-16-le",
    "utf-16-be",
    "cp1252",  # Western Europe
    "cp1250",  # Central Europe
    "iso8859-2",
    "cp1251",  # Cyrillic
    "koi8-r",
    "cp1253",  # Greek
    "cp1254",  # Turkish
    "cp1255",  # Hebrew
    "cp1256",  # Arabic
    "cp1257",  # Baltic
    "cp1258",  # Vietnamese
    "cp874",  # Thai
    "iso8859-5",  # Cyrillic
    "iso8859-6",  # Arabic
    "mac_roman",
    "mac_latin2",  # Central Europe
    "mac_turkish",
    "mac_greek",
    "mac_cyrillic",
    "cp850",  # DOS in Western Europe
    "cp852",  # DOS in Central Europe
    "cp857",  # DOS in Turkey
    "cp737",  # DOS in Greece
    "cp775",  # DOS in the Baltics
    "cp866",  # DOS in Russia
]
WIDE_LEAD = 0.1  # of the best guess's score, before the second one
SIMILAR = 0.98  # of the best guess's score: a second one as good, and nobody knows which is meant
_CONTROLS = re.compile("[\x80-\x9f]")
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
    if encoding:
        if encoding != "utf-8":
            account.guess(
                "encoding", encoding, sure="certain", evidence="its byte order mark", file=name
            )
        return encoding
    if _is_utf8(stream):
        return "utf-8"
    told = account.reading().encoding
    if told != "auto":
        evidence = "ingest.reading.encoding"
        account.guess("encoding", told, sure="certain", evidence=evidence, file=name)
        return told
    stream.seek(0)
    samples = _lines_and_words(stream, head)
    found = _guessed_encoding(samples, name)
    count = samples[0].count(b"\n") or 1
    account.guess(
        "encoding",
        f"{found.encoding} ({found.language})" if found.language else found.encoding,
        # One line alone was read wrongly once in a hundred samples, three lines never.
        sure="certain" if count >= account.ENOUGH and found.lead >= WIDE_LEAD else "likely",
        evidence=f"letters of {count:,} lines, {found.lead:.0%} ahead of the next",
        file=name,
    )
    return found.encoding


def marked_encoding(head: bytes) -> str:
    """Return the encoding whose byte order mark a file begins with, or ""."""
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return encoding
    return ""


class _Reading(NamedTuple):
    """A sample in one of the encodings that fit it."""

    text: str
    encoding: str  # Python's name
    language: str
    score: float
    lead: float = 1.0  # of the next reading's score, as a share of this one's


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
    words = [word for word in _WORD_ENDS.split(sample) if not word.isascii()]
    return [sample, b" ".join(words)]


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
            if _CONTROLS.search(text):
                continue  # C1 control characters, which no text has: another encoding's letters
            reading = _Reading(text, encoding, guess["language"] or "", guess["confidence"])
            by_text.setdefault(text, reading)
    return sorted(by_text.values(), key=lambda reading: reading.score, reverse=True)


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
        if readings and readings[1].score < SIMILAR * readings[0].score:
            return readings[0]._replace(lead=1 - readings[1].score / readings[0].score)
    if not readings:
        raise ValueError(
            f"{name}: neither UTF-8 nor any of {', '.join(ENCODINGS)}; save it as UTF-8"
            + _or_set("NAME")
        )
    first, second = readings[:2]
    raise ValueError(
        f"{name}: not UTF-8, and it may be {first.encoding} ({first.text[:20]!r} …) as well as "
        f"{second.encoding} ({second.text[:20]!r} …); save it as UTF-8" + _or_set(first.encoding)
    )


def _or_set(encoding: str) -> str:
    """Return the rest of a message: the option that says the encoding."""
    option = account.remedy("reading.encoding", encoding)
    return f", or say which with {option}" if option else ""


def decode(content: bytes, name: str) -> str:
    """Return ``content`` as text without BOMs and NULs, in the encoding that `encoding_of` finds.

    What does not fit it becomes a lone surrogate.
    """
    encoding = encoding_of(io.BytesIO(content), name)
    return content.decode(encoding, "lost").translate({0xFEFF: None, 0: None})
