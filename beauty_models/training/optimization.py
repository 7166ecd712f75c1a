"""Gradient descent that survives a kill: what learns, its optimizer, schedule and seeds, and the loop of a run without labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import nn

from beauty_models import progress
from beauty_models.params import Precision
from beauty_models.training.checkpoint import Checkpoint
from beauty_models.training.finite import NotFiniteError, not_finite

RUNAWAY = 1000.0  # times the first loss (of 1 at least): from there no run in nats or deviations comes back


class Recipe(Protocol):
    """The numbers of a descent, as a section of params.yaml holds them."""

    seed: int
    warmup: float
    weight_decay: float
    precision: Precision


class Watch:
    """What looks at every step of a training loop, so that one that runs away ends there and not hours later.

    ``title`` names the stage, or the part of it, in messages; ``where`` returns what they say of checkpoints.
    """

    def __init__(self, title: str, steps: int, rates: Iterable[float], precision: str) -> None:
        self.title, self.steps, self.precision = title, steps, precision
        self.rates = sorted(set(rates), reverse=True)
        self.first: float | None = None  # loss, the measure of what runs away
        self.where: Callable[[], str] = lambda: "there is no checkpoint"

    def loss(self, step: int, value: float) -> None:
        """Refuse the loss ``value`` of step ``step``, counted from 0.

        Raises:
            NotFiniteError: it is NaN, infinite, or so large that the run is lost.
        """
        if self.first is None and math.isfinite(value):
            self.first = value
        if not math.isfinite(value) or value > RUNAWAY * max(1.0, self.first or 0.0):
            raise self.error(step, f"the loss is {value:g}")

    def norm(self, step: int, value: torch.Tensor) -> None:
        """Refuse the length ``value`` of the gradients of step ``step``.

        Raises:
            NotFiniteError: it is NaN or infinite; following them would spoil every weight.
        """
        if not bool(torch.isfinite(value)):
            raise self.error(step, f"the gradients' length is {value.item():g}")

    def weights(self, step: int, state: Any) -> None:
        """Refuse ``state``, containers of tensors, as step ``step`` left it.

        Raises:
            NotFiniteError: it holds a NaN or an infinite number.
        """
        if name := not_finite(state):
            raise self.error(step, f"{name} is not finite")

    def error(self, step: int, what: str) -> NotFiniteError:
        """Return the error that names the step, what was seen, and the remedy."""
        rates = ", ".join(f"{rate:g}" for rate in self.rates)
        remedy = "lower the learning rates of this stage in params.yaml"
        if step == 0:  # nothing was learned before
            remedy = "look at the pretrained weights and the data"
        if self.precision != "float32":
            remedy += ", or set its precision to float32"
        return NotFiniteError(
            f"{self.title}: step {step + 1} of {self.steps}: {what} (learning rates {rates}; "
            f"precision {self.precision}). Training stopped, {self.where()}. Remedy: {remedy}"
        )


class Descent:
    """The weights of ``network`` that learn, their AdamW (Loshchilov & Hutter 2019) and its schedule: stepped, saved and resumed as one.

    ``groups`` are the optimizer's, with a rate ``lr`` each; what is in none of them does not learn.
    """

    def __init__(
        self,
        network: nn.Module,
        groups: list[dict[str, Any]],
        steps: int,
        recipe: Recipe,
    ) -> None:
        self.steps, self.seed = steps, recipe.seed
        self.watch = Watch("training", steps, [group["lr"] for group in groups], recipe.precision)
        self.done = 0  # steps
        self.optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: warmup_linear(step, steps, recipe.warmup)
        )
        known = {id(p) for group in groups for p in group["params"]}
        self.learned = {name: p for name, p in network.named_parameters() if id(p) in known}

    def watched(self, title: str, checkpoint: Checkpoint) -> Self:
        """Say in messages that this is ``title``, and which checkpoint is left; return self."""
        self.watch.title, self.watch.where = title, checkpoint.last_good
        return self

    def weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of everything that learns."""
        return {name: p.detach().clone() for name, p in self.learned.items()}

    @torch.no_grad()
    def put(self, weights: dict[str, torch.Tensor]) -> None:
        """Make ``weights`` those of the network.

        Raises:
            NotFiniteError: they hold a NaN or an infinite number.
        """
        self.watch.weights(max(0, self.done - 1), weights)
        for name, p in self.learned.items():
            p.copy_(weights[name])

    @torch.no_grad()
    def follow(self, mean: dict[str, torch.Tensor], decay: float) -> None:
        """Move the running mean ``mean`` of the weights by 1 − ``decay`` of the way to where they are now."""
        for name, p in self.learned.items():
            mean[name].lerp_(p, 1 - decay)

    def step(self, loss: float | None, clipped: Sequence[torch.Tensor] | None = None) -> None:
        """Follow the gradients of ``loss``, those of ``clipped`` (or all) cut to a length of 1 together, and forget them.

        Raises:
            NotFiniteError: the loss or a gradient is NaN or infinite; the weights are those before the step.
        """
        if loss is not None:
            self.watch.loss(self.done, loss)
        every = list(self.learned.values())
        self.watch.norm(
            self.done, nn.utils.clip_grad_norm_(every if clipped is None else clipped, 1.0)
        )
        if clipped is not None:
            known = {id(p) for p in clipped}
            others = [p.grad for p in every if p.grad is not None and id(p) not in known]
            self.watch.norm(self.done, nn.utils.get_total_norm(others))
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        self.done += 1

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold.

        Raises:
            NotFiniteError: the last step spoiled the weights or the optimizer.
        """
        state = {
            "weights": self.weights(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "done": self.done,
            "first_loss": self.watch.first,
        }
        self.watch.weights(max(0, self.done - 1), state)
        return state

    def resume(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self.put(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.done, self.watch.first = state["done"], state["first_loss"]


def descend(
    descent: Descent,
    loss: Callable[[int], torch.Tensor | None],
    checkpoint: Checkpoint,
    title: str,
    clipped: Sequence[torch.Tensor] | None = None,
) -> list[dict[str, float]]:
    """Take all steps of ``descent``, from the last checkpoint on, and leave a checkpoint at the end.

    ``loss`` returns the loss of a step, given its number, or None where there is nothing to learn from.

    Returns:
        ``step`` and mean ``loss`` of each tenth of the run.
    """
    steps, first, history, recent = descent.steps, 0, list[dict[str, float]](), list[float]()
    descent.watched(title, checkpoint)
    if state := checkpoint.load():
        descent.resume(state)
        first, history, recent = state["step"], state["history"], state["recent"]
        progress.say(f"{title}: resuming at step {first} of {steps}")
    with progress.bar(title, steps, first) as bar:
        for step in range(first, steps):
            seed_step(descent.seed, step)
            note, number = f"step {step + 1}/{steps}", None
            if (value := loss(step)) is not None:
                value.backward()
                number = value.item()
                recent.append(number)
                note += f", loss {number:.3f}"
            descent.step(number, clipped)
            if (step + 1) % max(1, steps // 10) == 0:
                history.append({"step": step + 1, "loss": float(np.mean(recent or [0.0]))})
                recent = []
            bar.advance(1, note)
            if checkpoint.due() or step + 1 == steps:
                checkpoint.save(
                    {"step": step + 1, "history": history, "recent": recent} | descent.state()
                )
    return history


def seed_step(seed: int, step: int) -> None:
    """Make the randomness of step ``step`` depend on ``seed`` and ``step`` alone, so that a resumed run repeats it."""
    torch.manual_seed(seed * 1_000_003 + step)


def warmup_linear(step: int, steps: int, warmup: float) -> float:
    """Return the factor on the learning rate: up linearly over the share ``warmup`` of ``steps``, then down to zero."""
    rise = max(1, round(steps * warmup))
    return (step + 1) / rise if step < rise else max(0.0, (steps - step) / max(1, steps - rise))
