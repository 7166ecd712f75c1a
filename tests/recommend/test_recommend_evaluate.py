"""Retrieval figures by hand and against brute force, baselines that learn and do not peek, reports
that are whole and safe.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.sparse import csr_matrix

from beauty_models.evaluation import bootstrap
from beauty_models.intake import images, shards, synthetic
from beauty_models.recommend import Evaluate, evaluate
from beauty_models.recommend.report import baselines, catalog, ranking, tasks
from beauty_models.serving import png

PARAMS = Evaluate(seed=7, bootstrap=200, confidence=0.95, board_queries=6, results_per_query=4)
COLOURS, KINDS = ["red", "yellow", "green", "blue"], ["dress", "hoodie", "bag"]
RELATED, SIZES = 2, {"train": 24, "validation": 12, "test": 12}
DRAWN: dict[tuple[str, str], bytes] = {}


def picture(kind: str, colour: str, product: int) -> bytes:
    """Return a photo; no two products have the same."""
    if (kind, colour) not in DRAWN:
        DRAWN[kind, colour] = images.encode(
            synthetic.product(kind, colour, "plain", size=64, seed=3)
        )
    return DRAWN[kind, colour] + product.to_bytes(
        2, "big"
    )  # what stands behind the end of a JPEG is not read


def items(part: str, count: int) -> tuple[pd.DataFrame, list[tuple[str, bytes]]]:
    """Return ``count`` products in two colours each, and their photos."""
    rows, photos = [], []
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        english, chinese, department = (
            synthetic.KINDS[kind].english,
            synthetic.KINDS[kind].chinese,
            synthetic.KINDS[kind].department,
        )
        for colour in (COLOURS[number % 4], COLOURS[(number + 1) % 4]):
            jpeg = picture(kind, colour, number + 100 * list(SIZES).index(part))
            told = [
                ("name", "en", f"{english} {part} {number}"),
                ("description", "en", f"A {colour} {english} for every day."),
                ("attributes", "zh", f"{synthetic.COLORS[colour][1]}{chinese}"),
            ]
            rows.append(
                {
                    "key": images.content_key(jpeg),
                    "product": f"{part}-{number}",
                    "skus": [f"{part}-{number}-{colour}"],
                    "name": f"{english} {number}",
                    "category": department,
                    "color": colour,
                    "material": None,
                    "price": 10.0,
                    "attributes": {"color": colour},
                    "image": images.content_key(jpeg),
                    "captions": [
                        dict(zip(("kind", "language", "text"), one, strict=True)) for one in told
                    ],
                }
            )
            photos.append((images.content_key(jpeg), jpeg))
    return pd.DataFrame(rows), photos


def folder(path, sizes: dict[str, int] = SIZES, extra: bool = True, **changes):
    """Write a data folder; ``changes`` are made to the columns of the test part."""
    path.mkdir()
    products: list[str] = []
    for part, count in sizes.items():
        frame, photos = items(part, max(1, count))
        frame = frame.iloc[: 2 * count]
        (frame.assign(**changes) if part == "test" else frame).to_parquet(path / f"{part}.parquet")
        shards.write(path, part, photos)
        products += list(dict.fromkeys(frame["product"]))
    mine = [product for product in products if product.startswith("test")]
    if extra:
        pd.DataFrame(
            [
                {"kind": "related", "product": one, "other": products[i * RELATED + j]}
                for i, one in enumerate(mine)
                for j in range(RELATED)
            ]
        ).to_parquet(path / "test.relations.parquet")
        pd.DataFrame(
            {
                "shopper": [f"s{i}" for i in range(12)],
                "products": [[products[0], *products[i : i + 3]] for i in range(1, 13)],
            }
        ).to_parquet(path / "test.histories.parquet")
        pd.DataFrame(
            [
                {"query": "想买红色的", "language": "zh", "product": row.product, "color": "red"}
                for row in frame.itertuples()
            ]
        ).to_parquet(path / "test.queries.parquet")
    return path


def embedder(blind: bool = False) -> SimpleNamespace:
    """Return a stand-in for the recommender that sees the colour and the kind, or nothing but
    noise.
    """
    random = np.random.default_rng(5)

    def rows(codes: np.ndarray) -> np.ndarray:
        codes = random.normal(size=codes.shape) if blind else codes
        return (codes / np.linalg.norm(codes, axis=1, keepdims=True)).astype(np.float32)

    def embed_images(pictures, keys, title=""):
        pixels = np.stack(
            [
                np.asarray(pictures.image(key).resize((8, 8), Image.Resampling.BOX), float)[
                    3:6, 3:5
                ].mean((0, 1))
                for key in keys
            ]
        )
        distance = (
            (pixels[:, None] - np.array([synthetic.COLORS[colour][0] for colour in COLOURS])) ** 2
        ).sum(-1)
        return rows(
            np.concatenate(
                [np.eye(len(COLOURS))[distance.argmin(1)], np.full((len(keys), 1), 0.1)], axis=1
            )
        )

    def embed_texts(texts, title=""):
        named = np.array(
            [
                [colour in text or synthetic.COLORS[colour][1] in text for colour in COLOURS]
                for text in texts
            ],
            float,
        )
        return rows(np.concatenate([named, np.full((len(texts), 1), 0.1)], axis=1))

    def fuse(image, text):
        mixed = 0.9 * image + 0.1 * text
        return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)

    return SimpleNamespace(embed_images=embed_images, embed_texts=embed_texts, fuse=fuse)


def task(relevance, kind: str = "text_image", **given) -> ranking.Task:
    relevance = csr_matrix(np.asarray(relevance, float))
    about = pd.DataFrame({"product": [f"p{i}" for i in range(relevance.shape[0])]})
    return ranking.Task(
        kind,
        kind,
        given.get("queries", np.arange(relevance.shape[0])),
        np.arange(relevance.shape[1]),
        relevance,
        about,
    )


def fixed(scores) -> ranking.Scores:
    return lambda start, stop: np.asarray(scores, float)[start:stop]


def test_metrics_by_hand():
    one = task([[0, 1, 0, 2], [1, 0, 0, 0], [0, 0, 1, 0]])
    found = ranking.relevant_ranks(one, fixed([[4, 3, 2, 1], [9, 1, 2, 3], [3, 2, 1, 0]]), 7)
    assert found.tolist() == [2, 4, 1, 3]
    metrics = ranking.query_metrics(one, found)
    assert metrics["recall_at_1"].tolist() == [0, 1, 0] and metrics["recall_at_5"].tolist() == [
        1,
        1,
        1,
    ]
    assert metrics["mrr_at_10"] == pytest.approx([1 / 2, 1, 1 / 3])
    gained, best = 1 / np.log2(3) + 2 / np.log2(5), 2 / np.log2(2) + 1 / np.log2(3)
    assert metrics["ndcg_at_10"] == pytest.approx([gained / best, 1, 1 / np.log2(4)])


def test_a_list_is_as_good_as_the_part_of_what_is_right_that_is_on_it():
    relevance = np.zeros((1, 40))
    relevance[0, [0, 5, 30]] = 1
    given = csr_matrix(np.eye(1, 40, 39))
    one = task(relevance, "listing", queries=given)
    scores = np.arange(40, 0, -1.0)[None]
    scores[0, 39] = 100  # what is given is not listed again, however near
    found = ranking.relevant_ranks(one, fixed(scores), 7)
    assert found.tolist() == [1, 6, 31]
    metrics = ranking.query_metrics(one, found)
    assert metrics["recall_at_10"] == pytest.approx([2 / 3]) and set(metrics) == {
        "recall_at_10",
        "ndcg_at_10",
    }
    assert 39 not in ranking.best_answers(one, fixed(scores), 7, 0, 39)


def test_ranks_are_brute_force_in_any_block(monkeypatch):
    random = np.random.default_rng(0)
    relevance = random.random((50, 70)) < 0.05
    relevance[:, 3] = True
    one, scores = (
        task(relevance * random.integers(1, 3, (50, 70))),
        random.integers(0, 8, (50, 70)),
    )  # many equal scores
    order = np.random.default_rng(7).permutation(70)
    places = np.stack([np.lexsort((order, -row)).argsort() + 1 for row in scores])
    whole = ranking.relevant_ranks(one, fixed(scores), 7)
    assert (whole == places[relevance]).all()
    monkeypatch.setattr(ranking, "MAX_SCORES", 150)
    assert (ranking.relevant_ranks(one, fixed(scores), 7) == whole).all()
    for query in range(50):
        assert (
            places[query][ranking.best_answers(one, fixed(scores), 7, query, 5)] == range(1, 6)
        ).all()


def test_equal_scores_are_chance():
    one = task(np.eye(400))
    assert ranking.query_metrics(one, ranking.relevant_ranks(one, fixed(np.zeros((400, 400))), 7))[
        "recall_at_10"
    ].mean() == pytest.approx(10 / 400, abs=0.01)


def test_margins_are_paired_and_whole_products_are_resampled():
    random = np.random.default_rng(1)
    products = np.repeat([f"p{i}" for i in range(30)], 4)
    worse = np.repeat(random.random(30), 4)
    one = task(np.eye(120))
    one.about["product"] = products
    values = {"model": {"mrr": worse + 0.1}, "base": {"mrr": worse}}
    found = evaluate.compare_methods(one, values, PARAMS)
    assert [found["base"][f"mrr.margin{end}"] for end in ("", "_low", "_high")] == pytest.approx(
        [0.1] * 3
    )
    rows = np.stack([worse + 0.1, np.ones(120)], 1)
    by_product = bootstrap.bootstrap(
        rows[:, :1], bootstrap.mean, groups=products, resamples=2000, confidence=0.95, seed=3
    )
    assert found["model"]["mrr.high"] - found["model"]["mrr.low"] == pytest.approx(
        by_product.high - by_product.low, rel=0.15
    )
    alone = bootstrap.bootstrap(
        rows[:, :1], bootstrap.mean, resamples=2000, confidence=0.95, seed=3
    )
    assert by_product.high - by_product.low > 1.5 * (alone.high - alone.low)
    reverse = evaluate.compare_methods(
        one, {"model": {"mrr": worse}, "base": {"mrr": worse + 0.1}}, PARAMS
    )
    assert reverse["base"]["mrr.margin_high"] == pytest.approx(-0.1)


def test_what_is_relevant(tmp_path):
    shop = catalog.read(folder(tmp_path / "data"))
    found = {one.name: one for one in tasks.tasks(shop)}
    assert set(found) == {
        "text_image",
        "image_text",
        "image_image",
        "goes_with",
        "history",
        "query_zh",
    }
    told = found["text_image"]
    shared = [
        row
        for row, text in enumerate(told.queries)
        if shop.texts[text] == "A red dress for every day."
    ][0]
    right = shop.items.iloc[told.gallery[told.relevance[shared].indices]]
    test = shop.items[shop.items["part"] == "test"]
    assert (
        set(right["key"])
        == set(test[(test["color"] == "red") & test["name"].str.startswith("dress")]["key"])
        and len(right) > 1
    )
    assert (told.relevance.toarray() == found["image_text"].relevance.toarray().T).all()
    photo = found["image_image"]
    assert (
        photo.relevance.shape == (4 * 24, 24)
        and photo.relevance[0].toarray().max() == 2
        and photo.relevance[0].sum() == 3
    )
    assert (
        found["goes_with"].relevance.sum() == 12 * RELATED and len(found["goes_with"].gallery) == 48
    )
    weights = found["history"].queries.toarray()[0]
    assert weights[weights > 0].tolist() == pytest.approx([0.64, 0.8, 1.0]) and found[
        "history"
    ].relevance[0].indices.tolist() == [3]
    assert (
        found["query_zh"].relevance.shape[0] == 1
        and found["query_zh"].relevance.sum() == (test["color"] == "red").sum()
    )


def test_data_without_ground_truth_have_no_such_metrics(tmp_path):
    found = evaluate.flatten_metrics(
        evaluate.evaluate_model(
            embedder(), embedder(), folder(tmp_path / "data", extra=False), tmp_path, PARAMS
        )
    )
    assert not [
        name for name in found if "goes_with" in name or "history" in name or "query" in name
    ]
    assert {"text_image_mrr_at_10", "image_text_recall_at_1", "image_image_ndcg_at_10"} <= set(
        found
    )


def test_items_without_texts_are_found_by_their_photos(tmp_path):
    data = folder(tmp_path / "data", extra=False, captions=[[] for _ in range(24)])
    found = evaluate.flatten_metrics(
        evaluate.evaluate_model(embedder(), embedder(), data, tmp_path, PARAMS)
    )
    assert (
        "text_image_mrr_at_10" not in found
        and found["image_image_recall_at_10"] > 0
        and found["captions"] == 0
    )


def test_a_blind_model_is_as_good_as_chance_and_a_seeing_one_better(tmp_path):
    data = folder(tmp_path / "data", SIZES | {"test": 20})
    blind = evaluate.flatten_metrics(
        evaluate.evaluate_model(embedder(blind=True), embedder(blind=True), data, tmp_path, PARAMS)
    )
    for name in ("text_image_mrr_at_10", "image_text_mrr_at_10", "goes_with_ndcg_at_10"):
        assert blind[f"random/{name}.margin_low"] < 0 < blind[f"random/{name}.margin_high"]
        assert blind[name] == pytest.approx(blind[f"random/{name}"], abs=0.1)
    seeing = evaluate.flatten_metrics(
        evaluate.evaluate_model(embedder(), embedder(blind=True), data, tmp_path, PARAMS)
    )
    for name in ("text_image_mrr_at_10", "image_text_recall_at_5"):
        assert (
            seeing[name] >= seeing[f"{name}.low"] > 0.1 and seeing[f"untuned/{name}.margin_low"] > 0
        )
    assert seeing["query_zh_recall_at_1"] == 1
    assert seeing["popularity/history_recall_at_10.margin"] == pytest.approx(
        seeing["history_recall_at_10"] - seeing["popularity/history_recall_at_10"]
    )
    assert {
        f"{who}/text_image_mrr_at_10.margin_low"
        for who in ("untuned", "ridge", "tfidf", "hog", "colour_histogram", "random")
    } <= set(seeing)
    assert (
        "tfidf/image_image_mrr_at_10" not in seeing
        and "popularity/goes_with_recall_at_10" not in seeing
    )
    assert all(np.isfinite(value) for value in seeing.values())


def test_ridge_and_neighbours_learn_colours(tmp_path):
    shop = catalog.read(folder(tmp_path / "data"))
    photos, learner, told = (
        catalog.Photos(shop, 7),
        baselines.Learner(shop, 7),
        tasks.text_image(shop),
    )
    clean, distorted = photos.features(embedder().embed_images)
    chance = ranking.query_metrics(
        told, ranking.relevant_ranks(told, baselines.random_order(told, 7), 7)
    )["mrr_at_10"].mean()
    for method, note in (
        baselines.by_regression(learner, clean, distorted),
        baselines.by_neighbors(learner, clean),
    ):
        scores = baselines.answers(method, told)
        assert (
            ranking.query_metrics(told, ranking.relevant_ranks(told, scores, 7))["mrr_at_10"].mean()
            > 1.5 * chance
            and "from text to picture" in note
        )
    assert set(baselines.by_regression(learner, clean, distorted)[0]) == {
        "text_image",
        "image_text",
        "image_image",
        "search",
        "listing",
    }


def test_baselines_do_not_learn_from_the_test_part(tmp_path):
    """Other captions on the test items change what is asked, not what the baselines learned."""
    one = catalog.read(folder(tmp_path / "one", extra=False))
    strange = [[{"kind": "name", "language": "en", "text": f"zebra {i}"}] for i in range(24)]
    other = catalog.read(folder(tmp_path / "other", extra=False, captions=strange))
    learned = []
    for shop in (one, other):
        learner = baselines.Learner(shop, 7)
        clean, distorted = catalog.Photos(shop, 7).features(embedder().embed_images)
        place = [
            shop.texts.index(text)
            for text in sorted({shop.texts[row] for row in shop.caption_rows("train")})
        ]
        notes = [
            baselines.by_regression(learner, clean, distorted)[1],
            baselines.by_neighbors(learner, clean)[1],
        ]
        learned.append((learner.texts.full[place].toarray(), notes))
    assert learned[0][0].shape == learned[1][0].shape and learned[0][0] == pytest.approx(
        learned[1][0]
    )
    assert learned[0][1] == learned[1][1]


def test_without_a_validation_part_the_baselines_still_answer(tmp_path):
    found = evaluate.flatten_metrics(
        evaluate.evaluate_model(
            embedder(),
            embedder(),
            folder(tmp_path / "data", SIZES | {"validation": 0}, extra=False),
            tmp_path,
            PARAMS,
        )
    )
    assert np.isfinite(
        [found["ridge/text_image_mrr_at_10"], found["tfidf/image_text_mrr_at_10"]]
    ).all()


def test_few_products_are_resampled_query_by_query(tmp_path):
    scores = evaluate.evaluate_model(
        embedder(),
        embedder(),
        folder(tmp_path / "data", SIZES | {"test": 2}, extra=False),
        tmp_path,
        PARAMS,
    )
    assert not any(one["grouped"] for one in scores["tasks"])
    metrics = scores["tasks"][0]["metrics"]["model"]
    assert metrics["mrr_at_10.low"] < metrics["mrr_at_10"] < metrics["mrr_at_10.high"]


def test_distorted_photos_are_the_same_every_time_and_of_one_item_unlike(tmp_path):
    shop = catalog.read(folder(tmp_path / "data"))
    one, two = catalog.Photos(shop, 7), catalog.Photos(shop, 7)
    key, other = one.distorted_keys[:2]
    assert (
        key.partition("#")[0] == other.partition("#")[0] and len(set(one.distorted_keys)) == 4 * 24
    )
    first, again, second = (
        np.asarray(photos.distorted.image(name))
        for photos, name in ((one, key), (two, key), (one, other))
    )
    assert (first == again).all() and (first != second).any()


def test_report_is_whole_safe_and_the_same_twice(tmp_path):
    chinese = {"kind": "attributes", "language": "zh", "text": "红色连衣裙"}
    nasty = [
        [{"kind": "name", "language": "en", "text": f"<script>alert({i})</script> & co"}, chinese]
        for i in range(24)
    ]
    data = folder(tmp_path / "data", captions=nasty, name="<b>bag</b>")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        evaluate.evaluate_model(embedder(), embedder(), data, tmp_path / name, PARAMS)
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert set(files) == {"index.html", "board.html", "board.png", "recall.png", "scores.json"}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    assert json.loads(files["scores.json"])["n"] == 24
    for name in ("index.html", "board.html"):
        text = files[name].decode()
        assert (
            "<script" not in text
            and "<b>bag" not in text
            and "http:" not in text
            and "https:" not in text
        )
        assert (
            "&lt;script&gt;" in text
            and "data:image/jpeg" in text
            and 'src="data:' in text
            and text.count("src=") == text.count('src="data:')
        )
    assert "红色连衣裙" in files["board.html"].decode()
    assert all(len(files[name]) <= png.LIMIT for name in ("board.png", "recall.png"))


def test_empty_test_part_is_told(tmp_path):
    data = folder(tmp_path / "data", extra=False)
    pd.read_parquet(data / "test.parquet").iloc[:0].to_parquet(data / "test.parquet")
    with pytest.raises(ValueError, match=r"test\.parquet: no items to evaluate on"):
        catalog.read(data)


def test_a_new_metric_and_a_new_baseline_are_measured_compared_and_shown(tmp_path, monkeypatch):
    measure, methods = evaluate.query_metrics, evaluate.all_methods

    def more_metrics(task, found):
        nearest = evaluate.first_ranks(task, found)
        return measure(task, found) | {"recall_at_2": (nearest <= 2).astype(float)}

    def more_methods(*arguments):
        found, notes = methods(*arguments)
        return found | {"new_baseline": found["untuned"]}, notes

    monkeypatch.setattr(evaluate, "query_metrics", more_metrics)
    monkeypatch.setattr(evaluate, "all_methods", more_methods)
    data = folder(tmp_path / "data", extra=False)
    found = evaluate.flatten_metrics(
        evaluate.evaluate_model(embedder(), embedder(blind=True), data, tmp_path, PARAMS)
    )
    assert found["text_image_recall_at_1"] <= found["text_image_recall_at_2"]
    assert "new_baseline/text_image_recall_at_2.margin_low" in found
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert ">recall_at_2</th>" in page and "<td>new_baseline</td>" in page
    assert f"{found['text_image_recall_at_2']:.3f}" in page
