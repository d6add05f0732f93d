"""captum 0.9's DeepLift, with a rule for every op: functions and modules alike, used once or often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.compat.captum.question import (
    Inputs,
    Question,
    as_baselines,
    as_inputs,
    exact,
    floating,
    for_each,
    like_given,
)
from nucleoscope.compat.pairs import Pairs

BATCH = 32  # pairs at a time


class DeepLift:
    """Multipliers between baselines and inputs, times the difference of the two.

    ``multiply_by_inputs=False`` leaves that factor out. `eps` is not needed: no slope is taken of a difference
    that has lost its digits.
    """

    def __init__(
        self, model: nn.Module, multiply_by_inputs: bool = True, eps: float = 1e-10
    ) -> None:
        del eps
        self.model, self._multiply = model, multiply_by_inputs

    def attribute(
        self, inputs: Tensor | Inputs, baselines: Any = None, target: Any = None,
        additional_forward_args: Any = None, return_convergence_delta: bool = False,
        custom_attribution_func: Callable[..., Inputs] | None = None,
    ) -> Any:  # fmt: skip
        """As captum's: attributions shaped as the inputs, and with `return_convergence_delta` [N] after them.

        Raises ValueError for more than one input, or other than [N, letters, length].
        """
        x = one_input(inputs)
        b = for_each(as_baselines(baselines, (x,)), len(x))[0]
        made, gaps = self._pairs(x, b, target, additional_forward_args, custom_attribution_func)
        found = like_given(inputs, (made,))
        return (found, gaps) if return_convergence_delta else found

    def _pairs(
        self, x: Tensor, b: Tensor, target: Any, additional: Any, custom: Callable[..., Inputs] | None
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Attributions of pairs [R, ...], and what they miss of the target's change [R]."""
        question = Question.of(self.model, additional, target, len(x))
        if any(each is not None for each in question.extra):
            raise ValueError(
                "additional_forward_args: tensors with a row an example are traced; leave others out by a wrapper"
            )
        each = question.rows[question.extra.count(None) :]  # targets by row, where there are such
        others = question.rows[: question.extra.count(None)]
        at: list[slice] = []

        def chosen(y: Tensor) -> Tensor:
            rows = each[0][at[-1]] if each else None
            picked = question.chosen(y, rows)
            if picked[0].numel() != 1:
                raise ValueError(
                    f"target: {picked[0].numel()} numbers an example are chosen; name one by target"
                )
            return picked.reshape(len(picked), 1)

        made, gaps = [], []
        with exact((x,)):
            pairs = Pairs(question.model, x, others, chosen)
            for first in range(0, len(x), BATCH):
                at.append(slice(first, min(first + BATCH, len(x))))
                here, there = x[at[-1]], b[at[-1]]
                m, change = pairs(here, there, tuple(t[at[-1]] for t in others))
                m = m[:, 0]
                gaps.append((m * (here - there)).flatten(1).sum(1) - change[:, 0])
                if custom is not None:
                    made.append(custom((m,), (here,), (there,))[0])
                else:
                    made.append(m * (here - there) if self._multiply else m)
        return torch.cat(made), torch.cat(gaps)

    def has_convergence_delta(self) -> bool:
        """It has one."""
        return True

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether multipliers are multiplied by the difference."""
        return self._multiply


def one_input(inputs: Tensor | Inputs) -> Tensor:
    """The one input that is explained."""
    given = floating(as_inputs(inputs))
    if len(given) != 1:
        raise ValueError(
            f"inputs: {len(given)} tensors; one is explained, pass the others as additional_forward_args"
        )
    return given[0]
