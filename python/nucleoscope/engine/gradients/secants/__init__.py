"""DeepLIFT's rules: how a multiplier goes back through one op, exactly. One family, one file.

To add one: a function under `@secant(aten.op.overload)` that takes the multipliers of the op's output and the
values of its inputs at the sequence and at the baseline, and gives the multipliers of the inputs; or, where the op
adds up, a line in `linear.py`.
"""

from nucleoscope.engine.gradients.secants import attention, linear, maximum, norm, products, softmax
from nucleoscope.engine.gradients.secants.pointwise import change_in, plain_slope, slope
from nucleoscope.engine.gradients.secants.products import PRODUCTS
from nucleoscope.engine.gradients.secants.registry import LINEAR, SECANTS, Call, derivative

__all__ = [
    "LINEAR",
    "PRODUCTS",
    "SECANTS",
    "Call",
    "attention",
    "change_in",
    "derivative",
    "linear",
    "maximum",
    "norm",
    "plain_slope",
    "products",
    "slope",
    "softmax",
]
