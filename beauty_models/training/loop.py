"""The training loop that the families call: epochs, checkpoints within them, early stopping.

A family says what one step is: it takes a batch, learns from it, and returns the loss. What happens
in between, with one optimizer or two that alternate, with an average of the weights or without, the
loop does not see; all that changes from step to step it saves and loads through `Stateful`, which
torch's modules and optimizers are already.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from beauty_models import progress
from beauty_models.params import Precision
from beauty_models.training.checkpoint import Checkpoint
from beauty_models.training.finite import NotFiniteError
from beauty_models.training.optimization import DivergenceGuard, Optimization, Weights, seed_step

Batch = TypeVar("Batch")


class Stateful(Protocol):
    """What a checkpoint can hold, named as in torch."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors, numbers, strings and containers of them."""

    def load_state_dict(self, state: dict[str, Any], /) -> object:
        """Go on where ``state`` was taken."""


class Validation(NamedTuple):
    """What an epoch was worth on the validation split."""

    metrics: dict[str, float]  # for the history and the log
    score: Any  # what `EarlyStopping` compares: a number or tensors


class EarlyStopping:
    """Keeps one epoch's weights; stops after ``patience`` epochs in a row that did not replace it.

    ``weights`` returns a copy of what is to be kept. ``replaces(score, kept_score)`` says whether
    an epoch takes the place of the one that is kept; by default when its score is higher. The first
    epoch that is scored is always kept.
    """

    def __init__(
        self,
        weights: Callable[[], Weights],
        patience: int,
        replaces: Callable[[Any, Any], bool] = operator.gt,
    ) -> None:
        self._copy = weights
        self._replaces = replaces
        self.patience = patience
        self.epoch: int | None = None  # the kept one
        self.score: Any = None  # of the kept one
        self.weights: Weights = {}
        self.waited = 0  # epochs in a row that were not kept

    @property
    def stopped(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= self.patience

    def update(self, epoch: int, score: Any) -> None:
        """Keep the weights of ``epoch``, or count it as one more that was waited for in vain."""
        if self.epoch is not None and not self._replaces(score, self.score):
            self.waited += 1
            return
        self.epoch = epoch
        self.score = score
        self.weights = self._copy()
        self.waited = 0

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {
            "epoch": self.epoch,
            "score": self.score,
            "weights": self.weights,
            "waited": self.waited,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self.epoch = state["epoch"]
        self.score = state["score"]
        self.weights = state["weights"]
        self.waited = state["waited"]


@dataclass(kw_only=True)
class Loop(Generic[Batch]):
    """A training in epochs of ``steps_per_epoch`` steps; `run` it.

    Randomness is seeded before each step from (``seed``, number of the step) alone, so that a run
    that was killed and goes on from its checkpoint repeats what an undisturbed one does.
    """

    title: str  # of the bar and of messages
    epochs: int
    steps_per_epoch: int
    seed: int
    # epoch, from 0 → its batches, the same ones every time
    batches: Callable[[int], Sequence[Batch]]
    # learns from a batch in the step of that number → loss
    step: Callable[[Batch, int], float]
    checkpoint: Checkpoint
    stateful: Mapping[str, Stateful]  # all that `step` changes
    begin_epoch: Callable[[int], None] = lambda epoch: None  # thaws layers, turns dropout on
    validate: Callable[[], Validation] | None = None
    stopping: EarlyStopping | None = None  # on what `validate` returns
    epoch: int = field(default=0, init=False)  # how many are done
    batch: int = field(default=0, init=False)  # steps of the current epoch that are done
    loss: float = field(default=0.0, init=False)  # sum over them
    history: list[dict[str, float]] = field(default_factory=list, init=False)

    def run(self, state: dict[str, Any] | None, *, validate_start: bool = False) -> None:
        """Train to the end, from ``state`` on, which `Checkpoint.load` returned.

        With ``validate_start`` the weights from before the first step are scored as epoch 0, and
        may be the ones that are kept.

        Raises:
            NotFiniteError: a loss is NaN or infinite.
        """
        if state is not None:
            self.load_state_dict(state)
            progress.log_line(
                f"{self.title}: resuming in epoch {self.epoch + 1} after batch {self.batch} "
                f"of {self.steps_per_epoch}"
            )
        elif validate_start:
            self.record(0.0)
        total = self.steps_per_epoch * self.epochs
        with progress.bar(self.title, total, self.epoch * self.steps_per_epoch + self.batch) as bar:
            while self.epoch < self.epochs and not (self.stopping and self.stopping.stopped):
                self.train_epoch(bar)
                self.end_epoch()

    def train_epoch(self, bar: progress.Bar) -> None:
        """Take the steps of the current epoch that are not done yet."""
        self.begin_epoch(self.epoch)
        batches = self.batches(self.epoch)
        assert len(batches) == self.steps_per_epoch
        while self.batch < len(batches):
            number = self.epoch * self.steps_per_epoch + self.batch
            seed_step(self.seed, number)
            loss = self.step(batches[self.batch], number)
            # an Optimization tells earlier, but not every step has one
            if not math.isfinite(loss):
                steps = self.steps_per_epoch * self.epochs
                raise NotFiniteError(
                    f"{self.title}: step {number + 1} of {steps}: the loss is {loss:g}. "
                    f"Training stopped, {self.checkpoint.last_good()}. "
                    "Remedy: lower the learning rates of this stage in params.yaml"
                )
            self.batch += 1
            self.loss += loss
            epoch = self.epoch + 1
            mean_loss = self.loss / self.batch
            note = f"epoch {epoch}/{self.epochs}, loss {mean_loss:.3f}"
            bar.advance(1, note)
            if self.checkpoint.due():
                self.checkpoint.save(self.state_dict())

    def end_epoch(self) -> None:
        """Turn to the next epoch and record the one that ends."""
        mean_loss = self.loss / self.batch
        self.epoch += 1
        self.batch = 0
        self.loss = 0.0
        self.record(mean_loss)

    def record(self, mean_loss: float) -> None:
        """Validate, and add the row of ``epoch`` to the history and the log."""
        row = {"epoch": self.epoch, "loss": mean_loss}
        if self.validate is not None:
            validation = self.validate()
            row |= validation.metrics
            if self.stopping is not None:
                self.stopping.update(self.epoch, validation.score)
        self.history.append(row)
        # The epoch stands before them in the line.
        values = ", ".join(f"{name} {row[name]:.4f}" for name in row if name != "epoch")
        progress.log_line(f"{self.title}: epoch {self.epoch}: {values}")

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        state: dict[str, Any] = {}
        for name, part in self.stateful.items():
            state[name] = part.state_dict()
        state["loop"] = {
            "epoch": self.epoch,
            "batch": self.batch,
            "loss": self.loss,
            "history": self.history,
        }
        if self.stopping is not None:
            state["stopping"] = self.stopping.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        for name, part in self.stateful.items():
            part.load_state_dict(state[name])
        if self.stopping is not None:
            self.stopping.load_state_dict(state["stopping"])
        position = state["loop"]
        self.epoch = position["epoch"]
        self.batch = position["batch"]
        self.loss = position["loss"]
        self.history = position["history"]


class Trainer(Protocol[Batch]):
    """A family's fine-tuning, as `finetuning_loop` needs it."""

    optimization: Optimization
    stopping: EarlyStopping

    def begin_epoch(self, epoch: int, /) -> None:
        """Put the network into training: thaw layers, turn dropout on."""

    def batches(self, epoch: int, /) -> Sequence[Batch]:
        """Return the batches of ``epoch``, from 0, the same ones every time."""

    def step(self, batch: Batch, number: int, /) -> float:
        """Learn from ``batch`` in step ``number`` of the run; return the loss."""

    def validate(self) -> Validation:
        """Return what the epoch was worth on the validation split."""


def finetuning_loop(
    trainer: Trainer[Batch],
    epochs: int,
    steps_per_epoch: int,
    checkpoint: Checkpoint,
    **averages: Stateful,
) -> Loop[Batch]:
    """Return the loop that fine-tunes what ``trainer`` has; its checkpoints hold ``averages`` too.

    After its `run` the network has the weights of the last step; those of the epoch that was kept
    are ``trainer.stopping.weights``.
    """
    return Loop(
        title="finetune",
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        seed=trainer.optimization.seed,
        begin_epoch=trainer.begin_epoch,
        batches=trainer.batches,
        step=trainer.step,
        validate=trainer.validate,
        stopping=trainer.stopping,
        checkpoint=checkpoint,
        stateful={"optimization": trainer.optimization, **averages},
    )


class HeadParams(Protocol):
    """The numbers of `train_head`, as a section of params.yaml holds them."""

    seed: int
    batch: int
    head_epochs: int
    head_learning_rate: float
    precision: Precision


def train_head(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    rows: int,
    batches: Callable[[int], Sequence[Batch]],
    loss: Callable[[Batch], torch.Tensor],
    params: HeadParams,
) -> None:
    """Train what ``optimizer`` has, the new head of ``network``, before anything else learns.

    A head that begins at random would distort the features below it before it can use them: linear
    probing, then fine-tuning (Kumar et al. 2022). The learning rate is constant.

    Args:
        rows: of the training split.
        batches: epoch, from 0 → its batches of ``params.batch`` rows.
        loss: of a batch, on features that do not change.

    Raises:
        NotFiniteError: a loss, or a weight at the end, is NaN or infinite.
    """
    steps_per_epoch = -(-rows // params.batch)
    steps = params.head_epochs * steps_per_epoch
    title = "finetune: the head alone"
    guard = DivergenceGuard(title, steps, [params.head_learning_rate], params.precision)
    network.train()
    with progress.bar(title, steps) as bar:
        for epoch in range(params.head_epochs):
            for number, batch in enumerate(batches(epoch)):
                # not the seeds of `Loop`, whose first steps would draw the same dropout
                seed_step(params.seed + 1, epoch * rows + number)
                batch_loss = loss(batch)
                guard.loss(epoch * steps_per_epoch + number, batch_loss.item())
                batch_loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                bar.advance()
    guard.weights(steps - 1, dict(network.named_parameters()))


def train_steps(
    optimization: Optimization,
    loss: Callable[[int], torch.Tensor | None],
    checkpoint: Checkpoint,
    title: str,
    clipped: Sequence[torch.Tensor] | None = None,
) -> list[dict[str, float]]:
    """Take all steps of ``optimization``, from the last checkpoint on; leave one at the end.

    This is a training without validation, whose length is a number of steps, not of whole epochs.
    ``loss`` returns the loss of a step, given its number, or None where there is nothing to learn
    from.

    Returns:
        ``step`` and mean ``loss`` of each tenth of the run.
    """
    steps = optimization.steps
    first = 0
    history: list[dict[str, float]] = []
    recent: list[float] = []  # losses since the last row of the history
    optimization.watched(title, checkpoint)
    state = checkpoint.load()
    if state is not None:
        optimization.load_state_dict(state)
        first = state["step"]
        history = state["history"]
        recent = state["recent"]
        progress.log_line(f"{title}: resuming at step {first} of {steps}")
    with progress.bar(title, steps, first) as bar:
        for step in range(first, steps):
            seed_step(optimization.seed, step)
            note = f"step {step + 1}/{steps}"
            step_loss = loss(step)
            value = None
            if step_loss is not None:
                step_loss.backward()
                value = step_loss.item()
                recent.append(value)
                note += f", loss {value:.3f}"
            # also without a loss: the schedule counts steps
            optimization.step(value, clipped)
            if (step + 1) % max(1, steps // 10) == 0:
                mean_loss = float(np.mean(recent)) if recent else 0.0
                history.append({"step": step + 1, "loss": mean_loss})
                recent = []
            bar.advance(1, note)
            # one at the end, too: what comes before the output is written may take long
            if checkpoint.due() or step + 1 == steps:
                position = {"step": step + 1, "history": history, "recent": recent}
                checkpoint.save(position | optimization.state_dict())
    return history
