"""Whether a translation has lost a "not": "without parabens" that became "with" is another product.

Small networks drop short words, and a sentence without its negation reads as well. Words are
counted, not understood: a translation that denies in other words is called to a person's attention
for nothing, one that denies something else is not.
"""

from __future__ import annotations

import re

_NEGATIONS = {
    "en": r"\b(?:not?|non|never|without|neither|nor|none|cannot|free|un\w{3,}|\w+n't|\w+less)\b",
    "de": r"\b(?:nicht|nie|nichts|ohne|weder|kein\w*|un\w{3,}|\w*frei\w{0,2}|\w+los\w{0,2})\b",
    "fr": r"\b(?:non|pas|sans|jamais|ni|aucune?|n['’]\w+|in\w{3,}|im\w{3,})\b",
    "es": r"\b(?:no|sin|nunca|ni|ningun[ao]?|libre|in\w{3,}|im\w{3,})\b",
    "it": r"\b(?:non|no|senza|mai|né|nessun\w?|in\w{3,}|im\w{3,})\b",
    "pt": r"\b(?:não|sem|nunca|nem|nenhuma?|livre|in\w{3,}|im\w{3,})\b",
    "nl": r"\b(?:niet|nooit|zonder|geen|noch|on\w{3,}|\w*vrij\w?|\w+loos)\b",
    "pl": r"\b(?:nie\w*|bez\w*|nigdy|ani|żaden)\b",
    "zh": "[不无無非没沒未勿莫]|免|别|別",
    "ja": r"[不無非未禁]|ない|なし|なく|せず|ません|フリー|レス|ノン|ぬ",
    "ko": r"않|없|안 |못|무\w|비\w|불\w|미\w|말|아닌|아니|금지|프리",
}
# what surely denies, and so must be denied in the translation
_SURE = {
    "en": r"\b(?:not(?! only)|never|without|no(?= \w)|\w+n't|\w+-free|free (?:of|from))\b",
    "de": r"\b(?:nicht(?! nur)|nie|ohne|kein\w*|\w+frei)\b",
    "fr": r"\b(?:pas|sans|jamais|aucune?)\b",
    "es": r"\b(?:no|sin|nunca|ningun[ao]?)\b",
    "it": r"\b(?:non|senza|mai|nessun\w?)\b",
    "pt": r"\b(?:não|sem|nunca|nenhuma?)\b",
    "nl": r"\b(?:niet|nooit|zonder|geen)\b",
    "pl": r"\b(?:nie|bez|nigdy|żaden)\b",
    "zh": "不(?![错同锈鏽])|[无無](?![障花人])|没有|沒有|请勿|請勿|切勿",
    "ja": r"ない|なし|(?<!ござい)ません|せずに|フリー(?!ス)|禁止|不使用|無添加",
    "ko": r"않|없|무첨가|금지|마세요|마십시오|아닌",
}


def _patterns(words: dict[str, str]) -> dict[str, re.Pattern[str]]:
    return {language: re.compile(form, re.IGNORECASE) for language, form in words.items()}


_ANY, _CERTAIN = _patterns(_NEGATIONS), _patterns(_SURE)


def lost_negation(text: str, source: str, translation: str, target: str) -> str:
    """Return the word by which ``text`` denies something where ``translation`` denies nothing.

    "" where it does, where ``text`` denies nothing, and for languages that are not listed here.
    """
    certain = _CERTAIN.get(source.partition("-")[0])
    any_other = _ANY.get(target.partition("-")[0])
    if certain is None or any_other is None:
        return ""
    found = certain.search(text)
    return found[0].strip() if found and not any_other.search(translation) else ""
