"""The training loop and its parts: patience, decay, clipping, EMA, resampling, resuming."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from beauty_models.training.batches import class_balanced_sample, passes_per_epoch, repeat_passes
from beauty_models.training.checkpoint import Checkpoint
from beauty_models.training.finite import NotFiniteError
from beauty_models.training.loop import EarlyStopping, Loop, Stateful, Validation, train_head
from beauty_models.training.optimization import EMA, Optimization, layer_decay_groups
from beauty_models.training.splits import hold_out, read_split
from beauty_models.tryon.finetune import _cross_entropy

PARAMS = SimpleNamespace(seed=3, warmup=0.1, weight_decay=0.01, precision="float32")
EPOCHS, STEPS = 3, 4
ROWS = torch.randn(STEPS * 8, 2, generator=torch.Generator().manual_seed(0))
BEGIN = 7  # token before a target's first
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


def toy_loop(
    title: str,
    rows: torch.Tensor,
    step: Callable[[Any, int], float],
    stateful: dict[str, Stateful],
    checkpoint: Checkpoint,
    **validation: Any,
) -> Loop[Any]:
    """The loop of a toy training, a step of which learns from some of ``rows``."""
    return Loop(
        title=title,
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        seed=PARAMS.seed,
        batches=lambda epoch: shuffled(len(rows), epoch),
        step=step,
        checkpoint=checkpoint,
        stateful=stateful,
        **validation,
    )


class AlwaysDue(Checkpoint):
    """A checkpoint after every step."""

    def due(self) -> bool:
        return True


def gan(checkpoint: Checkpoint) -> Loop[Any]:
    """A GAN: two optimizers that take turns within one step, each with a schedule of its own."""
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))
    critic = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1))
    generator_optimization = optimization_of(generator, EPOCHS * STEPS)
    critic_optimization = optimization_of(critic, EPOCHS * STEPS)
    ema = EMA(generator_optimization)

    def step(batch: Any, number: int) -> float:
        drawn = generator(torch.randn(len(batch), 2))
        real, false = critic(ROWS[batch]), critic(drawn.detach())
        critic_loss = (1 - real).relu().mean() + (1 + false).relu().mean()
        critic_loss.backward()
        critic_optimization.step(critic_loss.item())
        generator_loss = -critic(drawn).mean()
        generator_loss.backward()
        generator_optimization.step(generator_loss.item())
        critic_optimization.optimizer.zero_grad()  # the generator's loss went through the critic
        ema.update(0.9)
        return critic_loss.item()

    stateful = {
        "generator": generator_optimization,
        "critic": critic_optimization,
        "ema": ema,
    }
    return toy_loop("gan", ROWS, step, stateful, checkpoint)


def plain_gan(checkpoint: Checkpoint) -> Loop[Any]:
    """The same with torch's own modules and optimizers: the loop needs nothing of this house."""
    torch.manual_seed(0)
    generator = nn.Linear(2, 2)
    critic = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    generator_adam = torch.optim.Adam(generator.parameters(), lr=0.01, betas=(0.5, 0.9))
    critic_adam = torch.optim.Adam(critic.parameters(), lr=0.02, betas=(0.5, 0.9))

    def step(batch: Any, number: int) -> float:
        drawn = generator(torch.randn(len(batch), 2))
        loss = critic(drawn.detach()).mean() - critic(ROWS[batch]).mean()
        critic_adam.zero_grad()
        loss.backward()
        critic_adam.step()
        if number % 2:  # the critic takes two steps for one of the generator's
            generator_adam.zero_grad()
            (-critic(drawn).mean()).backward()
            generator_adam.step()
        return loss.item()

    stateful = {
        "generator": generator,
        "critic": critic,
        "generator_adam": generator_adam,
        "critic_adam": critic_adam,
    }
    return toy_loop("gan", ROWS, step, stateful, checkpoint)


