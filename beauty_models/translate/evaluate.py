"""evaluate(): the model and its baselines on the frozen test units, direction by direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from beauty_models.device import precision
from beauty_models.evaluation import bootstrap
from beauty_models.evaluation.comparison import MethodMetrics, interval, margin, with_interval
from beauty_models.evaluation.sections import add_account
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import account
from beauty_models.progress import log_line
from beauty_models.training.splits import read_split
from beauty_models.translate import Evaluate
from beauty_models.translate.directions import Directions, languages_of, pairs
from beauty_models.translate.keeping import GROUPS, Keeping
from beauty_models.translate.matching import Matcher
from beauty_models.translate.memory import TranslationMemory
from beauty_models.translate.methods import (
    BASELINES,
    METHODS,
    MODEL,
    AnyTranslator,
    Candidate,
    Methods,
    Text,
)
from beauty_models.translate.model import Request, Translation, Translator
from beauty_models.translate.pipeline import Answer, Pipeline, Query
from beauty_models.translate.report.bleu import Bleu
from beauty_models.translate.report.heatmap import heatmap_png
from beauty_models.translate.report.page import report_page
from beauty_models.translate.report.retrieval import kind_accuracy, read_texts, recalls
from beauty_models.translate.report.scores import (
    DirectionScores,
    FlagScores,
    KindScores,
    Scores,
    Sentence,
)
from beauty_models.translate.scoring import (
    CHRF_SIGNATURE,
    COUNTS,
    LOOK_BELOW,
    chrf_counts,
    corpus_chrf,
    mean_chrf,
    sentence_chrf,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SHORT = 20  # characters of a reference that may be met exactly
SERVED = "served"


@dataclass(frozen=True)
class TestSet:
    """The texts that are translated, all directions one behind the other."""

    units: pd.DataFrame
    texts: list[Text]
    references: list[str]
    unit: Ints  # of each text, its row in `units`
    rows: dict[tuple[str, str], Ints]  # direction → its texts


class Cached:
    """A translator that is asked each request once; two methods may ask the same."""

    def __init__(self, translator: AnyTranslator) -> None:
        self._translator = translator
        self._known: dict[tuple[Request, int | None], Translation] = {}
        self.languages = translator.languages
        self.max_tokens = translator.max_tokens
        self.encode = translator.encode

    def translate(
        self, requests: Sequence[Request], *, beams: int | None = None
    ) -> list[Translation]:
        """Return the translation of each request, in their order."""
        new = [request for request in requests if (request, beams) not in self._known]
        for request, written in zip(new, self._translator.translate(new, beams=beams), strict=True):
            self._known[request, beams] = written
        return [self._known[request, beams] for request in requests]


def unseen(test: pd.DataFrame, memory: TranslationMemory) -> pd.DataFrame:
    """Return the units of ``test`` of which the model was trained on no text, in any language.

    Ingest splits so that all are; a delivery that a model is evaluated on later may repeat some.

    Raises:
        ValueError: none is left.
    """
    languages = [name for name in languages_of(test) if name in memory.languages]
    kept = []
    for texts in test[languages].itertuples(index=False, name=None):
        said = [(t, name) for t, name in zip(texts, languages, strict=True) if isinstance(t, str)]
        kept.append(not any(memory.has(text, name) for text, name in said))
    if not any(kept):
        raise ValueError(
            f"all {len(test):,} units were in the model's training data; give units that it has "
            "not seen"
        )
    return test[kept].reset_index(drop=True)


def chosen_texts(test: pd.DataFrame, languages: Sequence[str], params: Evaluate) -> TestSet:
    """Return what is translated of ``test``: ``params.sentences`` texts of a direction at most."""
    texts: list[Text] = []
    references: list[str] = []
    unit: list[int] = []
    rows = {}
    for source in languages:
        for target in languages:
            if source == target:
                continue
            tested = pairs(test, source, target, params.sentences, params.seed)
            if tested.empty:
                continue
            rows[source, target] = np.arange(len(texts), len(texts) + len(tested))
            texts += [Text(text, source, target) for text in tested[source]]
            references += tested[target].tolist()
            unit += tested.index.tolist()
    return TestSet(test, texts, references, np.array(unit, np.int64), rows)


def _unit_rows(tested: TestSet, counts: Ints) -> Ints:
    """Return ``counts`` [texts, `COUNTS`] by unit [units, directions · `COUNTS`].

    Units are what is resampled: their texts are alike in all directions.
    """
    used, place = np.unique(tested.unit, return_inverse=True)
    rows = np.zeros((len(used), len(tested.rows), COUNTS), np.int64)
    for number, texts in enumerate(tested.rows.values()):
        rows[place[texts], number] = counts[texts]
    return rows.reshape(len(used), -1)


def _compare(tested: TestSet, counts: dict[str, Ints], params: Evaluate) -> MethodMetrics:
    """Return chrF, the mean of the directions: the model's interval, the others' margins."""
    score = mean_chrf(len(tested.rows))
    rows = {method: _unit_rows(tested, counts[method]) for method in METHODS}
    metrics: MethodMetrics = {MODEL: with_interval("chrf", rows[MODEL], score, None, params)}
    for method in BASELINES:
        metrics[method] = {"chrf": bootstrap.point_estimate(score, rows[method])}
        metrics[method] |= margin("chrf", rows[MODEL], rows[method], score, None, params)
    return metrics


def _directions(
    tested: TestSet,
    written: dict[str, list[str]],
    counts: dict[str, Ints],
    directions: Directions,
    bleu: Bleu,
    params: Evaluate,
) -> list[DirectionScores]:
    """Return chrF and BLEU of each direction, with the model's margins over the baselines."""
    scores: list[DirectionScores] = []
    for (source, target), rows in tested.rows.items():
        references = [tested.references[row] for row in rows]
        values = {}
        bleus = {}
        for method in METHODS:
            values[method] = bootstrap.point_estimate(corpus_chrf, counts[method][rows])
            bleus[method] = bleu.score([written[method][row] for row in rows], references, target)
        ours = counts[MODEL][rows]
        margins = {}
        for method in BASELINES:
            found = margin("", ours, counts[method][rows], corpus_chrf, None, params)
            margins[method] = list(found.values())
        ends = interval(ours, corpus_chrf, None, params)
        scores.append(
            {
                "source": source,
                "target": target,
                "n": len(rows),
                "chrf": values,
                "bleu": bleus,
                "low": ends.low,
                "high": ends.high,
                "margins": margins,
                "won": all(low > 0 for _, low, _ in margins.values()),
                "served_by": directions.method(source, target),
                "served": bootstrap.point_estimate(corpus_chrf, counts[SERVED][rows]),
            }
        )
    return scores


