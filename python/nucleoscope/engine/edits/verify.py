"""Ask the user's own model about a few edits and hold the engine to the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nucleoscope.engine.answers import outputs
from nucleoscope.engine.answers.by_taps import by_taps
from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.answers.target import described
from nucleoscope.engine.edits.changes import Changes
from nucleoscope.engine.edits.edited import Edited
from nucleoscope.engine.edits.table import Table
from nucleoscope.engine.precision import ALLOWED
from nucleoscope.engine.prepare import Asked
from nucleoscope.engine.tracing.cache import in_double

Edit = tuple[int, Sequence[int], Sequence[int]]  # sequence, letters put in, positions
Model = Callable[..., Any]
Mask = npt.NDArray[np.bool_]

# Judged by a float64 copy of the model up to this many parameter-times-position products, else by itself.
SMALL = 1e12

# Positions that go through the judge at once: a sequence and its edits, where they are short.
TOGETHER = 1 << 14

# What deltas may be off by where sites hardly matter, since larger changes cancelled on the way: a share of what
# an output is rounded to, but of the largest effect no more than the second, so that a wrong answer is told
# however small it is.
CANCELLED, AT_MOST = 2.0**-10, 1e-3

# Edits on which the plain loop's own error is measured, before a result is withheld.
MEASURED = 32


WITHHELD = (
    "The result is withheld. If func treats every row by itself and the model is not random, please report "
    "the model; until then, nucleoscope.naive.methods has the plain loop of every method."
)


class Disagreement(RuntimeError):
    """The engine's answer and the model's own differ by more than rounding."""


@dataclass(frozen=True)
class Verdict:
    """What a verification found: `error` and `allowed` in the output's units."""

    edits: int
    error: float
    allowed: float
    judge: torch.dtype
    effect: float  # the largest, of which what is allowed should be a small part

    def __str__(self) -> str:
        kind = str(self.judge).removeprefix("torch.")
        small = self.effect <= self.allowed
        proof = f"; no effect is above {self.effect:.1e}, so that proves little" if small else ""
        return (
            f"{self.edits} edits recomputed by the model in {kind}: "
            f"largest difference {self.error:.1e}, allowed {self.allowed:.1e}{proof}"
        )


@dataclass(frozen=True)
class Answers:
    """What a model itself says about some edits, each [edits, T]."""

    original: Tensor
    change: Tensor
    level: Tensor  # the same readings of absolute numbers: what was summed, were it not to cancel
    effect: Tensor


def verify(
    asked: Asked, found: Changes, read: Read, count: int, seed: int, among: Mask | None = None
) -> Verdict:
    """Recompute the strongest edit, random others and their originals; raise Disagreement if one is off.

    Where deltas go all the way only the rounding of the effects themselves is allowed; where two
    outputs were subtracted, the model's own fp32 noise is. `among` marks the sites [N, sites]
    that are asked about.
    """
    where, more = (
        _choose(asked, found.raw, many, seed + at, among)
        for at, many in enumerate((count, MEASURED))
    )
    claim = Claim(
        where, _at(asked, found.raw, where), found.original, _largest(found.raw), found.exact
    )
    return _hold(asked, read, claim, more, _advice(asked, read))


def verify_effects(
    asked: Asked, found: Edited, table: Table, read: Read, count: int, seed: int
) -> Verdict:
    """The same for the edits of a table."""
    raw = found.raw
    top = int(raw.abs().amax(1).argmax())
    random = np.random.default_rng(seed).permutation(len(table))[: count + MEASURED].tolist()
    chosen = list(dict.fromkeys([top, *random]))

    def edit(number: int) -> Edit:
        positions, letters = table.rows(number)
        return int(table.sequence[number]), letters.tolist(), positions.tolist()

    where, more = ([edit(n) for n in part] for part in (chosen[:count], chosen[count:]))
    claim = Claim(where, raw[chosen[:count]], found.original, _largest(raw), found.exact)
    return _hold(asked, read, claim, more, WITHHELD)


@dataclass(frozen=True)
class Claim:
    """What the engine says about the edits that are asked about."""

    where: list[Edit]
    changes: Tensor  # [edits, T]
    original: Tensor  # [N, T]
    largest: float  # of all its changes
    exact: bool


def _hold(asked: Asked, read: Read, claim: Claim, more: list[Edit], advice: str) -> Verdict:
    where, exact = claim.where, claim.exact
    judge, kind, said = _ask(asked, read, where)
    worst = _largest(claim.changes.to(said.change) - said.change)
    moved = _largest(claim.original[[n for n, _, _ in where]].to(said.change) - said.original)
    effect, level = (
        max(a, _largest(b))
        for a, b in ((claim.largest, said.effect), (_largest(claim.original), said.level))
    )
    double = kind == torch.float64
    unit = float(torch.finfo(asked.dtype if exact else asked.native).eps) * level
    rounding = 64 * unit
    own = 64 * float(torch.finfo(kind).eps) * level  # of the judge
    tiny = float(torch.finfo(torch.float32).tiny)
    spared = min(CANCELLED * unit, AT_MOST * effect) if exact and double else rounding
    allowed = ALLOWED[asked.precision] * effect + spared + own + tiny
    near = rounding + own + tiny
    if double and asked.native != torch.float64 and not (worst <= allowed and moved <= near):
        change, original = _noise(asked, read, judge, where + more)
        allowed += 0.0 if exact else 2 * change
        near += 2 * original
    verdict = Verdict(len(where), worst, allowed, kind, effect)
    if not worst <= allowed:
        raise Disagreement(f"the engine and the model disagree: {verdict}. {advice}")
    if not moved <= near:
        raise Disagreement(
            f"the engine and the model disagree about unedited sequences: by {moved:.1e}, allowed "
            f"{near:.1e}. {advice}"
        )
    return verdict


