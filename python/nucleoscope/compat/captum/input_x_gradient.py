"""captum 0.9's InputXGradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from nucleoscope.compat.captum.question import Inputs, as_inputs, like_given
from nucleoscope.compat.captum.saliency import gradient


class InputXGradient:
    """The inputs times the gradient there."""

    def __init__(self, forward_func: Callable[..., Any]) -> None:
        self.forward_func = forward_func

    def attribute(
        self, inputs: Tensor | Inputs, target: Any = None, additional_forward_args: Any = None
    ) -> Any:
        """As captum's: shaped as the inputs."""
        made = gradient(self.forward_func, inputs, target, additional_forward_args)
        return like_given(
            inputs, tuple(x * g for x, g in zip(as_inputs(inputs), made, strict=True))
        )

    @property
    def multiplies_by_inputs(self) -> bool:
        """It does."""
        return True
