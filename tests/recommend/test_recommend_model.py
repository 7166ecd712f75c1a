"""recommend's losses, closed-form start, caches and the saved folder.

Numbers that arithmetic or open_clip itself can check.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from beauty_models import params
from beauty_models.files import read_json
from beauty_models.intake import shards
from beauty_models.intake.images import content_key, encode
from beauty_models.intake.synthetic import COLORS, product
from beauty_models.recommend import openclip
from beauty_models.recommend.cca import best_penalty, collect_statistics, fit_cca
from beauty_models.recommend.contrastive import (
    clip_loss,
    false_negative_mask,
    grad_cache_backward,
    nt_xent,
    siglip_loss,
)
from beauty_models.recommend.model import (
    Recommender,
    build_encoder,
    build_gallery,
    load,
    save,
    untuned,
)
from beauty_models.recommend.openclip import DualEncoder
from beauty_models.recommend.pairs import ImageTextPairs, PairParams, mean_reciprocal_rank
from beauty_models.recommend.pretrain import color_shares
from beauty_models.training import augmentation

SCRATCH = {"layers": 2, "hidden": 32, "heads": 2, "vocabulary": 200}
KINDS = ("dress", "hat", "bag", "shoes")
PAIR_PARAMS = {
    "seed": 3,
    "caption_weights": {"name": 1.0, "category": 0.5},
    "random_resized_crop": (0.6, 1.0),
    "color_jitter": 0.1,
    "precision": "float32",
}
INDEX = params.load("recommend", Path(__file__).parents[2] / "params.yaml").finetune.index
SCALE = torch.tensor(10.0)


def unit(*shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape), dim=-1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, shards.Pictures]:
    """Sixteen drawn products, each in two colours."""
    folder, rows, kept = tmp_path_factory.mktemp("shop"), [], []
    for number in range(16):
        for colour in list(COLORS)[number % 4 : number % 4 + 2]:
            kind = KINDS[number // 4]
            jpeg = encode(product(kind, colour, "plain", size=32, seed=number))
            kept.append((content_key(jpeg), jpeg))
            told = [
                {"kind": "name", "language": "en", "text": f"{colour} {kind}"},
                {"kind": "category", "language": "en", "text": kind},
            ]
            rows.append(
                {
                    "key": kept[-1][0],
                    "product": f"P{number}",
                    "skus": [f"P{number}-{colour}"],
                    "name": kind,
                    "category": kind,
                    "color": colour,
                    "material": None,
                    "price": 1.0,
                    "attributes": [("fit", "loose")],
                    "captions": told,
                    "image": kept[-1][0],
                }
            )
    shards.write(folder, "train", kept)
    return pd.DataFrame(rows), shards.Pictures(folder, "train")


@pytest.fixture
def encoder(shop: tuple[pd.DataFrame, shards.Pictures]) -> DualEncoder:
    torch.manual_seed(0)
    texts = sorted({one["text"] for captions in shop[0]["captions"] for one in captions})
    return build_encoder(
        image="timm:test_convnext",
        text="scratch",
        scratch=SCRATCH,
        size=32,
        dimension=24,
        max_tokens=16,
        vocabulary=0,
        texts=texts,
    )


def pairs(
    shop: tuple[pd.DataFrame, shards.Pictures], encoder: DualEncoder, **changes: Any
) -> ImageTextPairs:
    encoder.clip.eval()
    return ImageTextPairs(
        *shop,
        encoder,
        PairParams(**PAIR_PARAMS | {"locked": False, "views": 1, "frozen_layers": 0} | changes),
    )


def test_losses_leave_out_what_is_no_negative() -> None:
    torch.manual_seed(1)
    image, text, same = (
        unit(6, 8),
        unit(6, 8),
        false_negative_mask(torch.tensor([0, 0, 1, 2, 3, 4]), torch.tensor([5, 6, 7, 8, 8, 9])),
    )
    assert same.nonzero().tolist() == [
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
        [2, 2],
        [3, 3],
        [3, 4],
        [4, 3],
        [4, 4],
        [5, 5],
    ]
    by_hand = 0.0
    logits = SCALE * image @ text.T
    for one in range(6):
        rest = [other for other in range(6) if other == one or not same[one, other]]
        by_hand += (
            float(
                -logits[one, one] * 2
                + logits[one, rest].logsumexp(0)
                + logits[rest, one].logsumexp(0)
            )
            / 12
        )
    assert clip_loss(image, text, SCALE, same).item() == pytest.approx(by_hand, rel=1e-5)
    moved = text.clone()
    moved[1] = -image[0]  # row 1 is no negative of row 0, wherever it lies
    assert torch.autograd.functional.jacobian(lambda x: clip_loss(x, moved, SCALE, same), image)[
        0
    ].allclose(
        torch.autograd.functional.jacobian(lambda x: clip_loss(x, text, SCALE, same), image)[0],
        atol=1e-6,
    )


def test_losses_are_those_of_open_clip_when_all_are_strangers() -> None:
    from open_clip.loss import ClipLoss, SigLipLoss

    torch.manual_seed(2)
    image, text, same = unit(5, 8), unit(5, 8), torch.eye(5, dtype=torch.bool)
    assert clip_loss(image, text, SCALE, same).item() == pytest.approx(
        ClipLoss()(image, text, SCALE).item(), rel=1e-6
    )
    bias = torch.tensor(-3.0)
    assert siglip_loss(image, text, SCALE, bias, same).item() == pytest.approx(
        SigLipLoss()(image, text, SCALE, bias).item(), rel=1e-6
    )


def test_nt_xent_knows_its_partner() -> None:
    torch.manual_seed(3)
    one, strangers = torch.randn(8, 16), torch.arange(8)
    near, far = (
        nt_xent(one, one + spread * torch.randn(8, 16), 0.2, false_negative_mask(strangers))
        for spread in (0.01, 2.0)
    )
    assert near < 0.2 < far
    assert nt_xent(
        one, torch.randn(8, 16), 0.2, false_negative_mask(torch.zeros(8))
    ).item() == pytest.approx(0.0, abs=1e-6)  # nothing to mistake it for


@pytest.mark.parametrize("loss", ["clip", "siglip"])
def test_gradients_in_chunks_are_those_of_the_whole_batch(
    shop: tuple[pd.DataFrame, shards.Pictures], encoder: DualEncoder, loss: str
) -> None:
    part = pairs(shop, encoder, views=2)
    encoder.clip.train()
    for module in encoder.clip.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    items = np.random.default_rng(0).permutation(len(part.keys))
    texts = part.sample_captions(items, 5)
    same = false_negative_mask(part.products[items], torch.from_numpy(texts))

    def value(image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        scale = encoder.clip.logit_scale.exp()
        return (
            clip_loss(image, text, scale, same)
            if loss == "clip"
            else siglip_loss(image, text, scale, torch.tensor(-2.0), same)
        )

    found = []
    for size in (len(items), 5):
        chunks = [
            np.arange(start, min(start + size, len(items))) for start in range(0, len(items), size)
        ]
        encoder.clip.zero_grad()
        number = grad_cache_backward(
            lambda rows: (part.embed_images(items[rows], 5), part.embed_texts(texts[rows])),
            chunks,
            value,
            0,
        )
        found.append(
            (
                number,
                {
                    name: p.grad.clone()
                    for name, p in encoder.clip.named_parameters()
                    if p.grad is not None
                },
            )
        )
    (whole, gradients), (cut, again) = found
    assert (
        cut == pytest.approx(whole, rel=1e-5)
        and gradients.keys() == again.keys()
        and len(gradients) > 30
    )
    for name_, gradient in gradients.items():
        torch.testing.assert_close(again[name_], gradient, rtol=1e-3, atol=1e-5)


def test_dropout_repeats_itself_in_the_second_pass() -> None:
    layer, drop, rows = nn.Linear(4, 4), nn.Dropout(0.5), torch.randn(6, 4)
    seen: dict[int, list[torch.Tensor]] = {0: [], 1: []}

    def encode_(chunk: int) -> tuple[torch.Tensor]:
        seen[chunk].append(drop(layer(rows[3 * chunk : 3 * chunk + 3])))
        return (seen[chunk][-1],)

    grad_cache_backward(encode_, [0, 1], lambda x: (x**2).sum(), 11)
    assert all(
        torch.equal(first, second.detach()) for first, second in seen.values()
    ) and not torch.equal(seen[0][0] == 0, seen[1][0] == 0)


def test_frozen_parts_are_computed_once_and_give_the_same(
    shop: tuple[pd.DataFrame, shards.Pictures], encoder: DualEncoder, tmp_path: Path
) -> None:
    plain, frozen = (
        pairs(shop, encoder),
        pairs(shop, encoder, locked=True, views=3, frozen_layers=1),
    )
    frozen.cache_frozen_features(tmp_path, "train")
    assert not list(tmp_path.iterdir())  # the files are gone as soon as they are mapped
    rows, texts = np.array([5, 0, 9]), np.arange(len(plain.texts))
    with torch.no_grad():
        torch.testing.assert_close(frozen.embed_images(rows), plain.embed_images(rows))
        torch.testing.assert_close(frozen.embed_texts(texts), plain.embed_texts(texts))
        views = [frozen.image_features(rows, view=view) for view in range(3)]
        drawn = frozen.image_features(rows, step=4)
    assert not torch.allclose(views[0], views[1]) and all(
        any(torch.equal(one, view[row]) for view in views) for row, one in enumerate(drawn)
    )
    calls: list[int] = []
    encoder.clip.visual.trunk.register_forward_hook(lambda *_: calls.append(1))
    frozen.embed_images(rows, step=1)
    assert not calls
    encoder.clip.visual.trunk._forward_hooks.clear()


def test_captions_are_drawn_by_their_weights(
    shop: tuple[pd.DataFrame, shards.Pictures], encoder: DualEncoder
) -> None:
    part = pairs(shop, encoder)
    items = np.tile([3, 4], 1)
    drawn = np.stack([part.sample_captions(items, step) for step in range(3000)])
    named = np.array([" " in part.texts[text] for text in drawn[:, 0]])
    assert named.mean() == pytest.approx(1 / 1.5, abs=0.03)
    own = {one["text"] for one in shop[0]["captions"][3]}
    assert {part.texts[text] for text in drawn[:, 0]} == own and (
        part.sample_captions(items, 7) == part.sample_captions(items, 7)
    ).all()


def test_closed_form_start_finds_captions_and_keeps_dimensions_for_pictures(
    shop: tuple[pd.DataFrame, shards.Pictures], encoder: DualEncoder
) -> None:
    part = pairs(shop, encoder)
    before = part.retrieval_score()
    start = collect_statistics(part, 4, 0.0)
    assert best_penalty(part, start, [1000.0, 0.01]) == 0.01
    fit_cca(encoder, start, 0.01)
    assert part.retrieval_score() > max(0.7, before)
    with torch.no_grad():
        texts = encoder.clip.text.proj(part.text_features(np.arange(len(part.texts))))
        seen = encoder.head(part.image_features(np.arange(len(part.keys))))
    assert texts[:, 20:].abs().max() == 0 and seen[:, 20:].abs().max() > 0
    torch.testing.assert_close(seen.mean(0), torch.zeros(seen.shape[1]), atol=1e-4, rtol=0)
    assert (
        float(seen[:, :20].var(0, correction=0).sum()) == pytest.approx(1, rel=1e-3)
        and float(texts.norm(dim=1).mean()) > 0
    )


def test_mrr_ranks_everything() -> None:
    gallery_ = torch.eye(12)
    asked = torch.tensor([[0.0] * 12, [0.0] * 12])
    asked[0, :3] = torch.tensor([0.9, 0.8, 0.7])
    asked[1] = torch.arange(12, 0, -1) / 12
    assert mean_reciprocal_rank(
        asked, gallery_, torch.tensor([0, 0, 1]), torch.tensor([2, 1, 11])
    ) == pytest.approx((1 / 2 + 0) / 2)


def test_saved_recommender_is_the_same_after_loading(
    shop: tuple[pd.DataFrame, shards.Pictures], encoder: DualEncoder, tmp_path: Path
) -> None:
    reader = Recommender(encoder, 0.9)
    save(reader, tmp_path / "one", build_gallery(reader, *shop), [{"epoch": 0.0}], INDEX)
    again = load(tmp_path / "one")
    save(again, tmp_path / "two", build_gallery(again, *shop), [{"epoch": 0.0}], INDEX)
    for file in (tmp_path / "one").iterdir():
        first, second = ((tmp_path / place / file.name).read_bytes() for place in ("one", "two"))
        assert first == second or file.name == "tokenizer_config.json", (
            file.name
        )  # it notes whether it came from a folder
        assert str(tmp_path).encode() not in first
    texts = ["red dress", "hat", "一顶帽子", ""]
    np.testing.assert_array_equal(reader.embed_texts(texts), again.embed_texts(texts))
    alone = np.concatenate([reader.embed_texts([text]) for text in texts])
    np.testing.assert_allclose(alone, reader.embed_texts(texts), atol=2e-2)
    image, text = again.embed_items(*shop)
    assert np.allclose(np.linalg.norm(again.fuse(image, text), axis=1), 1, atol=1e-5)
    assert read_json(tmp_path / "one/backbone.json")["commercial_use"] is True


OPEN_CLIP = """
import json, sys, numpy, open_clip, torch
from PIL import Image
model, _, preprocess = open_clip.create_model_and_transforms("local-dir:" + sys.argv[1])
tokenizer = open_clip.get_tokenizer("local-dir:" + sys.argv[1])
model.eval()
with torch.no_grad():
    text = model.encode_text(tokenizer(["red dress", "hat"]), normalize=True)
    image = model.encode_image(preprocess(Image.open(sys.argv[2])).unsqueeze(0), normalize=True)
