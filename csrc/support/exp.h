#pragma once

#include <cstdint>

#include "support/simd.h"

// Exponentials of float, a vector at a time, to about one unit in the last place.

namespace nucleoscope::NUCLEOSCOPE_ISA {

struct Powers {
  Vector<float> whole;     // e^x
  Vector<float> less_one;  // e^x - 1, as exact for a small x as for a large one
};

/// Of x within [-87, 88]; beyond, of the nearer end. As 2^n e^r with |r| <= ln 2 / 2.
inline Powers powers(Vector<float> x) {
  x = smaller(larger(x, all(-87.0f)), all(88.0f));
  const float magic = 12582912.0f;  // 1.5 * 2^23: the sum's low bits are a whole number
  const Vector<float> sum = x * 1.44269504f + magic, n = sum - magic;
  const Vector<float> r = x - n * 0.693359375f + n * 2.12194440e-4f;  // ln 2 in two pieces
  Vector<float> series = r * (1.0f / 5040) + 1.0f / 720;
  series = series * r + 1.0f / 120;
  series = series * r + 1.0f / 24;
  series = series * r + 1.0f / 6;
  series = series * r + 0.5f;
  const Vector<float> rest = r + r * r * series;  // e^r - 1
  const Vector<Bf16Pair> bits = (reinterpret_cast<Vector<Bf16Pair> >(sum) << 23) + 0x3f800000u;
  const Vector<float> scale = reinterpret_cast<Vector<float> >(bits);
  return {scale + scale * rest, scale * rest + (scale - 1.0f)};
}

/// e^x; 0 below -87, e^88 above 88.
inline Vector<float> exp(Vector<float> x) { return x < -87.0f ? Vector<float>{} : powers(x).whole; }

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
