"""What is asked of a model before variants are: its output's positions, and what decides them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from nucleoscope.reading import read_model
from nucleoscope.scan.letters import one_hot
from nucleoscope.scan.shards.shipping import listed
from nucleoscope.scan.variants.job import Lay
from nucleoscope.scan.variants.runner import SPAN
from nucleoscope.scan.variants.strand import track

if TYPE_CHECKING:
    from nucleoscope.scan.variants.run import Request


def lay_of(request: Request) -> tuple[tuple[int, ...], Lay]:
    """The shape of one window's output, and where its positions lie; both are asked of the model where needed."""
    if request.scoring.around is None:
        return (), Lay(request.length, 0, request.bin)
    given = request.given()
    X = one_hot(["A" * request.length], given.get("alphabet", "ACGT"), given.get("layout", "NCL"))
    shapes = {_shape(model, X) for model in listed(request.model)}
    if len(shapes) > 1:
        raise ValueError(f"model: outputs of unlike shapes have no mean: {sorted(shapes)}")
    shape, target = shapes.pop(), given.get("target")
    sizes = {len(track(t, shape)) for t in (target if isinstance(target, list) else [target])}
    if len(sizes) > 1:
        raise ValueError(f"target: its targets have unlike numbers of positions, {sorted(sizes)}")
    lay = Lay(request.length, sizes.pop(), request.bin)
    around = request.scoring.around
    if lay.positions * lay.bin > request.length:
        raise ValueError(
            f"bin={request.bin}: {lay.positions:,} positions of it are more than a window's {request.length:,}"
        )
    if _room(request, lay) < around:
        raise ValueError(
            f"around={around}: the output of a window covers {_room(request, lay):,} bases either side of a "
            "variant"
        )
    if request.reverse_complement and (request.length - lay.positions * lay.bin) % 2:
        raise ValueError(
            f"reverse_complement: {lay.positions:,} positions of {lay.bin} do not lie in the middle of "
            f"{request.length:,} bases; take one base more or less"
        )
    return shape, lay


def _shape(model: nn.Module, X: torch.Tensor) -> tuple[int, ...]:
    """Of the output for one sequence; a model that cannot be explained is not run."""
    read_model(model)
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))
    with torch.no_grad():
        made = model(X.to(like))
    if not isinstance(made, torch.Tensor):
        raise TypeError(f"around: the model must return one tensor, not {type(made).__name__}")
    return tuple(made.shape[1:])


def spare(request: Request, lay: Lay) -> int | None:
    """How many bases may be put in where variants share a longer sequence; None where they may not.

    They may where the model goes position by position at any length, and all that decides a variant's scores
    lies in its own window. Bases put in move what is behind them towards the window's end.
    """
    import nucleoscope

    scoring, length = request.scoring, request.length
    if scoring.around is None or request.bin > 1:
        return None
    room = length
    given, longer = request.given(), length + SPAN  # as it will be asked, so that it is traced once
    X = one_hot(["A" * longer], given.get("alphabet", "ACGT"), given.get("layout", "NCL"))
    target = given.get("target")
    asked = {**given, "target": target if isinstance(target, list) else [target], "verify": 0}
    for model in listed(request.model):
        try:
            found = nucleoscope.profile_effect(
                model, X, [0], [longer // 2], ["A"], ["C"], around=scoring.around, **asked
            )
        except (ValueError, RuntimeError, nucleoscope.Untraceable):  # one length, steps, or a seam
            return None
        low, high = found.facts["reads"]
        inside = low >= -(length // 2) and high <= length - length // 2
        if not inside or found.facts["positions"] != lay.positions + SPAN:
            return None
        room = min(room, length - length // 2 - high)
    return room


def _room(request: Request, lay: Lay) -> int:
    """Bases that the output covers either side of a variant's first."""
    first, last = int(lay.starts[0]), int(lay.starts[-1]) + lay.bin
    return min(request.length // 2 - first, last - 1 - request.length // 2)


def longest(request: Request, lay: Lay) -> int:
    """Bases of the longest allele: what is looked at must be in the output after it has moved."""
    if request.scoring.around is None:
        return max(request.length // 2, 1)
    if request.bin > 1:
        return max(request.length // 2 - 1, 1)
    return 1 + _room(request, lay) - request.scoring.around
