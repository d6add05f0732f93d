"""Ask the user's own model about a few edits and hold the engine to the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nucleoscope.engine.cache import in_double
from nucleoscope.engine.changes import Changes, Read
from nucleoscope.engine.prepare import Asked

Edit = tuple[int, int, int]  # sequence, letter, site

# Judged by a float64 copy of the model up to this many parameter-times-position products, else by itself.
SMALL = 1e12


# What the rounding of the effects may come to, of the largest effect.
FP32, BF16 = 2e-5, 5e-2


class Disagreement(RuntimeError):
    """The engine's answer and the model's own differ by more than rounding."""


@dataclass(frozen=True)
class Verdict:
    """What a verification found: `error` and `allowed` in the output's units."""

    edits: int
    error: float
    allowed: float
    judge: torch.dtype

    def __str__(self) -> str:
        kind = str(self.judge).removeprefix("torch.")
        return (
            f"{self.edits} edits recomputed by the model in {kind}: "
            f"largest difference {self.error:.1e}, allowed {self.allowed:.1e}"
        )


def verify(asked: Asked, found: Changes, read: Read, count: int, seed: int) -> Verdict:
    """Recompute the strongest edit and random others; raise Disagreement if one is off.

    Where deltas go all the way only the rounding of the effects themselves is allowed; where two
    outputs were subtracted, the model's own fp32 noise is.
    """
    raw, original, exact = found.raw, found.original, found.exact
    where = _choose(asked, raw, count, seed)
    judge, changes = _recompute(asked, read, where)
    mine = torch.stack([raw[n, :, letter, site - asked.start] for n, letter, site in where])
    worst = float((mine.to(changes) - changes).abs().max())
    largest, level = float(raw.abs().max()), float(original.abs().max())
    noise = float(torch.finfo(asked.dtype if exact else asked.native).eps) * level
    doubtful = 0.0 if exact and judge == torch.float64 else 64 * noise
    doubtful += 0.0 if judge == torch.float64 else 64 * float(torch.finfo(judge).eps) * level
    allowed = (
        (BF16 if asked.bf16 else FP32) * largest + doubtful + float(torch.finfo(torch.float32).tiny)
    )
    verdict = Verdict(len(where), worst, allowed, judge)
    if not worst <= allowed:
        raise Disagreement(
            f"the engine and the model disagree: {verdict}. The result is withheld. If func treats every "
            "row by itself and the model is not random, please report the model; until then, "
            "`from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis` is the "
            "plain loop: saturation_mutagenesis(model, X, sites=range(X.shape[2]))."
        )
    return verdict


def _choose(asked: Asked, raw: Tensor, count: int, seed: int) -> list[Edit]:
    """The strongest edit of all, then random ones that change a letter: (sequence, letter, site)."""
    n, _, letters, sites = raw.shape
    top = int(raw.abs().amax(1).flatten().argmax())
    random = np.random.default_rng(seed).integers(0, n * letters * sites, size=8 * count)
    chosen: list[Edit] = []
    for flat in (top, *random.tolist()):
        i, rest = divmod(flat, letters * sites)
        letter, site = divmod(rest, sites)
        edit = (i, letter, site + asked.start)
        if (
            asked.sequences.letters[i, edit[2]] != letter
            and edit not in chosen
            and len(chosen) < count
        ):
            chosen.append(edit)
    return chosen


def _recompute(asked: Asked, read: Read, where: list[Edit]) -> tuple[torch.dtype, Tensor]:
    """The model's own changes [edits, T], by a float64 copy of it where that is affordable and runs."""
    size = sum(p.numel() for p in asked.model.parameters()) * asked.sequences.letters.shape[1]
    if asked.native == torch.float32 and size <= SMALL:
        double = in_double(asked.model)

        def answer(*inputs: Tensor) -> Tensor:
            made: Tensor = double(*inputs)
            if made.dtype != torch.float64:
                raise TypeError("the model ends in a cast of its own")
            return made

        try:
            return torch.float64, _changes(asked, answer, torch.float64, read, where)
        except (
            RuntimeError,
            TypeError,
        ):  # a model may pin its number type anywhere; it judges itself
            pass
    return asked.native, _changes(asked, asked.model, asked.native, read, where)


def _changes(
    asked: Asked,
    model: Callable[..., Tensor],
    kind: torch.dtype,
    read: Read,
    where: list[Edit],
) -> Tensor:
    before: dict[int, Tensor] = {}
    changes = []
    for n, letter, site in where:
        own = [
            t[n : n + 1].to(kind) if t.is_floating_point() else t[n : n + 1] for t in asked.inputs
        ]
        edited = own[0].clone()
        columns = edited if asked.sequences.layout == "NCL" else edited.transpose(1, 2)
        columns[0, :, site] = 0
        columns[0, letter, site] = 1
        with torch.no_grad():
            if n not in before:
                before[n] = read(model(*own))
            changes.append((read(model(edited, *own[1:])) - before[n])[0].cpu())
    return torch.stack(changes)
