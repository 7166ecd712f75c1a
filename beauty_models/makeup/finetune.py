"""Supervised fine-tuning: the pretrained autoencoder learns to put a look on a bare face.

Where the data know what a bare face looks like in somebody else's make-up, that is the target.
Photos rarely do: there the target of a pair is made, the bare face with each of its parts matched
to the reference's colors (BeautyGAN, Li et al. 2018), which takes over the other's skin and light,
too. A discriminator of real make-up, the pretrained encoder's features and the smoothness of what
changes say what else a face looks like. In the end the validation split says how far colors are to
be matched after the network.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from beauty_models import progress
from beauty_models.device import device, precision
from beauty_models.families import Metrics
from beauty_models.files import new_folder, read_json, write_json
from beauty_models.makeup import Finetune, lab, regions
from beauty_models.makeup.dataset import (
    TRANSFERS,
    Faces,
    Results,
    as_bytes,
    normalized,
    read_faces,
    read_results,
)
from beauty_models.makeup.metrics import part_error
from beauty_models.makeup.model import (
    LAB_UNIT,
    MATCHES,
    NO_MATCH,
    PARTS,
    ROWS,
    Config,
    Match,
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
SHEET_PAIRS = 4  # rows of a sample sheet: bare, reference, made up, and the truth if it is known
DISCRIMINATOR_BETAS = (0.5, 0.999)  # as in pix2pix: an adversary must forget sooner
JUDGED = ("lips", "skin")  # parts whose distance is the validation loss where no truth is known
UNKNOWN = -1  # in place of a result
# By which a match must be better than a weaker one. On the starter's 48 validation pairs a quarter
# of it for the lips was better by 1.3 %; on its test pairs it was worse by 1 to 2 %, in eight runs
# of nine.
LEAST_GAIN = 0.02

Pairs = np.ndarray[tuple[int, int], np.dtype[np.int64]]
"""Row numbers [n, 3] of a bare face, of a made-up one, and of the result or `UNKNOWN`."""


class Split:
    """The faces of one split, who may be paired with whom, and the results that are known."""

    def __init__(self, faces: Faces, results: Results, name: str) -> None:
        self.bare = faces.bare.numpy()
        self.made_up = faces.made_up.numpy()
        self.persons = faces.frame["person"].to_numpy()
        self.images = faces.images.to(device())
        self.regions = faces.regions.to(device())
        self.results = results.images.to(device())
        self.worn = results.worn.to(device())
        numbers = np.arange(len(results))
        known = [results.bare, results.reference, numbers]
        self.known: Pairs = np.stack(known, 1)
        # Which bare face is another person than which made-up one.
        bare_persons = self.persons[self.bare]
        looks_persons = self.persons[self.made_up]
        others = bare_persons[:, None] != looks_persons[None]
        if not others.any():
            counts = f"{len(self.bare)} bare faces and {len(self.made_up)} made-up ones"
            raise ValueError(
                f"{name}: {counts}, no two of different persons; deliver more photos in folders "
                f"makeup and non_makeup, or enlarge ingest.split.{name}"
            )

    def pairs(self, count: int, random: np.random.Generator) -> Pairs:
        """Return ``count`` pairs drawn at random; nobody is paired with themselves.

        A bare face or look is not drawn again before all others had their turn. Their result counts
        as unknown.
        """
        rounds = [self.known[:0]]
        missing = count
        while missing > 0:
            bare = random.permutation(self.bare)
            looks = np.resize(random.permutation(self.made_up), len(bare))
            unknown = np.full(len(bare), UNKNOWN)
            drawn = np.stack([bare, looks, unknown], 1)
            # Whoever met themselves waits for the next round.
            apart = self.persons[bare] != self.persons[looks]
            rounds.append(drawn[apart])
            missing -= int(apart.sum())
        return np.concatenate(rounds)[:count]

    def references(self, pairs: Pairs) -> Tensor:
        """Return the faces that show the looks of ``pairs``, uint8 [n, 3, side, side]."""
        rows = torch.from_numpy(pairs).to(device())
        _, looks, results = rows.unbind(1)
        references = self.images[looks]
        known = results != UNKNOWN
        # A rendered look is on a face that is bare among the images.
        references[known] = self.worn[results[known]]
        return references

    def pairs_with_result(self, count: int, random: np.random.Generator) -> Pairs:
        """Return ``count`` pairs whose result is known, none again before all had their turn."""
        drawn = [self.known[:0]]
        while sum(map(len, drawn)) < count:
            drawn.append(random.permutation(self.known))
        return np.concatenate(drawn)[:count]


class Batch(NamedTuple):
    """Pairs as the networks see them."""

    bare: Tensor  # -1 to 1 [n, 3, side, side]
    bare_regions: Tensor  # [n, side, side]
    reference: Tensor
    reference_regions: Tensor
    result: Tensor  # the truth; the bare face where it is not known
    known: Tensor  # whether it is, bool [n]


class Losses(NamedTuple):
    """Terms of the generator's loss, before their weights."""

    lips: Tensor
    skin: Tensor
    eyes: Tensor
    adversarial: Tensor
    identity: Tensor
    smoothness: Tensor


