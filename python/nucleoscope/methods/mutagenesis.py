"""Saturation mutagenesis: every letter at every site, by carrying only the change."""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from nucleoscope.engine.forward import Forward
from nucleoscope.engine.plan import Plan
from nucleoscope.engine.prepare import Asked, Func, ask, forward, make_plan, substitutions
from nucleoscope.engine.reduce import CENTERS, center, project
from nucleoscope.engine.run import Run
from nucleoscope.engine.step import Edits
from nucleoscope.engine.target import Target
from nucleoscope.engine.trace import Untraceable
from nucleoscope.engine.verify import verify as verify_edits
from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis as naive
from nucleoscope.result import Attribution, Check

Center = str


class NaiveFallback(UserWarning):
    """The model could not be traced; the plain loop ran instead."""


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
        ``"alternatives"``: less the mean over the other letters (AlphaGenome); ``"none"``: changes as
        they are (CREsted, Borzoi). The last needs ``hypothetical=True`` to show anything.
    precision
        ``"fp32"`` or ``"fp64"``: what the engine computes in.
    memory
        Bytes the engine may hold; by default a quarter of what is free.
    verify
        How many edits to recompute through the model itself, in float64 where it is small enough: the
        strongest and random others. 0 for none.

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
    if verify < 0:
        raise ValueError(f"verify={verify}: a number of edits, 0 or more")
    asked = ask(
        model, X, args, start=start, end=end, layout=layout, alphabet=alphabet,
        precision=precision, memory=memory, device=device,
    )  # fmt: skip
    raw, original, facts, checks = changes(asked, target, func, verify, progress)
    scores = _centered(raw, center)
    if not hypothetical:
        scores = project(scores, asked.sequences.columns[:, :, asked.start : asked.end].cpu())
    many = isinstance(target, list)
    axes = ("sequence", "target", "letter", "site") if many else ("sequence", "letter", "site")
    facts |= {
        "method": "saturation_mutagenesis", "target": _describe(target), "center": center,
        "hypothetical": hypothetical, "precision": precision,
    }  # fmt: skip
    return Attribution(
        scores if many else scores[:, 0], axes, alphabet, asked.start, original, facts, checks
    )


_centered = center


def plan(
    model: nn.Module, X: Tensor, args: tuple[Tensor, ...] | None = None, *, start: int = 0,
    end: int | None = None, target: Any = None, func: Func | None = None, layout: str = "NCL",
    alphabet: str = "ACGT", precision: str = "fp32", memory: int | None = None,
    device: str | torch.device | None = None,
) -> Plan:  # fmt: skip
    """What `saturation_mutagenesis` would do with the same arguments; print it.

    It shows every layer's window and cone, the seam and each op that ends locality with the line of your
    model that calls it, the arithmetic saved, and the memory. Raises Untraceable where the model cannot be
    traced, and what `saturation_mutagenesis` raises for bad arguments.
    """
    asked = ask(
        model, X, args, start=start, end=end, layout=layout, alphabet=alphabet,
        precision=precision, memory=memory, device=device,
    )  # fmt: skip
    return make_plan(asked, forward(asked), target, func)


def changes(
    asked: Asked, target: Any, func: Func | None, verify: int, progress: bool
) -> tuple[Tensor, Tensor, dict[str, Any], tuple[Check, ...]]:
    """Raw changes [N, T, A, sites] on the CPU, the originals' targets [N, T], facts and checks."""
    edits = substitutions(asked.sequences, asked.start, asked.end)
    total = sum(e.new.size for e in edits)
    with (
        tqdm(total=total, unit=" edits", disable=not progress, unit_scale=True) as bar,
        torch.no_grad(),
    ):
        try:
            held = forward(asked)
        except Untraceable as why:
            return _by_the_loop(asked, target, func, str(why), bar)
        raw, original, local = _by_deltas(asked, held, edits, target, func, bar)
    facts = {"engine": "delta" if local else "delta, then the model's own tail", **_versions()}
    checks: tuple[Check, ...] = ()
    if not torch.isfinite(raw).all():
        raise ValueError(
            "model: some edits make its output NaN or infinite; no scores can be given"
        )
    if verify:
        reader = _reader(asked, target, func)
        verdict = verify_edits(asked, raw, original, reader, verify, local and func is None, seed=0)
        checks = (Check("verification", True, str(verdict)),)
    return raw, original, facts, checks


