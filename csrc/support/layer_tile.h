#pragma once

#include "support/blocks.h"
#include "support/conv_tile.h"

// A register tile of a whole layer: what is added to it, and what it is finished with.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// A null pointer: nothing to do. Pointers are at the tile's first row and column.
template <class T>
struct Ending {
  const T* bias;
  const T* residual;
  bool residual_first, relu;
  T* made;
  std::uint8_t* open;
  const T* beside;
  T* chord;
  std::int64_t stride, columns;  // rows of residual, made, open and chord are `stride` apart
  std::int64_t stride_beside;
};

/// What a call's outputs are finished with, from one of them on (`first`, beside which `other`
/// lies, in this column of which `columns` are left); rows so far apart.
template <class T, class Call>
inline Ending<T> ending_of(const Call& call, std::int64_t first, std::int64_t other,
                           std::int64_t column, std::int64_t columns, std::int64_t stride,
                           std::int64_t stride_beside) {
  return {.bias = call.bias ? call.bias + column : nullptr,
          .residual = call.residual ? call.residual + first : nullptr,
          .residual_first = call.residual_first,
          .relu = call.relu,
          .made = call.made + first,
          .open = call.open ? call.open + first : nullptr,
          .beside = call.chord ? call.beside + other : nullptr,
          .chord = call.chord ? call.chord + first : nullptr,
          .stride = stride,
          .columns = columns,
          .stride_beside = stride_beside};
}

/// A byte a lane.
template <class T>
struct BytesOf {
  typedef std::uint8_t Vector __attribute__((vector_size(lanes<T>), aligned(1), may_alias));
};
template <class T>
using Bytes = typename BytesOf<T>::Vector;

/// 0 in the lanes where the mask is set, 1 in the others.
template <class T, class Mask>
inline Bytes<T> bytes_of_unset(Mask set) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {  // GCC would take the lanes apart, which costs a tile's half
    const __m256i wide = reinterpret_cast<__m256i>(set);
    const __m128i half =
        _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
    const __m128i bytes = _mm_add_epi8(_mm_packs_epi16(half, half), _mm_set1_epi8(1));
    return __builtin_bit_cast(Bytes<T>, _mm_cvtsi128_si64(bytes));
  }
#endif
  return __builtin_convertvector(set + 1, Bytes<T>);
}

/// The slope of the ReLU's chord between two values: what of the way from the lower to the higher
/// is above 0, and 1 to the bit where all of it is. At the same value the quotient is infinite with
/// its sign, or no number, which counts as 0.
template <class T>
inline Vector<T> chord_of(Vector<T> a, Vector<T> b) {
  const Vector<T> way = a > b ? a - b : b - a, share = (a > b ? a : b) / way;
  return share > Vector<T>{} ? (share < all<T>(1) ? share : all<T>(1)) : Vector<T>{};
}

/// One vector of a row, at `place` of it, `other` of what is beside it and `column` of the bias; n
/// lanes of it are used.
template <class T>
inline __attribute__((always_inline)) void end_vector(Vector<T> sum, const Ending<T>& end,
                                                      std::int64_t place, std::int64_t other,
                                                      std::int64_t column, std::int64_t n) {
  Vector<T> residual{};
  if (end.residual) residual = take(end.residual + place, n);
  if (end.bias) sum += take(end.bias + column, n);
  if (end.residual_first) sum += residual;
  if (end.chord) put(end.chord + place, chord_of<T>(sum, take(end.beside + other, n)), n);
  if (end.relu) {
    const auto shut = sum <= Vector<T>{};  // a NaN passes, as it does in torch
    if (end.open) {
      const Bytes<T> open = bytes_of_unset<T>(shut);
      if (n == lanes<T>)
        *reinterpret_cast<Bytes<T>*>(end.open + place) = open;
      else
        for (std::int64_t i = 0; i < n; ++i) end.open[place + i] = open[i];
    }
    sum = shut ? Vector<T>{} : sum;
  }
  if (!end.residual_first) sum += residual;
  put(end.made + place, sum, n);
}

/// A tile [rows, vectors] of sums. Not inlined: its branches would be there for every shape of
/// tile, and their code is what the products would wait for.
template <class T>
inline void finish(const T* sums, int rows, int vectors, const Ending<T>& end) {
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v) {
      const std::int64_t c = v * lanes<T>, left = end.columns - c;
      end_vector<T>(load(sums + (r * vectors + v) * lanes<T>), end, r * end.stride + c,
                    r * end.stride_beside + c, c, left < lanes<T> ? left : std::int64_t{lanes<T>});
    }
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