def _mirror(pictures: Tensor, chosen: Tensor) -> Tensor:
    """Return pictures [n, 3, side, side] or label maps [n, side, side], the chosen mirrored."""
    chosen = chosen.to(pictures.device)
    is_label_map = pictures.ndim == 3
    # Left and right change sides in a label map's numbers, too.
    mirrored = regions.mirrored(pictures) if is_label_map else pictures.flip(-1)
    of_each_pixel = chosen.reshape(-1, *[1] * (pictures.ndim - 1))
    return torch.where(of_each_pixel, mirrored, pictures)


def _randomly_mirrored(batch: Batch) -> Batch:
    """Return ``batch`` with about half of the bare faces mirrored, and half of the references."""
    bare = torch.rand(len(batch.bare)) < 0.5
    reference = torch.rand(len(batch.bare)) < 0.5
    return Batch(
        _mirror(batch.bare, bare),
        _mirror(batch.bare_regions, bare),
        _mirror(batch.reference, reference),
        _mirror(batch.reference_regions, reference),
        _mirror(batch.result, bare),
        batch.known,
    )


def _structure(autoencoder: TinyAutoencoder, pictures: Tensor) -> list[Tensor]:
    """Return the encoder's maps of ``pictures`` without their colors: each of mean 0, deviation 1.

    Make-up changes colors all over a part; what a face is recognized by are the shapes.
    """
    maps = encode(autoencoder, pictures)
    structure = []
    for values in maps[:-1]:
        structure.append(nn.functional.instance_norm(values.float()))
    return structure


def _total_variation(change: Tensor, inside: Tensor) -> Tensor:
    """Return the mean difference of ``change`` between neighbours of the same part.

    ``inside`` [n, parts, side, side] says where the parts are: their edges may be sharp.
    """
    total = change.new_zeros(())
    for axis in (-2, -1):
        last = inside.shape[axis] - 1
        before = inside.narrow(axis, 0, last)
        after = inside.narrow(axis, 1, last)
        # 1 where both neighbours lie in the same part.
        together = (before * after).sum(1, keepdim=True)
        total = total + (together * change.diff(dim=axis).abs()).sum()
    return total / inside.sum().clamp(min=1)


