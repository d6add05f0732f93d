#pragma once

#include <cstdint>

#include "support/isa.h"
#include "support/rows.h"

// Deltas of two layers side by side over the channels. More than two are two and two.

namespace nucleoscope {

template <class T>
struct Part {
  const T* given;  // [V, S, E, C]  on the rows `in`; null: no part
  Rows in;
  std::int64_t C, first;  // its channels, and where they go
};

template <class T>
struct DeltaConcat {
  Part<T> parts[2];  // which do not overlap
  Rows out;          // W rows of S sites
  T* delta;          // [W, S, E, C]  written in full
  std::int64_t E, C;
  std::int64_t length;  // of the output: rows beyond [0, length) get zeros
};

NUCLEOSCOPE_PER_ISA(
    /// delta[w,s,e,first + c] = given[row(w),s,e,c] of each part, where row(w) holds the position
    /// of row w; zero where that is not kept, and in the channels of no part.
    ///
    /// Nothing is checked here. Arrays are dense and row-major; nothing overlaps delta. T is float
    /// or double.
    template <class T> void delta_concat(const DeltaConcat<T>& call, int threads);)

}  // namespace nucleoscope
