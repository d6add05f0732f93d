"""What the gradient methods share: a request checked, a model ready to be differentiated, views and their mean."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from nucleoscope.engine.answers.half import check_half
from nucleoscope.engine.answers.marks import content, mark, structure
from nucleoscope.engine.answers.read import Func, Read
from nucleoscope.engine.answers.steady import answer, check_finite, check_steady
from nucleoscope.engine.gradients.backward import Backward, Look
from nucleoscope.engine.gradients.traced_gradient import TracedGradient, traced_gradient
from nucleoscope.engine.graph import FixedBatch
from nucleoscope.engine.precision import SAYS
from nucleoscope.engine.prepare import Asked, ask
from nucleoscope.engine.tracing.cache import doubled, in_turn
from nucleoscope.methods import ensemble
from nucleoscope.methods.alike import check_alike
from nucleoscope.methods.gradients.in_bf16 import check_place, shorten
from nucleoscope.methods.gradients.unmoved import unmoved
from nucleoscope.methods.reduce import project
from nucleoscope.methods.running import exactly, read_func, versions
from nucleoscope.result import Attribution, Check

CENTERS = ("mean", "none")
PRECISIONS = ("fp32", "fp64", "bf16")
ALWAYS = 1 << 62  # points that are worth a trace, whatever the model
BLOCK = 64  # sequences whose sums are held together


@dataclass
class _Known:
    """What was found of a model: it stands as long as the model, and what is asked of it, are the same."""

    single: bool  # whether it takes one sequence at a time
    look: Look | None = None
    program: TracedGradient | None = None  # once its gradient was the model's
    short: dict[str, Check] = field(default_factory=dict)  # what bfloat16 is off by, a sequence
    points: int = 0  # that were asked about so far


_known: weakref.WeakKeyDictionary[nn.Module, tuple[Any, _Known]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Opened:
    """One view of a request, ready to be differentiated."""

    asked: Asked
    backward: Backward
    view: ensemble.View
    checks: tuple[Check, ...] = ()

    def __len__(self) -> int:
        return len(self.asked.sequences.letters)

    def blocks(self) -> Iterator[tuple[slice, tuple[Tensor, ...]]]:
        """Some sequences after others, as the model takes them: X may be larger than the device."""
        for first in range(0, len(self), BLOCK):
            rows = slice(first, min(first + BLOCK, len(self)))
            part = self.asked.part(rows.start, rows.stop)
            yield (
                rows,
                tuple(t.to(self.asked.dtype) if t.is_floating_point() else t for t in part),
            )

    def columns(self, gradient: Tensor) -> Tensor:
        """[..., *shape of X's rows] with letters before sites, whatever the model's layout."""
        return gradient if self.asked.sequences.layout == "NCL" else gradient.transpose(-1, -2)

    def as_given(self, columns: Tensor) -> Tensor:
        """Columns [..., A, L] as the model takes them, where it lies, in its number type."""
        return self.columns(columns).to(self.asked.home, self.asked.dtype)


@dataclass(frozen=True)
class Found:
    """What a method makes of one view: what each letter would count if it stood there, [N, T, A, L]."""

    raw: Tensor
    original: Tensor  # [N, T]
    facts: dict[str, Any] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()


def attributed(
    method: str, explain: Callable[[Opened], Found], model: Any, X: Tensor, args: tuple[Tensor, ...] | None, *,
    target: Any, func: Func | None, center: str, hypothetical: bool, layout: str, alphabet: str,
    precision: str, memory: int | None, reverse_complement: bool, shifts: Sequence[int],
    finish: Callable[[Tensor], Tensor] = lambda raw: raw, more: dict[str, Any] | None = None,
    points: int = 1,
) -> Attribution:  # fmt: skip
    """Ask every model about every view, and average; `finish` is applied to a model's raw scores.

    `points`: how many gradients a sequence takes.

    Raises what `saturation_mutagenesis` raises for arguments that both have.
    """
    if center not in CENTERS:
        raise ValueError(f"center={center!r}: use one of {', '.join(map(repr, CENTERS))}")
    if precision not in PRECISIONS:
        raise ValueError(
            f"precision={precision!r}: gradients are computed in one of {', '.join(map(repr, PRECISIONS))}"
        )
    read_func(func)
    members, read, facts = ensemble.members(model), Read(target, func), []
    settings: dict[str, Any] = {
        "layout": layout, "alphabet": alphabet, "precision": precision, "memory": memory, "device": None,
    }  # fmt: skip
    whole: dict[str, Any] = {"start": 0, "end": None, **settings}
    with in_turn:
        first = ask(members[0], X, args, **whole)
        check_alike(members, X, args, read, settings)
        columns = first.sequences.columns.cpu()

        def centred(raw: Tensor) -> Tensor:
            return raw - raw.mean(2, keepdim=True) if center == "mean" else raw

        def scored(raw: Tensor) -> Tensor:
            made = finish(centred(raw))
            return made if hypothetical else project(made, columns)

        ways = ensemble.views(len(members), reverse_complement, shifts, alphabet)
        tally = ensemble.Tally(ways, (0, columns.shape[2]), columns.shape[2], scored, alphabet)
        for view in tally.views:
            asked = first
            if view != tally.plain:
                asked = ask(members[view.member], view.of(X, layout, alphabet), args, **whole)
            with exactly(asked):
                opened = opened_for(asked, read, view, points)
                found = explain(opened)
                still = unmoved(asked, read, centred(found.raw), found.original)
                checks = (
                    *_differentiable(opened), *opened.checks, *still, *found.checks, *_of_half(asked, read, found)
                )  # fmt: skip
            begin, stop = tally.sites(view)
            tally.add(view, found.raw[..., begin:stop], found.original, checks)
            taken = {"model_taken": asked.taken} if asked.taken else {}
            kind = str(found.raw.dtype).removeprefix("torch.")
            kind = SAYS["bf16"] if opened.backward.short is not None else kind
            facts.append({"precision": kind, **found.facts, **taken})
    many = isinstance(target, list)
    said = {
        "method": method, "target": str(read), "center": center, "hypothetical": hypothetical,
        **(more or {}), **ensemble.together(facts), **tally.facts, **versions(),
    }  # fmt: skip
    scores, spread = tally.result()
    if not many:
        scores, spread = scores[:, 0], None if spread is None else spread[:, 0]
    axes = ("sequence", "target", "letter", "site") if many else ("sequence", "letter", "site")
    return Attribution(
        scores, axes, alphabet, 0, tally.original, said, tuple(tally.checks), columns, spread
    )


def opened_for(asked: Asked, read: Read, view: ensemble.View, points: int = 1) -> Opened:
    """The model asked what it minds, and then differentiated once; neither again until it changes.

    `points`: how many gradients a sequence takes. They are counted over calls: a model that is asked often is
    worth a trace.
    """
    inputs = asked.part(0, 1)
    known = _found(asked, inputs, read)
    model = asked.model
    if asked.dtype != asked.native:
        model = doubled(model)
        inputs = tuple(t.to(asked.dtype) if t.is_floating_point() else t for t in inputs)

    def targets(*given: Tensor) -> Tensor:
        made = read.ask(model, *given)
        where = read.leaves(made)
        return where.read(where.joined(made))

    check_place(asked)
    known.points += points * len(asked.sequences.letters)
    short = asked.precision == "bf16"
    backward = Backward(
        model, targets, inputs, memory=asked.memory, single=known.single,
        traced=lambda: traced_gradient(asked, read), points=ALWAYS if short else known.points,
        look=known.look, program=known.program,
    )  # fmt: skip
    known.look, known.program = backward.look, backward.program
    if not short:
        return Opened(asked, backward, view)
    off = shorten(asked, read, backward, inputs, known.short)
    return Opened(asked, backward, view, (off,))


def _found(asked: Asked, inputs: tuple[Tensor, ...], read: Read) -> _Known:
    """What is known of the model; refuses one whose answers are not a sequence's own."""
    shapes = tuple((tuple(t.shape[1:]), t.dtype) for t in inputs)
    rest = (
        content(asked.model),
        shapes,
        asked.dtype,
        asked.home,
        mark(read.target),
        mark(read.func),
    )
    before = _known.get(asked.model)
    if before is not None and before[0] == (structure(asked.model), *rest):
        return before[1]
    check_finite(asked.model)
    example, others = inputs[0], inputs[1:]
    answer(asked.model, example, others)
    try:
        check_steady(asked.model, example, others, read)
        known = _Known(single=False)
    except FixedBatch:
        known = _Known(single=True)
    # A first forward may make what it needs later.
    _known[asked.model] = (structure(asked.model), *rest), known
    return known


def _differentiable(opened: Opened) -> list[Check]:
    """What of the model the gradient does not see, where there is such a thing."""
    look = opened.backward.look
    said = [f"it does not pass {', '.join(look.cuts)}"] if look.cuts else []
    said += [f"it is 0 through {', '.join(look.flat)}"] if look.flat else []
    return [Check("gradient", False, "; ".join(said))] if said else []


def _of_half(asked: Asked, read: Read, found: Found) -> tuple[Check, ...]:
    if asked.half is None:
        return ()
    said = check_half(
        asked.half, asked.part(0, 4), read, found.original[:4], float(found.raw.abs().max())
    )
    return (Check("half precision", True, said),)
