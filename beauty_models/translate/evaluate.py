"""evaluate(): the model and its baselines on the frozen test units, direction by direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
from beauty_models.translate.directions import Directions
from beauty_models.translate.glossary import NO_TERMS, Glossary
from beauty_models.translate.keeping import GROUPS, Keeping
from beauty_models.translate.matching import Matcher
from beauty_models.translate.memory import TranslationMemory
from beauty_models.translate.methods import (
    BASELINES,
    LIKELIEST,
    METHODS,
    MODEL,
    Candidate,
    Candidates,
    Methods,
    Text,
)
from beauty_models.translate.model import Translator
from beauty_models.translate.pipeline import Answer, Pipeline, Query
from beauty_models.translate.report.bleu import Bleu
from beauty_models.translate.report.heatmap import heatmap_png
from beauty_models.translate.report.page import report_page
from beauty_models.translate.report.retrieval import kind_accuracy, read_texts, recalls
from beauty_models.translate.report.scores import (
    DirectionScores,
    FlagScores,
    KindScores,
    Retrieval,
    Scores,
    Sentence,
)
from beauty_models.translate.sampling import Sample, languages_of, sample
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
"""What predict answers: this is what is judged, and what the gate reads."""
NETWORK = "network"
"""The network alone, in every direction."""
COMPARED = (SERVED, NETWORK, *BASELINES)


@dataclass(frozen=True)
class Translations:
    """What was written of a sample, by each of `COMPARED`."""

    written: dict[str, list[str]]
    counts: dict[str, Ints]  # method → [texts, `COUNTS`]
    answers: list[Answer]  # of predict, `SERVED` among the written


@dataclass
class CachedMethods(Methods):
    """Methods that translate a text once, though predict asks for it again."""

    _known: dict[tuple[str, Text], Candidate] = field(default_factory=dict)

    def candidates(
        self,
        methods: Sequence[str],
        texts: Sequence[Text],
        more_terms: Glossary = NO_TERMS,
        beams: int = 0,
    ) -> Candidates:
        """Return a candidate for each of ``texts`` by each of ``methods``."""
        if more_terms.terms or beams:
            return super().candidates(methods, texts, more_terms, beams)
        new = []
        for text in dict.fromkeys(texts):
            if any((method, text) not in self._known for method in methods):
                new.append(text)
        for method, written in super().candidates(methods, new).items():
            self._known.update(zip([(method, text) for text in new], written, strict=True))
        return {method: [self._known[method, text] for text in texts] for method in methods}


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


def _unit_rows(tested: Sample, counts: Ints) -> Ints:
    """Return ``counts`` [texts, `COUNTS`] by unit [units, directions · `COUNTS`].

    Units are what is resampled: their texts are alike in all directions.
    """
    used, place = np.unique(tested.unit, return_inverse=True)
    rows = np.zeros((len(used), len(tested.rows), COUNTS), np.int64)
    for number, texts in enumerate(tested.rows.values()):
        rows[place[texts], number] = counts[texts]
    return rows.reshape(len(used), -1)


def _compare(tested: Sample, counts: dict[str, Ints], params: Evaluate) -> MethodMetrics:
    """Return chrF, the mean of the directions: of what is served with its interval and margins."""
    score = mean_chrf(len(tested.rows))
    rows = {method: _unit_rows(tested, counts[method]) for method in COMPARED}
    metrics: MethodMetrics = {SERVED: with_interval("chrf", rows[SERVED], score, None, params)}
    for method in (NETWORK, *BASELINES):
        metrics[method] = {"chrf": bootstrap.point_estimate(score, rows[method])}
        metrics[method] |= margin("chrf", rows[SERVED], rows[method], score, None, params)
    return metrics


def _directions(
    tested: Sample,
    translations: Translations,
    directions: Directions,
    bleu: Bleu,
    params: Evaluate,
) -> list[DirectionScores]:
    """Return chrF and BLEU of each direction, with the margins over network and baselines."""
    written, counts = translations.written, translations.counts
    scores: list[DirectionScores] = []
    for (source, target), rows in tested.rows.items():
        references = [tested.references[row] for row in rows]
        values = {}
        bleus = {}
        for method in COMPARED:
            values[method] = bootstrap.point_estimate(corpus_chrf, counts[method][rows])
            bleus[method] = bleu.score([written[method][row] for row in rows], references, target)
        margins = {
            method: _margin(counts[SERVED][rows], counts[method][rows], params)
            for method in (NETWORK, *BASELINES)
        }
        of_network = [
            _margin(counts[NETWORK][rows], counts[method][rows], params) for method in BASELINES
        ]
        ends = interval(counts[SERVED][rows], corpus_chrf, None, params)
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
                "won": all(margins[method][1] > 0 for method in BASELINES),
                "network_won": all(low > 0 for _, low, _ in of_network),
                "served_by": directions.method(source, target),
            }
        )
    return scores


def _margin(ours: Ints, theirs: Ints, params: Evaluate) -> list[float]:
    """Return by how much chrF our texts are better than theirs, and the interval's ends."""
    return list(margin("", ours, theirs, corpus_chrf, None, params).values())


