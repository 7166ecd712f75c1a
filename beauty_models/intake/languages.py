"""Which language a text is in, and whether it is in two.

The script decides for Chinese, Japanese and Korean, common words for English; py3langid (Lui &
Baldwin 2012, langid.py's model without pickle) tells the other languages in Latin letters apart.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from beauty_models.intake.text import language as language_by_script

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

# py3langid may answer with these only: unrestricted it calls "Ein roter Lippenstift" Faroese.
KNOWN = ["en", "zh", "ja", "ko", "fr", "de", "es", "it", "pt", "nl", "pl", "ru", "tr", "vi", "id"]
SHORTEST = 60  # characters of Latin letters that py3langid is asked about; names mislead it
SHORTEST_BY_SCRIPT = 8
# What a Chinese, Japanese or Korean character says, in Latin letters.
WIDTH = {"zh": 3.0, "ja": 2.5, "ko": 2.5}
SECOND_SHARE = 0.2  # from which a text is in two languages
UNKNOWN = "und"


@functools.cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(KNOWN)
    return identifier


def text_language(text: str) -> str:
    """Return the ISO 639-1 code of ``text``, ``und`` where it is too short to tell."""
    code = language_by_script(text)
    if code != UNKNOWN:
        return code
    if len(text) < SHORTEST:
        return UNKNOWN
    return classify(text)[0]


def classify(text: str) -> tuple[str, float]:
    """Return the language that py3langid takes a text in Latin letters for, and how surely, 0–1.

    Of less than `SHORTEST` characters it hardly knows.
    """
    code, probability = _identifier().classify(text)
    return str(code), float(probability)


def shares(texts: Iterable[str]) -> dict[str, float]:
    """Return language → its share of what ``texts`` say, the largest first.

    Texts too short to tell do not count, unless all are.
    """
    listed = list(texts)
    weights: defaultdict[str, float] = defaultdict(float)
    for text in listed:
        if len(text) >= SHORTEST_BY_SCRIPT:
            code = text_language(text)
            weights[code] += len(text) * WIDTH.get(code, 1.0)
    weights.pop(UNKNOWN, None)
    if not weights:
        weights[text_language(" ".join(listed))] = 1.0
    total = sum(weights.values())
    ranked = sorted(weights.items(), key=lambda item: -item[1])
    return {code: weight / total for code, weight in ranked}


def two_languages(shared: dict[str, float]) -> str:
    """Return why a text is in two languages, or ""."""
    (first, most), *others = shared.items()
    if others and others[0][1] >= SECOND_SHARE:
        second, less = others[0]
        return f"in two languages, {first} {most:.0%} and {second} {less:.0%}; deliver each alone"
    return ""
