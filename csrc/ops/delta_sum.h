#pragma once

#include <cstdint>

#include "support/isa.h"
#include "support/rows.h"

// Sums of deltas: of two layers, or over the positions of a cell. Slices and padding (one position
// a cell), average pools, and sums over a whole length are all of this kind.

namespace nucleoscope {

template <class T>
struct Term {
  const T* given;  // [V, S, E, C]  on the rows `in`; null: no term
  Rows in;
  T factor;
};

template <class T>
struct DeltaSum {
  Term<T> terms[2];
  const T* scale;  // [C]  of each channel; null: 1
  Rows out;        // W rows of S sites
  T* delta;        // [W, S, E, C]  written in full
  std::int64_t E, C, K, stride, pad;
  std::int64_t length;  // of the output: rows beyond [0, length) get zeros
};

NUCLEOSCOPE_PER_ISA(
    /// delta[w,s,e,c] = scale[c] * sum over terms of factor * sum over t < K of
    /// given[row(o * stride - pad + t),s,e,c], where a row that is not kept counts as zero.
    ///
    /// Nothing is checked here. Arrays are dense and row-major; nothing overlaps delta. T is float
    /// or double.
    template <class T> void delta_sum(const DeltaSum<T>& call, int threads);)

}  // namespace nucleoscope
