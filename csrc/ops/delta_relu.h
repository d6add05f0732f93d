#pragma once

#include <cstdint>

#include "support/isa.h"
#include "support/rows.h"

// ReLU of a delta: relu(z + d) - relu(z) = max(d + min(z, 0), -max(z, 0)), in which no two large
// values meet.

namespace nucleoscope {

template <class T>
struct DeltaRelu {
  const T* given;        // [W, S, E, C]
  Rows rows;             // W rows of S sites
  Original<T> original;  // z
  T* delta;              // [W, S, E, C]  written in full; may be given
  std::int64_t E, C;
  std::int64_t length;  // rows beyond [0, length) get zeros
};

NUCLEOSCOPE_PER_ISA(
    /// delta[w,s,e] = max(given[w,s,e] + min(z, 0), -max(z, 0)) at the original z of row w, site s.
    ///
    /// Nothing is checked here. Arrays are dense and row-major. T is float or double.
    template <class T> void delta_relu(const DeltaRelu<T>& call, int threads);)

}  // namespace nucleoscope
