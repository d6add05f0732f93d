"""The traced model with its derivative: many sequences, steps and baselines a batch, by the sequence input."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nucleoscope.engine.forward import Forward
from nucleoscope.engine.graph import Graph

Read = Callable[[Tensor], Tensor]  # the output [B, ...] -> the numbers that are explained [B, T]


class Program:
    """A Graph that is run as a differentiable function, in one number type on one device.

    Constants are evaluated once, and none of them is given a gradient.
    """

    def __init__(self, graph: Graph, dtype: torch.dtype, device: torch.device) -> None:
        self.graph = graph
        self._forward = Forward(graph, dtype, device, pack=False)

    def __call__(self, X: Tensor, *others: Tensor) -> Tensor:
        """The output of the graph for a batch, which autograd follows back to X where that requires it.

        Equivalent to::

            model(X, *others)

        Args:
            X: a batch of sequences, in the layout of the trace and in the program's number type.
            others: further inputs, one row a sequence.

        Raises:
            ValueError: there are more or fewer further inputs than the traced model takes.
        """
        if len(others) != len(self.graph.others):
            raise ValueError(
                f"args: {len(others)} further inputs are given, the traced model takes "
                f"{len(self.graph.others)} ({', '.join(self.graph.others) or 'none'})"
            )
        inputs = dict(zip((self.graph.edited, *self.graph.others), (X, *others), strict=True))
        return self._forward.original(inputs, lambda _name, _value: None)

    def gradient(
        self,
        X: Tensor,  # [B, 4, L], or [B, L, 4]: as traced
        others: tuple[Tensor, ...] = (),
        *,
        read: Read,
    ) -> tuple[Tensor, Tensor]:  # [B, T], [B, T, 4, L]
        """Values that are read off the output, and what each grows by per unit of each letter of X.

        One forward serves all targets; each of them goes back alone. With `read=lambda y: (y *
        cotangent).flatten(1).sum(1, keepdim=True)` it is the product of a cotangent with the Jacobian.

        Equivalent to::

            values = read(model(X))
            gradients[:, t] = torch.autograd.grad(values[:, t].sum(), X)[0]

        Args:
            X: sequences, one-hot or on a path between: any numbers.
            others: further inputs, one row a sequence.
            read: the output of the graph -> T numbers a sequence.

        Raises:
            ValueError: what is read does not depend on X in a way that has a derivative.
        """
        with torch.enable_grad():
            leaf = X.detach().requires_grad_()
            values = read(self(leaf, *others))
            if values.grad_fn is None:
                raise ValueError(
                    "target: nothing that it reads depends on the sequence in a way that has a derivative"
                )
            last = values.shape[1] - 1
            each = [
                torch.autograd.grad(values[:, t].sum(), leaf, retain_graph=t < last)[0]
                for t in range(last + 1)
            ]
        return values.detach(), torch.stack(each, 1)
