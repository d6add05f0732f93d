#pragma once

#include <cstdint>

#include "ops/delta_conv.h"
#include "support/isa.h"

// A whole layer, and its way back to the input: convolution, bias, ReLU, residual. Several samples
// at the same position share a tile, and channels in which all of them are zero are skipped: behind
// a ReLU or a max-pool most gradients are, and the steps of one path nearly agree on which.

namespace nucleoscope {

template <class T>
struct Conv {
  const T* given;             // [N, V, C_in]
  const std::uint8_t* gated;  // [N, V, C_in]  where 0, given counts as zero; null: nowhere
  const T* slope;             // [N, V, C_in]  given is multiplied with it; null: it is not
  const T* weight;      // packed: see delta_conv.h. Where spread, of one tap and K * C_out columns
  const T* winograd;    // [P, C_out / 16, parts, C_in, 16]  see pack_winograd; null: tap by tap
  const T* bias;        // [C_out], null: none
  const T* residual;    // [N, L, C_out]  added, null: none
  bool residual_first;  // whether it is added before the ReLU
  bool relu;
  T* made;             // [N, L, C_out]  written in full
  std::uint8_t* open;  // [N, L, C_out]  where the ReLU let through, 1, else 0; null: not asked
  const T* beside;     // [1 or N, L, C_out]  what enters the ReLU at another input; null: none
  bool beside_each;    // whether there is one a sample
  T* chord;  // [N, L, C_out]  the slope of the ReLU's chord between the two; null: not asked
  std::int64_t N, V, L, C_in, C_out, G, K, stride, dilation, pad;
  bool transposed;  // o meets the input i that has i * stride - pad + t * dilation = o
  bool spread;  // transposed, dilation and G 1: each input is multiplied for all taps at once, and
                // laid over the outputs it reaches; for C_out far below a vector
};

NUCLEOSCOPE_PER_ISA(
    /// made[n,o] = relu(bias + sum over t of given[n,i] @ weight[t]) + residual[n,o], where
    /// i = o * stride - pad + t * dilation, as far as it lies in [0, V).
    ///
    /// The sum is the same to the bit whatever N. Requires finite weights; nothing is checked here.
    /// Arrays are dense and row-major. T is float or double. Throws std::bad_alloc.
    template <class T> void conv(const Conv<T>& call, int threads);)

}  // namespace nucleoscope
