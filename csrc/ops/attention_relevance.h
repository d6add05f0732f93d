#pragma once

#include "support/attention.h"
#include "support/isa.h"

// Rows times gradient-weighted attention. As attention_apply, with one more product a tile before a
// strip is handed on: of the gradient of the head's output with the values, of which only what is
// positive counts.

namespace nucleoscope {

struct AttentionRelevance {
  Attention of;
  const float* value;  // [B, G, Lk, E]
  const float* grad;   // [B, H, Lq, E]
  std::int64_t E;
  const float* r;           // [B, H, M, Lq], dense but for its heads
  std::int64_t strides[2];  // of r over B and H; 0: one serves all
  std::int64_t M;
  float* out;  // [B, H, M, Lk]  written in full
  float* lse;  // [B, H, Lq]  of queries with a weight in any row; others are left as they are
};

NUCLEOSCOPE_PER_ISA(
    /// out[b,h,m,j] = sum over queries of r[b,h,m,i] * exp(logit[i,j] - lse[i]) * max(grad[i] .
    /// value[j], 0).
    ///
    /// Nothing is checked here. Arrays are dense and row-major. Memory as attention_apply, and the
    /// values once. Throws std::bad_alloc.
    void attention_relevance(const AttentionRelevance& call, int threads);)

}  // namespace nucleoscope
