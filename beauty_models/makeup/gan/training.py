"""How the generator of faces learns: against a discriminator, a step each in turn.

The non-saturating loss with a lazy gradient penalty, R1, and a mean of the generator's weights that
is kept instead of the last ones (Karras et al. 2020). All of it is part of the checkpoints.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import softplus

from beauty_models import progress
from beauty_models.device import device, precision
from beauty_models.makeup import Gan
from beauty_models.makeup.dataset import normalized
from beauty_models.makeup.gan.augmentation import augment, random_mirror
from beauty_models.makeup.gan.balance import Balance, HealthyCheckpoint
from beauty_models.makeup.gan.networks import SMALLEST, Config, Discriminator, Generator
from beauty_models.makeup.gan.sampling import draw
from beauty_models.makeup.sheets import SampleSheets, grid
from beauty_models.params import OptimizerParams
from beauty_models.training.loop import Loop, Validation
from beauty_models.training.optimization import EMA, Optimization

TITLE = "pretrain: generator"
BETAS = (0.0, 0.99)  # of both Adams
TENTHS = 10  # of a run; each leaves a sample sheet


class Trainer:
    """Both networks, their optimizers, the average that is kept, and a step."""

    def __init__(self, faces: torch.Tensor, params: Gan, checkpoint: HealthyCheckpoint) -> None:
        self.faces = faces.to(device())  # uint8 [n, 3, size, size]
        self.params = params
        config = Config(params.size, params.style, params.channels)
        self.generator = Generator(config).to(device())
        self.generator.eigenfaces.fit(self.faces)
        self.discriminator = Discriminator(config).to(device())
        epochs = min(TENTHS, params.steps)
        per_epoch = params.steps // epochs  # a rest below a tenth is left out
        steps = epochs * per_epoch
        self.generator_optimization = self._optimization(
            self.generator, params.learning_rate, steps
        ).watched(TITLE, checkpoint)
        self.discriminator_optimization = self._optimization(
            self.discriminator, params.discriminator_learning_rate, steps
        ).watched("pretrain: discriminator", checkpoint)
        self.ema = EMA(self.generator_optimization)
        rates = (params.learning_rate, params.discriminator_learning_rate)
        self.balance = Balance(steps, rates, checkpoint.last_good)
        checkpoint.healthy = lambda: self.balance.healthy
        self.sheets = SampleSheets(checkpoint.output, TITLE, "tenth")
        self.loop: Loop[int] = Loop(
            title=TITLE,
            epochs=epochs,
            steps_per_epoch=per_epoch,
            seed=params.seed,
            batches=lambda epoch: range(per_epoch),
            step=lambda _, number: self.step(number),
            validate=self.validate,
            checkpoint=checkpoint,
            stateful={
                # Computed again they might have other signs, and be another beginning.
                "eigenfaces": self.generator.eigenfaces,
                "generator": self.generator_optimization,
                "discriminator": self.discriminator_optimization,
                "ema": self.ema,
                "balance": self.balance,
                "sheets": self.sheets,
            },
        )

    def _optimization(self, network: nn.Module, rate: float, steps: int) -> Optimization:
        # The schedule falls to nothing, as everywhere in the house; Adam has no weight decay here.
        settings = OptimizerParams(
            seed=self.params.seed, warmup=0, weight_decay=0, precision=self.params.precision
        )
        group = {"params": list(network.parameters()), "lr": rate}
        return Optimization(network, [group], steps, settings, BETAS)

    def _photos(self) -> torch.Tensor:
        """Return a batch of photos, about half of them mirrored, -1 to 1."""
        n = len(self.faces)
        rows = torch.randint(n, (self.params.batch,)).to(device())
        photos = normalized(self.faces[rows])
        return random_mirror(photos)

    def _samples(self) -> torch.Tensor:
        """Return a batch of samples, -1 to 1 but for what is not learned yet."""
        z = torch.randn(self.params.batch, self.params.style)
        pictures: torch.Tensor = self.generator(z.to(device()))
        return pictures

    def _scores(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the discriminator's scores of ``pictures``, augmented; above 0 is a photo."""
        augmented = augment(pictures, self.params.augment)
        scores: torch.Tensor = self.discriminator(augmented)
        return scores.float()

    def step(self, number: int) -> float:
        """Take step ``number``, the generator's first; return the discriminator's loss."""
        photos = self._photos()
        # Both networks learn from the same samples: drawing them is a third of a step.
        with precision(self.params.precision):
            samples = self._samples().float()
        # First: after a discriminator whose rate is absurd this loss would be NaN in step 1,
        # and the message blame the data.
        self._generator_step(samples)
        loss = self._discriminator_step(photos, samples.detach(), number)
        # A decay that grows with the steps: else the first weights would count for long.
        growing = (1 + number) / (10 + number)
        self.ema.update(min(self.params.ema, growing))
        # Photos that are all one would be divided by.
        of_photos = photos.std(0).mean().clamp(min=1e-6)
        of_samples = samples.detach().std(0).mean()
        spread = of_samples / of_photos
        self.balance.update(number, loss, spread.item())
        return loss

    def _discriminator_step(
        self, photos: torch.Tensor, samples: torch.Tensor, number: int
    ) -> float:
        """Learn to tell ``photos`` from ``samples``; return the loss."""
        with precision(self.params.precision):
            of_photos = self._scores(photos)
            of_samples = self._scores(samples)
        missed = softplus(-of_photos).mean()
        taken_in = softplus(of_samples).mean()
        loss = missed + taken_in
        loss.backward()
        value = loss.item()
        due = number % self.params.r1_interval == 0
        if due and self.params.r1 > 0:
            self._penalty(photos).backward()
        self.discriminator_optimization.step(value)
        return value

    def _generator_step(self, samples: torch.Tensor) -> None:
        """Learn to draw what the discriminator takes for photos."""
        # Its gradients go through the discriminator, whose own would be for nothing.
        self.discriminator.requires_grad_(False)
        with precision(self.params.precision):
            scores = self._scores(samples)
        loss = softplus(-scores).mean()
        loss.backward()
        self.generator_optimization.step(loss.item())
        self.discriminator.requires_grad_(True)

    def _penalty(self, photos: torch.Tensor) -> torch.Tensor:
        """Return R1, the squared slope of the discriminator at ``photos`` (Mescheder et al. 2018).

        It stands for as many steps as lie between two (lazy regularization), so weighs as many
        times as much. In float32: slopes of slopes are too small for bfloat16.
        """
        photos = augment(photos, self.params.augment).detach()
        photos.requires_grad_()
        scores = self.discriminator(photos).sum()
        # The graph of the slope is kept: it is learned from.
        (slope,) = torch.autograd.grad(scores, photos, create_graph=True)
        squared = slope.square().sum((1, 2, 3))
        weight = self.params.r1 / 2 * self.params.r1_interval
        return squared.mean() * weight

    def validate(self) -> Validation:
        """Add a sheet of samples of the mean weights; the same noise each time."""
        with self.ema.applied():
            pictures = draw(self.generator, self.params.samples, self.params.seed)
        columns = math.ceil(math.sqrt(len(pictures)))
        self.sheets.add(grid(pictures, columns))
        spread = torch.zeros(())
        if len(pictures) > 1:
            spread = pictures.float().std(0).mean()
        return Validation({"sample_deviation": spread.item()}, None)


def train(faces: torch.Tensor, params: Gan, checkpoint: HealthyCheckpoint) -> Trainer:
    """Train on ``faces``, uint8 [n, 3, size, size], from the last checkpoint on.

    The generator is left with its mean weights.

    Raises:
        ValueError: ``params.size`` is no power of two.
        CollapsedError: discriminator or generator fell out of balance.
        NotFiniteError: a loss, gradient or weight is no number any more.
    """
    # A power of two has one bit.
    if params.size < SMALLEST or params.size.bit_count() != 1:
        raise ValueError(
            f"params.yaml: pretrain.gan.size: {params.size} is no power of two of {SMALLEST} at "
            "least; a generator doubles the side at each scale"
        )
    trainer = Trainer(faces, params, checkpoint)
    weights = sum(p.numel() for p in trainer.generator.parameters())
    progress.log_line(
        f"{TITLE}, {weights:,} parameters, {len(faces):,} faces of {params.size} pixels"
    )
    trainer.loop.run(checkpoint.load())
    # A checkpoint of the end: what comes before the output is written may take long.
    checkpoint.save(trainer.loop.state_dict())
    trainer.generator_optimization.load_weights(trainer.ema.weights)
    return trainer
