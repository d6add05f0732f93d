#pragma once

#include <cstdint>

#include "support/isa.h"
#include "support/rows.h"

// An elementwise function of a delta: g(z + d) - g(z), in a form in which no two large values meet;
// support/changes.h has them.

namespace nucleoscope {

/// g, with its parameters. Python counts them in this order: naive/ops/delta_pointwise.py.
enum class Function : std::int64_t {
  relu,
  clamp,       // low, high
  leaky_relu,  // slope
  elu,         // alpha, scale, input_scale
  sigmoid,
  tanh,
  silu,
  gelu,
  gelu_tanh,
  softplus,   // beta, threshold
  threshold,  // limit, value
  exp,
  log,
  log1p,
  sqrt,
  reciprocal,
  square,
  abs
};

template <class T>
struct DeltaPointwise {
  const T* given;        // [W, S, E, C]
  Rows rows;             // W rows of S sites
  Original<T> original;  // z
  T* delta;              // [W, S, E, C]  written in full; may be given
  std::int64_t E, C;
  std::int64_t length;  // rows beyond [0, length) get zeros
  Function function;
  T parameters[3];
};

NUCLEOSCOPE_PER_ISA(
    /// delta[w,s,e] = g(z + given[w,s,e]) - g(z) at the original z of row w, site s.
    ///
    /// Nothing is checked here. Arrays are dense and row-major. T is float or double.
    template <class T> void delta_pointwise(const DeltaPointwise<T>& call, int threads);)

}  // namespace nucleoscope
