"""Saturation mutagenesis: every letter at every site, by carrying only the change."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from nucleoscope.engine.cache import forget, in_turn, is_held
from nucleoscope.engine.changes import Changes, by_deltas
from nucleoscope.engine.graph import FixedBatch
from nucleoscope.engine.graph import Untraceable as Untraceable
from nucleoscope.engine.plan import Plan
from nucleoscope.engine.prepare import Asked, ask, forward, make_plan
from nucleoscope.engine.reduce import CENTERS, project
from nucleoscope.engine.reduce import center as centered
from nucleoscope.engine.steady import answer, check_steady
from nucleoscope.engine.target import Func, Read
from nucleoscope.engine.verify import Disagreement as Disagreement
from nucleoscope.engine.verify import verify as verify_edits
from nucleoscope.methods.running import NaiveFallback as NaiveFallback
from nucleoscope.methods.running import (
    describe,
    exactly,
    levels_to_the_caller,
    meanwhile,
    precision_of,
    read_func,
    read_verify,
    versions,
)
from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis as naive
from nucleoscope.result import Attribution, Check


def saturation_mutagenesis(
    model: nn.Module,
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...] | None = None,  # further inputs, each [N, ...]
    *,
    start: int = 0,
    end: int | None = None,
    target: Any = None,
    func: Func | None = None,
    hypothetical: bool = False,
    center: str = "mean",
    layout: str = "NCL",
    alphabet: str = "ACGT",
    precision: str = "fp32",
    memory: int | None = None,
    verify: int = 2,
    progress: bool = False,
    device: str | torch.device | None = None,
) -> Attribution:  # scores [N, 4, end - start], or [N, T, 4, end - start] for a list of targets
    """What every single-base substitution does to a model's output, exactly.

    A score is the change of the target, in the output's own units, when the letter is put at the site;
    `center` says what it is measured against. Deltas are exact in the sense of the arithmetic: the error
    is rounding relative to the effects, not to the output.

    Parameters
    ----------
    model
        Any module in eval mode from one-hot sequence to one tensor [N, ...]. It is not changed.
    X
        One-hot sequences. An all-zero column is N; equal parts of several letters are their IUPAC code.
        At both, all letters are tried against the column as it stands.
    args
        What else the model takes, a tensor [N, ...] each. They are never edited.
    start, end
        The sites to edit, half open, in positions of X. The whole sequence by default.
    target
        What to read off one sequence's output: an int or slice (its first axis), a tuple (several axes),
        a list (several targets), None: the mean over all outputs, and the result says so. What is
        selected is averaged.
    func
        Applied to the model's output [B, ...] before `target`. With it, whole outputs are formed.
    hypothetical
        Keep the scores of all letters; otherwise those of letters that are not there are zero.
    center
        ``"mean"``: less the mean over all letters, the letter there counting 0 (tangermeme);
        ``"alternatives"``: less the mean over the other letters, all of them at N (AlphaGenome);
        ``"none"``: changes as they are (CREsted, Borzoi); with ``hypothetical=True`` only.
    layout, alphabet
        How X is laid out, ``"NCL"`` or ``"NLC"``, and which letter each of its columns is.
    precision
        ``"fp32"`` or ``"fp64"``: what the engine computes in. ``"tf32"`` (on a GPU) and ``"bf16"`` (there,
        and on processors that have it): deltas are multiplied as such and summed in fp32, beside fp32
        originals; off by about 0.04 and 0.3 %. Torch's own TF32 and autocast are off during the call.
    memory
        Bytes the engine may hold on the device; by default a quarter of what is free there. Where it
        turns out too much, batches are halved.
    progress
        Show a bar with rate and time left.
    device
        Where to compute; by default where the model is. X may lie anywhere, and the model stays where it is.
    verify
        How many edits to recompute through the model itself, in float64 where it is small enough: the
        strongest and random others. 0 for none.

    Returns
    -------
    Attribution
        ``scores`` on the named ``axes``, the output for the originals, what was done (``facts``), and
        the ``checks`` that it passed.

    Raises
    ------
    TypeError, ValueError, IndexError
        For an argument that cannot be meant; the message names it.
    Disagreement
        If the verification fails. Nothing is returned then.

    Source: in-silico mutagenesis, Alipanahi et al. 2015 (Nat. Biotechnol. 33, 831).

    Equivalent to::

        raw[n, t, a, s] = read(model(X with letter a at s))[n, t] - read(model(X))[n, t]
        scores = raw - raw.mean(2, keepdim=True)
        scores if hypothetical else scores * X[:, None, :, start:end]
    """
    if center not in CENTERS:
        raise ValueError(f"center={center!r}: use one of {', '.join(map(repr, CENTERS))}")
    if center == "none" and not hypothetical:
        raise ValueError(
            "center='none': at the letters that stand there every change is 0, so nothing would be "
            "shown. Pass hypothetical=True, or center='mean'."
        )
    verify = read_verify(verify)
    read_func(func)
    with in_turn, contextlib.ExitStack() as stack:
        asked = ask(
            model, X, args, start=start, end=end, layout=layout, alphabet=alphabet,
            precision=precision, memory=memory, device=device,
        )  # fmt: skip
        rounding = stack.enter_context(exactly(asked))
        found, engine, checks = _changes(asked, Read(target, func), verify, progress, rounding)
    columns = asked.sequences.columns[:, :, asked.start : asked.end].cpu()
    scores = centered(found.raw, center, columns)
    if not hypothetical:
        scores = project(scores, columns)
    many = isinstance(target, list)
    axes = ("sequence", "target", "letter", "site") if many else ("sequence", "letter", "site")
    facts = {
        "method": "saturation_mutagenesis", "target": describe(target), "center": center,
        "hypothetical": hypothetical, "precision": precision_of(asked, found.raw, engine),
        "engine": engine, "repeated_in_float64": found.repeated, **versions(),
    }  # fmt: skip
    return Attribution(
        scores if many else scores[:, 0], axes, alphabet, asked.start, found.original, facts, checks,
        _compact(columns),
    )  # fmt: skip


def _compact(columns: Tensor) -> Tensor:
    """In a byte a letter, unless a column is shared by several."""
    whole = columns.to(torch.int8)
    return whole if torch.equal(whole.to(columns), columns) else columns


def plan(
    model: nn.Module, X: Tensor, args: tuple[Tensor, ...] | None = None, *, start: int = 0,
    end: int | None = None, target: Any = None, func: Func | None = None, layout: str = "NCL",
    alphabet: str = "ACGT", precision: str = "fp32", memory: int | None = None,
    device: str | torch.device | None = None,
) -> Plan:  # fmt: skip
    """What `saturation_mutagenesis` would do with the same arguments; print it.

    The arguments are those of `saturation_mutagenesis`.

    It shows every layer's window and cone, the seam and each op that ends locality with the line of your
    model that calls it, the arithmetic saved, and the memory. Raises Untraceable where the model cannot be
    traced, and what `saturation_mutagenesis` raises for bad arguments.
    """
    with in_turn, contextlib.ExitStack() as stack:
        asked = ask(
            model, X, args, start=start, end=end, layout=layout, alphabet=alphabet,
            precision=precision, memory=memory, device=device,
        )  # fmt: skip
        stack.enter_context(exactly(asked))
        return make_plan(asked, forward(asked), Read(target, func))


def _changes(
    asked: Asked, read: Read, verify: int, progress: bool, rounding: list[str]
) -> tuple[Changes, str, tuple[Check, ...]]:
    """The raw changes, by which engine they were made, and the checks they passed."""
    seen_before = is_held(asked.model)
    edits = asked.sequences.letters[:, asked.start : asked.end].size * (asked.sequences.size - 1)
    bar = tqdm(total=edits, unit=" edits", disable=not progress, unit_scale=True)
    with bar:
        try:
            found = by_deltas(asked, read, bar.update)
        except Untraceable as why:
            warnings.warn(
                "the model cannot be traced, so the plain loop runs instead (slower, and as exact as "
                f"the model): {why}{meanwhile(rounding)}",
                NaiveFallback,
                stacklevel=levels_to_the_caller(),
            )
            batch = 1 if isinstance(why, FixedBatch) else 64
            found, engine = _by_the_loop(asked, read, bar.update, batch), "plain loop"
        else:
            engine = "delta" if found.local else "delta, then the model's own tail"
    if not torch.isfinite(found.raw).all():
        who = (
            "model: some edits make its output"
            if read.func is None
            else "func: of some edits it returns"
        )
        raise ValueError(f"{who} NaN or infinite; no scores can be given")
    if engine == "plain loop":
        return (
            found,
            engine,
            (Check("verification", True, "none needed: the plain loop is the definition"),),
        )
    if not verify:
        return found, engine, ()
    try:
        verdict = verify_edits(asked, found, read, verify, seed=0)
    except Disagreement:
        if not seen_before:
            raise
        forget(asked.model)  # something may have changed that no key holds: a global, a file
        return _changes(asked, read, verify, progress, rounding)
    return found, engine, (Check("verification", True, str(verdict)),)


def _by_the_loop(asked: Asked, read: Read, between: Callable[[int], Any], batch: int) -> Changes:
    X, *others = asked.inputs
    axis = 1 if asked.sequences.layout == "NCL" else 2
    if batch > 1:
        alone = answer(asked.model, X, tuple(others))
        check_steady(asked.model, alone, X, tuple(others), batch)
    sites = range(asked.start, asked.end)
    raw = naive(
        asked.model, X, tuple(others), sites=sites, letters=axis, read=read, batch=batch,
        between=lambda edits: between(edits * (X.shape[axis] - 1) // X.shape[axis]),
    )  # fmt: skip
    with torch.no_grad():
        own = [  # of copies: a model may write into what it is given
            read(asked.model(*(t[n : n + 1].clone() for t in (X, *others)))) for n in range(len(X))
        ]
    return Changes(raw.cpu(), torch.cat(own).cpu(), exact=False, local=False)
