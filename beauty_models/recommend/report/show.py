"""What people see of an evaluation: index.html, board.html, board.png and recall.png, put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from beauty_models.recommend import Evaluate
from beauty_models.recommend.board import Hit, Query, board_png
from beauty_models.recommend.report import declared
from beauty_models.recommend.report.page import board_page, quality_page, title
from beauty_models.recommend.report.ranking import Scores, Task, first
from beauty_models.recommend.report.tasks import Catalogue, Photos

WORST = 12  # queries listed of each task
Answered = Sequence[tuple[Task, Scores]]


class Views:
    """The photos and names behind the rows of a catalogue."""

    def __init__(self, catalogue: Catalogue, photos: Photos, seed: int) -> None:
        self.catalogue, self.photos, self.seed = catalogue, photos, seed
        self.first_item = {
            product: row for row, product in reversed(list(enumerate(catalogue.items["product"])))
        }

    def photo(self, item: int) -> Image.Image:
        """Return the photo of an item."""
        return self.photos.clean.image(self.photos.keys[item])

    def name(self, item: int, colour: bool = True) -> str:
        """Return the name of an item, with its colour or without."""
        row = self.catalogue.items.iloc[item]
        return " · ".join(
            str(part) for part in (row["name"], row["color"] if colour else None) if part
        )

    def item(self, task: Task, place: int) -> int:
        """Return the item that shows a place of the gallery; for a product its first one."""
        row = int(task.gallery[place])
        return self.first_item[self.catalogue.products[row]] if task.kind == "listing" else row

    def asked(self, task: Task, scores: Scores, query: int, count: int) -> Query:
        """Return one line of a board: a query and the first ``count`` answers to it."""
        right = set(task.relevance[query].indices)
        listing = task.kind == "listing"
        found = [
            Hit(self.photo(item), self.name(item, not listing), place in right)
            for place in first(task, scores, self.seed, query, count)
            for item in [self.item(task, int(place))]
        ]
        if listing:
            weights = task.queries[[query]]
            latest = weights.indices[np.argsort(-weights.data, kind="stable")]
            given = [self.first_item[self.catalogue.products[product]] for product in latest]
            return Query(
                title(task.name),
                ", ".join(self.name(item, False) for item in given),
                self.photo(given[0]),
                found,
            )
        if task.kind == "image_image":
            exact = self.item(
                task, int(task.relevance[query].indices[task.relevance[query].data.argmax()])
            )
            return Query(
                "distorted photo",
                self.name(exact),
                self.photos.distorted.image(self.photos.distorted_keys[query]),
                found,
            )
        kind = f", {task.about['kind'].iat[query]}" if "kind" in task.about else ""
        return Query(
            f"{title(task.name)}{kind}", self.catalogue.texts[int(task.queries[query])], None, found
        )


def _chosen(answered: Answered, count: int, seed: int) -> list[tuple[Task, Scores, int]]:
    """Return ``count`` queries drawn at random, the tasks and the languages in turn, captions twice as often."""
    random = np.random.default_rng(seed)
    piles = []
    for task, scores in answered:
        if task.kind == "image_text":
            continue
        groups = (
            task.about.groupby("language").indices.values()
            if "language" in task.about
            else [np.arange(task.relevance.shape[0])]
        )
        for rows in (random.permutation(rows) for rows in groups):
            piles += (
                [(task, scores, half) for half in (rows[::2], rows[1::2])]
                if task.kind == "text_image"
                else [(task, scores, rows)]
            )
    turns = [
        (task, scores, int(rows[turn]))
        for turn in range(count)
        for task, scores, rows in piles
        if turn < len(rows)
    ][:count]
    order = {id(task): place for place, (task, _) in enumerate(answered)}
    return sorted(turns, key=lambda one: order[id(one[0])])


def _worst(
    views: Views, answered: Answered, scores: dict[str, Any]
) -> Iterator[tuple[str, list[tuple[Query, int, Image.Image]]]]:
    """Yield, for each task that finds items, the queries whose right answer came last: the query, its rank, the right photo."""
    for (task, answer), measured in zip(answered, scores["tasks"], strict=True):
        if task.kind in ("image_text", "listing"):
            continue
        order = np.argsort(-np.array(measured["ranks"]), kind="stable")[:WORST]
        rows = [
            (
                views.asked(task, answer, int(query), 1),
                int(measured["ranks"][query]),
                views.photo(
                    views.item(
                        task,
                        int(
                            task.relevance[int(query)].indices[
                                np.argmax(task.relevance[int(query)].data)
                            ]
                        ),
                    )
                ),
            )
            for query in order
            if measured["ranks"][query] > 1
        ]
        if rows:
            yield task.name, rows


def recall_png(file: Path, scores: dict[str, Any]) -> None:
    """Draw, for each task, how often something right is among the first k, for the model and every baseline."""
    tasks = scores["tasks"]
    methods = dict.fromkeys(
        [*declared.BASELINES, *(who for task in tasks for who in task["curves"])]
    )
    colours = {who: f"C{1 + place}" for place, who in enumerate(methods)}
    columns = 2 if len(tasks) == 4 else min(3, len(tasks))
    rows = -(-len(tasks) // columns)
    figure = Figure(figsize=(1.2 + 3.3 * columns, 0.6 + 2.7 * rows), layout="constrained")
    for number, task in enumerate(tasks, 1):
        axes = figure.add_subplot(rows, columns, number, ylim=(0, 1.02))
        for who, curve in task["curves"].items():
            ours = who == "model"
            axes.plot(
                range(1, len(curve) + 1),
                curve,
                label=declared.caption(who),
                linewidth=2.6 if ours else 1.2,
                color="#4457c7" if ours else colours[who],
                zorder=3 if ours else 2,
            )
        axes.set_title(f"{title(task['name'])} ({task['gallery']:,})", fontsize=10)
        axes.grid(alpha=0.25)
        axes.set_xlabel("first k", fontsize=9)
    handles = {
        label: line
        for axes in figure.axes
        for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=min(4, len(handles)),
        fontsize=9,
        frameon=False,
    )
    figure.savefig(file, dpi=110, format="png")


def show(
    folder: Path,
    catalogue: Catalogue,
    photos: Photos,
    scores: dict[str, Any],
    answered: Answered,
    params: Evaluate,
) -> None:
    """Write the pages and pictures for what ``evaluate.examine`` measured to ``folder``."""
    views = Views(catalogue, photos, params.seed)
    board = [
        views.asked(*one, params.results_per_query)
        for one in _chosen(answered, params.board_queries, params.seed)
    ]
    recall_png(folder / "recall.png", scores)
    if board:
        board_png(folder / "board.png", board)
    (folder / "board.html").write_text(board_page(board), encoding="utf-8")
    worst = dict(_worst(views, answered, scores))
    (folder / "index.html").write_text(
        quality_page(scores, worst, (folder / "recall.png").read_bytes()), encoding="utf-8"
    )
