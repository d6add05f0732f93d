#pragma once

#include <cstdint>

#include "support/simd.h"

// exp and its kin: of a vector of floats without a branch, to some 2 units in the last place; of a
// double by the C library. Infinities, NaN and denormals go in and come out as they should.

namespace nucleoscope::NUCLEOSCOPE_ISA {

// What a function is taken of: Floats, or double. (Free of the attributes that Vector<float> has
// for memory, which template arguments lose.)
typedef float Floats __attribute__((vector_size(vector_bytes)));
typedef std::int32_t Ints __attribute__((vector_size(vector_bytes)));

template <class N>
struct ElementOf {
  using Type = N;
};
template <>
struct ElementOf<Floats> {
  using Type = float;
};
template <class N>
using Element = typename ElementOf<N>::Type;

/// One value in every lane.
template <class N>
inline N fill(Element<N> value) {
  return value - N{};
}

/// A NaN stays.
template <class N>
inline N absolute(N x) {
  return larger(x, -x);
}

// exp x = 2^n exp r with a whole n and |r| <= ln(2) / 2.

struct Reduced {
  Floats r;
  Ints n;
};

/// For |x| < 2^20.
inline Reduced reduce(Floats x) {
  constexpr float magic = 12582912.0f;  // 1.5 * 2^23: a sum with it is rounded to a whole number
  const Floats shifted = x * 1.44269504f + magic;
  const Floats n = shifted - magic;
  // ln 2 in two parts, the first of so few bits that its product with n is exact
  return {(x - n * 0.693359375f) + n * 2.12194440e-4f,
          reinterpret_cast<Ints>(shifted) - 0x4b400000};
}

/// exp(r) - 1 for |r| <= ln(2) / 2: Cephes' polynomial.
inline Floats expm1_near(Floats r) {
  Floats sum = r * 1.9875691500e-4f + 1.3981999507e-3f;
  sum = sum * r + 8.3334519073e-3f;
  sum = sum * r + 4.1665795894e-2f;
  sum = sum * r + 1.6666665459e-1f;
  sum = sum * r + 5.0000001201e-1f;
  return sum * (r * r) + r;
}

/// 2^n for -126 <= n <= 127.
inline Floats power_of_two(Ints n) { return reinterpret_cast<Floats>((n + 127) << 23); }

inline Floats exp(Floats x) {
  // beyond these bounds it is 0 and infinity; near them 2^n alone would be
  const auto [r, n] = reduce(smaller(larger(x, fill<Floats>(-104)), fill<Floats>(89)));
  const Ints half = n >> 1;
  return (1.0f + expm1_near(r)) * power_of_two(half) * power_of_two(n - half);
}

inline Floats expm1(Floats x) {
  const auto [r, n] = reduce(smaller(larger(x, fill<Floats>(-30)), fill<Floats>(89)));
  const Floats near = expm1_near(r), scale = power_of_two(n - 1);
  return n == 0 ? near : 2.0f * (scale * near + (scale - 0.5f));
}

inline Floats log1p(Floats x) {
  const Floats u = 1.0f + x, above = u - 1.0f;
  const Floats lost = (x - above) + (1.0f - (u - above));        // 1 + x = u + lost, exactly
  constexpr std::int32_t root = 0x3f3504f3;                      // the bits of sqrt(1/2)
  const Ints bits = reinterpret_cast<Ints>(absolute(u)) - root;  // of u < 0 it is NaN whatever n is
  const Floats f = reinterpret_cast<Floats>((bits & 0x7fffff) + root) - 1.0f;
  const Floats n = __builtin_convertvector(bits >> 23, Floats);  // u = 2^n (1 + f)
  Floats sum = f * 7.0376836292e-2f - 1.1514610310e-1f;          // Cephes' polynomial
  sum = sum * f + 1.1676998740e-1f;
  sum = sum * f - 1.2420140846e-1f;
  sum = sum * f + 1.4249322787e-1f;
  sum = sum * f - 1.6668057665e-1f;
  sum = sum * f + 2.0000714765e-1f;
  sum = sum * f - 2.4999993993e-1f;
  sum = sum * f + 3.3333331174e-1f;
  const Floats square = f * f;
  Floats made = sum * (f * square) - n * 2.12194440e-4f - 0.5f * square + lost / u;
  made = f + made + n * 0.693359375f;
  const Floats end = u == 0.0f ? fill<Floats>(-__builtin_inff()) : fill<Floats>(__builtin_nanf(""));
  made = u > 0.0f ? made : end;
  return x == __builtin_inff() ? x : made;
}

inline Floats sqrt(Floats x) {
  float lane[lanes<float>];
  store<float>(lane, x);
  for (float& each : lane) each = __builtin_sqrtf(each);
  return load(lane);
}

/// cosh(y) for |y| < 1.7 by its series; finite while |y| < 1000.
inline Floats cosh_near(Floats y) {
  const Floats square = y * y;
  Floats sum = square * (1.0f / 479001600) + 1.0f / 3628800;
  sum = sum * square + 1.0f / 40320;
  sum = sum * square + 1.0f / 720;
  sum = sum * square + 1.0f / 24;
  sum = sum * square + 0.5f;
  return sum * square + 1.0f;
}

/// The share of a normal distribution beyond a >= 0: exp(-a^2 / 2) times a polynomial in
/// t = 1 / (1 + 0.35 a), fitted to 3e-8.
inline Floats normal_tail(Floats a) {
  const Floats t = 1.0f / (1.0f + 0.35f * a);
  Floats sum = t * -2.9164113e-2f + 1.4406168e-1f;
  sum = sum * t - 2.5590366e-1f;
  sum = sum * t + 1.5939489e-1f;
  sum = sum * t - 2.3265138e-2f;
  sum = sum * t + 1.0557533e-1f;
  sum = sum * t + 1.1981537e-1f;
  sum = sum * t + 1.3986436e-1f;
  sum = sum * t + 1.3962126e-1f;
  return sum * t * exp(a * a * -0.5f);
}

inline double exp(double x) { return __builtin_exp(x); }
inline double expm1(double x) { return __builtin_expm1(x); }
inline double expm1_near(double x) { return __builtin_expm1(x); }
inline double log1p(double x) { return __builtin_log1p(x); }
inline double sqrt(double x) { return __builtin_sqrt(x); }
inline double cosh_near(double y) { return __builtin_cosh(y); }
inline double normal_tail(double a) { return 0.5 * __builtin_erfc(a * 0.7071067811865476); }

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
