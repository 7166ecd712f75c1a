"""The transfer generator: where it changes pixels, what a look holds, how it is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from crude_faces import face
from diffusers import AutoencoderTiny

from beauty_models.files import read_json, write_json
from beauty_models.makeup import lab, model, regions
from beauty_models.makeup.dataset import normalized
from beauty_models.makeup.model import Config, Transfer, TransferGenerator
from beauty_models.makeup.regions import Region
from beauty_models.training.finite import NotFiniteError

SIDE = 32
CORRESPONDENCES = ["regions", "attention"]


def faces(count: int, *, made_up: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures and label maps of ``count`` faces."""
    random = np.random.default_rng(int(made_up))
    drawn = [face(random, SIDE, made_up=made_up) for _ in range(count)]
    images = np.stack([one.image for one in drawn])
    label_maps = np.stack([one.regions for one in drawn])
    return torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(label_maps)


def generator(correspondence: str = "regions") -> TransferGenerator:
    """One whose weights are all random: an untrained one's last layer draws nothing."""
    torch.manual_seed(0)
    autoencoder = model.build_autoencoder(8, 4, 1, 2)
    made = TransferGenerator(Config(SIDE, 8, correspondence), autoencoder)
    torch.nn.init.normal_(made.change.weight, std=0.3)
    torch.nn.init.constant_(made.share.bias, 0.5)
    return made


def full(strength: float) -> model.Match:
    """The same match of all parts."""
    return dict.fromkeys(model.PARTS, strength)


BARE, BARE_REGIONS = faces(3, made_up=False)
LOOKS, LOOK_REGIONS = faces(3, made_up=True)


def test_lab_and_back() -> None:
    pictures = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert (lab.to_pictures(lab.from_pictures(pictures)) - pictures).abs().max() < 1e-4
    white, red = lab.from_pictures(torch.tensor([[1.0, 1, 1], [1, -1, -1]])).tolist()
    assert white == pytest.approx([100, 0, 0], abs=0.02)
    assert red == pytest.approx([53.24, 80.09, 67.20], abs=0.05)  # by the CIE's formulas


def test_left_and_right_change_sides_in_a_mirror() -> None:
    label_map = torch.tensor([[[Region.LEFT_EYE, Region.LIPS, Region.RIGHT_SHADOW]]])
    mirrored = regions.mirrored(label_map.to(torch.uint8))
    assert mirrored.tolist() == [[[Region.LEFT_SHADOW, Region.LIPS, Region.RIGHT_EYE]]]
    assert torch.equal(regions.mirrored(mirrored), label_map)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("correspondence", CORRESPONDENCES)
@pytest.mark.parametrize("strength", [0.0, 0.5, 0.99])
def test_nothing_changes_outside_of_the_parts(
    correspondence: str, strength: float, precision: str
) -> None:
    transfer = Transfer(generator(correspondence), full(strength), precision)
    change = transfer.delta(BARE, BARE_REGIONS, LOOKS, LOOK_REGIONS)
    assert change.shape == (3, 3, SIDE, SIDE) and change.dtype == torch.float32
    inside = regions.masks(BARE_REGIONS).any(1, keepdim=True).expand_as(change)
    assert (change[~inside] == 0).all()
    assert change[inside].abs().mean() > 0.01


@pytest.mark.parametrize("correspondence", CORRESPONDENCES)
def test_a_part_that_one_face_lacks_is_left_alone(correspondence: str) -> None:
    transfer = Transfer(generator(correspondence), full(0.5), "float32")
    no_lips = LOOK_REGIONS.clone()
    no_lips[no_lips == Region.LIPS] = Region.BACKGROUND
    change = transfer.delta(BARE, BARE_REGIONS, LOOKS, no_lips)
    lips = regions.mask(BARE_REGIONS, "lips")[:, None].expand_as(change)
    skin = regions.mask(BARE_REGIONS, "skin")[:, None].expand_as(change)
    assert (change[lips] == 0).all() and (change[skin] != 0).any()
    without = BARE_REGIONS.clone()
    without[:] = Region.HAIR
    assert (transfer.delta(BARE, without, LOOKS, LOOK_REGIONS) == 0).all()


