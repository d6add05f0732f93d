#pragma once

#include <cstdint>

#include "ops/delta_pointwise.h"
#include "support/isa.h"
#include "support/rows.h"

// Layer after layer for a batch of edits, in one call. The sites are taken a few at a time, so that
// their deltas stay in the cache from the layer that makes them to the last that reads them; only
// what is asked for is stored as a whole.

namespace nucleoscope {

enum class Op : std::int64_t {
  edit_lookup,
  delta_conv,
  delta_max_pool,
  delta_pointwise,
  delta_sum,
  delta_product,
  delta_concat,
  delta_layer_norm,
  delta_softmax_pool
};

/// One layer. What an op does not have is 0 or null; its header says what the names mean.
template <class T>
struct Link {
  Op op;
  std::int64_t given, beside;  // the values it takes; -1: none. Of a delta_concat the first goes to
                               // the first channels, the second to the last
  std::int64_t C_in,           // of an edit_lookup: the letters of its table
      C_out, G, K, stride, dilation, pad, length_in, length, residual_first, bf16,
      relu;            // of a delta_max_pool
  const void* weight;  // delta_conv's, edit_lookup's table, delta_sum's scale, delta_layer_norm's
  const T* original;
  std::int64_t original_first, original_length;
  const T* pooled;  // of a delta_product: the second factor
  std::int64_t pooled_first, pooled_length;
  T factors[2];  // of delta_sum's terms
  Function function;
  T parameters[3];    // of the function
  std::int64_t wide;  // channels of a delta_layer_norm's group
  T eps, limit;       // of a delta_layer_norm
};

/// Values are numbered: first the `givens` that come from outside, then one a link.
template <class T>
struct DeltaChain {
  const Link<T>* links;
  std::int64_t count;            // of links
  const Rows* rows;              // [givens + count]
  const T* const* given;         // [givens]  each [V, S, E, C]
  const std::int64_t* channels;  // [givens]
  std::int64_t givens;
  T* const* kept;  // [count]  each [W, S, E, C_out], written in full; null: not asked for
  const std::int32_t* sequence;  // [S]     which of the originals each site edits
  const std::int64_t* site;      // [S]     which position
  const std::int32_t* old;       // [S]     letter that stood there, -1: none
  const std::int32_t* fresh;     // [S, E]  letters put in its place, -1: none
  std::int64_t S, E;
};

NUCLEOSCOPE_PER_ISA(
    /// kept[i] = the value of link i, where link i applies its op to earlier values.
    ///
    /// Nothing is checked here. Arrays are dense and row-major and do not overlap. T is float or
    /// double. Throws std::bad_alloc.
    template <class T> void delta_chain(const DeltaChain<T>& call, int threads);)

}  // namespace nucleoscope
