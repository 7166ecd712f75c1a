"""Toy settings of the families, and a toy model of tryon, for several test modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from beauty_models import params
from beauty_models.tryon import Params as TryonParams
from beauty_models.tryon.data import ingest
from beauty_models.tryon.finetune import finetune
from beauty_models.tryon.pretrain import pretrain

ROOT = Path(__file__).parents[1]


def blocks() -> dict[str, Any]:
    """Return the block of each family: params.yaml with profiles/toy.yaml over it."""
    return params.merge(params.read(ROOT / "params.yaml"), params.read(ROOT / "profiles/toy.yaml"))


def tryon_params(**changes: Any) -> TryonParams:
    """Return the toy settings of tryon with ``changes``, a block for each stage that has some."""
    checked: TryonParams = params.check("tryon", params.merge(blocks()["tryon"], changes))
    return checked


def train_tryon(folder: Path, settings: TryonParams, raw: Path) -> Path:
    """Take ``raw`` to a model; what the stages write lies in ``folder``. Return the model."""
    data = folder / "data"
    pretrained = folder / "pretrained"
    model = folder / "model"
    ingest(raw=raw, data=data, params=settings.ingest)
    pretrain(data=data, pretrained=pretrained, params=settings.pretrain)
    finetune(data=data, pretrained=pretrained, model=model, params=settings.finetune)
    return model
