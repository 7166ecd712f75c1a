"""Supervised fine-tuning: the pretrained autoencoder learns to put a look on a bare face.

Nobody has one person's face bare and made up in the very same pose, so the target of a pair is
made: the bare face, each of its parts matched to the reference's colors (BeautyGAN, Li et al.
2018). It says what color; a discriminator of real make-up, the pretrained encoder's features and
the smoothness of what changes say what else a face looks like.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from beauty_models import progress
from beauty_models.device import device, precision
from beauty_models.families import Metrics
from beauty_models.files import new_folder, read_json, write_json
from beauty_models.makeup import Finetune, lab, regions
from beauty_models.makeup.dataset import Faces, as_bytes, normalized, read_faces
from beauty_models.makeup.model import (
    LAB_UNIT,
    PARTS,
    ROWS,
    Config,
    PartColors,
    PatchDiscriminator,
    TinyAutoencoder,
    Transfer,
    TransferGenerator,
    encode,
    load_autoencoder,
    match_colors,
    part_colors,
    save,
)
from beauty_models.makeup.sheets import SampleSheets, grid
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import EarlyStopping, Validation, finetuning_loop
from beauty_models.training.optimization import EMA, Optimization

VALIDATION_PAIRS = 64  # at most
SHEET_PAIRS = 4  # rows of a sample sheet: bare, reference, made up
DISCRIMINATOR_BETAS = (0.5, 0.999)  # as in pix2pix: an adversary must forget sooner
JUDGED = ("lips", "skin")  # parts whose distance is the validation loss

Pairs = np.ndarray[tuple[int, int], np.dtype[np.int64]]
"""Row numbers [n, 2] of a bare face and of a made-up one."""


class Split:
    """The faces of one split, and who may be paired with whom."""

    def __init__(self, faces: Faces, name: str) -> None:
        self.bare = faces.bare.numpy()
        self.made_up = faces.made_up.numpy()
        self.persons = faces.frame["person"].to_numpy()
        self.images = faces.images.to(device())
        self.regions = faces.regions.to(device())
        others = self.persons[self.bare, None] != self.persons[None, self.made_up]
        if not others.any():
            raise ValueError(
                f"{name}: {len(self.bare)} bare faces and {len(self.made_up)} made-up ones, no two "
                "of different persons; deliver more photos in folders makeup and non_makeup, or "
                f"enlarge ingest.split.{name}"
            )

    def pairs(self, count: int, random: np.random.Generator) -> Pairs:
        """Return ``count`` pairs drawn at random; nobody is paired with themselves.

        A bare face or look is not drawn again before all others had their turn.
        """
        drawn: list[tuple[int, int]] = []
        while len(drawn) < count:
            bare = random.permutation(self.bare)
            looks = np.resize(random.permutation(self.made_up), len(bare))
            apart = self.persons[bare] != self.persons[looks]
            drawn.extend(zip(bare[apart].tolist(), looks[apart].tolist(), strict=True))
        return np.array(drawn[:count], np.int64)


class Batch(NamedTuple):
    """Pairs as the networks see them."""

    bare: torch.Tensor  # -1 to 1 [n, 3, side, side]
    bare_regions: torch.Tensor  # [n, side, side]
    reference: torch.Tensor
    reference_regions: torch.Tensor


class Losses(NamedTuple):
    """Terms of the generator's loss, before their weights."""

    lips: torch.Tensor
    skin: torch.Tensor
    eyes: torch.Tensor
    adversarial: torch.Tensor
    identity: torch.Tensor
    smoothness: torch.Tensor