def _by_deltas(
    asked: Asked, held: Forward, edits: list[Edits], target: Any, func: Func | None, bar: tqdm[None]
) -> tuple[Tensor, Tensor, bool]:
    plan = make_plan(asked, held, target, func)
    count, size = len(asked.sequences.letters), asked.sequences.columns.shape[1]
    raw, originals = None, []
    tiles = plan.tiles(asked.start, asked.end)
    group = max(1, asked.memory // 2 // max(1, plan.original_bytes(*tiles[0])))
    for first in range(0, count, group):
        last = min(first + group, count)
        inputs = {
            name: _cast(t[first:last], asked.dtype).to(asked.device)
            for name, t in zip((held.graph.edited, *held.graph.others), asked.inputs, strict=True)
        }
        for start, end in tiles:
            run = Run(plan, held, inputs, start, end)
            read = _whole_reader(run.output, target, func) if func else None
            before = (read or plan.target.of_values)(run.output)  # type: ignore[union-attr]
            if raw is None:
                raw = before.new_zeros(
                    count, before.shape[1], size, asked.end - asked.start, device="cpu"
                )
            for job in edits:
                mine = job.within(first, last, start, end)
                if len(mine):
                    _fill(raw, run, mine, first, asked.start, read, before, bar)
        originals.append(before.cpu())
    assert raw is not None
    return raw, torch.cat(originals), plan.local


def _fill(
    raw: Tensor, run: Run, edits: Edits, first: int, start: int,
    read: Callable[[Tensor], Tensor] | None, before: Tensor, bar: tqdm[None],
) -> None:  # fmt: skip
    """Run a group's edits and put each change in its place."""
    for batch in run.batches(edits, lambda sites: bar.update(sites * edits.new.shape[1])):
        part = edits.part(batch.sites)
        values = batch.values
        if read is not None:
            own = before[torch.from_numpy(part.sequence).to(before.device)][:, None]
            values = read(values.flatten(0, 1)).view(*part.new.shape, -1) - own
        n, site = (torch.from_numpy(a)[:, None] for a in (part.sequence + first, part.site - start))
        raw[n, :, torch.from_numpy(part.new), site] = values.to(raw)


def _whole_reader(output: Tensor, target: Any, func: Func) -> Callable[[Tensor], Tensor]:
    made = func(output)
    if not isinstance(made, Tensor) or made.ndim == 0 or len(made) != len(output):
        raise ValueError("func: must return a tensor with one row per sequence")
    reading = Target(target, tuple(made.shape[1:]))
    return lambda values: reading.of_values(func(values))


def _reader(asked: Asked, target: Any, func: Func | None) -> Callable[[Tensor], Tensor]:
    """[B, *out] -> [B, T] for outputs of the model itself."""

    def read(output: Tensor) -> Tensor:
        made = output if func is None else func(output)
        return Target(target, tuple(made.shape[1:])).of_values(made)

    return read


def _by_the_loop(
    asked: Asked, target: Any, func: Func | None, why: str, bar: tqdm[None]
) -> tuple[Tensor, Tensor, dict[str, Any], tuple[Check, ...]]:
    warnings.warn(
        f"the model cannot be traced, so the plain loop runs instead (slower, and as exact as the model): {why}",
        NaiveFallback,
        stacklevel=5,
    )
    X, *others = asked.inputs
    read, axis = _reader(asked, target, func), 1 if asked.sequences.layout == "NCL" else 2
    sites = range(asked.start, asked.end)
    raw = naive(
        asked.model, X, tuple(others), sites=sites, letters=axis, read=read, between=bar.update
    )
    original = read(asked.model(X, *others))
    return raw.cpu(), original.cpu(), {"engine": "plain loop", **_versions()}, ()


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _describe(target: Any) -> str:
    return "mean over all outputs" if target is None else repr(target)


def _versions() -> dict[str, str]:
    return {"nucleoscope": importlib.metadata.version("nucleoscope"), "torch": torch.__version__}
