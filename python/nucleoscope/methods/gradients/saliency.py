"""Saliency: the gradient at the sequence, of every letter."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.answers.read import Func
from nucleoscope.methods.gradients.at_points import at_sequences
from nucleoscope.methods.gradients.differentiating import attributed
from nucleoscope.result import Attribution

Model = nn.Module | Callable[..., Any]


def saliency(
    model: Model | Sequence[Model],
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...] | None = None,  # further inputs, each [N, ...]
    *,
    target: Any = None,
    func: Func | None = None,
    hypothetical: bool = False,
    center: str = "mean",
    magnitude: bool = False,
    layout: str = "NCL",
    alphabet: str | None = None,
    precision: str = "fp32",
    memory: int | None = None,
    progress: bool = False,
    reverse_complement: bool = False,
    shifts: Sequence[int] = (0,),
) -> Attribution:  # scores [N, 4, L], or [N, T, 4, L] for a list of targets
    """The gradient of a model's output with respect to its input: a first-order guess at every change.

    A score is in the output's units per unit of letter. It says nothing of what happens beyond an
    infinitesimal change: a letter that the model is sure of may score 0. `saturation_mutagenesis` makes the
    changes.

    Parameters
    ----------
    model, X, args, target, func, layout, alphabet, memory, progress, reverse_complement, shifts
        As of `saturation_mutagenesis`. The model is differentiated where it lies, several targets in one
        pass; `memory` bounds how many sequences go together.
    hypothetical
        Keep the gradients of all letters; otherwise those of letters that are not there are zero.
    center
        ``"mean"``: less the mean over the letters of a site, the part of the gradient that points off the
        simplex, where no sequence can go (Majdandzic et al. 2023); ``"none"``: as it is.
    magnitude
        The absolute value of it, which says how strongly but not which way.
    precision
        ``"fp32"``, or ``"fp64"``: a copy of the model in float64 is asked. ``"bf16"``, on a processor with
        AVX512_BF16: gradients by products of bfloat16, targets in float32; a check says what they are off by, at
        the first sequence.

    Returns
    -------
    Attribution
        ``scores`` on the named ``axes``, the output for the originals, what was done (``facts``), and a
        check that fails where part of the model has no gradient or one that is always zero.

    Raises
    ------
    TypeError, ValueError, IndexError
        For an argument that cannot be meant, a model that has no gradient (the message names the piece
        and its line), or one whose numbers are not finite (it names the layer).

    Source: Simonyan et al. 2014 (arXiv 1312.6034); the correction: Majdandzic et al. 2023 (Genome Biol. 24, 109).

    Equivalent to (one model, one strand, no shift)::

        G = torch.autograd.grad(read(model(X)).sum(), X)[0]
        scores = G - G.mean(1, keepdim=True)
        scores if hypothetical else scores * X
    """
    alphabet = alphabet_of(model, alphabet)

    explain = functools.partial(at_sequences, progress=progress)
    return attributed(
        "saliency", explain, model, X, args, target=target, func=func, center=center,
        hypothetical=hypothetical, layout=layout, alphabet=alphabet, precision=precision, memory=memory,
        reverse_complement=reverse_complement, shifts=shifts,
        finish=torch.abs if magnitude else lambda raw: raw, more={"magnitude": True} if magnitude else None,
    )  # fmt: skip