def _kinds(tested: TestSet, counts: dict[str, Ints]) -> list[KindScores]:
    """Return chrF by kind of text, the commonest kind first."""
    kinds = tested.units["kind"].fillna("").to_numpy()[tested.unit]
    scores: list[KindScores] = []
    for kind in pd.unique(kinds):
        inside = kinds == kind
        weights = np.ones((1, int(inside.sum())))
        chrf = {}
        for method in METHODS:
            # texts, not units: with few of a kind some directions have none
            chrf[method] = float(corpus_chrf(counts[method][inside], weights)[0])
        units = len(np.unique(tested.unit[inside]))
        scores.append({"kind": str(kind), "n": units, "chrf": chrf})
    return sorted(scores, key=lambda score: -score["n"])


def _shares(tested: TestSet, written: Sequence[str], keeping: Keeping) -> dict[str, float]:
    """Return what is exactly right of short texts, and what is kept, of all directions together.

    What no text has is not measured.
    """
    kept: dict[str, list[int]] = {group: [0, 0] for group in dict.fromkeys(GROUPS.values())}
    short: list[bool] = []
    for text, translation, reference in zip(tested.texts, written, tested.references, strict=True):
        if len(reference) <= SHORT:
            short.append(translation == reference)
        for group, counted in keeping.count(text.text, translation).items():
            kept[group][0] += counted.kept
            kept[group][1] += counted.there
    shares = {"exact_short": float(np.mean(short))} if short else {}
    for group, (held, there) in kept.items():
        if there:
            shares[group] = held / there
    return shares


def _flags(answers: Sequence[Answer], scores: Floats) -> FlagScores:
    """Return how often "look at this" is said, and how often rightly."""
    flagged = np.array([bool(answer.look) for answer in answers], bool)
    wrong = scores < LOOK_BELOW
    return {
        "n": len(answers),
        "flagged": int(flagged.sum()),
        "wrong": int(wrong.sum()),
        "right": int((flagged & wrong).sum()),
        "below": LOOK_BELOW,
    }


def _worst(
    tested: TestSet, candidates: Sequence[Candidate], scores: Floats, count: int
) -> list[Sentence]:
    """Return the ``count`` worst translations, those first that the model was sure of."""
    confidence = np.array([candidate.confidence for candidate in candidates])
    # sure and wrong is what misleads people most
    order = np.argsort(scores - 100 * confidence, kind="stable")
    sentences: list[Sentence] = []
    for row in order[:count]:
        text = tested.texts[row]
        sentences.append(
            {
                "source": text.source,
                "target": text.target,
                "text": text.text,
                "reference": tested.references[row],
                "translation": candidates[row].text,
                "chrf": float(scores[row]),
                "confidence": float(confidence[row]),
            }
        )
    return sentences


