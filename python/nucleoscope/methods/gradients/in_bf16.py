"""Gradients whose products are of bfloat16: by the traced program alone, and measured against float32's."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.gradients.backward import Backward
from nucleoscope.engine.gradients.traced_gradient import TracedGradient, shortened
from nucleoscope.engine.prepare import Asked
from nucleoscope.engine.values.short import WIDE
from nucleoscope.result import Check

# Rounded sums put units on the other side of their kinks, and each is a whole path of the net: a few per cent of a
# gradient's size on random nets. Beyond this share of it the map is another one.
ALLOWED = 0.1
NAME = "bf16"
KEPT = 64  # sequences whose measurement is kept with a model
NODES = (0.125, 0.375, 0.625, 0.875)  # where between equal letters and the first sequence


def check_place(asked: Asked) -> None:
    """Raises ValueError where there are no such products for gradients."""
    if asked.precision == "bf16" and asked.home.type != "cpu":
        raise ValueError(
            f"precision='bf16': gradients have such products on a processor alone, and the model is on "
            f"{asked.home}; use 'fp32'"
        )


def shorten(
    asked: Asked,
    read: Read,
    backward: Backward,
    inputs: tuple[Tensor, ...],
    before: dict[str, Check],
) -> Check:
    """Take gradients in bfloat16 from now on, and say what they are off by at the first of these inputs.

    What was measured `before` at the very same inputs stands. Raises ValueError for a model whose trace has not
    every piece of its gradient.
    """
    if backward.program is None:
        raise ValueError(
            "precision='bf16': such products are those of a traced program, and this model has none: it is not "
            "traced to its end, has a derivative of its own making, takes one sequence at a time, or has no "
            "finite gradient at the first sequence; use 'fp32'"
        )
    short = shortened(asked, read, backward.program)
    if not short.program.short:
        said = f"no convolution has {WIDE} channels on both sides: all products are of float32"
        return Check(NAME, True, said)
    first = tuple(t[:1] for t in inputs)
    key = hashlib.sha256(
        b"".join(t.cpu().contiguous().numpy().tobytes() for t in first)
    ).hexdigest()
    if key not in before:
        before[key] = _measured(asked, backward, short, first)
        while len(before) > KEPT:
            del before[next(iter(before))]
    backward.short = short
    return before[key]


def _measured(
    asked: Asked, backward: Backward, short: TracedGradient, first: tuple[Tensor, ...]
) -> Check:
    """How far mean gradients between equal letters and a sequence are off, target by target."""
    X, *others = first
    letters = X.shape[1 if asked.sequences.layout == "NCL" else 2]
    points = torch.cat([torch.lerp(torch.full_like(X, 1 / letters), X, at) for at in NODES])
    given = (points, *(t.expand(len(NODES), *t.shape[1:]) for t in others))
    whole = backward(given).of[0].mean(0).flatten(1)  # [T, numbers]
    backward.short = short
    off = (backward(given).of[0].mean(0).flatten(1) - whole).abs()
    shares = torch.where(off.norm(dim=1) == 0, 0.0, off.norm(dim=1) / whole.norm(dim=1))
    worst = int(shares.argmax())
    share, most = (
        float(shares[worst]),
        float(off[worst].max() / whole[worst].abs().max().clamp(min=1e-45)),
    )
    of = f" (target {worst}, the worst of {len(shares)})" if len(shares) > 1 else ""
    said = (
        f"the mean gradient at {len(NODES)} points between equal letters and the first sequence is off by "
        f"{share:.1%} of its size from float32's, at most {most:.1%} of its largest number{of}"
    )
    return Check(NAME, share <= ALLOWED, said)
