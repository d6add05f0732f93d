#include "ops/attention_lse.h"

#include "support/attention_heads.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

struct Lse {
  const Attention& of;
  float* lse;

  void begin(std::int64_t, std::int64_t) {}
  void strip(const Strip<RowSum>& strip, std::int64_t, std::int64_t b, std::int64_t h) {
    for (std::int64_t i = 0; i < strip.count(); ++i)
      lse[(b * of.H + h) * of.Lq + strip.at(i)] = strip.lse(i);
  }
};

}  // namespace

void attention_lse(const Attention& of, float* lse, int threads) {
  Lse each{of, lse};
  for_strips<RowSum>(of, nullptr, threads, each);
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
