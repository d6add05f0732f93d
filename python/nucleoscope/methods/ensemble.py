"""Several models, both strands, shifted sequences: one question asked in several ways, and the mean.

Methods ask `Tally` for its views one after the other and add what each gives; no more is held than a mean, a
spread and the answers of one model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.alphabet import complement
from nucleoscope.engine.answers.read import Read
from nucleoscope.result import Check


@dataclass(frozen=True)
class View:
    """One way of asking: which model, how far the sequence is moved to the right, then which strand."""

    member: int = 0
    shift: int = 0
    mirrored: bool = False

    @property
    def plain(self) -> bool:
        """Whether the sequences are shown as they are."""
        return not (self.shift or self.mirrored)

    def of(self, X: Tensor, layout: str, alphabet: str) -> Tensor:
        """The sequences as this view shows them; zeros (N) come in where a shift leaves a gap."""
        axis, letters = (2, 1) if layout == "NCL" else (1, 2)
        if self.shift:
            kept = X.narrow(axis, max(0, -self.shift), X.shape[axis] - abs(self.shift))
            gap = X.new_zeros([abs(self.shift) if d == axis else n for d, n in enumerate(X.shape)])
            X = torch.cat([gap, kept] if self.shift > 0 else [kept, gap], axis)
        if self.mirrored:
            X = X.flip(axis).index_select(letters, complement(alphabet).to(X.device))
        return X

    def back(self, raw: Tensor, alphabet: str) -> Tensor:
        """Scores [N, T, A, sites] of its sites as those of the unmirrored sequence."""
        return raw.flip(3)[:, :, complement(alphabet)] if self.mirrored else raw

    def span(self, start: int, end: int, length: int) -> tuple[int, int]:
        """The sites [start, end) of a sequence as the view's."""
        begin, stop = start + self.shift, end + self.shift
        return (length - stop, length - begin) if self.mirrored else (begin, stop)

    def named(self, members: int) -> str:
        """What tells it from the others, for a check."""
        said = [f"model {self.member + 1} of {members}"] if members > 1 else []
        said += ["reverse complement"] if self.mirrored else []
        said += [f"shifted by {self.shift}"] if self.shift else []
        return ", ".join(said)

    def checks(self, found: Sequence[Check], members: int) -> list[Check]:
        """What was checked in this view, named by what tells it from the others."""
        name = self.named(members)
        return [replace(c, name=f"{c.name} ({name})" if name else c.name) for c in found]


def members(model: Any) -> list[Any]:
    """The models of a request."""
    several = isinstance(model, list | tuple | nn.ModuleList)
    found = list(model) if several else [model]
    if not found:
        raise ValueError("model: the list is empty; give a model, or several")
    return found


def views(count: int, reverse_complement: bool, shifts: Sequence[int], alphabet: str) -> list[View]:
    """All ways of asking `count` models, by model. Raises TypeError or ValueError that names the argument."""
    if not isinstance(reverse_complement, bool):
        raise TypeError(f"reverse_complement={reverse_complement!r}: True or False")
    moved = list(shifts) if isinstance(shifts, list | tuple | range) else None
    if moved is None or any(not isinstance(s, Integral) or isinstance(s, bool) for s in moved):
        raise TypeError(f"shifts={shifts!r}: whole numbers of positions, e.g. (-1, 0, 1)")
    if not moved or len(set(moved)) < len(moved):
        raise ValueError(f"shifts={shifts!r}: each shift once, and one at least; 0 is no shift")
    if reverse_complement:
        complement(alphabet)
    strands = (False, True) if reverse_complement else (False,)
    return [View(m, int(s), strand) for m in range(count) for s in moved for strand in strands]


