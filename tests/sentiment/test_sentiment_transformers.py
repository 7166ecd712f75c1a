"""The saved sentiment folder in transformers alone, without this project's code.

The classes and probabilities are the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedModel

from beauty_models.backbones import text as text_backbones
from beauty_models.sentiment.model import Classifier, load, save
from beauty_models.training.bert import layers

TEXTS = [
    "这个口红颜色很好看",
    "包装破了, 不推荐",
    "lovely cream, smells nice and lasts the whole day",
    "too dry for my skin",
]
# beyond what training crops to
LONG = "lovely cream, smells nice. " * 8 + "too dry for my skin. " * 4
ENDLESS = LONG * 20  # beyond the positions of the encoder
CROP, POSITIONS = 48, 100
CLASSES = ["bad", "fair", "good"]
KINDS = ["bert", "roberta", "xlm-roberta", "electra"]

# Runs in another folder, isolated (-I) and with this project's packages barred.
STRANGER = """
import json, sys, warnings
for name in ("beauty_models", "tasks", "flows"):
    sys.modules[name] = None
warnings.simplefilter("error")
from transformers import AutoModelForSequenceClassification, pipeline
folder, texts = sys.argv[1], json.loads(sys.argv[2])
_, loading = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
strange = {key: sorted(map(str, value)) for key, value in loading.items() if value}
pipe = pipeline("text-classification", model=folder, top_k=None)
rows = pipe(texts, batch_size=len(texts), truncation=True)
whole = pipe(texts[:-1], batch_size=len(texts))
best = pipeline("text-classification", model=folder, truncation=True)(texts)
labels = [row["label"] for row in best]
print(json.dumps({"strange": strange, "rows": rows, "whole": whole, "best": labels}))
"""


def encoder(kind: str, tiny: text_backbones.Backbone) -> PreTrainedModel:
    """Return a small encoder with random weights, all of them, norms too."""
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tiny.tokenizer),
        hidden_size=32,
        embedding_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=POSITIONS + 1,
        pad_token_id=tiny.tokenizer.pad_token_id,
    )
    model: PreTrainedModel = AutoModel.from_config(config).eval()
    model.pooler = None
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    for layer in layers(model):
        nn.init.normal_(layer.output.LayerNorm.weight, 1.0, 0.3)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_alone_gives_the_same_answer(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    tiny = text_backbones.scratch(
        TEXTS, layers=1, hidden=32, heads=2, vocabulary=150, max_tokens=32
    )
    classifier = Classifier(
        encoder(kind, tiny), tiny.tokenizer, CLASSES, ["price"], CROP, tiny.card(), temperature=1.7
    )
    for parameter in (
        classifier.norm.weight,
        classifier.norm.bias,
        *classifier.sentiment.parameters(),
    ):
        nn.init.normal_(parameter)
    texts = [*TEXTS, LONG, ENDLESS]
    lengths = [len(ids) for ids in tiny.tokenizer(texts, verbose=False)["input_ids"]]
    assert lengths[-2] in range(CROP + 1, POSITIONS) and lengths[-1] > POSITIONS
    ours = classifier.predict(texts, title="", wanted="float32")
    folder = tmp_path / "model"
    save(classifier, folder, [])
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, str(folder), json.dumps(texts)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["strange"] == {}, "no key is missing, unexpected or of another shape"
    scores = [{entry["label"]: entry["score"] for entry in row} for row in said["rows"]]
    theirs = np.array([[row[name] for name in CLASSES] for row in scores])
    np.testing.assert_allclose(theirs, ours.probabilities, atol=1e-4)
    for cut, whole in zip(said["rows"], said["whole"], strict=False):
        assert whole == [pytest.approx(entry, abs=1e-4) for entry in cut]
    assert said["best"] == [CLASSES[i] for i in ours.probabilities.argmax(-1)]

    again = load(folder).predict(texts, title="", wanted="float32")
    np.testing.assert_array_equal(again.probabilities, ours.probabilities)
    np.testing.assert_array_equal(again.aspects, ours.aspects)
