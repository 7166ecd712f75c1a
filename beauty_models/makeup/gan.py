"""A generator of faces with looks that nobody wears: StyleGAN2 on a small scale.

After Karras et al. 2020 ("Analyzing and improving the image quality of StyleGAN"): a mapping
network, convolutions that styles modulate, noise at each scale, skips to RGB, a residual
discriminator with the deviation within a batch, the non-saturating loss, a lazy gradient penalty.
Few faces are stretched by DiffAugment (Zhao et al. 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate, leaky_relu, pad, softplus

from beauty_models import progress
from beauty_models.device import device, precision
from beauty_models.files import read_json, write_json
from beauty_models.makeup import Gan
from beauty_models.makeup.dataset import as_bytes, normalized
from beauty_models.makeup.sheets import SampleSheets, grid
from beauty_models.params import OptimizerParams
from beauty_models.training.checkpoint import Checkpoint
from beauty_models.training.finite import require_finite
from beauty_models.training.loop import Loop, Validation
from beauty_models.training.optimization import EMA, Optimization

BETAS = (0.0, 0.99)  # of both Adams
SMALLEST = 4  # pixels a side of the constant that a face grows from
SLOPE = 0.2  # of the leaky ReLUs
GAIN = 2**0.5  # keeps the variance through a leaky ReLU
MAPPING_LAYERS = 4  # eight in the paper; four train faster and, on few faces, no worse
MAPPING_RATE = 0.1  # of the learning rate: the mapping network is unstable at the full one
DEVIATION_GROUP = 4  # faces among which the minibatch deviation is taken
TENTHS = 10  # sample sheets of a run
SAMPLED = 64  # faces at a time when nothing is learned

# A run is given up when one of these holds for a twentieth of its steps, this many at least.
COLLAPSE_STEPS = 100
WON = 0.02  # discriminator's loss: it tells every face, and the generator learns nothing more
ALIKE = 0.02  # deviation among samples, of that among photos: every sample is the same face


class CollapsedError(ValueError):
    """Generator and discriminator are out of balance for good.

    It is a ValueError: learning rates and the penalty's weight are the user's to set.
    """


@dataclass(frozen=True)
class Config:
    """The shape of a generator of faces."""

    size: int  # pixels a side, a power of two
    style: int  # width of the mapping network and of the styles
    channels: int  # of the largest maps


def _widths(config: Config) -> dict[int, int]:
    """Return the channels at each side from `SMALLEST` to the full size."""
    widths = {}
    side = config.size
    while side >= SMALLEST:
        widths[side] = config.channels * min(4, config.size // side)
        side //= 2
    return dict(sorted(widths.items()))


class EqualLinear(nn.Module):
    """A linear layer whose weight is scaled as it runs: all layers then learn at the same pace."""

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale = rate / math.sqrt(inputs)
        self.rate = rate

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return [n, outputs] of [n, inputs]."""
        return nn.functional.linear(values, self.weight * self.scale, self.bias * self.rate)


class EqualConv(nn.Module):
    """A convolution whose weight is scaled as it runs."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = 1 / math.sqrt(inputs * kernel**2)
        self.padding = kernel // 2

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return maps of the same side."""
        weight = self.weight * self.scale
        return nn.functional.conv2d(values, weight, self.bias, padding=self.padding)


class ModulatedConv(nn.Module):
    """A convolution whose inputs a style weighs, and whose outputs are brought back to variance 1.

    The same as a convolution with a weight of its own for each face, without making the weights:
    inputs are scaled by the style, outputs by the length that their weight would have.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, style: int, *, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.affine = EqualLinear(style, inputs, bias=1.0)
        self.scale = 1 / math.sqrt(inputs * kernel**2)
        self.padding = kernel // 2
        self.demodulate = demodulate

    def forward(self, values: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Return maps [n, outputs, side, side]."""
        weights = self.affine(style).float()
        weight = self.weight * self.scale
        modulated = values * weights[..., None, None].to(values.dtype)
        result = nn.functional.conv2d(modulated, weight, padding=self.padding)
        if self.demodulate:
            squares = weight.square().sum((2, 3))  # [outputs, inputs]
            length = (weights.square() @ squares.float().t() + 1e-8).rsqrt()
            result = result * length[..., None, None].to(result.dtype)
        return result


