"""The training loop and its parts: patience, decay, clipping, EMA, resampling, resuming."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from beauty_models.training.batches import class_balanced_sample, passes_per_epoch
from beauty_models.training.checkpoint import Checkpoint
from beauty_models.training.finite import NotFiniteError
from beauty_models.training.loop import EarlyStopping, Loop, Validation
from beauty_models.training.optimization import EMA, Optimization, layer_decay_groups
from beauty_models.tryon.finetune import _entropy

PARAMS = SimpleNamespace(seed=3, warmup=0.1, weight_decay=0.01, precision="float32")
EPOCHS, STEPS = 3, 4
ROWS = torch.randn(STEPS * 8, 2, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(0, 7, (STEPS * 2, 9), generator=torch.Generator().manual_seed(0))


class KilledError(Exception):
    """The process ends here."""


def optimization_of(network: nn.Module, steps: int = 10, rate: float = 0.01) -> Optimization:
    return Optimization(
        network, [{"params": list(network.parameters()), "lr": rate}], steps, PARAMS
    )


def shuffled(rows: int, epoch: int) -> list[np.ndarray[Any, Any]]:
    """The batches of an epoch: row numbers in a new order."""
    order = np.random.default_rng((PARAMS.seed, epoch)).permutation(rows)
    return np.array_split(order, STEPS)


class AlwaysDue(Checkpoint):
    """A checkpoint after every step."""

    def due(self) -> bool:
        return True


def gan(checkpoint: Checkpoint) -> Loop[Any]:
    """A GAN: two optimizers that take turns within one step, each with a schedule of its own."""
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))
    critic = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1))
    draws, judges = (
        optimization_of(generator, EPOCHS * STEPS),
        optimization_of(critic, EPOCHS * STEPS),
    )
    ema = EMA(draws)

    def step(batch: Any, number: int) -> float:
        drawn = generator(torch.randn(len(batch), 2))
        real, false = critic(ROWS[batch]), critic(drawn.detach())
        critic_loss = (1 - real).relu().mean() + (1 + false).relu().mean()
        critic_loss.backward()
        judges.step(critic_loss.item())
        generator_loss = -critic(drawn).mean()
        generator_loss.backward()
        draws.step(generator_loss.item())
        judges.optimizer.zero_grad()  # the generator's loss went through the critic
        ema.update(0.9)
        return critic_loss.item()

    return Loop(
        title="gan",
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        seed=PARAMS.seed,
        batches=lambda epoch: shuffled(len(ROWS), epoch),
        step=step,
        checkpoint=checkpoint,
        stateful={"generator": draws, "critic": judges, "ema": ema},
    )


def plain_gan(checkpoint: Checkpoint) -> Loop[Any]:
    """The same with torch's own modules and optimizers: the loop needs nothing of this house."""
    torch.manual_seed(0)
    generator, critic = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    draws = torch.optim.Adam(generator.parameters(), lr=0.01, betas=(0.5, 0.9))
    judges = torch.optim.Adam(critic.parameters(), lr=0.02, betas=(0.5, 0.9))

    def step(batch: Any, number: int) -> float:
        drawn = generator(torch.randn(len(batch), 2))
        loss = critic(drawn.detach()).mean() - critic(ROWS[batch]).mean()
        judges.zero_grad()
        loss.backward()
        judges.step()
        if number % 2:  # the critic takes two steps for one of the generator's
            draws.zero_grad()
            (-critic(drawn).mean()).backward()
            draws.step()
        return loss.item()

    return Loop(
        title="gan",
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        seed=PARAMS.seed,
        batches=lambda epoch: shuffled(len(ROWS), epoch),
        step=step,
        checkpoint=checkpoint,
        stateful={"generator": generator, "critic": critic, "draws": draws, "judges": judges},
    )


