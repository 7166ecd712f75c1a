"""Pretraining and fine-tuning of tiny networks: they learn, and a killed run ends the same."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from crude_faces import write
from diffusers import AutoencoderTiny

from beauty_models.files import read_json
from beauty_models.makeup import Finetune, Pretrain, finetune, model, pretrain
from beauty_models.makeup.gan import sampling, training
from beauty_models.training.checkpoint import Checkpoint

OPTIMIZER: dict[str, Any] = {"seed": 1, "warmup": 0.1, "weight_decay": 0.01, "precision": "float32"}
PRETRAIN = Pretrain(
    seed=1,
    size=32,
    autoencoder={
        **OPTIMIZER,
        "channels": 8,
        "latent_channels": 4,
        "blocks": 1,
        "downsamplings": 2,
        "noise": 0.1,
        "steps": 60,
        "batch": 8,
        "learning_rate": 5e-3,
    },
    gan={
        "seed": 1,
        "steps": 10,
        "size": 16,
        "style": 8,
        "channels": 4,
        "batch": 4,
        "learning_rate": 2e-3,
        "discriminator_learning_rate": 2e-3,
        "r1": 1.0,
        "r1_interval": 4,
        "augment": ["color", "translation"],
        "ema": 0.9,
        "samples": 4,
        "precision": "float32",
    },
    checkpoint_minutes=1e-6,
)
FINETUNE = Finetune(
    **OPTIMIZER,
    correspondence="regions",
    style=8,
    losses={
        "lips": 1,
        "skin": 1,
        "eyes": 1,
        "adversarial": 0.01,
        "identity": 0.02,
        "smoothness": 0.02,
    },
    epochs=3,
    patience=3,
    pairs=32,
    truth_share=0.75,
    batch=4,
    learning_rate=3e-3,
    discriminator_learning_rate=1e-3,
    ema=0.9,
    checkpoint_minutes=1e-6,
)


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("makeup")
    write(folder / "data")
    write(folder / "with-results", results=True)
    return folder


@pytest.fixture(scope="module")
def pretrained(place: Path) -> Path:
    torch.manual_seed(0)
    metrics = pretrain.pretrain(
        data=place / "data", pretrained=place / "pretrained", params=PRETRAIN
    )
    assert metrics["loss_after"] < 0.5 * metrics["loss_before"]
    return place / "pretrained"


def test_pretraining_leaves_what_diffusers_opens_and_sheets(pretrained: Path) -> None:
    autoencoder = AutoencoderTiny.from_pretrained(pretrained / "autoencoder")
    assert autoencoder.config["latent_channels"] == 4
    assert len(list((pretrained / "samples").glob("*.jpg"))) == training.TENTHS
    assert sampling.sample(pretrained, 3, 0).shape == (3, 16, 16, 3)
    assert len(read_json(pretrained / "history.json")["autoencoder"]) == 10
    assert not pretrained.with_name("pretrained.checkpoint").exists()


class KilledError(Exception):
    """The process ends here."""


def test_pretraining_that_is_killed_ends_with_the_same_files(
    pretrained: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the generator, so that the autoencoder is not trained again."""
    learn = training.Trainer.step

    def dies(trainer: training.Trainer, number: int) -> float:
        if number == 6:
            raise KilledError
        return learn(trainer, number)

    again = place / "pretrained-again"
    monkeypatch.setattr(training.Trainer, "step", dies)
    torch.manual_seed(0)
    with pytest.raises(KilledError):
        pretrain.pretrain(data=place / "data", pretrained=again, params=PRETRAIN)
    assert not again.exists()
    monkeypatch.setattr(training.Trainer, "step", learn)
    torch.manual_seed(0)
    pretrain.pretrain(data=place / "data", pretrained=again, params=PRETRAIN)
    assert hashes(again) == hashes(pretrained)


