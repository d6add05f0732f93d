#pragma once

#include "support/attention.h"
#include "support/isa.h"

// Attention of all heads as one matrix: their weighted mean. A strip of queries is held for one
// head after the other and added to its rows of the output, which stay in the cache meanwhile; no
// head's matrix is stored.

namespace nucleoscope {

struct AttentionMean {
  Attention of;
  const float* share;  // [H]  what each head counts; heads of 0 are left out
  float* out;          // [B, Lq, Lk]  written in full
  float* lse;          // [B, H, Lq]  of heads that count; others are left as they are
};

NUCLEOSCOPE_PER_ISA(
    /// out[b,i,j] = sum over heads of share[h] * exp(logit[b,h,i,j] - lse[b,h,i]).
    ///
    /// Nothing is checked here. Arrays are dense and row-major. Memory: the keys of all heads once,
    /// and for each thread a strip of 24 queries by Lk. Throws std::bad_alloc.
    void attention_mean(const AttentionMean& call, int threads);)

}  // namespace nucleoscope
