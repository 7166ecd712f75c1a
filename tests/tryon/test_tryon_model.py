"""tryon's network: fusions that do without an input, what training learns, saved folders, reasons.

transformers reads the saved folders.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from toys import train_tryon, tryon_params
from transformers import AutoModel, AutoTokenizer

from beauty_models.backbones import vision
from beauty_models.intake.shards import Pictures
from beauty_models.retrieval import index
from beauty_models.training.checkpoint import Checkpoint
from beauty_models.tryon import evaluate, starter
from beauty_models.tryon.attribution import explain
from beauty_models.tryon.finetune import Split, Trainer, _best_fusion, finetune
from beauty_models.tryon.fusion import FUSIONS, TokenFeatures
from beauty_models.tryon.model import MIXTURES, FusionClassifier, load, save
from beauty_models.tryon.predict import predict
from beauty_models.tryon.pretrain import hide
from beauty_models.tryon.towers import Inputs, full_precision_above


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold the toy data and a model trained on it for a few epochs."""
    folder = tmp_path_factory.mktemp("tryon")
    settings = tryon_params(
        pretrain={"epochs": 0, "masked_language_model": {"epochs": 0}}, finetune={"epochs": 5}
    )
    starter.toy(raw=folder / "raw")
    torch.manual_seed(7)
    train_tryon(folder, settings, folder / "raw")
    return folder


@pytest.fixture(scope="module")
def classifier(place: Path) -> FusionClassifier:
    return load(place / "model")


def test_a_missing_input_is_one_learned_feature_whatever_stands_in_its_place() -> None:
    torch.manual_seed(1)
    text, image = torch.randn(4, 6), torch.randn(4, 10)
    words, patches = torch.randn(4, 3, 6), torch.randn(4, 9, 10)
    mask, all_ = torch.tensor([[1, 1, 0]] * 4, dtype=torch.bool), torch.ones(4, 9, dtype=torch.bool)
    there, gone = torch.ones(4, dtype=torch.bool), torch.tensor([True, False, True, True])
    for make in FUSIONS.values():
        fusion = make(6, 10, 8, 2).eval()
        full = fusion(
            text, image, TokenFeatures(words, mask, there), TokenFeatures(patches, all_, there)
        )
        assert full.shape == (4, 8) and torch.isfinite(full).all()
        padded = torch.cat([words[:, :2], 100 + words[:, 2:]], 1)
        assert torch.allclose(
            fusion(
                text, image, TokenFeatures(padded, mask, there), TokenFeatures(patches, all_, there)
            ),
            full,
        )
    cross = FUSIONS["cross"](6, 10, 8, 2).eval()
    one, other = (
        cross(text, image, TokenFeatures(values, mask, gone), TokenFeatures(patches, all_, there))
        for values in (words, torch.randn(4, 3, 6))
    )
    assert torch.allclose(one[1], other[1]) and not torch.allclose(one[0], other[0])


def test_both_inputs_tell_and_one_is_enough_to_answer(
    place: Path, classifier: FusionClassifier
) -> None:
    frame = pd.read_parquet(place / "data/test.parquet")
    frame = frame[(frame["text"] != "") & frame["image"].notna()]
    pictures, nothing = Pictures(place / "data", "test"), [""] * len(frame)
    texts, keys = frame["text"].tolist(), frame["image"].tolist()
    names = classifier.config.heads[0]["labels"]

    def right(texts: list[str], keys: list[str]) -> float:
        said = classifier.predict(texts, keys, pictures, "").probabilities["class"]
        assert np.allclose(said.sum(1), 1, atol=1e-5)
        return float(
            np.mean(
                [
                    names[i] == one
                    for i, one in zip(said.argmax(1), frame["label.class"], strict=True)
                ]
            )
        )

    assert right(texts, keys) > 0.8 and right(texts, nothing) > 0.6 and right(nothing, keys) > 0.35
    alone = classifier.predict(nothing, nothing, pictures, "").probabilities["class"]
    assert np.allclose(alone, alone[0])