def test_without_steps_there_is_no_generator(place: Path) -> None:
    settings = PRETRAIN.model_copy(
        update={
            "gan": PRETRAIN.gan.model_copy(update={"steps": 0}),
            "autoencoder": PRETRAIN.autoencoder.model_copy(update={"steps": 2}),
        }
    )
    out = place / "no-generator"
    pretrain.pretrain(data=place / "data", pretrained=out, params=settings)
    assert not (out / "generator").exists() and (out / "autoencoder").exists()


def test_a_side_that_cannot_be_halved_is_refused(place: Path) -> None:
    settings = PRETRAIN.model_copy(update={"size": 30})
    with pytest.raises(ValueError, match="pretrain.size: 30 cannot be halved 2 times"):
        pretrain.pretrain(data=place / "data", pretrained=place / "odd", params=settings)


def run(
    place: Path,
    pretrained: Path,
    out: str,
    settings: Finetune = FINETUNE,
    data: str = "data",
) -> dict[str, float]:
    torch.manual_seed(0)
    return finetune.finetune(
        data=place / data, pretrained=pretrained, model=place / out, params=settings
    )


@pytest.mark.parametrize(
    ("correspondence", "data"), [("regions", "with-results"), ("attention", "data")]
)
def test_a_killed_training_ends_with_the_same_files(
    place: Path,
    pretrained: Path,
    correspondence: str,
    data: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Generator, discriminator, both optimizers and the average go on where they were."""
    settings = FINETUNE.model_copy(update={"correspondence": correspondence})
    run(place, pretrained, f"{correspondence}-whole", settings, data)
    learn = finetune.Trainer.step

    def dies(trainer: finetune.Trainer, pairs: Any, step: int) -> float:
        if step == 11:
            raise KilledError
        return learn(trainer, pairs, step)

    monkeypatch.setattr(finetune.Trainer, "step", dies)
    with pytest.raises(KilledError):
        run(place, pretrained, f"{correspondence}-killed", settings, data)
    monkeypatch.setattr(finetune.Trainer, "step", learn)
    run(place, pretrained, f"{correspondence}-killed", settings, data)
    whole = hashes(place / f"{correspondence}-whole")
    assert hashes(place / f"{correspondence}-killed") == whole
    assert "generator/model.safetensors" in whole and "samples/epoch-03.jpg" in whole
    assert not (place / f"{correspondence}-killed.checkpoint").exists()
    assert model.load(place / f"{correspondence}-killed").size == 32


def _split(data: Path) -> finetune.Split:
    faces = finetune.read_faces(data, "train", 32)
    return finetune.Split(faces, finetune.read_results(data, "train", faces), "train")


def _trainer(
    place: Path, pretrained: Path, settings: Finetune = FINETUNE, data: str = "data"
) -> finetune.Trainer:
    torch.manual_seed(0)
    generator = finetune._build(pretrained, settings)
    train = _split(place / data)
    return finetune.Trainer(generator, train, train, settings, Checkpoint(place / "x", "", 1e9))


def test_of_the_pairs_the_known_share_has_its_results(place: Path, pretrained: Path) -> None:
    trainer = _trainer(place, pretrained, data="with-results")
    known = {tuple(row) for row in trainer.train.known.tolist()}
    # Six people in the part, each wears the looks of the five others.
    assert len(known) == 30
    for pairs in trainer.batches(0):
        with_result = pairs[pairs[:, 2] != finetune.UNKNOWN]
        assert len(pairs) == 4 and len(with_result) == 3
        assert {tuple(row) for row in with_result.tolist()} <= known
    batch = trainer._batch(trainer.train, pairs)
    results = finetune.normalized(trainer.train.results)
    for row, (bare, _, result) in enumerate(pairs.tolist()):
        shown = results[result] if result >= 0 else finetune.normalized(trainer.train.images[bare])
        assert torch.equal(batch.result[row], shown)
    without = _trainer(place, pretrained)
    assert all((pairs[:, 2] == finetune.UNKNOWN).all() for pairs in without.batches(0))


def test_the_result_is_what_is_learned(place: Path, pretrained: Path) -> None:
    """It has the look's lips and lids and the own skin: near to what no matching gives."""
    settings = FINETUNE.model_copy(
        update={"learning_rate": 1e-2, "truth_share": 1.0, "pairs": 64, "epochs": 6}
    )
    trainer = _trainer(place, pretrained, settings, "with-results")
    untrained = trainer._figures(trainer._made_up(finetune.NO_MATCH))
    matched = trainer._figures(trainer._made_up(dict.fromkeys(finetune.PARTS, 1.0)))
    trainer.loop.run(None)
    learned = trainer._figures(trainer._made_up(finetune.NO_MATCH))
    for part in ("lips", "eyes"):
        assert learned[part] < 0.6 * untrained[part]
    # The truth's skin is the bare one; the reference's is another person's.
    assert untrained["skin"] < learned["skin"] < 0.4 * matched["skin"]


def test_colors_are_matched_as_far_as_validation_says(place: Path, pretrained: Path) -> None:
    """By the truth where it is known: skin stays. Else by the reference's colors: all of it."""
    trainer = _trainer(place, pretrained, data="with-results")
    match, best = trainer.choose_match()
    assert trainer.judged == "error"
    assert match["skin"] == 0 and match["lips"] > 0.5
    half = {part: 0.5 * strength for part, strength in match.items()}
    assert best["lips"] < trainer._figures(trainer._made_up(half))["lips"]
    without = _trainer(place, pretrained)
    match, _ = without.choose_match()
    assert without.judged == "distance"
    assert match == dict.fromkeys(finetune.PARTS, 0.99)


def test_colors_are_learned_beyond_means_and_deviations(place: Path, pretrained: Path) -> None:
    """One batch again and again: its targets are matched ever better."""
    only_colors = FINETUNE.losses.model_copy(
        update={"adversarial": 0, "identity": 0, "smoothness": 0}
    )
    # The rate falls to nothing over the epochs: 96 steps.
    settings = FINETUNE.model_copy(
        update={"losses": only_colors, "learning_rate": 1e-2, "epochs": 12}
    )
    trainer = _trainer(place, pretrained, settings)
    pairs = trainer.batches(0)[0]
    trainer.begin_epoch(0)
    losses = [trainer.step(pairs, 0) for _ in range(80)]
    assert sum(losses[-8:]) < 0.85 * sum(losses[:8])


def test_a_step_teaches_both_networks(place: Path, pretrained: Path) -> None:
    trainer = _trainer(place, pretrained)
    frozen = copy.deepcopy(trainer.pretrained.state_dict())
    generator = trainer.optimization.weights()
    discriminator = trainer.discriminator_optimization.weights()
    for number, pairs in enumerate(trainer.batches(0)):
        trainer.step(pairs, number)
    for name, value in trainer.optimization.weights().items():
        assert not torch.equal(value, generator[name]), name
    for name, value in trainer.discriminator_optimization.weights().items():
        assert not torch.equal(value, discriminator[name]), name
    for name, value in trainer.pretrained.state_dict().items():
        assert torch.equal(value, frozen[name]), name


def test_nobody_is_paired_with_themselves(place: Path, pretrained: Path) -> None:
    trainer = _trainer(place, pretrained)
    split = trainer.train
    bare, looks, results = trainer.train.pairs(200, finetune.np.random.default_rng(0)).T
    assert (results == finetune.UNKNOWN).all()
    assert (split.persons[bare] != split.persons[looks]).all()
    assert set(bare) == set(split.bare) and set(looks) == set(split.made_up)


def test_a_split_of_bare_faces_alone_is_refused(place: Path) -> None:
    faces = finetune.read_faces(place / "data", "train", 32)
    results = finetune.read_results(place / "data", "train", faces)
    faces.frame["made_up"] = False
    with pytest.raises(ValueError, match="train: 12 bare faces and 0 made-up ones"):
        finetune.Split(faces, results, "train")
