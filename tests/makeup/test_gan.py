"""The generator of faces: what its parts compute, that it learns, resumes, stops in a collapse."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, l1_loss

from beauty_models import params as params_file
from beauty_models.makeup import Gan
from beauty_models.makeup.gan import (
    augmentation,
    balance,
    eigenfaces,
    networks,
    sampling,
    training,
)
from beauty_models.training.checkpoint import Checkpoint
from beauty_models.training.finite import NotFiniteError

ROOT = Path(__file__).parents[2]
FACES = torch.randint(0, 256, (12, 3, 1, 1), generator=torch.Generator().manual_seed(0))
FACES = FACES.expand(-1, -1, 8, 8).to(torch.uint8).contiguous()
SETTINGS: dict[str, Any] = {
    "seed": 3,
    "steps": 20,
    "size": 8,
    "style": 16,
    "channels": 4,
    "batch": 4,
    "learning_rate": 2e-3,
    "discriminator_learning_rate": 2e-3,
    "r1": 1.0,
    "r1_interval": 4,
    "augment": ["color", "translation", "cutout"],
    "ema": 0.9,
    "samples": 4,
    "precision": "float32",
}


def params(**changed: Any) -> Gan:
    return Gan(**{**SETTINGS, **changed})


class AlwaysDue(balance.HealthyCheckpoint):
    """A checkpoint after every step in which all is well."""

    def __init__(self, output: Path) -> None:
        super().__init__(output, "same", 0.0)


class KilledError(Exception):
    """The process ends here."""


def trainer(output: Path, **changed: Any) -> training.Trainer:
    torch.manual_seed(0)
    return training.Trainer(FACES, params(**changed), AlwaysDue(output))


def test_modulation_is_a_convolution_with_a_weight_of_its_own_for_each_face() -> None:
    torch.manual_seed(0)
    layer = networks.ModulatedConv(3, 5, 3, 4)
    values, style = torch.randn(2, 3, 6, 6), torch.randn(2, 4)
    modulated = layer(values, style)
    for face in range(2):
        weight = layer.weight * layer.scale * layer.affine(style)[face][None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected = conv2d(values[face : face + 1], weight, padding=1)
        assert l1_loss(modulated[face : face + 1], expected) < 1e-5


def correlated_faces(n: int, side: int) -> torch.Tensor:
    """Return faces that differ in three ways, of unlike strength."""
    random = torch.Generator().manual_seed(5)
    ways = torch.randn(3, 3 * side * side, generator=random)
    strength = torch.tensor([30.0, 12.0, 5.0])
    pixels = 128 + torch.randn(n, 3, generator=random) * strength @ ways
    return pixels.round().clamp(0, 255).to(torch.uint8).unflatten(1, (3, side, side))


def test_a_generator_begins_as_the_gaussian_of_the_faces(tmp_path: Path) -> None:
    faces = correlated_faces(200, 8)
    torch.manual_seed(0)
    made = training.Trainer(faces, params(style=8), AlwaysDue(tmp_path / "out"))
    z = torch.randn(20_000, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        drawn = made.generator(z).flatten(1)
    known = (faces.float() / 127.5 - 1).flatten(1)
    assert (drawn.mean(0) - known.mean(0)).abs().max() < 0.02
    spread = known.T.cov().diagonal().mean()
    assert (drawn.T.cov() - known.T.cov()).abs().mean() < 0.05 * spread


def test_eigenfaces_of_few_faces_use_as_many_numbers_as_there_are_differences() -> None:
    made = eigenfaces.Eigenfaces(16, 8)
    made.fit(correlated_faces(4, 8))
    lengths = made.axes.flatten(1).norm(dim=1)
    assert (lengths[:3] > 0.1).all() and (lengths[3:] == 0).all()


def test_eigenfaces_of_large_pictures_are_kept_small() -> None:
    size = 4 * eigenfaces.LARGEST
    made = eigenfaces.Eigenfaces(4, size)
    line = torch.linspace(0, 255, size).to(torch.uint8)
    made.fit(torch.stack([line.expand(3, size, size), line.flip(0).expand(3, size, size)]))
    assert made.mean.shape == (3, eigenfaces.LARGEST, eigenfaces.LARGEST)
    drawn = made(torch.tensor([[2**-0.5, 0, 0, 0], [-(2**-0.5), 0, 0, 0]]))
    assert drawn.shape == (2, 3, size, size)
    # Two faces differ in one direction: each is the mean and one of its ends.
    ramp = line.float() / 127.5 - 1
    ends = sorted(drawn[:, 0, 0], key=lambda row: row[0].item())
    assert (ends[0] - ramp).abs().max() < 0.05 and (ends[1] - ramp.flip(0)).abs().max() < 0.05


@pytest.mark.parametrize("policy", augmentation.AUGMENTATIONS)
def test_augmentation_changes_pictures_and_lets_gradients_through(policy: str) -> None:
    torch.manual_seed(1)
    pictures = torch.randn(4, 3, 16, 16, requires_grad=True)
    changed = augmentation.augment(pictures, [policy])
    assert changed.shape == pictures.shape
    assert not torch.equal(changed, pictures)
    (slope,) = torch.autograd.grad(changed.square().sum(), pictures)
    assert slope.abs().sum() > 0


def test_the_discriminator_sees_how_much_faces_of_a_batch_differ() -> None:
    alike = torch.ones(4, 2, 4, 4)
    different = torch.randn(4, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    assert networks.minibatch_deviation(alike).max() < 1e-3
    assert networks.minibatch_deviation(different).min() > 0.3


def test_samples_come_nearer_to_the_faces(tmp_path: Path) -> None:
    """Dark above and bright below is learned, and that pictures differ."""
    photos = FACES.clone()
    photos[:, :, :4] //= 4
    torch.manual_seed(0)
    # Scaled weights learn slowly: a run of 400 steps takes a rate ten times StyleGAN2's.
    rates = {"learning_rate": 2e-2, "discriminator_learning_rate": 2e-2}
    settings = params(steps=400, batch=8, channels=8, augment=[], r1=0.1, **rates)
    made = training.Trainer(photos, settings, AlwaysDue(tmp_path / "out"))
    # Grey, as they are before `fit`: all has to be learned.
    made.generator.eigenfaces.load_state_dict(eigenfaces.Eigenfaces(16, 8).state_dict())
    wanted = photos.float().mean((0, 1))

    def distance() -> float:
        mean = sampling.draw(made.generator, 64, 0).float().mean((0, 1))
        return l1_loss(mean, wanted).item()

    before = distance()
    made.loop.checkpoint.due = lambda: False  # type: ignore[method-assign]
    made.loop.run(None)
    made.generator_optimization.load_weights(made.ema.weights)
    assert distance() < 0.4 * before
    assert sampling.draw(made.generator, 64, 0).float().std(0).mean() > 15, "all samples are one"


def states(made: training.Trainer) -> dict[str, Any]:
    return copy.deepcopy(made.loop.state_dict())


def bit_equal(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            bit_equal(value, second[key]) for key, value in first.items()
        )
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(bit_equal, first, second))
    return bool(first == second)


@pytest.mark.parametrize("killed_at", [1, 5, 12])
def test_a_killed_run_ends_with_the_same_bytes(tmp_path: Path, killed_at: int) -> None:
    """Both networks, both optimizers, the average, the sheets and the counts of the balance."""
    whole = trainer(tmp_path / "whole")
    start = states(whole)
    whole.loop.run(None)
    for part in ("generator", "discriminator", "ema", "sheets"):
        assert not bit_equal(states(whole)[part], start[part]), f"{part} did not change"

    first = trainer(tmp_path / "killed")
    learn = first.loop.step

    def dies(batch: int, number: int) -> float:
        if number == killed_at:
            raise KilledError
        return learn(batch, number)

    first.loop.step = dies
    with pytest.raises(KilledError):
        first.loop.run(None)
    second = trainer(tmp_path / "killed")
    torch.manual_seed(99)  # another process has other random numbers
    second.loop.run(second.loop.checkpoint.load())
    assert bit_equal(states(second), states(whole))
    assert len(second.sheets.jpegs) == training.TENTHS
    assert second.sheets.jpegs == whole.sheets.jpegs


def test_a_discriminator_that_has_won_stops_the_run(tmp_path: Path) -> None:
    """Its loss is nothing step after step; the checkpoint is from before."""
    made = trainer(tmp_path / "out", steps=400, r1=0.0)
    won_from = 30
    scores = made.discriminator.forward

    def knows(pictures: torch.Tensor) -> torch.Tensor:
        # The second of a step's three calls sees photos.
        knows.calls += 1  # type: ignore[attr-defined]
        answer = scores(pictures)
        if knows.calls <= 3 * won_from:  # type: ignore[attr-defined]
            return answer
        photos = knows.calls % 3 == 2  # type: ignore[attr-defined]
        return answer * 0 + (20.0 if photos else -20.0)

    knows.calls = 0  # type: ignore[attr-defined]
    made.discriminator.forward = knows  # type: ignore[method-assign]
    with pytest.raises(balance.CollapsedError) as stopped:
        made.loop.run(None)
    said = str(stopped.value)
    assert f"step {won_from + balance.COLLAPSE_STEPS} of 400" in said
    assert "the discriminator's loss is below" in said
    assert "the last good checkpoint is" in said and "Remedy: lower gan." in said
    kept = Checkpoint(tmp_path / "out", "same", 1).load()
    assert kept is not None
    assert kept["loop"]["epoch"] * 40 + kept["loop"]["batch"] == won_from


def test_a_generator_that_draws_one_face_stops_the_run(tmp_path: Path) -> None:
    made = trainer(tmp_path / "out", steps=400)
    drawn = made.generator.forward

    def one_face(z: torch.Tensor, random: torch.Generator | None = None) -> torch.Tensor:
        return drawn(z[:1], random).expand(len(z), -1, -1, -1)

    made.generator.forward = one_face  # type: ignore[method-assign]
    with pytest.raises(balance.CollapsedError, match=r"step 100 of 400: .*draws one face"):
        made.loop.run(None)


def test_a_rate_that_is_absurd_names_the_step(tmp_path: Path) -> None:
    made = trainer(tmp_path / "out", learning_rate=1e30, discriminator_learning_rate=1e30)
    with pytest.raises(NotFiniteError, match=r"pretrain: .*: step \d+ of 20: .*rates 1e\+30"):
        made.loop.run(None)


def test_the_profile_for_a_gpu_takes_a_step(tmp_path: Path) -> None:
    """As it stands but for batch and channels, so at 256 pixels, with a penalty and a sheet."""
    files = [ROOT / "params.yaml", ROOT / "profiles/full.yaml"]
    blocks = params_file.merge(*map(params_file.read, files))
    block = blocks["makeup"]["pretrain"]["gan"]
    settings = Gan(
        **block | {"steps": 1, "batch": 2, "channels": 8, "samples": 2, "precision": "float32"}
    )
    assert settings.size == 256
    faces = correlated_faces(4, 256)
    torch.manual_seed(0)
    made = training.Trainer(faces, settings, AlwaysDue(tmp_path / "out"))
    before = made.generator_optimization.weights()
    made.loop.run(None)
    after = made.generator_optimization.weights()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    # What is added to the eigenfaces is nothing yet, so that only its own weights have a slope.
    assert changed == [name for name in before if re.fullmatch(r"to_rgb\.\d\.weight", name)]
    assert len(made.sheets.jpegs) == 1


def test_a_saved_generator_samples_the_same_faces(tmp_path: Path) -> None:
    made = trainer(tmp_path / "out")
    sampling.save(made.generator, tmp_path / "generator")
    faces = sampling.sample(tmp_path, 5, seed=7)
    assert faces.shape == (5, 8, 8, 3) and faces.dtype == np.uint8
    assert np.array_equal(faces, sampling.sample(tmp_path, 5, seed=7))
    assert not np.array_equal(faces, sampling.sample(tmp_path, 5, seed=8))
    assert np.array_equal(faces, sampling.draw(made.generator, 5, 7).permute(0, 2, 3, 1).numpy())


def test_a_size_that_is_no_power_of_two_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pretrain\.gan\.size: 24 is no power of two"):
        training.train(FACES, params(size=24), AlwaysDue(tmp_path / "out"))


def balanced(steps: int) -> balance.Balance:
    return balance.Balance(steps, (1e-2, 1e-2), lambda: "nothing was kept")


def test_a_discriminator_that_learns_nothing_stops_the_run(tmp_path: Path) -> None:
    """A penalty of this weight flattens it: its loss is that of one that says nothing."""
    torch.manual_seed(0)
    rates = {"learning_rate": 1e-2, "discriminator_learning_rate": 1e-2}
    settings = params(steps=400, r1=1e12, augment=[], **rates)
    with pytest.raises(balance.CollapsedError) as stopped:
        training.train(FACES, settings, AlwaysDue(tmp_path / "out"))
    said = str(stopped.value)
    assert "the same of every face" in said and "lower gan.r1" in said
    step = int(re.search(r"step (\d+) of 400", said)[1])  # type: ignore[index]
    assert 300 <= step < 400


def test_a_discriminator_may_take_its_time_and_may_be_wrong_for_a_while() -> None:
    late = balanced(400)
    for step in range(400):
        late.update(step, balance.DEAD_LOSS if step < 200 else 1.34, 1.0)
    noisy = balanced(400)
    for step in range(400):
        noisy.update(step, 1.30 if step % 2 else 1.42, 1.0)
    short = balanced(90)
    for step in range(90):
        short.update(step, balance.DEAD_LOSS, 1.0)


def test_what_a_discriminator_has_learned_is_counted_on_after_a_checkpoint() -> None:
    first = balanced(400)
    for step in range(190):
        first.update(step, balance.DEAD_LOSS, 1.0)
    second = balanced(400)
    second.load_state_dict(first.state_dict())
    with pytest.raises(balance.CollapsedError, match="step 300 of 400"):
        for step in range(190, 400):
            second.update(step, balance.DEAD_LOSS, 1.0)