def _kinds(tested: Sample, counts: dict[str, Ints]) -> list[KindScores]:
    """Return chrF by kind of text, the commonest kind first."""
    kinds = tested.units["kind"].fillna("").to_numpy()[tested.unit]
    scores: list[KindScores] = []
    for kind in pd.unique(kinds):
        inside = kinds == kind
        weights = np.ones((1, int(inside.sum())))
        chrf = {}
        for method in COMPARED:
            # texts, not units: with few of a kind some directions have none
            chrf[method] = float(corpus_chrf(counts[method][inside], weights)[0])
        units = len(np.unique(tested.unit[inside]))
        scores.append({"kind": str(kind), "n": units, "chrf": chrf})
    return sorted(scores, key=lambda score: -score["n"])


def _shares(tested: Sample, written: Sequence[str], keeping: Keeping) -> dict[str, float]:
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


def _worst(tested: Sample, answers: Sequence[Answer], scores: Floats, count: int) -> list[Sentence]:
    """Return the ``count`` worst answers, those first that predict was sure of."""
    confidence = np.array([answer.confidence for answer in answers])
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
                "translation": answers[row].translation,
                "method": answers[row].method,
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
    for score in scores:
        if score["won"]:
            continue
        best = max(BASELINES, key=lambda method: score["chrf"][method])
        low, high = score["margins"][best][1:]
        answered = f"with the {score['served_by']}"
        if score["served_by"] == LIKELIEST:
            answered = "each text with what is expected to be best"
        notes.append(
            f"{score['source']} to {score['target']}: chrF {score['chrf'][SERVED]:.1f}, {best} "
            f"{score['chrf'][best]:.1f} (margin {low:+.1f} to {high:+.1f}), the network alone "
            f"{score['chrf'][NETWORK]:.1f}. Predict answers {answered}."
        )
    if unknown:
        notes.append(f"Not tested, for the model has not learned them: {', '.join(unknown)}.")
    return notes


def _translations(
    methods: Methods, directions: Directions, tested: Sample, params: Evaluate
) -> Translations:
    """Have ``tested`` translated by all that are compared."""
    log_line(f"evaluate: {len(tested.texts):,} translations by {', '.join(METHODS)}")
    queries = [Query(text.text, text.target, text.source) for text in tested.texts]
    with precision(params.precision):
        candidates = methods.candidates(METHODS, tested.texts)
        answers = Pipeline(methods, directions).translate(queries)
    written = {SERVED: [answer.translation for answer in answers]}
    for method in METHODS:
        name = NETWORK if method == MODEL else method
        written[name] = [candidate.text for candidate in candidates[method]]
    counts = {name: chrf_counts(texts, tested.references) for name, texts in written.items()}
    return Translations(written, counts, answers)


