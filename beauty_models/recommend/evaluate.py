"""evaluate(): the model and its baselines on the full gallery of one frozen test split, with intervals, and the report people read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from beauty_models.evaluation import bootstrap
from beauty_models.evaluation.comparison import MIN_GROUPS, Slice, make_slice
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.intake.shards import Pictures
from beauty_models.progress import bar, log_line
from beauty_models.recommend import Evaluate
from beauty_models.recommend.model import load, untuned
from beauty_models.recommend.report.baselines import (
    Learner,
    Method,
    answers,
    by_neighbours,
    by_regression,
    chance,
    popularity,
)
from beauty_models.recommend.report.ranking import Scores, Task, figures, ranks
from beauty_models.recommend.report.show import show
from beauty_models.recommend.report.tasks import Catalogue, Photos, read, tasks
from beauty_models.retrieval.features import color_histogram, hog

Floats = NDArray[np.float32]
CURVE = 50  # the longest list in the recall curves
FEATURES = {"colour_histogram": color_histogram, "hog": hog}


class Reader(Protocol):
    """What is evaluated: `model.Recommender`, or anything that embeds as it does."""

    def embed_images(self, pictures: Pictures, keys: Sequence[str], title: str = "") -> Floats:
        """Return the normalised embeddings [n, width] of pictures."""

    def embed_texts(self, texts: Sequence[str], title: str = "") -> Floats:
        """Return the normalised embeddings [n, width] of texts."""

    def fuse(self, image: Floats, text: Floats) -> Floats:
        """Return the embeddings [n, width] of products that have a picture and a text."""


def embedded(reader: Reader, catalogue: Catalogue, photos: Photos, name: str) -> Method:
    """Return how ``reader`` answers: texts and photos in its common space, items and products fused of both."""
    image, seen = photos.each(partial(reader.embed_images, title=f"evaluate: {name}, photos"))
    text = reader.embed_texts(catalogue.texts, f"evaluate: {name}, texts")
    item = reader.fuse(image, normalize(catalogue.by_item() @ text))
    product = catalogue.by_product() @ item
    alone = {"text_image": (text, image), "image_text": (image, text), "image_image": (seen, image)}
    return alone | {"search": (text, item), "listing": (product, product)}


def _simple(name: str, pictures: Pictures, keys: Sequence[str]) -> Floats:
    with bar(f"evaluate: {name}", len(keys)) as moving:
        found = []
        for key in keys:
            found.append(FEATURES[name](pictures.image(key)))
            moving.advance()
    return np.stack(found)


def methods(
    reader: Reader, base: Reader, catalogue: Catalogue, photos: Photos, seed: int
) -> tuple[dict[str, Method], list[str]]:
    """Return the model, the baselines that learn or compare, and notes on what these chose."""
    learner = Learner(catalogue, seed)
    found = {
        "model": embedded(reader, catalogue, photos, "model"),
        "untuned": embedded(base, catalogue, photos, "untuned"),
    }
    distorted, clean = found["untuned"]["image_image"]
    found["ridge"], note = by_regression(learner, clean, distorted)
    notes = [f"Ridge on frozen features: {note}."]
    found["tfidf"], note = by_neighbours(learner, clean)
    notes.append(f"TF-IDF neighbours: {note}.")
    for name in FEATURES:
        found[name], note = by_regression(learner, *photos.each(partial(_simple, name)))
        notes.append(f"Ridge on {name.replace('_', ' ')}: {note}.")
    return found, notes


def _scores(task: Task, found: dict[str, Method], seed: int) -> dict[str, Scores]:
    """Return what each method that can do the task answers; the model comes first."""
    able = {
        name: scores
        for name, method in found.items()
        if (scores := answers(method, task)) is not None
    }
    able |= {"popularity": popularity(task)} if task.name == "history" else {}
    return able | {"random": chance(task, seed)}


def _sums(values: NDArray[Any], group: NDArray[np.int64]) -> bootstrap.Floats:
    return np.bincount(group, values).astype(float)


def share(rows: NDArray[Any], weights: bootstrap.Floats) -> bootstrap.Floats:
    """Score: the sum of the first column over the sum of the last; rows are whole groups, so groups are resampled."""
    return np.asarray(weights @ rows[:, 0] / (weights @ rows[:, -1]))


def _compare(
    task: Task, values: dict[str, dict[str, NDArray[Any]]], params: Evaluate
) -> dict[str, dict[str, float]]:
    """Return the model's figures with their intervals, and each baseline's with the model's margin over it (paired bootstrap)."""
    group, counts = _groups(task.about["product"].to_numpy())
    found: dict[str, dict[str, float]] = {}

    def sure(difference: NDArray[Any]) -> bootstrap.Interval:
        return bootstrap.bootstrap(
            np.stack([_sums(difference, group), counts], 1),
            share,
            resamples=params.bootstrap,
            confidence=params.confidence,
            seed=params.seed,
        )

    for who, those in values.items():
        found[who] = {}
        for name, value in those.items():
            found[who][name] = float(value.mean())
            ours = values["model"][name]
            if who == "model":
                found[who][f"{name}.low"], found[who][f"{name}.high"] = sure(ours)
            else:
                found[who][f"{name}.margin"] = float((ours - value).mean())
                found[who][f"{name}.margin_low"], found[who][f"{name}.margin_high"] = sure(
                    ours - value
                )
    return found


