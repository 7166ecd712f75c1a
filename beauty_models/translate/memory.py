"""A translation memory: what training has translated before, found exactly or by its nearest text.

What a text must keep (numbers, prices, placeholders) is no part of what is looked up: the
translation of "Serum 30 ml" serves "Serum 50 ml", with 50 ml put back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.files import new_file
from beauty_models.translate.cleaning import clean
from beauty_models.translate.glossary import NO_TERMS, Glossary
from beauty_models.translate.patterns import SENTINEL
from beauty_models.translate.protected import Protected, protect, protect_pair, restore

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

FILE = "memory.parquet"
NOT_LANGUAGES = ("id", "kind")  # the other columns of a table of units are languages
NGRAMS = (1, 4)  # characters, by which the nearest text is found
ALIKE = 0.95  # confidence in a translation whose source differs in capitals or numbers alone
QUERIES = 512  # compared with all texts at a time: memory for a dense block of similarities


class Match(NamedTuple):
    """A text of the memory and its translation, for one that was asked about."""

    source: str
    translation: str
    similarity: float  # cosine, 0 to 1; of an exact match the share of units that translate it so


class TranslationMemory:
    """Units that are said in several languages, by any of them."""

    def __init__(self, units: pd.DataFrame, terms: Glossary = NO_TERMS) -> None:
        """Keep ``units``: a row each, a column of texts for each language, null where missing.

        ``terms`` are the shop's, which no translation changes, as its numbers.
        """
        self.terms = terms
        self.units = units.reset_index(drop=True)
        self.languages = tuple(name for name in units.columns if name not in NOT_LANGUAGES)
        # of each language when it is first asked about
        self._exact: dict[str, dict[str, list[int]]] = {}
        self._alike: dict[str, dict[str, list[int]]] = {}
        self._neighbours: dict[str, _Neighbours] = {}
        self._texts: dict[str, list[str | None]] = {}
        self._templates: dict[str, list[str | None]] = {}

    @classmethod
    def load(cls, folder: Path) -> TranslationMemory:
        """Return the memory of a model's ``folder``.

        Raises:
            ValueError: there is none.
        """
        file = folder / FILE
        if not file.exists():
            raise ValueError(f"{file}: no such file; run finetune again")
        return cls(pd.read_parquet(file), Glossary.read(folder))

    def part(self, chosen: NDArray[np.bool_]) -> TranslationMemory:
        """Return a memory of the ``chosen`` units alone; what is known of their texts it keeps."""
        part = TranslationMemory(self.units[chosen], self.terms)
        for language in self.languages:
            templates = zip(self.templates(language), chosen, strict=True)
            part._templates[language] = [template for template, taken in templates if taken]
        return part

    def save(self, folder: Path) -> None:
        """Write the memory and its terms into a model's ``folder``."""
        self.terms.write(folder)
        with new_file(folder / FILE) as temporary:
            self.units.to_parquet(temporary, index=False)

    def texts(self, language: str) -> list[str | None]:
        """Return the text of each unit in ``language``, None where it has none."""
        if language not in self._texts:
            texts: list[str | None] = [None] * len(self.units)
            if language in self.languages:
                for row, text in enumerate(self.units[language]):
                    if isinstance(text, str) and text:
                        texts[row] = text
            self._texts[language] = texts
        return self._texts[language]

    def templates(self, language: str) -> list[str | None]:
        """Return `texts` with sentinels in place of the values that a translation keeps."""
        if language not in self._templates:
            templates: list[str | None] = []
            for text in self.texts(language):
                templates.append(None if text is None else self._protected(text, language).text)
            self._templates[language] = templates
        return self._templates[language]

    def has(self, text: str, language: str) -> bool:
        """Return whether a unit says ``text`` in ``language``, numbers and capitals aside."""
        template = self._protected(text, language).text.casefold()
        # "30 ml" and "50 ml" are nothing but values, which may not differ then
        exact = not any(map(str.isalpha, SENTINEL.sub("", template)))
        return (text if exact else template) in self._index(language, exact=exact)

    def exact(self, text: str, source: str, target: str) -> Match | None:
        """Return the translation of a text that the memory has, else of one that is alike.

        Of several translations the commonest is taken; ``similarity`` is its share of the units.
        Capitals, and the values that a translation keeps, may differ; then it is `ALIKE` at most.
        """
        if source not in self.languages or target not in self.languages:
            return None
        cleaned = clean(text)
        found = self._commonest(self._index(source, exact=True).get(cleaned, ()), source, target)
        if found is not None:
            return found
        asked = self._protected(cleaned, source)
        rows = self._index(source, exact=False).get(asked.text.casefold(), ())
        found = self._commonest(rows, source, target, asked)
        return found and found._replace(similarity=min(ALIKE, found.similarity))

    def _commonest(
        self, rows: Sequence[int], source: str, target: str, asked: Protected | None = None
    ) -> Match | None:
        """Return the commonest translation of the units ``rows``, None where there is none."""
        counts: Counter[str] = Counter()
        source_of: dict[str, str] = {}
        sources, targets = self.texts(source), self.texts(target)
        for row in rows:
            text, translation = sources[row], targets[row]
            if text is None or translation is None:
                continue
            if asked is not None:
                moved = self._with_values(text, translation, asked, source, target)
                if moved is None:
                    continue
                translation = moved
            counts[translation] += 1
            source_of.setdefault(translation, text)
        if not counts:
            return None
        # of equally common ones the first: Counter keeps the order of the units
        best, count = counts.most_common(1)[0]
        return Match(source_of[best], best, count / counts.total())

    def _index(self, language: str, *, exact: bool) -> dict[str, list[int]]:
        """Return text → rows of ``language``, as it stands or in the form that is alike."""
        indexes = self._exact if exact else self._alike
        if language not in indexes:
            index: dict[str, list[int]] = {}
            texts = self.texts(language) if exact else self.templates(language)
            for row, text in enumerate(texts):
                if text is not None:
                    index.setdefault(text if exact else text.casefold(), []).append(row)
            indexes[language] = index
        return indexes[language]

    def nearest(self, texts: Sequence[str], source: str, target: str) -> list[Match | None]:
        """Return for each text the translation of the nearest one that has one in ``target``.

        Nearest by the cosine of TF-IDF weighted character n-grams. Values are put into the
        translation where it has the same number of them, else they stay those of the memory. None
        where nothing is alike or no unit is said in both languages.
        """
        if source not in self.languages or target not in self.languages or not texts:
            return [None] * len(texts)
        if source not in self._neighbours:
            self._neighbours[source] = _Neighbours(self.templates(source))
        has_target = np.array([text is not None for text in self.texts(target)], bool)
        protected = [self._protected(clean(text), source) for text in texts]
        found = self._neighbours[source].find([text.text for text in protected], has_target)
        sources, targets = self.texts(source), self.texts(target)
        matches: list[Match | None] = []
        for asked, (row, similarity) in zip(protected, found, strict=True):
            text = sources[row] if row >= 0 else None
            translation = targets[row] if row >= 0 else None
            if text is None or translation is None:
                matches.append(None)
                continue
            moved = self._with_values(text, translation, asked, source, target)
            matches.append(Match(text, translation if moved is None else moved, similarity))
        return matches

    def _protected(self, text: str, language: str) -> Protected:
        """Return ``text`` protected; as it is where it has more values than sentinels."""
        try:
            return protect(text, terms=self.terms.said_in(language))
        except ValueError:
            return Protected(text, ())

    def _with_values(
        self, text: str, translation: str, asked: Protected, source: str, target: str
    ) -> str | None:
        """Return ``translation``, that of ``text``, with the values of ``asked`` put in.

        None where the two do not hold the same values, or ``asked`` has another number of them.
        """
        pair = protect_pair(text, translation, terms=self.terms.said_in(source))
        if pair is None or len(pair.values) != len(asked.values):
            return None
        return restore(pair.target, asked.values, language=target)


