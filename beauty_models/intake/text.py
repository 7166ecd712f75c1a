"""What a text says, in one form: clean it, know it again, find the texts nearly equal to it, its language and its words."""

from __future__ import annotations

import functools
import hashlib
import html
import logging
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SHINGLE = 3  # characters; three code points of 21 bits fill one 64-bit integer
BITS = 512  # of a sketch

_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]{0,500}>", re.DOTALL)
_CONTROL = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufffd]"
)
_NOT_TOLD_APART = re.compile(
    r"[\s.,!?;:~'\"`…·。、「」“”‘’—-]+"
)  # brackets stay: they make smileys
_SCRIPTS = {
    "ja": re.compile("[\u3041-\u30ff\u31f0-\u31ff]"),
    "zh": re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]"),
    "ko": re.compile("[\uac00-\ud7af\u1100-\u11ff\u3130-\u318f]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
    "el": re.compile("[\u0370-\u03ff]"),
    "he": re.compile("[\u0590-\u05ff]"),
}
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")
_ENGLISH = re.compile(
    r"\b(?:the|and|it|this|that|these|those|of|to|with|for|very|not|don't|didn't|my|you|your|are|were|have|had|has|but|they|them|i|would|so|just|really"
    r"|too|when|which|there|what|than|good|great|nice|love|loved|bad|beautiful|well|product|colou?r|bought|size|like|from|will)\b"
)
_LETTER = (
    "(?:(?![\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af])[^\\W_])"
)
_WORD = re.compile(
    f"(?P<han>[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]+)|[\u3041-\u309f]+|[\u30a0-\u30ff]+|{_LETTER}+(?:['’]{_LETTER}+)*|\\S"
)


def normalise(text: str) -> str:
    """Return ``text`` as plain NFKC text on one line: no HTML, no control, zero-width or replacement characters, single spaces.

    NFKC (Unicode Standard Annex 15) makes full-width letters and punctuation narrow.
    """
    text = _TAG.sub(" ", html.unescape(text))
    return " ".join(_CONTROL.sub("", unicodedata.normalize("NFKC", text)).split())


def _bare(text: str) -> str:
    return _NOT_TOLD_APART.sub("", text.casefold()) or text


def fingerprint(text: str) -> str:
    """Return 32 hexadecimal digits that are equal for texts that differ in capitals, spaces or punctuation at most."""
    return hashlib.sha256(_bare(text).encode()).hexdigest()[:32]


def shingles(text: str) -> NDArray[np.int64]:
    """Return the sorted distinct shingles of ``text``: runs of `SHINGLE` characters, each packed into one integer.

    Capitals, spaces and punctuation do not count; a text shorter than a shingle is one shingle.
    """
    points = np.frombuffer(
        _bare(text).ljust(SHINGLE, "\0").encode("utf-32-le"), dtype="<u4"
    ).astype(np.int64)
    return np.unique(points[:-2] << 42 | points[1:-1] << 21 | points[2:])


def _ranks(sets: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Return each set as sorted ranks, the rarest shingle of all first; similarity is unchanged."""
    if not sets:
        return []
    values, places, counts = np.unique(
        np.concatenate(sets), return_inverse=True, return_counts=True
    )
    rank = np.empty(len(values), dtype=np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(values))
    ends = np.cumsum([len(s) for s in sets])[:-1]
    return [np.sort(part) for part in np.split(rank[places], ends)]


def _sketches(sets: Sequence[NDArray[np.int64]]) -> NDArray[np.uint64]:
    """Return one row of `BITS` bits per set: bit ``member mod BITS`` is on."""
    bits = np.zeros((len(sets), BITS), dtype=bool)
    for row, members in zip(bits, sets, strict=True):
        row[members % BITS] = True
    return np.packbits(bits, axis=1).view(np.uint64)


def near_duplicates(texts: Sequence[str], threshold: float) -> list[int]:
    """Return for each text the index of the earlier text that it nearly repeats, or -1.

    A text is kept when no kept text before it has a Jaccard similarity of `shingles` of at least ``threshold`` (0–1) with it,
    so no two kept texts are that similar. The answer is exact; two filters that never lose a pair make it fast. Sets
    that similar share one of their ``n - ceil(threshold·n) + 1`` rarest members (prefix filter: Chaudhuri et al. 2006,
    Bayardo et al. 2007), and their sketches differ in no more bits than the sets in members (bitmap filter: Sandes et al. 2020).
    """
    assert 0 < threshold <= 1, threshold
    sets = _ranks([shingles(text) for text in texts])
    sizes, sketches = np.array([len(s) for s in sets], dtype=np.int64), _sketches(sets)
    kept_with: dict[int, list[int]] = defaultdict(list)
    repeats = []
    for index, members in enumerate(sets):
        least = math.ceil(threshold * len(members) - 1e-9)
        prefix = members[: len(members) - least + 1].tolist()
        met = np.array(
            sorted(set().union(*(kept_with.get(member, ()) for member in prefix))), dtype=np.int64
        )
        both = sizes[met] + len(members)
        apart = np.bitwise_count(sketches[met] ^ sketches[index]).sum(axis=1)
        met = met[apart <= both * (1 - threshold) / (1 + threshold) + 1e-9]
        match = next(
            (int(other) for other in met if _similarity(members, sets[other]) >= threshold - 1e-9),
            -1,
        )
        repeats.append(match)
        if match < 0:
            for member in prefix:
                kept_with[member].append(index)
    return repeats


def _similarity(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)


def language(text: str) -> str:
    """Return the ISO 639-1 code that the script or, for Latin letters, common English words give away; else ``und``.

    A Han, kana or Hangul character counts as two Latin letters. No other language in Latin letters is told from the rest.
    """
    counts = {code: len(script.findall(text)) for code, script in _SCRIPTS.items()}
    if counts["ja"] > 0.1 * (
        counts["ja"] + counts["zh"]
    ):  # a lone の in Chinese is a fashion, not Japanese
        counts["ja"] += counts.pop("zh")
    code = max(counts, key=lambda name: counts[name])
    if counts[code] * 2 > len(_LATIN.findall(text)):
        return code
    english = len(_ENGLISH.findall(text.casefold().replace("’", "'")))
    return "en" if english and english >= 0.1 * len(text.split()) else "und"


@functools.cache
def _chinese() -> object:
    import jieba

    jieba.setLogLevel(logging.ERROR)
    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(
        tokenizer.get_dict_file()
    )  # not by a cache file in /tmp
    tokenizer.initialized = True
    return tokenizer


def words(text: str) -> list[str]:
    """Return the words of ``text`` in order; joined they are the text without its white space.

    Runs of Han characters are cut by jieba, kana where the script changes, everything else at spaces and symbols,
    each symbol a word of its own.
    """
    found: list[str] = []
    for match in _WORD.finditer(text):
        if match.lastgroup == "han":
            found.extend(_chinese().lcut(match.group()))  # type: ignore[attr-defined]
        else:
            found.append(match.group())
    return found