class Tally:
    """The mean over views and models of scores [N, T, A, sites], and the spread over models."""

    def __init__(
        self, views: list[View], sites: tuple[int, int], length: int, scored: Callable[[Tensor], Tensor],
        alphabet: str = "ACGT",
    ) -> None:  # fmt: skip
        """`scored` makes scores of a model's raw changes: what is not linear in them comes per model."""
        self.views, self._sites, self._length, self._scored = views, sites, length, scored
        self._alphabet, self._members = alphabet, 1 + max(view.member for view in views)
        self.plain, self.checks = View(), list[Check]()
        self._raw: Tensor | None = (
            None  # of the model that is being asked: the sum, and of how many views
        )
        self._seen: Tensor = torch.zeros(0)
        self._scores, self._originals = Mean(), list[Tensor]()
        self._check_shifts()

    def _check_shifts(self) -> None:
        start, end = self._sites
        there = torch.zeros(end - start, dtype=torch.bool)
        for view in self.views:
            begin, stop = self._kept(view)
            if begin >= stop:
                raise ValueError(
                    f"shifts: {view.shift} moves all sites from {start} to {end} out of the sequence of "
                    f"{self._length}"
                )
            there[begin - start : stop - start] = True
        if not there.all():
            raise ValueError(
                f"shifts: site {start + int((~there).nonzero()[0])} leaves the sequence in all of them; add 0, "
                "or narrow start and end"
            )

    def _kept(self, view: View) -> tuple[int, int]:
        """The asked sites that are there in this view, as positions of X."""
        start, end = self._sites
        return max(start, -view.shift), min(end, self._length - view.shift)

    def sites(self, view: View) -> tuple[int, int]:
        """The same as positions of the view."""
        return view.span(*self._kept(view), self._length)

    def add(self, view: View, raw: Tensor, original: Tensor, checks: Sequence[Check]) -> None:
        """Take in what a view gave; views come in their order."""
        if self._raw is None:
            self._raw = raw.new_zeros(*raw.shape[:3], self._sites[1] - self._sites[0])
            self._seen = raw.new_zeros(self._raw.shape[3])
        begin, stop = (at - self._sites[0] for at in self._kept(view))
        self._raw[..., begin:stop] += view.back(raw, self._alphabet)
        self._seen[begin:stop] += 1
        self._originals.append(original)
        self.checks += view.checks(checks, self._members)
        if view == [v for v in self.views if v.member == view.member][-1]:
            self._scores.add(self._scored(self._raw / self._seen))
            self._raw = None

    @property
    def original(self) -> Tensor:
        """The targets of the unedited sequences [N, T], averaged alike."""
        return (
            torch.stack(self._originals).mean(0) if len(self._originals) > 1 else self._originals[0]
        )

    @property
    def facts(self) -> dict[str, Any]:
        """How many ways it was asked, where there was more than one."""
        return ways(self.views)

    def result(self) -> tuple[Tensor, Tensor | None]:
        """The mean, and the standard deviation over models (of n - 1); None where there is one."""
        return self._scores.result()


class Mean:
    """A mean and a spread of tensors that come one after the other, by Welford's update."""

    def __init__(self) -> None:
        self._done = 0
        self._mean = self._squares = torch.zeros(0)

    def add(self, scores: Tensor) -> None:
        """One more."""
        self._done += 1
        if self._done == 1:
            self._mean, self._squares = scores, torch.zeros_like(scores)
            return
        off = scores - self._mean
        self._mean = self._mean + off / self._done
        self._squares = self._squares + off * (scores - self._mean)

    def result(self) -> tuple[Tensor, Tensor | None]:
        """The mean, and the standard deviation (of n - 1); None where there is one."""
        if self._done < 2:
            return self._mean, None
        return self._mean, (self._squares / (self._done - 1)).sqrt()


def ways(views: Sequence[View]) -> dict[str, Any]:
    """How many ways something was asked, where there was more than one."""
    members = 1 + max(view.member for view in views)
    said: dict[str, Any] = {"models": members} if members > 1 else {}
    shifts = sorted({view.shift for view in views})
    said |= {"shifts": shifts} if shifts != [0] else {}
    return said | ({"reverse_complement": True} if any(v.mirrored for v in views) else {})


def reverse_read(read: Read, target: Any, both_strands: bool) -> Read:
    """What is read on the other strand: `target`, where it is given."""
    if target is None:
        return read
    if not both_strands:
        raise ValueError("reverse_target: there is no other strand without reverse_complement=True")
    asked = [read.target, target]
    lists = [each if isinstance(each, list) else [each] for each in asked]
    if len(lists[0]) != len(lists[1]):
        raise ValueError(
            f"reverse_target: it names {len(lists[1])} targets, target {len(lists[0])}; each has one on the "
            "other strand"
        )
    return Read(target, read.func)


def together(facts: list[dict[str, Any]]) -> dict[str, Any]:
    """What was done in all views: counts summed, other facts each once, lists as they are where all are alike."""
    joined: dict[str, Any] = {}
    for name in dict.fromkeys(name for each in facts for name in each):
        held = [each[name] for each in facts if name in each]
        if isinstance(held[0], int):
            joined[name] = sum(held)
        elif all(each == held[0] for each in held):
            joined[name] = held[0]
        else:
            joined[name] = "; ".join(dict.fromkeys(map(str, held)))
    return joined
