"""captum 0.9's Saliency."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from nucleoscope.compat.captum.integrated_gradients import averaged
from nucleoscope.compat.captum.question import (
    Inputs,
    Question,
    as_inputs,
    exact,
    floating,
    like_given,
)
from nucleoscope.engine.gradients.integral import Paths


class Saliency:
    """The gradient at the inputs; its absolute value unless ``abs=False``."""

    def __init__(self, forward_func: Callable[..., Any]) -> None:
        self.forward_func = forward_func

    def attribute(
        self,
        inputs: Tensor | Inputs,
        target: Any = None,
        abs: bool = True,
        additional_forward_args: Any = None,
    ) -> Any:
        """As captum's: shaped as the inputs."""
        made = gradient(self.forward_func, inputs, target, additional_forward_args)
        return like_given(inputs, tuple(g.abs() for g in made) if abs else made)


def gradient(forward_func: Callable[..., Any], inputs: Any, target: Any, additional: Any) -> Inputs:
    """The gradient at each input, [N, ...] each."""
    given = floating(as_inputs(inputs))
    question = Question.of(forward_func, additional, target, len(given[0]))
    with exact(given):
        # A path of one point: its end.
        return averaged(question.backward(given), Paths(given, given, question.rows), "right", 1)