def _random_mirror(
    pictures: torch.Tensor, label_map: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both, about half of them mirrored."""
    chosen = (torch.rand(len(pictures)) < 0.5).to(pictures.device)
    pictures = torch.where(chosen[:, None, None, None], pictures.flip(-1), pictures)
    return pictures, torch.where(chosen[:, None, None], regions.mirrored(label_map), label_map)


def _structure(autoencoder: TinyAutoencoder, pictures: torch.Tensor) -> list[torch.Tensor]:
    """Return the encoder's maps of ``pictures`` without their colors: each of mean 0, deviation 1.

    Make-up changes colors all over a part; what a face is recognized by are the shapes.
    """
    maps = encode(autoencoder, pictures)
    return [nn.functional.instance_norm(values.float()) for values in maps[:-1]]


def _total_variation(change: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Return the mean difference of ``change`` between neighbours of the same part.

    ``inside`` [n, parts, side, side] says where the parts are: their edges may be sharp.
    """
    down = ((inside[..., 1:, :] * inside[..., :-1, :]).sum(1, keepdim=True)) * (
        change[..., 1:, :] - change[..., :-1, :]
    ).abs()
    across = ((inside[..., 1:] * inside[..., :-1]).sum(1, keepdim=True)) * (
        change[..., 1:] - change[..., :-1]
    ).abs()
    return (down.sum() + across.sum()) / inside.sum().clamp(min=1)


def distance(made_up: PartColors, look: PartColors) -> torch.Tensor:
    """Return the mean over L, a and b of the Wasserstein distance of each part [n, parts].

    It is NaN where one of both lacks the part.
    """
    apart = (made_up.quantiles - look.quantiles).abs().mean((2, 3))
    return torch.where(made_up.present & look.present, apart, torch.nan)


class Trainer:
    """What the training loop asks of this family: batches, a step, a validation score."""

    def __init__(
        self,
        generator: TransferGenerator,
        train: Split,
        validation: Split,
        params: Finetune,
        checkpoint: Checkpoint,
    ) -> None:
        self.generator = generator.to(device())
        self.pretrained = copy.deepcopy(generator.autoencoder).requires_grad_(False).eval()
        channels = generator.autoencoder.config["encoder_block_out_channels"][0]
        self.discriminator = PatchDiscriminator(channels).to(device())
        self.train = train
        self.validation = validation
        self.params = params
        self.per_epoch = -(-params.pairs // params.batch)
        steps = self.per_epoch * params.epochs
        learned = [p for name, p in generator.named_parameters() if not _unused(name, generator)]
        self.optimization = Optimization(
            generator, [{"params": learned, "lr": params.learning_rate}], steps, params
        ).watched("finetune", checkpoint)
        self.discriminator_optimization = Optimization(
            self.discriminator,
            [
                {
                    "params": list(self.discriminator.parameters()),
                    "lr": params.discriminator_learning_rate,
                }
            ],
            steps,
            params,
            DISCRIMINATOR_BETAS,
        ).watched("finetune: discriminator", checkpoint)
        self.ema = EMA(self.optimization)
        # Higher is better for `EarlyStopping`: the score is the negative loss.
        self.stopping = EarlyStopping(self.ema.copy, params.patience)
        self.sheets = SampleSheets(checkpoint.output, "finetune", "epoch")
        self.validation_pairs = self._validation_pairs()
        self.loop = finetuning_loop(
            self,
            params.epochs,
            self.per_epoch,
            checkpoint,
            ema=self.ema,
            # The module, too: spectral norm's vectors are no parameters.
            discriminator=self.discriminator,
            discriminator_optimization=self.discriminator_optimization,
            sheets=self.sheets,
        )

    def _validation_pairs(self) -> Pairs:
        """Return pairs of the validation split, the same ones after each epoch."""
        random = np.random.default_rng(self.params.seed)
        count = min(VALIDATION_PAIRS, len(self.validation.bare) * len(self.validation.made_up))
        return self.validation.pairs(count, random)

    def begin_epoch(self, epoch: int) -> None:
        """Put the networks into training."""
        self.generator.train()
        self.discriminator.train()

    def batches(self, epoch: int) -> list[Pairs]:
        """Return the batches of ``epoch``: pairs drawn from the seed and the epoch alone."""
        random = np.random.default_rng((self.params.seed, epoch))
        pairs = self.train.pairs(self.per_epoch * self.params.batch, random)
        return [
            pairs[start : start + self.params.batch]
            for start in range(0, len(pairs), self.params.batch)
        ]

    def _batch(self, split: Split, pairs: Pairs) -> Batch:
        rows = torch.from_numpy(pairs).to(device())
        bare, looks = rows.unbind(1)
        return Batch(
            normalized(split.images[bare]),
            split.regions[bare],
            normalized(split.images[looks]),
            split.regions[looks],
        )

    def step(self, pairs: Pairs, step: int) -> float:
        """Learn from ``pairs``, the generator first; return the generator's loss."""
        batch = self._batch(self.train, pairs)
        batch = Batch(
            *_random_mirror(batch.bare, batch.bare_regions),
            *_random_mirror(batch.reference, batch.reference_regions),
        )
        with precision(self.params.precision):
            look = self.generator.look(batch.reference, batch.reference_regions)
            change = self.generator(batch.bare, batch.bare_regions, look)
        made_up = batch.bare + change.float()
        with precision(self.params.precision):
            losses = self._losses(batch, made_up, change, look.colors)
        weights = self.params.losses.model_dump()
        terms = [weights[name] * value for name, value in losses._asdict().items()]
        loss = torch.stack(terms).sum()
        loss.backward()
        value = loss.item()
        self.optimization.step(value)
        # The generator's loss went through the discriminator.
        self.discriminator_optimization.optimizer.zero_grad()
        if self.params.losses.adversarial > 0:
            self._train_discriminator(batch, made_up.detach())
        # A decay that grows with the steps: else the first weights would count for long.
        self.ema.update(min(self.params.ema, (1 + step) / (10 + step)))
        return value

    def _train_discriminator(self, batch: Batch, made_up: torch.Tensor) -> None:
        """Learn to tell real make-up (1) from the generator's (0).

        By least squares (Mao et al. 2017).
        """
        with precision(self.params.precision):
            real = self.discriminator(batch.reference, batch.reference_regions)
            false = self.discriminator(made_up, batch.bare_regions)
        loss = ((real.float() - 1).square().mean() + false.float().square().mean()) / 2
        loss.backward()
        self.discriminator_optimization.step(loss.item())

    def _losses(
        self, batch: Batch, made_up: torch.Tensor, change: torch.Tensor, look: PartColors
    ) -> Losses:
        masks = regions.masks(batch.bare_regions)
        target = match_colors(batch.bare, masks, look)
        inside = (masks & look.present[..., None, None]).float()
        error = (lab.from_pictures(made_up) - lab.from_pictures(target)).abs().mean(1, keepdim=True)
        by_part = {}
        for number, part in enumerate(PARTS):
            share = inside[:, number : number + 1]
            by_part[part] = (error * share).sum() / share.sum().clamp(min=1) / LAB_UNIT
        adversarial = made_up.new_zeros(())
        if self.params.losses.adversarial > 0:
            scores = self.discriminator(made_up, batch.bare_regions)
            adversarial = (scores.float() - 1).square().mean()
        identity = made_up.new_zeros(())
        if self.params.losses.identity > 0:
            with torch.no_grad():
                before = _structure(self.pretrained, batch.bare)
            after = _structure(self.pretrained, made_up)
            differences = [(a - b).abs().mean() for a, b in zip(after, before, strict=True)]
            identity = torch.stack(differences).mean()
        smoothness = _total_variation(change, inside)
        return Losses(**by_part, adversarial=adversarial, identity=identity, smoothness=smoothness)

    @torch.no_grad()
    def distances(self, split: Split, pairs: Pairs, *, matched: bool) -> dict[str, float]:
        """Return the mean distance to the reference of each part, over ``pairs``.

        ``matched`` is with the last step of `Transfer`, which serves.
        """
        transfer = Transfer(self.generator, self.params.precision, matched)
        rows = []
        for start in range(0, len(pairs), ROWS):
            bare, looks = pairs[start : start + ROWS].T
            reference = transfer.look(split.images[looks], split.regions[looks])
            change = transfer.put_on(split.images[bare], split.regions[bare], reference)
            made_up = normalized(split.images[bare]) + change.to(device())
            colors = part_colors(made_up.clamp(-1, 1), regions.masks(split.regions[bare]))
            rows.append(distance(colors, reference.colors).cpu())
        means = torch.cat(rows).nanmean(0)
        return dict(zip(PARTS, means.nan_to_num().tolist(), strict=True))

    def validate(self) -> Validation:
        """Return how near the mean weights come to the looks of the validation split.

        Without the last step of `Transfer`, which comes near whatever was learned.
        """
        with self.ema.applied():
            distances = self.distances(self.validation, self.validation_pairs, matched=False)
            self.sheets.add(self._sheet())
        loss = float(np.mean([distances[part] for part in JUDGED]))
        metrics = {f"validation_{part}": value for part, value in distances.items()}
        return Validation({"validation_loss": loss, **metrics}, -loss)

    def _sheet(self) -> np.ndarray:
        """Return rows of a bare face, a reference, and the face made up, as it serves."""
        bare, looks = self.validation_pairs[:SHEET_PAIRS].T
        transfer = Transfer(self.generator, self.params.precision)
        faces = self.validation
        made_up = transfer(
            faces.images[bare], faces.regions[bare], faces.images[looks], faces.regions[looks]
        )
        columns = [faces.images[bare].cpu(), faces.images[looks].cpu(), as_bytes(made_up.cpu())]
        return grid(torch.stack(columns, 1).flatten(0, 1), columns=3)


def _unused(name: str, generator: TransferGenerator) -> bool:
    """Return whether the weight called ``name`` has no part in what the generator computes."""
    last = len(generator.autoencoder.decoder.layers) - 1
    return name.startswith(f"autoencoder.decoder.layers.{last}.")


def _build(pretrained: Path, params: Finetune) -> TransferGenerator:
    """Return the generator before fine-tuning, on the autoencoder in ``pretrained``."""
    size = read_json(pretrained / "pretrained.json")["size"]
    config = Config(size=size, style=params.style, correspondence=params.correspondence)
    return TransferGenerator(config, load_autoencoder(pretrained / "autoencoder"))


def finetune(*, data: Path, pretrained: Path, model: Path, params: Finetune) -> Metrics:
    """Train the transfer on ``data/train.parquet`` from ``pretrained``; save it to ``model``.

    The generator of faces that ``pretrained`` may hold goes along. ``model/samples`` has a sheet of
    each epoch.

    Returns:
        ``validation_loss``, the mean of lips and skin of the epoch that was kept, before the last
        step of `Transfer`; with it ``validation_lips_distance``, ``…_skin_…`` and ``…_eyes_…``,
        mean distances in L, a and b; ``epochs`` that ran.

    Raises:
        ValueError: a split has no bare face, or no made-up one of another person.
    """
    generator = _build(pretrained, params)
    size = generator.config.size
    splits = {name: read_faces(data, name, size) for name in ("train", "validation")}
    train = Split(splits["train"], "train")
    validation = Split(splits["validation"], "validation")
    files = [data / f"{name}.parquet" for name in splits]
    identity = fingerprint(__name__, params, *files, pretrained)
    checkpoint = Checkpoint(model, identity, params.checkpoint_minutes)
    trainer = Trainer(generator, train, validation, params, checkpoint)
    counts = f"{len(train.bare):,} bare and {len(train.made_up):,} made-up faces"
    weights = sum(p.numel() for p in generator.parameters())
    progress.log_line(f"finetune: {weights:,} parameters, {counts} of {size} pixels")
    trainer.loop.run(checkpoint.load())
    trainer.optimization.load_weights(trainer.stopping.weights)
    served = trainer.distances(validation, trainer.validation_pairs, matched=True)
    with new_folder(model) as folder:
        save(generator, folder)
        trainer.sheets.write(folder / "samples")
        write_json(folder / "history.json", trainer.loop.history)
        if (pretrained / "generator").exists():
            shutil.copytree(pretrained / "generator", folder / "generator")
    checkpoint.clear()
    metrics = {f"validation_{part}_distance": value for part, value in served.items()}
    return {
        "validation_loss": -trainer.stopping.score,
        "epochs": trainer.loop.epoch,
        **metrics,
    }