def test_saved_networks_are_transformers_own_and_the_model_answers_the_same(
    place: Path, classifier: FusionClassifier
) -> None:
    text, image = (
        AutoModel.from_pretrained(place / "model/text"),
        AutoModel.from_pretrained(place / "model/image"),
    )
    learned = classifier.state_dict()
    for name, network in (("text", text), ("image", image)):
        shared = [key for key in network.state_dict() if f"{name}.{key}" in learned]
        assert len(shared) > 10 and all(
            torch.equal(network.state_dict()[key], learned[f"{name}.{key}"]) for key in shared
        )
    assert AutoTokenizer.from_pretrained(place / "model/text")("red dress")["input_ids"]
    pictures = Pictures(place / "data", "test")
    key = next(iter(pd.read_parquet(place / "data/test.parquet")["image"].dropna()))
    both = [
        one.predict(["red dress"], [key], pictures, "")
        for one in (classifier, load(place / "model"))
    ]
    assert np.array_equal(both[0].features, both[1].features) and np.isclose(
        np.linalg.norm(both[0].features), 1
    )
    assert json.loads((place / "model/image.json").read_text())["license"] == "Apache-2.0"


def test_gallery_holds_the_garments_on_sale_in_the_order_of_the_index(
    place: Path, classifier: FusionClassifier
) -> None:
    gallery, found = (
        pd.read_parquet(place / "model/gallery.parquet"),
        index.read(place / "model/gallery.faiss"),
    )
    assert len(gallery) == found.ntotal == 80 and gallery["id"].str.startswith("catalogue:").all()
    frames = pd.concat(
        [
            pd.read_parquet(place / "data" / f"{part}.parquet")
            for part in ("train", "validation", "test")
        ]
    ).set_index("key")
    row = frames.loc[gallery["key"].iloc[5]]
    asked = classifier.predict(
        [row["text"]], [row["image"]], Pictures(place / "data", "train", "validation", "test"), ""
    )
    assert index.search(found, asked.features, 1)[1][0, 0] == 5


def test_recommended_garments_are_scored_by_their_labels(
    place: Path, classifier: FusionClassifier
) -> None:
    test = pd.read_parquet(place / "data/test.parquet").assign(
        image=lambda one: one["image"].fillna("")
    )
    features = classifier.predict(
        test["text"].tolist(), test["image"].tolist(), Pictures(place / "data", "test"), ""
    ).features
    found = evaluate.garment_metrics(
        test, features, place / "model", classifier.config.heads, tryon_params().evaluate
    )
    gallery, vectors = (
        pd.read_parquet(place / "model/gallery.parquet"),
        index.read(place / "model/gallery.faiss").reconstruct_n(0, 80),
    )
    posts = ~test["offered"].to_numpy()
    near = np.argsort(-features[posts] @ vectors.T, axis=1)[:, :10]
    hits = gallery["label.class"].to_numpy()[near] == test["label.class"].to_numpy()[posts, None]
    assert (
        found["class"]["precision"] == pytest.approx(hits.mean(), abs=0.01)
        and found["class"]["n"] == posts.sum()
    )
    assert (
        found["class"]["random"] + 0.2 < found["class"]["precision.low"]
        and found["class"]["lead_low"] > 0.2
    )
    assert "fit" not in found  # no garment on sale has a fit
    assert (
        evaluate.garment_metrics(
            test.assign(offered=True),
            features,
            place / "model",
            classifier.config.heads,
            tryon_params().evaluate,
        )
        == {}
    )


def test_reasons_name_the_word_and_the_place(
    place: Path, classifier: FusionClassifier, tmp_path: Path
) -> None:
    reasons = explain(classifier, "Just got this hat. What goes with it?", "", Pictures(tmp_path))
    assert (
        reasons.heat is None
        and reasons.label == "hat"
        and max(reasons.words, key=lambda one: one[1])[0] == "hat"
    )
    pictures = Pictures(place / "data", "test")
    key = next(iter(pd.read_parquet(place / "data/test.parquet")["image"].dropna()))
    seen = explain(classifier, "", key, pictures)
    assert (
        seen.words == []
        and seen.heat is not None
        and seen.heat.shape == (4, 4)
        and 0 <= seen.heat.min() <= seen.heat.max() <= 1
    )


def test_predict_answers_to_text_photo_or_both_and_draws_a_board(
    place: Path, tmp_path: Path
) -> None:
    photo = sorted((place / "raw/photos").glob("0*.jpg"))[0]
    board = tmp_path / "boards/board.png"
    asked = [
        "--text",
        "新入手的红色连衣裙！很合身。",
        "--image",
        str(photo),
        "--top",
        "4",
        "--board",
        str(board),
    ]
    answer = predict(model=place / "model", arguments=asked)
    assert set(answer["answer"]) == {"class", "color", "fit"} and len(answer["garments"]) == 4
    scores = [one["score"] for one in answer["garments"]]
    assert scores == sorted(scores, reverse=True) and {
        "id",
        "product",
        "name",
        "class",
        "color",
    } <= set(answer["garments"][0])
    with Image.open(board) as drawn:
        assert drawn.width > 400 and board.stat().st_size <= 300_000
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert (
        predict(model=place / "model", arguments=["--image", str(photo)])["because"]["words"] == []
    )
    for wrong, words in (
        (["--image", str(tmp_path / "none.jpg")], "none.jpg: cannot be read"),
        (["--image", str(tmp_path)], "cannot be read: Is a directory"),
        ([], "give --text, --image or both"),
        (["--image", str(place / "raw/photos/cut.jpg")], "cut off"),
    ):
        with pytest.raises(ValueError, match=words):
            predict(model=place / "model", arguments=wrong)


