"""What the model must beat. None of it sees the test split before it is asked.

A method is, for each kind of task, a pair of matrices: rows of what asks and rows of what is found, compared by cosine.
Colours and gradients have no words, so between texts and pictures they stand on ridge regression from TF-IDF of character
n-grams to the pictures' features and back, in closed form (Hoerl & Kennard 1970), fitted to the training captions; the
penalty is the one that serves the validation split best. `tfidf` has no picture model of its own: between texts and pictures
it averages over the nearest training neighbours. Using a test item's other captions instead would be looking the answer up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.preprocessing import normalize

from beauty_models.recommend.report.ranking import Matrix, Scores, Task, figures, ranks, similarity
from beauty_models.recommend.report.tasks import Catalogue, Rows, image_text, text_image

Method = dict[str, tuple[Matrix, Matrix]]
Half = Callable[[tuple[str, ...], str, float], tuple[Matrix, Matrix]]
PENALTIES = (
    10.0,
    0.1,
    1.0,
    100.0,
    1000.0,
)  # of settings that are as good as each other the first is taken
NEIGHBOURS = (10, 1, 3, 30)
WIDTH = 512  # dimensions of the reduced TF-IDF space
PAIRS = 100_000  # training pairs of caption and picture at most
FEATURES = 100_000  # n-grams kept
BLOCK = 1000  # texts whose neighbours are looked for at once


class Texts(NamedTuple):
    """TF-IDF of all texts [texts, n-grams], and reduced to a space [texts, `WIDTH` at most] in which regression is cheap."""

    full: csr_matrix
    reduced: NDArray[np.float32]


def answers(method: Method, task: Task) -> Scores | None:
    """Return the scores a method gives in a task, or None where it has nothing to say."""
    if task.kind not in method:
        return None
    left, right = method[task.kind]
    return similarity(
        task.queries @ left if task.kind == "listing" else left[task.queries], right[task.gallery]
    )


def chance(task: Task, seed: int) -> Scores:
    """Return random scores, drawn anew for each query."""

    def scores(start: int, stop: int) -> NDArray[Any]:
        return np.stack(
            [
                np.random.default_rng((seed, query)).random(len(task.gallery))
                for query in range(start, stop)
            ]
        )

    return scores


def popularity(task: Task) -> Scores:
    """Return, for every shopper, how many others bought each product before the one that is asked for."""
    owned = task.queries > 0
    often = np.asarray(owned.sum(0)).ravel().astype(float)
    return lambda start, stop: np.tile(often, (stop - start, 1))


def vectorise(catalogue: Catalogue, seed: int) -> Texts:
    """Return the texts in the TF-IDF of the character n-grams of training and validation captions."""
    known = catalogue.told("train", "validation")
    vectorizer = TfidfVectorizer(
        analyzer="char_wb",
        ngram_range=(1, 4),
        sublinear_tf=True,
        max_features=FEATURES,
        dtype=np.float32,
    )
    vectorizer.fit([catalogue.texts[row] for row in known])
    full = csr_matrix(vectorizer.transform(catalogue.texts))
    width = min(WIDTH, len(known) - 1, full.shape[1] - 1)
    svd = TruncatedSVD(max(1, width), algorithm="randomized", random_state=seed).fit(full[known])
    return Texts(full, svd.transform(full).astype(np.float32))


class Learner:
    """What baselines between texts and pictures learn from: the training captions, and which texts they are asked."""

    def __init__(self, catalogue: Catalogue, seed: int) -> None:
        self.catalogue, self.seed, self.texts = catalogue, seed, vectorise(catalogue, seed)
        self.forward, self.backward = (
            text_image(catalogue, "validation"),
            image_text(catalogue, "validation"),
        )

    def pairs(self, *parts: str) -> tuple[Rows, Rows]:
        """Return the rows of texts and of items that belong together, `PAIRS` at most."""
        told = self.catalogue.captions[
            self.catalogue.captions["item"].isin(self.catalogue.rows(*parts))
        ]
        told = told.sample(min(PAIRS, len(told)), random_state=self.seed).sort_index()
        return told["text"].to_numpy(), told["item"].to_numpy()

    def asked(self, part: str) -> Rows:
        """Return the rows of the texts that are looked up when ``part`` is the gallery."""
        told = self.catalogue.told(part)
        return (
            np.union1d(told, self.catalogue.queries["text"].to_numpy(np.int64))
            if part == "test"
            else told
        )

    def choose(self, settings: Sequence[float], task: Task | None, half: Half) -> float:
        """Return the setting of ``half`` with the highest MRR@10 in a task of the validation split; without such a split the first."""
        if task is None:
            return settings[0]

        def quality(setting: float) -> float:
            left, right = half(("train",), "validation", setting)
            found = ranks(task, similarity(left[task.queries], right[task.gallery]), self.seed)
            return float(figures(task, found)["mrr_at_10"].mean())

        return max(settings, key=quality)

    def best(
        self, settings: Sequence[float], forth: Half, back: Half
    ) -> tuple[Method, float, float]:
        """Return the method with the settings, one forth and one back, that serve the validation split best, and those settings.

        ``forth`` and ``back`` make the half of a method from text to picture and back: (parts to learn from, part asked, setting).
        """
        there, again = (
            self.choose(settings, self.forward, forth),
            self.choose(settings, self.backward, back),
        )
        every = ("train", "validation")
        return (
            {"text_image": forth(every, "test", there), "image_text": back(every, "test", again)},
            there,
            again,
        )


def _spread(values: NDArray[Any], rows: Rows, length: int) -> NDArray[np.float32]:
    """Return a matrix of ``length`` rows with ``values`` at ``rows``; the others are zero and take no memory."""
    found = np.zeros((length, values.shape[1]), np.float32)
    found[rows] = values
    return found


def _regression(
    x: NDArray[Any], y: NDArray[Any], penalty: float
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return the ridge regression from rows of ``x`` to rows of ``y``; unlike scikit-learn's own it also answers no rows."""
    model = Ridge(alpha=penalty, solver="cholesky").fit(x, y)
    return lambda rows: np.asarray(rows @ model.coef_.T + model.intercept_)


