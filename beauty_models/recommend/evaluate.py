"""evaluate: the model and its baselines on the full gallery of one frozen test split.

With intervals, and the report people read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from beauty_models.evaluation import bootstrap
from beauty_models.evaluation.comparison import (
    MIN_GROUPS,
    MethodMetrics,
    Slice,
    interval,
    make_slice,
)
from beauty_models.evaluation.sections import add_account
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake import account
from beauty_models.intake.shards import Pictures
from beauty_models.progress import log_line
from beauty_models.recommend import Evaluate
from beauty_models.recommend.model import load, untuned
from beauty_models.recommend.report.baselines import Method, baselines, task_scores
from beauty_models.recommend.report.catalog import Catalog, Photos, read
from beauty_models.recommend.report.ranking import (
    Ranks,
    Scores,
    Task,
    Values,
    first_ranks,
    query_metrics,
    relevant_ranks,
)
from beauty_models.recommend.report.results import Results, TaskResults
from beauty_models.recommend.report.show import show
from beauty_models.recommend.report.tasks import tasks

Floats = NDArray[np.float32]
CURVE_LENGTH = 50  # the longest list in the recall curves
SLICED_BY = ("kind", "language", "category")
SLICE_METRICS = ("recall_at_10", "mrr_at_10")


class Embedder(Protocol):
    """What is evaluated: `model.Recommender`, or anything that embeds as it does."""

    def embed_images(
        self,
        pictures: Pictures,
        keys: Sequence[str],
        title: str = "",
    ) -> Floats:
        """Return the normalised embeddings [n, width] of pictures."""

    def embed_texts(self, texts: Sequence[str], title: str = "") -> Floats:
        """Return the normalised embeddings [n, width] of texts."""

    def fuse(self, image: Floats, text: Floats) -> Floats:
        """Return the embeddings [n, width] of products that have a picture and a text."""


def embedding_method(
    embedder: Embedder,
    catalog: Catalog,
    photos: Photos,
    name: str,
) -> Method:
    """Return how ``embedder`` answers: texts and photos in its space, items fused of both."""
    embed_photos = partial(embedder.embed_images, title=f"evaluate: {name}, photos")
    image, distorted = photos.features(embed_photos)
    text = embedder.embed_texts(catalog.texts, f"evaluate: {name}, texts")
    item = embedder.fuse(image, normalize(catalog.mean_of_captions() @ text))
    product = catalog.mean_of_items() @ item
    return {
        # by photo or by text alone: an item's other half would give the answer away
        "text_image": (text, image),
        "image_text": (image, text),
        "image_image": (distorted, image),
        "search": (text, item),
        "listing": (product, product),
    }


def all_methods(
    recommender: Embedder,
    base: Embedder,
    catalog: Catalog,
    photos: Photos,
    seed: int,
) -> tuple[dict[str, Method], list[str]]:
    """Return the model, which comes first, the baselines, and notes on what these chose."""
    model = embedding_method(recommender, catalog, photos, "model")
    answers_of_base = embedding_method(base, catalog, photos, "untuned")
    simple, notes = baselines(answers_of_base, catalog, photos, seed)
    return {"model": model, **simple}, notes


def ratio_of_sums(rows: NDArray[Any], weights: bootstrap.Floats) -> bootstrap.Floats:
    """Score: the sum of the first column over the sum of the last."""
    return np.asarray(weights @ rows[:, 0] / (weights @ rows[:, -1]))


class QueryGroups:
    """Queries by product, to be resampled whole, for those of one product are alike.

    Where there are fewer than `MIN_GROUPS` products each query stands alone.
    """

    def __init__(self, products: NDArray[Any]) -> None:
        distinct, group = np.unique(products, return_inverse=True)
        self.group = group if len(distinct) >= MIN_GROUPS else np.arange(len(products))
        self.sizes = np.bincount(self.group)

    @property
    def grouped(self) -> bool:
        """Whether some queries are resampled together."""
        return len(self.sizes) < len(self.group)

    def interval(self, values: NDArray[Any], params: Evaluate) -> bootstrap.Interval:
        """Return the interval of the mean of ``values`` [queries]."""
        # a row for each group, its sum and its size: the mean over queries is a ratio of sums
        sums = np.bincount(self.group, values).astype(float)
        return interval(np.stack([sums, self.sizes], 1), ratio_of_sums, None, params)


def compare_methods(
    task: Task,
    values: dict[str, dict[str, Values]],
    params: Evaluate,
) -> MethodMetrics:
    """Return the model's metrics with their intervals, and each baseline's with the model's margin.

    Margins are paired: the same resamples of the differences, query by query.

    Args:
        values: method → metric → its value for each query.
    """
    groups = QueryGroups(task.about["product"].to_numpy())
    # the model is compared on the same queries, so their difficulty cancels out of the margin
    comparison: MethodMetrics = {}
    for method, metrics in values.items():
        row = comparison[method] = {}
        for name, value in metrics.items():
            row[name] = float(value.mean())
            ours = values["model"][name]
            if method == "model":
                row[f"{name}.low"], row[f"{name}.high"] = groups.interval(ours, params)
                continue
            low, high = groups.interval(ours - value, params)
            row[f"{name}.margin"] = float((ours - value).mean())
            row[f"{name}.margin_low"] = low
            row[f"{name}.margin_high"] = high
    return comparison


def _slices(
    task: Task,
    values: dict[str, Values],
    params: Evaluate,
) -> Iterator[Slice]:
    """Yield the model's metrics for each kind, language and category of query of a task."""
    # a listing has no reciprocal rank, and its queries no kind or language
    if task.is_listing:
        return
    products = task.about["product"].to_numpy()
    for by in SLICED_BY:
        if by not in task.about:
            continue
        for value, rows in task.about.groupby(by).indices.items():
            metrics = {name: float(values[name][rows].mean()) for name in SLICE_METRICS}
            ends = QueryGroups(products[rows]).interval(values["mrr_at_10"][rows], params)
            yield make_slice(by, value, len(rows), metrics, ends)


