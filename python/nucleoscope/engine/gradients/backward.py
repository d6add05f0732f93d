"""Gradients of targets with respect to a model's inputs, by its own autograd, a batch at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction

from nucleoscope.engine.gradients import kinks
from nucleoscope.engine.gradients.blame import Cuts, forbidden, not_finite
from nucleoscope.engine.memory import ran_out

if TYPE_CHECKING:
    from nucleoscope.engine.gradients.traced_gradient import TracedGradient

Inputs = tuple[Tensor, ...]
Made = TypeVar("Made")

# What autograd keeps of a batch, in bytes, on a CPU: larger batches are no faster there, and memory then
# does not grow with the number of points that are asked about.
CACHE = 64 << 20
MOST = 256  # points in a batch
# What autograd must keep of all points, in bytes, before the model is traced: that takes as long as the
# gradients of some 256 MB do. And how many points they must be: of a large net it is not the trace that takes
# long but what is asked of the model to believe it, as much as six gradients, and what it then saves is a
# fourth of each at most.
WORTH_A_TRACE = 256 << 20
REPAID = 64


@dataclass(frozen=True)
class Gradients:
    """What the targets are at a batch of points, and which way they change."""

    values: Tensor  # [B, T]
    of: tuple[Tensor, ...]  # for each input that was asked about [B, T, *its shape]


@dataclass(frozen=True)
class Look:
    """What one forward tells of a model and what is read off it."""

    targets: int
    kinks: tuple[str, ...]  # functions on which it is not smooth
    flat: tuple[str, ...]  # those whose derivative is 0
    cuts: tuple[str, ...]  # where values go on without a gradient
    row: int  # bytes that a point takes on its way
    own: bool  # whether a derivative is of the model's own making, which a trace does not have


class Backward:
    """Targets of a model and their gradients, for batches of inputs.

    The model's weights take no gradient meanwhile, so that nothing is kept or computed for them. It is
    asked about one point first: what that keeps decides how many go into a batch, and its graph says
    whether the model is smooth.
    """

    def __init__(
        self, model: nn.Module, ask: Callable[..., Tensor], example: tuple[Tensor, ...], wanted: int = 1,
        memory: int = 1 << 30, single: bool = False, traced: Callable[[], TracedGradient | None] | None = None,
        points: int = 1, look: Look | None = None, program: TracedGradient | None = None,
    ) -> None:  # fmt: skip
        """`ask` gives [B, T] of inputs [B, ...]; gradients are with respect to the first `wanted` of them.

        Where there are `points` enough that a trace is worth it, and `traced` gives a program, that is asked in
        the model's stead after both agreed at the example. `look` and `program` are those of a Backward
        before, if the model is as it was then; the two need not be held against each other again.

        Raises ValueError, naming the piece, for a model that has no gradient.
        """
        self._model, self._ask, self.wanted, self.device = model, ask, wanted, example[0].device
        self.memory = memory
        one = tuple(t[:1] for t in example)
        self.look = self._looked(one) if look is None else look
        cache = CACHE if self.device.type == "cpu" else memory
        self.rows = 1 if single else max(1, min(memory, cache) // self.look.row)
        self.rows = min(self.rows, MOST)
        self.program: TracedGradient | None = None
        self.short: TracedGradient | None = None  # whose gradients are taken in its stead
        self._there: tuple[Inputs, Tensor] | None = (
            None  # the example and what the program gives there
        )
        large = points >= REPAID and points * self.look.row >= WORTH_A_TRACE
        worth = large and wanted == 1 and not single
        if program is None and traced is not None and worth and not self.look.own:
            program = self._held(traced, one)
        self.program = program if program is not None and self._alike(program, one) else None
        if self.program is not None and self.device.type == "cpu":
            self.rows = max(1, min(memory // self.look.row, self.program.program.batch))

    @property
    def differentiated(self) -> TracedGradient | None:
        """The program whose gradients are taken; None: the model itself is differentiated."""
        return self.short or self.program

    def _looked(self, one: tuple[Tensor, ...]) -> Look:
        cuts = Cuts()
        with self._ready(), _saved(self._model) as kept, cuts:
            values = self._ask(*self._leaves(one))
        if not values.requires_grad:
            where = f"it stops at {cuts}" if str(cuts) else "no op of torch leads there"
            raise ValueError(
                f"model: what is read off its output has no gradient with respect to X: {where}. Gradients "
                "explain what is computed by differentiable functions all the way; "
                "nucleoscope.saturation_mutagenesis needs none."
            )
        found = kinks.names(values)
        floating = dict.fromkeys(cuts.floating)
        return Look(
            values.shape[1],
            tuple(kinks.kinks(found)),
            tuple(sorted(found & kinks.FLAT)),
            tuple(each for each in floating if "nucleoscope/targets.py" not in each),
            max(1, 2 * sum(kept.values())),
            any(isinstance(f, BackwardCFunction) for f in kinks.functions(values)),
        )

    def __call__(self, inputs: tuple[Tensor, ...]) -> Gradients:
        """Values and gradients at a batch of points [B, ...] each.

        Raises ValueError that names the layer where numbers stop being finite, or what forbids it.
        """
        values, found = self._guarded(lambda: self._values_and_gradients(inputs))
        if not all(bool(torch.isfinite(t).all()) for t in (values, *found)):
            self._blame(inputs, values, found)
        return Gradients(values.detach(), found)

    def by(
        self, program: Callable[[Tensor, Inputs], tuple[Tensor, Tensor]], inputs: Inputs
    ) -> tuple[Tensor, Tensor]:
        """What a part of the trace gives for the inputs [B, ...], under the same settings."""
        return self._guarded(lambda: program(inputs[0], inputs[1:]))

    def _guarded(self, job: Callable[[], Made]) -> Made:
        """Do what differentiates the model; raises ValueError that says what forbids it."""
        with self._ready():
            try:
                return job()
            except RuntimeError as error:
                if ran_out(error) or isinstance(error, NotImplementedError):
                    raise
                raise ValueError(forbidden(error)) from error

    def _values_and_gradients(
        self, inputs: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        if self.differentiated is not None:
            values, of = self.differentiated(inputs[0], inputs[1:])
            return values, (of,)
        leaves = self._leaves(inputs)
        values = self._ask(*(t.clone() for t in leaves))  # forward may write into them
        return values, self._back(values, leaves[: self.wanted])

    def _held(
        self, traced: Callable[[], TracedGradient | None], one: tuple[Tensor, ...]
    ) -> TracedGradient | None:
        """A program whose gradient at one point was the model's; raises Disagreement where it is not.

        None too where the model's is not finite there: nothing could be held against it.
        """
        with torch.inference_mode(False):  # a trace is differentiated, and kept
            one = tuple(t.clone() if t.is_inference() else t for t in one)
            program = traced()
            if program is None:
                return None
            with self._ready():
                _, (own,) = self._values_and_gradients(one)
            if not bool(torch.isfinite(own).all()):
                return None
            program.check(one[0], one[1:], own)
            return program

    def _alike(self, program: TracedGradient, one: tuple[Tensor, ...]) -> bool:
        """Whether it gives what the model gives at one point: what a global says may have changed since."""
        with torch.no_grad():
            own, made = self._ask(*(t.clone() for t in one)), program.values(one[0], one[1:])
        self._there = tuple(t.clone() for t in one), made
        near = 1e4 * torch.finfo(own.dtype).eps * own.abs().max()
        return bool(torch.isfinite(own).all()) and bool(((made - own).abs() <= near).all())

    def values(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """The targets alone, [B, T]."""
        if self.program is not None and self._there is not None:
            example, there = self._there
            if all(
                t.shape == e.shape and torch.equal(t, e)
                for t, e in zip(inputs, example, strict=True)
            ):
                return there
        made = []
        with torch.no_grad():
            for i in range(0, len(inputs[0]), self.rows):
                X, *others = (t[i : i + self.rows] for t in inputs)
                if self.program is not None:
                    made.append(self.program.values(X, tuple(others)))
                else:
                    made.append(self._ask(*(t.clone() for t in (X, *others))))
        return torch.cat(made)

    def _leaves(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The inputs, of which those that are asked about take a gradient."""
        own = tuple(t.clone() if t.is_inference() else t.detach() for t in inputs)
        return tuple(t.requires_grad_(i < self.wanted) for i, t in enumerate(own))

    def _back(self, values: Tensor, leaves: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        each = []
        for t in range(values.shape[1]):
            last = t == values.shape[1] - 1
            each.append(
                torch.autograd.grad(
                    values[:, t].sum(), leaves, retain_graph=not last, materialize_grads=True
                )
            )
        return tuple(torch.stack(one, 1) for one in zip(*each, strict=True))

    def _blame(self, inputs: tuple[Tensor, ...], values: Tensor, found: tuple[Tensor, ...]) -> None:
        whole = [t.flatten(1).isfinite().all(1) for t in (values, *found)]
        row = int((~torch.stack(whole).all(0)).nonzero()[0])
        with self._ready():
            where = not_finite(self._model, self._ask, tuple(t[row : row + 1] for t in inputs))
        half = any(t.dtype in (torch.float16, torch.bfloat16) for t in inputs)
        advice = " Half precision overflows beyond 65,504: call model.float()." if half else ""
        raise ValueError(
            f"model: NaN or infinite numbers, of which no scores can be made: {where}.{advice}"
        )

    @contextlib.contextmanager
    def _ready(self) -> Iterator[None]:
        """Gradients are on, whatever the caller is under, for inputs and not for weights."""
        weights = [p for p in self._model.parameters() if p.requires_grad]
        recurrent = any(isinstance(m, nn.RNNBase) for m in self._model.modules())
        try:
            for p in weights:
                p.requires_grad_(False)
            with contextlib.ExitStack() as stack:
                stack.enter_context(torch.inference_mode(False))
                stack.enter_context(torch.enable_grad())
                if recurrent:  # cuDNN goes back through them in training mode only
                    stack.enter_context(torch.backends.cudnn.flags(enabled=False))
                yield
        finally:
            for p in weights:
                p.requires_grad_(True)


@contextlib.contextmanager
def _saved(model: nn.Module) -> Iterator[dict[int, int]]:
    """The bytes of each piece of memory that autograd keeps, the model's own weights left out."""
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # itself it would hold its function, which holds it: never freed

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield kept
