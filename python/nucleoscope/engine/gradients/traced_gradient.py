"""A Program in the place of a model's own autograd, once it has been held against it."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace

from torch import Tensor

from nucleoscope.engine.answers.read import Read
from nucleoscope.engine.answers.target import Target
from nucleoscope.engine.edits.verify import Disagreement
from nucleoscope.engine.gradients.program import Program
from nucleoscope.engine.gradients.program import Read as Reading
from nucleoscope.engine.graph import Graph, Untraceable
from nucleoscope.engine.prepare import Asked, forward
from nucleoscope.engine.tracing.cache import Traced
from nucleoscope.engine.values.cuts import Cut
from nucleoscope.engine.values.forward import Forward

# What one gradient may be off by, of its largest number: a unit on the other side of its kink is a whole
# path of the net, and rounding decides which side that is.
ALLOWED = {4: 0.05, 8: 1e-6}  # by the bytes of a number

_programs: weakref.WeakKeyDictionary[Forward, dict[bool, Program]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class TracedGradient:
    """Targets and their gradients by X, from the traced program."""

    program: Program
    read: Reading

    def __call__(self, X: Tensor, others: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """[B, ...] -> values [B, T], gradients [B, T, ...]."""
        return self.program.gradient(X, others, read=self.read)

    def behind(self, z: Tensor, others: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """The same by what the first convolution makes: [B, L, C] -> [B, T], [B, T, L, C]."""
        return self.program.gradient(z, others, read=self.read, behind=True)

    def values(self, X: Tensor, others: tuple[Tensor, ...]) -> Tensor:
        """The targets alone, [B, T]."""
        return self.read(self.program(X, *others))

    def check(self, X: Tensor, others: tuple[Tensor, ...], own: Tensor) -> None:
        """Hold it against the model's own gradient [B, T, ...] at the same points.

        Raises Disagreement.
        """
        _, mine = self(X, others)
        off, largest = float((mine - own).abs().max()), float(own.abs().max())
        if not off <= ALLOWED[own.element_size()] * largest:
            raise Disagreement(
                f"the gradient of the traced model is off by {off:.1e} from the model's own, whose largest number "
                f"is {largest:.1e}. Does forward do something else under torch.export? Please report it."
            )


def traced_gradient(asked: Asked, read: Read) -> TracedGradient | None:
    """The request on the traced program; None where the model cannot be traced to its end."""
    try:
        held: Traced = forward(asked, read)
    except Untraceable:
        return None
    if held.untraced:
        return None
    target = held.leaves.target()
    program = _program(held.forward).reading(positions(held.forward.graph, target))
    return TracedGradient(program, target.of_values)


def shortened(asked: Asked, read: Read, whole: TracedGradient) -> TracedGradient:
    """The same with products of bfloat16."""
    held: Traced = forward(asked, read)
    program = _program(held.forward, short=True)
    return replace(whole, program=program.reading(positions(program.graph, held.leaves.target())))


def positions(graph: Graph, target: Target) -> Cut | None:
    """The positions of the output that any target reads; None: all, or it has none."""
    node = graph.nodes[graph.output]
    if node.role != "ripple" or node.axes is None or node.axes.dim is None:
        return None
    lattice, cone = target.lattice(node.axes), target.cone(node.axes)
    return Cut.of(lattice, lattice.places(*cone))


def _program(packed: Forward, *, short: bool = False) -> Program:
    """Each is made once of a trace."""
    made = _programs.setdefault(packed, {})
    if short not in made:
        made[short] = Program(packed.graph, packed.like.dtype, packed.like.device, short)
    return made[short]