def _advice(asked: Asked, read: Read) -> str:
    args = "args, " if asked.others else ""
    letters = "" if asked.sequences.layout == "NCL" else "letters=2, "
    func = ", func" if read.func else ""
    return (
        "The result is withheld. If func treats every row by itself and the model is not random, please "
        "report the model; until then, the plain loop gives the raw changes [N, T, A, sites]:\n"
        "from nucleoscope.engine.answers.read import Read\n"
        "from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis\n"
        f"saturation_mutagenesis(model, X, {args}sites=range({asked.start}, {asked.end}), {letters}"
        f"read=Read({described(read.target)}{func}))"
    )


def _choose(asked: Asked, raw: Tensor, count: int, seed: int, among: Mask | None) -> list[Edit]:
    """The strongest edit of all, then random ones that change a letter."""
    n, _, letters, sites = raw.shape
    size, draw = raw.abs().amax(1), np.random.default_rng(seed)
    if among is None:
        random = draw.integers(0, n * letters * sites, size=8 * count)
    else:
        size *= torch.from_numpy(among)[:, None]
        held = np.flatnonzero(np.repeat(among[:, None], letters, 1))
        random = draw.choice(held, 8 * count)
    top = int(size.flatten().argmax())
    chosen: list[Edit] = []
    for flat in (top, *random.tolist()):
        i, rest = divmod(flat, letters * sites)
        letter, site = divmod(rest, sites)
        edit = (i, (letter,), (site + asked.start,))
        if (
            asked.sequences.letters[i, site + asked.start] != letter
            and edit not in chosen
            and len(chosen) < count
        ):
            chosen.append(edit)
    return chosen


def _at(asked: Asked, raw: Tensor, where: list[Edit]) -> Tensor:
    return torch.stack([raw[n, :, letter, site - asked.start] for n, (letter,), (site,) in where])


def _largest(values: Tensor) -> float:
    return float(values.abs().max())


def _ask(asked: Asked, read: Read, where: list[Edit]) -> tuple[Model, torch.dtype, Answers]:
    """The model's own answers, by a float64 copy of it where that is affordable and runs; and who gave them."""
    size = sum(p.numel() for p in asked.model.parameters()) * asked.sequences.letters.shape[1]
    if asked.native == torch.float32 and size <= SMALL:
        try:
            double = by_taps(in_double(asked.model))

            def answer(*inputs: Tensor) -> Any:
                made = double(*inputs)
                if any(t.dtype != torch.float64 for t in outputs.floating(made)):
                    raise TypeError("the model ends in a cast of its own")
                return made

            return answer, torch.float64, _answers(asked, answer, torch.float64, read, where)
        except Exception:  # it cannot be copied, or pins its number type: it judges itself
            pass
    return asked.model, asked.native, _answers(asked, asked.model, asked.native, read, where)


def _noise(asked: Asked, read: Read, judge: Model, where: list[Edit]) -> tuple[float, float]:
    """How far off the model in its own number type is, in changes and in originals."""
    true = _answers(asked, judge, torch.float64, read, where)
    own = _answers(asked, asked.model, asked.native, read, where)
    return _largest(own.change - true.change), _largest(own.original - true.original)


def _answers(
    asked: Asked, model: Model, kind: torch.dtype, read: Read, where: list[Edit]
) -> Answers:
    found: list[list[Tensor]] = [[]] * len(where)
    for n in sorted({n for n, _, _ in where}):
        mine = [at for at, edit in enumerate(where) if edit[0] == n]
        own = [t.to(kind) if t.is_floating_point() else t for t in asked.part(n, n + 1)]
        rows = torch.cat([own[0], *(_edited(asked, own[0], *where[at][1:]) for at in mine)])
        many = max(1, TOGETHER // asked.sequences.letters.shape[1])
        with torch.no_grad():
            parts = [
                read.ask(model, part, *(t.expand(len(part), *t.shape[1:]) for t in own[1:]))
                for part in rows.split(many)
            ]
            leaves = read.leaves(parts[0])
            made = torch.cat([leaves.joined(part) for part in parts])
            before, change = made[:1], made[1:] - made[:1]
            values = leaves.read(made)
            each = values[1:] - values[:1], leaves.read(change.abs())
            for row, at in enumerate(mine):
                found[at] = [values[0], each[0][row], leaves.read(before.abs())[0], each[1][row]]
    original, change, level, effect = (torch.stack(t).cpu() for t in zip(*found, strict=True))
    return Answers(original, change, level, effect)


def _edited(asked: Asked, own: Tensor, letters: Sequence[int], positions: Sequence[int]) -> Tensor:
    edited = own.clone()
    columns = edited if asked.sequences.layout == "NCL" else edited.transpose(1, 2)
    size, ambiguous = asked.sequences.size, asked.sequences.ambiguous
    for letter, position in zip(letters, positions, strict=True):
        columns[0, :, position] = 0
        if letter >= size:
            columns[0, :, position] = ambiguous[letter - size].to(columns)
        elif letter >= 0:
            columns[0, letter, position] = 1
    return edited
