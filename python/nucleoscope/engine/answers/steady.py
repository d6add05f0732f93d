"""Whether a model's answer for a sequence depends on that sequence alone."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.engine.answers import outputs
from nucleoscope.engine.answers.read import Read
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


def answer(model: nn.Module, example: Tensor, others: tuple[Tensor, ...]) -> Any:
    """What the model returns for the first sequence alone: a tensor, or a structure of them.

    Raises what names the argument that the model does not take.
    """
    given = [t[:1].clone() for t in (example, *others)]
    try:
        with torch.no_grad():
            alone = model(*given)
    except TypeError as error:
        raise TypeError(
            f"args: the model was called with X and {len(others)} further inputs and refused: {error}"
        ) from error
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, AssertionError, LookupError) as error:
        raise ValueError(_failing(example, others, str(error) or _where(error))) from error
    for name, before, after in zip(
        ("X", *["args"] * len(others)), (example, *others), given, strict=True
    ):
        same = (before[:1] == after) | (before[:1] != before[:1])  # NaN is not itself
        if not same.all():
            raise ValueError(
                f"model: its forward changes its input {name} in place, so an edit may be undone or stay. "
                "Let it work on a copy: x = x.clone()."
            )
    return alone


def _failing(example: Tensor, others: tuple[Tensor, ...], said: str) -> str:
    """What a model that fails is told to be given: any of its inputs may be the wrong one."""
    shape = tuple(example.shape[1:])
    length = (
        "If it was built for another length, give X of that length (on the command line: --length)"
    )
    if not others:
        return f"X: the model fails on one sequence of shape {shape}: {said}\n{length}."
    further = ", ".join(f"args[{i}] {tuple(t.shape[1:])}" for i, t in enumerate(others))
    return (
        f"X or args: the model fails on one sequence of shape {shape} and further inputs {further}: {said}\n"
        f"{length}, and args of the shapes that belong to it."
    )


def _where(error: Exception) -> str:
    """The line that raised: of an `assert` without a message, all there is."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {last.filename}:{last.lineno}: {last.line}"


def _check_answer(alone: Tensor, who: str) -> None:
    """Refuse what is read off the first sequence's output where it cannot be explained."""
    if alone.ndim == 0 or len(alone) != 1:
        raise ValueError(
            f"{who} has shape {tuple(alone.shape)} for one sequence; the first dimension must be the batch."
        )
    if not torch.isfinite(alone).all():
        raise ValueError(f"{who} holds NaN or infinite numbers for the first sequence of X")


def check_steady(
    model: nn.Module, example: Tensor, others: tuple[Tensor, ...], read: Read, batch: int = 3
) -> Tensor:
    """What is read off the answer for the first sequence, of a model that answers alike whenever asked.

    Refused is one that answers otherwise the second time, or in a batch of that sequence that has its mirror
    image first and among the others. So is a `func` that does, if the model does not.
    """
    try:
        return _check_steady(model, example, others, read, batch)
    except Unsteady as error:
        if read.func is None:
            raise
        try:
            _check_steady(model, example, others, Read(None), batch)
        except (Unsteady, IndexError):
            raise error from None
        raise Unsteady(
            str(error)
            .replace("model: its output", "func: what it returns", 1)
            .partition(" Look for")[0]
            + " The model alone is steady: let func treat every row of the output by itself."
        ) from None


def takes_one(model: nn.Module, inputs: tuple[Tensor, ...], read: Read) -> bool:
    """Whether the model takes one sequence at a time only; refused is one that minds what lies beside it."""
    try:
        check_steady(model, inputs[0], inputs[1:], read)
    except FixedBatch:
        return True
    return False


class Unsteady(ValueError):
    """The answer for a sequence depends on more than that sequence."""


