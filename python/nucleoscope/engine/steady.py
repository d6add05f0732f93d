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
        if not buffer.is_floating_point():
            continue
        statistic = name.rpartition(".")[2] in ("running_mean", "running_var")
        if torch.isnan(buffer).any() or (statistic and torch.isinf(buffer).any()):
            raise ValueError(f"model: weight {name!r} holds NaN or infinite numbers")


def answer(model: nn.Module, example: Tensor, others: tuple[Tensor, ...]) -> Tensor:
    """The model's output for the first sequence alone, which can be explained."""
    given = [t[:1].clone() for t in (example, *others)]
    try:
        alone = _output(model, *given)
    except TypeError as error:
        raise TypeError(
            f"args: the model was called with X and {len(others)} further inputs and refused: {error}"
        ) from error
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise ValueError(
            f"X: the model fails on one sequence of shape {tuple(example.shape[1:])}: {error}\n"
            "If it was built for another length, give X of that length (on the command line: --length)."
        ) from error
    for name, before, after in zip(
        ("X", *["args"] * len(others)), (example, *others), given, strict=True
    ):
        same = (before[:1] == after) | (before[:1] != before[:1])  # NaN is not itself
        if not same.all():
            raise ValueError(
                f"model: its forward changes its input {name} in place, so an edit may be undone or stay. "
                "Let it work on a copy: x = x.clone()."
            )
    if alone.ndim == 0 or len(alone) != 1:
        raise ValueError(
            f"model: its output has shape {tuple(alone.shape)} for one sequence; the first dimension "
            "must be the batch."
        )
    if not torch.isfinite(alone).all():
        raise ValueError(
            "model: its output holds NaN or infinite numbers for the first sequence of X"
        )
    return alone


def check_steady(
    model: nn.Module, alone: Tensor, example: Tensor, others: tuple[Tensor, ...], batch: int = 5
) -> None:
    """Refuse a model that answers otherwise the second time, in a pair, or in a larger batch.

    `alone` is its answer to the first sequence; batches alternate that one and its mirror image.
    """
    one = [t[:1] for t in (example, *others)]
    partner = [one[0].flip(tuple(range(1, one[0].ndim))), *one[1:]]
    gap = _gap(_output(model, *(t.clone() for t in one)), alone)
    if not gap <= ROUNDING:
        raise ValueError(
            f"model: two calls with the same sequence give answers that differ by {gap:.1e} (relative): it "
            "is random, or keeps state between calls. Look for dropout that is always on (F.dropout without "
            "training=self.training), sampling, or attributes that forward writes and reads."
        )
    for size in sorted({2, batch}):
        for first in (0, 1):
            rows = [one if (i + first) % 2 == 0 else partner for i in range(size)]
            try:
                made = _output(model, *(torch.cat(column) for column in zip(*rows, strict=True)))
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # it took one sequence just now: the batch is what it minds
                raise FixedBatch(f"it takes one sequence at a time: {error}") from error
            if made.ndim == 0 or len(made) != size:
                raise ValueError(
                    f"model: its output has shape {tuple(alone.shape)} for one sequence and "
                    f"{tuple(made.shape)} for {size}; the first dimension must be the batch."
                )
            _check_slots(made, alone, range(first, size, 2))


def _check_slots(made: Tensor, alone: Tensor, slots: range) -> None:
    for slot in slots:
        gap = _gap(made[slot : slot + 1], alone)
        if not gap <= ROUNDING:
            raise ValueError(
                f"model: its output for a sequence depends on the batch: as number {slot + 1} of "
                f"{len(made)} it differs by {gap:.1e} (relative) from the same sequence alone. Effects of "
                "single bases cannot be told from that. Look for batch statistics, or encodings indexed by "
                "batch slot."
            )


def _gap(made: Tensor, alone: Tensor) -> float:
    scale = float(alone.abs().max()) + torch.finfo(torch.float32).tiny
    return float((made - alone).abs().max()) / scale


def _output(model: nn.Module, *inputs: Tensor) -> Tensor:
    with torch.no_grad():
        output: Any = model(*inputs)
    if isinstance(output, Tensor):
        return output.detach()
    kind = type(output).__name__
    many = f" of {len(output)}" if isinstance(output, tuple | list | dict) else ""
    raise ValueError(
        f"model: it returns a {kind}{many}; the engine explains one tensor. Wrap it in a module whose "
        "forward returns the tensor you ask about, e.g. `return self.model(x)[1]`."
    )