class CausalModel(nn.Module):
    """A causal language model: the mean of the tokens so far says which one comes next."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 16), nn.Linear(16, 7)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        counts = torch.arange(1, tokens.shape[1] + 1)[:, None]
        logits: torch.Tensor = self.head(self.embedding(tokens).cumsum(1) / counts)
        return logits


def causal(checkpoint: Checkpoint) -> Loop[Any]:
    """A causal language model on packed sequences, with validation and early stopping."""
    torch.manual_seed(0)
    model = CausalModel()
    optimization = optimization_of(model, EPOCHS * STEPS, rate=0.05)
    stopping = EarlyStopping(optimization.weights, patience=2)

    def next_token_loss(tokens: torch.Tensor) -> torch.Tensor:
        return cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())

    def step(batch: Any, number: int) -> float:
        loss = next_token_loss(TOKENS[batch])
        loss.backward()
        optimization.step(loss.item())
        return loss.item()

    def validate() -> Validation:
        with torch.no_grad():
            loss = next_token_loss(TOKENS).item()
        return Validation({"validation_loss": loss}, -loss)

    return Loop(
        title="causal",
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        seed=PARAMS.seed,
        batches=lambda epoch: shuffled(len(TOKENS), epoch),
        step=step,
        validate=validate,
        stopping=stopping,
        checkpoint=checkpoint,
        stateful={"optimization": optimization},
    )


def diffusion(checkpoint: Checkpoint) -> Loop[Any]:
    """A denoising model: each step draws noise levels, and the average of the weights samples."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 16), nn.SiLU(), nn.Linear(16, 2))
    optimization = optimization_of(model, EPOCHS * STEPS)
    ema = EMA(optimization)

    def step(batch: Any, number: int) -> float:
        time = torch.rand(len(batch), 1)
        angle, noise = time * math.pi / 2, torch.randn(len(batch), 2)
        noisy = angle.cos() * ROWS[batch] + angle.sin() * noise
        loss = (model(torch.cat([noisy, time], 1)) - noise).square().mean()
        loss.backward()
        optimization.step(loss.item())
        ema.update(0.99)
        return loss.item()

    return Loop(
        title="diffusion",
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        seed=PARAMS.seed,
        batches=lambda epoch: shuffled(len(ROWS), epoch),
        step=step,
        checkpoint=checkpoint,
        stateful={"optimization": optimization, "ema": ema},
    )


TRAININGS = {"gan": gan, "plain gan": plain_gan, "causal": causal, "diffusion": diffusion}


def same(one: Any, other: Any) -> bool:
    """Whether two states are equal to the last bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("killed_at", [0, 1, STEPS - 1, STEPS, STEPS + 2, EPOCHS * STEPS - 1])
@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_that_is_killed_ends_with_the_same_bytes(
    tmp_path: Path, name: str, killed_at: int, capsys: pytest.CaptureFixture[str]
) -> None:
    make, scored = TRAININGS[name], name == "causal"
    whole = make(Checkpoint(tmp_path / "whole", "same", 1e9))
    start = copy.deepcopy(whole.state_dict())
    whole.run(None, validate_start=scored)
    for part in whole.stateful:
        assert not same(whole.state_dict()[part], start[part]), f"{part} did not learn"

    first = make(AlwaysDue(tmp_path / "model", "same", 1))
    learn = first.step

    def dies(batch: Any, number: int) -> float:
        if number == killed_at:
            raise KilledError
        return learn(batch, number)

    first.step = dies
    with pytest.raises(KilledError):
        first.run(None, validate_start=scored)
    second = make(AlwaysDue(tmp_path / "model", "same", 1))
    torch.manual_seed(12345)  # another process has other random numbers
    second.run(second.checkpoint.load(), validate_start=scored)
    assert same(second.state_dict(), whole.state_dict())
    assert ("resuming in epoch" in capsys.readouterr().out) == (killed_at > 0)


def test_a_loop_resumes_in_the_middle_of_an_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was done is not done again, and the epoch begins anew only for what thaws layers."""
    taken: list[int] = []
    begun: list[int] = []

    def make() -> Loop[int]:
        return Loop(
            title="finetune",
            epochs=2,
            steps_per_epoch=3,
            seed=1,
            begin_epoch=begun.append,
            batches=lambda epoch: [10 * epoch, 10 * epoch + 1, 10 * epoch + 2],
            step=lambda batch, number: taken.append(batch) or float(batch),
            checkpoint=Checkpoint(tmp_path / "model", "same", 1),
            stateful={},
        )

    state = make().state_dict()
    state["loop"] |= {"epoch": 1, "batch": 2, "loss": 21.0}
    loop = make()
    loop.run(state)
    assert taken == [12] and begun == [1]
    assert loop.history == [{"epoch": 2, "loss": 11.0}]
    said = capsys.readouterr().out
    assert "finetune: resuming in epoch 2 after batch 2 of 3" in said
    assert "finetune: epoch 2: loss 11.0000" in said


