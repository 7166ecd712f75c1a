"""What learns, its optimizer and schedule, the average of its weights, and its seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import nn

from beauty_models.params import OptimizerParams
from beauty_models.training.checkpoint import Checkpoint
from beauty_models.training.finite import NotFiniteError, not_finite

Weights = dict[str, torch.Tensor]
ParameterGroup = dict[str, Any]  # `params` and their `lr`, as torch's optimizers take it

# times the first loss (of 1 at least): from there no run in nats or deviations comes back
RUNAWAY = 1000.0


class DivergenceGuard:
    """What looks at every step of a training loop: one that runs away ends there, not hours later.

    ``title`` names the stage, or the part of it, in messages; ``where`` returns what they say of
    checkpoints.
    """

    def __init__(self, title: str, steps: int, rates: Iterable[float], precision: str) -> None:
        self.title = title
        self.steps = steps
        self.precision = precision
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
        highest = RUNAWAY * max(1.0, self.first or 0.0)
        if not math.isfinite(value) or value > highest:
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
        name = not_finite(state)
        if name is not None:
            raise self.error(step, f"{name} is not finite")

    def error(self, step: int, what: str) -> NotFiniteError:
        """Return the error that names the step, what was seen, and the remedy."""
        rates = ", ".join(f"{rate:g}" for rate in self.rates)
        remedy = "lower the learning rates of this stage in params.yaml"
        if step == 0:  # nothing was learned before
            remedy = "look at the pretrained weights and the data"
        if self.precision != "float32":
            remedy += ", or set its precision to float32"
        place = f"{self.title}: step {step + 1} of {self.steps}"
        settings = f"learning rates {rates}; precision {self.precision}"
        return NotFiniteError(
            f"{place}: {what} ({settings}). Training stopped, {self.where()}. Remedy: {remedy}"
        )


class Optimization:
    """The weights of ``network`` that learn, their AdamW (Loshchilov & Hutter 2019), its schedule.

    ``groups`` are the optimizer's, with a rate ``lr`` each; what is in none of them does not learn.
    A training with two optimizers, such as a GAN, has two of these; its ``betas``, the decay of the
    averages of gradients and of their squares, are mostly others.
    """

    def __init__(
        self,
        network: nn.Module,
        groups: list[ParameterGroup],
        steps: int,
        params: OptimizerParams,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        self.steps = steps
        self.seed = params.seed
        rates = [group["lr"] for group in groups]
        self.guard = DivergenceGuard("training", steps, rates, params.precision)
        self.done = 0  # steps
        # fused: one kernel over all weights, where the other ways take many small ones
        self.optimizer = torch.optim.AdamW(
            groups, betas=betas, weight_decay=params.weight_decay, fused=True
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: warmup_linear(step, steps, params.warmup)
        )
        # by identity: `==` of two tensors compares their values
        learned = {id(p) for group in groups for p in group["params"]}
        self.learned = {name: p for name, p in network.named_parameters() if id(p) in learned}

    def watched(self, title: str, checkpoint: Checkpoint) -> Self:
        """Say in messages that this is ``title``, and which checkpoint is left; return self."""
        self.guard.title = title
        self.guard.where = checkpoint.last_good
        return self

    def weights(self) -> Weights:
        """Return a copy of everything that learns."""
        return {name: p.detach().clone() for name, p in self.learned.items()}

    @torch.no_grad()
    def load_weights(self, weights: Weights) -> None:
        """Make ``weights`` those of the network.

        Raises:
            NotFiniteError: they hold a NaN or an infinite number.
        """
        self.guard.weights(max(0, self.done - 1), weights)
        for name, p in self.learned.items():
            p.copy_(weights[name])

    def step(self, loss: float | None, clipped: Sequence[torch.Tensor] | None = None) -> None:
        """Follow the gradients of ``loss``, and forget them.

        Those of ``clipped``, or all, are cut to a length of 1 together (Pascanu et al. 2013).

        Raises:
            NotFiniteError: the loss or a gradient is NaN or infinite; the weights are those before
                the step.
        """
        if loss is not None:
            self.guard.loss(self.done, loss)
        weights = list(self.learned.values())
        norm = nn.utils.clip_grad_norm_(weights if clipped is None else clipped, 1.0)
        self.guard.norm(self.done, norm)
        if clipped is not None:
            # what is not clipped can be infinite all the same
            cut = {id(p) for p in clipped}
            uncut = [p.grad for p in weights if p.grad is not None and id(p) not in cut]
            self.guard.norm(self.done, nn.utils.get_total_norm(uncut))
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        self.done += 1

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold.

        Raises:
            NotFiniteError: the last step spoiled the weights or the optimizer.
        """
        state = {
            "weights": self.weights(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "done": self.done,
            "first_loss": self.guard.first,
        }
        self.guard.weights(max(0, self.done - 1), state)
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self.load_weights(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.done = state["done"]
        self.guard.first = state["first_loss"]


class EMA:
    """The exponential moving average of what ``optimization`` trains, from its present weights on.

    An average over many steps is steadier than the last one (Polyak & Juditsky 1992).
    """

    def __init__(self, optimization: Optimization) -> None:
        self._optimization = optimization
        self.weights = optimization.weights()

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Move the average by 1 − ``decay`` of the way to the present weights.

        Who averages nothing, by a ``decay`` of 0 in every step, pays nothing for it: the average is
        the weights themselves then, not a copy.
        """
        if decay == 0:
            self.weights = {name: p.detach() for name, p in self._optimization.learned.items()}
            return
        for name, p in self._optimization.learned.items():
            self.weights[name].lerp_(p, 1 - decay)

    def copy(self) -> Weights:
        """Return a copy of the average."""
        return {name: value.clone() for name, value in self.weights.items()}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the network the average's weights while the block runs."""
        trained = self._optimization.weights()
        self._optimization.load_weights(self.weights)
        try:
            yield
        finally:
            self._optimization.load_weights(trained)

    def state_dict(self) -> Weights:
        """Return what a checkpoint must hold."""
        return self.weights

    def load_state_dict(self, state: Weights) -> None:
        """Go on where ``state`` was taken."""
        for name, value in self.weights.items():
            value.copy_(state[name])


def layer_decay_groups(
    blocks: Sequence[nn.Module], rate: float, decay: float
) -> list[ParameterGroup]:
    """Return an optimizer's group for each of ``blocks`` (lowest first), the topmost one's first.

    The topmost block learns at ``rate``, each at ``decay`` times that of the one above it:
    layer-wise learning-rate decay (Howard & Ruder 2018). What lies low is general, and is changed
    least.
    """
    groups = []
    for depth, block in enumerate(reversed(blocks)):
        groups.append({"params": list(block.parameters()), "lr": rate * decay**depth})
    return groups


def seed_step(seed: int, step: int) -> None:
    """Make the randomness of a step depend on ``seed`` and ``step`` alone.

    A resumed run then repeats it.
    """
    # more than a run has steps, so that two seeds share none
    torch.manual_seed(seed * 1_000_003 + step)


def warmup_linear(step: int, steps: int, warmup: float) -> float:
    """Return the factor on the learning rate in ``step``, counted from 0.

    It rises linearly over the share ``warmup`` of ``steps``, then falls to zero, as in BERT.
    """
    rise = max(1, round(steps * warmup))
    if step < rise:
        return (step + 1) / rise
    # the scheduler asks for one step more than there are
    return max(0.0, (steps - step) / max(1, steps - rise))
