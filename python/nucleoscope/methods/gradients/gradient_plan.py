"""What a gradient method will do for a model, told before it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.answers.read import Func, Read
from nucleoscope.engine.prepare import ask
from nucleoscope.engine.tracing.cache import in_turn
from nucleoscope.methods.ensemble import View
from nucleoscope.methods.gradients.differentiating import opened_for
from nucleoscope.methods.running import exactly


@dataclass(frozen=True)
class GradientPlan:
    """Gradients of one model at so many points; it prints itself."""

    sequences: int
    points: int  # for each sequence
    targets: int
    batch: int  # points that go together
    row: int  # bytes that a point takes on its way
    memory: int  # bytes allowed
    kinks: tuple[str, ...]  # functions on which the model is not smooth
    blind: tuple[str, ...]  # what the gradient does not pass, or is 0 through

    @property
    def smooth(self) -> bool:
        """Whether the model has every derivative along a path."""
        return not self.kinks

    def __str__(self) -> str:
        total, many = self.sequences * self.points, "s" * (self.targets > 1)
        points = f"{total:,} gradients ({self.sequences:,} sequences, {self.points:,} each)"
        size, budget = f"{self.row / 1e6:,.1f} MB", f"{self.memory / 1e6:,.0f} MB"
        rule = "The model is smooth: Gauss-Legendre rules are exact with few nodes."
        if not self.smooth:
            rule = f"The model has kinks ({', '.join(self.kinks)}): midpoints, whose error falls as 1 / n."
        lines = [
            f"Plan: {points} of {self.targets} target{many}, by the model's own autograd",
            f"Batches of {self.batch} points, {size} each on the way; budget {budget}.",
            rule,
        ]
        if self.row > self.memory:
            lines.append(
                f"It may not fit: one point takes {self.row / 1e9:,.3f} GB, the budget is "
                f"{self.memory / 1e9:,.3f} GB. Raise memory, shorten X, or compute where there is more."
            )
        return "\n".join([*lines, *(f"The gradient does not see {each}." for each in self.blind)])


def plan_gradients(
    model: Any, X: Tensor, args: tuple[Tensor, ...] | None = None, *, points: int = 1, target: Any = None,
    func: Func | None = None, layout: str = "NCL", alphabet: str | None = None, precision: str = "fp32",
    memory: int | None = None,
) -> GradientPlan:  # fmt: skip
    """What a gradient method would do with the same arguments; print it.

    points: gradients a sequence, as `n_steps` of `integrated_gradients`. It is of one model; one forward
    is made. Raises what `saliency` raises for bad arguments, and for a model that has no gradient.
    """
    alphabet = alphabet_of(model, alphabet)
    with in_turn:
        asked = ask(
            model, X, args, start=0, end=None, layout=layout, alphabet=alphabet, precision=precision,
            memory=memory, device=None,
        )  # fmt: skip
        with exactly(asked):
            backward = opened_for(asked, Read(target, func), View()).backward
    look = backward.look
    batch = min(backward.rows, len(X) * points)
    return GradientPlan(
        len(X), points, look.targets, batch, look.row, asked.memory, look.kinks, (*look.cuts, *look.flat),
    )  # fmt: skip
