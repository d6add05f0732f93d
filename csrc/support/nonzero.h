#pragma once

#include "support/simd.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {

#if defined(__AVX2__) && !defined(__AVX512F__)
/// For each mask of eight lanes, the numbers of its set lanes, packed to the front, a byte each.
struct Packing {
  std::uint64_t lanes[256];
  constexpr Packing() : lanes() {
    for (int mask = 0; mask < 256; ++mask) {
      int n = 0;
      for (int bit = 0; bit < 8; ++bit)
        if (mask >> bit & 1) lanes[mask] |= static_cast<std::uint64_t>(bit) << (8 * n++);
    }
  }
};
inline constexpr Packing packing;
#endif

/// Lists the channels in [begin, end) in which any of `many` rows, at[r] behind `rows`, is not
/// zero. Returns how many; `list` needs room for 16 more than it gets.
inline std::int64_t list_nonzero(const float* rows, const std::int64_t* at, std::int64_t many,
                                 std::int64_t begin, std::int64_t end, std::uint32_t* list) {
  std::int64_t n = 0;
  std::int64_t c = begin;
#if defined(__AVX512F__)
  const __m512i ramp = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (; c + 16 <= end; c += 16) {
    __mmask16 mask = 0;
    for (std::int64_t r = 0; r < many; ++r)
      mask |=
          _mm512_cmp_ps_mask(_mm512_loadu_ps(rows + at[r] + c), _mm512_setzero_ps(), _CMP_NEQ_UQ);
    const __m512i channel = _mm512_add_epi32(ramp, _mm512_set1_epi32(static_cast<int>(c)));
    _mm512_storeu_si512(list + n, _mm512_maskz_compress_epi32(mask, channel));
    n += __builtin_popcount(mask);
  }
#elif defined(__AVX2__)
  for (; c + 8 <= end; c += 8) {
    __m256 any = _mm256_setzero_ps();
    for (std::int64_t r = 0; r < many; ++r)
      any = _mm256_or_ps(
          any, _mm256_cmp_ps(_mm256_loadu_ps(rows + at[r] + c), _mm256_setzero_ps(), _CMP_NEQ_UQ));
    const int mask = _mm256_movemask_ps(any);
    const __m128i bytes = _mm_cvtsi64_si128(static_cast<std::int64_t>(packing.lanes[mask]));
    const __m256i channel =
        _mm256_add_epi32(_mm256_cvtepu8_epi32(bytes), _mm256_set1_epi32(static_cast<int>(c)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(list + n), channel);
    n += __builtin_popcount(static_cast<unsigned>(mask));
  }
#endif
  for (; c < end; ++c) {
    bool any = false;
    for (std::int64_t r = 0; r < many; ++r) any |= !(rows[at[r] + c] == 0);
    list[n] = static_cast<std::uint32_t>(c);
    n += any;
  }
  return n;
}

/// The same for pairs of bfloat16.
inline std::int64_t list_nonzero(const Bf16Pair* rows, const std::int64_t* at, std::int64_t many,
                                 std::int64_t begin, std::int64_t end, std::uint32_t* list) {
  std::int64_t n = 0;
  std::int64_t c = begin;
#if defined(__AVX512F__)
  const __m512i ramp = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (; c + 16 <= end; c += 16) {
    __m512i any = _mm512_setzero_si512();
    for (std::int64_t r = 0; r < many; ++r)
      any = _mm512_or_si512(any, _mm512_loadu_si512(rows + at[r] + c));
    const __mmask16 mask = _mm512_test_epi32_mask(any, any);
    const __m512i channel = _mm512_add_epi32(ramp, _mm512_set1_epi32(static_cast<int>(c)));
    _mm512_storeu_si512(list + n, _mm512_maskz_compress_epi32(mask, channel));
    n += __builtin_popcount(mask);
  }
#endif
  for (; c < end; ++c) {
    std::uint32_t any = 0;
    for (std::int64_t r = 0; r < many; ++r) any |= rows[at[r] + c];
    list[n] = static_cast<std::uint32_t>(c);
    n += any != 0;
  }
  return n;
}

inline std::int64_t list_nonzero(const double* rows, const std::int64_t* at, std::int64_t many,
                                 std::int64_t begin, std::int64_t end, std::uint32_t* list) {
  std::int64_t n = 0;
  for (std::int64_t c = begin; c < end; ++c) {
    bool any = false;
    for (std::int64_t r = 0; r < many; ++r) any |= !(rows[at[r] + c] == 0);
    list[n] = static_cast<std::uint32_t>(c);
    n += any;
  }
  return n;
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
