#pragma once

#include "support/attention.h"
#include "support/isa.h"

// Log-sum-exp of attention's logits, query by query, without storing them.

namespace nucleoscope {

NUCLEOSCOPE_PER_ISA(
    /// lse[b,h,i] = log of the sum over keys of exp(logit), in nats: -inf where a query sees no
    /// key, NaN where a logit is not finite.
    ///
    /// Nothing is checked here. Arrays are dense and row-major. Throws std::bad_alloc.
    void attention_lse(const Attention& of, float* lse, int threads);)

}  // namespace nucleoscope
