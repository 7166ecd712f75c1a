"""Fine-tuning: both networks learn to fill holes, and validation says which fill serves.

The inpainter learns the absolute error in the hole beside its structural similarity. The diffusion
model goes on from the unconditional one and sees the hole and what is around it; with a base that
is not ours, adapters of a Stable Diffusion inpainting network learn in its place.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from beauty_models import progress
from beauty_models.device import precision
from beauty_models.editing import (
    PRETRAINED,
    DiffusionFinetune,
    Finetune,
    InpainterFinetune,
    latent,
    metrics,
)
from beauty_models.editing.dataset import Photos
from beauty_models.editing.diffusion import (
    Diffusion,
    Scheduler,
    Unet,
    denoising_loss,
    load_pipeline,
    parameters,
    with_condition,
)
from beauty_models.editing.diffusion import save as save_diffusion
from beauty_models.editing.examples import draw_batch, first, holes_by_kind, read_photos
from beauty_models.editing.holes import KINDS, Holes
from beauty_models.editing.inpainter import (
    Images,
    Inpainter,
    InpaintingNetwork,
    hole_maps,
    load_network,
    normalized,
    save,
)
from beauty_models.editing.model import DIFFUSION, INPAINTER, fills_of, save_choice
from beauty_models.families import Metrics
from beauty_models.files import new_folder, write_json
from beauty_models.training.checkpoint import Checkpoint, fingerprint
from beauty_models.training.loop import EarlyStopping, Loop, Validation
from beauty_models.training.optimization import EMA, Optimization, seed_step

GAMMA = 5.0  # of Min-SNR, at fine-tuning as Hang et al. recommend it everywhere
NOISES = 4  # with which the diffusion model's validation loss is measured
NOISED = 16  # photos of each kind of hole for it, at most

Batch = tuple[Images, Holes]
KindHoles = dict[str, Holes]


class Trainer:
    """One of the networks as it learns to fill holes: batches, steps, mean weights, epochs."""

    def __init__(
        self,
        name: str,
        network: nn.Module,
        photos: Photos,
        params: InpainterFinetune | DiffusionFinetune,
        loss: Callable[[Tensor, Tensor], Tensor],
        validate: Callable[[], Validation],
        checkpoint: Checkpoint,
    ) -> None:
        """Prepare the training of the weights of ``network`` that require gradients.

        Args:
            name: of the network, for messages.
            network: its training mode is set before each step.
            photos: of the training split.
            params: of this training.
            loss: of photos, -1 to 1 [n, 3, side, side], and holes, 0 or 1 [n, 1, side, side].
            validate: says what the mean weights are worth, which ``network`` then has.
            checkpoint: of this training.
        """
        self.network = network
        self.photos = photos
        self.params = params
        self.loss = loss
        self.judge = validate
        self.checkpoint = checkpoint
        title = f"finetune: {name}"
        learned = [weight for weight in network.parameters() if weight.requires_grad]
        group = {"params": learned, "lr": params.learning_rate}
        steps = params.epochs * params.steps
        self.optimization = Optimization(network, [group], steps, params)
        self.optimization.watched(title, checkpoint)
        self.ema = EMA(self.optimization)
        self.stopping = EarlyStopping(self.ema.copy, params.patience)
        self.loop = Loop(
            title=title,
            epochs=params.epochs,
            steps_per_epoch=params.steps,
            seed=params.seed,
            # Numbers, out of which `step` draws photos and holes: an epoch's batches need no room.
            batches=lambda epoch: range(epoch * params.steps, (epoch + 1) * params.steps),
            step=self.step,
            validate=self.validate,
            stopping=self.stopping,
            checkpoint=checkpoint,
            stateful={"optimization": self.optimization, "ema": self.ema},
        )

    def step(self, batch: int, number: int) -> float:
        """Learn from the batch of that number; return the loss."""
        random = np.random.default_rng((self.params.seed, batch))
        images, holes = draw_batch(self.photos, self.params.batch, random)
        self.network.train()
        loss = self.loss(normalized(images), hole_maps(holes))
        loss.backward()
        value = loss.item()
        self.optimization.step(value)
        # A decay that grows with the steps: else the first weights would count for long.
        self.ema.update(min(self.params.ema, (1 + number) / (10 + number)))
        return value

    def validate(self) -> Validation:
        """Return what the mean weights are worth on the validation split."""
        self.network.eval()
        with self.ema.applied():
            return self.judge()

    def run(self) -> None:
        """Train from the last checkpoint on; leave the network with the best epoch's weights."""
        self.loop.run(self.checkpoint.load())
        # One at the end: a run that is killed in the other training does not repeat this one.
        self.checkpoint.save(self.loop.state_dict())
        self.optimization.load_weights(self.stopping.weights)
        self.network.eval()