class CausalModel(nn.Module):
    """A causal language model: the mean of the tokens so far says which one comes next."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 16), nn.Linear(16, 7)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        counts = torch.arange(1, tokens.shape[1] + 1)[:, None]
        logits: torch.Tensor = self.head(self.embedding(tokens).cumsum(1) / counts)
        return logits


def token_loop(
    title: str,
    model: nn.Module,
    rate: float,
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    checkpoint: Checkpoint,
) -> Loop[Any]:
    """The loop of a ``model`` that learns from `TOKENS`, with validation and early stopping.

    ``loss_of`` takes tokens [n, length].
    """
    optimization = optimization_of(model, EPOCHS * STEPS, rate)
    stopping = EarlyStopping(optimization.weights, patience=2)

    def step(batch: Any, number: int) -> float:
        model.train()
        loss = loss_of(TOKENS[batch])
        loss.backward()
        optimization.step(loss.item())
        return loss.item()

    @torch.no_grad()
    def validate() -> Validation:
        model.eval()
        loss = loss_of(TOKENS).item()
        return Validation({"validation_loss": loss}, -loss)

    stateful = {"optimization": optimization}
    return toy_loop(title, TOKENS, step, stateful, checkpoint, validate=validate, stopping=stopping)


def causal(checkpoint: Checkpoint) -> Loop[Any]:
    """A causal language model on packed sequences."""
    torch.manual_seed(0)
    model = CausalModel()

    def next_token_loss(tokens: torch.Tensor) -> torch.Tensor:
        return cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())

    return token_loop("causal", model, 0.05, next_token_loss, checkpoint)


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

    stateful = {"optimization": optimization, "ema": ema}
    return toy_loop("diffusion", ROWS, step, stateful, checkpoint)


class EncoderDecoder(nn.Module):
    """A sequence-to-sequence model: the encoder's last state is where the decoder begins."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(8, 12)  # seven tokens, and the one that begins a target
        self.dropout = nn.Dropout(0.1)
        self.encoder = nn.GRU(12, 16, batch_first=True)
        self.decoder = nn.GRU(12, 16, batch_first=True)
        self.head = nn.Linear(16, 7)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, length, 7] of ``target``; each place is shown what precedes it."""
        _, state = self.encoder(self.dropout(self.embedding(source)))
        begin = torch.full((len(target), 1), BEGIN)
        shifted = torch.cat([begin, target[:, :-1]], 1)
        hidden, _ = self.decoder(self.dropout(self.embedding(shifted)), state)
        logits: torch.Tensor = self.head(hidden)
        return logits


def sequence_to_sequence(checkpoint: Checkpoint) -> Loop[Any]:
    """An encoder and a decoder that learn, by teacher forcing, to say a sequence backwards."""
    torch.manual_seed(0)
    model = EncoderDecoder()

    def teacher_forced_loss(source: torch.Tensor) -> torch.Tensor:
        target = source.flip(1)
        return cross_entropy(model(source, target).flatten(0, 1), target.flatten())

    return token_loop("sequence to sequence", model, 0.02, teacher_forced_loss, checkpoint)


TRAININGS = {
    "gan": gan,
    "plain gan": plain_gan,
    "causal": causal,
    "diffusion": diffusion,
    "sequence to sequence": sequence_to_sequence,
}


def bit_equal(first: Any, second: Any) -> bool:
    """Whether two states are equal to the last bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        if first.keys() != second.keys():
            return False
        return all(bit_equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(bit_equal, first, second))
    return bool(first == second)


@pytest.mark.parametrize("killed_at", [0, 1, STEPS - 1, STEPS, STEPS + 2, EPOCHS * STEPS - 1])
@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_that_is_killed_ends_with_the_same_bytes(
    tmp_path: Path, name: str, killed_at: int, capsys: pytest.CaptureFixture[str]
) -> None:
    make = TRAININGS[name]
    scored = name in ("causal", "sequence to sequence")
    whole = make(Checkpoint(tmp_path / "whole", "same", 1e9))
    start = copy.deepcopy(whole.state_dict())
    whole.run(None, validate_start=scored)
    for part in whole.stateful:
        assert not bit_equal(whole.state_dict()[part], start[part]), f"{part} did not learn"

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
    assert bit_equal(second.state_dict(), whole.state_dict())
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


def two_layers() -> tuple[nn.ModuleDict, Optimization]:
    """Two layers of the same size, and what trains them both."""
    network = nn.ModuleDict(
        {"lower": nn.Linear(4, 1, bias=False), "upper": nn.Linear(4, 1, bias=False)}
    )
    return network, optimization_of(network)


def gradients_seen(optimization: Optimization) -> Callable[[], dict[str, float]]:
    """Note the length of each weight's gradient as the optimizer gets it."""
    lengths: dict[str, float] = {}

    def look(*_: Any) -> None:
        for name, weight in optimization.learned.items():
            lengths[name] = 0.0 if weight.grad is None else weight.grad.norm().item()

    optimization.optimizer.register_step_pre_hook(look)
    return lambda: lengths


# two gradients as long as each other, each 2 × factor
@pytest.mark.parametrize(("factor", "expected"), [(10.0, math.sqrt(0.5)), (0.1, 0.2)])
def test_gradients_are_cut_to_a_length_of_one_together(factor: float, expected: float) -> None:
    network, optimization = two_layers()
    seen = gradients_seen(optimization)
    (sum(weight.sum() for weight in network.parameters()) * factor).backward()
    optimization.step(1.0)
    assert list(seen().values()) == pytest.approx([expected, expected], abs=1e-5)
    assert all(weight.grad is None for weight in network.parameters())


