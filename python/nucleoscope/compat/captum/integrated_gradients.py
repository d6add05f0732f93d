"""captum 0.9's IntegratedGradients, whose weights sum to 1 by every rule and whose steps are streamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from nucleoscope.compat.captum.question import (
    Inputs,
    Question,
    as_baselines,
    as_inputs,
    delta,
    exact,
    floating,
    like_given,
)
from nucleoscope.engine.gradients.integral import Paths, integral
from nucleoscope.engine.gradients.quadrature import rule


class IntegratedGradients:
    """The mean gradient between baselines and inputs, times the way between them.

    ``multiply_by_inputs=False`` leaves that factor out.
    """

    def __init__(self, forward_func: Callable[..., Any], multiply_by_inputs: bool = True) -> None:
        self.forward_func, self._multiply = forward_func, multiply_by_inputs

    def attribute(
        self, inputs: Tensor | Inputs, baselines: Any = None, target: Any = None,
        additional_forward_args: Any = None, n_steps: int = 50, method: str = "gausslegendre",
        internal_batch_size: int | None = None, return_convergence_delta: bool = False,
    ) -> Any:  # fmt: skip
        """As captum's: attributions shaped as the inputs, and with `return_convergence_delta` [N] after them.

        `internal_batch_size` is the number of points in a batch; None: as many as memory allows.
        """
        end = floating(as_inputs(inputs))
        start = as_baselines(baselines, end)
        question = Question.of(self.forward_func, additional_forward_args, target, len(end[0]))
        with exact(end):
            backward = question.backward(end, internal_batch_size)
            made = averaged(backward, Paths(start, end, question.rows), method, n_steps)
            if self._multiply:
                made = tuple(g * (b - a) for g, a, b in zip(made, start, end, strict=True))
            if not return_convergence_delta:
                return like_given(inputs, made)
            return like_given(inputs, made), delta(question, backward.rows, made, start, end)

    def compute_convergence_delta(
        self, attributions: Tensor | Inputs, start_point: Any, end_point: Tensor | Inputs, target: Any = None,
        additional_forward_args: Any = None,
    ) -> Tensor:  # fmt: skip
        """What attributions miss of the change of the target from start to end, [N]."""
        end = floating(as_inputs(end_point, "end_point"))
        question = Question.of(self.forward_func, additional_forward_args, target, len(end[0]))
        made = as_inputs(attributions, "attributions")
        start = as_baselines(start_point, end)
        with exact(end):
            return delta(question, question.backward(end).rows, made, start, end)

    def has_convergence_delta(self) -> bool:
        """It has one."""
        return True

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether gradients are multiplied by the way."""
        return self._multiply


def averaged(backward: Any, paths: Paths, method: str, n_steps: int) -> Inputs:
    """The mean gradient of each input, [N, ...] each, where the inputs are."""
    found = integral(backward, paths, rule(method, n_steps), lambda _points: None).mean
    return tuple(g[:, 0].to(t.device) for g, t in zip(found, paths.end, strict=True))
