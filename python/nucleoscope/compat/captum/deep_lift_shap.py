"""captum 0.9's DeepLiftShap, a batch of pairs at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from nucleoscope.compat.captum.deep_lift import DeepLift, one_input
from nucleoscope.compat.captum.question import Inputs, as_inputs, like_given


class DeepLiftShap(DeepLift):
    """DeepLift's attributions, averaged over a distribution of baselines that all examples share."""

    def __init__(self, model: nn.Module, multiply_by_inputs: bool = True) -> None:
        super().__init__(model, multiply_by_inputs)

    def attribute(  # type: ignore[override]
        self, inputs: Tensor | Inputs, baselines: Any, target: Any = None,
        additional_forward_args: Any = None, return_convergence_delta: bool = False,
        custom_attribution_func: Callable[..., Inputs] | None = None,
    ) -> Any:  # fmt: skip
        """As captum's: baselines [M, ...] or a function that makes them of the inputs; deltas are [N * M]."""
        x = one_input(inputs)
        if callable(baselines):
            baselines = baselines(inputs)
        (b,) = as_inputs(baselines, "baselines")
        if b.shape[1:] != x.shape[1:]:
            raise ValueError(
                f"baselines: shape {tuple(b.shape)}; must be [M, {', '.join(map(str, x.shape[1:]))}]"
            )
        many, count = len(x), len(b)

        def repeated(t: Any) -> Any:
            row = isinstance(t, Tensor) and t.ndim > 0 and len(t) == many
            return t.repeat_interleave(count, 0) if row else t

        given = additional_forward_args
        given = tuple(map(repeated, given)) if isinstance(given, tuple) else repeated(given)
        if isinstance(target, list):
            target = [t for t in target for _ in range(count)]
        elif isinstance(target, Tensor) and target.numel() > 1:
            target = target.repeat_interleave(count, 0)
        made, gaps = self._pairs(
            x.repeat_interleave(count, 0), b.to(x).repeat(many, 1, 1), target, given,
            custom_attribution_func,
        )  # fmt: skip
        found = like_given(inputs, (made.unflatten(0, (many, count)).mean(1),))
        return (found, gaps) if return_convergence_delta else found
