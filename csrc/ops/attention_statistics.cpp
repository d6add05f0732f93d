#include "ops/attention_statistics.h"

#include "support/attention_heads.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

struct Rows {
  const AttentionStatistics& call;

  void begin(std::int64_t, std::int64_t) {}
  void strip(const Strip<RowMoments>& strip, std::int64_t, std::int64_t b, std::int64_t h) {
    constexpr double log_2 = 0.6931471805599453;
    for (std::int64_t i = 0; i < strip.count(); ++i) {
      const std::int64_t to = (b * call.of.H + h) * call.of.Lq + strip.at(i);
      const RowMoments& row = strip.row(i);
      const double sum = strip.total(i), bits = strip.total_of(row.bits) / sum;
      const double entropy = (__builtin_log2(sum) - bits) * log_2;
      float peak = 0;
      for (int l = 0; l < lanes<float>; ++l) peak = row.peak[l] > peak ? row.peak[l] : peak;
      call.lse[to] = strip.lse(i);
      call.entropy[to] = static_cast<float>(entropy < 0 ? 0 : entropy);
      call.peak[to] = static_cast<float>(peak / sum);
      call.squares[to] = static_cast<float>(strip.total_of(row.squares) / (sum * sum));
      call.cubes[to] = static_cast<float>(strip.total_of(row.cubes) / (sum * sum * sum));
    }
  }
};

}  // namespace

void attention_statistics(const AttentionStatistics& call, int threads) {
  Rows each{call};
  const Handed to{nullptr, {0, 0}, 1, call.columns};
  for_strips<RowMoments>(call.of, &to, threads, each);
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