def _groups(products: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the group of each query and the size of each group: its product, or itself where there are too few products."""
    group = np.unique(products, return_inverse=True)[1]
    group = group if len(products) and group.max() + 1 >= MIN_GROUPS else np.arange(len(products))
    return group, np.bincount(group)


def _slices(task: Task, values: dict[str, NDArray[Any]], params: Evaluate) -> Iterator[Slice]:
    """Yield n, recall@10 and MRR@10 with interval for each kind, language and category of query that a task tells apart."""
    for by in ("kind", "language", "category"):
        if task.kind == "listing" or by not in task.about:
            continue
        for value, rows in task.about.groupby(by).indices.items():
            group, counts = _groups(task.about["product"].to_numpy()[rows])
            ends = bootstrap.bootstrap(
                np.stack([_sums(values["mrr_at_10"][rows], group), counts], 1),
                share,
                resamples=params.bootstrap,
                confidence=params.confidence,
                seed=params.seed,
            )
            metrics = {
                name: float(values[name][rows].mean()) for name in ("recall_at_10", "mrr_at_10")
            }
            yield make_slice(by, value, len(rows), metrics, ends)


def nearest(task: Task, found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rank of the first relevant thing for each query."""
    return np.minimum.reduceat(found, task.relevance.indptr[:-1])


def score(task: Task, answered: dict[str, Scores], params: Evaluate) -> dict[str, Any]:
    """Return everything measured in one task: nested, ready for JSON; ``ranks`` is the model's, of the first relevant thing."""
    found = {who: ranks(task, scores, params.seed) for who, scores in answered.items()}
    values = {who: figures(task, those) for who, those in found.items()}
    first = {who: nearest(task, those) for who, those in found.items()}
    curves = {
        who: [float((those <= k).mean()) for k in range(1, min(CURVE, len(task.gallery)) + 1)]
        for who, those in first.items()
    }
    group, _ = _groups(task.about["product"].to_numpy())
    return {
        "name": task.name,
        "kind": task.kind,
        "queries": task.relevance.shape[0],
        "gallery": len(task.gallery),
        "relevant": float(task.relevance.nnz / task.relevance.shape[0]),
        "grouped": int(group.max()) + 1 < len(group),
        "figures": _compare(task, values, params),
        "slices": list(_slices(task, values["model"], params)),
        "curves": curves,
        "ranks": first["model"].tolist(),
    }


def flat(scores: dict[str, Any]) -> Metrics:
    """Return the figures of every task under flat names, ``task_figure``; those of a baseline as ``baseline/task_figure``."""
    found = {
        f"{'' if who == 'model' else who + '/'}{task['name']}_{name}": value
        for task in scores["tasks"]
        for who, values in task["figures"].items()
        for name, value in values.items()
    }
    galleries = {f"{task['name']}_gallery": float(task["gallery"]) for task in scores["tasks"]}
    return found | galleries | {name: float(scores[name]) for name in ("n", "products", "captions")}


def examine(
    reader: Reader, base: Reader, data: Path, folder: Path, params: Evaluate
) -> dict[str, Any]:
    """Score ``reader`` and the baselines, of which ``base`` is the untuned one; write the report to ``folder``, return what was found."""
    catalogue = read(data)
    photos = Photos(catalogue, params.seed)
    found, notes = methods(reader, base, catalogue, photos, params.seed)
    measured = []
    for task in tasks(catalogue):
        log_line(
            f"evaluate: {task.name}, {task.relevance.shape[0]:,} queries, gallery of {len(task.gallery):,}"
        )
        answered = _scores(task, found, params.seed)
        measured.append((task, answered, score(task, answered, params)))
    test = catalogue.items.iloc[catalogue.rows("test")]
    scores = {
        "n": len(test),
        "products": test["product"].nunique(),
        "captions": len(catalogue.told("test")),
        "confidence": params.confidence,
        "catalogue": len(catalogue.products),
        "notes": notes,
        "tasks": [one for _, _, one in measured],
    }
    write_json(folder / "scores.json", scores)
    log_line("evaluate: report")
    show(
        folder,
        catalogue,
        photos,
        scores,
        [(task, answered["model"]) for task, answered, _ in measured],
        params,
    )
    return scores


def evaluate(*, data: Path, model: Path, report: Path, params: Evaluate) -> Metrics:
    """Score ``model`` and the baselines on the test part of ``data``; write pages, pictures and tables to ``report``.

    ``report`` gets index.html, board.html, board.png, recall.png and scores.json.

    Raises:
        ValueError: there is nothing to test on, or ``model`` is not a saved recommender.
    """
    reader = load(model)
    with new_folder(report) as folder:
        return flat(examine(reader, untuned(reader.card), data, folder, params))