def test_photos_alone_make_a_model_without_words(place: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for i, row in enumerate(
        pd.read_csv(place / "raw/posts.csv").dropna(subset=["photo"]).itertuples()
    ):
        if i < 80 and not row.id.startswith("dirt"):
            target = raw / row[5] / f"{i}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((place / "raw" / row.photo).read_bytes())
    settings = tryon_params(
        ingest={"catalogue": "", "split": {"train": 0.6, "validation": 0.2, "test": 0.2}},
        pretrain={"epochs": 0},
        finetune={"epochs": 1, "head_epochs": 1},
        evaluate={"examples": 1},
    )
    model = train_tryon(tmp_path, settings, raw)
    assert not (model / "text").exists()
    assert load(model).branches == ["image_only"]
    figures = evaluate.evaluate(
        data=tmp_path / "data",
        model=model,
        report=tmp_path / "report",
        params=settings.evaluate,
    )
    assert (
        0 < figures["accuracy"] <= 1
        and "hog_logreg/macro_f1.margin_low" in figures
        and not any("text" in name for name in figures)
    )
    assert figures["tfidf_logreg/not_applicable"] == figures["frozen_logreg/not_applicable"] == 1
    with pytest.raises(ValueError, match="learned from image only"):
        predict(model=model, arguments=["--text", "a hat"])


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_masks_hide_the_same_share_of_every_picture(share: float) -> None:
    torch.manual_seed(3)
    pictures = torch.randn(5, 3, 40, 40)
    covered, where = hide(pictures, share, 8)
    assert where.float().mean((1, 2, 3)).tolist() == pytest.approx([round(share * 25) / 25] * 5)
    assert (covered[where.expand_as(covered)] == 0).all() and torch.equal(
        covered[~where.expand_as(covered)], pictures[~where.expand_as(covered)]
    )
    if share == 0.5:
        assert not torch.equal(where[0], where[1])


def test_upper_blocks_compute_in_full_precision_and_give_the_same_gradients() -> None:
    backbone = vision.load("wheel:efficientnet-lite0")
    vision.freeze(backbone.model, 6)
    pixels = backbone.pixels(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    grads = []
    for low in (True, False):
        backbone.model.eval().zero_grad()
        with (
            torch.autocast("cpu", torch.bfloat16, enabled=low),
            full_precision_above(backbone.model, 6),
        ):
            values = vision.spatial_features(backbone.model, pixels)
            assert values.dtype == torch.float32 and torch.is_autocast_enabled("cpu") == low
        values.mean().backward()
        learning = [p.grad for p in backbone.model.parameters() if p.requires_grad]
        assert len(learning) < len(list(backbone.model.parameters())) / 2
        grads.append(torch.cat([grad.flatten() for grad in learning if grad is not None]))
    assert torch.nn.functional.cosine_similarity(grads[0], grads[1], 0) > 0.95


def test_what_is_computed_once_equals_what_is_computed_again(
    place: Path, classifier: FusionClassifier, tmp_path: Path
) -> None:
    frame = pd.read_parquet(place / "data/test.parquet").head(12)
    inputs = Inputs(
        classifier,
        frame["text"].tolist(),
        frame["image"].fillna("").tolist(),
        Pictures(place / "data", "test"),
    )
    rows = np.arange(len(frame))[::-1].copy()
    with torch.no_grad():
        fresh = inputs.encode_batch(rows)
        inputs.compute_frozen(tmp_path, 1, 99)
        kept = inputs.encode_batch(rows)
    for name, tolerance in (("text", 1e-5), ("image", 2e-2)):
        shown = fresh[name].mask & fresh[name].present[:, None]
        assert torch.equal(fresh[name].present, kept[name].present)
        assert torch.allclose(
            fresh[name].values[shown], kept[name].values[shown], atol=tolerance, rtol=tolerance
        ), name


def test_the_late_average_serves_also_where_an_input_is_missing(
    place: Path, classifier: FusionClassifier, tmp_path: Path
) -> None:
    """Saved with `late_average` and loaded: the mean of both alone, of one alone what it says."""
    frame = pd.read_parquet(place / "data/test.parquet")
    row = frame[(frame["text"] != "") & frame["image"].notna()].iloc[0]
    shape = classifier.config
    try:
        classifier.config = replace(shape, fusion="late_average")
        save(classifier, tmp_path)
    finally:
        classifier.config = shape
    loaded, pictures = load(tmp_path), Pictures(place / "data", "test")
    answer = loaded.predict(
        [row["text"], row["text"], ""], [row["image"], "", row["image"]], pictures
    )
    alone = [answer.logits[name]["class"] for name in ("text_only", "image_only")]
    late = answer.logits["late_average"]["class"]
    assert np.allclose(late[0], (alone[0][0] + alone[1][0]) / 2, atol=1e-5)
    assert np.allclose(late[1], alone[0][1]) and np.allclose(late[2], alone[1][2])
    calibrated = late / loaded.temperatures["class"]
    exponents = np.exp(calibrated - calibrated.max(1, keepdims=True))
    served = exponents / exponents.sum(1, keepdims=True)
    assert np.allclose(answer.probabilities["class"], served, atol=1e-5)
    assert np.allclose(np.linalg.norm(answer.features, axis=1), 1, atol=1e-5)


def test_noise_on_validation_does_not_choose_what_serves(
    place: Path, classifier: FusionClassifier
) -> None:
    """The blend serves unless another one is better beyond the interval of a paired bootstrap."""
    frame = pd.read_parquet(place / "data/validation.parquet")
    part = Split(frame, classifier, Pictures(place / "data", "validation"))
    labels = part.labels["class"]
    assert (labels >= 0).all()
    right = torch.nn.functional.one_hot(labels, len(classifier.config.heads[0]["labels"])).float()
    others = torch.zeros(len(frame), sum(classifier.label_counts) - right.shape[1])
    noise = torch.randn(right.shape, generator=torch.Generator().manual_seed(1))
    weak = torch.cat([right + 0.5 * noise, others], 1)
    logits = dict.fromkeys((*FUSIONS, *MIXTURES), weak)
    logits["gated"] = weak.clone()
    logits["gated"][0] *= 0.9  # one row in many makes nothing better or worse
    assert _best_fusion(classifier, part, logits) == "blend"
    strong = logits | {"late_average": torch.cat([right + 0.05 * noise, others], 1)}
    assert _best_fusion(classifier, part, strong) == "late_average"


def test_the_last_epoch_is_kept_unless_an_earlier_one_is_surely_better(
    place: Path, tmp_path: Path
) -> None:
    """Spoiled weights do not replace good ones and count against ``patience``.

    Weights that differ by noise do replace them.
    """
    classifier = load(place / "model")
    part = Split(
        pd.read_parquet(place / "data/validation.parquet"),
        classifier,
        Pictures(place / "data", "validation"),
    )
    trainer = Trainer(
        classifier, part, part, tryon_params().finetune, Checkpoint(tmp_path / "model", "any", 1.0)
    )
    good = trainer.ema.copy()
    trainer.loop.record(0.0)
    random = torch.Generator().manual_seed(1)

    def shaken(share: float) -> dict[str, torch.Tensor]:
        return {
            name: value + share * value.std() * torch.randn(value.shape, generator=random)
            if value.is_floating_point() and value.numel() > 1
            else value
            for name, value in good.items()
        }

    trainer.ema.weights, trainer.loop.batch = shaken(3.0), 1
    trainer.loop.end_epoch()
    assert trainer.stopping.waited == 1
    assert all(torch.equal(trainer.stopping.weights[name], good[name]) for name in good)
    near = shaken(0.001)
    trainer.ema.weights, trainer.loop.batch = near, 1
    trainer.loop.end_epoch()
    assert trainer.stopping.waited == 0
    assert all(torch.equal(trainer.stopping.weights[name], near[name]) for name in near)


def test_a_view_that_the_image_network_cannot_take_is_told(place: Path, tmp_path: Path) -> None:
    """The toy's vision transformer has an embedding for each place of 32 pixels, no others."""
    with pytest.raises(ValueError, match="finetune.view_size: 48, .* set it to 32"):
        finetune(
            data=place / "data",
            pretrained=place / "pretrained",
            model=tmp_path / "model",
            params=tryon_params(finetune={"view_size": 48}).finetune,
        )
