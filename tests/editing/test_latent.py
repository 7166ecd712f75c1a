"""Adapters on a Stable Diffusion inpainting network: a tiny one with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from beauty_models.editing import DiffusionFinetune, latent, model
from beauty_models.editing.holes import boxes
from beauty_models.editing.inpainter import hole_maps, normalized

SIDE = 32
SECTION = DiffusionFinetune(
    seed=1,
    base="replaced",
    lora=4,
    prompt="a photo",
    epochs=1,
    steps=1,
    patience=1,
    batch=2,
    learning_rate=1e-3,
    warmup=0.0,
    weight_decay=0.0,
    ema=0.9,
    precision="float32",
    sampler="dpm-solver++",
    sampling_steps=2,
)


def save_base(folder: Path, channels: int = 9) -> Path:
    """Write a pipeline of the true classes, of which every part is as small as it can be."""
    torch.manual_seed(1)
    words = ["<|startoftext|>", "<|endoftext|>", "a</w>", "p", "h", "o", "t", "o</w>"]
    texts = folder / "texts"
    texts.mkdir(parents=True)
    (texts / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (texts / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(texts / "vocab.json"), str(texts / "merges.txt"))
    tokenizer.model_max_length = 8
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=8,
        bos_token_id=0,
        eos_token_id=1,
    )
    networks: Any = diffusers
    unet = networks.UNet2DConditionModel(
        sample_size=SIDE // 2,
        in_channels=channels,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=16,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    vae = networks.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        latent_channels=4,
    )
    pipeline = networks.StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(config),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=networks.DDIMScheduler(
            beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder / "base", safe_serialization=True)
    return folder / "base"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("base"))


def test_adapters_learn_and_become_a_part_of_a_pipeline_that_opens(
    base: Path, tmp_path: Path
) -> None:
    section = SECTION.model_copy(update={"base": str(base)})
    tuned = latent.load_base(section, SIDE)
    learned = [name for name, value in tuned.unet.named_parameters() if value.requires_grad]
    assert learned and all("lora" in name for name in learned)
    random = np.random.default_rng(2)
    photos = random.integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    holes = boxes(random, 2, SIDE)
    untrained = tuned.fill(photos, holes)
    optimizer = torch.optim.Adam((p for p in tuned.unet.parameters() if p.requires_grad), 0.05)
    losses = []
    for _ in range(12):
        torch.manual_seed(3)  # the same noise: else its own differences would drown what is learned
        loss = tuned.loss(normalized(photos), hole_maps(holes))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]
    filled = tuned.fill(photos, holes)
    assert (filled[~holes] == photos[~holes]).all()
    assert (filled != untrained).any()

    latent.save(tuned, str(base), tmp_path / "diffusion")
    opened = model.load_diffuser(tmp_path / "diffusion", "float32")
    assert isinstance(opened, latent.LatentDiffusion)
    # Fused weights round differently.
    again = opened.fill(photos, holes).astype(int)
    assert np.abs(again - filled).max() <= 2
    pipelines: Any = diffusers.StableDiffusionInpaintPipeline
    pipeline = pipelines.from_pretrained(tmp_path / "diffusion", safety_checker=None)
    assert not any("lora" in name for name, _ in pipeline.unet.named_parameters())
    assert (tmp_path / "diffusion/lora/pytorch_lora_weights.safetensors").exists()
    assert not [file for file in tmp_path.rglob("*") if file.suffix in (".bin", ".pt", ".ckpt")]
    card = json.loads((tmp_path / "diffusion/backbone.json").read_text())
    assert card == {"base": str(base), "license": "not stated", "commercial_use": None}


def test_a_base_that_cannot_inpaint_is_refused(tmp_path: Path) -> None:
    section = SECTION.model_copy(update={"base": str(save_base(tmp_path, channels=4))})
    with pytest.raises(ValueError, match="sees 4 channels and not 9: it is no inpainting network"):
        latent.load_base(section, SIDE)


def test_a_base_that_is_not_there_is_told(tmp_path: Path) -> None:
    section = SECTION.model_copy(update={"base": str(tmp_path / "nowhere")})
    with pytest.raises(ValueError, match="nowhere could not be loaded"):
        latent.load_base(section, SIDE)


def test_the_photos_size_must_fit_the_base(base: Path) -> None:
    section = SECTION.model_copy(update={"base": str(base)})
    with pytest.raises(ValueError, match="33 is no multiple of 2"):
        latent.load_base(section, 33)