def _check_steady(
    model: nn.Module, example: Tensor, others: tuple[Tensor, ...], read: Read, batch: int
) -> Tensor:
    def output(*inputs: Tensor) -> Tensor:
        with torch.no_grad():
            made = read.ask(model, *inputs)
            return (
                read.leaves(made).joined(made).detach().clone()
            )  # the model may write into it again

    one = [t[:1] for t in (example, *others)]
    with torch.no_grad():
        whole = model(*(t.clone() for t in one))
        level = outputs.largest(whole)
        # A forward of a long sequence may take a minute: it is not made a second time for the same numbers.
        joined = None if read.func else read.leaves(whole).joined(whole).detach().clone()
    alone = output(*(t.clone() for t in one)) if joined is None else joined
    _check_answer(alone, "model: its output" if read.func is None else "func: what it returns")
    # What func makes of large numbers may be small: their rounding is no dependence.
    scale = max(float(alone.abs().max()), 1e-2 * level, torch.finfo(torch.float32).tiny)
    # Each forward may take a minute: one batch shows every slot, what lies beside a sequence, and whether it
    # gets the same answer again. The first row is another than the last, and it is not the same batch from its
    # end.
    partner = [_another(one[0]), *one[1:]]
    other = output(*(t.clone() for t in partner))
    _check_shape(other, alone, "that sequence reversed")
    mirrored = {0, 3} if batch > 3 else {0}
    rows = [partner if i in mirrored else one for i in range(batch)]
    try:
        made = output(*(torch.cat(column) for column in zip(*rows, strict=True)))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # it took one sequence just now: the batch is what it minds
        for _ in range(2):  # it may take turns
            _check_again(output(*(t.clone() for t in one)), alone, scale)
        raise FixedBatch(f"it takes one sequence at a time: {error}") from error
    if made.ndim == 0 or len(made) != batch:
        raise ValueError(
            f"model: its output has shape {tuple(alone.shape)} for one sequence and "
            f"{tuple(made.shape)} for {batch}; the first dimension must be the batch."
        )
    _check_shape(made, alone, f"{batch} sequences")
    try:
        _check_slots(made, alone, scale, [i for i in range(batch) if i not in mirrored])
        if torch.isfinite(other).all():
            _check_slots(made, other, max(scale, float(other.abs().max())), mirrored)
    except Unsteady:
        _check_again(output(*(t.clone() for t in one)), alone, scale)
        raise
    return alone


def _another(X: Tensor) -> Tensor:
    """Another sequence: the mirror image, or, of one that is its own, it moved on or with a letter more."""
    for made in (X.flip(tuple(range(1, X.ndim))), X.roll(1, -1)):
        if not torch.equal(made, X):
            return made
    made = X.clone()
    made[(0,) * made.ndim] += 1
    return made


def _check_again(again: Tensor, alone: Tensor, scale: float) -> None:
    """Refuse a model that gives the same sequence, alone once more, another answer."""
    _check_shape(again, alone, "the same sequence a second time")
    gap = float((again - alone).abs().max()) / scale
    if not gap <= ROUNDING:
        raise Unsteady(
            f"model: two calls with the same sequence give answers that differ by {gap:.1e} (relative): it "
            "is random, or keeps state between calls. Look for dropout that is always on (F.dropout without "
            "training=self.training), sampling, or attributes that forward writes and reads."
        )


def _check_shape(made: Tensor, alone: Tensor, what: str) -> None:
    """Refuse outputs whose size is what the sequences make it: there is nothing to subtract number by number."""
    if made.shape[1:] != alone.shape[1:]:
        raise Unsteady(
            f"model: its output has shape {tuple(alone.shape)} for a sequence and {tuple(made.shape)} for {what}: "
            "the shape depends on the data (a boolean mask, nonzero, unique), so that effects, which are "
            "differences of outputs, are not defined. Return all positions, with those left out as zeros, or "
            "a sum or mean over those chosen."
        )


def _check_slots(made: Tensor, alone: Tensor, scale: float, slots: Iterable[int]) -> None:
    for slot in slots:
        gap = float((made[slot : slot + 1] - alone).abs().max()) / scale
        if not gap <= ROUNDING:
            raise Unsteady(
                f"model: its output for a sequence depends on the batch: as number {slot + 1} of "
                f"{len(made)} it differs by {gap:.1e} (relative) from the same sequence alone. Effects of "
                "single bases cannot be told from that. Look for batch statistics, or encodings indexed by "
                "batch slot."
            )
