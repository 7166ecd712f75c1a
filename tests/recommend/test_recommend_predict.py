"""What people ask a saved recommender, rightly and wrongly.

Pictures, texts, histories, filters, boards.
"""

from __future__ import annotations

import io
import time

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image

from beauty_models.intake import images, shards, synthetic
from beauty_models.params import Index
from beauty_models.recommend import board, model, predict
from beauty_models.serving import png

COLOURS, KINDS = ["red", "yellow", "green"], ["dress", "hoodie", "bag", "pants"]
PNG, JPEG = "PNG", "JPEG"


@pytest.fixture(scope="session")
def photos() -> dict[str, bytes]:
    """Return SKU → photo: four products in three colours each."""
    return {
        f"{kind.upper()}-{colour}": images.encode(
            synthetic.product(kind, colour, "plain", size=96, seed=place)
        )
        for place, kind in enumerate(KINDS)
        for colour in COLOURS
    }


@pytest.fixture(scope="session")
def saved(tmp_path_factory, photos):
    """Return the folder of a small recommender that was never trained.

    Its pictures still tell each other apart.
    """
    folder = tmp_path_factory.mktemp("recommend")
    rows = []
    for sku, jpeg in photos.items():
        kind, colour = sku.split("-")
        captions = [{"kind": "name", "language": "en", "text": f"{colour} {kind.lower()}"}]
        rows.append(
            {
                "key": images.content_key(jpeg),
                "product": kind,
                "skus": [sku, f"{sku}-L"],
                "name": kind.title(),
                "category": "Women/Tops",
                "color": colour,
                "material": "",
                "price": 10.0 if kind != "BAG" else None,
                "captions": captions,
                "image": images.content_key(jpeg),
                "attributes": [("climate", "Warm|Mild"), ("size", "L")],
            }
        )
    items = pd.DataFrame(rows)
    shards.write(folder, "train", [(images.content_key(jpeg), jpeg) for jpeg in photos.values()])
    torch.manual_seed(1)
    dual = model.build_encoder(
        image="timm:test_efficientnet",
        text="scratch",
        scratch={"layers": 1, "hidden": 32, "heads": 2, "vocabulary": 100},
        size=64,
        dimension=16,
        max_tokens=16,
        texts=[row["captions"][0]["text"] for row in rows],
        vocabulary=0,
    )
    recommender = model.Recommender(dual, 1.0)
    shown = model.build_gallery(recommender, items, shards.Pictures(folder, "train"))
    model.save(
        recommender,
        folder / "model",
        shown,
        [],
        Index(exact_below=100, links=8, build_width=40, search_width=40),
    )
    return folder / "model"


def ask(saved, *arguments: object):
    return predict.predict(model=saved, arguments=[str(argument) for argument in arguments])


def test_a_photo_finds_its_product_first(saved, photos, tmp_path):
    (tmp_path / "asked.jpg").write_bytes(photos["HOODIE-green"])
    found = ask(saved, "--image", tmp_path / "asked.jpg", "--top", 3)
    assert list(found[0]) == ["product", "sku", "name", "category", "colour", "price", "score"]
    assert found[0] | {"score": 0} == {
        "product": "HOODIE",
        "sku": "HOODIE-green",
        "name": "Hoodie",
        "category": "Women/Tops",
        "colour": "green",
        "price": 10.0,
        "score": 0,
    }
    assert len({row["product"] for row in found}) == 3
    assert [row["score"] for row in found] == sorted((row["score"] for row in found), reverse=True)


def test_products_are_listed_once_and_missing_prices_are_none(saved):
    found = ask(saved, "--text", "a bag")
    assert sorted(row["product"] for row in found) == ["BAG", "DRESS", "HOODIE", "PANTS"]
    assert next(row for row in found if row["product"] == "BAG")["price"] is None


def test_picture_and_text_together_are_their_mean(saved, photos, tmp_path):
    (tmp_path / "asked.jpg").write_bytes(photos["DRESS-red"])
    recommender, gallery = model.load(saved), predict.Gallery(saved)
    vectors = predict._embedded(saved, predict.picture(str(tmp_path / "asked.jpg")), "yellow bag")
    assert len(vectors) == 2 and vectors[0] == pytest.approx(
        recommender.embed_texts(["yellow bag"]), abs=1e-5
    )
    mean = (vectors[0] + vectors[1])[0]
    item = np.stack([gallery.index.reconstruct(row) for row in range(12)])
    best = max(item @ mean / np.linalg.norm(mean))
    assert ask(saved, "--image", tmp_path / "asked.jpg", "--text", "yellow bag")[0][
        "score"
    ] == pytest.approx(best, abs=1e-3)


def test_history_leaves_out_what_the_shopper_has(saved):
    found = ask(saved, "--history", "DRESS-red-L, HOODIE")
    assert sorted(row["product"] for row in found) == ["BAG", "PANTS"]


def test_the_latest_purchase_weighs_most(saved):
    gallery = predict.Gallery(saved)
    first, last = (
        gallery.index.reconstruct(int(gallery.items(sku)[0])) for sku in ("DRESS-red", "BAG-green")
    )
    taste, bought = gallery.taste(["DRESS-red", "BAG-green"])
    assert taste[0] == pytest.approx((0.8 * first + last) / 1.8, abs=1e-6) and bought == {
        "DRESS",
        "BAG",
    }


