"""exp and its kin, of float32 and float64: the same formulas on a GPU and in the interpreter.

Neither libdevice nor the GPU's fast exp and log are called where digits matter: the interpreter has no
libdevice, and ``ex2.approx`` loses digits as its argument grows. float32 is as in
``csrc/support/functions.h``; float64 has series of its own.
"""

import triton
import triton.language as tl

ALL: tl.constexpr = tl.constexpr(tl.PropagateNan.ALL)


@triton.jit
def larger(a, b):
    """A NaN stays, which without this setting it does in the interpreter alone."""
    return tl.maximum(a, b, propagate_nan=ALL)


@triton.jit
def smaller(a, b):
    """A NaN stays."""
    return tl.minimum(a, b, propagate_nan=ALL)


@triton.jit
def _reduce(x):
    """exp x = 2^n exp r with a whole n and |r| <= ln(2) / 2: r and n, ln 2 taken in two parts."""
    n = tl.floor(x * 1.4426950408889634 + 0.5)
    if x.dtype == tl.float64:
        r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10
    else:
        r = (x - n * 0.693359375) + n * 2.12194440e-4
    return r, n


@triton.jit
def _power_of_two(n):
    """2^n of a whole n that is a normal number's exponent."""
    if n.dtype == tl.float64:
        power = ((n.to(tl.int64) + 1023) << 52).to(tl.float64, bitcast=True)
    else:
        power = ((n.to(tl.int32) + 127) << 23).to(tl.float32, bitcast=True)
    return power


@triton.jit
def expm1_near(r):
    """exp(r) - 1 for |r| <= ln(2) / 2: a fitted polynomial; in float64 the series."""
    if r.dtype == tl.float64:
        total = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0
        total = total * r + 1.0 / 39916800.0
        total = total * r + 1.0 / 3628800.0
        total = total * r + 1.0 / 362880.0
        total = total * r + 1.0 / 40320.0
        total = total * r + 1.0 / 5040.0
        total = total * r + 1.0 / 720.0
        total = total * r + 1.0 / 120.0
        total = total * r + 1.0 / 24.0
        total = total * r + 1.0 / 6.0
        total = total * r + 0.5
    else:
        total = r * 1.9875691500e-4 + 1.3981999507e-3
        total = total * r + 8.3334519073e-3
        total = total * r + 4.1665795894e-2
        total = total * r + 1.6666665459e-1
        total = total * r + 5.0000001201e-1
    return total * (r * r) + r


@triton.jit
def exp(x):
    """Beyond the bounds it is 0 and infinity; near them 2^n alone would be, hence its halves."""
    if x.dtype == tl.float64:
        r, n = _reduce(smaller(larger(x, -746.0), 710.0))
    else:
        r, n = _reduce(smaller(larger(x, -104.0), 89.0))
    half = tl.floor(n * 0.5)
    return (1.0 + expm1_near(r)) * _power_of_two(half) * _power_of_two(n - half)


@triton.jit
def expm1(x):
    if x.dtype == tl.float64:
        r, n = _reduce(smaller(larger(x, -50.0), 710.0))
    else:
        r, n = _reduce(smaller(larger(x, -30.0), 89.0))
    near, scale = expm1_near(r), _power_of_two(n - 1.0)
    return tl.where(n == 0.0, near, 2.0 * (scale * near + (scale - 0.5)))


@triton.jit
def _log_with(u, rest):
    """log u + rest for 0 < u: the small rest is added before what is large."""
    if u.dtype == tl.float64:
        made = tl.log(u) + rest
    else:
        bits = u.to(tl.int32, bitcast=True) - 0x3F3504F3  # the bits of sqrt(1/2)
        f = ((bits & 0x7FFFFF) + 0x3F3504F3).to(tl.float32, bitcast=True) - 1.0
        n = (bits >> 23).to(tl.float32)  # u = 2^n (1 + f)
        total = f * 7.0376836292e-2 - 1.1514610310e-1
        total = total * f + 1.1676998740e-1
        total = total * f - 1.2420140846e-1
        total = total * f + 1.4249322787e-1
        total = total * f - 1.6668057665e-1
        total = total * f + 2.0000714765e-1
        total = total * f - 2.4999993993e-1
        total = total * f + 3.3333331174e-1
        square = f * f
        small = total * (f * square) - n * 2.12194440e-4 - 0.5 * square + rest
        made = f + small + n * 0.693359375
    return made


@triton.jit
def log(u):
    """For 0 < u that is a normal number."""
    return _log_with(u, tl.zeros_like(u))


@triton.jit
def log1p(x):
    u = 1.0 + x
    above = u - 1.0
    lost = (x - above) + (1.0 - (u - above))  # 1 + x = u + lost, exactly
    normal = tl.where(u > 0.0, u, 1.0)
    made = _log_with(normal, lost / normal)
    made = tl.where(u > 0.0, made, tl.where(u == 0.0, float("-inf"), float("nan")))
    return tl.where(x == float("inf"), x, made)


@triton.jit
def sqrt(x):
    """Rounded as IEEE wants it; float32's plain form is an approximation on a GPU."""
    return tl.sqrt(x) if x.dtype == tl.float64 else tl.sqrt_rn(x)


@triton.jit
def cosh_near(y):
    """cosh(y): float32 by its series for |y| < 1.7, float64 by exp; finite while |y| < 700."""
    if y.dtype == tl.float64:
        made = 0.5 * (exp(y) + exp(-y))
    else:
        square = y * y
        total = square * (1.0 / 479001600.0) + 1.0 / 3628800.0
        total = total * square + 1.0 / 40320.0
        total = total * square + 1.0 / 720.0
        total = total * square + 1.0 / 24.0
        total = total * square + 0.5
        made = total * square + 1.0
    return made


@triton.jit
def normal_tail(a):
    """The share of a normal distribution beyond a >= 0: exp(-a^2 / 2) times what varies slowly.

    That is a polynomial in t = 1 / (1 + 0.35 a), fitted to 3e-8; in float64 Mills' ratio by its
    continued fraction, and by erf where few digits cancel.
    """
    if a.dtype == tl.float64:
        ratio = a
        for k in range(48):
            ratio = a + (48 - k) / larger(ratio, 1.0)
        far = exp(a * a * -0.5) * 0.3989422804014327 / larger(ratio, 1.0)
        made = tl.where(a < 3.0, 0.5 - 0.5 * tl.erf(a * 0.7071067811865476), far)
    else:
        t = 1.0 / (1.0 + 0.35 * a)
        total = t * -2.9164113e-2 + 1.4406168e-1
        total = total * t - 2.5590366e-1
        total = total * t + 1.5939489e-1
        total = total * t - 2.3265138e-2
        total = total * t + 1.0557533e-1
        total = total * t + 1.1981537e-1
        total = total * t + 1.3986436e-1
        total = total * t + 1.3962126e-1
        made = total * t * exp(a * a * -0.5)
    return made
