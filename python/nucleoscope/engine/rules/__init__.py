"""How a delta passes each op: one family a file, entered by aten op in `RULES`.

To add an op: a frozen dataclass with the face of `engine.graph.Rule` (what it reads, how far it
reaches, its delta), and a function decorated with `@rule(aten.op.overload)` that makes it from the
traced call or raises `NotLocal` with the reason. `tests/engine/test_rules.py` then wants its case.
"""

from nucleoscope.engine.rules import (
    arithmetic,
    choice,
    conv,
    formula,
    gates,
    layout,
    letters,
    log_odds,
    norm,
    picked,
    pointwise,
    pool,
    products,
    reduction,
    resample,
    rms_norm,
    softmax_pool,
    spread_out,
    steep,
    transposed,
    whole,
)
from nucleoscope.engine.rules.registry import RULES, Lowering
from nucleoscope.engine.rules.rewrites import REWRITES
from nucleoscope.engine.rules.seams import SEAMS

__all__ = [
    "REWRITES",
    "RULES",
    "SEAMS",
    "Lowering",
    "arithmetic",
    "choice",
    "conv",
    "formula",
    "gates",
    "layout",
    "letters",
    "log_odds",
    "norm",
    "picked",
    "pointwise",
    "pool",
    "products",
    "reduction",
    "resample",
    "rms_norm",
    "softmax_pool",
    "spread_out",
    "steep",
    "transposed",
    "whole",
]
