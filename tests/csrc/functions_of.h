#pragma once

#include <cstdint>

#include "support/isa.h"

namespace nucleoscope {

enum class Kin { exp, exp2_flushed, expm1, log1p, sqrt, normal_tail };

NUCLEOSCOPE_PER_ISA(
    /// made[i] = the function of support/functions.h at x[i], a whole number of vectors.
    void functions_of(Kin kin, const float* x, float* made, std::int64_t count);)

}  // namespace nucleoscope
