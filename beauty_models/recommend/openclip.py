"""open_clip dual encoders: built of an image tower and a BERT, or loaded by open_clip's names.

They are saved so that open_clip loads them: a saved folder has the layout of its ``local-dir:``,
``open_clip_config.json``, ``open_clip_model.safetensors`` and the tokenizer. open_clip looks for
the configuration of a BERT tower wherever ``hf_model_name`` says, seen from the working directory;
a folder that can be moved says ``"."`` there. `load` and `export` put the place in that is right.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from beauty_models.retrieval.features import COLORS
from beauty_models.training.augmentation import center_crop, letterbox

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
CARD = "backbone.json"
COLOR_WEIGHTS = "palette.safetensors"  # beside them: what open_clip does not know
MOVABLE = "."  # hf_model_name of a folder that can be moved
UNTRAINED_LICENSE: dict[str, Any] = {"license": "Apache-2.0", "commercial_use": True}
UNTRAINED_MEAN_STD = (0.5, 0.5, 0.5)  # maps 0–255 to −1–1
TOKENIZER_FILES = ("*token*", "vocab*", "merges.txt", "spiece.model")


def _squash(size: int) -> View:
    return lambda image, position: image.resize((size, size), Image.Resampling.BICUBIC)


RESIZE_MODES = {"longest": letterbox, "shortest": center_crop, "squash": _squash}
"""open_clip's resize_mode → the view."""


