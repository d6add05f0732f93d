"""A linear layer that has only the edges it has: time and memory follow these, not the sizes of its two sides."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class EdgeLinear(nn.Module):
    """[N, in] -> [N, out], one weight an edge and, with `bias`, one constant an output.

    Equivalent to::

        dense = zeros(out, in); dense[sinks, sources] = weight; x @ dense.T + bias

    `edges` are pairs (input, output). The sum over an output's edges is torch's embedding bag, which reads whole
    rows of a matrix with its features first: `columns` takes and gives that. Raises ValueError for an edge that is
    named twice or leads nowhere.
    """

    sources: Tensor
    sinks: Tensor
    starts: Tensor

    def __init__(
        self, edges: Iterable[tuple[int, int]], inputs: int, outputs: int, *, bias: bool = True
    ) -> None:
        super().__init__()
        of, to = torch.tensor(list(edges), dtype=torch.long).reshape(-1, 2).T
        if len(of) and (of.min() < 0 or to.min() < 0 or of.max() >= inputs or to.max() >= outputs):
            raise ValueError(f"an edge leads out of {inputs} inputs or {outputs} outputs")
        order = (to * inputs + of).sort()
        if (order.values.diff() == 0).any():
            raise ValueError("an edge is named twice")
        self.inputs, self.outputs = inputs, outputs
        of, to = of[order.indices], to[order.indices]
        counts = torch.bincount(to, minlength=outputs)
        for name, value in (("sources", of), ("sinks", to), ("starts", counts.cumsum(0) - counts)):
            self.register_buffer(name, value, persistent=False)
        bound = counts.clamp(min=1).to(torch.get_default_dtype()).rsqrt()
        self.weight = nn.Parameter((2 * torch.rand(len(of)) - 1) * bound[to])
        self.bias = nn.Parameter((2 * torch.rand(outputs) - 1) * bound) if bias else None

    def columns(self, x: Tensor) -> Tensor:  # [in, N] -> [out, N]
        """The layer with features first."""
        made: Tensor = F.embedding_bag(
            self.sources, x, self.starts, mode="sum", per_sample_weights=self.weight
        )
        return made if self.bias is None else made + self.bias[:, None]

    def forward(self, x: Tensor) -> Tensor:
        return self.columns(x.T.contiguous()).T

    def back(self, v: Tensor) -> Tensor:  # [out] -> [in]
        """The product with the transposed weights.

        Equivalent to::

            dense().T @ v
        """
        return v.new_zeros(self.inputs).index_add(0, self.sources, self.weight * v[self.sinks])

    def wiring(self) -> bytes:
        """Its edges in their order, which is not that in which they were given."""
        return torch.stack([self.sources, self.sinks]).cpu().numpy().tobytes()

    def read(self) -> tuple[Tensor, ...]:
        """The inputs with an edge to each output."""
        counts = torch.bincount(self.sinks, minlength=self.outputs).tolist()
        made: tuple[Tensor, ...] = self.sources.split(counts)
        return made

    def dense(self) -> Tensor:
        """[out, in], with zeros where there is no edge."""
        made = self.weight.new_zeros(self.outputs, self.inputs)
        return made.index_put((self.sinks, self.sources), self.weight)
