"""Words that tell negative texts from positive ones: subjects where nobody annotated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

from beauty_models.intake.text import words

NEGATIVE = 0
POSITIVE = 2
WORDS = 8  # characteristic words per group and polarity
MIN_TEXTS = 5  # that have a word
MIN_SCORE = 1.96  # z-score of a characteristic word: 95% of chance lies below
PRIOR = 500.0  # words that the prior weighs as much as
# Function words and bare verdicts: they name nothing that is good or bad.
NO_SUBJECT = """
什么 怎么 没有 可以 非常 比较 不能 就是 这么 这样 一个 一点 一直 一样 一下 我们 他们 你们 自己 已经
只是 还是 不会 不是 不到 不了 不够 不太 不行 无法 这是 这个 那个 本来 有点 有些 但是 因为 所以 如果
而且 虽然 不过 然后 结果 开始 感觉 觉得 东西 两个 三个 第二次 第二天 时候 现在 今天 真的 相当 总体
整体 用了 买了 还有 还要 应该 不要 只能 居然 根本 再也 经常 不买 刚买 一个月 不错 喜欢 不好 失望
垃圾 值得 满意 很差 后悔
was were did just very really little looked wanted unfortunately love loved great good nice perfect
bad disappointed disappointing
"""
STOP_WORDS = ENGLISH_STOP_WORDS | set(NO_SUBJECT.split())


def log_odds(first: NDArray[Any], second: NDArray[Any], every: NDArray[Any]) -> NDArray[np.float64]:
    """Return the z-score of each word's log-odds ratio between two corpora [words].

    ``first`` and ``second`` [words] count the words of the corpora, ``every`` those of all texts:
    its shares are the Dirichlet prior, weighing `PRIOR` words (Monroe, Colaresi & Quinn 2008,
    eq. 15–22).
    """
    prior = PRIOR * every / every.sum()

    def log_odds_of(counts: NDArray[Any]) -> NDArray[np.float64]:
        others = counts.sum() + PRIOR - counts - prior
        return np.asarray(np.log((counts + prior) / others))

    deviation = np.sqrt(1 / (first + prior) + 1 / (second + prior))
    return np.asarray((log_odds_of(first) - log_odds_of(second)) / deviation)


def _content_words(text: str) -> list[str]:
    """Return the distinct words of ``text`` that may name a subject."""
    # A set: a word counts once per text, or one angry text with ten "leaking" would be a need.
    content = {word.casefold() for word in words(text) if len(word) > 1 and word.isalpha()}
    return sorted(content - STOP_WORDS)


def _groups(category: pd.Series[Any]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the level and the texts [n] of each group: all texts, then those of each category."""
    yield "all", np.ones(len(category), bool)
    for name in sorted(category.dropna().unique()):
        yield "category", (category == name).to_numpy()


def characteristic_words(
    texts: pd.Series[Any], polarity: NDArray[np.int64], category: pd.Series[Any]
) -> pd.DataFrame:
    """Return the mentions (row, aspect, level) of characteristic words.

    They tell negative texts from positive ones, in a category or over all texts.
    ``polarity`` [n] is 0 for negative, 2 for positive.
    Words in fewer than `MIN_TEXTS` texts do not count.
    """
    # With its columns, which the caller reads.
    nothing = pd.DataFrame({"row": [], "aspect": [], "level": []})
    # scikit-learn refuses a least number of texts that is larger than all.
    vectorizer = CountVectorizer(analyzer=_content_words, min_df=min(MIN_TEXTS, len(texts)))
    try:
        present = vectorizer.fit_transform(texts).tocsr()
    except ValueError:  # scikit-learn: no word is in enough texts
        return nothing
    by_word = present.tocsc()  # a column of it is the texts that have the word
    names = vectorizer.get_feature_names_out()

    def count(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(present[rows].sum(0), float).ravel()

    every = count(np.ones(len(texts), bool))
    mentions = []
    for level, inside in _groups(category):
        for sign in (NEGATIVE, POSITIVE):
            signed = polarity == sign
            opposite = polarity == NEGATIVE + POSITIVE - sign
            here = count(inside & signed)
            score = log_odds(here, count(inside & opposite), every)
            if (signed & ~inside).any():
                # With several categories a word must also tell the category from the others, so
                # that "bad" does not head every list; over all texts it need not.
                score = np.minimum(score, log_odds(here, count(~inside & signed), every))
            # Stable: words of one score come by the alphabet, each time.
            highest = np.argsort(-score, kind="stable")[:WORDS]
            for word in highest[score[highest] >= MIN_SCORE]:
                rows = by_word.indices[by_word.indptr[word] : by_word.indptr[word + 1]]
                mention = {"row": rows[inside[rows]], "aspect": names[word], "level": level}
                mentions.append(pd.DataFrame(mention))
    return pd.concat(mentions).drop_duplicates() if mentions else nothing