def test_what_is_not_to_be_clipped_is_left_but_watched() -> None:
    network, optimization = two_layers()
    seen = gradients_seen(optimization)
    (sum(weight.sum() for weight in network.parameters()) * 10).backward()
    optimization.step(1.0, clipped=list(network["lower"].parameters()))
    assert seen() == pytest.approx({"lower.weight": 1.0, "upper.weight": 20.0}, abs=1e-4)
    network["upper"].weight.sum().mul(math.inf).backward()
    with pytest.raises(NotFiniteError, match="gradients' length is inf"):
        optimization.step(1.0, clipped=list(network["lower"].parameters()))


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


def test_a_mean_over_one_step_is_the_weights() -> None:
    network = nn.Linear(1, 1, bias=False)
    ema = EMA(optimization_of(network))
    for weight in (1.0, 2.0):
        nn.init.constant_(network.weight, weight)
        ema.update(0.0)
        assert ema.copy()["weight"].item() == weight
    kept = ema.copy()
    with ema.applied():
        assert network.weight.item() == 2.0
    ema.load_state_dict({"weight": torch.tensor([[3.0]])})
    assert network.weight.item() == 3.0 and kept["weight"].item() == 2.0


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


def test_every_pass_over_few_rows_has_its_own_order() -> None:
    first = repeat_passes(lambda number: [number], 3, 0)
    second = repeat_passes(lambda number: [number], 3, 1)
    assert first + second == [0, 1, 2, 3, 4, 5]


def test_rows_are_held_out_or_learned_from() -> None:
    rows = [f"text {number}" for number in range(50)]
    learned, held_out = hold_out(rows, 0.1, seed=3)
    assert len(held_out) == 5
    assert sorted(learned + held_out) == sorted(rows)
    assert (learned, held_out) == hold_out(rows, 0.1, seed=3)
    assert held_out != hold_out(rows, 0.1, seed=4)[1]
    assert len(hold_out(rows[:3], 0.1, seed=3)[1]) == 1


def test_an_empty_split_says_what_to_deliver(tmp_path: Path) -> None:
    pd.DataFrame({"text": []}).to_parquet(tmp_path / "train.parquet")
    expected = r"train\.parquet: no rows; deliver more reviews or enlarge ingest\.split\.train"
    with pytest.raises(ValueError, match=expected):
        read_split(tmp_path, "train", "reviews")


def head_training(network: nn.ModuleDict, rate: float) -> None:
    """Train the head of ``network`` alone, on the features of `ROWS`, to tell their signs."""
    with torch.no_grad():
        features = network["body"](ROWS)
    labels = (ROWS[:, 0] > 0).long()

    def loss(batch: Any) -> torch.Tensor:
        return cross_entropy(network["head"](features[batch]), labels[batch])

    optimizer = torch.optim.AdamW(network["head"].parameters(), lr=rate)
    params = SimpleNamespace(
        seed=3, batch=8, head_epochs=EPOCHS, head_learning_rate=rate, precision="float32"
    )
    train_head(
        network, optimizer, len(ROWS), lambda epoch: shuffled(len(ROWS), epoch), loss, params
    )


def body_and_head() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict({"body": nn.Linear(2, 8), "head": nn.Linear(8, 2)})


def test_a_head_that_is_trained_alone_leaves_the_body_and_no_gradient() -> None:
    network = body_and_head()
    before = copy.deepcopy(network.state_dict())
    head_training(network, 0.1)
    assert torch.equal(network["body"].weight, before["body.weight"])
    assert not torch.equal(network["head"].weight, before["head.weight"])
    # one that is left behind would be added to the first of the training that follows
    assert all(weight.grad is None for weight in network.parameters())


def test_a_head_that_runs_away_names_step_and_rate() -> None:
    with pytest.raises(NotFiniteError, match=r"the head alone: step \d+ of 12: .*rates 1e\+30"):
        head_training(body_and_head(), 1e30)


def test_smoothing_takes_its_share_from_the_label() -> None:
    logits, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0])
    params = SimpleNamespace(imbalance="none", label_smoothing=0.2)
    target = torch.full((5, 4), 0.2 / 4).scatter(1, labels[:, None], 0.8 + 0.2 / 4)
    expected = -(target * logits.log_softmax(-1)).sum(-1).mean()
    assert _cross_entropy(logits, labels, labels, params).item() == pytest.approx(expected.item())
    params.label_smoothing = 0.0
    assert _cross_entropy(logits, labels, labels, params).item() == pytest.approx(
        cross_entropy(logits, labels).item()
    )
