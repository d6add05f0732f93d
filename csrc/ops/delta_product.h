#pragma once

#include <cstdint>

#include "support/isa.h"
#include "support/rows.h"

// Product of two layers: (a + d_a)(b + d_b) - a b = a d_b + (b + d_b) d_a, in which neither a b nor
// its edited value is met.

namespace nucleoscope {

template <class T>
struct Factor {
  const T* given;        // [V, S, E, C]  its delta, on the rows `in`; null: no edit reaches it
  Rows in;               // of S sites
  Original<T> original;  // of the factor itself
};

template <class T>
struct DeltaProduct {
  Factor<T> factors[2];
  Rows out;  // W rows of S sites
  T* delta;  // [W, S, E, C]  written in full
  std::int64_t E, C;
  std::int64_t length;  // rows beyond [0, length) get zeros
};

NUCLEOSCOPE_PER_ISA(
    /// delta[w,s,e] = a d_b + (b + d_b) d_a at the position of row w, where the delta of a row that
    /// is not kept counts as zero.
    ///
    /// Requires finite originals; nothing is checked here. Arrays are dense and row-major; nothing
    /// overlaps delta. T is float or double.
    template <class T> void delta_product(const DeltaProduct<T>& call, int threads);)

}  // namespace nucleoscope
