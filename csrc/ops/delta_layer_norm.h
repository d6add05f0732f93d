#pragma once

#include <cstdint>

#include "support/isa.h"
#include "support/rows.h"

// LayerNorm of a delta, over groups of neighbouring channels. With z and d less their means, var
// the mean of z * z, and was and now one over the old and the new standard deviation, the change is
// (z + d) * now - z * was; it is taken as d * now + z * (now - was), or as d * was + (z + d) *
// (now - was), whichever of the two has the smaller factor beside d, and now - was from the mean of
// d * (2z + d), in which no two large values meet.
//
// z and the delta are rounded, which the division by a standard deviation enlarges. Where it would
// by more than `limit`, for the largest of a group, there is no change to tell and the group is
// NaN.

namespace nucleoscope {

template <class T>
struct DeltaLayerNorm {
  const T* given;        // [W, S, E, C]
  Rows rows;             // W rows of S sites
  Original<T> original;  // z
  const T* weight;       // [N]  of each channel of a group; null: 1
  T* delta;              // [W, S, E, C]  written in full; may be given
  std::int64_t E, C, N;  // C / N groups of N channels
  T eps, limit;
  std::int64_t length;  // rows beyond [0, length) get zeros
};

NUCLEOSCOPE_PER_ISA(
    /// delta[w,s,e] = norm(z + given[w,s,e]) - norm(z) at the original z of row w, site s.
    ///
    /// Nothing is checked here. Arrays are dense and row-major. T is float or double.
    template <class T> void delta_layer_norm(const DeltaLayerNorm<T>& call, int threads);)

}  // namespace nucleoscope
