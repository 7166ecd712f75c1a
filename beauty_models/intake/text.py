"""What a text says, in one form: clean it, know it and its near copies again, language, words."""

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
SKETCH_BITS = 512
ROUNDING = 1e-9  # how much a product of floats may be off where it is compared with a count

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]{0,500}>", re.DOTALL)
# Control and zero-width characters, marks of direction, byte order and replacement marks.
_CONTROL = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufffd]"
)
# What two equal texts may differ in. Brackets are not among it: they make smileys.
_PUNCTUATION = re.compile(r"[\s.,!?;:~'\"`…·。、「」“”‘’—-]+")
_SCRIPTS = {
    "ja": re.compile("[\u3041-\u30ff\u31f0-\u31ff]"),
    "zh": re.compile(f"[{_HAN}]"),
    "ko": re.compile("[\uac00-\ud7af\u1100-\u11ff\u3130-\u318f]"),
    "th": re.compile("[\u0e00-\u0e7f]"),
    "el": re.compile("[\u0370-\u03ff]"),
    "he": re.compile("[\u0590-\u05ff]"),
}
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")
_ENGLISH = re.compile(
    r"\b(?:the|and|it|this|that|these|those|of|to|with|for|very|not|don't|didn't|my|you|your|are"
    r"|were|have|had|has|but|they|them|i|would|so|just|really|too|when|which|there|what|than|good"
    r"|great|nice|love|loved|bad|beautiful|well|product|colou?r|bought|size|like|from|will)\b"
)
_LETTER = f"(?:(?![\u3041-\u30ff{_HAN}])[^\\W_])"
# A run of Han, hiragana or katakana, a word of other letters with its apostrophes, or one symbol.
_WORD = re.compile(
    f"(?P<han>[{_HAN}]+)|[\u3041-\u309f]+|[\u30a0-\u30ff]+|{_LETTER}+(?:['’]{_LETTER}+)*|\\S"
)


def normalize(text: str) -> str:
    """Return ``text`` as plain NFKC text on one line.

    No HTML, no control, zero-width or replacement characters, single spaces. NFKC (Unicode Standard
    Annex 15) makes full-width letters and punctuation narrow.
    """
    # Entities before tags: what is delivered as &lt;br&gt; is a tag that was escaped.
    plain = _TAG.sub(" ", html.unescape(text))
    narrow = unicodedata.normalize("NFKC", plain)
    visible = _CONTROL.sub("", narrow)
    return " ".join(visible.split())


def _bare(text: str) -> str:
    """Return ``text`` without capitals, spaces and punctuation, unless it has nothing else."""
    return _PUNCTUATION.sub("", text.casefold()) or text


def fingerprint(text: str) -> str:
    """Return 32 hexadecimal digits; capitals, spaces and punctuation of ``text`` do not count."""
    digest = hashlib.sha256(_bare(text).encode())
    return digest.hexdigest()[:32]


def shingles(text: str) -> NDArray[np.int64]:
    """Return the sorted distinct runs of `SHINGLE` characters, each packed into one integer.

    Capitals, spaces and punctuation do not count; a text shorter than a shingle is one shingle.
    """
    padded = _bare(text).ljust(SHINGLE, "\0")
    encoded = padded.encode("utf-32-le")
    points = np.frombuffer(encoded, dtype="<u4").astype(np.int64)
    first = points[:-2]
    second = points[1:-1]
    third = points[2:]
    return np.unique(first << 42 | second << 21 | third)


