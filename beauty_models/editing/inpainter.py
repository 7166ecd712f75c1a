"""The feed-forward inpainter: a gated U-Net that corrects a smooth fill, in one pass.

Convolutions are gated (Yu et al. 2019): each place of a map has a learned share of what passes, so
that what is known and what is not are told apart in every layer. The network does not draw a hole
from nothing: it starts from a fill that is computed, the pyramid of means of what is known
(pull-push, Gortler et al. 1996), and learns what that lacks. Untrained it changes nothing, so a
short training begins at about the quality of a classical fill.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, elu, interpolate, pixel_shuffle, pixel_unshuffle

from beauty_models.device import device, precision
from beauty_models.files import read_json, write_json
from beauty_models.training.finite import require_finite

WEIGHTS = "inpainter.safetensors"
SHAPE = "inpainter.json"
WIDEST = 4  # times the channels at the largest maps
DILATIONS = (1, 2, 4, 8)  # of the blocks in turn: sight without smaller maps
ROWS = 32  # photos at a time where nothing is learned

Images = NDArray[np.uint8]  # sRGB [n, h, w, 3]
Holes = NDArray[np.bool_]  # True where nothing is known [n, h, w]


@dataclass(frozen=True)
class Shape:
    """The shape of the network."""

    size: int  # pixels a side of the photos
    channels: int  # at half of the side
    levels: int  # times that the side is halved after that
    blocks: int  # at the smallest side


def normalized(images: Images) -> Tensor:
    """Return photos as networks see them, float -1 to 1 [n, 3, h, w]."""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device())
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def as_bytes(pictures: Tensor) -> Images:
    """Return what `normalized` was given, clipped and rounded."""
    levels = ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())


def hole_maps(holes: Holes) -> Tensor:
    """Return ``holes`` as networks see them, float 0 or 1 [n, 1, h, w]."""
    return torch.from_numpy(np.ascontiguousarray(holes)).to(device())[:, None].float()


def pull_push(pictures: Tensor, holes: Tensor) -> Tensor:
    """Return ``pictures`` [n, 3, h, w] with ``holes`` [n, 1, h, w] filled smoothly.

    Up the pyramid, a cell is the mean of what it has known; down again, what is not known takes the
    interpolated values of the scale above. A picture of which nothing is known becomes gray.
    """
    known = 1 - holes
    if min(pictures.shape[-2:]) < 2:
        return pictures * known
    # A side that is odd is continued by its last pixels, which are not known.
    height, width = pictures.shape[-2:]
    padding = (0, width % 2, 0, height % 2)
    weights = nn.functional.pad(known, padding)
    total = avg_pool2d(nn.functional.pad(pictures * known, padding), 2)
    share = avg_pool2d(weights, 2)
    smaller = total / share.clamp(min=1e-6)
    # Above, all is known that is known in part: holes shrink, and are gone after some scales.
    coarse = pull_push(smaller, (share == 0).float())
    smooth = interpolate(coarse, scale_factor=2, mode="bilinear")[..., :height, :width]
    return pictures * known + smooth * holes


class GatedConv(nn.Module):
    """A convolution of twice as many channels, of which one half gates the other."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(
            inputs, 2 * outputs, 3, stride, padding=dilation, dilation=dilation
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of ``outputs`` channels."""
        values, gates = self.convolution(maps).chunk(2, 1)
        passed: Tensor = elu(values) * gates.sigmoid()
        return passed


class Block(nn.Module):
    """Two gated convolutions, the first one dilated, whose result is added to their input."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = GatedConv(channels, channels, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        # The block begins as nothing, which is what deep networks train best from.
        nn.init.zeros_(self.second.weight)
        assert self.second.bias is not None
        nn.init.zeros_(self.second.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape."""
        changed: Tensor = maps + self.second(self.first(maps))
        return changed


class InpaintingNetwork(nn.Module):
    """Photo and hole → the photo with its hole filled, -1 to 1."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        cell = 2 ** (shape.levels + 1)
        if shape.size % cell:
            raise ValueError(
                f"photos of {shape.size} pixels cannot be halved {shape.levels + 1} times; set "
                f"pretrain.size to a multiple of {cell}, or pretrain.inpainter.levels lower"
            )
        self.shape = shape
        widths = [shape.channels * min(WIDEST, 2**level) for level in range(shape.levels + 1)]
        # Maps begin at half of the side: a quarter of the work, and nothing is lost, for four
        # pixels become four times as many channels.
        self.stem = GatedConv(4 * 4, widths[0])
        down = []
        up = []
        for level in range(shape.levels):
            down.append(GatedConv(widths[level], widths[level + 1], stride=2))
            up.append(GatedConv(widths[level + 1] + widths[level], widths[level]))
        self.down = nn.ModuleList(down)
        self.up = nn.ModuleList(up)
        self.middle = nn.Sequential(
            *[Block(widths[-1], DILATIONS[i % len(DILATIONS)]) for i in range(shape.blocks)]
        )
        self.last = nn.Conv2d(widths[0], 3 * 4, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, pictures: Tensor, holes: Tensor) -> Tensor:
        """Return ``pictures`` [n, 3, size, size] with ``holes`` [n, 1, size, size] filled.

        What lies in the holes is not looked at.
        """
        start = pull_push(pictures, holes)
        maps = self.stem(pixel_unshuffle(torch.cat([start, holes], 1), 2))
        passed = []
        for down in self.down:
            passed.append(maps)
            maps = down(maps)
        maps = self.middle(maps)
        for up in reversed(list(self.up)):
            larger = interpolate(maps, scale_factor=2, mode="nearest")
            maps = up(torch.cat([larger, passed.pop()], 1))
        change = pixel_shuffle(self.last(maps), 2).float()
        return start + change * holes


def fill_in_batches(
    images: Images, holes: Holes, rows: int, draw: Callable[[Tensor, Tensor], Tensor], what: str
) -> Images:
    """Return ``images`` with what ``draw`` makes of their ``holes``; all else keeps its bytes.

    Args:
        images: [n, size, size, 3].
        holes: [n, size, size].
        rows: photos at a time.
        draw: pictures as `normalized` and holes as `hole_maps` → pictures.
        what: is drawn, for the message.

    Raises:
        NotFiniteError: the weights are spoiled.
    """
    filled = np.array(images)
    for start in range(0, len(images), rows):
        batch = slice(start, start + rows)
        drawn = draw(normalized(images[batch]), hole_maps(holes[batch]))
        require_finite(drawn, what)
        filled[batch] = np.where(holes[batch][..., None], as_bytes(drawn), images[batch])
    return filled


class Inpainter:
    """A trained network, as it fills holes."""

    def __init__(self, network: InpaintingNetwork, autocast: str = "auto") -> None:
        self.network = network.to(device()).eval()
        self.autocast = autocast  # auto, float32 or bfloat16

    @property
    def size(self) -> int:
        """Pixels a side of the photos."""
        return self.network.shape.size

    @torch.no_grad()
    def fill(self, images: Images, holes: Holes) -> Images:
        """Return ``images`` [n, size, size, 3] with ``holes`` filled; all else keeps its bytes.

        Raises:
            NotFiniteError: the weights are spoiled.
        """
        with precision(self.autocast):
            return fill_in_batches(images, holes, ROWS, self.network, "what the inpainter fills in")


def save(network: InpaintingNetwork, folder: Path) -> None:
    """Write the network to ``folder``: `WEIGHTS` and `SHAPE`."""
    weights = {name: value.contiguous().cpu() for name, value in network.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    write_json(folder / SHAPE, asdict(network.shape))


def load_network(folder: Path) -> InpaintingNetwork:
    """Return the network that `save` wrote to ``folder``.

    Raises:
        ValueError: there is none, or its file is damaged.
    """
    try:
        network = InpaintingNetwork(Shape(**read_json(folder / SHAPE)))
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{folder}: no saved inpainter: {error}") from error
    for name, value in network.state_dict().items():
        require_finite(value, f"{folder / WEIGHTS}: the weights {name}")
    return network.to(device())


def load(folder: Path, autocast: str = "auto") -> Inpainter:
    """Return the inpainter that `save` wrote to ``folder``; ValueError as `load_network`."""
    return Inpainter(load_network(folder), autocast)