def scored(scores: list[float], patience: int, tmp_path: Path) -> tuple[Loop[int], EarlyStopping]:
    """A loop whose epochs have these scores, and whose one weight is the number of its steps."""
    weight = torch.zeros(1)
    values = iter(scores)
    stopping = EarlyStopping(lambda: {"weight": weight.clone()}, patience)

    def validate() -> Validation:
        score = next(values)
        return Validation({"score": score}, score)

    loop = Loop[int](
        title="finetune",
        epochs=len(scores) - 1,
        steps_per_epoch=1,
        seed=1,
        batches=lambda epoch: [0],
        step=lambda batch, number: float(weight.add_(1)),
        validate=validate,
        stopping=stopping,
        checkpoint=Checkpoint(tmp_path / "model", "same", 1),
        stateful={},
    )
    loop.run(None, validate_start=True)
    return loop, stopping


@pytest.mark.parametrize(
    ("scores", "patience", "epochs", "kept"),
    [
        ([0.1, 0.5, 0.4, 0.3, 0.9], 2, 3, 1),  # stopped before the best one
        ([0.1, 0.5, 0.4, 0.6, 0.5], 2, 4, 3),  # the one that is better gives new patience
        ([0.5, 0.5, 0.5, 0.5, 0.5], 4, 4, 0),  # as good is not better
        ([0.9, 0.1, 0.2, 0.3, 0.4], 1, 1, 0),  # the start
    ],
)
def test_patience_counts_epochs_that_were_not_kept(
    tmp_path: Path, scores: list[float], patience: int, epochs: int, kept: int
) -> None:
    loop, stopping = scored(scores, patience, tmp_path)
    assert loop.epoch == epochs
    assert (stopping.epoch, stopping.score) == (kept, scores[kept])
    assert stopping.weights["weight"].item() == kept
    assert [row["epoch"] for row in loop.history] == list(range(epochs + 1))
    assert [row["score"] for row in loop.history] == scores[: epochs + 1]


def test_a_family_says_which_epoch_replaces_the_kept_one() -> None:
    """The last epoch is kept unless the one before is better by more than 1."""
    stopping = EarlyStopping(dict, 2, lambda score, kept: score > kept - 1)
    for epoch, score in enumerate([5.0, 4.5, 3.0, 3.9]):
        stopping.update(epoch, score)
    assert (stopping.epoch, stopping.score, stopping.waited) == (3, 3.9, 0)
    stopping.update(4, 2.0)
    assert (stopping.epoch, stopping.waited, stopping.stopped) == (3, 1, False)
    stopping.update(5, 2.0)
    assert stopping.stopped


def test_a_loss_that_is_no_number_stops_a_loop_without_an_optimization(tmp_path: Path) -> None:
    loop = plain_gan(Checkpoint(tmp_path / "model", "same", 1e9))
    learn = loop.step
    loop.step = lambda batch, number: math.nan if number == 5 else learn(batch, number)
    with pytest.raises(NotFiniteError, match="gan: step 6 of 12: the loss is nan.*no checkpoint"):
        loop.run(None)


def test_each_block_learns_slower_than_the_one_above_it() -> None:
    blocks = [nn.Linear(2, 2) for _ in range(3)]
    groups = layer_decay_groups(blocks, 0.1, 0.5)
    assert [group["lr"] for group in groups] == [0.1, 0.05, 0.025]
    for group, block in zip(groups, reversed(blocks), strict=True):
        assert list(map(id, group["params"])) == list(map(id, block.parameters()))
    before = [block.weight.detach().clone() for block in blocks]
    optimization = Optimization(nn.ModuleList(blocks), groups, 10, PARAMS)
    sum(block.weight.sum() for block in blocks).backward()
    optimization.step(1.0)
    moved = [
        (block.weight - old).abs().mean().item() for block, old in zip(blocks, before, strict=True)
    ]
    assert moved[0] < moved[1] < moved[2]


