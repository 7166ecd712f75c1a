"""What a text says, in one form: clean it, know it again, language, words."""

from __future__ import annotations

import functools
import hashlib
import html
import logging
import re
import unicodedata

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


def bare(text: str) -> str:
    """Return ``text`` without capitals, spaces and punctuation, unless it has nothing else."""
    return _PUNCTUATION.sub("", text.casefold()) or text


def fingerprint(text: str) -> str:
    """Return 32 hexadecimal digits; capitals, spaces and punctuation of ``text`` do not count."""
    digest = hashlib.sha256(bare(text).encode())
    return digest.hexdigest()[:32]


def language(text: str) -> str:
    """Return the ISO 639-1 code of ``text``, ``und`` where nothing gives it away.

    The script decides or, for Latin letters, common English words. No other language in Latin
    letters is told from the rest.
    """
    if not text.isascii() and (code := _script_language(text)):
        return code
    straight = text.casefold().replace("’", "'")
    english = len(_ENGLISH.findall(straight))
    enough = english > 0 and english >= 0.1 * len(text.split())
    return "en" if enough else "und"


def _script_language(text: str) -> str:
    """Return the language whose own letters are the most in ``text``, "" where Latin ones are."""
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
    return ""


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
