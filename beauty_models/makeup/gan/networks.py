"""The generator's and the discriminator's networks: what StyleGAN2 is made of.

A mapping network, convolutions that styles modulate, noise at each scale, skips to RGB, a residual
discriminator with the deviation within a batch (Karras et al. 2020). Unlike the paper's, the
generator adds to a Gaussian's faces (`eigenfaces`), which each scale sees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import (
    adaptive_avg_pool2d,
    avg_pool2d,
    conv2d,
    interpolate,
    leaky_relu,
    linear,
)

from beauty_models.makeup.gan.eigenfaces import Eigenfaces

COLORS = 3  # channels of a picture
SMALLEST = 4  # pixels a side of the constant that a face grows from
WIDEST = 4  # times the channels of the largest maps: small maps have no more than that
SLOPE = 0.2  # of the leaky ReLUs
GAIN = 2**0.5  # keeps the variance through a leaky ReLU
MAPPING_LAYERS = 4  # eight in the paper; four train faster and, on few faces, no worse
MAPPING_RATE = 0.1  # of the learning rate: the mapping network is unstable at the full one
DEVIATION_GROUP = 4  # faces among which the minibatch deviation is taken
TINY = 1e-8  # keeps a root from an infinite slope at 0


@dataclass(frozen=True)
class Config:
    """The shape of a generator of faces."""

    size: int  # pixels a side, a power of two
    style: int  # width of the mapping network and of the styles
    channels: int  # of the largest maps


def _widths(config: Config) -> dict[int, int]:
    """Return the channels at each side from `SMALLEST` to the full size."""
    widths = {}
    side = SMALLEST
    while side <= config.size:
        smaller = config.size // side  # by so many times
        factor = min(WIDEST, smaller)
        widths[side] = config.channels * factor
        side *= 2
    return widths


def _he_scale(inputs: int, kernel: int) -> float:
    """Return what keeps the variance through a convolution with weights of deviation 1.

    He et al. 2015; the gain of the ReLU is applied after it.
    """
    connections = inputs * kernel**2
    return 1 / math.sqrt(connections)


def _per_channel(factors: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Return ``factors`` [n, c] as they multiply ``maps`` [n, c, side, side]."""
    as_pixels = factors[..., None, None]
    return as_pixels.to(maps.dtype)


def _doubled(maps: torch.Tensor) -> torch.Tensor:
    """Return ``maps`` of twice the side."""
    return interpolate(maps, scale_factor=2, mode="bilinear")


def _activated(values: torch.Tensor) -> torch.Tensor:
    """Return a leaky ReLU of ``values`` that keeps their variance."""
    return leaky_relu(values, SLOPE) * GAIN


class EqualLinear(nn.Module):
    """A linear layer whose weight is scaled as it runs: all layers then learn at the same pace.

    ``rate`` is by how much slower than the others this one learns (Karras et al. 2018).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: float = 0.0,
        rate: float = 1.0,
    ) -> None:
        super().__init__()
        # Divided by the rate here and multiplied by it as it runs: Adam's steps are of one length,
        # so that a larger weight learns slower.
        weight = torch.randn(outputs, inputs)
        first_bias = torch.full((outputs,), bias / rate)
        self.weight = nn.Parameter(weight / rate)
        self.bias = nn.Parameter(first_bias)
        self.scale = rate / math.sqrt(inputs)
        self.rate = rate

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return [n, outputs] of [n, inputs]."""
        weight = self.weight * self.scale
        bias = self.bias * self.rate
        return linear(values, weight, bias)


class EqualConv(nn.Module):
    """A convolution whose weight is scaled as it runs."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        weight = torch.randn(outputs, inputs, kernel, kernel)
        self.weight = nn.Parameter(weight)
        self.bias = None
        if bias:
            self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = _he_scale(inputs, kernel)
        self.padding = kernel // 2

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return maps of the same side."""
        weight = self.weight * self.scale
        return conv2d(values, weight, self.bias, padding=self.padding)


class ModulatedConv(nn.Module):
    """A convolution whose inputs a style weighs, and whose outputs are brought back to variance 1.

    The same as a convolution with a weight of its own for each face, without making the weights:
    inputs are scaled by the style, outputs by the length that their weight would have.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        style: int,
        *,
        demodulate: bool = True,
    ) -> None:
        super().__init__()
        weight = torch.randn(outputs, inputs, kernel, kernel)
        self.weight = nn.Parameter(weight)
        # A bias of 1: an untrained style changes nothing.
        self.affine = EqualLinear(style, inputs, bias=1.0)
        self.scale = _he_scale(inputs, kernel)
        self.padding = kernel // 2
        self.demodulate = demodulate

    def forward(self, values: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Return maps [n, outputs, side, side]."""
        # In float32: a sum of squares in bfloat16 would be off by a percent.
        factors = self.affine(style).float()  # [n, inputs]
        weight = self.weight * self.scale
        modulated = values * _per_channel(factors, values)
        result = conv2d(modulated, weight, padding=self.padding)
        if not self.demodulate:
            return result
        squares = weight.square()
        energy = squares.sum((2, 3)).float()  # [outputs, inputs]
        variance = factors.square() @ energy.t()
        length = (variance + TINY).rsqrt()
        factors = _per_channel(length, result)
        demodulated: torch.Tensor = result * factors
        return demodulated


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
        noise = torch.randn(n, 1, side, side, generator=random)
        strength = self.noise_strength.to(values.dtype)
        values = values + strength * noise.to(values)
        # As the type of the maps: autocast's bfloat16 would become float32 again.
        bias = self.bias.to(values.dtype)
        values = values + bias[:, None, None]
        return _activated(values)


