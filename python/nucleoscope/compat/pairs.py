"""DeepLIFT's multipliers of single pairs, as captum's and tangermeme's callers ask for them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.gradients.multipliers import Multipliers
from nucleoscope.engine.tracing.cache import in_turn, traced


class Pairs:
    """A model's multipliers between inputs and baselines, [B, 4, L] both, or one input for all baselines."""

    def __init__(
        self, model: nn.Module, X: Tensor, others: tuple[Tensor, ...],
        chosen: Callable[[Tensor], Tensor],
    ) -> None:  # fmt: skip
        """`chosen` takes from outputs [B, ...] what is explained, [B, T].

        Raises ValueError for inputs of other dimensions, and for a model with an op that has no rule.
        """
        if X.ndim != 3:
            raise ValueError(
                f"inputs: of shape {tuple(X.shape)}; sequences [N, letters, length] are explained here"
            )
        with in_turn:
            held = traced(
                model, X[:1], tuple(t[:1] for t in others), "NCL", X.dtype, X.device, "fp32", Read(None)
            )  # fmt: skip
            self._multipliers = Multipliers(held.forward, chosen)

    def __call__(
        self, X: Tensor, baselines: Tensor, others: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:  # [B, T, 4, L], [B, T]
        """The multipliers, and the differences of what is explained."""
        count = len(baselines)
        if len(X) == 1 < count and not self._multipliers.one_serves_all:
            X = X.expand(count, *X.shape[1:])
        rows = tuple(t.expand(count, *t.shape[1:]) for t in others)
        here = rows if len(X) == count else others
        with in_turn:
            originals = self._multipliers.originals(X, here)
            values, m = self._multipliers(originals, baselines, rows)
        return m, originals.output - values
