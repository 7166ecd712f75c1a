"""Unsupervised pretraining: masked language modelling on the shop's own unlabelled reviews."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from beauty_models import progress
from beauty_models.backbones import text as text_backbones
from beauty_models.backbones.text import Backbone
from beauty_models.backbones.vocabulary import trim
from beauty_models.device import device
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.sentiment import Pretrain
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.masked_language import examples, held_out_loss, train
from beauty_models.training.splits import hold_out

HELD_OUT = 0.02  # share of the texts on which the loss before and after is measured


def _backbone(texts: list[str], params: Pretrain) -> Backbone:
    if params.base == "scratch":
        return text_backbones.scratch(
            texts, max_tokens=params.max_tokens, **params.scratch.model_dump()
        )
    backbone = text_backbones.load(params.base)
    # of multilingual-e5-small's 118 million parameters 96 are embeddings of pieces that a shop
    # hardly ever sees
    return trim(backbone, texts) if params.trim_vocabulary else backbone


def pretrain(*, data: Path, pretrained: Path, params: Pretrain) -> Metrics:
    """Train the backbone as a masked language model on ``data/unlabelled.parquet``.

    It is saved to ``pretrained``, with ``epochs: 0`` as it is, and loads with
    ``AutoModelForMaskedLM.from_pretrained``.

    Returns:
        ``loss_before`` and ``loss_after`` (nats per hidden token on held-out texts), ``texts``,
        ``tokens``, ``parameters``.

    Raises:
        ValueError: there are fewer than two texts, or the backbone cannot be loaded.
    """
    file = data / "unlabelled.parquet"
    texts = pd.read_parquet(file)["text"].tolist()
    if len(texts) < 2:
        raise ValueError(f"{file}: {len(texts)} texts; pretraining needs at least two")
    backbone = _backbone(texts, params)
    backbone.model.to(device())
    progress.log_line(
        f"pretrain: {params.base}, {backbone.model.num_parameters():,} parameters, "
        f"{len(backbone.tokenizer):,} tokens, {len(texts):,} texts"
    )
    rows = examples(backbone, texts, params.max_tokens, params.whole_words)
    learned, held_out = hold_out(rows, HELD_OUT, params.seed)
    identity = fingerprint(__name__, params, file)
    checkpoint = Checkpoint(pretrained, identity, params.checkpoint_minutes)
    loss_before = held_out_loss(backbone, held_out, params)
    history = train(backbone, learned, params, checkpoint)
    loss_after = held_out_loss(backbone, held_out, params)
    with new_folder(pretrained) as folder:
        backbone.model.save_pretrained(folder)
        backbone.tokenizer.save_pretrained(folder)
        write_json(folder / "backbone.json", backbone.card())
        write_json(folder / "history.json", history)
    # not before the output is there: a run that is killed while it writes goes on from the last one
    checkpoint.clear()
    progress.log_line(
        f"pretrain: loss {loss_before:.3f} → {loss_after:.3f} nats per hidden token "
        f"on {len(held_out)} held-out texts"
    )
    return {
        "loss_before": loss_before,
        "loss_after": loss_after,
        "texts": len(texts),
        "tokens": sum(len(row.ids) for row in rows),
        "parameters": backbone.model.num_parameters(),
    }
