"""Variants as lists: what stands where, and what is put there; checked by themselves and against sequences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from nucleoscope.alphabet import complement
from nucleoscope.engine.edits.table import Table
from nucleoscope.engine.indels.moved import Splices
from nucleoscope.engine.rows import Ints
from nucleoscope.methods.edits.letters import read_allele
from nucleoscope.methods.ensemble import View
from nucleoscope.result import Check


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

    @property
    def span(self) -> tuple[int, int]:
        """The sites that they cover, half open."""
        ends = self.position + [len(each) for each in self.ref]
        return int(self.position.min()), int(ends.max())

    def seen(self, view: View, length: int, alphabet: str) -> Variants:
        """The same as a view of the sequences has them."""
        position = self.position + view.shift
        if not view.mirrored:
            return replace(self, position=position)
        other = complement(alphabet).numpy()
        ref, alt = ([other[each[::-1]] for each in alleles] for alleles in (self.ref, self.alt))
        position = length - position - np.array([len(each) for each in ref])
        return Variants(self.sequence, position, ref, alt)

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
            if self._held(letters, at).tolist() != self.ref[at].tolist()
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
    old, new = (_alleles(given, alphabet, name) for name, given in (("ref", refs), ("alt", alts)))
    which, where = (each.astype(np.int64) for each in numbers.values())
    return Variants(which, where, old, new)


def _alleles(given: list[Any], alphabet: str, name: str) -> list[Ints]:
    """Each as columns of the alphabet; those that are alike, most of them, are read once."""
    held: dict[str, Ints] = {}
    for at, allele in enumerate(given):
        if not isinstance(allele, str) or allele not in held:
            made = read_allele(allele, alphabet, f"{name}[{at}]")  # refuses what is not a string
            held[allele] = made
    return [held[allele] for allele in given]