def gradients_seen(optimization: Optimization) -> Callable[[], dict[str, float]]:
    """Note the length of each weight's gradient as the optimizer gets it."""
    lengths: dict[str, float] = {}

    def look(*_: Any) -> None:
        for name, weight in optimization.learned.items():
            lengths[name] = 0.0 if weight.grad is None else weight.grad.norm().item()

    optimization.optimizer.register_step_pre_hook(look)
    return lambda: lengths


@pytest.mark.parametrize(
    ("factor", "expected"), [(10.0, math.sqrt(0.5)), (0.1, 0.2)]
)  # of two gradients as long, each 2 × factor
def test_gradients_are_cut_to_a_length_of_one_together(factor: float, expected: float) -> None:
    network = nn.ModuleDict(
        {"one": nn.Linear(4, 1, bias=False), "other": nn.Linear(4, 1, bias=False)}
    )
    optimization = optimization_of(network)
    seen = gradients_seen(optimization)
    (sum(weight.sum() for weight in network.parameters()) * factor).backward()
    optimization.step(1.0)
    assert list(seen().values()) == pytest.approx([expected, expected], abs=1e-5)
    assert all(weight.grad is None for weight in network.parameters())


def test_what_is_not_to_be_clipped_is_left_but_watched() -> None:
    network = nn.ModuleDict(
        {"one": nn.Linear(4, 1, bias=False), "other": nn.Linear(4, 1, bias=False)}
    )
    optimization = optimization_of(network)
    seen = gradients_seen(optimization)
    (sum(weight.sum() for weight in network.parameters()) * 10).backward()
    optimization.step(1.0, clipped=list(network["one"].parameters()))
    assert seen() == pytest.approx({"one.weight": 1.0, "other.weight": 20.0}, abs=1e-4)
    network["other"].weight.sum().mul(math.inf).backward()
    with pytest.raises(NotFiniteError, match="gradients' length is inf"):
        optimization.step(1.0, clipped=list(network["one"].parameters()))


def test_the_mean_of_the_weights_follows_them() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    ema = EMA(optimization_of(network))
    values = []
    for weight in (1.0, 1.0, 3.0):
        nn.init.constant_(network.weight, weight)
        ema.update(0.5)
        values.append(ema.weights["weight"].item())
    assert values == [0.5, 0.75, 1.875]
    with ema.applied():
        assert network.weight.item() == 1.875
    assert network.weight.item() == 3.0, "the trained weights come back"
    kept = ema.copy()
    ema.update(0.0)
    assert kept["weight"].item() == 1.875 and ema.weights["weight"].item() == 3.0


def test_resampling_makes_classes_equally_frequent() -> None:
    labels = torch.tensor([0] * 9000 + [1] * 900 + [2] * 100)
    rows = class_balanced_sample(labels, np.random.default_rng(0))
    assert len(rows) == len(labels)
    shares = torch.bincount(labels[rows]) / len(labels)
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
    assert (rows == class_balanced_sample(labels, np.random.default_rng(0))).all()


def test_resampling_leaves_rows_without_a_label_their_share() -> None:
    labels = torch.tensor([0] * 6000 + [1] * 2000 + [-1] * 2000)
    rows = class_balanced_sample(labels, np.random.default_rng(0))
    shares = [(labels[rows] == label).double().mean().item() for label in (0, 1, -1)]
    assert shares == pytest.approx([0.4, 0.4, 0.2], abs=0.02)


@pytest.mark.parametrize(
    ("once", "epochs", "least", "passes"),
    [(10, 4, 0, 1), (10, 4, 41, 2), (10, 4, 40, 1), (3, 0, 5, 5)],
)
def test_few_rows_are_passed_several_times(once: int, epochs: int, least: int, passes: int) -> None:
    assert passes_per_epoch(once, epochs, least) == passes


def test_smoothing_takes_its_share_from_the_label() -> None:
    logits, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0])
    params = SimpleNamespace(imbalance="none", smoothing=0.2)
    target = torch.full((5, 4), 0.2 / 4).scatter(1, labels[:, None], 0.8 + 0.2 / 4)
    expected = -(target * logits.log_softmax(-1)).sum(-1).mean()
    assert _entropy(logits, labels, labels, params).item() == pytest.approx(expected.item())
    params.smoothing = 0.0
    assert _entropy(logits, labels, labels, params).item() == pytest.approx(
        cross_entropy(logits, labels).item()
    )