def evaluate_model(
    matcher: Matcher, directions: Directions, data: Path, folder: Path, params: Evaluate
) -> Scores:
    """Score the methods of ``matcher``, and itself, on ``data/test.parquet``.

    Write the report's files to ``folder``, return what was measured.
    """
    translator, memory = matcher.methods.translator, matcher.methods.memory
    everything = read_split(data, "test", "units in two languages").reset_index(drop=True)
    test = unseen(everything, memory)
    languages = [name for name in languages_of(test) if name in translator.languages]
    unknown = [name for name in languages_of(test) if name not in translator.languages]
    tested = sample(test, languages, params.sentences, params.seed)
    if not tested.texts:
        raise ValueError(
            f"{data / 'test.parquet'}: no unit in two languages of the model, "
            f"{', '.join(translator.languages)}"
        )
    translations = _translations(matcher.methods, directions, tested, params)
    retrieval, of_kinds = _understanding(matcher, test, languages, params)
    log_line("evaluate: scores")
    bleu = Bleu()
    of_directions = _directions(tested, translations, directions, bleu, params)
    metrics = _metrics(tested, translations, of_directions, Keeping(memory.terms), params)
    for method, values in (*_recall(retrieval).items(), *of_kinds.items()):
        metrics.setdefault(method, {}).update(values)
    answer_scores = sentence_chrf(translations.counts[SERVED])
    scores: Scores = {
        "n": len(tested.texts),
        "units": len(np.unique(tested.unit)),
        "seen": len(everything) - len(test),
        "confidence": params.confidence,
        "languages": languages,
        "metrics": metrics,
        "directions": of_directions,
        "kinds": _kinds(tested, translations.counts),
        "retrieval": retrieval,
        "flags": _flags(translations.answers, answer_scores),
        "worst": _worst(tested, translations.answers, answer_scores, params.listed_errors),
        "signatures": {"chrf": CHRF_SIGNATURE, **bleu.signatures},
        "notes": _notes(of_directions, unknown, len(everything) - len(test)),
    }
    _write(folder, scores, _table(tested, translations), data)
    return scores


def _understanding(
    matcher: Matcher, test: pd.DataFrame, languages: Sequence[str], params: Evaluate
) -> tuple[list[Retrieval], MethodMetrics]:
    """Return how well listings find their twins, and their kinds."""
    with precision(params.precision):
        said = read_texts(matcher, test, languages)
        of_kinds = kind_accuracy(matcher, matcher.methods.memory.units, test, said)
    return recalls(matcher, test, said), of_kinds


def _recall(retrieval: Sequence[Retrieval]) -> MethodMetrics:
    """Return the mean recall of the directions, beside that of characters alone."""
    if not retrieval:
        return {}
    found = [score["model"] for score in retrieval]
    by_characters = [score["characters"] for score in retrieval]
    return {
        SERVED: {"retrieval_recall_at_1": float(np.mean(found))},
        "characters": {"retrieval_recall_at_1": float(np.mean(by_characters))},
    }


def _metrics(
    tested: Sample,
    translations: Translations,
    directions: Sequence[DirectionScores],
    keeping: Keeping,
    params: Evaluate,
) -> MethodMetrics:
    """Return what is measured of all directions together, of each method."""
    metrics = _compare(tested, translations.counts, params)
    for method in COMPARED:
        metrics[method]["bleu"] = float(np.mean([score["bleu"][method] for score in directions]))
        metrics[method] |= _shares(tested, translations.written[method], keeping)
    # what people keep of numbers and brands is no method, but shows what could be reached
    reference = _shares(tested, tested.references, keeping)
    reference.pop("exact_short", None)
    metrics["reference"] = reference
    return metrics


def _write(folder: Path, scores: Scores, table: pd.DataFrame, data: Path) -> None:
    """Write the files of the report."""
    won = sum(score["won"] for score in scores["directions"])
    by_network = sum(score["network_won"] for score in scores["directions"])
    log_line(
        f"evaluate: what predict answers is surely better than {', '.join(BASELINES)} in {won} of "
        f"{len(scores['directions'])} directions, the network alone in {by_network}; the report "
        "names the others"
    )
    write_json(folder / "scores.json", scores)
    table.to_parquet(folder / "translations.parquet", index=False)
    (folder / "index.html").write_text(report_page(scores), encoding="utf-8")
    add_account(folder / "index.html", account.lines_of(data))
    heatmap_png(folder / "heatmap.png", scores)


