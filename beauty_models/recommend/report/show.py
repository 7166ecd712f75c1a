"""What people see of an evaluation, put together: index.html, board.html, board.png, recall.png."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from beauty_models.recommend import Evaluate
from beauty_models.recommend.board import Hit, Query, board_png
from beauty_models.recommend.report import declared
from beauty_models.recommend.report.catalog import Catalog, Photos
from beauty_models.recommend.report.page import WorstQuery, board_page, quality_page, title
from beauty_models.recommend.report.ranking import Scores, Task, best_answers
from beauty_models.recommend.report.results import Results, TaskResults

LISTED_ERRORS = 12  # queries of each task
# the accent of the pages
MODEL_COLOR = "#4457c7"
Answered = Sequence[tuple[Task, Scores]]
"""Each task and the model's answers to it."""


class CatalogView:
    """The photos and names behind the rows of a catalogue."""

    def __init__(
        self,
        catalog: Catalog,
        photos: Photos,
        seed: int,
    ) -> None:
        self.catalog = catalog
        self.photos = photos
        self.seed = seed
        # a product has no photo of its own: its first item stands for it
        items = catalog.items["product"].drop_duplicates()
        self.first_item = dict(zip(items, items.index.tolist(), strict=True))

    def photo(self, item: int) -> Image.Image:
        """Return the photo of an item."""
        return self.photos.clean.image(self.photos.keys[item])

    def name(self, item: int, with_color: bool = True) -> str:
        """Return the name of an item, with its color or without."""
        row = self.catalog.items.iloc[item]
        parts = [row["name"], row["color"]] if with_color else [row["name"]]
        return " · ".join(str(part) for part in parts if part)

    def item(self, task: Task, place: int) -> int:
        """Return the item that shows a place of the gallery; for a product its first one."""
        row = int(task.gallery[place])
        return self.first_item[self.catalog.products[row]] if task.is_listing else row

    def best_item(self, task: Task, query: int) -> int:
        """Return the item that is worth most to a query."""
        relevance = task.relevance[query]
        return self.item(task, int(relevance.indices[relevance.data.argmax()]))

    def hits(
        self,
        task: Task,
        scores: Scores,
        query: int,
        count: int,
    ) -> list[Hit]:
        """Return the first ``count`` answers to a query."""
        # in CSR the indices of a row are its relevant places
        relevant = set(task.relevance[query].indices)
        hits = []
        for place in best_answers(task, scores, self.seed, query, count):
            item = self.item(task, int(place))
            name = self.name(item, with_color=not task.is_listing)
            hits.append(Hit(self.photo(item), name, place in relevant))
        return hits

    def line(
        self,
        task: Task,
        scores: Scores,
        query: int,
        count: int,
    ) -> Query:
        """Return one line of a board: a query and the first ``count`` answers to it."""
        hits = self.hits(task, scores, query, count)
        if task.is_listing:
            weights = task.queries[[query]]
            # what weighs most first: the shopper's latest product
            products = weights.indices[np.argsort(-weights.data, kind="stable")]
            given = [self.first_item[self.catalog.products[product]] for product in products]
            names = ", ".join(self.name(item, with_color=False) for item in given)
            return Query(title(task.name), names, self.photo(given[0]), hits)
        if task.kind == "image_image":
            photo = self.photos.distorted.image(self.photos.distorted_keys[query])
            return Query("distorted photo", self.name(self.best_item(task, query)), photo, hits)
        note = title(task.name)
        if "kind" in task.about:
            note += f", {task.about['kind'].iat[query]}"
        return Query(note, self.catalog.texts[int(task.queries[query])], None, hits)


