#pragma once

#include <cstdint>

#include "support/isa.h"
#include "support/rows.h"

// Convolution of a delta: an indirect matrix product over the live (row, tap) pairs alone. Output
// position o reads the input positions o * stride - pad + t * dilation; a pair is live where that
// position is among the kept input rows. Channels in which no edit of a site differs from the
// original are skipped: their products are exactly zero. The activation and the residual are taken
// before the store.

namespace nucleoscope {

/// Columns of a block of packed weights.
constexpr std::int64_t weight_block = 16;

template <class T>
struct DeltaConv {
  const T* given;        // [V, S, E, C_in]  input deltas, on the rows `in`
  Rows in, out;          // V and W rows of S sites
  const void* weight;    // [G, B, K, C_in / G, 16]  packed: B blocks of 16 of a group's C_out / G
                         // Of one channel a group (C_in == G): [K, C_out].
  bool bf16;             // T is float; weights and deltas are multiplied as pairs of bfloat16, the
                         // weights [G, B, K, ceil(C_in / G / 2), 16] such pairs. Not where a group
                         // has one channel: there is no second to make a pair with.
  Original<T> original;  // of the ReLU's input; null: no ReLU
  const T* residual;     // [R, S, E, C_out]  added, on the rows `beside`; null: none
  Rows beside;
  bool residual_first;  // whether it is added before the ReLU
  Interval summed;      // positions whose rows are added up, and none is stored; empty: all are
                        // (and where C_in == G they must be)
  T* delta;             // [W, S, E, C_out], or [S, E, C_out] where summed; written in full
  std::int64_t E, C_in, C_out, G, K, stride, dilation, pad;
  std::int64_t length;  // of the output: rows beyond [0, length) get zeros
};

NUCLEOSCOPE_PER_ISA(
    /// delta[w,s,e] = relu'(residual'(sum over live t of given[row(w,s,t),s,e] @ weight[t])),
    /// where relu'(d) = max(d + min(z, 0), -max(z, 0)) is the change of ReLU at the original z.
    ///
    /// Requires finite weights; nothing is checked here. Arrays are dense and row-major, and
    /// nothing overlaps delta. T is float or double. Throws std::bad_alloc.
    template <class T> void delta_conv(const DeltaConv<T>& call, int threads);)

}  // namespace nucleoscope