@pytest.mark.parametrize("correspondence", CORRESPONDENCES)
def test_a_look_is_computed_once_and_put_on_many_faces(correspondence: str) -> None:
    transfer = Transfer(generator(correspondence), full(0.5), "float32")
    look = transfer.look(LOOKS[:1], LOOK_REGIONS[:1])
    frames = transfer.put_on(BARE, BARE_REGIONS, look)
    for number in range(3):
        row = slice(number, number + 1)
        alone = transfer.delta(BARE[row], BARE_REGIONS[row], LOOKS[:1], LOOK_REGIONS[:1])
        assert (frames[row] - alone).abs().max() < 1e-3  # an eighth of a level
    other = transfer.put_on(BARE, BARE_REGIONS, transfer.look(LOOKS[1:2], LOOK_REGIONS[1:2]))
    assert (frames - other).abs().max() > 0.05


def test_a_change_is_carried_on_beyond_its_part() -> None:
    label_map = torch.full((1, 9, 9), int(Region.HAIR), dtype=torch.uint8)
    label_map[:, 3:6, 3:6] = Region.LIPS
    change = (
        regions.mask(label_map, "lips")[:, None].float()
        * torch.tensor([0.5, -0.2, 0.1])[None, :, None, None]
    )
    carried = model.continued(change, label_map, pixels=2)
    assert torch.equal(carried[..., 3:6, 3:6], change[..., 3:6, 3:6])
    assert (carried[0, 0, 1:8, 1:8] - 0.5).abs().max() < 1e-6, "two pixels on, at full strength"
    assert (carried[..., 0, :] == 0).all()


def test_served_colors_are_those_of_the_reference() -> None:
    """By the quantiles in the look, whatever the network draws; closer than the means alone."""
    random_network = generator()
    masks = regions.masks(BARE_REGIONS)
    apart = {}
    for matched in (True, False):
        transfer = Transfer(random_network, full(0.99 if matched else 0.0), "float32")
        look = transfer.look(LOOKS, LOOK_REGIONS)
        made_up = normalized(BARE) + transfer.put_on(BARE, BARE_REGIONS, look)
        quantiles = model.part_colors(made_up, masks).quantiles
        apart[matched] = (quantiles - look.colors.quantiles).abs().mean().item()
    assert apart[True] < 1 and apart[True] < 0.5 * apart[False]


def test_matching_keeps_the_order_of_pixels() -> None:
    masks = regions.masks(BARE_REGIONS)
    wanted = model.part_colors(normalized(LOOKS), regions.masks(LOOK_REGIONS))
    matched = model.match_colors(normalized(BARE), masks, wanted)
    skin = masks[0, model.PARTS.index("skin")]
    before = lab.from_pictures(normalized(BARE))[0, 0][skin]
    after = lab.from_pictures(matched)[0, 0][skin]
    assert torch.corrcoef(torch.stack([before, after]))[0, 1] > 0.9
    assert torch.equal(matched[0][:, ~masks[0].any(0)], normalized(BARE)[0][:, ~masks[0].any(0)])


def test_attention_finds_places_of_the_same_part_only() -> None:
    """What lies in the reference's hair and eyes has no say."""
    made = generator("attention")
    with torch.no_grad():
        look = made.look(normalized(LOOKS), LOOK_REGIONS)
        assert look.places is not None and made.attention is not None
        maps = model.encode(made.autoencoder, normalized(BARE))
        masks = regions.masks(BARE_REGIONS).float()
        found = made.attention(maps[-2], masks, look.places)
        outside = look.places.parts.sum(1) == 0
        values = look.places.values.clone()
        values[outside] += 100
        again = made.attention(maps[-2], masks, look.places._replace(values=values))
    assert outside.any()
    assert (found - again).abs().max() < 1e-3
    nowhere = (model.shrink(masks, found.shape[-1]).sum(1, keepdim=True) == 0).expand_as(found)
    assert (found[nowhere] == 0).all() and (found[~nowhere] != 0).any()


