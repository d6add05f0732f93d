"""g(z + d) - g(z) of elementwise functions g, without subtracting two nearly equal values.

The forms are those of ``csrc/support/changes.h``, the functions' meanings those of
``nucleoscope.naive.ops.delta_pointwise``. Parameters are constants of the compilation: as arguments
they would be rounded to float32.
"""

import triton
import triton.language as tl

from . import _functions as f


@triton.jit
def change_of(z, d, FUNCTION: tl.constexpr, A: tl.constexpr, B: tl.constexpr, C: tl.constexpr):
    """The change of the function of this name; "none" hands d on."""
    if FUNCTION == "none":
        made = d
    elif FUNCTION == "relu":
        made = of_relu(z, d)
    elif FUNCTION == "clamp":
        made = of_clamp(z, d, A, B)
    elif FUNCTION == "leaky_relu":
        made = d * A + of_relu(z, d) * (1.0 - A)
    elif FUNCTION == "elu":
        made = of_elu(z, d, A, B, C)
    elif FUNCTION == "sigmoid":
        made = of_sigmoid(z, d)
    elif FUNCTION == "tanh":
        made = 2.0 * of_sigmoid(2.0 * z, 2.0 * d)
    elif FUNCTION == "silu":
        made = of_silu(z, d)
    elif FUNCTION == "gelu":
        made = of_gelu(z, d)
    elif FUNCTION == "gelu_tanh":
        made = of_gelu_tanh(z, d)
    elif FUNCTION == "softplus":
        made = of_softplus(z, d, A, B)
    elif FUNCTION == "threshold":
        made = of_threshold(z, d, A, B)
    elif FUNCTION == "exp":
        made = of_exp(z, d)
    elif FUNCTION == "log":
        made = f.log1p(d / z)
    elif FUNCTION == "log1p":
        made = f.log1p(d / (1.0 + z))
    elif FUNCTION == "sqrt":
        both = f.sqrt(z + d) + f.sqrt(z)
        made = tl.where(both == 0.0, d, d / both)  # not 0 / 0 at 0
    elif FUNCTION == "reciprocal":
        made = -d / ((z + d) * z)
    elif FUNCTION == "square":
        made = (2.0 * z + d) * d
    else:
        tl.static_assert(FUNCTION == "abs", "no such function")
        made = of_relu(z, d) + of_relu(-z, -d)
    return made


@triton.jit
def of_relu(z, d):
    return f.larger(d + f.smaller(z, 0.0), -f.larger(z, 0.0))


@triton.jit
def of_clamp(z, d, LOW: tl.constexpr, HIGH: tl.constexpr):
    """As ReLU's, with z' the clamped z; a bound that is not there bounds nothing."""
    low, high = tl.full(z.shape, LOW, z.dtype), tl.full(z.shape, HIGH, z.dtype)
    held = f.smaller(f.larger(z, low), high)
    return f.smaller(f.larger(d + (z - held), low - held), high - held)


@triton.jit
def of_exp(z, d):
    """With h the larger of z and z + d: -sign(d) e^h expm1(-|d|). Nothing overflows on the way."""
    size = f.exp(f.larger(z + d, z)) * f.expm1(-tl.abs(d))
    return tl.where(d > 0.0, -size, size)


@triton.jit
def of_elu(z, d, ALPHA: tl.constexpr, SCALE: tl.constexpr, INPUT: tl.constexpr):
    """elu(x) = scale (max(x, 0) + alpha expm1(input_scale min(x, 0)))."""
    above = of_relu(z, d)
    below = d - above
    decay = of_exp(f.smaller(z, 0.0) * INPUT, below * INPUT)
    return (above + decay * ALPHA) * SCALE


@triton.jit
def _gate(x):
    """s(x) = 1 / (1 + e^-x) and s(-x), both to the last digits."""
    decay = f.exp(-tl.abs(x))
    more = 1.0 / (1.0 + decay)
    less = decay * more
    return tl.where(x > 0.0, more, less), tl.where(x > 0.0, less, more)


@triton.jit
def _of_gate(was_open, was_shut, now_open, now_shut, d):
    """With h, l the larger and smaller of both: s(h) - s(l) = -s(h) s(-l) expm1(l - h)."""
    size = f.expm1(-tl.abs(d))
    return tl.where(d > 0.0, now_open * was_shut * -size, was_open * now_shut * size)


@triton.jit
def of_sigmoid(z, d):
    was_open, was_shut = _gate(z)
    now_open, now_shut = _gate(z + d)
    return _of_gate(was_open, was_shut, now_open, now_shut, d)


