#pragma once

#include <cstdint>

#include "support/exp2.h"

// The register tile of attention: the products of a few rows with three vectors of columns. It
// fills the registers there are; a panel of columns stays in L1 while strips of rows go by.

namespace nucleoscope::NUCLEOSCOPE_ISA {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int tile_rows = 8, tile_vectors = 3;  // of 32 registers: 24 sums, 3 columns, a row
#else
constexpr int tile_rows = 6,
              tile_vectors = 2;  // of 16: 12, 2 and 1; with 4 by 3 one sum was in memory
#endif
constexpr std::int64_t tile_columns = tile_vectors * lanes<float>;

/// Keeps a vector until here, after its last product: GCC would write that product over it rather
/// than over the sum, and then move the sum.
inline void keep(Vector<float> value) {
#if defined(__x86_64__)
  asm volatile("" : : "v"(value));
#elif defined(__aarch64__)
  asm volatile("" : : "w"(value));
#else
  asm volatile("" : : "m"(value));
#endif
}

template <int R>
struct Products {
  Vector<float> sums[R][tile_vectors] = {};

  /// sums += rows [depth, R] transposed, times columns [depth, tile_columns].
  inline __attribute__((always_inline)) void multiply(std::int64_t depth, const float* rows,
                                                      const float* columns) {
    for (std::int64_t k = 0; k < depth; ++k, rows += R, columns += tile_columns)
      step(rows, columns);
  }

  /// The same, one row and one line of columns at a time.
  inline __attribute__((always_inline)) void step(const float* rows, const float* columns) {
    Vector<float> column[tile_vectors];
#pragma GCC unroll 3
    for (int v = 0; v < tile_vectors; ++v) {
      column[v] = load(columns + v * lanes<float>);
      hold(column[v]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i) {
      const Vector<float> row = all<float>(rows[i]);
#pragma GCC unroll 3
      for (int v = 0; v < tile_vectors; ++v) sums[i][v] = multiply_add(sums[i][v], row, column[v]);
      keep(row);
    }
#pragma GCC unroll 3
    for (int v = 0; v < tile_vectors; ++v) keep(column[v]);
  }
};

inline std::int64_t panels_of(std::int64_t columns) {
  return (columns + tile_columns - 1) / tile_columns;
}

/// A panel of columns: from[first + c, :] of `count` rows of D numbers, to [D, tile_columns]; zeros
/// behind the last.
inline void pack_panel(const float* from, std::int64_t first, std::int64_t count, std::int64_t D,
                       float* to) {
  for (std::int64_t c = 0; c < tile_columns; ++c) {
    const float* row = from + (first + c) * D;
    for (std::int64_t k = 0; k < D; ++k)
      to[k * tile_columns + c] = first + c < count ? row[k] : 0.0f;
  }
}

/// Whether any lane of x is above y; a NaN is not.
inline bool any_above(Vector<float> x, Vector<float> y) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(reinterpret_cast<__m512>(x), reinterpret_cast<__m512>(y), _CMP_GT_OQ);
#elif defined(__AVX2__)
  return _mm256_movemask_ps(reinterpret_cast<__m256>(x > y));
#else
  bool found = false;
  for (int i = 0; i < lanes<float>; ++i) found |= x[i] > y[i];
  return found;
#endif
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