class Generator(nn.Module):
    """Noise z [n, style] → faces [n, 3, size, size], -1 to 1.

    Before it has learned they are those of ``eigenfaces``.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.eigenfaces = Eigenfaces(config.style, config.size)
        self.mapping = _mapping_network(config.style)
        widths = _widths(config)
        inputs = widths[SMALLEST]
        constant = torch.randn(1, inputs, SMALLEST, SMALLEST)
        self.constant = nn.Parameter(constant)
        self.from_rgb = nn.ModuleList()
        self.layers = nn.ModuleList()
        self.to_rgb = nn.ModuleList()
        for width in widths.values():
            self.from_rgb.append(EqualConv(COLORS, inputs, 3))
            first = StyledLayer(inputs, width, config.style)
            second = StyledLayer(width, width, config.style)
            self.layers.extend([first, second])
            # Not demodulated: how bright a picture is, is for its style to say.
            to_rgb = ModulatedConv(width, COLORS, 1, config.style, demodulate=False)
            # What is added to a Gaussian's face is nothing at first.
            nn.init.zeros_(to_rgb.weight)
            self.to_rgb.append(to_rgb)
            inputs = width
        # A step of few channels takes a fifth less time on a CPU when a pixel's lie together.
        self.to(memory_format=torch.channels_last)

    def styles(self, z: torch.Tensor) -> torch.Tensor:
        """Return the styles [n, style] of ``z`` [n, style]."""
        # All z of one length: only their directions count.
        mean_square = z.square().mean(1, keepdim=True)
        length = mean_square.add(TINY).rsqrt()
        styles: torch.Tensor = self.mapping(z * length)
        return styles

    def forward(self, z: torch.Tensor, random: torch.Generator | None = None) -> torch.Tensor:
        """Return faces; their noise is drawn by ``random``, else by torch's own generator."""
        gaussian = self.eigenfaces(z)
        styles = self.styles(z)
        n = len(z)
        values = self.constant.expand(n, -1, -1, -1)
        added = gaussian.new_zeros(n, COLORS, SMALLEST, SMALLEST)
        for number, to_rgb in enumerate(self.to_rgb):
            if number > 0:
                values = _doubled(values)
                added = _doubled(added)
            # Where things lie in the Gaussian's face: without it each would be found again.
            seen = adaptive_avg_pool2d(gaussian, values.shape[-1])
            values = values + self.from_rgb[number](seen)
            first = 2 * number
            for layer in self.layers[first : first + 2]:
                values = layer(values, styles, random)
            # Each scale adds to the picture of the one below it: nothing has to be faded in.
            added = added + to_rgb(values, styles)
        pictures: torch.Tensor = gaussian + added
        return pictures


def _mapping_network(style: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(MAPPING_LAYERS):
        layers.append(EqualLinear(style, style, rate=MAPPING_RATE))
        layers.append(nn.LeakyReLU(SLOPE))
    return nn.Sequential(*layers)


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
        values = _activated(self.first(values))
        halved_values = avg_pool2d(values, 2)
        values = _activated(self.second(halved_values))
        # The sum of two has twice the variance of one.
        halved: torch.Tensor = (values + skipped) / GAIN
        return halved


class Discriminator(nn.Module):
    """Faces [n, 3, size, size] → how much each looks like a photo [n, 1]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = list(_widths(config).values())
        widths.reverse()  # the largest side's first
        self.from_rgb = EqualConv(COLORS, widths[0], 1)
        self.blocks = nn.ModuleList()
        last = widths[0]
        for width in widths[1:]:
            block = ResidualBlock(last, width)
            self.blocks.append(block)
            last = width
        # One map more: the deviation within the batch.
        self.convolution = EqualConv(last + 1, last, 3)
        values = last * SMALLEST**2
        self.hidden = EqualLinear(values, last)
        self.score = EqualLinear(last, 1)
        self.to(memory_format=torch.channels_last)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        values = _activated(self.from_rgb(pictures))
        for block in self.blocks:
            values = block(values)
        deviation = minibatch_deviation(values)
        values = torch.cat([values, deviation], 1)
        values = _activated(self.convolution(values))
        flat = values.flatten(1)
        values = _activated(self.hidden(flat))
        scores: torch.Tensor = self.score(values)
        return scores


def minibatch_deviation(values: torch.Tensor) -> torch.Tensor:
    """Return a map [n, 1, side, side] of how much faces of a group differ (Karras et al. 2018).

    ``values`` are maps [n, c, side, side]. A generator that draws one face is found out by it.
    """
    n, _, side, _ = values.shape
    # A batch that groups do not divide has smaller ones; of one face alone it is 0.
    group = math.gcd(n, DEVIATION_GROUP)
    shape = (group, n // group)
    groups = values.float().unflatten(0, shape)
    variance = groups.var(0, unbiased=False)
    deviation = (variance + TINY).sqrt()
    of_group = deviation.mean((1, 2, 3))
    of_face = of_group.repeat(group)
    as_pixel = of_face[:, None, None, None]
    as_map: torch.Tensor = as_pixel.expand(n, 1, side, side)
    return as_map.to(values)
