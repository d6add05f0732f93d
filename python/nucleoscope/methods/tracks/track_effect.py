"""What edits of tracks and covariates do to a model's output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from nucleoscope.alphabet import alphabet_of
from nucleoscope.effects import Effects
from nucleoscope.engine.answers.read import Func, Read
from nucleoscope.engine.answers.steady import answer, check_finite, takes_one
from nucleoscope.engine.prepare import Asked, ask
from nucleoscope.engine.tracing.cache import doubled, in_turn
from nucleoscope.methods.edits.one_by_one import one_by_one
from nucleoscope.methods.edits.several import Models
from nucleoscope.methods.ensemble import members
from nucleoscope.methods.running import exactly, read_func, versions
from nucleoscope.methods.tracks.strands import Strand, Turn, strands
from nucleoscope.methods.tracks.track import Inputs
from nucleoscope.methods.tracks.track_edits import TrackEdit, read_edits


def track_effect(
    model: Models,  # of several, the mean
    X: Tensor,  # [N, 4, L] one-hot
    args: tuple[Tensor, ...],  # further inputs: tracks [N, channels, bins], others [N, ...]
    edits: Sequence[TrackEdit],
    *,
    target: Any = None,
    func: Func | None = None,
    alphabet: str | None = None,
    precision: str = "fp32",
    batch: int = 8,
    reverse_complement: bool = False,
    reverse_target: Any = None,
    reverse_args: Turn | None = None,
) -> Effects:  # changes [N, K], or [N, K, T] for a list of targets
    """What erasing a peak, swapping a domain or setting a covariate does to a model's output.

    Changes are in the output's own units; each edit is made by itself, on every sequence. Positions are in
    bases, whatever bins a track has. The model is run whole for each: an edit of a track moves as many
    positions as it is wide. The other arguments are those of `saturation_mutagenesis`; sequences are laid out
    [N, letters, L].

    Parameters
    ----------
    reverse_complement
        Show the model the other strand as well, edited alike, and average: the sequence's reverse complement,
        and the further inputs that run along all of it flipped.
    reverse_target
        What `target` is on the other strand; the same by default.
    reverse_args
        What the further inputs are on the other strand, as a function of them, one sequence at a time: where
        tracks have strands of their own, or run along a part of the sequence. None: flipped, as above.

    Raises
    ------
    TypeError, ValueError, IndexError
        For an edit that is none, leaves the sequence or ends within a bin, a further input that there is not
        or whose resolution is no whole number of bases, and what `saturation_mutagenesis` refuses.

    Equivalent to::

        read(model(*edit.applied((X, *args)))) - read(model(X, *args))
    """
    alphabet = alphabet_of(model, alphabet)
    listed = read_edits(edits)
    if not isinstance(batch, Integral) or isinstance(batch, bool) or batch < 1:
        raise ValueError(f"batch={batch!r}: sequences that go through the model at once, 1 or more")
    read_func(func)
    read = Read(target, func)
    shown = strands(read, reverse_complement, reverse_target, reverse_args, alphabet)

    def explain(one: Any) -> Effects:
        return _effects(one, X, args, listed, shown, precision, int(batch))

    return one_by_one(members(model), X, args, read, settings_of(alphabet, precision), explain)


def _effects(
    model: Any, X: Tensor, args: tuple[Tensor, ...], listed: Sequence[TrackEdit], shown: Sequence[Strand],
    precision: str, batch: int,
) -> Effects:  # fmt: skip
    """What one model makes of the edits, on average over the strands."""
    read = shown[0].read
    with in_turn:
        asked = asked_for(model, X, args, shown[0].alphabet, precision)
        with exactly(asked):
            each = [_on_strand(asked, strand, listed, batch) for strand in shown]
    changes, original = (torch.stack(part).mean(0).cpu() for part in zip(*each, strict=True))
    facts: dict[str, Any] = {
        "method": "track_effect", "target": str(read), "edits": [_named(e) for e in listed],
        "engine": "the model itself", "precision": precision, **versions(),
    }  # fmt: skip
    if len(shown) > 1:
        facts["reverse_complement"] = True
    if isinstance(read.target, list):
        return Effects(changes, original, ("sequence", "edit", "target"), facts)
    return Effects(changes[..., 0], original[..., 0], ("sequence", "edit"), facts)


def _on_strand(
    asked: Asked, strand: Strand, listed: Sequence[TrackEdit], batch: int
) -> tuple[Tensor, Tensor]:
    """Changes [N, K, T] and the targets of the unedited inputs [N, 1, T]."""
    run = ready(asked, strand.read)
    found, before = [], []
    for n in range(len(asked.sequences.letters)):
        own = inputs_of(asked, n)
        (unedited,) = run(iter([strand.of(own)]), 1)
        after = torch.cat(list(run((strand.of(edit.applied(own)) for edit in listed), batch)))
        before.append(unedited)
        found.append(after - unedited)
    return torch.stack(found), torch.stack(before)


def asked_for(
    model: Any, X: Tensor, args: tuple[Tensor, ...] | None, alphabet: str, precision: str
) -> Asked:
    """A checked request of the model itself."""
    if precision not in ("fp32", "fp64"):
        raise ValueError(f"precision={precision!r}: the model itself is run in 'fp32' or 'fp64'")
    return ask(model, X, args, start=0, end=None, **settings_of(alphabet, precision))


def settings_of(alphabet: str, precision: str) -> dict[str, Any]:
    """What a request is read by."""
    return {
        "layout": "NCL", "alphabet": alphabet, "precision": precision, "memory": None, "device": None,
    }  # fmt: skip


def inputs_of(asked: Asked, n: int) -> Inputs:
    """All that the model is given of one sequence, in the number type that is asked for."""
    own = asked.part(n, n + 1)
    return tuple(t.to(asked.dtype) if t.is_floating_point() else t for t in own)


def ready(asked: Asked, read: Read) -> Callable[[Iterator[Inputs], int], Iterator[Tensor]]:
    """The model, checked, as what gives targets [B, T] of inputs, so many at a time."""
    check_finite(asked.model)
    example, *others = asked.part(0, 1)
    answer(asked.model, example, tuple(others))
    single = takes_one(asked.model, (example, *others), read)
    model = doubled(asked.model) if asked.dtype != asked.native else asked.model

    def run(given: Iterator[Inputs], batch: int) -> Iterator[Tensor]:
        part: list[Inputs] = []
        for inputs in given:
            part.append(inputs)
            if single or len(part) == batch:
                yield _read(model, read, part)
                part = []
        if part:
            yield _read(model, read, part)

    return run


def _read(model: nn.Module, read: Read, part: list[Inputs]) -> Tensor:
    with torch.no_grad():
        made = read.ask(model, *(torch.cat(each) for each in zip(*part, strict=True)))
    where = read.leaves(made)
    found = where.read(where.joined(made))
    if not torch.isfinite(found).all():
        raise ValueError(
            "model: some edits make its output NaN or infinite; no effects can be given"
        )
    return found


def _named(edit: TrackEdit) -> str:
    """An edit as a result says it: tensors by their shape."""
    held = (f"{k}={tuple(v.shape) if isinstance(v, Tensor) else v}" for k, v in vars(edit).items())
    return f"{type(edit).__name__}({', '.join(held)})"