class StyledLayer(nn.Module):
    """A modulated convolution, noise, a bias, a leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, style: int) -> None:
        super().__init__()
        self.convolution = ModulatedConv(inputs, outputs, 3, style)
        self.noise_strength = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(
        self, values: torch.Tensor, style: torch.Tensor, random: torch.Generator | None
    ) -> torch.Tensor:
        """Return maps of the same side; ``random`` draws the noise, else torch's own generator."""
        values = self.convolution(values, style)
        n, _, side, _ = values.shape
        # On the CPU, so that a seed gives the same noise on every device.
        noise = torch.randn(n, 1, side, side, generator=random).to(values)
        values = values + self.noise_strength.to(values.dtype) * noise
        values = values + self.bias.to(values.dtype)[:, None, None]
        activated: torch.Tensor = leaky_relu(values, SLOPE) * GAIN
        return activated


class Generator(nn.Module):
    """Noise z [n, style] → faces [n, 3, size, size], -1 to 1."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        for _ in range(MAPPING_LAYERS):
            layers += [
                EqualLinear(config.style, config.style, rate=MAPPING_RATE),
                nn.LeakyReLU(SLOPE),
            ]
        self.mapping = nn.Sequential(*layers)
        widths = _widths(config)
        self.constant = nn.Parameter(torch.randn(1, widths[SMALLEST], SMALLEST, SMALLEST))
        self.layers = nn.ModuleList()
        self.to_rgb = nn.ModuleList()
        narrow = widths[SMALLEST]
        for width in widths.values():
            self.layers.append(StyledLayer(narrow, width, config.style))
            self.layers.append(StyledLayer(width, width, config.style))
            self.to_rgb.append(ModulatedConv(width, 3, 1, config.style, demodulate=False))
            narrow = width

    def styles(self, z: torch.Tensor) -> torch.Tensor:
        """Return the styles [n, style] of ``z`` [n, style]."""
        length = z.square().mean(1, keepdim=True).add(1e-8).rsqrt()
        styles: torch.Tensor = self.mapping(z * length)
        return styles

    def forward(self, z: torch.Tensor, random: torch.Generator | None = None) -> torch.Tensor:
        """Return faces; their noise is drawn by ``random``, else by torch's own generator."""
        styles = self.styles(z)
        values = self.constant.expand(len(z), -1, -1, -1)
        picture: torch.Tensor | None = None
        for number, to_rgb in enumerate(self.to_rgb):
            if number > 0:
                values = interpolate(values, scale_factor=2, mode="bilinear")
            values = self.layers[2 * number](values, styles, random)
            values = self.layers[2 * number + 1](values, styles, random)
            drawn = to_rgb(values, styles)
            if picture is not None:
                drawn = drawn + interpolate(picture, scale_factor=2, mode="bilinear")
            picture = drawn
        assert picture is not None
        return picture


class ResidualBlock(nn.Module):
    """Halves the side: two convolutions beside one of a single pixel."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = EqualConv(inputs, inputs, 3)
        self.second = EqualConv(inputs, outputs, 3)
        self.skip = EqualConv(inputs, outputs, 1, bias=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return [n, outputs, side / 2, side / 2]."""
        skipped = self.skip(avg_pool2d(values, 2))
        values = leaky_relu(self.first(values), SLOPE) * GAIN
        values = leaky_relu(self.second(avg_pool2d(values, 2)), SLOPE) * GAIN
        halved: torch.Tensor = (values + skipped) / GAIN
        return halved