@triton.jit
def of_silu(z, d):
    """x s(x), by the product rule."""
    was_open, was_shut = _gate(z)
    now_open, now_shut = _gate(z + d)
    return now_open * d + z * _of_gate(was_open, was_shut, now_open, now_shut, d)


@triton.jit
def _twice_y(x):
    """2 y(x) with y = sqrt(2/pi) (x + 0.044715 x^3)."""
    return (x + (x * x * x) * 0.044715) * 1.5957691216057308


@triton.jit
def of_gelu_tanh(z, d):
    """x s(2 y(x)): for a small d by the product rule and y's divided difference; for a large one as
    ReLU and what is left, since y of a large z has no digits."""
    edited = z + d
    was_open, was_shut = _gate(_twice_y(z))
    now_open, now_shut = _gate(_twice_y(edited))
    slope = (edited * edited + edited * z + z * z) * (1.5957691216057308 * 0.044715)
    slope = f.smaller(slope + 1.5957691216057308, 1e30)  # 0 times infinity would be none
    small = now_open * d + z * _of_gate(was_open, was_shut, now_open, now_shut, slope * d)
    rest_was = -tl.abs(z) * tl.where(z > 0.0, was_shut, was_open)  # gelu(x) - max(x, 0)
    rest_now = -tl.abs(edited) * tl.where(edited > 0.0, now_shut, now_open)
    large = of_relu(z, d) + (rest_now - rest_was)
    return tl.where(tl.abs(d) < 1.0, small, large)


@triton.jit
def _pair(m, s):
    return f.cosh_near(m * s) * (1.0 + f.expm1_near(s * s * -0.5))


@triton.jit
def _narrow_bell(z, d):
    """The integral of the normal density from z to z + d by Gauss and Legendre's five nodes: pairs around
    the middle m, exp(-(m + s)^2 / 2) + exp(-(m - s)^2 / 2) = 2 exp(-m^2 / 2) cosh(m s) exp(-s^2 / 2)."""
    half = 0.5 * d
    m = f.smaller(tl.abs(z + half), 40.0)  # where the bell is zero, cosh stays finite
    inner = _pair(m, half * 0.538469310105683) * 0.478628670499366
    outer = _pair(m, half * 0.906179845938664) * 0.236926885056189
    total = inner + 0.284444444444444 + outer
    return d * (f.exp(m * m * -0.5) * total) * 0.3989422804014327


@triton.jit
def of_gelu(z, d):
    """x Phi(x), by the product rule; the change of Phi as an integral where the bell is narrow enough for
    its nodes, or as a difference of the tails on z's side."""
    edited = z + d
    was, now = f.normal_tail(tl.abs(z)), f.normal_tail(tl.abs(edited))
    below = tl.where(edited > 0.0, 1.0 - now, now)
    above = tl.where(edited > 0.0, now, 1.0 - now)
    wide = tl.where(z > 0.0, was - above, below - was)
    small = tl.abs(d) < (0.1 if z.dtype == tl.float64 else 0.25)
    change = tl.where(small, _narrow_bell(z, tl.where(small, d, 0.0)), wide)
    return below * d + z * change


@triton.jit
def of_softplus(z, d, BETA: tl.constexpr, THRESHOLD: tl.constexpr):
    """log(1 + e^x), and x itself above the threshold, of beta x and over beta: the cases that
    ``nucleoscope.naive.ops.delta_pointwise.softplus`` tells apart."""
    was, step = z * BETA, d * BETA
    edited = was + step
    h, low = f.larger(edited, was), f.smaller(edited, was)
    rise = tl.abs(step)
    crosses = (h > THRESHOLD) & (low <= THRESHOLD)
    between = crosses | (h > 1.0)
    _, shut = _gate(low)
    fall, peak, foot = f.expm1(-rise), f.exp(tl.where(between, -h, h)), f.exp(-tl.abs(low))
    high_part = tl.where(crosses, -1.0, fall)
    low_part = tl.where(between, tl.where(crosses, 0.0, peak) - foot, -peak * fall)
    base = tl.where(low > 0.0, rise, tl.where(between, h, 0.0))
    size = base + f.log1p(shut * tl.where(low > 0.0, high_part, low_part))
    return tl.where(low > THRESHOLD, d, tl.where(step > 0.0, size, -size) / BETA)


@triton.jit
def of_threshold(z, d, LIMIT: tl.constexpr, VALUE: tl.constexpr):
    """x above the limit, or else the value."""
    edited = z + d
    kept, lost = tl.where(z > LIMIT, d, edited - VALUE), tl.where(z > LIMIT, VALUE - z, 0.0)
    return tl.where(edited <= LIMIT, lost, kept)  # a NaN stays
