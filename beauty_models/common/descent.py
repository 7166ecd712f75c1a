"""Gradient descent that survives a kill: what learns, its optimizer and schedule as one, and the loop of a run without labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from beauty_models.checkpoint import Checkpoint
from beauty_models.common import progress
from beauty_models.common.training import seed_step, warmup_linear


class Recipe(Protocol):
    """The numbers of a descent, as a section of params.yaml holds them."""

    seed: int
    warmup: float
    weight_decay: float


class Descent:
    """The weights of ``network`` that learn, their AdamW (Loshchilov & Hutter 2019) and its schedule: stepped, saved and resumed as one.

    ``groups`` are the optimizer's, with a rate ``lr`` each; what is in none of them does not learn.
    """

    def __init__(
        self, network: nn.Module, groups: list[dict[str, Any]], steps: int, recipe: Recipe
    ) -> None:
        self.steps, self.seed = steps, recipe.seed
        self.optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: warmup_linear(step, steps, recipe.warmup)
        )
        known = {id(p) for group in groups for p in group["params"]}
        self.learned = {name: p for name, p in network.named_parameters() if id(p) in known}

    def weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of everything that learns."""
        return {name: p.detach().clone() for name, p in self.learned.items()}

    @torch.no_grad()
    def put(self, weights: dict[str, torch.Tensor]) -> None:
        """Make ``weights`` those of the network."""
        for name, p in self.learned.items():
            p.copy_(weights[name])

    @torch.no_grad()
    def follow(self, mean: dict[str, torch.Tensor], decay: float) -> None:
        """Move the running mean ``mean`` of the weights by 1 − ``decay`` of the way to where they are now."""
        for name, p in self.learned.items():
            mean[name].lerp_(p, 1 - decay)

    def step(self, clipped: Sequence[torch.Tensor] | None = None) -> None:
        """Follow the gradients, those of ``clipped`` (or all) cut to a length of 1 together, and forget them."""
        nn.utils.clip_grad_norm_(self.learned.values() if clipped is None else clipped, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {
            "weights": self.weights(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self.put(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])


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
    if state := checkpoint.load():
        descent.resume(state)
        first, history, recent = state["step"], state["history"], state["recent"]
        progress.say(f"{title}: resuming at step {first} of {steps}")
    with progress.bar(title, steps, first) as bar:
        for step in range(first, steps):
            seed_step(descent.seed, step)
            note = f"step {step + 1}/{steps}"
            if (value := loss(step)) is not None:
                value.backward()
                recent.append(value.item())
                note += f", loss {recent[-1]:.3f}"
            descent.step(clipped)
            if (step + 1) % max(1, steps // 10) == 0:
                history.append({"step": step + 1, "loss": float(np.mean(recent or [0.0]))})
                recent = []
            bar.advance(1, note)
            if checkpoint.due() or step + 1 == steps:
                checkpoint.save(
                    {"step": step + 1, "history": history, "recent": recent} | descent.state()
                )
    return history
