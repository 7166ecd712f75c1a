"""The needs report: what customers praise, what they complain of, per product and category, and how that moves.

One row of the table is a group (everything, a category, a product), a subject and a period. Subjects are the aspects of
the data: annotated where people did that, the model's predictions elsewhere. A model without aspects has as subjects the
words that are characteristic of the positive or negative texts of a group (Monroe, Colaresi & Quinn 2008). The subject
`OVERALL` counts whole texts by their label.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

from beauty_models.evaluation.bootstrap import wilson
from beauty_models.files import new_file
from beauty_models.intake.text import words
from beauty_models.sentiment import Evaluate
from beauty_models.sentiment.report.baselines import POLARITIES, annotated, mentions
from beauty_models.sentiment.report.needs_page import needs_page

OVERALL = "(whole text)"
ALL = "all"  # the period that holds every month
PREDICTED = 20_000  # texts without annotation that the model reads at most, a seeded sample
WORDS = 8  # characteristic words per group and polarity
SCORE = 1.96  # least z-score of a characteristic word
PRIOR = 500.0  # words that the prior weighs as much as
LENGTH = 160  # characters of an example
LEVELS: dict[str, list[str]] = {
    "all": [],
    "category": ["category"],
    "product": ["category", "product"],
}
NO_SUBJECT = """什么 怎么 没有 可以 非常 比较 不能 就是 这么 这样 一个 一点 一直 一样 一下 我们 他们 你们 自己 已经 只是 还是 不会 不是 不到 不了
  不够 不太 不行 无法 这是 这个 那个 本来 有点 有些 但是 因为 所以 如果 而且 虽然 不过 然后 结果 开始 感觉 觉得 东西 两个 三个 第二次 第二天 时候
  现在 今天 真的 相当 总体 整体 用了 买了 还有 还要 应该 不要 只能 居然 根本 再也 经常 不买 刚买 一个月 不错 喜欢 不好 失望 垃圾 值得 满意 很差 后悔
  was were did just very really little looked wanted unfortunately love loved great good nice perfect bad disappointed disappointing"""
STOP_WORDS = ENGLISH_STOP_WORDS | set(
    NO_SUBJECT.split()
)  # function words and bare verdicts: they name nothing that is good or bad
Predict = Callable[[list[str]], NDArray[np.bool_]]
"""texts → mentions [n, aspects, 3]."""

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_CODE = re.compile(
    r"((?:订单|单号|编号|快递单|运单|order|invoice|tracking|parcel)[^\n,;，。；]{0,12}?)"
    r"(?<![A-Za-z0-9-])(?=[A-Za-z-]*\d)[A-Za-z0-9-]{5,}",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?<![\d.])(?!(?:19|20)\d\d[-./]\d{1,2}[-./]\d{1,2}(?!\d))\+?\(?\d(?:[ ().-]{0,2}\d){6,}"
)
_STOP = re.compile(r"(?<=[。！？!?；;…])\s*|(?<=\.)\s+")


def mask(text: str) -> str:
    """Return ``text`` with e-mail addresses, phone numbers and order numbers replaced.

    A number is any run of seven or more digits, with or without separators, that is not a date, and any code after a
    word such as "order" or 单号.
    """
    return _NUMBER.sub("‹number›", _CODE.sub(r"\1‹number›", _EMAIL.sub("‹e-mail›", text)))


def excerpt(text: str, needle: str, length: int = LENGTH) -> str:
    """Return the masked sentence of ``text`` that holds ``needle``, or its beginning; at most ``length`` characters."""
    masked = mask(text)
    found = next(
        (part for part in _STOP.split(masked) if needle and needle in part.lower()), masked
    ).strip()
    at = max(0, found.lower().find(needle) - length // 2) if needle and len(found) > length else 0
    return ("…" if at else "") + found[at : at + length] + ("…" if len(found) > at + length else "")


def log_odds(first: NDArray[Any], second: NDArray[Any], every: NDArray[Any]) -> NDArray[np.float64]:
    """Return the z-score of each word's log-odds ratio between two corpora, inputs and result [words].

    The Dirichlet prior is the word's share ``every`` in all texts, weighing `PRIOR` words (Monroe et al. 2008, eq. 15–22).
    """
    prior = PRIOR * every / every.sum()

    def log_odds_of(counts: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.log((counts + prior) / (counts.sum() + PRIOR - counts - prior)))

    return np.asarray(
        (log_odds_of(first) - log_odds_of(second))
        / np.sqrt(1 / (first + prior) + 1 / (second + prior))
    )


def _content(text: str) -> list[str]:
    return sorted(
        {word.casefold() for word in words(text) if len(word) > 1 and word.isalpha()} - STOP_WORDS
    )


def characteristic(
    texts: pd.Series[Any], polarity: NDArray[np.int64], category: pd.Series[Any]
) -> pd.DataFrame:
    """Return the mentions (row, aspect, level) of words that tell a category's negative texts from its positive ones.

    With several categories a word must also tell the category from the others, so that "bad" does not head every list;
    over all texts it need not. ``polarity`` [n] is a place in `POLARITIES`. Words in fewer than 5 texts do not count.
    """
    vectorizer = CountVectorizer(analyzer=_content, min_df=min(5, len(texts)))
    try:
        present = vectorizer.fit_transform(texts).tocsr()
    except ValueError:  # scikit-learn: no word is in enough texts
        return pd.DataFrame({"row": [], "aspect": [], "level": []})

    def count(rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(present[rows].sum(0), float).ravel()

    whole, names, found = np.ones(len(texts), bool), vectorizer.get_feature_names_out(), []
    by_word = present.tocsc()
    for level, inside in [("all", whole)] + [
        ("category", (category == name).to_numpy()) for name in sorted(category.dropna().unique())
    ]:
        for sign in (0, 2):
            said = polarity == sign
            score = log_odds(
                count(inside & said), count(inside & (polarity == 2 - sign)), count(whole)
            )
            if (said & ~inside).any():
                score = np.minimum(
                    score, log_odds(count(inside & said), count(~inside & said), count(whole))
                )
            for word in [w for w in np.argsort(-score, kind="stable")[:WORDS] if score[w] >= SCORE]:
                rows = by_word.indices[by_word.indptr[word] : by_word.indptr[word + 1]]
                found.append(
                    pd.DataFrame({"row": rows[inside[rows]], "aspect": names[word], "level": level})
                )
    return (
        pd.concat(found).drop_duplicates()
        if found
        else pd.DataFrame({"row": [], "aspect": [], "level": []})
    )


def _by_words(frame: pd.DataFrame, polarity: NDArray[np.int64]) -> pd.DataFrame:
    """Return the mentions of characteristic words; each is as positive as the text it is in."""
    rows = np.flatnonzero(polarity >= 0)
    some = frame.iloc[rows]
    found = characteristic(some["text"], polarity[rows], some["category"])
    place = rows[found["row"].to_numpy(dtype=int)]
    return found.assign(row=place, polarity=polarity[place], annotated=True, needle=found["aspect"])


def _by_aspects(
    frame: pd.DataFrame, aspects: list[str], predict: Predict, seed: int
) -> pd.DataFrame:
    """Return the mentions of aspects: those annotated, and those predicted for a sample of the texts without annotation."""
    known, column = annotated(frame["aspects"]), frame["aspects"].tolist()
    said, needles = mentions(frame["aspects"], aspects), {}
    for i in np.flatnonzero(known).tolist():
        for one in column[i]:
            told = [str(one[part] or "").strip(" _").lower() for part in ("opinion", "term")]
            needles[i, one["category"], one["polarity"]] = next(filter(None, told), "")
    unknown = np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(~known))[:PREDICTED])
    if len(unknown):
        said[unknown] = predict(frame["text"].iloc[unknown].tolist())
    rows, places, signs = np.nonzero(said)
    needle = [
        needles.get((i, aspects[j], POLARITIES[k]), "")
        for i, j, k in zip(rows.tolist(), places.tolist(), signs.tolist(), strict=True)
    ]
    return pd.DataFrame(
        {
            "row": rows,
            "aspect": np.array(aspects, dtype=object)[places],
            "level": "",
            "polarity": signs,
            "annotated": known[rows],
            "needle": needle,
        }
    )


def _quotes(part: pd.DataFrame, keys: list[str], examples: int) -> dict[str, pd.Series[Any]]:
    """Return the examples of each group of ``keys``: of texts as near to 40 characters as there are, annotated ones first."""
    order = part.assign(length=(part["text"].str.len() - 40).abs()).sort_values(
        ["annotated", "length", "row"], ascending=[False, True, True]
    )
    found = {}
    for name, sign in {"complaints": 0, "praise": 2}.items():
        chosen = order[order["polarity"] == sign].groupby(keys, dropna=False).head(examples)
        quotes = [
            excerpt(text, needle)
            for text, needle in zip(chosen["text"], chosen["needle"], strict=True)
        ]
        found[name] = chosen.assign(quote=quotes).groupby(keys, dropna=False)["quote"].agg(list)
    return found


def tally(
    frame: pd.DataFrame, said: pd.DataFrame, confidence: float, examples: int
) -> pd.DataFrame:
    """Return the needs table: one row per level, product, category, aspect and period (a month, or `ALL`).

    ``frame`` has the texts; ``said`` their mentions: row, aspect, level ("": any), polarity, annotated, needle. ``n`` counts
    mentions; ``share_negative`` comes with its Wilson interval; ``annotated`` tells how many of ``n`` people annotated.
    """
    texts = frame[["text", "product", "category"]].assign(
        period=pd.to_datetime(frame["date"]).dt.strftime("%Y-%m")
    )
    said = said.join(texts.reset_index(drop=True), on="row")
    for i, name in enumerate(POLARITIES):
        said[name] = (said["polarity"] == i).astype("int64")
    parts = []
    for level, groups in LEVELS.items():
        some = said[said["level"].isin(["", level])].dropna(subset=groups[-1:])
        for keys, part in (
            (["aspect"], some),
            (["aspect", "period"], some.dropna(subset=["period"])),
        ):
            keys = groups + keys
            found = (
                part.assign(n=1).groupby(keys, dropna=False)[[*POLARITIES, "n", "annotated"]].sum()
            )
            if "period" not in keys:
                found = found.assign(**_quotes(part, keys, examples))
            parts.append(found.reset_index().assign(level=level))
    table = pd.concat(parts, ignore_index=True).reindex(
        columns=[
            "level",
            "product",
            "category",
            "aspect",
            "period",
            "n",
            *reversed(POLARITIES),
            "annotated",
            "complaints",
            "praise",
        ]
    )
    low, high = wilson(table["negative"].to_numpy(float), table["n"].to_numpy(float), confidence)
    table = table.assign(
        period=table["period"].fillna(ALL),
        share_negative=table["negative"] / table["n"],
        low=low,
        high=high,
    )
    for name in ("complaints", "praise"):
        table[name] = [value if isinstance(value, list) else [] for value in table[name]]
    return table


def needs(
    *,
    folder: Path,
    frame: pd.DataFrame,
    classes: list[str],
    aspects: list[str],
    predict: Predict,
    params: Evaluate,
) -> pd.DataFrame:
    """Write ``needs.html`` and ``needs.parquet`` about the texts of ``frame`` to ``folder``; return the table.

    Texts count by their label where the class is called negative, neutral or positive.
    """
    frame = frame.reset_index(drop=True)
    polarity = np.array([POLARITIES.index(name) if name in POLARITIES else -1 for name in classes])[
        frame["label"]
    ]
    rows = np.flatnonzero(polarity >= 0)
    whole = pd.DataFrame(
        {
            "row": rows,
            "aspect": OVERALL,
            "level": "",
            "polarity": polarity[rows],
            "annotated": True,
            "needle": "",
        }
    )
    said = (
        _by_aspects(frame, aspects, predict, params.seed) if aspects else _by_words(frame, polarity)
    )
    table = tally(
        frame,
        pd.concat([whole, said], ignore_index=True),
        params.confidence,
        params.examples_per_need,
    )
    with new_file(folder / "needs.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    read = annotated(frame["aspects"])
    facts = {
        "texts": len(frame),
        "annotated": int(read.sum()),
        "predicted": min(PREDICTED, int((~read).sum())) if aspects else 0,
    }
    with new_file(folder / "needs.html") as temporary:
        temporary.write_text(
            needs_page(table, facts, words=not aspects, confidence=params.confidence),
            encoding="utf-8",
        )
    return table
