"""Models of others never run code here: not after a yes, not by a configuration, not as pickles."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from transformers import ViTConfig, ViTImageProcessor, ViTModel

from beauty_models import params
from beauty_models.backbones import text as text_backbones
from beauty_models.backbones import vision
from beauty_models.files import read_json, write_json
from beauty_models.recommend import openclip
from beauty_models.sentiment import model as sentiment_model
from beauty_models.tryon import towers

ROOT = Path(__file__).parents[1]
TEXTS = ["a red lip", "a blue dress", "soft cream"]
TRAP = """\
import pathlib
pathlib.Path({target!r}).write_text("code ran")
from transformers import BertConfig, BertForMaskedLM, BertModel, PreTrainedTokenizerFast
class Config(BertConfig):
    model_type = "trap"
class Model(BertModel):
    config_class = Config
class Masked(BertForMaskedLM):
    config_class = Config
class Tokenizer(PreTrainedTokenizerFast):
    pass
class Processor:
    pass
"""


def edit(file: Path, **values: object) -> None:
    """Change top-level keys of a JSON file; None takes a key away."""
    content = {**read_json(file), **values} if file.exists() else values
    write_json(file, {key: value for key, value in content.items() if value is not None})


def text_folder(folder: Path) -> Path:
    """Save a tiny BERT with its tokenizer."""
    made = text_backbones.scratch(
        TEXTS, layers=1, hidden=16, heads=2, vocabulary=100, max_tokens=16
    )
    made.model.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return folder


def image_folder(folder: Path) -> Path:
    """Save a tiny ViT with its image processor."""
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=8,
    )
    ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def clip_folder(folder: Path) -> Path:
    """Save a tiny dual encoder in open_clip's layout."""
    folder.mkdir()
    text = text_backbones.scratch(
        TEXTS, layers=1, hidden=16, heads=2, vocabulary=100, max_tokens=16
    )
    dual = openclip.from_towers("timm:test_convnext", text, size=32, dimension=8, max_tokens=16)
    openclip.save(dual, folder)
    return folder


def tryon_folder(folder: Path) -> Path:
    """Save what tryon's stages hand on, a text network only."""
    text_folder(folder / "text")
    write_json(folder / "text.json", {})
    return folder


def spring_config(folder: Path) -> None:
    """Let config.json name an architecture that only the folder's own code knows."""
    classes = {"AutoConfig": "Config", "AutoModel": "Model", "AutoModelForMaskedLM": "Masked"}
    edit(
        folder / "config.json",
        model_type="trap",
        auto_map={auto: f"trap.{name}" for auto, name in classes.items()},
    )


def spring_tokenizer(folder: Path) -> None:
    """Let tokenizer_config.json name a tokenizer that only the folder's own code knows."""
    edit(
        folder / "tokenizer_config.json",
        tokenizer_class="Tokenizer",
        auto_map={"AutoTokenizer": [None, "trap.Tokenizer"]},
    )


def spring_processor(folder: Path) -> None:
    """Let preprocessor_config.json name a processor that only the folder's own code knows."""
    edit(
        folder / "preprocessor_config.json",
        image_processor_type="Processor",
        auto_map={"AutoImageProcessor": "trap.Processor"},
    )


def spring_open_clip(folder: Path) -> None:
    """Let open_clip's own configuration say yes in the user's place."""
    spring_tokenizer(folder)
    config = read_json(folder / openclip.CONFIG)
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"trust_remote_code": True}
    write_json(folder / openclip.CONFIG, config)


Spring = Callable[[Path], None]
LOADS: dict[str, tuple[Callable[[Path], Path], Spring, Callable[[Path], object]]] = {
    "text network": (text_folder, spring_config, lambda f: text_backbones.load(str(f))),
    "text tokenizer": (text_folder, spring_tokenizer, lambda f: text_backbones.load(str(f))),
    "image network": (image_folder, spring_config, lambda f: vision.load(str(f))),
    "image processor": (image_folder, spring_processor, lambda f: vision.load(str(f))),
    "open_clip network": (
        clip_folder,
        spring_config,
        lambda folder: openclip.load_pretrained(f"local-dir:{folder}"),
    ),
    "open_clip tokenizer": (
        clip_folder,
        spring_tokenizer,
        lambda f: openclip.load_pretrained(f"local-dir:{f}"),
    ),
    "open_clip kwargs": (
        clip_folder,
        spring_open_clip,
        lambda f: openclip.load_pretrained(f"local-dir:{f}"),
    ),
    "recommend's own folder": (clip_folder, spring_config, openclip.load),
    "tryon's own folder": (
        tryon_folder,
        lambda f: spring_config(f / "text"),
        towers.load_networks,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LOADS)
def test_no_code_of_a_folder_runs_though_yes_is_said(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, spring, load = LOADS[case]
    folder, target = make(tmp_path / "model"), tmp_path / "ran"
    load(folder)  # harmless, it loads
    spring(folder)
    for place in {folder, *(f.parent for f in folder.rglob("*.json"))}:
        (place / "trap.py").write_text(TRAP.format(target=str(target)))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 20))
    try:
        load(folder)
    except ValueError as error:
        assert "that is never done here" in str(error)
        assert "trust_remote_code=True" not in str(error)
        refused = True
    else:  # the library's own class took it
        refused = False
    assert refused or "tokenizer" in case or "kwargs" in case or "processor" in case
    assert not target.exists()
    assert sys.stdin.read() == "y\n" * 20, "nobody was asked"