@pytest.mark.parametrize(
    "filters, colours, products",
    [
        (["colour=RED"], {"red"}, 4),
        (["color=red", "colour=green"], {"red", "green"}, 4),
        (["colour=red", "name=bag"], {"red"}, 1),
        (["category=tops"], set(COLOURS), 4),
        (["climate=mild"], set(COLOURS), 4),
        (["price=10"], set(COLOURS), 3),
        (["product=BAG"], set(COLOURS), 1),
    ],
)
def test_filters(saved, filters, colours, products):
    found = ask(
        saved, "--text", "something", *(part for one in filters for part in ("--filter", one))
    )
    assert len(found) == products and {row["colour"] for row in found} <= colours


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "nothing to go by"),
        (["--text", "  "], "nothing to go by"),
        (["--history", ","], "nothing to go by"),
        (["--text", "a", "--top", "0"], "--top 0: from 1 to"),
        (["--text", "a", "--top", "100000"], "from 1 to"),
        (["--text", "a", "--filter", "colour"], "write KEY=VALUE"),
        (
            ["--text", "a", "--filter", "shape=round"],
            "no 'shape'; it has product, skus, name, category, color, price, climate, size",
        ),
        (
            ["--text", "a", "--filter", "colour=mauve"],
            "no product has colour=mauve; there are green, red, yellow",
        ),
        (["--history", "DRES-red"], "no product has the SKU 'DRES-red'; did you mean DRESS-red"),
        (
            ["--history", "DRESS,HOODIE,BAG,PANTS"],
            "no product passes all filters that the shopper does not have",
        ),
        (["--history", "DRESS", "--filter", "name=dress"], "that the shopper does not have"),
        (["--image", "nowhere.jpg"], "nowhere.jpg: cannot be read"),
    ],
)
def test_mistakes_are_told(saved, arguments, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        ask(saved, *arguments)


def bomb() -> bytes:
    content = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(content, PNG)
    return content.getvalue()


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "empty"),
        (b"GIF89a and then nothing", "picture"),
        (b"<svg onload='alert(1)'/>", "not a picture"),
        (bomb(), "pixels"),
        (images.encode(Image.new("RGB", (400, 400), "red"))[:-300], "broken"),
        (images.encode(Image.new("RGB", (4, 4))), "4 × 4"),
    ],
)
def test_hostile_pictures_are_refused_by_name(saved, tmp_path, content, message):
    (tmp_path / "odd.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=rf"odd\.jpg: .*{message}"):
        ask(saved, "--image", tmp_path / "odd.jpg")


def test_a_folder_that_is_no_model_is_told(tmp_path):
    with pytest.raises(ValueError, match="is .* a saved recommender"):
        ask(tmp_path, "--text", "a")


@pytest.mark.parametrize("top", [3, 12])
def test_board(saved, photos, tmp_path, top):
    (tmp_path / "asked.jpg").write_bytes(photos["DRESS-red"])
    ask(
        saved,
        "--image",
        tmp_path / "asked.jpg",
        "--text",
        "红色",
        "--top",
        top,
        "--board",
        tmp_path / "board.png",
    )
    with Image.open(tmp_path / "board.png") as board:
        assert board.format == PNG and board.width > 500


def test_export_is_loaded_by_open_clip(saved, tmp_path):
    said = ask(saved, "--export", tmp_path / "clip")
    assert said == [
        {
            "exported": str(tmp_path / "clip"),
            "load": f'open_clip.create_model_and_transforms("local-dir:{tmp_path / "clip"}")',
        }
    ]
    clip, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'clip'}")
    tokens = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'clip'}")(["red dress"])
    with torch.inference_mode():
        vector = torch.nn.functional.normalize(clip.eval().encode_text(tokens)).numpy()
    assert vector == pytest.approx(model.load(saved).embed_texts(["red dress"]), abs=2e-2)


def test_answers_come_at_once_when_loaded(saved):
    gallery = predict.Gallery(saved)
    query = gallery.taste(["DRESS"])[0]
    start = time.perf_counter()
    gallery.best(query, 10, gallery.allowed(["colour=red"]))
    assert time.perf_counter() - start < 0.5


def test_board_frames_what_is_right_and_stays_small(tmp_path):
    random = np.random.default_rng(0)
    noise = [Image.fromarray(random.integers(0, 256, (200, 150, 3), np.uint8)) for _ in range(8)]
    found = [board.Hit(photo, "a name", place == 2) for place, photo in enumerate(noise)]
    rows = [
        board.Query("search", ("红色的 dress", "a red dress " * 20)[line % 2], None, found)
        for line in range(12)
    ]
    board.board_png(tmp_path / "board.png", rows)
    assert (tmp_path / "board.png").stat().st_size <= png.LIMIT
    board.board_png(tmp_path / "one.png", rows[:1])
    drawn = np.asarray(Image.open(tmp_path / "one.png").convert("RGB")).astype(int)
    green = np.abs(drawn - np.array([0x1F, 0x9E, 0x89])).max(-1) < 12
    edges = [
        2 * board.GAP + board.QUERY_WIDTH + place * (board.SIDES[0] + board.GAP)
        for place in range(8)
    ]
    framed = [green[:, edge - 2 : edge].sum() > board.SIDES[0] for edge in edges]
    assert framed == [place == 2 for place in range(8)]
