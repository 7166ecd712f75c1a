"""evaluate(): bits per byte beside baselines, and what the tutorials that it writes are worth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from beauty_models.device import device
from beauty_models.evaluation import bootstrap
from beauty_models.evaluation.comparison import (
    MethodMetrics,
    Slice,
    interval,
    make_slice,
    margin,
    with_interval,
)
from beauty_models.evaluation.sections import add_account
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import account
from beauty_models.params import Precision, Scratch
from beauty_models.progress import log_line
from beauty_models.training.splits import read_split
from beauty_models.tutorial import Evaluate, bases, checker
from beauty_models.tutorial.checker import RefusedError
from beauty_models.tutorial.examples import full_request, tutorials
from beauty_models.tutorial.generation import Draft, Sampling, generate, prompt_ids
from beauty_models.tutorial.model import LanguageModel, load
from beauty_models.tutorial.report.ngrams import ngram_bits, unigram_bits
from beauty_models.tutorial.report.originality import TrainingTexts, distinct, self_bleu
from beauty_models.tutorial.report.page import report_page
from beauty_models.tutorial.report.retrieval import nearest
from beauty_models.tutorial.report.scores import Example, Scores
from beauty_models.tutorial.scoring import text_bits
from beauty_models.tutorial.structure import Request, Tutorial
from beauty_models.tutorial.writing import wishes, with_language

Floats = NDArray[np.float64]
# faults of a draft's structure; what it says wrongly is the checker's
STRUCTURAL = ("empty", "repeated")


def bits_per_byte(rows: NDArray[Any], weights: bootstrap.Floats) -> bootstrap.Floats:
    """Score: all bits over all bytes of the articles; a row is (bits, bytes)."""
    return bootstrap.ratio(weights @ rows[:, 0], weights @ rows[:, 1])


def untuned(language_model: LanguageModel) -> LanguageModel:
    """Return what ``language_model`` began as, before it read an article of these data.

    Of a scratch model these are random weights under the same tokenizer.

    Raises:
        ValueError: the base is not there any more.
    """
    card = language_model.card
    if card["base"] != "scratch":
        base = bases.load(card["base"])
        base.network.to(device())
        return base
    from transformers import GPT2LMHeadModel

    torch.manual_seed(card["seed"])
    config = bases.untrained_config(
        len(language_model.tokenizer),
        Scratch(**card["scratch"]),
        language_model.context,
        language_model.boundary,
        0.0,
    )
    network: Any = GPT2LMHeadModel(config)
    return LanguageModel(network.to(device()), language_model.tokenizer, card)


def method_bits(
    language_model: LanguageModel, splits: dict[str, list[str]], wanted: Precision
) -> tuple[dict[str, Floats], str]:
    """Return the bits of each test article by the model and the baselines, and what ngram is."""
    test = splits["test"]
    log_line("evaluate: baselines")
    counts, described = ngram_bits(language_model, splits["train"], splits["validation"], test)
    return {
        "model": text_bits(language_model, test, "evaluate: bits per byte", wanted),
        "ngram": counts,
        "unigram": unigram_bits(language_model, splits["train"], test),
        "untuned": text_bits(untuned(language_model), test, "evaluate: untuned", wanted),
    }, described


def _compare(bits: dict[str, Floats], sizes: Floats, params: Evaluate) -> MethodMetrics:
    """Return bits per byte of each method: the model's with interval, others' with its margin."""
    rows = {name: np.stack([values, sizes], 1) for name, values in bits.items()}
    metrics: MethodMetrics = {}
    for name, own in rows.items():
        if name == "model":
            metrics[name] = with_interval("bits_per_byte", own, bits_per_byte, None, params)
            continue
        metrics[name] = {"bits_per_byte": bootstrap.point_estimate(bits_per_byte, own)}
        metrics[name] |= margin("bits_per_byte", rows["model"], own, bits_per_byte, None, params)
    return metrics


def _slices(test: pd.DataFrame, bits: Floats, sizes: Floats, params: Evaluate) -> list[Slice]:
    """Return bits per byte by language, and of how-tos and other articles."""
    kinds = test["tutorial"].map({True: "how-to", False: "other article"})
    slices = []
    for by, column in {"language": test["language"], "kind": kinds}.items():
        for value, index in column.groupby(column).indices.items():
            rows = np.stack([bits[index], sizes[index]], 1)
            value_of = {"bits_per_byte": bootstrap.point_estimate(bits_per_byte, rows)}
            ends = interval(rows, bits_per_byte, None, params)
            slices.append(make_slice(by, value, len(index), value_of, ends))
    return slices


def test_requests(test: pd.DataFrame, most: int) -> list[Request]:
    """Return the requests that the test how-tos answer, languages in turn, ``most`` at most.

    Without how-tos the titles of the articles are asked for.
    """
    found = [full_request(tutorial) for tutorial in tutorials(test)]
    if not found:
        rows = test[test["title"] != ""]
        for title, language in zip(rows["title"], rows["language"], strict=True):
            found.append(Request(look=str(title), language=str(language)))
    by_language: dict[str, list[Request]] = {}
    for request in found:
        by_language.setdefault(request.language, []).append(request)
    chosen: list[Request] = []
    while by_language and len(chosen) < most:
        for language in sorted(by_language):
            chosen.append(by_language[language].pop(0))
            if not by_language[language]:
                del by_language[language]
    return [with_language(request) for request in chosen[:most]]


def _askable(language_model: LanguageModel, requests: Sequence[Request]) -> list[Request]:
    """Return the requests that the checker answers and that the context can hold."""
    kept = []
    for request in requests:
        try:
            checker.check_request(request)
            prompt_ids(language_model, request)
        except ValueError:
            continue
        kept.append(request)
    return kept


def retrieved(
    requests: Sequence[Request], found: Sequence[Tutorial], known: frozenset[str]
) -> Metrics:
    """Return what the nearest training how-to of each request reaches, by the same measures.

    What it shows was written by people, and is copied from end to end: ``copied_run`` says so.
    """
    accepted = valid = 0
    wished: list[bool] = []
    runs = []
    for request in requests:
        tutorial = nearest(request, found)
        if tutorial is None:
            continue
        kinds = {finding.kind for finding in checker.findings(tutorial, request)}
        valid += not kinds & set(STRUCTURAL)
        try:
            checker.check(tutorial, request, known)
            accepted += 1
        except RefusedError:
            pass
        wished += wishes(request, tutorial).values()
        runs.append(len(checker.words(" ".join(tutorial.steps))))
    if not runs:
        return {}
    return {
        "valid_share": valid / len(requests),
        "accepted_share": accepted / len(requests),
        "honoured_share": float(np.mean(wished)),
        "copied_run": float(max(runs)),
    }


def _example(draft: Draft, training: TrainingTexts, known: frozenset[str]) -> Example:
    """Return one draft with all that is said of it."""
    honoured = wishes(draft.request, draft.tutorial)
    findings = checker.findings(draft.tutorial, draft.request)
    try:
        checker.check(draft.tutorial, draft.request, known)
        refused = ""
    except RefusedError as refusal:
        refused = str(refusal)
    steps = " \n ".join(draft.tutorial.steps)
    copied = training.copied(steps)
    faults = [finding for finding in findings if finding.kind in STRUCTURAL]
    return {
        "look": draft.request.look,
        "language": draft.tutorial.language,
        "title": draft.tutorial.title,
        "products": list(draft.tutorial.products),
        "steps": list(draft.tutorial.steps),
        "valid": not faults and not draft.cut,
        "honoured": [wish for wish, met in honoured.items() if met],
        "unmet": [wish for wish, met in honoured.items() if not met],
        "findings": [finding.reason for finding in findings],
        "refused": refused,
        "copied_run": copied.length,
        "copied": copied.run,
        "nearest": copied.nearest,
    }


def _written(examples: Sequence[Example]) -> Metrics:
    """Return the figures of what was written."""
    texts = [" ".join(example["steps"]) for example in examples]
    honoured = sum(len(example["honoured"]) for example in examples)
    asked = honoured + sum(len(example["unmet"]) for example in examples)
    runs = [example["copied_run"] for example in examples]
    return {
        "valid_share": float(np.mean([example["valid"] for example in examples])),
        "accepted_share": float(np.mean([not example["refused"] for example in examples])),
        "honoured_share": honoured / max(1, asked),
        "distinct_1": distinct(texts, 1),
        "distinct_2": distinct(texts, 2),
        "self_bleu": self_bleu(texts),
        "copied_run": float(max(runs)),
        "copied_run_median": float(np.median(runs)),
    }


def evaluate_model(
    language_model: LanguageModel, data: Path, folder: Path, params: Evaluate
) -> Scores:
    """Score ``language_model`` on ``data``; write the report's files to ``folder``."""
    frames = {name: read_split(data, name, "articles") for name in ("train", "validation", "test")}
    test = frames["test"].reset_index(drop=True)
    texts = {name: frame["text"].tolist() for name, frame in frames.items()}
    sizes = np.array([len(text.encode()) for text in texts["test"]], np.float64)
    bits, described = method_bits(language_model, texts, params.precision)
    metrics = _compare(bits, sizes, params)
    log_line("evaluate: writing tutorials")
    written = language_model.languages
    answered = test[test["language"].isin(written)] if written else test
    asked = _askable(language_model, test_requests(answered, params.generated))
    began = time.monotonic()
    drafts = generate(language_model, asked, Sampling(seed=params.seed), wanted=params.precision)
    seconds = time.monotonic() - began
    training = TrainingTexts(frames["train"]["id"].tolist(), texts["train"])
    examples = [_example(draft, training, language_model.known) for draft in drafts]
    if examples:
        metrics["model"] |= _written(examples)
        opponent = retrieved(asked, tutorials(frames["train"]), language_model.known)
        if opponent:
            metrics["nearest"] = opponent
    tokens = sum(draft.tokens for draft in drafts)
    # told and not kept: it would make two reports of the same model differ
    log_line(f"evaluate: {tokens / max(seconds, 1e-9):,.0f} tokens per second")
    scores: Scores = {
        "n": len(test),
        "generated": len(examples),
        "confidence": params.confidence,
        "base": language_model.card["base"],
        "ngram": described,
        "metrics": metrics,
        "slices": _slices(test, bits["model"], sizes, params),
        "examples": examples,
    }
    log_line("evaluate: report")
    write_json(folder / "scores.json", scores)
    table = test[["id", "language", "tutorial"]].assign(bytes=sizes, **bits)
    table.to_parquet(folder / "articles.parquet", index=False)
    page = report_page(scores, params.examples)
    (folder / "index.html").write_text(page, encoding="utf-8")
    add_account(folder / "index.html", account.lines_of(data))
    return scores


def flatten(scores: Scores) -> Metrics:
    """Return the figures under flat names; those of a baseline as ``baseline/name``."""
    figures: Metrics = {}
    for method, values in scores["metrics"].items():
        prefix = "" if method == "model" else f"{method}/"
        for name, value in values.items():
            figures[prefix + name] = value
    return figures | {"n": float(scores["n"]), "generated": float(scores["generated"])}


def evaluate(*, data: Path, model: Path, report: Path, params: Evaluate) -> Metrics:
    """Score ``model`` and the baselines on ``data/test.parquet``; write the report to ``report``.

    ``report`` gets index.html, scores.json and articles.parquet (bits of each article).

    Returns:
        ``bits_per_byte`` with its interval and, for each baseline, ``NAME/bits_per_byte`` with the
        model's margin; ``valid_share``, ``honoured_share``, ``accepted_share``, ``distinct_1``,
        ``distinct_2``, ``self_bleu``, ``copied_run`` of the tutorials written; ``n`` articles.

    Raises:
        ValueError: a split has no article, or ``model`` is not a saved language model.
    """
    with new_folder(report) as folder:
        return flatten(evaluate_model(load(model), data, folder, params))
