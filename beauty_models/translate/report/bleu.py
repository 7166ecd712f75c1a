"""BLEU by sacrebleu, with the tokenizer of the language and the signature that says so."""

from __future__ import annotations

from collections.abc import Sequence

from sacrebleu.metrics.bleu import BLEU

TOKENIZERS = {"zh": "zh", "ja": "char", "ko": "char"}
"""Primary subtag → sacrebleu's tokenizer; all others have 13a.

Japanese and Korean are scored by characters: the dictionaries that would part their words come
under licences that nobody states.
"""


class Bleu:
    """Scores corpora, and remembers the signature of each language."""

    def __init__(self) -> None:
        self.signatures: dict[str, str] = {}

    def score(self, translations: Sequence[str], references: Sequence[str], language: str) -> float:
        """Return the corpus BLEU (Papineni et al. 2002), 0 to 100.

        Below four tokens a text has no 4-gram; of a corpus of such texts only the orders count that
        it has.
        """
        tokenizer = TOKENIZERS.get(language.partition("-")[0], "13a")
        metric = BLEU(tokenize=tokenizer, effective_order=True)
        found = metric.corpus_score(list(translations), [list(references)])
        self.signatures[f"bleu {language}"] = str(metric.get_signature())
        return float(found.score)