class Discriminator(nn.Module):
    """Faces [n, 3, size, size] → how much each looks like a photo [n, 1]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        sides = sorted(_widths(config).items(), reverse=True)
        self.from_rgb = EqualConv(3, sides[0][1], 1)
        self.blocks = nn.ModuleList()
        for (_, inputs), (_, outputs) in zip(sides, sides[1:], strict=False):
            self.blocks.append(ResidualBlock(inputs, outputs))
        last = sides[-1][1]
        self.convolution = EqualConv(last + 1, last, 3)
        self.hidden = EqualLinear(last * SMALLEST**2, last)
        self.score = EqualLinear(last, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        values = leaky_relu(self.from_rgb(pictures), SLOPE) * GAIN
        for block in self.blocks:
            values = block(values)
        values = torch.cat([values, _minibatch_deviation(values)], 1)
        values = leaky_relu(self.convolution(values), SLOPE) * GAIN
        values = leaky_relu(self.hidden(values.flatten(1)), SLOPE) * GAIN
        scores: torch.Tensor = self.score(values)
        return scores


def _minibatch_deviation(values: torch.Tensor) -> torch.Tensor:
    """Return a map [n, 1, side, side] of how much faces of a group differ (Karras et al. 2018)."""
    n, _, side, _ = values.shape
    group = math.gcd(n, DEVIATION_GROUP)
    groups = values.float().unflatten(0, (group, n // group))
    deviation = (groups.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    per_face = deviation.repeat(group)[:, None, None, None]
    spread: torch.Tensor = per_face.expand(n, 1, side, side).to(values)
    return spread


def _color(pictures: torch.Tensor) -> torch.Tensor:
    """Return ``pictures`` in other brightness, saturation and contrast."""
    brightness, saturation, contrast = torch.rand(3, len(pictures), 1, 1, 1).to(pictures)
    pictures = pictures + brightness - 0.5
    grey = pictures.mean(1, keepdim=True)
    pictures = (pictures - grey) * (2 * saturation) + grey
    mean = pictures.mean((1, 2, 3), keepdim=True)
    changed: torch.Tensor = (pictures - mean) * (contrast + 0.5) + mean
    return changed


def _translation(pictures: torch.Tensor) -> torch.Tensor:
    """Return ``pictures`` moved by an eighth of their side at most; what comes in is grey."""
    side = pictures.shape[-1]
    most = side // 8
    padded = pad(pictures, [most] * 4)
    moved = []
    for picture, (top, left) in zip(
        padded, torch.randint(0, 2 * most + 1, (len(pictures), 2)).tolist(), strict=True
    ):
        moved.append(picture[:, top : top + side, left : left + side])
    return torch.stack(moved)


def _cutout(pictures: torch.Tensor) -> torch.Tensor:
    """Return ``pictures`` with a grey square of half their side somewhere."""
    side = pictures.shape[-1]
    line = torch.arange(side)
    centers = torch.randint(0, side + 1, (len(pictures), 2, 1))
    near = (line - centers).abs() < side // 4  # of rows and of columns [n, 2, side]
    hidden = near[:, 0, :, None] & near[:, 1, None, :]
    return pictures * (~hidden)[:, None].to(pictures)


AUGMENTATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}


def augment(pictures: torch.Tensor, policy: Sequence[str]) -> torch.Tensor:
    """Return ``pictures`` [n, 3, side, side] changed at random, so that gradients go through.

    Photos and samples are changed alike before the discriminator sees them: it cannot learn the few
    photos by heart, and the generator does not learn the changes.
    """
    for name in policy:
        pictures = AUGMENTATIONS[name](pictures)
    return pictures


class Balance:
    """Watches a training for a collapse; its counts are part of the checkpoints."""

    def __init__(self, steps: int, rates: Sequence[float], where: Callable[[], str]) -> None:
        self.steps = steps
        self.patience = max(COLLAPSE_STEPS, steps // 20)
        self.rates = ", ".join(f"{rate:g}" for rate in rates)
        self.where = where  # what messages say of checkpoints
        self.won = 0  # steps in a row in which the discriminator made no mistake
        self.alike = 0  # steps in a row in which samples did not differ

    @property
    def healthy(self) -> bool:
        """Whether nothing points to a collapse."""
        return self.won == 0 and self.alike == 0

    def update(self, step: int, loss: float, deviation: float) -> None:
        """Look at a step, counted from 0.

        Args:
            step: its number.
            loss: the discriminator's.
            deviation: among samples, of that among photos.

        Raises:
            CollapsedError: for too many steps in a row the training learned nothing.
        """
        self.won = self.won + 1 if loss < WON else 0
        self.alike = self.alike + 1 if deviation < ALIKE else 0
        if self.won >= self.patience:
            what = (
                f"for {self.won} steps the discriminator's loss is below {WON}: it tells every "
                "sample, and the generator learns nothing from it"
            )
            remedy = "lower gan.discriminator_learning_rate, or raise gan.r1"
        elif self.alike >= self.patience:
            what = (
                f"for {self.alike} steps samples differ by less than {ALIKE:.0%} of what photos "
                "do: the generator draws one face"
            )
            remedy = "lower gan.learning_rate, or add to gan.augment"
        else:
            return
        raise CollapsedError(
            f"pretrain: generator: step {step + 1} of {self.steps}: {what} (learning rates "
            f"{self.rates}). Training stopped, {self.where()}. Remedy: {remedy}"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {"won": self.won, "alike": self.alike}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self.won = state["won"]
        self.alike = state["alike"]


class HealthyCheckpoint(Checkpoint):
    """A checkpoint that waits while a training may be collapsing: what is kept can go on."""

    healthy: Callable[[], bool] = staticmethod(lambda: True)

    def due(self) -> bool:
        """Return whether the time between two checkpoints has passed, and all is well."""
        return super().due() and self.healthy()


class Trainer:
    """Both networks, their optimizers, the average that is kept, and a step."""

    def __init__(self, faces: torch.Tensor, params: Gan, checkpoint: HealthyCheckpoint) -> None:
        self.faces = faces.to(device())  # uint8 [n, 3, size, size]
        self.params = params
        config = Config(params.size, params.style, params.channels)
        self.generator = Generator(config).to(device())
        self.discriminator = Discriminator(config).to(device())
        epochs = min(TENTHS, params.steps)
        per_epoch = params.steps // epochs  # a rest below a tenth is left out
        steps = epochs * per_epoch
        # The schedule falls to nothing, as everywhere in the house; Adam has no weight decay here.
        settings = OptimizerParams(
            seed=params.seed, warmup=0, weight_decay=0, precision=params.precision
        )
        self.generator_optimization = Optimization(
            self.generator,
            [{"params": list(self.generator.parameters()), "lr": params.learning_rate}],
            steps,
            settings,
            BETAS,
        ).watched("pretrain: generator", checkpoint)
        rate = params.discriminator_learning_rate
        self.discriminator_optimization = Optimization(
            self.discriminator,
            [{"params": list(self.discriminator.parameters()), "lr": rate}],
            steps,
            settings,
            BETAS,
        ).watched("pretrain: discriminator", checkpoint)
        self.ema = EMA(self.generator_optimization)
        self.balance = Balance(steps, (params.learning_rate, rate), checkpoint.last_good)
        checkpoint.healthy = lambda: self.balance.healthy
        self.sheets = SampleSheets()
        self.generator_losses: list[float] = []  # since the last sheet
        self.loop: Loop[int] = Loop(
            title="pretrain: generator",
            epochs=epochs,
            steps_per_epoch=per_epoch,
            seed=params.seed,
            batches=lambda epoch: range(per_epoch),
            step=lambda _, number: self.step(number),
            validate=self.validate,
            checkpoint=checkpoint,
            stateful={
                "generator": self.generator_optimization,
                "discriminator": self.discriminator_optimization,
                "ema": self.ema,
                "balance": self.balance,
                "sheets": self.sheets,
            },
        )

    def _samples(self, n: int) -> torch.Tensor:
        z = torch.randn(n, self.params.style).to(device())
        pictures: torch.Tensor = self.generator(z)
        return pictures

    def _photos(self) -> torch.Tensor:
        rows = torch.randint(len(self.faces), (self.params.batch,))
        photos = normalized(self.faces[rows.to(device())])
        mirrored = (torch.rand(len(rows)) < 0.5).to(device())
        return torch.where(mirrored[:, None, None, None], photos.flip(-1), photos)

    def step(self, number: int) -> float:
        """Take step ``number``, the discriminator's first; return its loss."""
        params = self.params
        photos = self._photos()
        with precision(params.precision):
            samples = self._samples(params.batch)
        drawn = samples.detach().float()
        with precision(params.precision):
            real = self.discriminator(augment(photos, params.augment))
            false = self.discriminator(augment(drawn, params.augment))
        loss = softplus(-real.float()).mean() + softplus(false.float()).mean()
        loss.backward()
        value = loss.item()
        if params.r1 > 0 and number % params.r1_interval == 0:
            self._penalty(photos).backward()
        self.discriminator_optimization.step(value)
        with precision(params.precision):
            scores = self.discriminator(augment(samples.float(), params.augment))
        generator_loss = softplus(-scores.float()).mean()
        generator_loss.backward()
        self.generator_optimization.step(generator_loss.item())
        # The generator's loss went through the discriminator.
        self.discriminator_optimization.optimizer.zero_grad()
        # A decay that grows with the steps: else the first weights would count for long.
        self.ema.update(min(params.ema, (1 + number) / (10 + number)))
        deviation = drawn.std(0).mean() / photos.std(0).mean().clamp(min=1e-6)
        self.balance.update(number, value, deviation.item())
        return value

    def _penalty(self, photos: torch.Tensor) -> torch.Tensor:
        """Return R1, the squared slope of the discriminator at ``photos`` (Mescheder et al. 2018).

        It stands for as many steps as lie between two (lazy regularization), so weighs as many
        times as much. In float32: slopes of slopes are too small for bfloat16.
        """
        photos = augment(photos, self.params.augment).detach().requires_grad_()
        scores = self.discriminator(photos)
        (slope,) = torch.autograd.grad(scores.sum(), photos, create_graph=True)
        penalty = slope.square().sum((1, 2, 3)).mean()
        return penalty * (self.params.r1 / 2 * self.params.r1_interval)

    def validate(self) -> Validation:
        """Add a sheet of samples of the mean weights; the same noise each time."""
        with self.ema.applied():
            pictures = draw(self.generator, self.params.samples, self.params.seed)
        self.sheets.add(grid(pictures, columns=math.ceil(math.sqrt(len(pictures)))))
        spread = pictures.float().std(0).mean() if len(pictures) > 1 else torch.zeros(())
        return Validation({"sample_deviation": spread.item()}, None)


