#pragma once

#include "support/functions.h"

// g(z + d) - g(z) of elementwise functions g, in forms in which no two nearly equal values are
// subtracted: a small d keeps its digits beside a large z. N is Floats or double.

namespace nucleoscope::NUCLEOSCOPE_ISA {

template <class N>
inline N change_of_relu(N z, N d) {
  const N none{}, above = z > 0.0f ? z : none;
  return larger(d + (z > 0.0f ? none : z), -above);
}

template <class N>
inline N change_of_clamp(N z, N d, Element<N> low, Element<N> high) {
  const N held = smaller(larger(z, fill<N>(low)), fill<N>(high));
  return smaller(larger(d + (z - held), low - held), high - held);
}

template <class N>
inline N change_of_leaky_relu(N z, N d, Element<N> slope) {
  return d * slope + change_of_relu(z, d) * (1 - slope);
}

/// With h the larger of z and z + d: -sign(d) e^h expm1(-|d|). Nothing overflows on the way.
template <class N>
inline N change_of_exp(N z, N d) {
  const N size = exp(larger(z + d, z)) * expm1(-absolute(d));
  return d > 0.0f ? -size : size;
}

/// elu(x) = scale (max(x, 0) + alpha expm1(input_scale min(x, 0))).
template <class N>
inline N change_of_elu(N z, N d, Element<N> alpha, Element<N> scale, Element<N> input_scale) {
  const N above = change_of_relu(z, d), below = d - above;
  const N decay = change_of_exp(smaller(z, N{}) * input_scale, below * input_scale);
  return scale * (above + alpha * decay);
}

/// s(x) = 1 / (1 + e^-x) and s(-x), both to the last digits.
template <class N>
struct Gate {
  N open, shut;

