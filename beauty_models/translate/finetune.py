"""Fine-tuning: one network for all directions, told by tags which language to write."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from beauty_models import progress
from beauty_models.device import attention, precision
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.training.batches import Batch, length_bucketed_batches
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.finite import require_finite
from beauty_models.training.loop import EarlyStopping, Validation, finetuning_loop
from beauty_models.training.optimization import EMA, Optimization
from beauty_models.training.splits import read_split
from beauty_models.translate import Finetune, directions
from beauty_models.translate.dictionary import Dictionaries
from beauty_models.translate.drafts import Drafts
from beauty_models.translate.examples import Pair, ParallelTexts, wanted
from beauty_models.translate.glossary import Glossary
from beauty_models.translate.matching import learn_matcher
from beauty_models.translate.memory import TranslationMemory
from beauty_models.translate.methods import LIKELIEST, MODEL, Methods
from beauty_models.translate.model import Translator
from beauty_models.translate.sampling import Sample, languages_of, sample
from beauty_models.translate.scoring import chrf_counts, corpus_chrf
from beauty_models.translate.sequence_loss import groups, sequence_loss, set_training

BIASES = (0.0, 1.0, 2.0, 3.0, 4.5, 7.0)  # to drafts, in nats
COMPARED = 300  # validation pairs by which the bias is chosen
WITHOUT_DRAFT = 0.1  # of the pairs, so that the network translates without one, too
VALIDATION_EPOCH = 1_000_003  # of the directions drawn for validation: no training has it


def _encoded_sources(
    translator: Translator, pairs: Sequence[Pair]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the encoder's states of the sources of ``pairs`` with their drafts, and their mask."""
    rows = []
    for pair in pairs:
        rows.append(
            translator.source_with_draft(
                pair.source, pair.source_language, pair.draft, pair.target_language
            )
        )
    return translator.encoded(rows)


def translation_loss(
    translator: Translator,
    pairs: Sequence[Pair],
    states: torch.Tensor,
    mask: torch.Tensor,
    smoothing: float,
) -> tuple[torch.Tensor, int]:
    """Return the summed cross-entropy of the targets of ``pairs``, and how many tokens."""
    tags = [translator.tag(pair.target_language) for pair in pairs]
    targets = [pair.target for pair in pairs]
    return sequence_loss(translator, states, mask, targets, tags, smoothing)