def distance(made_up: PartColors, look: PartColors) -> Tensor:
    """Return the mean over L, a and b of the Wasserstein distance of each part [n, parts].

    It is NaN where one of both lacks the part.
    """
    apart = (made_up.quantiles - look.quantiles).abs()
    both = made_up.present & look.present
    return torch.where(both, apart.mean((2, 3)), torch.nan)


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
        # A copy that stays as it is: what a face is, it says before and after alike.
        self.pretrained = copy.deepcopy(generator.autoencoder)
        self.pretrained.requires_grad_(False).eval()
        channels = generator.autoencoder.config["encoder_block_out_channels"][0]
        self.discriminator = PatchDiscriminator(channels).to(device())
        self.train = train
        self.validation = validation
        self.params = params
        self.per_epoch = -(-params.pairs // params.batch)
        steps = self.per_epoch * params.epochs
        learned = []
        for name, parameter in generator.named_parameters():
            if not _unused(name, generator):
                learned.append(parameter)
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
        self.validation_references = validation.references(self.validation_pairs)
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
        """Return pairs of the validation split, the same ones after each epoch.

        Those with a known result, where there are any.
        """
        random = np.random.default_rng(self.params.seed)
        known = min(VALIDATION_PAIRS, len(self.validation.known))
        if known:
            return self.validation.pairs_with_result(known, random)
        combinations = len(self.validation.bare) * len(self.validation.made_up)
        count = min(VALIDATION_PAIRS, combinations)
        return self.validation.pairs(count, random)

    def begin_epoch(self, epoch: int) -> None:
        """Put the networks into training."""
        self.generator.train()
        self.discriminator.train()

    def batches(self, epoch: int) -> list[Pairs]:
        """Return the batches of ``epoch``: pairs drawn from the seed and the epoch alone."""
        random = np.random.default_rng((self.params.seed, epoch))
        known = 0
        if len(self.train.known):
            known = round(self.params.truth_share * self.params.batch)
        unknown = self.params.batch - known
        with_result = self.train.pairs_with_result(self.per_epoch * known, random)
        others = self.train.pairs(self.per_epoch * unknown, random)
        batches = []
        for number in range(self.per_epoch):
            # As many of either kind in each batch: none is all of one.
            first = with_result[number * known :][:known]
            second = others[number * unknown :][:unknown]
            batches.append(np.concatenate([first, second]))
        return batches

    def _batch(self, split: Split, pairs: Pairs) -> Batch:
        rows = torch.from_numpy(pairs).to(device())
        bare, looks, results = rows.unbind(1)
        known = results != UNKNOWN
        pictures = split.images[bare]
        targets = pictures.clone()
        targets[known] = split.results[results[known]]
        return Batch(
            normalized(pictures),
            split.regions[bare],
            normalized(split.references(pairs)),
            split.regions[looks],
            normalized(targets),
            known,
        )

    def step(self, pairs: Pairs, step: int) -> float:
        """Learn from ``pairs``, the generator first; return the generator's loss."""
        batch = _randomly_mirrored(self._batch(self.train, pairs))
        with precision(self.params.precision):
            look = self.generator.look(batch.reference, batch.reference_regions)
            change = self.generator(batch.bare, batch.bare_regions, look)
        made_up = batch.bare + change.float()
        with precision(self.params.precision):
            losses = self._losses(batch, made_up, change, look.colors)
        weights = self.params.losses.model_dump()
        terms = []
        for name, value in losses._asdict().items():
            terms.append(weights[name] * value)
        loss = torch.stack(terms).sum()
        loss.backward()
        value = loss.item()
        self.optimization.step(value)
        # The generator's loss went through the discriminator.
        self.discriminator_optimization.optimizer.zero_grad()
        if self.params.losses.adversarial > 0:
            self._train_discriminator(batch, made_up.detach())
        # A decay that grows with the steps: else the first weights would count for long.
        growing = (1 + step) / (10 + step)
        self.ema.update(min(self.params.ema, growing))
        return value

    def _train_discriminator(self, batch: Batch, made_up: Tensor) -> None:
        """Learn to tell real make-up (1) from the generator's (0).

        By least squares (Mao et al. 2017).
        """
        with precision(self.params.precision):
            real = self.discriminator(batch.reference, batch.reference_regions)
            false = self.discriminator(made_up, batch.bare_regions)
        missed = (real.float() - 1).square().mean()
        fooled = false.float().square().mean()
        loss = (missed + fooled) / 2
        loss.backward()
        self.discriminator_optimization.step(loss.item())

    def _losses(self, batch: Batch, made_up: Tensor, change: Tensor, look: PartColors) -> Losses:
        masks = regions.masks(batch.bare_regions)
        target = batch.result
        made = ~batch.known
        if made.any():
            target = target.clone()
            wanted = PartColors(*[part[made] for part in look])
            target[made] = match_colors(batch.bare[made], masks[made], wanted)
        inside = (masks & look.present[..., None, None]).float()
        difference = lab.from_pictures(made_up) - lab.from_pictures(target)
        error = difference.abs().mean(1, keepdim=True)
        by_part = {}
        for number, part in enumerate(PARTS):
            share = inside[:, number : number + 1]
            pixels = share.sum().clamp(min=1)
            by_part[part] = (error * share).sum() / pixels / LAB_UNIT
        adversarial = made_up.new_zeros(())
        if self.params.losses.adversarial > 0:
            scores = self.discriminator(made_up, batch.bare_regions)
            adversarial = (scores.float() - 1).square().mean()
        identity = made_up.new_zeros(())
        if self.params.losses.identity > 0:
            with torch.no_grad():
                before = _structure(self.pretrained, batch.bare)
            after = _structure(self.pretrained, made_up)
            differences = []
            for own, wanted_map in zip(after, before, strict=True):
                differences.append((own - wanted_map).abs().mean())
            identity = torch.stack(differences).mean()
        smoothness = _total_variation(change, inside)
        return Losses(**by_part, adversarial=adversarial, identity=identity, smoothness=smoothness)

    def _made_up(self, match: Match) -> Tensor:
        """Return the bare faces of the validation pairs made up, -1 to 1 [n, 3, side, side]."""
        transfer = Transfer(self.generator, match, self.params.precision)
        faces = self.validation
        bare, looks, _ = self.validation_pairs.T
        pictures = []
        for start in range(0, len(bare), ROWS):
            rows = slice(start, start + ROWS)
            references = self.validation_references[rows]
            reference = transfer.look(references, faces.regions[looks[rows]])
            images = faces.images[bare[rows]]
            change = transfer.put_on(images, faces.regions[bare[rows]], reference)
            pictures.append(normalized(images) + change.to(device()))
        return torch.cat(pictures).clamp(-1, 1)

    def _figures(self, made_up: Tensor) -> dict[str, float]:
        """Return how far ``made_up`` validation faces are from what is wanted, part by part.

        That is the truth where it is known, else the colors of the reference. A part that no pair
        shows has 0.
        """
        bare, looks, results = self.validation_pairs.T
        rows = self._distances(made_up, bare, looks)
        if (results != UNKNOWN).all():
            errors = self._errors(made_up, bare, results)
            # What the reference hides nobody can put on.
            rows = torch.where(rows.isnan(), rows, errors)
        means = rows.nanmean(0).nan_to_num()
        return dict(zip(PARTS, means.tolist(), strict=True))

    def _errors(self, made_up: Tensor, bare: Any, results: Any) -> Tensor:
        """Return the mean CIEDE2000 to the results [n, parts]."""
        pictures = _as_images(as_bytes(made_up))
        truths = _as_images(self.validation.results[results])
        label_maps = self.validation.regions[bare].cpu().numpy()
        rows = torch.zeros(len(bare), len(PARTS))
        for number, part in enumerate(PARTS):
            for row, label_map in enumerate(label_maps):
                error = part_error(pictures[row], truths[row], label_map, part)
                rows[row, number] = error
        return rows

    def _distances(self, made_up: Tensor, bare: Any, looks: Any) -> Tensor:
        """Return the distances to the colors of the references [n, parts]."""
        faces = self.validation
        colors = part_colors(made_up, regions.masks(faces.regions[bare]))
        masks = regions.masks(faces.regions[looks])
        references = part_colors(normalized(self.validation_references), masks)
        return distance(colors, references).cpu()

    @property
    def judged(self) -> str:
        """What `_figures` measures: error or distance."""
        known = self.validation_pairs[:, 2] != UNKNOWN
        return "error" if known.all() else "distance"

    def validate(self) -> Validation:
        """Return how near the mean weights come to what is wanted of the validation split.

        Without the last step of `Transfer`, which comes near a reference whatever was learned.
        """
        with self.ema.applied():
            made_up = self._made_up(NO_MATCH)
            self.sheets.add(self._sheet(made_up))
        figures = self._figures(made_up)
        parts = PARTS if self.judged == "error" else JUDGED
        judged = [figures[part] for part in parts]
        loss = float(np.mean(judged))
        metrics = {f"validation_{part}": value for part, value in figures.items()}
        return Validation({"validation_loss": loss, **metrics}, -loss)

    def choose_match(self) -> tuple[Match, dict[str, float]]:
        """Return how far the colors of each part are best matched, and the figures with it.

        The least that is about as good as the best: what brings nothing is left out.
        """
        generated = self._made_up(NO_MATCH)
        matched = self._made_up(dict.fromkeys(PARTS, 1.0))
        figures = {}
        for strength in MATCHES:
            figures[strength] = self._figures(torch.lerp(generated, matched, strength))
        match = dict(NO_MATCH)
        for part in PARTS:
            best = min(values[part] for values in figures.values())
            for strength, values in figures.items():
                if values[part] <= (1 + LEAST_GAIN) * best:
                    match[part] = strength
                    break
        chosen = {part: figures[strength][part] for part, strength in match.items()}
        return match, chosen

    def _sheet(self, made_up: Tensor) -> np.ndarray:
        """Return rows of a bare face, a reference, the face made up, and the truth if known."""
        bare, _, results = self.validation_pairs[:SHEET_PAIRS].T
        faces = self.validation
        references = self.validation_references[: len(bare)]
        shown = as_bytes(made_up[: len(bare)])
        columns = [faces.images[bare], references, shown]
        if self.judged == "error":
            columns.append(faces.results[results])
        # A row of the sheet is a pair.
        tiles = torch.stack(columns, 1).flatten(0, 1)
        return grid(tiles.cpu(), columns=len(columns))


def _as_images(pictures: Tensor) -> Any:
    """Return pictures [n, 3, side, side] as numpy has them, [n, side, side, 3]."""
    return pictures.permute(0, 2, 3, 1).cpu().numpy()


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
        ``validation_loss`` of the epoch that was kept, before the last step of `Transfer`: the mean
        error of the parts, or the mean distance of lips and skin where no truth is known;
        ``validation_lips_error`` (or ``…_distance``) and so on, with that step; ``match_lips`` and
        so on, how far it goes; ``epochs`` that ran.

    Raises:
        ValueError: a split has no bare face, or no made-up one of another person.
    """
    generator = _build(pretrained, params)
    size = generator.config.size
    splits = {}
    for name in ("train", "validation"):
        faces = read_faces(data, name, size)
        splits[name] = Split(faces, read_results(data, name, faces), name)
    train = splits["train"]
    validation = splits["validation"]
    files = [data / f"{name}.parquet" for name in splits]
    files.append(data / TRANSFERS)
    identity = fingerprint(__name__, params, *files, pretrained)
    checkpoint = Checkpoint(model, identity, params.checkpoint_minutes)
    trainer = Trainer(generator, train, validation, params, checkpoint)
    weights = sum(parameter.numel() for parameter in generator.parameters())
    progress.log_line(f"finetune: {weights:,} parameters, faces of {size} pixels")
    progress.log_line(
        f"finetune: {len(train.bare):,} bare faces, {len(train.made_up):,} made-up ones, "
        f"{len(train.known):,} known results"
    )
    trainer.loop.run(checkpoint.load())
    trainer.optimization.load_weights(trainer.stopping.weights)
    match, served = trainer.choose_match()
    shares = [f"{part} {strength:.0%}" for part, strength in match.items()]
    told = ", ".join(shares)
    progress.log_line(f"finetune: colors are matched by {trainer.judged} on validation: {told}")
    with new_folder(model) as folder:
        save(generator, match, folder)
        trainer.sheets.write(folder / "samples")
        write_json(folder / "history.json", trainer.loop.history)
        if (pretrained / "generator").exists():
            shutil.copytree(pretrained / "generator", folder / "generator")
    checkpoint.clear()
    metrics = {f"match_{part}": strength for part, strength in match.items()}
    for part, value in served.items():
        metrics[f"validation_{part}_{trainer.judged}"] = value
    return {
        "validation_loss": -trainer.stopping.score,
        "epochs": trainer.loop.epoch,
        **metrics,
    }