def _recall_curve(task: Task, first: Ranks) -> list[float]:
    """Return the share of queries with something right among the first k, for each k from 1 on."""
    # a list longer than the gallery finds everything
    longest = min(CURVE_LENGTH, len(task.gallery))
    return [float((first <= k).mean()) for k in range(1, longest + 1)]


def measure_task(
    task: Task,
    scores: dict[str, Scores],
    params: Evaluate,
) -> TaskResults:
    """Return everything measured in one task, ready for JSON."""
    ranks = {}
    values = {}
    first = {}
    for method, answer in scores.items():
        ranks[method] = relevant_ranks(task, answer, params.seed)
        values[method] = query_metrics(task, ranks[method])
        first[method] = first_ranks(task, ranks[method])
    return {
        "name": task.name,
        "kind": task.kind,
        "queries": task.query_count,
        "gallery": len(task.gallery),
        "relevant": float(task.relevance.nnz / task.query_count),
        "grouped": QueryGroups(task.about["product"].to_numpy()).grouped,
        "metrics": compare_methods(task, values, params),
        "slices": list(_slices(task, values["model"], params)),
        "curves": {method: _recall_curve(task, best) for method, best in first.items()},
        "ranks": first["model"].tolist(),
    }


def flatten_metrics(results: Results) -> Metrics:
    """Return the metrics of every task under flat names.

    Those of the model are ``task_metric``, those of a baseline ``baseline/task_metric``.
    """
    metrics: Metrics = {}
    for task in results["tasks"]:
        for method, values in task["metrics"].items():
            prefix = "" if method == "model" else f"{method}/"
            for name, value in values.items():
                # the names that the gate and params.yaml use
                metrics[f"{prefix}{task['name']}_{name}"] = value
        metrics[f"{task['name']}_gallery"] = float(task["gallery"])
    return metrics | {
        "n": float(results["n"]),
        "products": float(results["products"]),
        "captions": float(results["captions"]),
    }


def evaluate_model(
    recommender: Embedder,
    base: Embedder,
    data: Path,
    folder: Path,
    params: Evaluate,
) -> Results:
    """Score ``recommender`` and the baselines; write the report to ``folder``.

    ``base`` is the untuned one of the baselines.
    """
    # everything is embedded once, whatever the number of tasks
    catalog = read(data)
    photos = Photos(catalog, params.seed)
    methods, notes = all_methods(recommender, base, catalog, photos, params.seed)
    measured = []
    answered = []
    for task in tasks(catalog):
        log_line(
            f"evaluate: {task.name}, {task.query_count:,} queries, gallery of {len(task.gallery):,}"
        )
        scores = task_scores(task, methods, params.seed)
        measured.append(measure_task(task, scores, params))
        answered.append((task, scores["model"]))
    # counted, for intervals are wide where there is little
    test = catalog.items.iloc[catalog.rows("test")]
    results: Results = {
        "n": len(test),
        "products": test["product"].nunique(),
        "captions": len(catalog.caption_rows("test")),
        "confidence": params.confidence,
        "catalogue": len(catalog.products),
        "notes": notes,
        "tasks": measured,
    }
    write_json(folder / "scores.json", results)
    log_line("evaluate: report")
    show(folder, catalog, photos, results, answered, params)
    add_account(folder / "index.html", account.lines_of(data))
    return results


def evaluate(
    *,
    data: Path,
    model: Path,
    report: Path,
    params: Evaluate,
) -> Metrics:
    """Score ``model`` and the baselines on the test part of ``data``.

    Pages, pictures and tables go to ``report``: index.html, board.html, board.png, recall.png and
    scores.json.

    Raises:
        ValueError: there is nothing to test on, or ``model`` is not a saved recommender.
    """
    recommender = load(model)
    base = untuned(recommender.card)
    # whole or not at all: a page never stands beside figures of another run
    with new_folder(report) as folder:
        return flatten_metrics(evaluate_model(recommender, base, data, folder, params))
