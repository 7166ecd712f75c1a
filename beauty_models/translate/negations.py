"""Whether a translation has lost a "not": "without parabens" that became "with" is another product.

Small networks drop short words, and a sentence without its negation reads as well. Words are
counted, not understood: a translation that denies in other words is called to a person's attention
for nothing, one that denies something else is not.
"""

from __future__ import annotations

import re

# what denies in any way, and so may stand for a negation
_NEGATIONS = {
    "en": r"\b(?:not?|non|never|without|neither|nor|none|cannot|\w*-?free|anti\w*|un\w{3,}|\w+n't"
    r"|\w+less|prohibit\w*|avoid)\b",
    "de": r"\b(?:nicht|nie|nichts|ohne|weder|kein\w*|verboten|anti\w*|\w*frei\w*|\w+los\w{0,2}"
    r"|un(?!s\b|sere?\w*\b|d\w*\b|ter\w*\b|ten\b)\w{3,})\b",
    "fr": r"\b(?:non|pas|sans|jamais|ni|aucune?|libres?|interdit\w*|anti\w*|dé\w{4,}|n['’]\w+"
    r"|il\w{4,}|in(?!f|t|g|c|d|s)\w{4,}|im(?!p)\w{3,})\b",
    "es": r"\b(?:no|sin|nunca|ni|ningun[ao]?|libres?|prohib\w*|anti\w*|in(?!f|t|g|c|d|s)\w{4,})\b",
    "it": r"\b(?:non|no|senza|mai|né|nessun\w?|vietat\w|anti\w*|in(?!f|t|g|c|d|s)\w{4,})\b",
    "pt": r"\b(?:não|sem|nunca|nem|nenhuma?|livres?|proibid\w|anti\w*|in(?!f|t|g|c|d|s)\w{4,})\b",
    "nl": r"\b(?:niet|nooit|zonder|geen|noch|verboden|anti\w*|\w*vrij\w?|\w+loos)\b",
    "pl": r"\b(?:nie\w*|bez\w*|nigdy|ani|żaden)\b",
    "zh": "[不无無非没沒未勿莫禁止防]|免|(?<![特分区個个类級级差])[别別]",
    "ja": r"[不無非未禁外]|防止|ない|なし|なく|せず|ません|フリー|(?<!ド)レス|ノン",
    "ko": r"않|없|안 |못|무[가-힣]|비[^타]|불[가-힣]|말|아닌|아니|금지|방지|프리|외",
}
# what surely denies, and so must be denied in the translation
_SURE = {
    "en": r"\b(?:not(?! only)|never|without|no(?= [^\W\d])|\w+n't|\w+-free|free (?:of|from))\b",
    "de": r"\b(?:nicht(?! nur)|nie|ohne|kein\w*|\w+frei)\b",
    "fr": r"\b(?:ne? \w+ pas|non|sans|jamais|aucune?)\b",
    "es": r"\b(?:no(?= [^\W\d])|sin|nunca|ningun[ao]?)\b",
    "it": r"\b(?:non|senza|mai|nessun\w?)\b",
    "pt": r"\b(?:não|sem|nunca|nenhuma?)\b",
    "nl": r"\b(?:niet|nooit|zonder|geen)\b",
    "pl": r"\b(?:nie|bez|nigdy|żaden)\b",
    "zh": "不(?![错同锈鏽断斷系要])|[无無](?![障花人袖尾])|没有|沒有|请勿|請勿|切勿",
    "ja": r"ない|(?<!もて)なし|(?<!ござい)ません|せずに"
    r"|(?<![ァ-ー])フリー(?![スズサダハラ])|禁止|不使用|無添加",
    "ko": r"않|(?<!끊임)없|무첨가|금지|마세요|마십시오|아닌",
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
