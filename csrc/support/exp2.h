#pragma once

#include "support/functions.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// The larger of each lane, as one instruction; a NaN in x stays. (GCC makes two of `y > x ? y :
/// x`.)
inline Floats quick_larger(Floats x, Floats y) {
#if defined(__AVX512F__)
  return reinterpret_cast<Floats>(
      _mm512_max_ps(reinterpret_cast<__m512>(y), reinterpret_cast<__m512>(x)));
#elif defined(__AVX2__)
  return reinterpret_cast<Floats>(
      _mm256_max_ps(reinterpret_cast<__m256>(y), reinterpret_cast<__m256>(x)));
#else
  return larger(x, y);
#endif
}

/// 2^x for x < 127, to 1 unit in the last place; zero where it would be a denormal.
inline Floats exp2_flushed(Floats x) {
  constexpr float magic = 12582912.0f + 127;  // a sum with it ends in the bits of n + 127
  const Floats within = quick_larger(x, fill<Floats>(-127)), shifted = within + magic;
  const Floats f = within - (shifted - magic);  // within = n + f, |f| <= 1/2
  Floats sum = f * 1.53458121613e-4f + 1.33999311772e-3f;
  sum = sum * f + 9.61848895633e-3f;
  sum = sum * f + 5.55032877711e-2f;
  sum = sum * f + 2.40226468906e-1f;
  sum = sum * f + 6.93147205737e-1f;
  sum = sum * f + 1.0f;
  return sum * reinterpret_cast<Floats>(reinterpret_cast<Ints>(shifted) << 23);
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
