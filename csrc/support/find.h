#pragma once

#include "support/rows.h"

// Where a row lies and what is kept there. Apart from support/rows.h because these are code, which
// each instruction set compiles for itself.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// How many rows each site keeps.
inline std::int64_t width(const Rows& rows) {
  std::int64_t sum = 0;
  for (std::int64_t j = 0; j < rows.P; ++j) sum += rows.widths[j];
  return sum;
}

/// The layer's position of row w of site s.
inline std::int64_t position(const Rows& rows, std::int64_t w, std::int64_t s) {
  std::int64_t j = 0;
  while (w >= rows.widths[j]) w -= rows.widths[j++];
  return rows.starts[j * rows.S + s] + w;
}

/// The row that holds a position of site s, -1 where it is not kept.
inline std::int64_t find(const Rows& rows, std::int64_t position, std::int64_t s) {
  std::int64_t first = 0;
  for (std::int64_t j = 0; j < rows.P; ++j) {
    const std::int64_t row = position - rows.starts[j * rows.S + s];
    if (row >= 0 && row < rows.widths[j]) return first + row;
    first += rows.widths[j];
  }
  return -1;
}

/// The channels at one position of site s; positions beyond the kept ones are clamped.
template <class T>
inline const T* at(const Original<T>& original, std::int64_t position, std::int64_t s) {
  std::int64_t row = position - original.first;
  row = row < 0 ? 0 : row >= original.L ? original.L - 1 : row;
  return original.values + (original.sequence[s] * original.L + row) * original.C;
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
