#include "ops/attention_apply.h"

#include "support/attention_heads.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

struct Apply {
  const AttentionApply& call;

  void begin(std::int64_t, std::int64_t) {}
  void strip(const Strip<RowSum>& strip, std::int64_t, std::int64_t b, std::int64_t h) {
    for (std::int64_t i = 0; i < strip.count(); ++i)
      call.lse[(b * call.of.H + h) * call.of.Lq + strip.at(i)] = strip.lse(i);
  }
};

}  // namespace

void attention_apply(const AttentionApply& call, int threads) {
  Apply each{call};
  const Handed to{call.r, {call.strides[0], call.strides[1]}, call.M, call.out};
  for_strips<RowSum>(call.of, &to, threads, each);
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
