"""Fine-tuning throughput beside open_clip's own loop: same model, data, batch, precision, one run.

``python -m bench.clip_throughput`` takes an ingested catalogue. Theirs is ``train_one_epoch`` of
``open_clip_train``, as the open_clip package carries it, with open_clip's augmentation on loose
JPEG files and worker processes. Case "all": every weight learns. Case "image locked" (LiT): the
image tower does not, theirs by ``lock_image_tower``, ours reads its features from its cache from
the second epoch on. Case "as in params.yaml": the lower layers of the text tower are locked, too. A
sample is one picture with one caption.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "5000")

import numpy as np
import pandas as pd
import torch
from open_clip import ClipLoss, image_transform
from open_clip_train.scheduler import cosine_lr
from open_clip_train.train import train_one_epoch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset

from beauty_models import params, progress
from beauty_models.device import device, fast_bfloat16
from beauty_models.intake.shards import Pictures
from beauty_models.recommend import Finetune, Pretrain
from beauty_models.recommend.finetune import Trainer
from beauty_models.recommend.model import build_encoder
from beauty_models.recommend.openclip import DualEncoder
from beauty_models.recommend.pairs import ImageTextPairs, PairParams
from beauty_models.training.checkpoint import Checkpoint
from bench import needs


def _encoder(section: Pretrain, texts: list[str]) -> DualEncoder:
    torch.manual_seed(section.seed)
    return build_encoder(
        image=section.image,
        text=section.text,
        scratch=section.scratch.model_dump(),
        size=section.size,
        dimension=section.dimension,
        max_tokens=section.max_tokens,
        texts=texts,
        vocabulary=section.vocabulary,
    )


class _Loose(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Pairs as ``open_clip_train.data.CsvDataset`` gives them.

    That module needs packages that open_clip does not install.
    """

    def __init__(
        self,
        files: list[Path],
        captions: list[str],
        view: Callable[[Image.Image], torch.Tensor],
        tokenizer: Any,
    ) -> None:
        self.files, self.captions, self.view, self.tokenizer = files, captions, view, tokenizer

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.view(Image.open(self.files[index])), self.tokenizer([self.captions[index]])[0]


def theirs(
    encoder: DualEncoder, items: pd.DataFrame, place: Path, section: Finetune, workers: int
) -> list[float]:
    """Return the seconds of each epoch of open_clip's training."""
    clip, pictures = encoder.clip.to(device()), Pictures(place, "train")
    clip.output_dict = True
    if section.locked:
        clip.lock_image_tower(unlocked_groups=0, freeze_bn_stats=True)
    if (
        section.frozen_layers
    ):  # lock_text_tower of open_clip 3.3 fails on a BERT with KeyError: 'layer_attr'
        clip.text.transformer.embeddings.requires_grad_(False)
        clip.text.transformer.encoder.layer[: section.frozen_layers].requires_grad_(False)
    learned = [p for p in clip.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        learned, lr=section.learning_rate, weight_decay=section.weight_decay
    )
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{row}.jpg" for row in range(len(items))]
        for file, key in zip(files, items["image"], strict=True):
            file.write_bytes(pictures.jpeg(key))
        preprocess = encoder.config["preprocess_cfg"]
        view = image_transform(
            preprocess["size"],
            is_train=True,
            mean=tuple(preprocess["mean"]),
            std=tuple(preprocess["std"]),
        )
        pairs = _Loose(files, items["caption"].tolist(), view, encoder.tokenizer)
        loader = DataLoader(pairs, section.batch, shuffle=True, num_workers=workers, drop_last=True)
        loader.num_samples, loader.num_batches = len(items), len(loader)
        arguments = SimpleNamespace(
            device=str(device()),
            precision="amp_bf16" if fast_bfloat16() else "fp32",
            distill=False,
            accum_freq=1,
            skip_scheduler=False,
            grad_clip_norm=1.0,
            horovod=False,
            rank=0,
            world_size=1,
            batch_size=section.batch,
            log_every_n_steps=10**9,
            wandb=False,
        )
        schedule = cosine_lr(optimizer, section.learning_rate, 1, len(loader) * section.epochs)
        seconds = []
        for epoch in range(section.epochs):
            start = time.perf_counter()
            data = {"train": SimpleNamespace(dataloader=loader, set_epoch=lambda epoch: None)}
            train_one_epoch(
                clip, data, ClipLoss(), epoch, optimizer, None, schedule, None, arguments
            )
            seconds.append(time.perf_counter() - start)
    return seconds


def ours(encoder: DualEncoder, items: pd.DataFrame, place: Path, section: Finetune) -> list[float]:
    """Return the seconds of each epoch, the first with the filling of the cache."""
    part, seconds = _pairs(encoder, items, place, section), []
    encoder.clip.to(device()).eval()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(part, part, section, Checkpoint(Path(folder) / "none", "", 1e9))
        for epoch in range(section.epochs):
            start = time.perf_counter()
            if epoch == 0:
                part.cache_frozen_features(Path(folder), "train")
            trainer.loop.train_epoch(progress.Bar("ours", 10**9, 0, None))
            trainer.loop.epoch, trainer.loop.batch = epoch + 1, 0
            seconds.append(time.perf_counter() - start)
    return seconds


def _pairs(
    encoder: DualEncoder, items: pd.DataFrame, place: Path, section: Finetune
) -> ImageTextPairs:
    pictures = Pictures(place, "train", "validation")
    return ImageTextPairs(items, pictures, encoder, PairParams.from_section(section))


def main() -> None:
    """Run the cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path("build/recommend/data"), help="an ingested data folder"
    )
    parser.add_argument("--items", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2, help="processes that load theirs")
    options = parser.parse_args()
    needs.ingested(options.data, "recommend", ("train", "validation"))
    items, validation = (
        pd.read_parquet(options.data / f"{part}.parquet").head(options.items)
        for part in ("train", "validation")
    )
    items["captions"] = [captions[:1] for captions in items["captions"]]
    items["caption"] = [captions[0]["text"] for captions in items["captions"]]
    block = params.load("recommend")
    changes = {
        "epochs": options.epochs,
        "batch": options.batch,
        "grad_cache_chunk": options.batch,
        "min_steps": 0,
        "loss": "clip",
    }
    base = block.finetune.model_copy(update=changes)
    table = Table(
        "case",
        "loop",
        "epoch 1 samples/s",
        "later samples/s",
        "validation MRR@10",
        title=f"{len(items)} pairs, batch {options.batch}",
    )
    for case, update in {
        "all": {"locked": False, "frozen_blocks": 0, "frozen_layers": 0},
        "image locked": {"locked": True, "frozen_layers": 0},
        "as in params.yaml": {},
    }.items():
        section, speeds = base.model_copy(update=update), []
        for name, run in (("open_clip", partial(theirs, workers=options.workers)), ("ours", ours)):
            encoder = _encoder(block.pretrain, items["caption"].tolist())
            speeds.append([len(items) / s for s in run(encoder, items, options.data, section)])
            encoder.clip.eval()
            score = _pairs(
                encoder,
                validation,
                options.data,
                section.model_copy(update={"locked": False, "frozen_layers": 0}),
            ).retrieval_score()
            table.add_row(
                case, name, f"{speeds[-1][0]:.1f}", f"{np.mean(speeds[-1][1:]):.1f}", f"{score:.3f}"
            )
        table.add_row(
            case,
            "ratio",
            f"{speeds[1][0] / speeds[0][0]:.2f}",
            f"{np.mean(speeds[1][1:]) / np.mean(speeds[0][1:]):.2f}",
            "",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