def test_a_trained_classifier_that_was_tampered_with_runs_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = text_backbones.scratch(
        TEXTS, layers=1, hidden=16, heads=2, vocabulary=100, max_tokens=16
    )
    classifier = sentiment_model.Classifier(
        made.model.base_model, made.tokenizer, ["bad", "good"], [], 16, made.card()
    )
    sentiment_model.save(classifier, tmp_path / "model", [])
    sentiment_model.load(tmp_path / "model")
    spring_config(tmp_path / "model")
    (tmp_path / "model/trap.py").write_text(TRAP.format(target=str(tmp_path / "ran")))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 20))
    with pytest.raises(ValueError, match="that is never done here"):
        sentiment_model.load(tmp_path / "model")
    assert not (tmp_path / "ran").exists()


def test_the_trap_is_a_real_one(tmp_path: Path) -> None:
    folder = text_folder(tmp_path / "model")
    spring_config(folder)
    (folder / "trap.py").write_text(TRAP.format(target=str(tmp_path / "ran")))
    code = (
        "import sys; from transformers import AutoConfig; AutoConfig.from_pretrained(sys.argv[1])"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        input="y\n" * 20,
        text=True,
        capture_output=True,
        timeout=300,
        env={**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules")},
    )
    assert (tmp_path / "ran").read_text() == "code ran"


def test_the_stage_ends_with_an_error_line(tmp_path: Path) -> None:
    folder = text_folder(tmp_path / "model")
    spring_config(folder)
    (folder / "trap.py").write_text(TRAP.format(target=str(tmp_path / "ran")))
    block = params.read(ROOT / "params.yaml")["sentiment"]
    block = params.merge(block, {"pretrain": {"base": str(folder)}})
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"families": {"sentiment": block}}))
    import pandas as pd

    (tmp_path / "data").mkdir()
    pd.DataFrame({"text": TEXTS}).to_parquet(tmp_path / "data/unlabelled.parquet")
    done = subprocess.run(
        [
            sys.executable, "-m", "beauty_models", "pretrain", "sentiment",
            f"--data={tmp_path / 'data'}", f"--pretrained={tmp_path / 'out'}",
            f"--params={tmp_path / 'params.yaml'}",
        ],
        input="y\n" * 20, text=True, capture_output=True, timeout=300, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: base: {folder} wants Python code")
    assert "[y/N]" not in done.stdout + done.stderr
    assert not (tmp_path / "ran").exists()


def pickle_weights(folder: Path, name: str) -> None:
    """Put the weights of ``folder`` into a pickle instead."""
    from safetensors.torch import load_file

    (source,) = folder.glob("*.safetensors")
    torch.save(load_file(source), folder / name)
    source.unlink()


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("text network", "pytorch_model.bin"),
        ("image network", "pytorch_model.bin"),
        ("open_clip network", "open_clip_pytorch_model.bin"),
        ("open_clip network", "open_clip_model.pt"),
        ("recommend's own folder", "open_clip_pytorch_model.bin"),
    ],
)
def test_pickled_weights_are_refused_with_the_remedy(case: str, name: str, tmp_path: Path) -> None:
    make, _, load = LOADS[case]
    folder = make(tmp_path / "model")
    if case == "recommend's own folder":
        assert json.loads((folder / "backbone.json").read_text())
    pickle_weights(folder, name)
    with pytest.raises(
        ValueError, match=f"{name}, a pickle.*save it again as safetensors"
    ) as error:
        load(folder)
    assert "Traceback" not in str(error.value)


def test_a_pickle_beside_safetensors_is_not_preferred(tmp_path: Path) -> None:
    folder = clip_folder(tmp_path / "model")
    (folder / openclip.WEIGHTS).rename(folder / "model.safetensors")
    torch.save({}, folder / "open_clip_pytorch_model.bin")  # open_clip would take this one
    with pytest.raises(ValueError, match=r"open_clip_pytorch_model\.bin, a pickle"):
        openclip.load_pretrained(f"local-dir:{folder}")


def test_open_clip_without_weights_is_refused_and_not_begun_at_random(tmp_path: Path) -> None:
    folder = clip_folder(tmp_path / "model")
    (folder / openclip.WEIGHTS).unlink()
    with pytest.raises(ValueError, match=f"has no {openclip.WEIGHTS}"):
        openclip.load_pretrained(f"local-dir:{folder}")


@pytest.mark.parametrize("case", ["text network", "image network", "open_clip network"])
def test_damaged_safetensors_are_an_error_in_words(case: str, tmp_path: Path) -> None:
    make, _, load = LOADS[case]
    folder = make(tmp_path / "model")
    (file,) = folder.glob("*.safetensors")
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(ValueError, match="could not be loaded: "):
        load(folder)