def _ranks(sets: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Return each set as sorted ranks, the rarest shingle of all first; similarity is unchanged."""
    # np.concatenate refuses an empty list.
    if not sets:
        return []
    members_of_all = np.concatenate(sets)
    values, places, counts = np.unique(members_of_all, return_inverse=True, return_counts=True)
    rarest_first = np.argsort(counts, kind="stable")
    rank = np.empty(len(values), dtype=np.int64)
    rank[rarest_first] = np.arange(len(values))
    # Where one set ends and the next begins in the ranks of all.
    ends = np.cumsum([len(members) for members in sets])
    ranks_of_sets = np.split(rank[places], ends[:-1])
    return [np.sort(ranks) for ranks in ranks_of_sets]


def _sketches(sets: Sequence[NDArray[np.int64]]) -> NDArray[np.uint64]:
    """Return one row of `SKETCH_BITS` bits per set: bit ``member mod SKETCH_BITS`` is on."""
    bits = np.zeros((len(sets), SKETCH_BITS), dtype=bool)
    for row, members in zip(bits, sets, strict=True):
        row[members % SKETCH_BITS] = True
    return np.packbits(bits, axis=1).view(np.uint64)


def near_duplicates(texts: Sequence[str], threshold: float) -> list[int]:
    """Return for each text the index of the earlier text that it nearly repeats, or -1.

    A text is kept when no kept text before it has a Jaccard similarity of `shingles` of at least
    ``threshold`` (0–1) with it, so no two kept texts are that similar. The answer is exact, where
    MinHash would miss pairs; two filters that never lose a pair make it fast.
    """
    assert 0 < threshold <= 1, threshold
    sets = _ranks([shingles(text) for text in texts])
    sizes = np.array([len(members) for members in sets], dtype=np.int64)
    sketches = _sketches(sets)
    kept_with: dict[int, list[int]] = defaultdict(list)  # rare member → kept texts that have it
    originals = []
    for index, members in enumerate(sets):
        prefix = _rarest(members, threshold)
        sharing: set[int] = set()
        for member in prefix:
            sharing.update(kept_with.get(member, ()))
        candidates = np.array(sorted(sharing), dtype=np.int64)
        # Bitmap filter (Sandes et al. 2020): two sketches differ in no more bits than the sets do
        # in members, and sets that similar differ in no more than this many.
        both = sizes[candidates] + len(members)
        most_apart = both * (1 - threshold) / (1 + threshold) + ROUNDING
        differing = sketches[candidates] ^ sketches[index]
        apart = np.bitwise_count(differing).sum(axis=1)
        original = -1
        for candidate in candidates[apart <= most_apart].tolist():
            if _jaccard(members, sets[candidate]) >= threshold - ROUNDING:
                original = candidate
                break
        originals.append(original)
        # Only kept texts are compared with, or a chain of small changes would end far from where
        # it began.
        if original < 0:
            for member in prefix:
                kept_with[member].append(index)
    return originals


def _rarest(members: NDArray[np.int64], threshold: float) -> list[int]:
    """Return the rarest members of a set, one of which every set has that is similar to it."""
    # Prefix filter (Chaudhuri et al. 2006, Bayardo et al. 2007): sets that similar share at least
    # ceil(threshold·n) members, so also one of the n - ceil(threshold·n) + 1 rarest.
    least_shared = math.ceil(threshold * len(members) - ROUNDING)
    count = len(members) - least_shared + 1
    rarest: list[int] = members[:count].tolist()
    return rarest


def _jaccard(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)


def language(text: str) -> str:
    """Return the ISO 639-1 code of ``text``, ``und`` where nothing gives it away.

    The script decides or, for Latin letters, common English words. No other language in Latin
    letters is told from the rest.
    """
    counts = {}
    for code, script in _SCRIPTS.items():
        counts[code] = len(script.findall(text))
    # Japanese mixes kana and Han. A lone の in Chinese is a fashion, not Japanese.
    if counts["ja"] > 0.1 * (counts["ja"] + counts["zh"]):
        counts["ja"] += counts.pop("zh")
    most_frequent = max(counts, key=lambda code: counts[code])
    # Such a character says as much as two Latin letters; brand names are Latin everywhere.
    if counts[most_frequent] * 2 > len(_LATIN.findall(text)):
        return most_frequent
    straight = text.casefold().replace("’", "'")
    english = len(_ENGLISH.findall(straight))
    enough = english > 0 and english >= 0.1 * len(text.split())
    return "en" if enough else "und"


@functools.cache
def _chinese() -> object:
    import jieba

    jieba.setLogLevel(logging.ERROR)
    tokenizer = jieba.Tokenizer()
    # What `initialize` does, but without its cache file: it lies in /tmp, where anybody may write.
    frequencies, total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.FREQ = frequencies
    tokenizer.total = total
    tokenizer.initialized = True
    return tokenizer


def words(text: str) -> list[str]:
    """Return the words of ``text`` in order; joined they are the text without its white space.

    Runs of Han characters are cut by jieba, kana where the script changes, everything else at
    spaces and symbols, each symbol a word of its own.
    """
    cut: list[str] = []
    for match in _WORD.finditer(text):
        if match.lastgroup == "han":
            cut.extend(_chinese().lcut(match.group()))  # type: ignore[attr-defined]
        else:
            cut.append(match.group())
    return cut
