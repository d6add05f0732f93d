#pragma once

#include <cstdint>

#include "support/isa.h"
#include "support/rows.h"

// Attention pooling of a delta: output position o is the mean of x over the input positions
// o * stride + t, weighted by the softmax of the logits l over these positions, channel by channel.
// With p the original weights, y the original mean and q = expm1(change of l) - its mean under p,
// over the change of the normaliser, the weights change by p * q and the mean by the sum of (p + p
// * q) * dx + p * q * (x - y), in which no two large values meet.

namespace nucleoscope {

template <class T>
struct DeltaSoftmaxPool {
  const T* given;   // [V, S, E, C]  change of x, on the rows `in`; null: none
  const T* logits;  // [U, S, E, C]  change of l, on the rows `beside`; null: none
  Rows in, beside, out;
  Original<T> original, original_logits;  // x and l
  T* delta;                               // [W, S, E, C]  written in full
  std::int64_t E, C, K, stride;
  std::int64_t length_in, length;  // positions from length_in on are in no cell
};

NUCLEOSCOPE_PER_ISA(
    /// delta[w,s,e] = sum over t of softmax(l + dl)[t] * (x + dx)[t] - softmax(l)[t] * x[t], where
    /// a row that is not kept has a change of zero; zero for rows of the output beyond [0, length).
    ///
    /// Nothing is checked here. Arrays are dense and row-major. T is float or double. Throws
    /// std::bad_alloc.
    template <class T> void delta_softmax_pool(const DeltaSoftmaxPool<T>& call, int threads);)

}  // namespace nucleoscope