@torch.inference_mode()
def draw(generator: Generator, n: int, seed: int) -> torch.Tensor:
    """Return ``n`` faces, uint8 [n, 3, size, size], that ``seed`` alone decides."""
    random = torch.Generator().manual_seed(seed)
    pictures = []
    for start in range(0, n, SAMPLED):
        count = min(SAMPLED, n - start)
        z = torch.randn(count, generator.config.style, generator=random).to(device())
        pictures.append(as_bytes(generator(z, random)).cpu())
    return torch.cat(pictures)


def train(faces: torch.Tensor, params: Gan, checkpoint: HealthyCheckpoint) -> Trainer:
    """Train on ``faces``, uint8 [n, 3, size, size], from the last checkpoint on.

    The generator is left with its mean weights.

    Raises:
        ValueError: ``params.size`` is no power of two.
        CollapsedError: discriminator or generator fell out of balance.
        NotFiniteError: a loss, gradient or weight is no number any more.
    """
    if params.size < SMALLEST or params.size & (params.size - 1):
        raise ValueError(
            f"params.yaml: pretrain.gan.size: {params.size} is no power of two of {SMALLEST} at "
            "least; a generator doubles the side at each scale"
        )
    trainer = Trainer(faces, params, checkpoint)
    weights = sum(p.numel() for p in trainer.generator.parameters())
    progress.log_line(
        f"pretrain: generator, {weights:,} parameters, {len(faces):,} faces of {params.size} pixels"
    )
    trainer.loop.run(checkpoint.load())
    # A checkpoint of the end: what comes before the output is written may take long.
    checkpoint.save(trainer.loop.state_dict())
    trainer.generator_optimization.load_weights(trainer.ema.weights)
    return trainer


def save(generator: Generator, folder: Path) -> None:
    """Write ``generator`` into the new folder ``folder``."""
    folder.mkdir()
    weights = {name: value.cpu().contiguous() for name, value in generator.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    write_json(folder / "config.json", asdict(generator.config))


def load(folder: Path) -> Generator:
    """Return the generator of faces saved in ``folder``.

    Raises:
        ValueError: there is none; ``pretrain.gan.steps`` may have been 0.
    """
    generator = Generator(Config(**read_json(folder / "config.json")))
    weights = load_file(folder / "model.safetensors")
    for name, value in weights.items():
        require_finite(value, f"{folder / 'model.safetensors'}: the weights {name}")
    generator.load_state_dict(weights)
    return generator.to(device()).eval()


def sample(folder: Path, n: int, seed: int) -> np.ndarray:
    """Return ``n`` faces that nobody has, uint8 [n, size, size, 3].

    ``folder`` is what `pretrain` or `finetune` wrote; the same ``seed`` gives the same faces.
    """
    pictures = draw(load(folder / "generator"), n, seed)
    return pictures.permute(0, 2, 3, 1).contiguous().numpy()