def _notes(scores: Sequence[DirectionScores], unknown: Sequence[str], seen: int) -> list[str]:
    """Return what people should know before they trust the figures."""
    notes = []
    if seen:
        notes.append(f"{seen:,} units are left out: the model was trained on a text of theirs.")
    lost = [score for score in scores if not score["won"]]
    for score in lost:
        pair = f"{score['source']} to {score['target']}"
        best = max(BASELINES, key=lambda method: score["chrf"][method])
        low, high = score["margins"][best][1:]
        notes.append(
            f"{pair}: not surely better than {best} (chrF {score['chrf'][MODEL]:.1f} and "
            f"{score['chrf'][best]:.1f}, margin {low:+.1f} to {high:+.1f}); predict answers with "
            f"{score['served_by']}"
        )
    if unknown:
        notes.append(f"Not tested, for the model has not learned them: {', '.join(unknown)}.")
    return notes


def evaluate_model(
    matcher: Matcher, directions: Directions, data: Path, folder: Path, params: Evaluate
) -> Scores:
    """Score the methods of ``matcher``, and itself, on ``data/test.parquet``.

    Write the report's files to ``folder``, return what was measured.
    """
    methods = matcher.methods
    translator, memory = methods.translator, methods.memory
    everything = read_split(data, "test", "units in two languages").reset_index(drop=True)
    test = unseen(everything, memory)
    languages = [name for name in languages_of(test) if name in translator.languages]
    unknown = [name for name in languages_of(test) if name not in translator.languages]
    tested = chosen_texts(test, languages, params)
    if not tested.texts:
        raise ValueError(
            f"{data / 'test.parquet'}: no unit in two languages of the model, "
            f"{', '.join(translator.languages)}"
        )
    candidates = {}
    counts = {}
    for method in METHODS:
        log_line(f"evaluate: {len(tested.texts):,} translations by {method}")
        with precision(params.precision):
            candidates[method] = methods.translate(method, tested.texts)
        written = [candidate.text for candidate in candidates[method]]
        counts[method] = chrf_counts(written, tested.references)
    with precision(params.precision):
        queries = [Query(text.text, text.target, text.source) for text in tested.texts]
        answers = Pipeline(methods, directions).translate(queries)
    counts[SERVED] = chrf_counts([answer.translation for answer in answers], tested.references)
    with precision(params.precision):
        said = read_texts(matcher, test, languages)
        of_kinds = kind_accuracy(matcher, memory.units, test, said)
    retrieval = recalls(matcher, test, said)
    log_line("evaluate: scores")
    texts = {name: [candidate.text for candidate in found] for name, found in candidates.items()}
    bleu = Bleu()
    of_directions = _directions(tested, texts, counts, directions, bleu, params)
    metrics = _metrics(tested, texts, counts, of_directions, Keeping(memory.terms), params)
    if retrieval:
        by_model = [score["model"] for score in retrieval]
        by_characters = [score["characters"] for score in retrieval]
        metrics[MODEL]["retrieval_recall_at_1"] = float(np.mean(by_model))
        metrics["characters"] = {"retrieval_recall_at_1": float(np.mean(by_characters))}
    for method, values in of_kinds.items():
        metrics.setdefault(method, {}).update(values)
    sentence_scores = sentence_chrf(counts[MODEL])
    scores: Scores = {
        "n": len(tested.texts),
        "units": len(np.unique(tested.unit)),
        "seen": len(everything) - len(test),
        "confidence": params.confidence,
        "languages": languages,
        "metrics": metrics,
        "directions": of_directions,
        "kinds": _kinds(tested, counts),
        "retrieval": retrieval,
        "flags": _flags(answers, sentence_chrf(counts[SERVED])),
        "worst": _worst(tested, candidates[MODEL], sentence_scores, params.listed_errors),
        "signatures": {"chrf": CHRF_SIGNATURE, **bleu.signatures},
        "notes": _notes(of_directions, unknown, len(everything) - len(test)),
    }
    table = _table(tested, candidates[MODEL], answers, sentence_scores)
    _write(folder, scores, table, data)
    return scores


def _metrics(
    tested: TestSet,
    written: dict[str, list[str]],
    counts: dict[str, Ints],
    directions: Sequence[DirectionScores],
    keeping: Keeping,
    params: Evaluate,
) -> MethodMetrics:
    """Return what is measured of all directions together, of each method."""
    metrics = _compare(tested, counts, params)
    for method in METHODS:
        metrics[method]["bleu"] = float(np.mean([score["bleu"][method] for score in directions]))
        metrics[method] |= _shares(tested, written[method], keeping)
    # what people keep of numbers and brands is no method, but shows what could be reached
    reference = _shares(tested, tested.references, keeping)
    reference.pop("exact_short", None)
    metrics["reference"] = reference
    return metrics


