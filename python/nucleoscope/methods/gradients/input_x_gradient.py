"""Input times gradient: what each letter that is there counts, to first order."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.answers.read import Func
from nucleoscope.methods.gradients.at_points import at_sequences
from nucleoscope.methods.gradients.differentiating import attributed
from nucleoscope.result import Attribution

Model = nn.Module | Callable[..., Any]


def input_x_gradient(
    model: Model | Sequence[Model],
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...] | None = None,  # further inputs, each [N, ...]
    *,
    target: Any = None,
    func: Func | None = None,
    hypothetical: bool = False,
    center: str = "none",
    layout: str = "NCL",
    alphabet: str | None = None,
    precision: str = "fp32",
    memory: int | None = None,
    progress: bool = False,
    reverse_complement: bool = False,
    shifts: Sequence[int] = (0,),
) -> Attribution:  # scores [N, 4, L], or [N, T, 4, L] for a list of targets
    """The input times the gradient of the output: what a letter counts if the model were a plane.

    For a model of ReLUs without biases the scores add up to the output; for others they add up to
    nothing in particular. With ``center="mean"`` it is `saliency`. The parameters are those of
    `saliency`, and so are the errors raised; `hypothetical` keeps the gradient of every letter.

    Source: Shrikumar et al. 2016 (arXiv 1605.01713).

    Equivalent to (one model, one strand, no shift)::

        X * torch.autograd.grad(read(model(X)).sum(), X)[0]
    """
    alphabet = alphabet_of(model, alphabet)

    explain = functools.partial(at_sequences, progress=progress)
    return attributed(
        "input_x_gradient", explain, model, X, args, target=target, func=func, center=center,
        hypothetical=hypothetical, layout=layout, alphabet=alphabet, precision=precision, memory=memory,
        reverse_complement=reverse_complement, shifts=shifts,
    )  # fmt: skip