@pytest.mark.parametrize("correspondence", CORRESPONDENCES)
def test_saved_and_loaded(correspondence: str, tmp_path: Path) -> None:
    match = {"lips": 0.25, "skin": 0.0, "eyes": 0.99}
    before = Transfer(generator(correspondence), match, "float32")
    model.save(before.generator, match, tmp_path)
    after = model.load(tmp_path, "float32")
    assert after.match == match
    assert after.size == SIDE
    arguments = (BARE, BARE_REGIONS, LOOKS, LOOK_REGIONS)
    assert torch.equal(before.delta(*arguments), after.delta(*arguments))
    # Diffusers opens it without this project.
    opened = AutoencoderTiny.from_pretrained(tmp_path / "autoencoder")
    assert torch.equal(
        opened.encode(normalized(BARE)).latents,
        before.generator.autoencoder.encode(normalized(BARE)).latents,
    )


def test_a_folder_that_holds_no_numbers_is_refused(tmp_path: Path) -> None:
    made = generator()
    torch.nn.init.constant_(made.refine.bias, torch.nan)
    model.save(made, model.NO_MATCH, tmp_path)
    with pytest.raises(NotFiniteError, match=r"the weights refine\.bias are not finite"):
        model.load(tmp_path)


@pytest.mark.parametrize("match", [None, {"lips": 0.5}, full(1.5), full(0.5) | {"eyes": "much"}])
def test_a_folder_that_does_not_say_how_far_colors_are_matched_is_refused(
    match: Any, tmp_path: Path
) -> None:
    model.save(generator(), model.NO_MATCH, tmp_path)
    saved = read_json(tmp_path / "transfer.json")
    if match is None:
        del saved["match"]
    else:
        saved["match"] = match
    write_json(tmp_path / "transfer.json", saved)
    with pytest.raises(ValueError, match="match"):
        model.load(tmp_path)


@pytest.mark.parametrize("correspondence", CORRESPONDENCES)
def test_an_untrained_network_changes_nothing(correspondence: str) -> None:
    """So whatever it does on a face it has learned, or the match has done."""
    torch.manual_seed(0)
    autoencoder = model.build_autoencoder(8, 4, 1, 2)
    untrained = TransferGenerator(Config(SIDE, 8, correspondence), autoencoder)
    transfer = Transfer(untrained, model.NO_MATCH, "float32")
    change = transfer.delta(BARE, BARE_REGIONS, LOOKS, LOOK_REGIONS)
    assert change.abs().max() < 1e-3


def test_each_part_is_matched_as_far_as_it_is_said() -> None:
    made = generator()
    changes = {}
    for name, match in {"none": full(0), "all": full(1), "lips": full(0) | {"lips": 1.0}}.items():
        transfer = Transfer(made, match, "float32")
        changes[name] = transfer.delta(BARE, BARE_REGIONS, LOOKS, LOOK_REGIONS)
    lips = regions.mask(BARE_REGIONS, "lips")[:, None].expand_as(changes["none"])
    assert (changes["none"][lips] != changes["all"][lips]).any()
    assert torch.equal(changes["lips"][lips], changes["all"][lips])
    assert torch.equal(changes["lips"][~lips], changes["none"][~lips])


def test_the_discriminator_sees_made_up_parts_only() -> None:
    torch.manual_seed(0)
    discriminator = model.PatchDiscriminator(4).eval()
    pictures = normalized(LOOKS)
    masks = regions.masks(LOOK_REGIONS).any(1, keepdim=True)
    elsewhere = torch.where(masks, pictures, -pictures)
    scores = discriminator(pictures, LOOK_REGIONS)
    assert torch.equal(scores, discriminator(elsewhere, LOOK_REGIONS))
    assert not torch.equal(scores, discriminator(-pictures, LOOK_REGIONS))