def _write(folder: Path, scores: Scores, table: pd.DataFrame, data: Path) -> None:
    """Write the files of the report."""
    won = sum(score["won"] for score in scores["directions"])
    log_line(
        f"evaluate: surely better than copy, dictionary and memory in {won} of "
        f"{len(scores['directions'])} directions; the report names the others"
    )
    write_json(folder / "scores.json", scores)
    table.to_parquet(folder / "translations.parquet", index=False)
    (folder / "index.html").write_text(report_page(scores), encoding="utf-8")
    add_account(folder / "index.html", account.lines_of(data))
    heatmap_png(folder / "heatmap.png", scores)


def _table(
    tested: TestSet,
    candidates: Sequence[Candidate],
    answers: Sequence[Answer],
    scores: Floats,
) -> pd.DataFrame:
    """Return a row for each translation: what was asked, expected, written and answered."""
    units = tested.units["id"].to_numpy()[tested.unit]
    rows: list[dict[str, Any]] = []
    for row, text in enumerate(tested.texts):
        rows.append(
            {
                "id": units[row],
                "source": text.source,
                "target": text.target,
                "text": text.text,
                "reference": tested.references[row],
                "translation": candidates[row].text,
                "confidence": candidates[row].confidence,
                "chrf": scores[row],
                "answer": answers[row].translation,
                "method": answers[row].method,
                "look": "; ".join(answers[row].look),
            }
        )
    return pd.DataFrame(rows)


def flatten(scores: Scores) -> Metrics:
    """Return the figures under flat names; those of a baseline as ``baseline/name``."""
    figures: Metrics = {}
    for method, values in scores["metrics"].items():
        prefix = "" if method == MODEL else f"{method}/"
        for name, value in values.items():
            figures[prefix + name] = value
    for score in scores["directions"]:
        pair = f"{score['source']}_{score['target']}"
        figures[f"chrf_{pair}.low"] = score["low"]
        figures[f"chrf_{pair}.high"] = score["high"]
        for method in METHODS:
            prefix = "" if method == MODEL else f"{method}/"
            figures[f"{prefix}chrf_{pair}"] = score["chrf"][method]
            figures[f"{prefix}bleu_{pair}"] = score["bleu"][method]
        for method, (value, low, high) in score["margins"].items():
            figures[f"{method}/chrf_{pair}.margin"] = value
            figures[f"{method}/chrf_{pair}.margin_low"] = low
            figures[f"{method}/chrf_{pair}.margin_high"] = high
    for found in scores["retrieval"]:
        figures[f"retrieval_recall_at_1_{found['source']}_{found['target']}"] = found["model"]
    flags = scores["flags"]
    won = [score["won"] for score in scores["directions"]]
    return figures | {
        "served_chrf": float(np.mean([score["served"] for score in scores["directions"]])),
        "flagged_share": flags["flagged"] / flags["n"],
        "wrong_share": flags["wrong"] / flags["n"],
        "flag_precision": flags["right"] / max(1, flags["flagged"]),
        "flag_recall": flags["right"] / max(1, flags["wrong"]),
        "directions": float(len(won)),
        "directions_won": float(sum(won)),
        "n": float(scores["n"]),
        "units": float(scores["units"]),
        "seen_in_training": float(scores["seen"]),
    }


def evaluate(*, data: Path, model: Path, report: Path, params: Evaluate) -> Metrics:
    """Score ``model`` and the baselines on ``data/test.parquet``; write the report to ``report``.

    ``report`` gets index.html, heatmap.png, scores.json and translations.parquet.

    Returns:
        ``chrf``, the mean over the directions, with its interval and, for copy, dictionary and
        memory, ``NAME/chrf`` with the model's margin; ``bleu``, ``exact_short``, ``kept_numbers``,
        ``kept_brands``, ``kept_placeholders``, ``retrieval_recall_at_1``, and of each direction
        ``chrf_en_ja`` and so on; ``served_chrf``, ``flag_precision``; ``n`` translations.

    Raises:
        ValueError: no unit is said in two languages of the model, or ``model`` is no saved
            translator.
    """
    translator = Cached(Translator.load(model))
    matcher = Matcher.load(model, Methods.of(translator, TranslationMemory.load(model)))
    with new_folder(report) as folder:
        scores = evaluate_model(matcher, Directions.load(model), data, folder, params)
        return flatten(scores)