class Trainer:
    """What the training loop asks of this family: batches, a step, a validation score."""

    def __init__(
        self,
        translator: Translator,
        train: ParallelTexts,
        drafts: Drafts,
        validation: Sequence[Pair],
        params: Finetune,
        checkpoint: Checkpoint,
    ) -> None:
        self.translator = translator
        self.train = train
        self.drafts = drafts
        self.validation = validation
        self.params = params
        self.pairs: list[Pair] = []  # of the current epoch
        self.epochs = math.ceil(params.epochs)
        self.steps_per_epoch = -(-len(train.units) // params.batch)
        optimization = Optimization(
            translator.network,
            groups(translator, params.learning_rate),
            self.steps_per_epoch * self.epochs,
            params,
            betas=(0.9, 0.98),
        )
        self.optimization = optimization.watched("finetune", checkpoint)
        self.ema = EMA(self.optimization)
        # a loss: the lower one replaces
        self.stopping = EarlyStopping(self.ema.copy, params.patience, operator.lt)
        self.loop = finetuning_loop(
            self, self.epochs, self.steps_per_epoch, checkpoint, ema=self.ema
        )

    def begin_epoch(self, epoch: int) -> None:
        """Turn dropout on, which validation turned off."""
        set_training(self.translator, self.params.dropout)

    def batches(self, epoch: int) -> Sequence[Batch]:
        """Return the batches of ``epoch``, of pairs of about equal length, drawn for it."""
        self.pairs = self.train.draw(self.params.seed, epoch, self.drafts.of, WITHOUT_DRAFT)
        lengths = [len(p.source) + len(p.draft) + len(p.target) for p in self.pairs]
        return length_bucketed_batches(
            np.array(lengths, np.int64), self.params.batch, self.params.seed, epoch
        )

    def step(self, batch: Batch, number: int) -> float:
        """Learn from the pairs ``batch``; return their loss in nats per token."""
        params = self.params
        pairs = [self.pairs[row] for row in batch]
        with precision(params.precision):
            states, mask = _encoded_sources(self.translator, pairs)
            total, count = translation_loss(
                self.translator, pairs, states, mask, params.label_smoothing
            )
            loss = total / count
        loss.backward()
        value = loss.item()
        self.optimization.step(value)
        # the average of a young network is of its first weights mostly
        self.ema.update(min(params.ema, (1 + number) / (10 + number)))
        return value

    @torch.no_grad()
    def validate(self) -> Validation:
        """Return the mean cross-entropy of validation's targets, in nats per token."""
        network = self.translator.network.eval()
        network.set_attn_implementation(attention(training=False))
        total = 0.0
        count = 0
        with self.ema.applied(), precision(self.params.precision):
            for start in range(0, len(self.validation), self.params.batch):
                pairs = self.validation[start : start + self.params.batch]
                states, mask = _encoded_sources(self.translator, pairs)
                loss, tokens = translation_loss(self.translator, pairs, states, mask, 0.0)
                total += loss.item()
                count += tokens
        mean = total / max(1, count)
        require_finite(torch.tensor(mean), "finetune: the losses of the validation pairs")
        return Validation({"validation_loss": mean}, mean)


def _validation_pairs(
    texts: ParallelTexts, dictionaries: Dictionaries, params: Finetune
) -> list[Pair]:
    """Return pairs of validation units, shortest first; the same ones in every epoch.

    Their drafts are by ``dictionaries`` of all training units, as later on.
    """

    def draft(unit: int, template: str, source: str, target: str) -> str:
        return dictionaries.of(source, target).translate(template).text

    if params.validation_pairs:
        order = np.random.default_rng(params.seed).permutation(len(texts.units))
        texts.units = [texts.units[row] for row in order[: params.validation_pairs]]
    pairs = texts.draw(params.seed, VALIDATION_EPOCH, draft)
    # alike lengths together
    return sorted(pairs, key=lambda pair: len(pair.source) + len(pair.target))


def best_copy_bias(translator: Translator, methods: Methods, tested: Sample) -> float:
    """Return that of `BIASES` with which the translations of ``tested`` have the highest chrF.

    A network that has learned little leans on its drafts, a good one does not need to.
    """
    step = max(1, len(tested.texts) // COMPARED)
    texts, references = tested.texts[::step], tested.references[::step]
    scores = {}
    for bias in BIASES:
        translator.copy_bias = bias
        written = [candidate.text for candidate in methods.translate(MODEL, texts)]
        counts = chrf_counts(written, references)
        scores[bias] = float(corpus_chrf(counts, np.ones((1, len(counts))))[0])
    measured = ", ".join(f"{bias:g}: {score:.1f}" for bias, score in scores.items())
    progress.log_line(f"finetune: chrF of {len(texts)} texts by the bias to drafts: {measured}")
    return max(BIASES, key=lambda bias: scores[bias])


def _parallel_texts(
    data: Path,
    memory: TranslationMemory,
    held_out: pd.DataFrame,
    translator: Translator,
    params: Finetune,
) -> tuple[ParallelTexts, ParallelTexts]:
    """Return what training and validation can learn from.

    Raises:
        ValueError: one of them has no pair, or a direction of ``params`` is misspelled.
    """
    known = [tag for tag in translator.languages if tag in memory.languages]
    chosen = wanted(params.directions, known)
    brands = memory.terms.brands
    train = ParallelTexts(memory.units, translator, chosen, params.max_tokens, brands)
    validation = ParallelTexts(held_out, translator, chosen, params.max_tokens, brands)
    for name, texts in (("train", train), ("validation", validation)):
        if not texts.units:
            raise ValueError(
                f"{data / f'{name}.parquet'}: no unit has a pair of at most {params.max_tokens} "
                "tokens with the same values on both sides; deliver more units"
            )
    progress.log_line(
        f"finetune: {len(train.units):,} units in {len(chosen)} directions; {train.too_long:,} "
        f"texts too long, {train.unequal:,} pairs left out whose numbers, tags and the like differ"
    )
    return train, validation


def finetune(*, data: Path, pretrained: Path, model: Path, params: Finetune) -> Metrics:
    """Train what ``pretrain`` left on the units of ``data/train.parquet``; save it to ``model``.

    The weights are those of the epoch with the lowest loss on ``data/validation.parquet``, which
    also decides for each direction what serves it (`directions`).

    Returns:
        ``validation_loss`` (nats per token), ``epochs`` that were run, ``units``, ``directions``,
        ``too_long`` (texts that are left out), ``unequal`` (pairs whose values differ),
        ``served_by_model`` and ``served_by_likeliest`` (directions), ``copy_bias``
        (`best_copy_bias`).

    Raises:
        ValueError: a split has no pair to learn from, or a direction is misspelled.
        NotFiniteError: the training ran away.
    """
    memory = TranslationMemory(read_split(data, "train", "units"), Glossary.read(data))
    held_out = read_split(data, "validation", "units")
    translator = Translator.load(pretrained)
    translator.beams = params.beams
    translator.max_tokens = params.max_tokens
    train, validation = _parallel_texts(data, memory, held_out, translator, params)
    methods = Methods.of(translator, memory)
    identity = fingerprint(__name__, params, data, pretrained)
    checkpoint = Checkpoint(model, identity, params.checkpoint_minutes)
    held = _validation_pairs(validation, methods.dictionaries, params)
    trainer = Trainer(translator, train, Drafts(memory, train.first), held, params, checkpoint)
    trainer.loop.run(checkpoint.load())
    trainer.optimization.load_weights(trainer.stopping.weights)
    with new_folder(model) as folder, precision(params.precision):
        write_json(folder / "history.json", trainer.loop.history)
        decided = _save_what_serves(folder, translator, methods, held_out, params)
    checkpoint.clear()
    served_by = [choice.method for choice in decided.choices.values()]
    return {
        "validation_loss": float(trainer.stopping.score),
        "epochs": float(trainer.loop.epoch),
        "units": float(len(train.units)),
        "directions": float(len(decided.choices)),
        "copy_bias": translator.copy_bias,
        "served_by_model": float(served_by.count(MODEL)),
        "served_by_likeliest": float(served_by.count(LIKELIEST)),
        "too_long": float(train.too_long),
        "unequal": float(train.unequal),
    }


def _save_what_serves(
    folder: Path,
    translator: Translator,
    methods: Methods,
    held_out: pd.DataFrame,
    params: Finetune,
) -> directions.Directions:
    """Save the translator with memory, directions and matcher; return what ``held_out`` decided."""
    languages = [name for name in languages_of(held_out) if name in translator.languages]
    tested = sample(held_out, languages, params.compared, params.seed)
    translator.copy_bias = best_copy_bias(translator, methods, tested)
    translator.save(folder)
    methods.memory.save(folder)
    decided = directions.decide(methods, tested)
    decided.save(folder)
    directions.tell(decided)
    learn_matcher(methods, held_out, params.matching, params.seed).save(folder)
    return decided
