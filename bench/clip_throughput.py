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
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# As in `beauty_models.__main__`: before torch, whose waiting threads would take the cores.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

import pandas as pd
import torch
from open_clip import ClipLoss, image_transform
from open_clip_train.scheduler import cosine_lr
from open_clip_train.train import train_one_epoch
from PIL import Image
from rich.console import Console
from torch.utils.data import DataLoader, Dataset

from beauty_models import params
from beauty_models.device import device, fast_bfloat16
from beauty_models.intake.shards import Pictures
from beauty_models.recommend import Finetune, Pretrain
from beauty_models.recommend.finetune import Trainer
from beauty_models.recommend.model import build_encoder
from beauty_models.recommend.openclip import DualEncoder
from beauty_models.recommend.pairs import ImageTextPairs, PairParams
from beauty_models.training.checkpoint import Checkpoint
from bench import needs
from bench.loops import Timing, add_case, epoch_seconds, table

CASES: dict[str, dict[str, object]] = {
    "all": {"locked": False, "frozen_blocks": 0, "frozen_layers": 0},
    "image locked": {"locked": True, "frozen_layers": 0},
    "as in params.yaml": {},
}


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
        self.files = files
        self.captions = captions
        self.view = view
        self.tokenizer = tokenizer

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.view(Image.open(self.files[index])), self.tokenizer([self.captions[index]])[0]


def _loose_pairs(
    encoder: DualEncoder, items: pd.DataFrame, pictures: Pictures, folder: Path
) -> _Loose:
    """Write the photos of ``items`` as loose files into ``folder``; return the pairs."""
    files = []
    for row, key in enumerate(items["image"]):
        file = folder / f"{row}.jpg"
        file.write_bytes(pictures.jpeg(key))
        files.append(file)
    preprocess = encoder.config["preprocess_cfg"]
    view = image_transform(
        preprocess["size"],
        is_train=True,
        mean=tuple(preprocess["mean"]),
        std=tuple(preprocess["std"]),
    )
    return _Loose(files, items["caption"].tolist(), view, encoder.tokenizer)


def _their_arguments(batch: int) -> SimpleNamespace:
    """Return what ``train_one_epoch`` reads of open_clip_train's command line."""
    return SimpleNamespace(
        device=str(device()),
        precision="amp_bf16" if fast_bfloat16() else "fp32",
        distill=False,
        accum_freq=1,
        skip_scheduler=False,
        grad_clip_norm=1.0,
        horovod=False,
        rank=0,
        world_size=1,
        batch_size=batch,
        log_every_n_steps=10**9,
        wandb=False,
    )


def theirs(
    encoder: DualEncoder, items: pd.DataFrame, place: Path, section: Finetune, workers: int
) -> list[float]:
    """Return the seconds of each epoch of open_clip's training."""
    clip = encoder.clip.to(device())
    clip.output_dict = True  # as ClipLoss and train_one_epoch want it
    if section.locked:
        clip.lock_image_tower(unlocked_groups=0, freeze_bn_stats=True)
    # lock_text_tower of open_clip 3.3 fails on a BERT with KeyError: 'layer_attr'
    if section.frozen_layers:
        clip.text.transformer.embeddings.requires_grad_(False)
        clip.text.transformer.encoder.layer[: section.frozen_layers].requires_grad_(False)
    learned = [p for p in clip.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        learned, lr=section.learning_rate, weight_decay=section.weight_decay
    )
    arguments = _their_arguments(section.batch)
    with tempfile.TemporaryDirectory() as folder:
        pairs = _loose_pairs(encoder, items, Pictures(place, "train"), Path(folder))
        loader = DataLoader(pairs, section.batch, shuffle=True, num_workers=workers, drop_last=True)
        # train_one_epoch reads these off the loader; open_clip_train's own loaders have them
        loader.num_samples = len(items)
        loader.num_batches = len(loader)
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
    pairs = _pairs(encoder, items, place, section)
    encoder.clip.to(device()).eval()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(pairs, pairs, section, Checkpoint(Path(folder) / "none", "", 1e9))

        def cache_frozen() -> None:
            pairs.cache_frozen_features(Path(folder), "train")

        return epoch_seconds(trainer.loop, section.epochs, cache_frozen)


def _pairs(
    encoder: DualEncoder, items: pd.DataFrame, place: Path, section: Finetune
) -> ImageTextPairs:
    pictures = Pictures(place, "train", "validation")
    return ImageTextPairs(items, pictures, encoder, PairParams.from_section(section))


def _score(encoder: DualEncoder, validation: pd.DataFrame, place: Path, section: Finetune) -> str:
    """Return the MRR@10 of ``encoder`` on the items ``validation``."""
    encoder.clip.eval()
    # Nothing was cached for these items.
    uncached = section.model_copy(update={"locked": False, "frozen_layers": 0})
    return f"{_pairs(encoder, validation, place, uncached).retrieval_score():.3f}"


def _read_items(options: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the items to train on, with one caption each, and those to validate on."""
    parts = []
    for part in ("train", "validation"):
        parts.append(pd.read_parquet(options.data / f"{part}.parquet").head(options.items))
    items, validation = parts
    # One: open_clip's loop takes no more.
    items["captions"] = [captions[:1] for captions in items["captions"]]
    items["caption"] = [captions[0]["text"] for captions in items["captions"]]
    return items, validation


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path("build/recommend/data"), help="an ingested data folder"
    )
    parser.add_argument("--items", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2, help="processes that load theirs")
    return parser.parse_args()


def main() -> None:
    """Run the cases and print the table."""
    options = _arguments()
    needs.ingested(options.data, "recommend", ("train", "validation"))
    items, validation = _read_items(options)
    texts = items["caption"].tolist()
    block = params.load("recommend")
    changes = {
        "epochs": options.epochs,
        "batch": options.batch,
        "grad_cache_chunk": options.batch,
        "min_steps": 0,
        "loss": "clip",
    }
    base = block.finetune.model_copy(update=changes)
    rows = table(f"{len(items)} pairs, batch {options.batch}", "loop", "validation MRR@10")
    for case, update in CASES.items():
        section = base.model_copy(update=update)
        encoder = _encoder(block.pretrain, texts)
        seconds = theirs(encoder, items, options.data, section, options.workers)
        score = _score(encoder, validation, options.data, section)
        their_timing = Timing("open_clip", seconds, score)
        # Anew: both begin with the same weights.
        encoder = _encoder(block.pretrain, texts)
        seconds = ours(encoder, items, options.data, section)
        score = _score(encoder, validation, options.data, section)
        add_case(rows, case, len(items), their_timing, Timing("ours", seconds, score))
    Console(width=110).print(rows)


if __name__ == "__main__":
    main()