modules = sorted(m for m in sys.modules if m.startswith("beauty"))
print(json.dumps({"text": text.tolist(), "image": image.tolist(), "modules": modules}))
"""


def test_open_clip_alone_loads_the_exported_folder(
    shop: tuple[pd.DataFrame, shards.Pictures], encoder: DualEncoder, tmp_path: Path
) -> None:
    items, pictures = shop
    reader = Recommender(encoder, 0.9)
    save(reader, tmp_path / "model", build_gallery(reader, *shop), [], INDEX)
    openclip.export(tmp_path / "model", tmp_path / "out" / "exported")
    (tmp_path / "photo.jpg").write_bytes(pictures.jpeg(items["image"][0]))
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            OPEN_CLIP,
            str(tmp_path / "out/exported"),
            str(tmp_path / "photo.jpg"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert theirs["modules"] == []
    np.testing.assert_allclose(theirs["text"], reader.embed_texts(["red dress", "hat"]), atol=2e-2)
    np.testing.assert_allclose(
        theirs["image"], reader.embed_images(pictures, [items["image"][0]]), atol=2e-2
    )
    with pytest.raises(ValueError, match="there already"):
        openclip.export(tmp_path / "model", tmp_path / "out" / "exported")
    from transformers import AutoModel, AutoTokenizer

    assert AutoTokenizer.from_pretrained(tmp_path / "out/exported")("red dress")["input_ids"]
    assert type(AutoModel.from_config(encoder.clip.text.config)).__name__ == "BertModel"


def test_untuned_towers_keep_their_own_features(encoder: DualEncoder) -> None:
    base = untuned(encoder.card)
    assert base.encoder.dimension == max(base.clip.visual.head.proj.in_features, 32)
    pixels = torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        features = base.encoder.trunk(base.encoder.pixels(pixels))
        torch.testing.assert_close(
            base.clip.eval().encode_image(base.encoder.pixels(pixels))[:, : features.shape[1]],
            features,
        )


def test_a_palette_leaves_out_the_backdrop() -> None:
    white = torch.full((1, 3, 16, 16), 255, dtype=torch.uint8)
    red = white.clone()
    red[0, :, 4:12, 4:8] = torch.tensor([200, 10, 10])[:, None, None]
    red[0, :, 4:12, 8:12] = torch.tensor([10, 10, 200])[:, None, None]
    shares = color_shares(torch.cat([white, red]))
    assert shares[0, 63] == 1 and shares[1, 63] == 0
    assert shares[1, 3 * 16].item() == shares[1, 3].item() == pytest.approx(0.5)


def test_a_dyed_picture_keeps_its_lights_and_both_views_their_hue(
    shop: tuple[pd.DataFrame, shards.Pictures],
) -> None:
    image = shop[1].image(shop[0]["image"][0])
    dye = augmentation.random_hue_shift(1, 2, 1.0)
    one, other = (
        np.asarray(dye(image, 0).convert("HSV"), int),
        np.asarray(image.convert("HSV"), int),
    )
    assert np.array_equal(np.asarray(dye(image, 0)), np.asarray(dye(image, 0)))
    assert not np.array_equal(np.asarray(dye(image, 0)), np.asarray(dye(image, 1)))
    assert np.abs(one[..., 2] - other[..., 2]).max() <= 2 and np.array_equal(
        np.asarray(augmentation.random_hue_shift(1, 2, 0.0)(image, 0)), np.asarray(image)
    )


def test_bases_that_cannot_be_had() -> None:
    towers = {
        "text": "scratch",
        "scratch": SCRATCH,
        "size": 32,
        "dimension": 8,
        "max_tokens": 16,
        "vocabulary": 0,
        "texts": ["a"],
    }
    with pytest.raises(ValueError, match="timm has no model 'nothing'"):
        build_encoder(image="timm:nothing", **towers)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no wheel called"):
        build_encoder(image="wheel:nothing", **towers)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"pretrain.open_clip: ViT-B-32/nothing could not be loaded"
    ):
        openclip.load_pretrained("ViT-B-32/nothing")