  explicit Gate(N x) {
    const N decay = exp(-absolute(x)), more = 1.0f / (1.0f + decay), less = decay * more;
    open = x > 0.0f ? more : less;
    shut = x > 0.0f ? less : more;
  }
};

/// With h, l the larger and smaller of both: s(h) - s(l) = -s(h) s(-l) expm1(l - h).
template <class N>
inline N change_of_gate(const Gate<N>& was, const Gate<N>& now, N d) {
  const N size = expm1(-absolute(d));
  return d > 0.0f ? now.open * was.shut * -size : was.open * now.shut * size;
}

template <class N>
inline N change_of_sigmoid(N z, N d) {
  return change_of_gate(Gate<N>(z), Gate<N>(z + d), d);
}

/// tanh(x) = 2 s(2x) - 1.
template <class N>
inline N change_of_tanh(N z, N d) {
  return 2.0f * change_of_sigmoid(2.0f * z, 2.0f * d);
}

/// x s(x), by the product rule.
template <class N>
inline N change_of_silu(N z, N d) {
  const Gate<N> was(z), now(z + d);
  return now.open * d + z * change_of_gate(was, now, d);
}

/// x s(2 y(x)) with y = sqrt(2/pi) (x + 0.044715 x^3): for a small d by the product rule and y's
/// divided difference; for a large one as ReLU and what is left, since y of a large z has no
/// digits.
template <class N>
inline N change_of_gelu_tanh(N z, N d) {
  using T = Element<N>;
  constexpr T c = T(1.5957691216057308), k = T(0.044715);
  const N edited = z + d, most = fill<N>(T(1e30));  // 0 times infinity would be none
  const auto y = [](N x) { return c * (x + k * (x * x * x)); };
  const Gate<N> was(y(z)), now(y(edited));
  const N slope = smaller(c + c * k * (edited * edited + edited * z + z * z), most);
  const N small = now.open * d + z * change_of_gate(was, now, slope * d);
  const auto rest = [](N x, const Gate<N>& gate) {  // gelu(x) - max(x, 0)
    return -absolute(x) * (x > 0.0f ? gate.shut : gate.open);
  };
  const N large = change_of_relu(z, d) + (rest(edited, now) - rest(z, was));
  return absolute(d) < 1.0f ? small : large;
}

/// How wide an interval Gauss and Legendre's five nodes integrate a bell over, to rounding.
template <class T>
constexpr T narrow = T(sizeof(T) == sizeof(float) ? 0.25 : 0.1);

/// The integral of the normal density from z to z + d, for |d| < narrow: nodes in pairs around the
/// middle m, exp(-(m + s)^2 / 2) + exp(-(m - s)^2 / 2) = 2 exp(-m^2 / 2) cosh(m s) exp(-s^2 / 2).
template <class N>
inline N narrow_bell(N z, N d) {
  using T = Element<N>;
  const N half = 0.5f * d, most = fill<N>(T(40));  // where the bell is zero, cosh stays finite
  const N m = smaller(absolute(z + half), most);
  const auto pair = [m](N s) { return cosh_near(m * s) * (1.0f + expm1_near(-0.5f * s * s)); };
  const N sum = T(0.284444444444444) + T(0.478628670499366) * pair(half * T(0.538469310105683)) +
                T(0.236926885056189) * pair(half * T(0.906179845938664));
  return T(0.3989422804014327) * d * (exp(-0.5f * m * m) * sum);
}

/// x Phi(x), by the product rule; the change of Phi as an integral, or as a difference of the tails
/// on z's side.
template <class N>
inline N change_of_gelu(N z, N d) {
  const N edited = z + d;
  const N was = normal_tail(absolute(z)), now = normal_tail(absolute(edited));
  const N below = edited > 0.0f ? 1.0f - now : now, above = edited > 0.0f ? now : 1.0f - now;
  const N wide = z > 0.0f ? was - above : below - was;
  const N change = absolute(d) < narrow<Element<N>> ? narrow_bell(z, d) : wide;
  return below * d + z * change;
}

/// log(1 + e^x), and x itself above `threshold`, of beta x and over beta. With h, l the larger and
/// smaller of both and s the sigmoid, (1 + e^h) / (1 + e^l) is one of
///   e^(h-l) (1 + s(-l) expm1(l - h))   for l > 0
///   1 - e^h s(-l) expm1(l - h)         for h <= 1
///   e^h (1 + s(-l) (e^-h - e^l))       between;
/// where h alone is beyond the threshold, its e^-h is left out.
template <class N>
inline N change_of_softplus(N z, N d, Element<N> beta, Element<N> threshold) {
  const N was = z * beta, step = d * beta, edited = was + step;
  const N h = larger(edited, was), l = smaller(edited, was), rise = absolute(step);
  const auto crosses = (h > threshold) & (l <= threshold), between = crosses | (h > 1.0f);
  const N none{}, one = fill<N>(1);
  const N decay = exp(-absolute(l)), more = 1.0f / (1.0f + decay);
  const N shut = l > 0.0f ? decay * more : more;  // s(-l)
  const N fall = expm1(-rise), peak = exp(between ? -h : h);
  const N high = crosses ? -one : fall;
  const N low = between ? (crosses ? none : peak) - decay : -peak * fall;
  const N base = l > 0.0f ? rise : between ? h : none;
  const N size = base + log1p(shut * (l > 0.0f ? high : low));
  return l > threshold ? d : (step > 0.0f ? size : -size) / beta;
}

/// x above the limit, or else `value`.
template <class N>
inline N change_of_threshold(N z, N d, Element<N> limit, Element<N> value) {
  const N edited = z + d, none{};
  const N kept = z > limit ? d : edited - value, lost = z > limit ? value - z : none;
  return edited <= limit ? lost : kept;  // a NaN stays
}

template <class N>
inline N change_of_log(N z, N d) {
  return log1p(d / z);
}

template <class N>
inline N change_of_log1p(N z, N d) {
  return log1p(d / (1.0f + z));
}

template <class N>
inline N change_of_sqrt(N z, N d) {
  const N sum = sqrt(z + d) + sqrt(z);
  return sum == 0.0f ? d : d / sum;  // not 0 / 0 at 0
}

template <class N>
inline N change_of_reciprocal(N z, N d) {
  return -d / ((z + d) * z);
}

template <class N>
inline N change_of_square(N z, N d) {
  return (2.0f * z + d) * d;
}

template <class N>
inline N change_of_abs(N z, N d) {
  return change_of_relu(z, d) + change_of_relu(-z, -d);
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
