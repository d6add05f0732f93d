"""Saturation mutagenesis: every letter at every site, by carrying only the change."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.answers.read import Func, Read
from nucleoscope.engine.edits.edited import table_plan
from nucleoscope.engine.edits.verify import Disagreement as Disagreement
from nucleoscope.engine.graph import Untraceable as Untraceable
from nucleoscope.engine.planning.plan import Plan
from nucleoscope.engine.prepare import ask, forward, make_plan
from nucleoscope.engine.tracing.cache import in_turn
from nucleoscope.methods import ensemble
from nucleoscope.methods.alike import check_alike
from nucleoscope.methods.edits.linear_trunk import LinearTrunk, read_trunk
from nucleoscope.methods.edits.raw_changes import answered
from nucleoscope.methods.edits.substitution_effect import read_table
from nucleoscope.methods.reduce import CENTERS, project
from nucleoscope.methods.reduce import center as centered
from nucleoscope.methods.running import NaiveFallback as NaiveFallback
from nucleoscope.methods.running import UntracedFunc as UntracedFunc
from nucleoscope.methods.running import exactly, read_func, read_verify, versions
from nucleoscope.result import Attribution

Model = nn.Module | Callable[..., Any]


def saturation_mutagenesis(
    model: Model | Sequence[Model],
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
    alphabet: str | None = None,
    precision: str = "fp32",
    memory: int | None = None,
    verify: int = 2,
    progress: bool = False,
    device: str | torch.device | None = None,
    reverse_complement: bool = False,
    reverse_target: Any = None,
    shifts: Sequence[int] = (0,),
    trunk: str | LinearTrunk = "exact",
) -> Attribution:  # scores [N, 4, end - start], or [N, T, 4, end - start] for a list of targets
    """What every single-base substitution does to a model's output, exactly.

    A score is the change of the target, in the output's own units, when the letter is put at the site;
    `center` says what it is measured against. Deltas are exact in the sense of the arithmetic: the error
    is rounding relative to the effects, not to the output.

    Parameters
    ----------
    model
        Any module in eval mode from one-hot sequence to one tensor [N, ...], or to a dictionary, tuple or
        dataclass of such. It is not changed. Wrappers (DataParallel, torch.compile) are taken off; a function
        of modules is one too; weights in half precision are computed with in float32. Of a list of models
        the mean of the attributions is given, and their `spread`.
    X
        One-hot sequences. An all-zero column is N; equal parts of several letters are their IUPAC code.
        At both, all letters are tried against the column as it stands.
    args
        What else the model takes, a tensor [N, ...] each. They are never edited.
    start, end
        The sites to edit, half open, in positions of X. The whole sequence by default.
    target
        What to read off one sequence's output: an int or slice (its first axis), a tuple (several axes), a
        boolean mask (its first axes, or all), a list (several targets), None: the mean over all outputs,
        and the result says so. What is selected is averaged. Of a structure of tensors the key, field or
        number comes first: ``"counts"``, ``("profile", 0, slice(400, 600))``.
    func
        Applied to what the model returns, [B, ...], before `target`; every row by itself. It is traced along
        with the model; where that cannot be, whole outputs are made for it, with a warning. Ready-made
        ones are in `nucleoscope.targets`.
    hypothetical
        Keep the scores of all letters; otherwise those of letters that are not there are zero.
    center
        ``"mean"``: less the mean over all letters, the letter there counting 0 (tangermeme);
        ``"alternatives"``: less the mean over the other letters, all of them at N (AlphaGenome);
        ``"none"``: changes as they are (CREsted, Borzoi); with ``hypothetical=True`` only.
    layout, alphabet
        How X is laid out, ``"NCL"`` or ``"NLC"``, and which letter each of its channels is: by default what the
        model's attribute `alphabet` says, else ACGT. The same letters in another order than it says are refused.
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
    reverse_complement
        Ask about the other strand as well, and average: scores of the reverse complement, mapped back.
        `args` are taken as they are on both strands, and `target` is unless `reverse_target` is given.
    reverse_target
        What `target` is on the other strand, where it names positions or strands of the output: as many
        targets, in the same order. Of 1,000 positions ``("profile", 0, slice(400, 550))`` is there
        ``("profile", 1, slice(450, 600))``.
    shifts
        Ask about sequences moved so far to the right, and average: letters that leave are lost, and N
        (zeros) comes in at the other end. A site that leaves is averaged over the shifts in which it is there.
    trunk
        ``"exact"``: what lies behind the seam (attention over the whole length, an LSTM) is run for every
        edit. ``"linear"``, or a `LinearTrunk` with its settings: an approximation. It is replaced by its
        gradient at the original; the strongest sites and a random sample are made exactly and marked in
        ``exact``, and the sample says what the others are off by. Of one model, one strand, no shift.

    Returns
    -------
    Attribution
        ``scores`` on the named ``axes``, the output for the originals, what was done (``facts``), and
        the ``checks`` that it passed, for each model and view; of several models their ``spread``.

    Raises
    ------
    TypeError, ValueError, IndexError
        For an argument that cannot be meant; the message names it.
    Disagreement
        If the verification fails. Nothing is returned then.

    Source: in-silico mutagenesis, Alipanahi et al. 2015 (Nat. Biotechnol. 33, 831).

    Equivalent to (one model, one strand, no shift)::

        raw[n, t, a, s] = read(model(X with letter a at s))[n, t] - read(model(X))[n, t]
        scores = raw - raw.mean(2, keepdim=True)
        scores if hypothetical else scores * X[:, None, :, start:end]
    """
    alphabet = alphabet_of(model, alphabet)
    if center not in CENTERS:
        raise ValueError(f"center={center!r}: use one of {', '.join(map(repr, CENTERS))}")
    if center == "none" and not hypothetical:
        raise ValueError(
            "center='none': at the letters that stand there every change is 0, so nothing would be "
            "shown. Pass hypothetical=True, or center='mean'."
        )
    verify, how = read_verify(verify), read_trunk(trunk)
    read_func(func)
    members, read, facts = ensemble.members(model), Read(target, func), []
    reverse = ensemble.reverse_read(read, reverse_target, reverse_complement)
    if how and (len(members) > 1 or reverse_complement or tuple(shifts) != (0,)):
        raise ValueError(
            "trunk='linear' is of one model, one strand and no shift: each view has other strongest sites. "
            "Ask for them one by one"
        )
    with in_turn:
        settings: dict[str, Any] = {
            "layout": layout, "alphabet": alphabet, "precision": precision, "memory": memory,
            "device": device,
        }  # fmt: skip
        first = ask(members[0], X, args, start=start, end=end, **settings)
        for each in (read,) if reverse is read else (read, reverse):
            check_alike(members, X, args, each, settings)
        columns = first.sequences.columns[:, :, first.start : first.end].cpu()

        def scored(raw: Tensor) -> Tensor:
            made = centered(raw, center, columns)
            return made if hypothetical else project(made, columns)

        tally = ensemble.Tally(
            ensemble.views(len(members), reverse_complement, shifts, alphabet),
            (first.start, first.end), first.sequences.letters.shape[1], scored, alphabet,
        )  # fmt: skip
        for view in tally.views:
            given, (begin, stop) = view.of(X, layout, alphabet), tally.sites(view)
            asked = first
            if view != tally.plain:
                asked = ask(members[view.member], given, args, start=begin, end=stop, **settings)
            made = answered(asked, reverse if view.mirrored else read, verify, progress, how)
            tally.add(view, made.found.raw, made.found.original, made.checks)
            facts.append(made.facts)
    many = isinstance(target, list)
    axes = ("sequence", "target", "letter", "site") if many else ("sequence", "letter", "site")
    said = {
        "method": "saturation_mutagenesis", "target": str(read), "center": center,
        "hypothetical": hypothetical, **ensemble.together(facts), **tally.facts, **versions(),
    }  # fmt: skip
    exact = None
    if made.screen is not None:
        said["trunk"], exact = made.screen.facts, torch.from_numpy(made.screen.exact)
    scores, spread = tally.result()
    if not many:
        scores, spread = scores[:, 0], None if spread is None else spread[:, 0]
    return Attribution(
        scores, axes, alphabet, first.start, tally.original, said, tuple(tally.checks),
        _compact(columns), spread, exact=exact,
    )  # fmt: skip


def _compact(columns: Tensor) -> Tensor:
    """In a byte a letter, unless a column is shared by several."""
    whole = columns.to(torch.int8)
    return whole if torch.equal(whole.to(columns), columns) else columns


def plan(
    model: Model, X: Tensor, args: tuple[Tensor, ...] | None = None, *, start: int = 0,
    end: int | None = None, target: Any = None, func: Func | None = None, layout: str = "NCL",
    alphabet: str | None = None, precision: str = "fp32", memory: int | None = None,
    device: str | torch.device | None = None, substitutions: Any = None, sequence: Any = None,
    trunk: str | LinearTrunk = "exact",
) -> Plan:  # fmt: skip
    """What `saturation_mutagenesis` would do with the same arguments; print it.

    The arguments are those of `saturation_mutagenesis`; it is of one model. With `substitutions` (and
    `sequence`) it is what `substitution_effect` would do with these; start and end are not used then.

    It shows every layer's window and cone, the seam and each op that ends locality with the line of your
    model that calls it, the arithmetic saved, and the memory. Raises Untraceable where the model cannot be
    traced, and what `saturation_mutagenesis` raises for bad arguments.
    """
    alphabet = alphabet_of(model, alphabet)
    with in_turn, contextlib.ExitStack() as stack:
        asked = ask(
            model, X, args, start=start, end=end, layout=layout, alphabet=alphabet,
            precision=precision, memory=memory, device=device,
        )  # fmt: skip
        stack.enter_context(exactly(asked))
        asked = replace(asked, linear=read_trunk(trunk) is not None)
        if substitutions is None:
            return make_plan(asked, forward(asked, Read(target, func)))
        table = read_table(substitutions, sequence, asked.sequences.letters.shape, len(alphabet))
        spans = int(table.position.min()), int(table.position.max()) + 1
        return table_plan(replace(asked, start=spans[0], end=spans[1]), Read(target, func), table)
