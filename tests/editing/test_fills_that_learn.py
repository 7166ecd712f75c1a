"""The networks that fill holes: what they must not touch or look at, and how they are saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from beauty_models import params
from beauty_models.editing import diffusion, inpainter, model
from beauty_models.editing.fills import FILLS
from beauty_models.editing.holes import KINDS, boxes
from beauty_models.training.finite import NotFiniteError

SIDE = 32
SHAPE = inpainter.Shape(SIDE, 8, 2, 1)


@pytest.fixture(scope="module")
def photos() -> Any:
    random = np.random.default_rng(1)
    coarse = random.integers(0, 256, (3, 4, 4, 3), np.uint8)
    return coarse.repeat(SIDE // 4, 1).repeat(SIDE // 4, 2)


@pytest.fixture(scope="module")
def holes() -> Any:
    return boxes(np.random.default_rng(2), 3, SIDE)


def trained_network() -> inpainter.InpaintingNetwork:
    """Return a network that changes what it starts from, as a trained one does."""
    torch.manual_seed(3)
    network = inpainter.InpaintingNetwork(SHAPE)
    torch.nn.init.normal_(network.last.weight, std=0.1)
    return network


def diffuser(prediction: str = "v_prediction", sampler: str = "ddim") -> diffusion.Diffusion:
    torch.manual_seed(4)
    unet = diffusion.with_condition(diffusion.build_unet(SIDE, [8, 16], 1))
    scheduler = diffusion.build_scheduler(prediction, prediction == "v_prediction")
    return diffusion.Diffusion(unet, scheduler, sampler, 2, "float32")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("network", ["inpainter", "ddim", "dpm-solver++"])
def test_outside_of_a_hole_every_byte_stays_and_inside_nothing_is_looked_at(
    photos: Any, holes: Any, network: str, precision: str
) -> None:
    filler: Any = inpainter.Inpainter(trained_network())
    if network != "inpainter":
        filler = diffuser(sampler=network)
    filler.autocast = precision
    filled = filler.fill(photos, holes)
    assert (filled[~holes] == photos[~holes]).all()
    assert (filled[holes] != photos[holes]).any()
    scribbled = photos.copy()
    scribbled[holes] = 255 - scribbled[holes]
    assert (filler.fill(scribbled, holes) == filled).all()


def test_a_photo_is_filled_alone_as_it_is_among_others(photos: Any, holes: Any) -> None:
    for filler in (inpainter.Inpainter(trained_network(), "float32"), diffuser()):
        among = filler.fill(photos, holes)[1].astype(int)
        alone = filler.fill(photos[1:2], holes[1:2])[0].astype(int)
        # Sums in another order may round to the next level.
        assert np.abs(among - alone).max() <= 1


def test_an_untrained_inpainter_is_the_smooth_fill_it_starts_from(photos: Any, holes: Any) -> None:
    filled = inpainter.Inpainter(inpainter.InpaintingNetwork(SHAPE), "float32").fill(photos, holes)
    pictures = inpainter.pull_push(inpainter.normalized(photos), inpainter.hole_maps(holes))
    assert (filled == np.where(holes[..., None], inpainter.as_bytes(pictures), photos)).all()


@pytest.mark.parametrize("side", [32, 37])
def test_the_smooth_fill_continues_a_plain_photo_without_an_error(side: int) -> None:
    plain = torch.full((1, 3, side, side), 0.25)
    hole = torch.zeros(1, 1, side, side)
    hole[..., 5:30, 3:28] = 1
    assert torch.allclose(inpainter.pull_push(plain, hole), plain, atol=1e-5)
    nothing_known = inpainter.pull_push(plain, torch.ones_like(hole))
    assert torch.equal(nothing_known, torch.zeros_like(plain))


def test_the_photos_size_must_fit_the_network() -> None:
    with pytest.raises(ValueError, match=r"36 pixels cannot be halved 3 times; set pretrain.size"):
        inpainter.InpaintingNetwork(inpainter.Shape(36, 8, 2, 1))
    with pytest.raises(ValueError, match="multiples of 8"):
        diffusion.build_unet(SIDE, [12, 16], 1)


def test_min_snr_weights_are_those_of_the_paper() -> None:
    steps = torch.tensor([10, 300, 999])
    for prediction in ("epsilon", "v_prediction"):
        scheduler = diffusion.build_scheduler(prediction, prediction == "v_prediction")
        kept = scheduler.alphas_cumprod[steps].double()
        snr = kept / (1 - kept)
        wanted = snr.clamp(max=5) / (snr if prediction == "epsilon" else snr + 1)
        found = diffusion.min_snr_weights(scheduler, steps, 5.0)
        assert torch.allclose(found.double(), wanted, rtol=1e-4)
    # The last step holds nothing of the photo, and velocity alone can be learned there.
    assert scheduler.alphas_cumprod[-1] == 0
    assert (diffusion.min_snr_weights(scheduler, steps, 0) == 1).all()


def test_terminal_noise_is_refused_where_noise_is_predicted() -> None:
    block = params.read(Path("params.yaml"))["editing"]
    section = {"pretrain": {"diffusion": {"prediction": "epsilon"}}}
    with pytest.raises(ValueError, match="zero_terminal_snr needs prediction: v_prediction"):
        params.check("editing", params.merge(block, section))


def test_a_condition_changes_nothing_at_first() -> None:
    torch.manual_seed(5)
    unet = diffusion.build_unet(SIDE, [8, 16], 1).eval()
    wider = diffusion.with_condition(unet).eval()
    noisy = torch.randn(2, 3, SIDE, SIDE)
    shown = torch.randn(2, 4, SIDE, SIDE)
    with torch.no_grad():
        alone = unet(noisy, 500).sample
        with_condition = wider(torch.cat([noisy, shown], 1), 500).sample
    assert torch.allclose(alone, with_condition, atol=1e-5)


def test_the_unconditional_folder_draws_with_diffusers_own_pipeline(tmp_path: Path) -> None:
    unet = diffusion.build_unet(SIDE, [8, 16], 1)
    scheduler = diffusion.build_scheduler("v_prediction", zero_terminal_snr=True)
    diffusion.save_pipeline(unet, scheduler, tmp_path / "generator")
    opened: Any = diffusers.DDIMPipeline
    pipeline = opened.from_pretrained(tmp_path / "generator")
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline(batch_size=1, num_inference_steps=2, output_type="np").images
    assert drawn.shape == (1, SIDE, SIDE, 3)
    weights = [file.suffix for file in tmp_path.rglob("*") if file.stat().st_size > 10_000]
    assert weights == [".safetensors"]
    ours, _ = diffusion.load_pipeline(tmp_path / "generator")
    for name, value in pipeline.unet.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name


def test_what_was_saved_fills_alike(photos: Any, holes: Any, tmp_path: Path) -> None:
    before = model.Editor(
        inpainter.Inpainter(trained_network(), "float32"),
        diffuser(),
        dict(zip(KINDS, ["inpainter", "diffusion", "telea"], strict=True)),
        {"inpainter": dict.fromkeys(KINDS, 1.0)},
    )
    inpainter.save(before.network.network, tmp_path)
    diffusion.save(diffuser(), tmp_path / "diffusion")
    model.save_choice(tmp_path, before.served, before.validation)
    after = model.load(tmp_path, "float32")
    assert after.served == before.served and after.validation == before.validation
    for kind in KINDS:
        assert (after.fill(photos, holes, kind) == before.fill(photos, holes, kind)).all()
    telea = FILLS["telea"](photos[0], holes[0])
    assert (after.fill(photos, holes, KINDS[2])[0] == telea).all()
    # The conditioned network opens in diffusers, too.
    opened: Any = diffusers.DDIMPipeline
    assert opened.from_pretrained(tmp_path / "diffusion").unet.config.in_channels == 7


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "inpainter.json").unlink(), "no such file"),
        (lambda folder: (folder / "inpainter.safetensors").write_bytes(b"x"), "no saved inpainter"),
        (lambda folder: (folder / "served.json").write_text('{"served": {"box": "x"}}'), "retrain"),
    ],
)
def test_a_damaged_folder_is_told(tmp_path: Path, damage: Any, message: str) -> None:
    inpainter.save(trained_network(), tmp_path)
    model.save_choice(tmp_path, dict.fromkeys(KINDS, "inpainter"), {})
    model.load(tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=message):
        model.load(tmp_path)


def test_weights_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    inpainter.save(trained_network(), tmp_path)
    weights = load_file(tmp_path / inpainter.WEIGHTS)
    weights["last.bias"] = torch.full_like(weights["last.bias"], torch.nan)
    save_file(weights, tmp_path / inpainter.WEIGHTS)
    with pytest.raises(NotFiniteError, match=r"last\.bias"):
        inpainter.load(tmp_path)


def test_diffusion_that_serves_must_be_there(tmp_path: Path) -> None:
    inpainter.save(trained_network(), tmp_path)
    model.save_choice(tmp_path, dict.fromkeys(KINDS, "diffusion"), {})
    with pytest.raises(ValueError, match="says that it serves"):
        model.load(tmp_path)
    assert json.loads((tmp_path / "served.json").read_text())["served"]["box"] == "diffusion"