def _table(tested: Sample, translations: Translations) -> pd.DataFrame:
    """Return a row for each text: what was asked, expected and answered."""
    units = tested.units["id"].to_numpy()[tested.unit]
    scores = sentence_chrf(translations.counts[SERVED])
    of_network = sentence_chrf(translations.counts[NETWORK])
    rows: list[dict[str, Any]] = []
    for row, (text, answer) in enumerate(zip(tested.texts, translations.answers, strict=True)):
        rows.append(
            {
                "id": units[row],
                "source": text.source,
                "target": text.target,
                "text": text.text,
                "reference": tested.references[row],
                "translation": answer.translation,
                "method": answer.method,
                "confidence": answer.confidence,
                "look": "; ".join(answer.look),
                "chrf": scores[row],
                "network": translations.written[NETWORK][row],
                "network_chrf": of_network[row],
            }
        )
    return pd.DataFrame(rows)


def flatten(scores: Scores) -> Metrics:
    """Return the figures under flat names.

    Those of what predict answers have no prefix, those of the network alone and of a baseline are
    ``network/name`` and ``baseline/name``.
    """
    figures: Metrics = {}
    for method, values in scores["metrics"].items():
        prefix = "" if method == SERVED else f"{method}/"
        for name, value in values.items():
            figures[prefix + name] = value
    for score in scores["directions"]:
        pair = f"{score['source']}_{score['target']}"
        figures[f"chrf_{pair}.low"] = score["low"]
        figures[f"chrf_{pair}.high"] = score["high"]
        for method in COMPARED:
            prefix = "" if method == SERVED else f"{method}/"
            figures[f"{prefix}chrf_{pair}"] = score["chrf"][method]
            figures[f"{prefix}bleu_{pair}"] = score["bleu"][method]
        for method, (value, low, high) in score["margins"].items():
            figures[f"{method}/chrf_{pair}.margin"] = value
            figures[f"{method}/chrf_{pair}.margin_low"] = low
            figures[f"{method}/chrf_{pair}.margin_high"] = high
    for found in scores["retrieval"]:
        figures[f"retrieval_recall_at_1_{found['source']}_{found['target']}"] = found["model"]
    flags = scores["flags"]
    return figures | {
        "flagged_share": flags["flagged"] / flags["n"],
        "wrong_share": flags["wrong"] / flags["n"],
        "flag_precision": flags["right"] / max(1, flags["flagged"]),
        "flag_recall": flags["right"] / max(1, flags["wrong"]),
        "directions": float(len(scores["directions"])),
        "directions_won": float(sum(score["won"] for score in scores["directions"])),
        "network/directions_won": float(sum(s["network_won"] for s in scores["directions"])),
        "n": float(scores["n"]),
        "units": float(scores["units"]),
        "seen_in_training": float(scores["seen"]),
    }


def evaluate(*, data: Path, model: Path, report: Path, params: Evaluate) -> Metrics:
    """Score what ``model`` answers on ``data/test.parquet``; write the report to ``report``.

    ``report`` gets index.html, heatmap.png, scores.json and translations.parquet.

    Returns:
        ``chrf`` of what predict answers, the mean over the directions, with its interval and, for
        the network alone, copy, dictionary and memory, ``NAME/chrf`` with the margin over it;
        ``bleu``, ``exact_short``, ``kept_numbers``, ``kept_brands``, ``kept_placeholders``,
        ``retrieval_recall_at_1``, and of each direction ``chrf_en_ja`` and so on;
        ``flag_precision``, ``directions_won``; ``n`` translations.

    Raises:
        ValueError: no unit is said in two languages of the model, or ``model`` is no saved
            translator.
    """
    methods = CachedMethods.of(Translator.load(model), TranslationMemory.load(model))
    matcher = Matcher.load(model, methods)
    with new_folder(report) as folder:
        scores = evaluate_model(matcher, Directions.load(model), data, folder, params)
        return flatten(scores)
