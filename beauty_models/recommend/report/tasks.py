"""What is asked of the model: the tasks that the test part of a catalogue gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from beauty_models.recommend.model import recency_weights
from beauty_models.recommend.report.catalog import DISTORTED_VIEWS, Catalog
from beauty_models.recommend.report.ranking import Task

# what the same item and another color of its product are worth to a distorted photo
EXACT_GAIN = 2.0
OTHER_COLOR_GAIN = 1.0


def _optional(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    return pd.read_parquet(file) if file.exists() else pd.DataFrame(columns=list(columns))


def _relevance(shape: tuple[int, int], cells: Iterable[tuple[int, int]]) -> csr_matrix:
    """Return the matrix with 1 at each of ``cells``, however often it is named."""
    # distinct and sorted: csr_matrix would add up what is named twice
    distinct = np.array(sorted(set(cells)), np.int64).reshape(-1, 2)
    rows, columns = distinct.T
    return csr_matrix((np.ones(len(distinct)), (rows, columns)), shape=shape)


def text_image(catalog: Catalog, part: str = "test") -> Task | None:
    """Return the task to find the items of each distinct caption among the items of ``part``.

    None where no item has a caption.
    """
    gallery = catalog.rows(part)
    captions = catalog.captions[catalog.captions["item"].isin(gallery)]
    texts, query = np.unique(captions["text"], return_inverse=True)
    if not len(texts):
        return None
    places = np.searchsorted(gallery, captions["item"])
    cells = zip(query.tolist(), places.tolist(), strict=True)
    relevance = _relevance((len(texts), len(gallery)), cells)
    # of a caption that several items have, the first one's
    about = captions.drop_duplicates("text").sort_values("text").reset_index(drop=True)
    for column in ("product", "category"):
        about[column] = catalog.items[column].to_numpy()[about["item"]]
    return Task("text_image", "text_image", texts, gallery, relevance, about)


def image_text(catalog: Catalog, part: str = "test") -> Task | None:
    """Return the task to find each photo's own captions among all distinct captions of ``part``.

    None where no item has a caption.
    """
    reverse = text_image(catalog, part)
    if reverse is None:
        return None
    relevance = csr_matrix(reverse.relevance.T)
    with_captions = np.flatnonzero(np.diff(relevance.indptr))
    items = reverse.gallery[with_captions]
    about = catalog.items.iloc[items][["product", "category"]].reset_index(drop=True)
    return Task("image_text", "image_text", items, reverse.queries, relevance[with_captions], about)


def image_image(catalog: Catalog) -> Task:
    """Return the task to find a product by a distorted photo of one of its items.

    The gallery is the clean photos of the test part.
    """
    items = catalog.rows("test")
    about = catalog.items.iloc[items][["product", "category"]].reset_index(drop=True)
    product = pd.factorize(about["product"])[0]
    members = csr_matrix((np.ones(len(items)), (range(len(items)), product)))
    relevance = csr_matrix(members @ members.T) * OTHER_COLOR_GAIN
    # the diagonal: an item and itself
    relevance.setdiag(EXACT_GAIN)
    relevance.sort_indices()
    item = np.repeat(np.arange(len(items)), DISTORTED_VIEWS)  # of each distorted photo
    return Task(
        "image_image",
        "image_image",
        np.arange(len(item)),
        items,
        relevance[item],
        about.iloc[item].reset_index(drop=True),
    )


def _listing(
    catalog: Catalog,
    name: str,
    given: list[dict[int, float]],
    wanted: list[set[int]],
    about: pd.DataFrame,
) -> Task | None:
    """Return the task to list the products ``wanted`` of each query.

    ``given`` are each query's products and their weights.
    """
    if not given:
        return None
    shape = (len(given), len(catalog.products))
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    relevant: list[tuple[int, int]] = []
    for query, (weights, products) in enumerate(zip(given, wanted, strict=True)):
        rows += [query] * len(weights)
        columns += weights.keys()
        values += weights.values()
        # several products may be right, all of equal worth
        relevant += [(query, product) for product in products]
    queries = csr_matrix((values, (rows, columns)), shape=shape)
    queries.sort_indices()
    return Task(
        name,
        "listing",
        queries,
        np.arange(len(catalog.products)),
        _relevance(shape, relevant),
        about,
    )


def goes_with(catalog: Catalog) -> Task | None:
    """Return the task to list what the shop links with a test product, among all products."""
    links = _optional(catalog.folder / "test.relations.parquet", ["product", "other"])
    row_of = {product: row for row, product in enumerate(catalog.products)}
    known = links["product"].isin(row_of) & links["other"].isin(row_of)
    links = links[known & (links["product"] != links["other"])]
    given = []
    wanted = []
    products = []
    for product, others in links.groupby("product")["other"]:
        products.append(product)
        given.append({row_of[str(product)]: 1.0})
        wanted.append(set(others.map(row_of)))
    return _listing(catalog, "goes_with", given, wanted, pd.DataFrame({"product": products}))


def history(catalog: Catalog) -> Task | None:
    """Return the task to list the product a shopper came to last, from those before it.

    The gallery is all other products. A product that was bought again counts where it came first;
    shoppers with fewer than two known products are left out.
    """
    shoppers = _optional(catalog.folder / "test.histories.parquet", ["shopper", "products"])
    row_of = {product: row for row, product in enumerate(catalog.products)}
    given = []
    wanted = []
    names = []
    for shopper, products in zip(shoppers["shopper"], shoppers["products"], strict=True):
        rows = list(dict.fromkeys(row_of[product] for product in products if product in row_of))
        if len(rows) < 2:
            continue
        *earlier, last = rows
        given.append(dict(zip(earlier, recency_weights(len(earlier)), strict=True)))
        wanted.append({last})
        names.append(str(shopper))
    # the bootstrap resamples by product; here the unit is the shopper
    about = pd.DataFrame({"product": np.array(names, object)})
    return _listing(catalog, "history", given, wanted, about)


def searches(catalog: Catalog) -> list[Task]:
    """Return a task per language: real search texts and the test items that they should find."""
    gallery = catalog.rows("test")
    items = catalog.items.iloc[gallery][["product", "color"]]
    items = items.assign(place=range(len(gallery)))
    pairs = catalog.queries.merge(items, on="product", suffixes=("", "_item"))
    # a search that names a color should find that variant only
    any_color = pairs["color"].isna()
    pairs = pairs[any_color | (pairs["color"] == pairs["color_item"])]
    found = []
    for language, rows in pairs.groupby("language"):
        texts, query = np.unique(rows["text"], return_inverse=True)
        cells = zip(query.tolist(), rows["place"].tolist(), strict=True)
        relevance = _relevance((len(texts), len(gallery)), cells)
        first = rows.drop_duplicates("text").sort_values("text").reset_index(drop=True)
        about = first[["text", "product"]]
        found.append(Task(f"query_{language}", "search", texts, gallery, relevance, about))
    return found


def tasks(catalog: Catalog) -> list[Task]:
    """Return every task that the data of the test part have the truth for."""
    possible = [
        text_image(catalog),
        image_text(catalog),
        image_image(catalog),
        goes_with(catalog),
        history(catalog),
    ]
    return [task for task in possible if task is not None] + searches(catalog)