def _shuffled_queries(task: Task, random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return the queries of a task in random order, those of each language apart."""
    if "language" not in task.about:
        return [random.permutation(np.arange(task.query_count))]
    groups = task.about.groupby("language").indices.values()
    return [random.permutation(rows) for rows in groups]


def _sample_queries(
    answered: Answered,
    count: int,
    seed: int,
) -> list[tuple[Task, Scores, int]]:
    """Return ``count`` queries drawn at random, the tasks and the languages in turn.

    Captions come twice as often.
    """
    random = np.random.default_rng(seed)
    piles: list[tuple[Task, Scores, NDArray[np.int64]]] = []
    for task, scores in answered:
        if task.kind == "image_text":  # texts that are found are no pictures to show
            continue
        for rows in _shuffled_queries(task, random):
            if task.kind == "text_image":
                # two piles: captions are what most people will ask
                piles += [(task, scores, rows[::2]), (task, scores, rows[1::2])]
            else:
                piles.append((task, scores, rows))
    drawn = []
    for turn in range(count):
        for task, scores, rows in piles:
            if turn < len(rows):
                drawn.append((task, scores, int(rows[turn])))
    order = [task.name for task, _ in answered]
    return sorted(drawn[:count], key=lambda query: order.index(query[0].name))


def _worst_queries(
    view: CatalogView,
    answered: Answered,
    results: Results,
) -> Iterator[tuple[str, list[WorstQuery]]]:
    """Yield, for each task that finds items, the queries whose right answer came last."""
    for (task, scores), measured in zip(answered, results["tasks"], strict=True):
        if task.kind == "image_text" or task.is_listing:
            continue
        ranks = np.array(measured["ranks"])
        worst = []
        for query in np.argsort(-ranks, kind="stable")[:LISTED_ERRORS].tolist():
            # a short list may end among queries that were answered rightly
            if ranks[query] > 1:
                line = view.line(task, scores, query, 1)
                right = view.photo(view.best_item(task, query))
                worst.append(WorstQuery(line, int(ranks[query]), right))
        if worst:
            yield task.name, worst


def _draw_curves(
    axes: Axes,
    task: TaskResults,
    colors: dict[str, str],
) -> None:
    for method, curve in task["curves"].items():
        is_model = method == "model"
        axes.plot(
            range(1, len(curve) + 1),
            curve,
            label=declared.caption(method),
            linewidth=2.6 if is_model else 1.2,
            color=MODEL_COLOR if is_model else colors[method],
            zorder=3 if is_model else 2,
        )
    name = title(task["name"])
    axes.set_title(f"{name} ({task['gallery']:,})", fontsize=10)
    axes.grid(alpha=0.25)
    axes.set_xlabel("first k", fontsize=9)


def recall_png(file: Path, results: Results) -> None:
    """Draw, for each task, how often something right is among the first k, for every method."""
    tasks = results["tasks"]
    # declared ones first: a baseline has one color in all tasks and in all reports
    methods = dict.fromkeys(declared.BASELINES)
    for task in tasks:
        methods |= dict.fromkeys(task["curves"])
    colors = {method: f"C{place}" for place, method in enumerate(methods, 1)}
    # four in a square, more in rows of three
    columns = 2 if len(tasks) == 4 else min(3, len(tasks))
    rows = -(-len(tasks) // columns)
    figure = Figure(figsize=(1.2 + 3.3 * columns, 0.6 + 2.7 * rows), layout="constrained")
    lines: dict[str, Artist] = {}
    for number, task in enumerate(tasks, 1):
        axes = figure.add_subplot(rows, columns, number, ylim=(0, 1.02))
        _draw_curves(axes, task, colors)
        handles, labels = axes.get_legend_handles_labels()
        lines |= dict(zip(labels, handles, strict=True))
    figure.legend(
        lines.values(),
        lines.keys(),
        loc="outside lower center",
        ncols=min(4, len(lines)),
        fontsize=9,
        frameon=False,
    )
    figure.savefig(file, dpi=110, format="png")


def show(
    folder: Path,
    catalog: Catalog,
    photos: Photos,
    results: Results,
    answered: Answered,
    params: Evaluate,
) -> None:
    """Write the pages and pictures for what ``evaluate_model`` measured to ``folder``."""
    view = CatalogView(catalog, photos, params.seed)
    board = []
    for task, scores, query in _sample_queries(answered, params.board_queries, params.seed):
        board.append(view.line(task, scores, query, params.results_per_query))
    if board:
        board_png(folder / "board.png", board)
    (folder / "board.html").write_text(board_page(board), encoding="utf-8")
    recall_png(folder / "recall.png", results)
    # the page carries the picture inside itself: it can be sent alone
    curves = (folder / "recall.png").read_bytes()
    worst = dict(_worst_queries(view, answered, results))
    (folder / "index.html").write_text(quality_page(results, worst, curves), encoding="utf-8")
