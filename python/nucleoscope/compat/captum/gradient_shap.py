"""captum 0.9's GradientShap: the gradient somewhere between an example and a baseline drawn for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nucleoscope.compat.captum.question import (
    Inputs,
    Question,
    as_inputs,
    delta,
    exact,
    floating,
    like_given,
)
from nucleoscope.engine.gradients.path import Points, sums


class GradientShap:
    """The mean over random baselines, places between and noise of gradients times the way.

    Draws are made in captum's order by the same generators, so that equal seeds give equal numbers.
    """

    def __init__(self, forward_func: Callable[..., Any], multiply_by_inputs: bool = True) -> None:
        self.forward_func, self._multiply = forward_func, multiply_by_inputs

    def attribute(
        self, inputs: Tensor | Inputs, baselines: Any, n_samples: int = 5, stdevs: float | tuple[float, ...] = 0.0,
        target: Any = None, additional_forward_args: Any = None, return_convergence_delta: bool = False,
    ) -> Any:  # fmt: skip
        """As captum's: shaped as the inputs; with `return_convergence_delta` [N * n_samples] after them.

        baselines: a tensor or tuple of tensors whose rows are drawn from, or a function that gives such.
        """
        x = floating(as_inputs(inputs))
        drawn = baselines
        if callable(baselines):
            drawn = baselines(inputs) if inspect.signature(baselines).parameters else baselines()
        rows = drawn if isinstance(drawn, tuple) else (drawn,)
        _check(rows, x, n_samples)
        start = tuple(
            b.detach().to(t)[torch.from_numpy(np.random.choice(len(b), len(t) * n_samples))]
            for b, t in zip(rows, x, strict=True)
        )
        end = tuple(
            _noisy(t, s, n_samples) for t, s in zip(x, _stdevs(stdevs, len(x)), strict=True)
        )
        question = Question.of(self.forward_func, additional_forward_args, target, len(x[0]))
        question.rows = tuple(t.repeat_interleave(n_samples, 0) for t in question.rows)
        share = torch.from_numpy(np.random.uniform(0.0, 1.0, len(end[0]))).to(x[0])
        with exact(x):
            backward = question.backward(end)
            way = tuple(b - a for a, b in zip(start, end, strict=True))
            at = tuple(
                a + share.view(-1, *[1] * (w.ndim - 1)).to(w) * w
                for a, w in zip(start, way, strict=True)
            )

            def place(points: Points) -> Inputs:
                return tuple(t[points.row.to(t.device)] for t in (*at, *question.rows))

            found = sums(backward, place, len(end[0]), np.ones((1, 1)))
            each = tuple(g[0, :, 0].to(t.device) for g, t in zip(found, x, strict=True))
            if self._multiply:
                each = tuple(g * w for g, w in zip(each, way, strict=True))
            made = tuple(g.view(-1, n_samples, *g.shape[1:]).mean(1) for g in each)
            if not return_convergence_delta:
                return like_given(inputs, made)
            return like_given(inputs, made), delta(question, backward.rows, each, start, end)

    def has_convergence_delta(self) -> bool:
        """It has one."""
        return True

    @property
    def multiplies_by_inputs(self) -> bool:
        """Whether gradients are multiplied by the way."""
        return self._multiply


def _check(rows: tuple[Any, ...], inputs: Inputs, n_samples: int) -> None:
    if len(rows) != len(inputs) or any(not isinstance(b, Tensor) for b in rows):
        raise TypeError(
            "baselines: a tensor whose rows are baselines, or a tuple of one for each input"
        )
    for b, t in zip(rows, inputs, strict=True):
        if b.shape[1:] != t.shape[1:] or not len(b):
            raise ValueError(
                f"baselines: shape {tuple(b.shape)}, where rows of {tuple(t.shape[1:])} are needed"
            )
    if not isinstance(n_samples, int) or n_samples < 1:
        raise ValueError(f"n_samples={n_samples!r}: 1 or more")


def _stdevs(stdevs: Any, count: int) -> tuple[float, ...]:
    made = stdevs if isinstance(stdevs, tuple) else (stdevs,) * count
    if len(made) != count or any(not isinstance(s, float) or s < 0 for s in made):
        raise ValueError(
            f"stdevs={stdevs!r}: a float, or a tuple of one for each of {count} inputs, not negative"
        )
    return made


def _noisy(x: Tensor, stdev: float, n_samples: int) -> Tensor:
    """Each row n_samples times, with noise."""
    spread = torch.tensor(stdev, device=x.device).repeat(len(x) * n_samples, *x.shape[1:])
    return x.repeat_interleave(n_samples, 0) + torch.normal(0, spread)
