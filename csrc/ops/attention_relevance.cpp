#include "ops/attention_relevance.h"

#include "support/attention_heads.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

class Relevance {
 public:
  Relevance(const AttentionRelevance& call, int threads)
      : call_(call),
        threads_(threads),
        values_(panels_of(call.of.Lk) * call.E * tile_columns),
        grads_(threads * strip_depth * call.E) {}

  void begin(std::int64_t b, std::int64_t g) {
    const Attention& of = call_.of;
    pack(call_.value + (b * of.G + g) * of.Lk * call_.E, of.Lk, call_.E, values_.data(), threads_);
  }

  /// e times the positive part of its gradient.
  void strip(Strip<RowSum>& strip, std::int64_t member, std::int64_t b, std::int64_t h) {
    const std::int64_t head = (b * call_.of.H + h) * call_.of.Lq, E = call_.E;
    float* grads = grads_.data() + member * strip_depth * E;
    for (std::int64_t i = 0; i < strip.used(); ++i) {
      const float* grad = call_.grad + (head + strip.at(i)) * E;
      float* to = grads + i / tile_rows * tile_rows * E + i % tile_rows;
      for (std::int64_t k = 0; k < E; ++k) to[k * tile_rows] = grad[k];
      if (i < strip.count()) call_.lse[head + strip.at(i)] = strip.lse(i);
    }
    for (std::int64_t p = strip.begin(); p < strip.end(); ++p)
      for (std::int64_t t = 0; t < strip.used(); t += tile_rows) {
        Products<tile_rows> tile;
        tile.multiply(E, grads + t * E, values_.data() + p * E * tile_columns);
        float* e = strip.panel(p) + t * tile_columns;
#pragma GCC unroll 8
        for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 3
          for (int v = 0; v < tile_vectors; ++v) {
            float* at = e + r * tile_columns + v * lanes<float>;
            store(at, load(at) * larger(tile.sums[r][v], Vector<float>{}));
          }
      }
  }

 private:
  const AttentionRelevance& call_;
  int threads_;
  Scratch<float> values_, grads_;  // [panels, E, columns]; [members, tiles, E, rows]
};

}  // namespace

void attention_relevance(const AttentionRelevance& call, int threads) {
  Relevance each(call, threads);
  const Handed to{call.r, {call.strides[0], call.strides[1]}, call.M, call.out};
  for_strips<RowSum>(call.of, &to, threads, each);
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
