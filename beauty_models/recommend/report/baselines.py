"""What the model must beat. None of it sees the test split before it is asked.

A method is, for each kind of task, a pair of matrices: rows of what asks and rows of what is found,
compared by cosine. Colors and gradients have no words, so between texts and pictures they stand on
ridge regression from TF-IDF of character n-grams to the pictures' features and back, in closed form
(Hoerl & Kennard 1970), fitted to the training captions; the penalty is the one that serves the
validation split best. `tfidf` has no picture model of its own: between texts and pictures it
averages over the nearest training neighbours. Using a test item's other captions instead would be
looking the answer up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.preprocessing import normalize

from beauty_models.intake.shards import Pictures
from beauty_models.progress import bar
from beauty_models.recommend.report.catalog import Catalog, Photos, Rows
from beauty_models.recommend.report.ranking import (
    Matrix,
    Scores,
    Task,
    query_metrics,
    relevant_ranks,
    similarity,
)
from beauty_models.recommend.report.tasks import image_text, text_image
from beauty_models.retrieval.features import color_histogram, hog

Method = dict[str, tuple[Matrix, Matrix]]
"""Kind of task → what asks and what is found, a row each."""
Direction = Callable[[tuple[str, ...], str, float], tuple[Matrix, Matrix]]
"""(parts to learn from, part that asks, setting) → a method from texts to photos or back."""

# of settings that are as good as each other the first is taken
PENALTIES = (10.0, 0.1, 1.0, 100.0, 1000.0)
NEIGHBORS = (10, 1, 3, 30)
SVD_WIDTH = 512  # dimensions of the reduced TF-IDF space
MAX_PAIRS = 100_000  # training pairs of caption and photo
MAX_NGRAMS = 100_000  # kept
ROWS_AT_ONCE = 1000  # whose neighbours are looked for
FEATURES = {"colour_histogram": color_histogram, "hog": hog}
"""Baseline → its feature of a photo, which ridge regression ties to texts."""


class TfidfTexts(NamedTuple):
    """TF-IDF of all texts."""

    full: csr_matrix  # [texts, n-grams]
    reduced: NDArray[np.float32]  # [texts, `SVD_WIDTH` at most], in which regression is cheap


def answers(method: Method, task: Task) -> Scores | None:
    """Return the scores a method gives in a task, or None where it has nothing to say."""
    if task.kind not in method:
        return None
    asking, found = method[task.kind]
    queries = task.queries @ asking if task.is_listing else asking[task.queries]
    return similarity(queries, found[task.gallery])


def random_order(task: Task, seed: int) -> Scores:
    """Return random scores, drawn anew for each query.

    No method can be worse than this, and a broken one looks like it.
    """

    def query_scores(query: int) -> NDArray[Any]:
        return np.random.default_rng((seed, query)).random(len(task.gallery))

    def scores(start: int, stop: int) -> NDArray[Any]:
        return np.stack([query_scores(query) for query in range(start, stop)])

    return scores


def popularity(task: Task, seed: int) -> Scores | None:
    """Return, for every shopper, how many shoppers had each product before their last one.

    How often others bought a thing is known of histories only.
    """
    if task.name != "history":
        return None
    # bought at all, not how lately: the weights of a history fall with age
    buyers = np.asarray((task.queries > 0).sum(0))
    counts = buyers.ravel().astype(float)
    return lambda start, stop: np.tile(counts, (stop - start, 1))


ORDERS: dict[str, Callable[[Task, int], Scores | None]] = {
    "popularity": popularity,
    "random": random_order,
}
"""Baseline that looks at the task alone → its scores, None where it has nothing to say."""


def task_scores(
    task: Task,
    methods: dict[str, Method],
    seed: int,
) -> dict[str, Scores]:
    """Return what each of ``methods`` and of `ORDERS` that can do the task answers."""
    scores = {}
    for name, method in methods.items():
        answer = answers(method, task)
        if answer is not None:
            scores[name] = answer
    for name, order in ORDERS.items():
        answer = order(task, seed)
        if answer is not None:
            scores[name] = answer
    return scores


def tfidf(catalog: Catalog, seed: int) -> TfidfTexts:
    """Return the texts in the TF-IDF of the n-grams of training and validation captions."""
    known = catalog.caption_rows("train", "validation")
    vectorizer = TfidfVectorizer(
        analyzer="char_wb",
        ngram_range=(1, 4),
        sublinear_tf=True,
        max_features=MAX_NGRAMS,
        dtype=np.float32,
    )
    vectorizer.fit([catalog.texts[row] for row in known])
    full = csr_matrix(vectorizer.transform(catalog.texts))
    # scikit-learn takes fewer dimensions than there are rows and columns
    most = min(len(known), full.shape[1]) - 1
    width = max(1, min(SVD_WIDTH, most))
    svd = TruncatedSVD(width, algorithm="randomized", random_state=seed).fit(full[known])
    return TfidfTexts(full, svd.transform(full).astype(np.float32))


class Tuned(NamedTuple):
    """A method between texts and photos, with the settings that serve the validation split best."""

    method: Method
    to_image: float  # setting
    to_text: float


class Learner:
    """What baselines between texts and photos learn from: captions and validation tasks."""

    def __init__(self, catalog: Catalog, seed: int) -> None:
        self.catalog = catalog
        self.seed = seed
        self.texts = tfidf(catalog, seed)
        self.validation_text_image = text_image(catalog, "validation")
        self.validation_image_text = image_text(catalog, "validation")

    def pairs(self, *parts: str) -> tuple[Rows, Rows]:
        """Return the rows of texts and of items that belong together, `MAX_PAIRS` at most."""
        # sampled by rows of the table and put in order again: the same ones for every baseline
        captions = self.catalog.captions
        captions = captions[captions["item"].isin(self.catalog.rows(*parts))]
        count = min(MAX_PAIRS, len(captions))
        sample = captions.sample(count, random_state=self.seed).sort_index()
        return sample["text"].to_numpy(), sample["item"].to_numpy()

    def query_texts(self, part: str) -> Rows:
        """Return the rows of the texts that are looked up when ``part`` is the gallery."""
        captions = self.catalog.caption_rows(part)
        if part != "test":
            return captions
        # searches are asked of the test part only
        return np.union1d(captions, self.catalog.queries["text"].to_numpy(np.int64))

    def _choose(
        self,
        settings: Sequence[float],
        task: Task | None,
        direction: Direction,
    ) -> float:
        """Return the setting with the highest MRR@10 in a task of the validation split.

        Without such a split it is the first.
        """
        if task is None:
            return settings[0]

        def validation_mrr(setting: float) -> float:
            asking, found = direction(("train",), "validation", setting)
            scores = similarity(asking[task.queries], found[task.gallery])
            ranks = relevant_ranks(task, scores, self.seed)
            return float(query_metrics(task, ranks)["mrr_at_10"].mean())

        return max(settings, key=validation_mrr)

    def tune(
        self,
        settings: Sequence[float],
        to_image: Direction,
        to_text: Direction,
    ) -> Tuned:
        """Return the method that both directions make, each with its best setting."""
        image_setting = self._choose(settings, self.validation_text_image, to_image)
        text_setting = self._choose(settings, self.validation_image_text, to_text)
        # the choice is made, so the method learns from both parts
        learned = ("train", "validation")
        method: Method = {
            "text_image": to_image(learned, "test", image_setting),
            "image_text": to_text(learned, "test", text_setting),
        }
        return Tuned(method, image_setting, text_setting)


def _scatter(
    values: NDArray[Any],
    rows: Rows,
    length: int,
) -> NDArray[np.float32]:
    """Return a matrix of ``length`` rows with ``values`` at ``rows`` and zero elsewhere.

    Zeros that are never touched take no memory.
    """
    matrix = np.zeros((length, values.shape[1]), np.float32)
    matrix[rows] = values
    return matrix


def _ridge(
    x: NDArray[Any],
    y: NDArray[Any],
    penalty: float,
    queries: NDArray[Any],
) -> NDArray[Any]:
    """Return what ridge regression from rows of ``x`` to rows of ``y`` says of ``queries``."""
    model = Ridge(alpha=penalty, solver="cholesky").fit(x, y)
    # not by `predict`, which refuses to answer no rows
    return np.asarray(queries @ model.coef_.T + model.intercept_)


def by_regression(
    learner: Learner,
    clean: NDArray[Any],
    distorted: NDArray[Any],
) -> tuple[Method, str]:
    """Return the method for the features of clean and of distorted photos, and a note.

    ``clean`` and ``distorted`` are [photos, width]; the note tells the penalties.
    """
    catalog = learner.catalog
    words = learner.texts.reduced
    # what all photos share, such as the white backdrop, makes every cosine large
    centred = clean - clean[catalog.rows("train")].mean(0)
    captions = normalize(catalog.mean_of_captions() @ words)

    def to_image(
        parts: tuple[str, ...],
        part: str,
        penalty: float,
    ) -> tuple[Matrix, Matrix]:
        text, item = learner.pairs(*parts)
        queries = learner.query_texts(part)
        features = _ridge(words[text], centred[item], penalty, words[queries])
        return _scatter(features, queries, len(words)), centred

    def to_text(
        parts: tuple[str, ...],
        part: str,
        penalty: float,
    ) -> tuple[Matrix, Matrix]:
        # each photo once, with the mean of its captions, however many it has
        item = np.unique(learner.pairs(*parts)[1])
        queries = catalog.rows(part)
        mean = captions[item].mean(0)
        predicted = _ridge(centred[item], captions[item] - mean, penalty, centred[queries])
        return _scatter(predicted, queries, len(centred)), normalize(words) - mean

    tuned = learner.tune(PENALTIES, to_image, to_text)
    products = catalog.mean_of_items() @ normalize(centred)
    method = tuned.method | {
        "search": tuned.method["text_image"],
        "image_image": (distorted, clean),
        "listing": (products, products),
    }
    return method, f"penalty {tuned.to_image:g} from text to picture, {tuned.to_text:g} back"


def _neighbor_means(
    queries: Matrix,
    known: Matrix,
    values: Matrix,
    count: int,
) -> NDArray[np.float32]:
    """Return the mean of the ``values`` of each query's ``count`` nearest rows of ``known``.

    They are weighted by similarity.
    """
    # in blocks, so that no matrix of all similarities is held
    means = np.zeros((queries.shape[0], values.shape[1]), np.float32)
    if not len(means):
        return means
    scores = similarity(queries, known)
    count = min(count, known.shape[0])
    for start in range(0, len(means), ROWS_AT_ONCE):
        block = scores(start, min(start + ROWS_AT_ONCE, len(means)))
        near = np.argsort(-block, axis=1, kind="stable")[:, :count]
        # a text without any known n-gram is near to nothing: all neighbours count the same
        weights = np.maximum(np.take_along_axis(block, near, 1), 1e-9)
        ends = np.arange(0, near.size + 1, count)
        selection = csr_matrix((weights.ravel(), near.ravel(), ends), shape=block.shape)
        mean = selection @ values
        means[start : start + ROWS_AT_ONCE] = mean.toarray() if issparse(mean) else mean
    return means


def by_neighbors(learner: Learner, clean: NDArray[Any]) -> tuple[Method, str]:
    """Return the method that goes by the words alone, and a note on how many neighbours it takes.

    A search and a list of products compare texts with texts. From a text to photos it takes the
    training captions nearest to it and looks for their photos' mean features; from a photo to texts
    the nearest training photos and their captions.
    """
    catalog = learner.catalog
    words = learner.texts
    centred = normalize(clean - clean[catalog.rows("train")].mean(0))
    captions_full = normalize(catalog.mean_of_captions() @ words.full)
    captions_reduced = normalize(catalog.mean_of_captions() @ words.reduced)

    def to_image(
        parts: tuple[str, ...],
        part: str,
        count: float,
    ) -> tuple[Matrix, Matrix]:
        text, item = learner.pairs(*parts)
        queries = learner.query_texts(part)
        features = _neighbor_means(words.full[queries], words.full[text], centred[item], int(count))
        return _scatter(features, queries, len(catalog.texts)), centred

    def to_text(
        parts: tuple[str, ...],
        part: str,
        count: float,
    ) -> tuple[Matrix, Matrix]:
        item = np.unique(learner.pairs(*parts)[1])
        queries = catalog.rows(part)
        predicted = _neighbor_means(
            centred[queries], centred[item], captions_reduced[item], int(count)
        )
        return _scatter(predicted, queries, len(centred)), words.reduced

    tuned = learner.tune(NEIGHBORS, to_image, to_text)
    products = catalog.mean_of_items() @ captions_full
    method = tuned.method | {"search": (words.full, captions_full), "listing": (products, products)}
    note = f"{tuned.to_image:g} captions from text to picture, {tuned.to_text:g} pictures back"
    return method, note


def _photo_features(
    name: str,
    pictures: Pictures,
    keys: Sequence[str],
) -> NDArray[np.float32]:
    """Return the features [keys, width] that the baseline ``name`` takes of pictures."""
    # one by one: these features are of a picture, not of a batch
    features = []
    with bar(f"evaluate: {name}", len(keys)) as progress:
        for key in keys:
            features.append(FEATURES[name](pictures.image(key)))
            progress.advance()
    return np.stack(features)


def baselines(
    untuned: Method,
    catalog: Catalog,
    photos: Photos,
    seed: int,
) -> tuple[dict[str, Method], list[str]]:
    """Return the baselines that learn or compare, and a sentence on what each of them chose.

    ``untuned`` is how the base answers, which was never trained here.
    """
    learner = Learner(catalog, seed)
    methods = {"untuned": untuned}
    # the untuned tower's features of photos, which its method holds for photo → photo
    distorted, clean = untuned["image_image"]
    methods["ridge"], note = by_regression(learner, clean, distorted)
    notes = [f"Ridge on frozen features: {note}."]
    methods["tfidf"], note = by_neighbors(learner, clean)
    notes.append(f"TF-IDF neighbours: {note}.")
    for name in FEATURES:
        features = photos.features(partial(_photo_features, name))
        methods[name], note = by_regression(learner, *features)
        notes.append(f"Ridge on {name.replace('_', ' ')}: {note}.")
    return methods, notes