def by_regression(
    learner: Learner, clean: NDArray[Any], distorted: NDArray[Any]
) -> tuple[Method, str]:
    """Return the method for the features [items, width] of clean and of distorted photos, and a note on its penalties."""
    catalogue, words = learner.catalogue, learner.texts.reduced
    centred = clean - clean[catalogue.rows("train")].mean(0)
    told = normalize(catalogue.by_item() @ words)

    def forth(parts: tuple[str, ...], part: str, penalty: float) -> tuple[Matrix, Matrix]:
        (text, item), asked = learner.pairs(*parts), learner.asked(part)
        return _spread(
            _regression(words[text], centred[item], penalty)(words[asked]), asked, len(words)
        ), centred

    def back(parts: tuple[str, ...], part: str, penalty: float) -> tuple[Matrix, Matrix]:
        item, asked = np.unique(learner.pairs(*parts)[1]), catalogue.rows(part)
        usual = told[item].mean(0)
        return _spread(
            _regression(centred[item], told[item] - usual, penalty)(centred[asked]),
            asked,
            len(centred),
        ), normalize(words) - usual

    method, there, again = learner.best(PENALTIES, forth, back)
    products = catalogue.by_product() @ normalize(centred)
    method |= {
        "search": method["text_image"],
        "image_image": (distorted, clean),
        "listing": (products, products),
    }
    return method, f"penalty {there:g} from text to picture, {again:g} back"


def _neighbours(asked: Matrix, known: Matrix, values: Matrix, count: int) -> NDArray[np.float32]:
    """Return, for each row of ``asked``, the mean of the ``values`` of its ``count`` nearest rows of ``known``, weighted by similarity."""
    found = np.zeros((asked.shape[0], values.shape[1]), np.float32)
    if not len(found):
        return found
    scores, count = similarity(asked, known), min(count, known.shape[0])
    for start in range(0, len(found), BLOCK):
        block = scores(start, min(start + BLOCK, len(found)))
        near = np.argsort(-block, axis=1, kind="stable")[:, :count]
        weights = np.maximum(
            np.take_along_axis(block, near, 1), 1e-9
        )  # a text without any known n-gram has no near ones: all the same
        chosen = (
            csr_matrix(
                (weights.ravel(), near.ravel(), np.arange(0, near.size + 1, count)),
                shape=block.shape,
            )
            @ values
        )
        found[start : start + BLOCK] = chosen.toarray() if issparse(chosen) else chosen
    return found


def by_neighbours(learner: Learner, clean: NDArray[Any]) -> tuple[Method, str]:
    """Return the method that goes by the words alone, and a note on how many neighbours it takes.

    A search and a list of products compare texts with texts. From a text to pictures it takes the training captions nearest to
    it and looks for their pictures' mean features; from a picture to texts the nearest training pictures and their captions.
    """
    catalogue, words = learner.catalogue, learner.texts
    centred = normalize(clean - clean[catalogue.rows("train")].mean(0))
    told = normalize(catalogue.by_item() @ words.full)

    def forth(parts: tuple[str, ...], part: str, count: float) -> tuple[Matrix, Matrix]:
        (text, item), asked = learner.pairs(*parts), learner.asked(part)
        return _spread(
            _neighbours(words.full[asked], words.full[text], centred[item], int(count)),
            asked,
            len(catalogue.texts),
        ), centred

    def back(parts: tuple[str, ...], part: str, count: float) -> tuple[Matrix, Matrix]:
        item, asked = np.unique(learner.pairs(*parts)[1]), catalogue.rows(part)
        near = _neighbours(
            centred[asked],
            centred[item],
            normalize(catalogue.by_item() @ words.reduced)[item],
            int(count),
        )
        return _spread(near, asked, len(centred)), words.reduced

    method, there, again = learner.best(NEIGHBOURS, forth, back)
    products = catalogue.by_product() @ told
    method |= {"search": (words.full, told), "listing": (products, products)}
    return method, f"{there:g} captions from text to picture, {again:g} pictures back"