def inpainting_loss(
    network: InpaintingNetwork, params: InpainterFinetune, pictures: Tensor, holes: Tensor
) -> Tensor:
    """Return the absolute error in the holes, and what their structure lacks."""
    with precision(params.precision):
        filled = network(pictures, holes).float()
    error = (filled - pictures).abs().mean(1, keepdim=True)
    loss: Tensor = (error * holes).sum() / holes.sum().clamp(min=1)
    if params.ssim_weight > 0:
        # Of gray, as its authors have it: a step takes four fifths of the time of three channels.
        gray = [channels.mean(1, keepdim=True) for channels in (filled, pictures)]
        alike = metrics.mean_in_holes(metrics.ssim_map(*gray), holes)
        loss = loss + params.ssim_weight * (1 - alike).mean()
    return loss


def psnr_by_kind(
    fill: Callable[[Images, Holes], Images], photos: Photos, holes: KindHoles
) -> dict[str, float]:
    """Return the PSNR in the holes of each kind, dB."""
    found = {}
    for kind, of_kind in holes.items():
        filled = fill(photos.images, of_kind)
        errors = metrics.hole_error(filled, photos.images, of_kind)
        score = metrics.psnr_of_kinds(errors[:, None], np.ones((1, len(errors))))
        found[kind] = float(score[0])
    return found


def _train_inpainter(
    network: InpaintingNetwork,
    photos: Photos,
    validation: Photos,
    holes: KindHoles,
    params: InpainterFinetune,
    checkpoint: Checkpoint,
) -> Trainer:
    filler = Inpainter(network, params.precision)

    def validate() -> Validation:
        psnr = float(np.mean(list(psnr_by_kind(filler.fill, validation, holes).values())))
        return Validation({"validation_psnr_hole": psnr}, psnr)

    def loss(pictures: Tensor, hole: Tensor) -> Tensor:
        return inpainting_loss(network, params, pictures, hole)

    progress.log_line(f"finetune: inpainter, {parameters(network):,} parameters")
    trainer = Trainer(INPAINTER, network, photos, params, loss, validate, checkpoint)
    trainer.run()
    return trainer


def _train_diffusion(
    unet: Unet,
    scheduler: Scheduler,
    photos: Photos,
    validation: Photos,
    holes: KindHoles,
    params: DiffusionFinetune,
    checkpoint: Checkpoint,
) -> Trainer:
    def loss(pictures: Tensor, hole: Tensor) -> Tensor:
        return denoising_loss(unet, scheduler, pictures, hole, GAMMA, params.precision)

    trainer = Trainer(
        DIFFUSION,
        unet,
        photos,
        params,
        loss,
        lambda: noise_validation(loss, validation, holes, params.seed),
        checkpoint,
    )
    progress.log_line(f"finetune: diffusion, {parameters(unet):,} parameters")
    trainer.run()
    return trainer


@torch.no_grad()
def noise_validation(
    loss: Callable[[Tensor, Tensor], Tensor], photos: Photos, holes: KindHoles, seed: int
) -> Validation:
    """Return the denoising loss on the validation photos, with the same noises each time."""
    total = 0.0
    for number in range(NOISES):
        for kind in KINDS:
            # Steps of the training count from 0.
            seed_step(seed, -1 - number)
            pictures = normalized(photos.images[:NOISED])
            total += loss(pictures, hole_maps(holes[kind][:NOISED])).item()
    mean = total / (NOISES * len(KINDS))
    return Validation({"validation_noise": mean}, -mean)


def choose(validation: dict[str, dict[str, float]]) -> dict[str, str]:
    """Return for each kind of hole the fill that is best on validation, the first at a tie."""
    served = {}
    for kind in KINDS:
        served[kind] = max(validation, key=lambda name: validation[name][kind])
    return served


