"""The definition of mutagenesis as a judge: the naive loop in float64, and how far off one may be.

It reads targets on its own, so that it shares nothing with the engine.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import nucleoscope
from nucleoscope.naive.methods.saturation_mutagenesis import saturation_mutagenesis as naive


def picks(target: Any) -> list[Any]:
    """The targets of a request, each as an index."""
    return target if isinstance(target, list) else [target]


def reading(target: Any) -> Callable[[Tensor], Tensor]:
    """[B, *out] -> [B, T], written out: the mean of what each target selects."""

    def one(output: Tensor, pick: Any) -> Tensor:
        at = () if pick is None else pick if isinstance(pick, tuple) else (pick,)
        picked = output[(slice(None), *at)]
        return picked.reshape(len(output), -1).mean(1)

    return lambda output: torch.stack([one(output, pick) for pick in picks(target)], 1)


def truth(
    model: nn.Module, X: Tensor, args: tuple[Tensor, ...] = (), *, target: Any = None,
    start: int = 0,
    end: int | None = None, layout: str = "NCL", dtype: torch.dtype = torch.float64,
) -> Tensor:  # fmt: skip
    """Raw changes [N, T, A, sites] by the definition, in `dtype`, on a copy of the model."""
    axis = 1 if layout == "NCL" else 2
    end = X.shape[3 - axis] if end is None else end
    given = tuple(a.to(dtype) if a.is_floating_point() else a for a in args)
    return naive(
        copy.deepcopy(model).to(dtype), X.to(dtype), given,
        sites=range(start, end), letters=axis, read=reading(target), batch=128,
    )  # fmt: skip


def engine(
    model: nn.Module,
    X: Tensor,
    args: tuple[Tensor, ...] = (),
    *,
    target: Any = None,
    **settings: Any,
) -> Tensor:
    """Raw changes [N, T, A, sites] by the engine, unverified."""
    settings = {"hypothetical": True, "center": "none", "verify": 0, **settings}
    got = nucleoscope.saturation_mutagenesis(model, X, args or None, target=target, **settings)
    return got.scores if isinstance(target, list) else got.scores[:, None]


def is_local(model: nn.Module, X: Tensor, args: tuple[Tensor, ...] = (), **settings: Any) -> bool:
    """Whether the plan carries deltas to the output."""
    return nucleoscope.plan(model, X, args or None, **settings).local


def assert_exact(
    model: nn.Module, X: Tensor, args: tuple[Tensor, ...] = (), *, target: Any = None,
    local: bool | None = None, **request: Any,
) -> Tensor:  # fmt: skip
    """Engine fp64 and fp32 against the definition in float64; returns the truth.

    fp64: 1e-10 of the largest effect. fp32: 1e-5 of it where deltas reach the output, twice the
    naive fp32 loop's own error behind a seam. `local` says which of the two the graph must be.
    """
    reached = is_local(model, X, args, target=target, **request)
    assert local is None or reached == local, f"deltas reach the output: {reached}"
    want = truth(model, X, args, target=target, **request)
    got = engine(model, X, args, target=target, precision="fp64", **request)
    assert got.shape == want.shape
    assert got.dtype == torch.float64
    assert_close(got, want, 1e-10 * largest(want) + 1e-14)
    got = engine(model, X, args, target=target, **request)
    allowed = 1e-5 * largest(want)
    if not reached:
        noise = truth(model, X, args, target=target, dtype=torch.float32, **request) - want
        allowed += 2 * largest(noise)
    assert_close(got, want, allowed + 1e-12)
    return want


def largest(changes: Tensor) -> Tensor:
    """Per target, the size of the largest change: [T]."""
    return changes.double().abs().amax((0, 2, 3))


def assert_close(got: Tensor, want: Tensor, allowed: Tensor) -> None:
    """Each target's largest difference within what is allowed for it."""
    gap = largest((got.double() - want.double()).nan_to_num(nan=torch.inf))
    worst = int((gap / allowed).argmax())
    assert (gap <= allowed).all(), (
        f"{got.dtype}, target {worst}: off by {gap[worst]:.1e}, allowed {allowed[worst]:.1e}; "
        f"the largest effect is {largest(want)[worst]:.1e}"
    )