@dataclass
class DualEncoder:
    """A dual encoder with all that is needed to feed it and to save it."""

    clip: Any  # open_clip.CLIP or CustomTextCLIP: their towers are named, not typed
    tokenizer: Any  # open_clip's: texts → token ids [n, context length]
    config: dict[str, Any]  # model_cfg and preprocess_cfg, as in open_clip_config.json
    card: dict[str, Any]  # base, license, commercial_use

    @property
    def size(self) -> int:
        """Pixels a side of what the image tower sees."""
        # open_clip writes one number or height and width
        size = self.config["preprocess_cfg"]["size"]
        return int(size if isinstance(size, int) else size[0])

    @property
    def dimension(self) -> int:
        """Width of the common space."""
        return int(self.config["model_cfg"]["embed_dim"])

    @property
    def inference_view(self) -> View:
        """How a picture becomes the square that the image tower sees, when it is not augmented."""
        return RESIZE_MODES[self.config["preprocess_cfg"]["resize_mode"]](self.size)

    def pixels(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return uint8 pictures [n, 3, size, size] normalised for the tower, on the device."""
        preprocess = self.config["preprocess_cfg"]
        mean = torch.tensor(preprocess["mean"], device=device())[:, None, None]
        std = torch.tensor(preprocess["std"], device=device())[:, None, None]
        # the layout in which convolutions work on a CPU and on tensor cores
        moved = pictures.to(device(), non_blocking=True).to(memory_format=torch.channels_last)
        return (moved.float() / 255 - mean) / std

    @property
    def is_timm(self) -> bool:
        """Whether the image tower is timm's: its trunk and its projection can be told apart."""
        return isinstance(self.clip.visual, TimmModel)

    def trunk(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the image tower's features [n, width] before its projection.

        A tower that is not timm's returns its output, which is projected already.
        """
        visual = self.clip.visual
        # open_clip's own towers project inside `forward`
        features: torch.Tensor = visual.trunk(pixels) if self.is_timm else visual(pixels)
        return features

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """Return the projection [n, dimension] of what `trunk` gave."""
        projected: torch.Tensor = self.clip.visual.head(features) if self.is_timm else features
        return projected

    @property
    def color_projection(self) -> nn.Linear | None:
        """The map from a picture's color histogram into the common space, if there is one."""
        projection: nn.Linear | None = getattr(self.clip, "color_projection", None)
        return projection

    def add_color_projection(self) -> None:
        """Give pictures a second way into the common space: a linear map of color histograms.

        It is zero at the start. A tower trained on ImageNet is made to see a cup in every color as
        a cup; a shop sells the color.
        """
        projection = nn.Linear(COLORS, self.dimension, bias=False)
        nn.init.zeros_(projection.weight)
        # it lives on open_clip's model, so that one optimizer and one EMA see every weight
        self.clip.color_projection = projection

    def tokens(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the token ids [n, length] of ``texts``.

        For a BERT tower length is that of the longest text, else open_clip's context length.
        """
        ids: torch.Tensor = self.tokenizer(list(texts))
        if self.is_bert:
            # open_clip pads to the context length; attention over padding is paid for nothing
            used = (ids != self.clip.text.config.pad_token_id).sum(1)
            ids = ids[:, : int(used.max())]
        return ids

    @property
    def is_bert(self) -> bool:
        """Whether the text tower is built like transformers' BERT: its layers can be run apart."""
        text = getattr(self.clip, "text", None)
        if not isinstance(text, HFTextEncoder):
            return False
        encoder = getattr(text.transformer, "encoder", None)
        return isinstance(getattr(encoder, "layer", None), nn.ModuleList)


@dataclass
class _ImageTower:
    """What `from_towers` needs to know of an image tower."""

    timm_name: str
    weights: dict[str, torch.Tensor] | None  # None leaves the tower untrained
    card: dict[str, Any]
    mean: Sequence[float]
    std: Sequence[float]


def _image_tower(image: str) -> _ImageTower:
    """Return the tower that ``image`` names; ValueError as `from_towers`."""
    if image.startswith("timm:"):
        name = image.removeprefix("timm:")
        if name not in timm.list_models():
            raise ValueError(f"pretrain.image: timm has no model {name!r}; see timm.list_models()")
        return _ImageTower(name, None, UNTRAINED_LICENSE, UNTRAINED_MEAN_STD, UNTRAINED_MEAN_STD)
    loaded = vision.load(image)
    timm_model = getattr(loaded.model, "timm_model", None)
    if timm_model is None:
        raise ValueError(
            f"pretrain.image: {image} is not a model of timm; take wheel:efficientnet-lite0, "
            "a hub id timm/… or timm:NAME"
        )
    return _ImageTower(
        loaded.model.config.architecture,
        timm_model.state_dict(),
        loaded.card(),
        loaded.mean,
        loaded.std,
    )


def _config(
    tower: _ImageTower,
    *,
    size: int,
    dimension: int,
    max_tokens: int,
) -> dict[str, Any]:
    """Return the content of open_clip_config.json."""
    model = {
        "embed_dim": dimension,
        "vision_cfg": {
            "timm_model_name": tower.timm_name,
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "timm_proj_bias": True,
            "image_size": size,
        },
        "text_cfg": {
            "hf_model_name": MOVABLE,
            "hf_model_pretrained": False,
            "hf_tokenizer_name": MOVABLE,
            "hf_proj_type": "linear",
            "hf_pooler_type": "mean_pooler",
            "context_length": max_tokens,
        },
    }
    preprocess = {
        "size": size,
        "mean": list(tower.mean),
        "std": list(tower.std),
        # nothing is cut off: the hem of a dress and the heel of a shoe are what is sold
        "resize_mode": "longest",
        "fill_color": 255,
    }
    return {"model_cfg": model, "preprocess_cfg": asdict(PreprocessCfg()) | preprocess}


def from_towers(
    image: str,
    text: Backbone,
    *,
    size: int,
    dimension: int,
    max_tokens: int,
) -> DualEncoder:
    """Return a dual encoder of two towers that do not know each other yet.

    Linear projections lead from both into the common space.

    Args:
        image: a base of `vision.load` that timm knows, or ``timm:NAME`` for an untrained tower.

    Raises:
        ValueError: the image tower is not timm's, or timm has none of that name.
    """
    tower = _image_tower(image)
    config = _config(tower, size=size, dimension=dimension, max_tokens=max_tokens)
    # open_clip builds a BERT tower from a folder only, so one is written for it
    with TemporaryDirectory() as folder:
        text.model.base_model.config.save_pretrained(folder)
        text.tokenizer.save_pretrained(folder)
        write_json(Path(folder) / CONFIG, config)
        encoder = _load_folder(Path(folder), {}, with_weights=False)
    # not strict: open_clip builds BERT without the pooler that a checkpoint may have
    encoder.clip.text.transformer.load_state_dict(text.model.base_model.state_dict(), strict=False)
    # a classifier of ImageNet's classes is no use here
    if tower.weights is not None:
        kept = {
            name: value
            for name, value in tower.weights.items()
            if not name.startswith("classifier.")
        }
        encoder.clip.visual.trunk.load_state_dict(kept)
    both = f"{tower.card['license']} (image), {text.license} (text)"
    from_scratch = tower.weights is None and text.base == "scratch"
    encoder.card = {
        "base": f"{image} + {text.base}",
        "license": str(tower.card["license"]) if from_scratch else both,
        "commercial_use": _both_allow(tower.card["commercial_use"], text.commercial_use),
    }
    return encoder


def set_identity_projections(encoder: DualEncoder) -> None:
    """Give the two towers of `from_towers` projections that change nothing.

    Each one's features stand in the first dimensions of one space.
    """
    visual, text = encoder.clip.visual, encoder.clip.text
    width = max(visual.head.proj.in_features, text.proj.in_features)
    for module in (visual.head, text):
        module.proj = nn.Linear(
            module.proj.in_features, width, bias=False, device=encoder.clip.logit_scale.device
        )
        # the narrower tower's features fill the first dimensions, zeros the rest
        nn.init.eye_(module.proj.weight)
    encoder.config["model_cfg"]["embed_dim"] = width


def _both_allow(image: bool | None, text: bool | None) -> bool | None:
    """Return whether both towers may be used commercially; None where one does not say."""
    if image is False or text is False:
        return False
    if image is None or text is None:
        return None
    return True


@contextmanager
def _quiet_below(level: int) -> Iterator[None]:
    """Let no logger report anything up to ``level``."""
    before = logging.root.manager.disable
    logging.disable(level)
    try:
        yield
    finally:
        logging.disable(before)


def _load_folder(
    folder: Path,
    card: dict[str, Any],
    with_weights: bool = True,
) -> DualEncoder:
    config = read_json(folder / CONFIG)
    text = config["model_cfg"]["text_cfg"]
    overrides = {}
    if "hf_model_name" in text:
        local = {"hf_model_name": str(folder), "hf_model_pretrained": False}
        overrides["text_cfg"] = text | local
    if with_weights:
        _require_safetensors(folder)
    # open_clip warns of a network without weights, which is what `from_towers` wants
    level = logging.root.manager.disable if with_weights else logging.WARNING
    try:
        with _quiet_below(level):
            name = f"local-dir:{folder}"
            clip = open_clip.create_model(name, load_weights=with_weights, **overrides)
            tokenizer = _tokenizer(name, config["model_cfg"])
    except Exception as error:  # it raises whatever it likes at files that it did not expect
        raise ValueError(why_not(folder, error)) from error
    return DualEncoder(clip, tokenizer, config, card)


def _require_safetensors(folder: Path) -> None:
    """Refuse a folder of which open_clip would unpickle the weights.

    One without any is refused, too: open_clip would begin with random weights.
    """
    weights = open_clip.factory._find_checkpoint_in_dir(folder)
    if weights is None:
        raise ValueError(why_not(folder, ValueError(f"it has no {WEIGHTS}")))
    if not weights.endswith(".safetensors"):
        raise ValueError(pickled(folder, Path(weights).name))


def _tokenizer(name: str, model: dict[str, Any]) -> Any:
    """Return open_clip's tokenizer of the model ``name`` with the configuration ``model``."""
    if not model["text_cfg"].get("hf_tokenizer_name"):
        return open_clip.get_tokenizer(name)
    # open_clip hands the configuration's tokenizer_kwargs to transformers, trust_remote_code too;
    # an argument of ours goes before
    return open_clip.get_tokenizer(name, trust_remote_code=False)


def load(folder: Path) -> DualEncoder:
    """Return the dual encoder that `save` wrote.

    Raises:
        ValueError: the folder has none.
    """
    encoder = _load_folder(folder, read_json(folder / CARD))
    if (folder / COLOR_WEIGHTS).exists():
        encoder.add_color_projection()
        encoder.clip.color_projection.load_state_dict(load_file(folder / COLOR_WEIGHTS))
    return encoder


def load_pretrained(name: str) -> DualEncoder:
    """Return a pretrained dual encoder.

    Args:
        name: ``NAME/TAG`` of open_clip, ``hf-hub:OWNER/NAME`` or ``local-dir:FOLDER``.

    Raises:
        ValueError: there is none of that name, or it cannot be had.
    """
    try:
        if name.startswith("local-dir:"):
            return _load_folder(Path(name.removeprefix("local-dir:")), _card(name))
        if name.startswith("hf-hub:"):
            return _from_hub(name)
        return _from_open_clip(name)
    except Exception as error:  # open_clip, timm, transformers and the hub have errors of their own
        raise ValueError(
            f"pretrain.open_clip: {why_not(name, error)}; see open_clip.list_pretrained()"
        ) from error


def _from_hub(name: str) -> DualEncoder:
    clip = open_clip.create_model(name, require_pretrained=True, weights_only=True)
    config = open_clip.factory._get_hf_config(name.removeprefix("hf-hub:"))
    return _with_preprocessing(clip, name, config["model_cfg"], _card(name))


def _from_open_clip(name: str) -> DualEncoder:
    model, _, tag = name.partition("/")
    # open_clip takes a tag that is a file for weights, and would unpickle it
    if tag and Path(tag).exists():
        raise ValueError(
            f"{tag} is a file; give a folder with {CONFIG} and {WEIGHTS} as local-dir:FOLDER"
        )
    clip = open_clip.create_model(model, pretrained=tag, require_pretrained=True, weights_only=True)
    return _with_preprocessing(clip, model, open_clip.get_model_config(model), _card(name))


def _with_preprocessing(
    clip: Any,
    model: str,
    model_config: dict[str, Any],
    card: dict[str, Any],
) -> DualEncoder:
    # what the weights were trained with, which may differ from the model's own defaults
    config = {"model_cfg": model_config, "preprocess_cfg": dict(clip.visual.preprocess_cfg)}
    return DualEncoder(clip, _tokenizer(model, model_config), config, card)


def _card(name: str) -> dict[str, Any]:
    """Return base, license and commercial_use of a pretrained dual encoder."""
    license_, allowed = "not stated", None  # open_clip's own list names no licences
    if ":" in name:
        repository = name.removeprefix("hf-hub:").removeprefix("local-dir:")
        license_, allowed = stated_license(repository)
    return {"base": name, "license": license_, "commercial_use": allowed}


def save(encoder: DualEncoder, folder: Path) -> None:
    """Write ``encoder`` into the existing ``folder``, which may then be moved anywhere."""
    model = dict(encoder.config["model_cfg"])
    text = dict(model["text_cfg"])
    if "hf_model_name" in text:
        text["hf_model_name"] = MOVABLE
        text["hf_tokenizer_name"] = MOVABLE
        text["hf_model_pretrained"] = False
        encoder.clip.text.config.save_pretrained(folder)
    model["text_cfg"] = text
    # open_clip's own byte-pair tokenizer has no files: it is a part of the package
    if hasattr(encoder.tokenizer, "save_pretrained"):
        encoder.tokenizer.save_pretrained(folder)
    weights = {name: value.cpu().contiguous() for name, value in encoder.clip.state_dict().items()}
    # open_clip loads strictly: a weight that it does not know would make the folder unreadable
    color_weights = weights.pop("color_projection.weight", None)
    save_file(weights, folder / WEIGHTS)
    if color_weights is not None:
        save_file({"weight": color_weights}, folder / COLOR_WEIGHTS)
    write_json(folder / CONFIG, {**encoder.config, "model_cfg": model})
    write_json(folder / CARD, encoder.card)


def export(folder: Path, destination: Path) -> None:
    """Copy what open_clip needs from a saved ``folder`` to ``destination``.

    ``open_clip.create_model_and_transforms("local-dir:DESTINATION")`` then loads it, from any
    working directory, until it is moved: the configuration holds the place.

    Raises:
        ValueError: ``folder`` has no dual encoder, or ``destination`` is there already.
    """
    config = read_json(folder / CONFIG)
    if destination.exists():
        raise ValueError(f"{destination}: there already; name a folder that is not")
    destination.mkdir(parents=True)
    files: set[Path] = set()
    for pattern in (WEIGHTS, CARD, "config.json", *TOKENIZER_FILES):
        files.update(folder.glob(pattern))
    # the color projection stays behind: open_clip has no place for it
    for file in sorted(files):
        shutil.copyfile(file, destination / file.name)
    text = config["model_cfg"]["text_cfg"]
    if "hf_model_name" in text:
        text["hf_model_name"] = str(destination.resolve())
    write_json(destination / CONFIG, config)
