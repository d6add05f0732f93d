"""Variants one by one: substitutions of any length, insertions, deletions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nucleoscope.alphabet import alphabet_of
from nucleoscope.effects import Effects
from nucleoscope.engine.moved import Splices
from nucleoscope.engine.read import Func
from nucleoscope.engine.rows import Ints
from nucleoscope.engine.table import Table
from nucleoscope.methods.editing import Measured, Options, Request, request
from nucleoscope.methods.letters import read_allele
from nucleoscope.methods.several import several
from nucleoscope.result import Check


@several
def variant_effect(
    model: nn.Module,  # or a list of them: the mean
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
    from 1. The other arguments are those of `saturation_mutagenesis`.

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
    options = Options(target, func, layout, alphabet, precision, memory, verify, progress, device)
    with request(model, X, args, options, "variant_effect") as asked:
        variants = read_variants(sequence, position, ref, alt, alphabet)
        variants.check(asked.letters, alphabet)
        same, length = variants.same, asked.letters.shape[1]
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
    before = found.original[torch.from_numpy(variants.sequence)]
    facts = found.facts | {
        "edits": len(variants), "spliced": int(windows.sum()), "recomputed": len(whole), "left": left,
    }  # fmt: skip
    if not same.any():
        facts["engine"] = "windows in float64" if windows.all() else "the model itself"
    axes: tuple[str, ...] = ("variant", "target")
    if not asked.many:
        changes, before, axes = changes[:, 0], before[:, 0], axes[:1]
    if not torch.isfinite(changes).all():
        raise ValueError("model: some variants make its output NaN or infinite")
    return Effects(
        changes, before, axes, facts, (*found.checks, *checks, *variants.trimmed(left, length))
    )


@dataclass(frozen=True)
class Variants:
    """Variants as they were given, letters as indices."""

    sequence: Ints
    position: Ints
    ref: list[Ints]
    alt: list[Ints]

    def __len__(self) -> int:
        return len(self.sequence)

    @property
    def same(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which keep the length."""
        return np.array([len(r) == len(a) for r, a in zip(self.ref, self.alt, strict=True)])

    def part(self, at: int) -> Variants:
        """One of them."""
        return self.some(np.array([at]))

    def some(self, chosen: Ints) -> Variants:
        """Some of them, in this order."""
        alleles = ([each[at] for at in chosen] for each in (self.ref, self.alt))
        return Variants(self.sequence[chosen], self.position[chosen], *alleles)

    def table(self, chosen: Ints) -> Table:
        """Some that keep the length, as edits."""
        sizes = [len(self.alt[at]) for at in chosen]
        edit = np.repeat(np.arange(len(chosen)), sizes)
        begins = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
        position = self.position[chosen][edit] + np.arange(len(edit)) - begins
        letter = np.concatenate([self.alt[at] for at in chosen])
        return Table(self.sequence[chosen], edit, position, letter)

    def splices(self, chosen: Ints, left: bool) -> Splices:
        """Insertions and deletions, as what they leave and what they move."""
        removed, added = (
            np.array([len(each[at]) for at in chosen], np.int64) for each in (self.ref, self.alt)
        )
        shift = added - removed
        begin = self.position[chosen] - shift * left
        put = np.full((len(chosen), max(added, default=0)), -1)
        for row, at in enumerate(chosen):
            put[row, : len(self.alt[at])] = self.alt[at]
        return Splices(
            self.sequence[chosen], begin, begin + added, -shift * left, shift * (not left), put
        )

    def check(self, letters: Ints, alphabet: str) -> None:
        """Hold the variants to the sequences."""
        count, length = letters.shape
        for at, n in enumerate(self.sequence):
            if not 0 <= n < count:
                raise IndexError(f"sequence[{at}]={n}: X has {count}, from 0")
            begin, end = int(self.position[at]), int(self.position[at]) + len(self.ref[at])
            if begin < 0 or end > length:
                raise IndexError(
                    f"position[{at}]={begin}: ref covers [{begin}, {end}), and sequences have the positions "
                    f"[0, {length}); behind the last letter, at {length}, an empty ref inserts"
                )
            if len(self.ref[at]) == len(self.alt[at]) == 0:
                raise ValueError(f"ref[{at}] and alt[{at}] are both empty: there is no variant")
        wrong = [
            at
            for at in range(len(self))
            if not np.array_equal(self._held(letters, at), self.ref[at])
        ]
        if wrong:
            at = wrong[0]
            n, begin = int(self.sequence[at]), int(self.position[at])
            shown = "".join(
                alphabet[i] if 0 <= i < len(alphabet) else "N" for i in self._held(letters, at)
            )
            given = "".join(alphabet[i] for i in self.ref[at])
            raise ValueError(
                f"ref: {len(wrong)} of {len(self)} are not what X holds; the first is ref[{at}]={given!r} at "
                f"position {begin} of sequence {n}, where X has {shown!r}. Positions count from 0 (VCF's from "
                "1), in the sequence and not in the genome, and alleles are those of X's strand."
            )

    def trimmed(self, left: bool, length: int) -> tuple[Check, ...]:
        """Whether there are insertions of which nothing stays: at the end that is trimmed."""
        end = 0 if left else length
        lost = [at for at in np.flatnonzero(self.position == end) if not len(self.ref[at])]
        if not lost:
            return ()
        side, other = ("left", "left=False") if left else ("right", "left=True")
        said = (
            f"{len(lost)} insertions at position {end} are trimmed off again at the {side} end, so that nothing "
            f"changes; the first is alt[{lost[0]}]. {other} keeps that end"
        )
        return (Check("alignment", False, said),)

    def _held(self, letters: Ints, at: int) -> Ints:
        begin = int(self.position[at])
        held: Ints = letters[self.sequence[at], begin : begin + len(self.ref[at])]
        return held


def read_variants(sequence: Any, position: Any, ref: Any, alt: Any, alphabet: str) -> Variants:
    """Check the four lists by themselves."""
    for name, alleles in (("ref", ref), ("alt", alt)):
        if isinstance(alleles, str):
            raise TypeError(f"{name}={alleles!r}: give a list, one allele a variant")
    refs, alts = list(ref), list(alt)
    numbers = {
        name: np.asarray(given.cpu() if isinstance(given, Tensor) else given)
        for name, given in (("sequence", sequence), ("position", position))
    }
    for name, each in numbers.items():
        if each.ndim != 1 or (each.size and each.dtype.kind not in "iu"):
            raise TypeError(
                f"{name}: whole numbers [M], one a variant; got {each.dtype} of shape {each.shape}"
            )
    counts = {name: len(each) for name, each in numbers.items()} | {
        "ref": len(refs),
        "alt": len(alts),
    }
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ValueError(
            f"sequence, position, ref and alt: one each a variant, but there are {said}"
        )
    if not refs:
        raise ValueError("sequence, position, ref and alt are empty: there is nothing to do")
    old, new = (
        [read_allele(allele, alphabet, f"{name}[{at}]") for at, allele in enumerate(given)]
        for name, given in (("ref", refs), ("alt", alts))
    )
    which, where = (each.astype(np.int64) for each in numbers.values())
    return Variants(which, where, old, new)


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
