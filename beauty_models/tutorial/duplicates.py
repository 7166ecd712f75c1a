"""Each article once: of nearly equal ones one stays, in the part that changes least."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import pandas as pd

from beauty_models.families import Metrics
from beauty_models.intake import splits
from beauty_models.tutorial import Ingest
from beauty_models.tutorial.near_articles import earlier_copies

RUN = 8  # words, or Chinese characters, that two articles hardly have in common by chance
SHARED_RUNS = 0.3  # of the shorter article, from which two may not stand in two parts

_TOKEN = re.compile("[\u3040-\u30ff\u3400-\u9fff]|[^\\W_\u3040-\u30ff\u3400-\u9fff]+")


def deduplicate(articles: pd.DataFrame, params: Ingest) -> tuple[pd.DataFrame, Metrics]:
    """Return each article of ``articles``, which have part, key and text, once; what was dropped.

    Of equal or nearly equal articles that of the test part stays, then that of validation, so that
    near-duplicates are on one side. Of two that share long passages and would stand in two parts,
    too, only the one in the earlier part stays: long articles have most short shingles in common,
    so that passages copied from one to another raise their Jaccard similarity little.
    """
    ranked = articles.assign(rank=articles["part"].map(splits.PARTS.index))
    # file and row break ties: the same files give the same articles
    ranked = ranked.sort_values(["rank", "key", "file", "row"])
    distinct = ranked.drop_duplicates("key")
    kept = alone = distinct
    if params.near_duplicate_similarity < 1:
        earlier = earlier_copies(distinct["text"].tolist(), params.near_duplicate_similarity)
        kept = distinct[np.array(earlier, dtype=int) < 0]
        copies = shared_across_parts(kept["text"].tolist(), kept["part"].tolist())
        alone = kept[~np.array(copies, dtype=bool)]
    dropped = {
        "duplicates": float(len(ranked) - len(distinct)),
        "near_duplicates": float(len(distinct) - len(kept)),
        "passages_of_another_part": float(len(kept) - len(alone)),
    }
    return alone.sort_values("key").drop(columns="rank"), dropped


def runs(text: str) -> set[int]:
    """Return the hashes of all runs of `RUN` words of ``text``; of a shorter one all its words."""
    tokens = _TOKEN.findall(text.casefold())
    count = max(1, len(tokens) - RUN + 1)
    # hashes of strings differ from process to process, but are only compared within this one
    return {hash(tuple(tokens[start : start + RUN])) for start in range(count)}


def shared_across_parts(texts: list[str], parts: list[str]) -> list[bool]:
    """Return for each text whether an earlier one of another part shares long passages with it."""
    sets = [runs(text) for text in texts]
    holders: dict[int, list[int]] = defaultdict(list)
    dropped = [False] * len(texts)
    for index, members in enumerate(sets):
        counts: dict[int, int] = defaultdict(int)
        for member in members:
            for holder in holders[member]:
                counts[holder] += 1
        for holder, count in counts.items():
            shorter = min(len(members), len(sets[holder]))
            if parts[holder] != parts[index] and count >= SHARED_RUNS * shorter:
                dropped[index] = True
                break
        if not dropped[index]:
            for member in members:
                holders[member].append(index)
    return dropped
