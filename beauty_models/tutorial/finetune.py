"""Supervised fine-tuning: a request is answered with a tutorial; the loss is on the answer only."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from pathlib import Path

from beauty_models import progress
from beauty_models.device import device, precision
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import EarlyStopping, Validation, finetuning_loop
from beauty_models.training.optimization import Optimization
from beauty_models.training.splits import hold_out, read_split
from beauty_models.tutorial import Finetune
from beauty_models.tutorial.examples import documents, in_languages, requests, tutorials
from beauty_models.tutorial.model import LanguageModel, load, save
from beauty_models.tutorial.packing import (
    Document,
    Packed,
    article_documents,
    first_rows,
    loss_sum,
    pack,
)
from beauty_models.tutorial.pretrain import groups, mean_loss, set_training, shuffled_batches
from beauty_models.tutorial.readable import known_units


def _with_replay(
    answers: Sequence[Document], articles: Sequence[Document], share: float, seed: int
) -> list[Document]:
    """Return ``answers`` and, for each of their tokens, ``share`` tokens of plain articles."""
    wanted = share * sum(len(document.ids) for document in answers)
    chosen = list(answers)
    taken = 0
    _, shuffled = hold_out(articles, 1.0, seed)
    for document in shuffled:
        if taken >= wanted:
            break
        chosen.append(document)
        taken += len(document.ids)
    return chosen


class Trainer:
    """What the training loop asks of this family: batches, a step, a validation score."""

    def __init__(
        self,
        language_model: LanguageModel,
        train: Packed,
        validation: dict[str, Packed],
        params: Finetune,
        checkpoint: Checkpoint,
    ) -> None:
        self.language_model = language_model
        self.train = train
        self.validation = validation
        self.params = params
        steps_per_epoch = -(-len(train.ids) // params.batch)
        optimization = Optimization(
            language_model.network,
            groups(language_model, params.learning_rate),
            steps_per_epoch * params.epochs,
            params,
            betas=(0.9, 0.98),
        )
        self.optimization = optimization.watched("finetune", checkpoint)
        # a loss: the lower one replaces
        self.stopping = EarlyStopping(optimization.weights, params.patience, operator.lt)
        self.loop = finetuning_loop(self, params.epochs, steps_per_epoch, checkpoint)

    def begin_epoch(self, epoch: int) -> None:
        """Turn dropout on, which validation turned off."""
        set_training(self.language_model, self.params.dropout)

    def batches(self, epoch: int) -> Sequence[list[int]]:
        """Return the row numbers of each batch of ``epoch``."""
        return shuffled_batches(len(self.train.ids), self.params.batch, self.params.seed, epoch)

    def step(self, batch: list[int], number: int) -> float:
        """Learn from the rows ``batch``; return the mean loss in nats per token."""
        with precision(self.params.precision):
            total, count = loss_sum(self.language_model, self.train, batch)
        loss = total / max(1, count)
        loss.backward()
        value = loss.item()
        self.optimization.step(value)
        return value

    def validate(self) -> Validation:
        """Return the losses of validation's answers and articles; their mean is the score.

        Answers alone would choose an epoch that has forgotten how an article goes on.
        """
        metrics = {}
        for name, packed in self.validation.items():
            metrics[f"validation_{name}_loss"] = mean_loss(
                self.language_model, packed, self.params.precision
            )
        return Validation(metrics, sum(metrics.values()) / len(metrics))


def finetune(*, data: Path, pretrained: Path, model: Path, params: Finetune) -> Metrics:
    """Train what ``pretrain`` left on requests made of the how-tos of ``data/train.parquet``.

    Returns:
        ``validation_loss`` (nats per token, mean of answers and articles), both of them as
        ``validation_answer_loss`` and ``validation_article_loss``, ``epochs``, ``requests``.

    Raises:
        ValueError: a split has no how-to, or none that the model's context can hold.
    """
    frame = read_split(data, "train", "articles")
    held_out = read_split(data, "validation", "articles")
    found = in_languages(tutorials(frame), params.languages)
    if not found:
        raise ValueError(
            f"{data / 'train.parquet'}: no article in {', '.join(params.languages)} was recognised "
            "as a how-to; fine-tuning needs some with ordered steps (ingest.min_steps says how "
            "many), in a language of finetune.languages"
        )
    language_model = load(pretrained)
    longest = min(language_model.context, params.max_tokens)
    if params.how_tos:
        _, shuffled = hold_out(found, 1.0, params.seed)
        found = shuffled[: params.how_tos]
    pairs = requests(found, params.partial_requests, params.seed)
    answers = documents(language_model, pairs, longest)
    if not answers:
        raise ValueError(
            f"finetune: every one of {len(pairs)} requests with its tutorial is longer than "
            f"{longest} tokens; raise pretrain.max_tokens and finetune.max_tokens"
        )
    articles = article_documents(language_model, frame["text"].tolist())
    train = pack(_with_replay(answers, articles, params.replay, params.seed), longest)
    asked = requests(in_languages(tutorials(held_out), params.languages), 0, params.seed)
    validation = {
        "answer": pack(documents(language_model, asked, longest), longest),
        "article": pack(article_documents(language_model, held_out["text"].tolist()), longest),
    }
    # few validation articles may have no how-to among them
    validation = {
        name: first_rows(packed, params.validation_tokens)
        for name, packed in validation.items()
        if len(packed.ids)
    }
    progress.log_line(
        f"finetune: {len(answers):,} requests of {len(found):,} how-tos in {len(train.ids):,} "
        f"rows of {longest} tokens; {len(pairs) - len(answers):,} too long"
    )
    language_model.known = known_units(frame["text"].tolist())
    language_model.card["languages"] = list(params.languages)
    language_model.network.to(device())
    language_model.adapt(params.lora)
    identity = fingerprint(__name__, params, data / "train.parquet", pretrained)
    checkpoint = Checkpoint(model, identity, params.checkpoint_minutes)
    trainer = Trainer(language_model, train, validation, params, checkpoint)
    trainer.loop.run(checkpoint.load(), validate_start=True)
    trainer.optimization.load_weights(trainer.stopping.weights)
    with new_folder(model) as folder:
        save(language_model, folder)
        write_json(folder / "history.json", trainer.loop.history)
    checkpoint.clear()
    kept = trainer.loop.history[trainer.stopping.epoch or 0]
    losses = {name: value for name, value in kept.items() if name.startswith("validation_")}
    return {
        "validation_loss": float(trainer.stopping.score),
        **losses,
        "epochs": float(trainer.loop.epoch),
        "requests": float(len(answers)),
        "too_long": float(len(pairs) - len(answers)),
    }