class _Neighbours:
    """Templates of one language as TF-IDF vectors of their character n-grams."""

    def __init__(self, texts: Sequence[str | None]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.rows = np.array([i for i, text in enumerate(texts) if text is not None], np.int64)
        self.vectorizer: TfidfVectorizer | None = None
        self.vectors: csr_matrix | None = None
        templates = [text.casefold() for text in texts if text is not None]
        if not any(map(str.strip, templates)):
            return
        self.vectorizer = TfidfVectorizer(
            analyzer="char", ngram_range=NGRAMS, sublinear_tf=True, dtype=np.float32
        )
        self.vectors = self.vectorizer.fit_transform(templates)

    def find(self, templates: Sequence[str], allowed: NDArray[np.bool_]) -> list[tuple[int, float]]:
        """Return (row, similarity) of the nearest allowed text for each, row -1 where none is."""
        nothing = [(-1, 0.0)] * len(templates)
        if self.vectorizer is None or self.vectors is None:
            return nothing
        kept = allowed[self.rows]
        rows = self.rows[kept]
        if not len(rows):
            return nothing
        candidates = self.vectors if kept.all() else self.vectors[kept]
        queries = self.vectorizer.transform([template.casefold() for template in templates])
        found: list[tuple[int, float]] = []
        for start in range(0, len(templates), QUERIES):
            similarities: Any = (queries[start : start + QUERIES] @ candidates.T).tocsr()
            for line in range(similarities.shape[0]):
                begin, end = similarities.indptr[line], similarities.indptr[line + 1]
                if begin == end:
                    found.append((-1, 0.0))
                    continue
                values = similarities.data[begin:end]
                columns = similarities.indices[begin:end]
                # of equally near texts the first, on every machine: SciPy does not sort them
                best = columns[values >= values.max() - 1e-6].min()
                found.append((int(rows[best]), float(min(1.0, values.max()))))
        return found
