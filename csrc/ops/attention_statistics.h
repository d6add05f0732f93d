#pragma once

#include "support/attention.h"
#include "support/isa.h"

// Sums over attention, in one pass over its logits: of each query's powers, and of each key's
// weights.

namespace nucleoscope {

struct AttentionStatistics {
  Attention of;
  float *lse, *entropy, *peak, *squares, *cubes;  // [B, H, Lq]  in nats; max, sums of p^2 and p^3
  float* columns;                                 // [B, H, Lk]  sum of p over the queries
};

NUCLEOSCOPE_PER_ISA(
    /// With p[i,j] = exp(logit[i,j] - lse[i]), what the struct's comments say. The entropy is
    /// log(sum of e) less the mean of log(e), for e relative to about the largest: no two large
    /// values meet.
    ///
    /// Nothing is checked here. Arrays are dense and row-major. Memory as attention_apply with M
    /// = 1. Throws std::bad_alloc.
    void attention_statistics(const AttentionStatistics& call, int threads);)

}  // namespace nucleoscope
