"""A project in the current folder whose small models are really registered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml

from beauty_models import families
from beauty_models.backbones import text as text_backbones
from beauty_models.files import write_json
from beauty_models.params import Gate
from beauty_models.sentiment import model as sentiment
from tasks.registry import register

TEXTS = ["lovely cream, smells nice", "too dry for my skin", "包装破了, 不推荐", "green hoodie"]
SHAPE = {"layers": 1, "hidden": 32, "heads": 2, "vocabulary": 100}
GOOD = {"macro_f1": 0.8, "majority/macro_f1": 0.4, "majority/macro_f1.margin_low": 0.3}


def sha256(content: bytes) -> str:
    """Return the SHA-256 of ``content`` in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


@contextmanager
def checkout(folder: Path) -> Iterator[None]:
    """Make ``folder`` the current one while the block runs, with the registry that lies there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


def project() -> None:
    """Write params.yaml, dvc.lock and DVC's settings."""
    gate = Gate(
        metric="macro_f1", larger_is_better=True, baselines=["majority"], floor=0.7, tolerance=0.01
    ).model_dump()
    names = families.names()
    blocks = {family: {"source": "starter", "gate": gate} for family in names}
    stages = {stage: [] for family in names for stage in families.optional_stages(family)}
    Path("params.yaml").write_text(yaml.safe_dump({"stages": stages, "families": blocks}))
    outs = [{"path": f"build/{family}/model", "md5": f"{family}.dir"} for family in names]
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"finetune": {"outs": outs}}}))
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n")


def register_model(family: str, make: Callable[[Path], None]) -> None:
    """Let ``make`` write a model into the family's model folder.

    Register it with figures that pass.
    """
    build = Path("build") / family
    for name in ("data", "report"):
        (build / name).mkdir(parents=True)
    (build / "data/test.parquet").write_text("frozen")
    torch.manual_seed(1)
    make(build / "model")
    write_json(Path("metrics") / family / "evaluate.json", GOOD)
    assert register.register(family)


def small_sentiment(model: Path) -> None:
    """Save a small classifier that was never trained to the folder ``model``."""
    backbone = text_backbones.scratch(TEXTS, **SHAPE, max_tokens=32)
    classifier = sentiment.Classifier(
        backbone.model.base_model,
        backbone.tokenizer,
        ["negative", "positive"],
        ["price"],
        32,
        {"backbone": "scratch", "license": "Apache-2.0"},
    )
    sentiment.save(classifier, model, [])
