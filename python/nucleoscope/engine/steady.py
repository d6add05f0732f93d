"""Whether a model's answer for a sequence depends on that sequence alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.engine.graph import FixedBatch

# Two runs of one sequence in different batches differ by rounding only: parts in 1e6. A real dependence
# (batch statistics, encodings by batch slot) is orders of magnitude larger.
ROUNDING = 1e-3


def check_finite(model: nn.Module) -> None:
    """Refuse weights that hold NaN or infinite numbers, by name."""
    for name, tensor in model.named_parameters():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ValueError(f"model: weight {name!r} holds NaN or infinite numbers")
    for name, buffer in model.named_buffers():  # an attention mask is a buffer of -inf by right
        if buffer.is_floating_point() and torch.isnan(buffer).any():
            raise ValueError(f"model: weight {name!r} holds NaN")


def check_steady(model: nn.Module, example: Tensor, others: tuple[Tensor, ...]) -> None:
    """Run one sequence alone, first of two, and second of two; refuse a model that tells them apart."""
    one = [t[:1] for t in (example, *others)]
    partner = [one[0].flip(tuple(range(1, one[0].ndim))), *one[1:]]
    with torch.no_grad():
        try:
            alone = _tensor(model(*one))
        except TypeError as error:
            raise TypeError(
                f"args: the model was called with X and {len(others)} further inputs and refused: {error}"
            ) from error
        try:
            first = _tensor(model(*(torch.cat([a, b]) for a, b in zip(one, partner, strict=True))))
        except (
            Exception
        ) as error:  # it took one sequence a moment ago, so the batch is what it minds
            raise FixedBatch(f"it takes one sequence at a time: {error}") from error
        second = _tensor(model(*(torch.cat([b, a]) for a, b in zip(one, partner, strict=True))))
    if alone.ndim == 0 or first.ndim == 0 or len(alone) != 1 or len(first) != 2:
        raise ValueError(
            f"model: its output has shape {tuple(alone.shape)} for one sequence and {tuple(first.shape)} "
            "for two; the first dimension must be the batch."
        )
    if not torch.isfinite(alone).all():
        raise ValueError(
            "model: its output holds NaN or infinite numbers for the first sequence of X"
        )
    scale = float(alone.abs().max()) + torch.finfo(torch.float32).tiny
    for name, other in (("first", first[:1]), ("second", second[1:])):
        gap = float((other - alone).abs().max()) / scale
        if not gap <= ROUNDING:
            raise ValueError(
                f"model: its output for a sequence depends on the batch: as the {name} of two it differs "
                f"by {gap:.1e} (relative) from the same sequence alone. Effects of single bases cannot be "
                "told from that. Look for batch statistics, state kept between calls, or encodings indexed "
                "by batch slot."
            )


def _tensor(output: Any) -> Tensor:
    if isinstance(output, Tensor):
        return output.detach()
    kind = type(output).__name__
    many = f" of {len(output)}" if isinstance(output, tuple | list | dict) else ""
    raise ValueError(
        f"model: it returns a {kind}{many}; the engine explains one tensor. Wrap it in a module whose "
        "forward returns the tensor you ask about, e.g. `return self.model(x)[1]`."
    )
