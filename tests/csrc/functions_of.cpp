#include "functions_of.h"

#include "support/exp2.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {

void functions_of(Kin kin, const float* x, float* made, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += lanes<float>) {
    const Floats at = load(x + i);
    store<float>(made + i, kin == Kin::exp            ? exp(at)
                           : kin == Kin::exp2_flushed ? exp2_flushed(at)
                           : kin == Kin::expm1        ? expm1(at)
                           : kin == Kin::log1p        ? log1p(at)
                           : kin == Kin::sqrt         ? sqrt(at)
                                                      : normal_tail(at));
  }
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
