"""Seqlets: which stretches of the scores are high enough to be a motif, at a false discovery rate."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nucleoscope.methods.seqlets.discovery import discovery_curve, in_pieces, loosest, q_values
from nucleoscope.methods.seqlets.spans import Chance, called
from nucleoscope.result import Attribution
from nucleoscope.seqlet_table import DiscoveryCurve, Seqlets

Floats = npt.NDArray[np.float64]
Scores = Attribution | Tensor | npt.NDArray[Any]

Table = dict[str, npt.NDArray[Any]]

KINDS = {
    "sequence": np.int64, "start": np.int64, "end": np.int64,
    "attribution": np.float64, "p_value": np.float64, "q_value": np.float64,
}  # fmt: skip
SIGNS = {"positive": (1,), "negative": (-1,), "both": (1, -1)}


def seqlets(
    attribution: Scores,
    *,
    control: Scores | str = "mirrored",
    fdr: float = 0.1,
    threshold: float | None = None,
    sign: str = "positive",
    target: int = 0,
    min_length: int = 4,
    max_length: int = 25,
    bins: int = 1000,
    shuffles: int = 10,
    seed: int = 0,
) -> Seqlets:
    """Find the stretches whose scores are too high, together, to be chance.

    A span of k positions gets a p-value: the chance that k scores, drawn independently from all
    scores given, are together at least as high. It qualifies if it, and every span of `min_length`
    or more inside it, lies below a threshold; the longest that qualify are called, none
    overlapping. The p-values rank: scores of neighbours depend on each other, so they are smaller
    than the chance of such a span in a sequence without motifs.

    The threshold is the loosest of 117, from 0.1 to 1e-30, whose estimated false discovery rate is
    at most `fdr`: of what is called there, the share that would be called without any motif. It is
    estimated from what the same threshold calls on a control, plus one, for the difference in size.
    **The rate is as honest as the control.** On scores that differ from the control's in nothing
    but chance it holds (tested); what the control lacks, be it correlation between neighbours or a
    motif that the model sees in every sequence, is called true or false by the wrong measure. It
    speaks of the list as a whole, not of a single seqlet, and of stretches that matter to the
    model, which need not be motifs of the cell. Few control sequences give a rough estimate.

    Parameters
    ----------
    attribution
        An Attribution, or scores [sequence, site] or [sequence, letter, site] with the letters that
        are not there at 0. Hypothetical scores count at the letters that are there.
    control
        Scores of sequences without motifs, from the same model, target and method: best of several
        dinucleotide shuffles of each sequence; any number, of any length. Or made of the scores
        themselves. ``"mirrored"``: their negative, which keeps what neighbours have in common, but takes
        repressors for noise and noise to be symmetric; with 0 false calls it still takes 1 / `fdr`
        calls to reach `fdr`. ``"shuffled"``: their sites in random order, right only where neighbours
        do not depend on each other: at a promise of 0.1, noise that five neighbours shared was
        called in every one of 300 trials, and in none with ``"mirrored"``.
    fdr
        The share of false calls to allow.
    threshold
        Call at this p-value instead; no rate is estimated, and `control` and `fdr` are not used.
    sign
        ``"positive"``, ``"negative"``, or ``"both"``, each at `fdr` by itself; of two that overlap
        the positive one stays.
    target
        Which of an attribution's targets.
    min_length, max_length
        Of a seqlet, and of the spans inside that must qualify.
    bins
        How finely scores are told apart.
    shuffles, seed
        Of ``"shuffled"``: how many, and of which random numbers.

    Returns
    -------
    Seqlets
        The least likely first. ``q_value`` is the lowest rate estimated at any threshold that is
        loose enough for the seqlet; ``curves`` hold the estimate at each threshold.

    Raises
    ------
    TypeError, ValueError, IndexError
        For an argument that cannot be meant; the message names it.

    Source: recursive seqlets, tangermeme (Schreiber 2025), whose calls at one threshold, and at one
    target FDR with a control, these are. Unlike there, scores are binned in float64.

    Equivalent to (for one threshold)::

        nucleoscope.naive.methods.seqlets.seqlets(scores, threshold, ...)
    """
    lengths = _lengths(min_length, max_length, bins)
    if threshold is None:
        _check_share(fdr, f"fdr={fdr!r}: the share of false calls to allow")
    else:
        _check_share(threshold, f"threshold={threshold!r}: a p-value")
    if sign not in SIGNS:
        raise ValueError(f"sign={sign!r}: use one of {', '.join(map(repr, SIGNS))}")
    scores = _scores(attribution, target, "attribution", lengths[0])
    parts, curves = [], []
    for each in SIGNS[sign]:
        chance = Chance.of(each * scores, *lengths[1:])
        level, curve = threshold, None
        if threshold is None and chance is not None:
            noise = _control(each * scores, control, each, target, lengths[0], shuffles, seed)
            curve = discovery_curve(each * scores, noise, chance, lengths[0])
            level = loosest(curve, fdr)
            curves.append(curve)
        parts.append(_called(each * scores, chance, lengths[0], level, curve, each))
    table = _merged(parts)
    offset = 0
    facts: dict[str, Any] = {
        "fdr": fdr if threshold is None else None, "threshold": threshold, "sign": sign,
        "control": None if threshold else control if isinstance(control, str) else "given",
        "min_length": min_length, "max_length": max_length,
    }  # fmt: skip
    if isinstance(attribution, Attribution):
        offset = attribution.start
        facts |= {k: v for k, v in attribution.facts.items() if k == "regions"}
    table["start"] += offset
    table["end"] += offset
    return Seqlets(**table, facts=facts, curves=tuple(curves))


def _check_share(given: Any, said: str) -> None:
    if not isinstance(given, Real) or isinstance(given, bool) or not 0 < float(given) <= 1:
        raise ValueError(f"{said}, above 0 and at most 1")


def _is_count(given: Any, least: int) -> bool:
    return isinstance(given, Integral) and not isinstance(given, bool) and int(given) >= least


def _lengths(shortest: int, longest: int, bins: int) -> tuple[int, int, int]:
    if not (_is_count(shortest, 1) and _is_count(longest, int(shortest))):
        raise ValueError(
            f"min_length={shortest}, max_length={longest}: whole numbers, 1 or more, the first not "
            "above the second"
        )
    if not _is_count(bins, 2):
        raise ValueError(
            f"bins={bins}: a whole number, 2 or more, to tell low scores from high ones"
        )
    return shortest, longest, bins


def _scores(given: Scores, target: int, name: str, shortest: int) -> Floats:
    """[sequence, site], in float64, each score that of the letter which is there; as long as a seqlet at least."""
    if isinstance(given, Attribution):
        held = given.observed(target)
    elif target != 0:
        raise IndexError(f"target={target}: {name} is an array, which has one target, 0")
    else:
        try:
            held = torch.as_tensor(given).detach()
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"{name}: an Attribution, or a tensor or array of scores, got {type(given).__name__}"
            ) from error
        held = held.sum(1) if held.dim() == 3 else held
    if held.dim() != 2 or not held.numel():
        raise ValueError(
            f"{name} has shape {list(held.shape)}: scores [sequence, site] or [sequence, letter, "
            "site] are needed, at least one"
        )
    if held.shape[1] < shortest:
        raise ValueError(
            f"min_length={shortest}: {name} has {held.shape[1]} sites a sequence, so that no seqlet fits; "
            "take a smaller min_length or score more sites"
        )
    if not torch.isfinite(held).all():
        raise ValueError(f"{name} holds NaN or infinite scores; such spans have no p-value")
    return np.asarray(held.double().cpu().numpy())


def _control(
    scores: Floats,
    control: Scores | str,
    sign: int,
    target: int,
    shortest: int,
    shuffles: int,
    seed: int,
) -> list[Floats]:
    """Scores of the same sign and without motifs, in as many pieces as need not be held at once."""
    if not isinstance(control, str):
        return [sign * _scores(control, target, "control", shortest)]
    if control == "mirrored":
        return [-scores]
    if control != "shuffled":
        raise ValueError(
            f"control={control!r}: scores of sequences without motifs, 'shuffled' or 'mirrored'"
        )
    if not _is_count(shuffles, 1):
        raise ValueError(f"shuffles={shuffles}: a whole number, 1 or more")
    random = np.random.default_rng(seed)
    return [random.permuted(scores, axis=1) for _ in range(shuffles)]


def _called(
    scores: Floats, chance: Chance | None, shortest: int, level: float | None,
    curve: DiscoveryCurve | None, sign: int,
) -> Table:  # fmt: skip
    """What is called at a threshold; nothing without one."""
    rows: list[tuple[Any, ...]] = []
    if chance is not None and level is not None:
        for first, found in in_pieces(scores, chance, shortest, level):
            for k, spans, chosen in called(found):
                sequence, start = np.divmod(spans.start[chosen], found.apart)
                q = (
                    np.full(len(chosen), np.nan)
                    if curve is None
                    else q_values(curve, spans.worst[chosen])
                )
                for n, s, p, each_q in zip(
                    first + sequence, start, spans.p[chosen], q, strict=True
                ):
                    rows.append((n, s, s + k, sign * scores[n, s : s + k].sum(), p, each_q))
    columns = zip(*rows, strict=True) if rows else [()] * len(KINDS)
    return {
        name: np.array(list(column), kind)
        for (name, kind), column in zip(KINDS.items(), columns, strict=True)
    }


def _merged(parts: list[Table]) -> Table:
    """The least likely first; of those of a later sign only what overlaps none of an earlier one."""
    table = parts[0]
    for later in parts[1:]:
        clear = np.array([
            not ((table["sequence"] == n) & (table["start"] < e) & (s < table["end"])).any()
            for n, s, e in zip(later["sequence"], later["start"], later["end"], strict=True)
        ], bool)  # fmt: skip
        table = {name: np.concatenate([table[name], later[name][clear]]) for name in table}
    order = np.lexsort((table["start"], table["sequence"], table["p_value"]))
    return {name: column[order] for name, column in table.items()}
