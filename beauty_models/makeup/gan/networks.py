"""The generator's and the discriminator's networks: what StyleGAN2 is made of.

A mapping network, convolutions that styles modulate, noise at each scale, skips to RGB, a residual
discriminator with the deviation within a batch (Karras et al. 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, leaky_relu, linear

SMALLEST = 4  # pixels a side of the constant that a face grows from
WIDEST = 4  # times the channels of the largest maps: small maps have no more than that
SLOPE = 0.2  # of the leaky ReLUs
GAIN = 2**0.5  # keeps the variance through a leaky ReLU
MAPPING_LAYERS = 4  # eight in the paper; four train faster and, on few faces, no worse
MAPPING_RATE = 0.1  # of the learning rate: the mapping network is unstable at the full one
DEVIATION_GROUP = 4  # faces among which the minibatch deviation is taken


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
        widths[side] = config.channels * min(WIDEST, config.size // side)
        side *= 2
    return widths


def _activated(values: torch.Tensor) -> torch.Tensor:
    """Return a leaky ReLU of ``values`` that keeps their variance."""
    return leaky_relu(values, SLOPE) * GAIN


class EqualLinear(nn.Module):
    """A linear layer whose weight is scaled as it runs: all layers then learn at the same pace.

    ``rate`` is by how much slower than the others this one learns (Karras et al. 2018).
    """

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale = rate / math.sqrt(inputs)
        self.rate = rate

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return [n, outputs] of [n, inputs]."""
        return linear(values, self.weight * self.scale, self.bias * self.rate)


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
        return conv2d(values, weight, self.bias, padding=self.padding)


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
        # In float32: a sum of squares in bfloat16 would be off by a percent.
        factors = self.affine(style).float()  # [n, inputs]
        weight = self.weight * self.scale
        modulated = values * factors[..., None, None].to(values.dtype)
        result = conv2d(modulated, weight, padding=self.padding)
        if not self.demodulate:
            return result
        squares = weight.square().sum((2, 3)).float()  # [outputs, inputs]
        shrinkage = (factors.square() @ squares.t() + 1e-8).rsqrt()
        demodulated: torch.Tensor = result * shrinkage[..., None, None].to(result.dtype)
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
        noise = torch.randn(n, 1, side, side, generator=random).to(values)
        values = values + self.noise_strength.to(values.dtype) * noise
        values = values + self.bias.to(values.dtype)[:, None, None]
        return _activated(values)


class Generator(nn.Module):
    """Noise z [n, style] → faces [n, 3, size, size], -1 to 1."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.mapping = _mapping_network(config.style)
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
            # Each scale adds to the picture of the one below it: nothing has to be faded in.
            drawn = to_rgb(values, styles)
            if picture is not None:
                drawn = drawn + interpolate(picture, scale_factor=2, mode="bilinear")
            picture = drawn
        assert picture is not None
        return picture


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
        values = _activated(self.second(avg_pool2d(values, 2)))
        # The sum of two has twice the variance of one.
        halved: torch.Tensor = (values + skipped) / GAIN
        return halved


class Discriminator(nn.Module):
    """Faces [n, 3, size, size] → how much each looks like a photo [n, 1]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = list(_widths(config).values())[::-1]  # the largest side's first
        self.from_rgb = EqualConv(3, widths[0], 1)
        self.blocks = nn.ModuleList()
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            self.blocks.append(ResidualBlock(inputs, outputs))
        last = widths[-1]
        self.convolution = EqualConv(last + 1, last, 3)
        self.hidden = EqualLinear(last * SMALLEST**2, last)
        self.score = EqualLinear(last, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        values = _activated(self.from_rgb(pictures))
        for block in self.blocks:
            values = block(values)
        values = torch.cat([values, minibatch_deviation(values)], 1)
        values = _activated(self.convolution(values))
        values = _activated(self.hidden(values.flatten(1)))
        scores: torch.Tensor = self.score(values)
        return scores


def minibatch_deviation(values: torch.Tensor) -> torch.Tensor:
    """Return a map [n, 1, side, side] of how much faces of a group differ (Karras et al. 2018).

    ``values`` are maps [n, c, side, side]. A generator that draws one face is found out by it.
    """
    n, _, side, _ = values.shape
    group = math.gcd(n, DEVIATION_GROUP)
    groups = values.float().unflatten(0, (group, n // group))
    deviation = (groups.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    per_face = deviation.repeat(group)[:, None, None, None]
    spread: torch.Tensor = per_face.expand(n, 1, side, side).to(values)
    return spread
