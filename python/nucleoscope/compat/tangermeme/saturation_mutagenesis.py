"""tangermeme's saturation_mutagenesis, argument for argument and number for number."""

from __future__ import annotations

import string
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from nucleoscope import NaiveFallback
from nucleoscope import saturation_mutagenesis as by_deltas
from nucleoscope.compat.outputs import Read, Reading, SaturationMutagenesisRawResult
from nucleoscope.compat.tangermeme.inputs import (
    HALVES,
    autocast,
    hard,
    others_as,
    place_of,
    ready,
    typed,
)

# `fast=False` is the definition itself, which the public face runs only for untraceable models.
from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis as by_the_loop


def saturation_mutagenesis(
    model: nn.Module,
    X: Tensor,  # [N, 4, L]
    args: tuple[Tensor, ...] | None = None,  # each [N, ...]
    start: int = 0,
    end: int = -1,
    batch_size: int = 32,
    target: int | slice | None = None,
    hypothetical: bool = False,
    raw_outputs: bool = False,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    verbose: bool = False,
    func: Callable[..., Any] | None = None,
    fast: bool = True,
) -> Tensor | SaturationMutagenesisRawResult:  # [N, 4, end - start] on the CPU
    """What every single-base substitution does to a model's output, as tangermeme 1.6 reports it.

    A score is the change of the output, in its own units, less the mean over the four letters (the
    letter there counts 0), averaged over the chosen outputs. A few edits are recomputed by the
    model itself; a result that it contradicts is withheld.

    Parameters
    ----------
    model
        Any module; it runs in eval mode, and every submodule gets its own mode back.
    X
        One-hot sequences of any number type, or tangermeme's PackedSequence. An all-zero column is
        N. Cast to int8: fractions become 0, with a `SoftValues` warning.
    args
        Further inputs of the model, cast to its number type.
    start, end
        The sites to edit, half open. A negative `end` counts from behind the last site: -1 is L.
    batch_size
        Mutants per forward with `fast=False`. The engine picks its own batches.
    target
        Which outputs to average, an index into axis 1 of the output; None: all of them.
    hypothetical
        Keep the scores of all letters; otherwise those of letters that are not there are zero.
    raw_outputs
        Return the outputs themselves, before and after; models of several outputs need it, or a
        `func` that picks one.
    dtype
        The type that inputs are cast to, the model's own where None. Half precision means autocast
        with `fast=False`; the engine computes in float32 all the same, and the result has the type
        that autocast would give it.
    device
        Where to compute; CUDA where there is one. The engine leaves the model where it is, and
        `fast=False` brings it back.
    func
        Applied to the model's output, edited or not, before anything is read off it, every row by
        itself. With a model of several outputs it is traced along.
    fast
        Carry deltas, whatever the size of the job; False runs the plain loop.

    Raises
    ------
    ValueError
        For an empty range of sites, `args` of another length than X, several outputs without
        `raw_outputs`, outputs that are not tensors, columns of X that are neither one letter nor N.
    IndexError
        For a `target` that the output does not have.
    Disagreement
        A RuntimeError: the engine and the model differ by more than rounding.

    Warns
    -----
    SoftValues
        X holds fractions.
    NaiveFallback
        The engine does not take the model, and the plain loop runs instead.

    Equivalent to::

        attr[n, a, s] = func(model(X with letter a at s))[n, target] - func(model(X))[n, target]
        attr = (attr - attr.mean(1, keepdim=True)).mean(every axis of the output)
        attr if hypothetical else X[:, :, start:end] * attr
    """
    X = hard(X)
    sites = _sites(start, end, X.shape[2])
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}: a number of mutants, 1 or more")
    native = next((p.dtype for p in model.parameters()), torch.float32)
    kind = typed(model, dtype)
    others = others_as(args, len(X), kind)
    place = place_of(device)
    if fast and native in HALVES:
        warnings.warn(
            f"the model's weights are {native}, which the engine does not take, so the plain loop "
            "runs instead. Call model.float() to have the engine.",
            NaiveFallback,
            stacklevel=2,
        )
        fast = False
    with ready(model, None if fast else place) as home, torch.no_grad():
        first = [t[:1].to(home, kind) for t in (X, *others)]
        with autocast(home, kind):
            output = model(*first)
        reading = Reading(func, target, raw_outputs, output)
        if fast:
            changes, original = _by_deltas(
                model, X, others, sites, reading,
                isinstance(output, Tensor) and output.is_floating_point(), native, place, verbose,
            )  # fmt: skip
        else:
            changes, original = _by_the_loop(
                model, X, others, sites, reading, kind, place, batch_size, verbose
            )
    if raw_outputs:
        return reading.whole(changes, original)
    scores = changes[:, 0]
    scores = (scores - scores.mean(1, keepdim=True)).to(reading.parts[0].dtype)
    return scores if hypothetical else X[:, :, sites.start : sites.stop] * scores


def _sites(start: int, end: int, length: int) -> range:
    stop = length + 1 + end if end < 0 else end
    if not 0 <= start < stop <= length:
        raise ValueError(f"start={start}, end={end}: no sites, or sites beyond the {length} of X")
    return range(start, stop)


def _by_deltas(
    model: nn.Module, X: Tensor, others: tuple[Tensor, ...], sites: range, reading: Reading,
    one_tensor: bool, native: torch.dtype, place: torch.device, verbose: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Changes [N, T, A, sites] and original values [N, T] by the engine.

    The engine explains models of one tensor. Another model is joined with what is read off it; its
    trace then lives as long as this call.
    """
    func: Callable[..., Any] | None
    if reading.raw:
        target: Any = list(range(sum(part.numel() for part in reading.parts)))
        model, func = (model, reading.rows) if one_tensor else (Read(model, reading.rows), _same)
    else:
        # In a tuple, an index is one of axis 1 whatever its kind: a bare list asks for several
        # targets, where tangermeme means the mean of them.
        target = None if reading.target is None else (reading.target,)
        model, func = (model, reading.func) if one_tensor else (Read(model, reading.post), None)
    found = by_deltas(
        model.eval(), X, others, start=sites.start, end=sites.stop, target=target, func=func,
        hypothetical=True, center="none", alphabet=string.ascii_letters[: X.shape[1]],
        precision="fp64" if native == torch.float64 else "fp32", progress=verbose, device=place,
    )  # fmt: skip
    changes = found.scores if reading.raw else found.scores[:, None]
    return changes, found.original


def _same(output: Tensor) -> Tensor:
    return output


def _by_the_loop(
    model: nn.Module, X: Tensor, others: tuple[Tensor, ...], sites: range, reading: Reading,
    kind: torch.dtype, place: torch.device, batch_size: int, verbose: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The same by editing and predicting."""
    inputs = [t.to(place, kind) for t in (X, *others)]

    def read(output: Any) -> Tensor:
        rows = reading.rows(output)
        return rows.float() if rows.dtype in HALVES else rows  # so that a difference loses nothing

    total = len(X) * X.shape[1] * len(sites)
    bar = tqdm(total=total, unit=" edits", disable=not verbose, unit_scale=True)
    with bar, autocast(place, kind), warnings.catch_warnings():
        # Half precision is what was asked for.
        warnings.filterwarnings("ignore", "two outputs computed under autocast")
        changes = by_the_loop(
            model, inputs[0], tuple(inputs[1:]),
            sites=sites, read=read, batch=batch_size, between=bar.update,
        )  # fmt: skip
        batches = zip(*(t.split(batch_size) for t in inputs), strict=True)
        original = torch.cat([read(model(*batch)).cpu() for batch in batches])
    return changes.cpu(), original
