#pragma once

#include <cstdint>

#include "support/isa.h"
#include "support/rows.h"

// Max-pooling of a delta. Output position o is the maximum over the input positions
// o * stride - pad + t * dilation; with m the original maximum of the cell and z its members, the
// change is the largest d - (m - z), in which no two large values meet. Of a pool behind a ReLU z
// and d may be what enters that: the largest member above 0 is the pool of both, so 0 is a member
// more.

namespace nucleoscope {

template <class T>
struct DeltaMaxPool {
  const T* given;                // [V, S, E, C]  input deltas, on the rows `in`
  Rows in, out;                  // V and W rows of S sites
  Original<T> original, pooled;  // of the input, and of the output
  T* delta;                      // [W, S, E, C]  written in full
  std::int64_t E, C, K, stride, dilation, pad;
  std::int64_t length_in, length;  // positions beyond [0, length_in) are in no cell
  bool relu = false;               // whether 0 is a member of every cell
};

NUCLEOSCOPE_PER_ISA(
    /// delta[w,s,e] = max over t of given[row(w,s,t),s,e] - (pooled - original[t]), where a row
    /// that is not kept counts as zero, or -pooled[w] with `relu`, whichever is more; zero for rows
    /// of the output beyond [0, length).
    ///
    /// Nothing is checked here. Arrays are dense and row-major. T is float or double.
    template <class T> void delta_max_pool(const DeltaMaxPool<T>& call, int threads);)

}  // namespace nucleoscope
