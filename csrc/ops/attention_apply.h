#pragma once

#include "support/attention.h"
#include "support/isa.h"

// Rows times attention. A strip of queries against all keys is held as e = 2^(logit - reference)
// until its sums are known; then every target's sums over queries, of r / sum * e, go on by it,
// while the next strip takes its place. So each logit is made once, and the log-sum-exp comes of
// the very numbers that are handed on.

namespace nucleoscope {

struct AttentionApply {
  Attention of;
  const float* r;           // [B, H, M, Lq], dense but for its heads
  std::int64_t strides[2];  // of r over B and H; 0: one serves all
  std::int64_t M;
  float* out;  // [B, H, M, Lk]  written in full
  float* lse;  // [B, H, Lq]  of queries with a weight in any row; others are left as they are
};

NUCLEOSCOPE_PER_ISA(
    /// out[b,h,m,j] = sum over queries of r[b,h,m,i] * exp(logit[i,j] - lse[i]).
    ///
    /// Nothing is checked here. Arrays are dense and row-major. Memory: keys once, and for each
    /// thread a strip of 48 queries by Lk, and M * Lk sums. Throws std::bad_alloc.
    void attention_apply(const AttentionApply& call, int threads);)

}  // namespace nucleoscope
