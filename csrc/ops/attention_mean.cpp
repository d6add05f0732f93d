#include "ops/attention_mean.h"

#include "support/attention_heads.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

/// Half of what other ops take: beside a strip its rows of the output lie in the cache.
constexpr std::int64_t depth = strip_depth / 2;

/// Adds share * e / sum to the rows of a strip's queries, [Lq, Lk].
void add(Strip<RowSum>& strip, float share, std::int64_t Lk, float* out) {
  for (std::int64_t i = 0; i < strip.count(); ++i) {
    const float weight = share / strip.total(i);
    const Vector<float> weights = all(weight);
    for (std::int64_t p = strip.begin(); p < strip.end(); ++p) {
      const float* e = strip.panel(p) + i * tile_columns;
      float* to = out + strip.at(i) * Lk + p * tile_columns;
      const std::int64_t keys = Lk - p * tile_columns;
      if (keys >= tile_columns)
#pragma GCC unroll 3
        for (int v = 0; v < tile_vectors; ++v, to += lanes<float>, e += lanes<float>)
          store(to, multiply_add(load(to), weights, load(e)));
      else
        for (std::int64_t c = 0; c < keys; ++c) to[c] += weight * e[c];
    }
  }
}

}  // namespace

void attention_mean(const AttentionMean& call, int threads) {
  const Attention& of = call.of;
  const std::int64_t panels = panels_of(of.Lk), packed = panels * of.D * tile_columns;
  const std::int64_t strips = (of.Lq + depth - 1) / depth;
  const std::int64_t members = strips < threads ? strips : threads;
  const std::int64_t size = Strip<RowSum>::size(depth, panels, of.D);
  Scratch<float> keys(of.G * packed), memory(members * size);
  prefer_large_pages(memory.data(), sizeof(float) * members * size);
  prefer_large_pages(call.out, sizeof(float) * of.B * of.Lq * of.Lk);
  Scratch<std::int32_t> all_queries(of.Lq);
  for (std::int64_t i = 0; i < of.Lq; ++i) all_queries[i] = static_cast<std::int32_t>(i);
  for (std::int64_t b = 0; b < of.B; ++b) {
    for (std::int64_t g = 0; g < of.G; ++g)
      pack(of.key + (b * of.G + g) * of.Lk * of.D, of.Lk, of.D, keys.data() + g * packed, threads);
    float* out = call.out + b * of.Lq * of.Lk;
    parallel_ranges(members, 1, threads, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t member = first; member < last; ++member) {
        Strip<RowSum> strip(memory.data() + member * size, depth, panels, of);
        for (std::int64_t i = member * depth; i < of.Lq; i += members * depth) {
          const std::int64_t many = of.Lq - i < depth ? of.Lq - i : depth;
          __builtin_memset(out + i * of.Lk, 0, sizeof(float) * many * of.Lk);
          for (std::int64_t h = 0; h < of.H; ++h) {
            if (call.share[h] == 0) continue;
            const std::int64_t head = (b * of.H + h) * of.Lq;
            strip.sweep(of.query + head * of.D, all_queries.data() + i, many,
                        keys.data() + h / (of.H / of.G) * packed, Scoring(of, b, h),
                        [](std::int64_t) {});
            for (std::int64_t row = 0; row < many; ++row) call.lse[head + i + row] = strip.lse(row);
            add(strip, call.share[h], of.Lk, out);
          }
        }
      }
    });
  }
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