def _diffuser(
    pretrained: Path,
    photos: Photos,
    validation: Photos,
    holes: KindHoles,
    params: DiffusionFinetune,
    checkpoint: Checkpoint,
) -> tuple[Diffusion | latent.LatentDiffusion | None, list[dict[str, float]]]:
    """Return the diffusion model that fills holes, and its history; None where there is none."""
    if params.base != PRETRAINED:
        size = photos.images.shape[1]
        base = latent.load_base(params, size)
        loss = base.loss
        validate = lambda: noise_validation(loss, validation, holes, params.seed)  # noqa: E731
        trainer = Trainer(DIFFUSION, base.unet, photos, params, loss, validate, checkpoint)
        progress.log_line(f"finetune: diffusion, {params.base} with adapters")
        trainer.run()
        return base, trainer.loop.history
    if not (pretrained / DIFFUSION).is_dir():
        return None, []
    unconditional, scheduler = load_pipeline(pretrained / DIFFUSION)
    filler = Diffusion(
        with_condition(unconditional),
        scheduler,
        params.sampler,
        params.sampling_steps,
        params.precision,
    )
    trainer = _train_diffusion(
        filler.unet, scheduler, photos, validation, holes, params, checkpoint
    )
    return filler, trainer.loop.history


def finetune(*, data: Path, pretrained: Path, model: Path, params: Finetune) -> Metrics:
    """Train both networks to fill holes in ``data/train.parquet``; save what serves to ``model``.

    ``model`` gets the inpainter, ``diffusion`` (which diffusers opens), ``generator`` (the
    unconditional one of ``pretrained``) and ``served.json``: which fill is best on
    ``data/validation.parquet`` for each kind of hole, among both networks and the classical fills.

    Returns:
        ``validation_psnr_hole`` of what serves; ``validation_psnr_hole_inpainter`` and so on of
        each fill.

    Raises:
        ValueError: a split has no photo, ``pretrained`` is damaged, or a base cannot be loaded.
    """
    network = load_network(pretrained)
    size = network.shape.size
    photos = read_photos(data, "train", size)
    validation = first(read_photos(data, "validation", size), params.validation_photos)
    holes = holes_by_kind(validation.masks, params.seed)
    files = [data / "train.parquet", data / "validation.parquet"]
    identity = fingerprint(__name__, params, *files, pretrained)
    checkpoint = Checkpoint(model, identity, params.checkpoint_minutes)
    # In one folder, which is cleared when both are done.
    second = Checkpoint(model, identity, params.checkpoint_minutes)
    second.file = checkpoint.file.with_name("diffusion.pt")
    trainer = _train_inpainter(network, photos, validation, holes, params.inpainter, checkpoint)
    torch.manual_seed(params.diffusion.seed)
    diffuser, history = _diffuser(pretrained, photos, validation, holes, params.diffusion, second)
    filler = Inpainter(network, params.inpainter.precision)
    scores = {}
    for name, fill in fills_of(filler, diffuser).items():
        scores[name] = psnr_by_kind(fill, validation, holes)
    served = choose(scores)
    told = ", ".join(f"{kind}: {name}" for kind, name in served.items())
    progress.log_line(f"finetune: best on validation by PSNR in the hole: {told}")
    with new_folder(model) as folder:
        save(network, folder)
        if isinstance(diffuser, Diffusion):
            save_diffusion(diffuser, folder / DIFFUSION)
        elif diffuser is not None:
            latent.save(diffuser, params.diffusion.base, folder / DIFFUSION)
        if (pretrained / DIFFUSION).is_dir():
            shutil.copytree(pretrained / DIFFUSION, folder / "generator")
        save_choice(folder, served, scores)
        write_json(folder / "history.json", {INPAINTER: trainer.loop.history, DIFFUSION: history})
    checkpoint.clear()
    return _figures(scores, served)


def _figures(scores: dict[str, dict[str, float]], served: dict[str, str]) -> Metrics:
    """Return the PSNR on validation of what serves, and of each fill."""
    best = [scores[name][kind] for kind, name in served.items()]
    figures = {"validation_psnr_hole": float(np.mean(best))}
    for name, by_kind in scores.items():
        figures[f"validation_psnr_hole_{name}"] = float(np.mean(list(by_kind.values())))
    return figures
