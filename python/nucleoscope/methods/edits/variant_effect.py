"""Variants one by one: substitutions of any length, insertions, deletions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.alphabet import alphabet_of
from nucleoscope.effects import Effects
from nucleoscope.engine.answers.read import Func
from nucleoscope.engine.edits.table import Table
from nucleoscope.engine.rows import Ints
from nucleoscope.methods.edits.editing import Measured, Options, Request
from nucleoscope.methods.edits.several import Models, several
from nucleoscope.methods.edits.variants import Variants, read_variants


def variant_effect(
    model: Models,  # of several, the mean
    X: Tensor,  # [N, 4, L] one-hot
    sequence: Any,  # [M] which sequence of X each variant lies in
    position: Any,  # [M] where its first letter lies there, from 0
    ref: Sequence[str],  # [M] what stands there
    alt: Sequence[str],  # [M] what is put there
    args: tuple[Tensor, ...] | None = None,
    *,
    left: bool = False,
    target: Any = None,
    func: Func | None = None,
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
) -> Effects:  # changes [M], or [M, T] for a list of targets
    """What each variant does to a model's output, each by itself.

    Alleles of one length (SNVs, MNVs) are carried as deltas through the engine, each sequence's original
    made once, as in `substitution_effect`. Insertions and deletions shift what follows. Layers that only
    move with it are made anew around the variant and at the end (``facts["spliced"]`` counts); where that
    would be more work, as behind a pool whose phase the shift changes, the model itself runs
    (``facts["recomputed"]``). Either way X's length stays: what is left of the variant keeps its place and
    the right end is trimmed, or filled up with N (all-zero columns); with `left` what is right of it keeps
    its place and the left end is. An empty `ref` inserts before the letter at `position`, and behind the last
    one at L, where only `left` keeps it (``checks`` name what is trimmed off again). VCF counts positions
    from 1. The other arguments are those of `saturation_mutagenesis`; edits must stay inside in all `shifts`.

    Raises
    ------
    TypeError, ValueError, IndexError
        For alleles with N or unknown letters, a `ref` that is not what X holds, a variant that leaves its
        sequence, empty lists, and for what `saturation_mutagenesis` refuses.
    Disagreement
        If the verification fails.

    Equivalent to::

        edited = X[n, :, :position] + one_hot(alt) + X[n, :, position + len(ref):]     # joined
        edited = edited[:, :L], or with left edited[:, -L:]; a short one filled up with zeros there
        read(model(edited)) - read(model(X[n]))
    """
    alphabet = alphabet_of(model, alphabet)
    options = Options(
        target, func, layout, alphabet, precision, memory, verify, progress, device, reverse_complement,
        reverse_target, shifts,
    )  # fmt: skip
    with several(model, X, args, options, "variant_effect") as asked:
        variants = read_variants(sequence, position, ref, alt, alphabet)
        variants.check(asked.letters, alphabet)
        length = asked.letters.shape[1]

        def measured(one: Request) -> Measured:
            return _measured(
                one, variants.seen(one.view, length, alphabet), left != one.view.mirrored
            )

        found = asked.mean(variants.span, measured)
    before = found.original[torch.from_numpy(variants.sequence)]
    trimmed = variants.trimmed(left, length)
    return asked.effects(
        replace(found, checks=(*found.checks, *trimmed)), before, ("variant",), {"left": left}
    )


def _measured(asked: Request, variants: Variants, left: bool) -> Measured:
    """What variants do in one view, [M, T]."""
    same = variants.same
    found = _by_deltas(asked, variants, same)
    kind = torch.promote_types(found.changes.dtype, asked.asked.dtype)
    changes = found.changes.new_zeros(len(variants), found.changes.shape[1], dtype=kind)
    changes[torch.from_numpy(same)] = found.changes.to(kind)
    shifts = np.flatnonzero(~same)
    made, windows, checks = asked.spliced(variants.splices(shifts, left), found.original)
    changes[torch.from_numpy(shifts[windows])] = made.to(changes)
    whole = shifts[~windows]
    if len(whole):
        rows = asked.by_the_model(_shifted(asked, variants, whole, left))
        changes[torch.from_numpy(whole)] = rows.to(changes)
    if not torch.isfinite(changes).all():
        raise ValueError("model: some variants make its output NaN or infinite")
    facts = found.facts | {"spliced": int(windows.sum()), "recomputed": len(whole)}
    if not same.any():
        facts["engine"] = "windows in float64" if windows.all() else "the model itself"
    return replace(found, changes=changes, facts=facts, checks=(*found.checks, *checks))


def _by_deltas(
    asked: Request, variants: Variants, same: np.ndarray[Any, np.dtype[np.bool_]]
) -> Measured:
    chosen = np.flatnonzero(same)
    sizes = [len(variants.alt[at]) for at in chosen]
    if not sizes:  # originals are wanted all the same: of an edit that changes nothing
        found = asked.measure(nothing(asked.letters))
        return replace(found, changes=found.changes[:0], checks=())
    return asked.measure(variants.table(chosen))


def nothing(letters: Ints) -> Table:
    """An edit that changes nothing."""
    zero = np.zeros(1, dtype=np.int64)
    return Table(zero, zero, zero, letters[:1, 0])


def _shifted(
    asked: Request, variants: Variants, whole: Ints, left: bool
) -> Iterator[tuple[int, Tensor]]:
    """The sequences with these insertions and deletions in them, at the length of X."""
    columns = asked.asked.sequences.columns.cpu()
    size, length = columns.shape[1:]
    for at in whole:
        n, begin = int(variants.sequence[at]), int(variants.position[at])
        put = torch.eye(size)[variants.alt[at]].T.to(columns)
        joined = [columns[n, :, :begin], put, columns[n, :, begin + len(variants.ref[at]) :]]
        short = columns.new_zeros(size, max(0, length - sum(part.shape[1] for part in joined)))
        joined = [short, *joined] if left else [*joined, short]
        made = torch.cat(joined, 1)
        yield n, made[:, -length:] if left else made[:, :length]
