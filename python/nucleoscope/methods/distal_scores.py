"""Which far regions a target depends on: gradients summed over blocks, and the strongest blocks shuffled."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.alphabet import alphabet_of
from nucleoscope.engine.answers.read import Func
from nucleoscope.methods.edits.ablate import ablate
from nucleoscope.methods.gradients.saliency import saliency
from nucleoscope.reading import read_range
from nucleoscope.result import Attribution, Check


def distal_scores(
    model: nn.Module,
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...] | None = None,  # further inputs, each [N, ...]
    *,
    target: Any = None,
    func: Func | None = None,
    block: int = 128,
    centre: tuple[int, int] | None = None,
    beyond: int = 1024,
    edits: int = 0,
    shuffles: int = 1,
    layout: str = "NCL",
    alphabet: str | None = None,
    precision: str = "fp32",
    memory: int | None = None,
    random_state: int | None = 0,
) -> Attribution:  # scores [N, blocks]
    """How much each block of bases could change a target, by its gradient; far ones exactly, by shuffling them.

    A score is the sum over a block's bases of the absolute gradient at the letter that is there, less the mean
    over the letters: a first-order guess, in the target's units, without a sign. On a trained model its ranks
    agree better with what shuffling a block does than those of attention rollout, relevance or distance.
    With `edits`, that many of the highest blocks beyond `beyond` are shuffled and the model is asked: what
    changed is in ``facts["edited"]``.

    Parameters
    ----------
    model, X, args, target, func, layout, alphabet, precision, memory
        As of `saliency`; one target.
    block
        Bases of a block; the last one may be shorter.
    centre
        The bases [start, end) that distances are counted from; None: the middle of the sequence.
    beyond
        Bases from `centre` on which a block is far.
    edits, shuffles
        How many far blocks are shuffled, and how often each.

    Raises
    ------
    TypeError, ValueError, IndexError
        What `saliency` and `ablate` refuse, and numbers below 1.

    Equivalent to::

        G = grad(target, X);  scores = ((G - G.mean(1)) * X).sum(1).abs() summed over each block
    """
    alphabet = alphabet_of(model, alphabet)
    _check_counts(block=(block, 1), beyond=(beyond, 0), edits=(edits, 0), shuffles=(shuffles, 1))
    if isinstance(target, list):
        raise ValueError("target: one target a call, since far blocks are chosen by its own scores")
    given: dict[str, Any] = {
        "target": target, "func": func, "layout": layout, "alphabet": alphabet, "precision": precision,
        "memory": memory,
    }  # fmt: skip
    found = saliency(model, X, args, **given)
    each = found.observed().abs()  # [N, L]
    length = each.shape[1]
    middle = (length // 2, length // 2 + 1) if centre is None else read_range(*centre, length)
    spans = [(at, min(at + block, length)) for at in range(0, length, block)]
    scores = torch.stack([each[:, start:end].sum(1) for start, end in spans], 1)
    apart = torch.tensor(
        [max(start - middle[1] + 1, middle[0] - end + 1, 0) for start, end in spans]
    )
    far = apart >= beyond
    edited: list[list[dict[str, Any]]] = [[] for _ in range(len(scores))]
    for at in range(len(scores) if edits else 0):
        for chosen in (
            scores[at].masked_fill(~far, -1).topk(min(edits, int(far.sum()))).indices.tolist()
        ):
            start, end = spans[chosen]
            others = None if args is None else tuple(a[at : at + 1] for a in args)
            made = ablate(
                model, X[at : at + 1], start, end, others, n=shuffles, random_state=random_state, verify=0,
                **given,
            )  # fmt: skip
            change = float(made.changes.mean())
            edited[at].append({"block": chosen, "start": start, "end": end, "change": change})
    facts = found.facts | {
        "method": "distal_scores", "block": block, "centre": list(middle), "beyond": beyond,
        "distances": apart.tolist(), "edited": edited, "shuffles": shuffles,
    }  # fmt: skip
    checks = (*found.checks, *_agreement(scores, edited))
    return Attribution(scores, ("sequence", "block"), alphabet, 0, found.original, facts, checks)


def _check_counts(**numbers: tuple[Any, int]) -> None:
    for name, (value, least) in numbers.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name}={value!r}: a whole number, {least} or more")


def _agreement(scores: Tensor, edited: list[list[dict[str, Any]]]) -> tuple[Check, ...]:
    pairs = [
        (float(scores[at, e["block"]]), abs(e["change"]))
        for at, of in enumerate(edited)
        for e in of
    ]
    if len(pairs) < 3:
        return ()
    ranks = torch.tensor(pairs, dtype=torch.float64).argsort(0).argsort(0).double()
    rho = float(torch.corrcoef(ranks.T)[0, 1])
    detail = f"rank correlation {rho:.2f} between gradients and {len(pairs)} shuffled blocks"
    return (Check("gradients rank as edits do", rho > 0.3, detail),)
