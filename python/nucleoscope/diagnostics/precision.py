"""Scaling and precision: whether effects are larger than the rounding of the numbers they are computed in."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.diagnostics.asking import Asking, asking, judge
from nucleoscope.diagnostics.finding import Finding
from nucleoscope.engine.answers.read import Func
from nucleoscope.methods.edits.substitution_effect import substitution_effect

WRONG = 0.01  # of the signs
ERROR = 0.01  # median over effects, of each effect's own size
NOTHING = 1e-12  # of the answer: what float64 itself may round
BATCH = 64


def precision(
    model: nn.Module,
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...] | None = None,
    *,
    n: int = 64,
    random_state: int = 0,
    target: Any = None,
    func: Func | None = None,
) -> Finding:
    """Whether effects of single bases survive float32 and bfloat16, with float64 as the judge.

    The loop subtracts two answers that are nearly equal: each is off by eps |f|, so an effect d is off by
    about eps |f| / |d| of itself, 1e-7 |f| / |d| in float32, 8e-3 |f| / |d| in bfloat16. An offset or a scale
    that the effects do not share (a bias, a background of counts) decides |f| / |d|. Deltas are never
    subtracted: their error is relative to the delta, whatever f is.

    `n` random substitutions are asked of a copy of the model in float64, of the model in its own number type,
    under bfloat16 autocast, and of the delta engine in float32. Fires where the model's own number type gets
    more than 1 % of the signs wrong (an effect of exactly 0 that is none is wrong), or its effects' median
    error is over 1 %.

    values: for each of own, bf16 and deltas: wrong_sign, median_error; scale, the median of |f| / |effect|.

    Raises TypeError or ValueError for a model, X or target that cannot be meant.

    Equivalent to::

        exact = double(edited) - double(X)
        ((model(edited) - model(X)).sign() != exact.sign()).mean()
    """
    if not isinstance(n, int) or n < 1:
        raise ValueError(f"n={n!r}: a number of substitutions, 1 or more")
    asked = asking(model, X, args, target, func)
    sequence, rows, edited = _edits(asked.X, n, random_state)
    double = judge(asked)
    if double is None:
        said = (
            "the model's forward fixes the type of its numbers (as .float() does), so that no copy of it in "
            "float64 can judge."
        )
        return Finding("scaling and precision", False, said, applies=False)
    exact, before = _loop(double, edited, sequence)
    own, _ = _loop(asked, edited, sequence)
    with torch.autocast(asked.X.device.type, torch.bfloat16):
        rounded, _ = _loop(_single(asked), edited, sequence)
    kind = "fp64" if asked.X.dtype == torch.float64 else "fp32"
    deltas = substitution_effect(
        model, asked.X, rows, asked.args, sequence=sequence, target=target, func=func, precision=kind,
        verify=0
    ).changes.double()  # fmt: skip
    told = exact.abs() > NOTHING * before.abs()
    if not told.any():
        said = "no single substitution changes the answer, so there is nothing to round."
        return Finding("scaling and precision", False, said, applies=False)
    values = {
        name: _against(made.cpu()[told.cpu()], exact.cpu()[told.cpu()])
        for name, made in (("own", own), ("bf16", rounded), ("deltas", deltas))
    }
    scale = float((before.abs() / exact.abs())[told].median())
    fires = values["own"]["wrong_sign"] > WRONG or values["own"]["median_error"] > ERROR
    return Finding(
        "scaling and precision", fires, _sentence(values, scale, str(asked.X.dtype)), {**values, "scale": scale},
        {"wrong_sign": WRONG, "median_error": ERROR},
    )  # fmt: skip


def _single(asked: Asking) -> Asking:
    """The same in float32, which is what autocast rounds."""
    if asked.X.dtype == torch.float32:
        return asked
    args = tuple(a.float() if a.is_floating_point() else a for a in asked.args)
    return Asking(copy.deepcopy(asked.model).float(), asked.X.float(), args, asked.read)


def _edits(X: Tensor, n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random substitutions of known letters: their sequences [n], rows [n, 3], edited sequences [n, 4, L]."""
    known = (X.amax(1) == 1).nonzero()
    if not len(known):
        raise ValueError("X: it holds no known letter that could be replaced")
    source = torch.Generator().manual_seed(seed)
    chosen = known[torch.randint(0, len(known), (n,), generator=source).to(known.device)]
    sequence, position = chosen.unbind(1)
    shift = torch.randint(1, 4, (n,), generator=source).to(X.device)
    letter = (X[sequence, :, position].argmax(1) + shift) % 4
    edited = X[sequence].clone()
    edit = torch.arange(n, device=X.device)
    edited[edit, :, position] = torch.eye(4).to(X)[letter]
    return sequence, torch.stack([edit, position, letter], 1), edited


def _loop(asked: Asking, edited: Tensor, sequence: Tensor) -> tuple[Tensor, Tensor]:
    """Effects by subtraction, and the answers before, both [n] float64."""
    with torch.no_grad():
        before = _answers(asked, asked.X, torch.arange(len(asked.X), device=edited.device))
        after = _answers(asked, edited.to(asked.X), sequence)
    return (after - before[sequence]).double(), before[sequence].double()


def _answers(asked: Asking, X: Tensor, sequence: Tensor) -> Tensor:
    parts = [
        asked.value(X[at : at + BATCH], tuple(a[sequence[at : at + BATCH]] for a in asked.args))
        for at in range(0, len(X), BATCH)
    ]
    return torch.cat(parts)


def _against(made: Tensor, exact: Tensor) -> dict[str, float]:
    return {
        "wrong_sign": float((made.sign() != exact.sign()).double().mean()),
        "median_error": float(((made - exact) / exact).abs().median()),
    }


def _sentence(values: dict[str, dict[str, float]], scale: float, kind: str) -> str:
    own, low, deltas = values["own"], values["bf16"], values["deltas"]
    return (
        f"answers are {scale:.0e} times a substitution's effect: subtracting them in "
        f"{kind.removeprefix('torch.')} gets "
        f"{own['wrong_sign']:.0%} of signs wrong and effects off by {own['median_error']:.0e}, in bfloat16 "
        f"{low['wrong_sign']:.0%} and {low['median_error']:.0e}; deltas {deltas['wrong_sign']:.0%} and "
        f"{deltas['median_error']:.0e}."
    )
