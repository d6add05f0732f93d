#pragma once

#include "support/attention_targets.h"
#include "support/pages.h"
#include "support/parallel.h"
#include "support/scratch.h"

// One walk over sequences and heads that the attention ops share: keys are packed once a group of
// heads; the queries of a head go by in strips, dealt out to the threads in turn, each with sums of
// its own, which are added in the order of the threads. A strip is too long for the near caches: it
// is handed on panel by panel while the next one takes its place, so that memory is passed once.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// Weights [B, H, M, Lq] of queries, `strides` apart for B and H, and what the keys get.
struct Handed {
  const float* r;
  std::int64_t strides[2];
  std::int64_t M;
  float* out;  // [B, H, M, Lk]
};

/// Columns packed into panels, [panels, D, tile_columns].
inline void pack(const float* from, std::int64_t count, std::int64_t D, float* to, int threads) {
  parallel_ranges(panels_of(count), 64, threads, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p)
      pack_panel(from, p * tile_columns, count, D, to + p * D * tile_columns);
  });
}

/// Queries of a strip, whole tiles of 6 and of 8 rows: so many that the keys, which each strip
/// reads once, are worth reading. With 12 of them 100,000 tokens took twice as long.
constexpr std::int64_t strip_depth = 48;

/// Lists the queries of a head that have a weight in any target row; all of them if there are none.
inline std::int64_t list_asked(const Attention& of, const Handed* to, std::int64_t b,
                               std::int64_t h, std::int32_t* list) {
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < of.Lq; ++i) {
    bool asked = to == nullptr;
    for (std::int64_t m = 0; !asked && m < to->M; ++m)
      asked = to->r[b * to->strides[0] + h * to->strides[1] + m * of.Lq + i] != 0;
    if (asked) list[count++] = static_cast<std::int32_t>(i);
  }
  return count;
}

/// Every strip of every head. `each` is told of a new group of keys by begin(b, g), and of a strip
/// that is summed up by strip(strip, member, b, h), before it is handed on: to.r null hands on 1 a
/// query.
template <class Row, class Each>
void for_strips(const Attention& of, const Handed* to, int threads, Each& each) {
  const std::int64_t panels = panels_of(of.Lk), kept = to ? panels : 0, M = to ? to->M : 0;
  const std::int64_t strips = (of.Lq + strip_depth - 1) / strip_depth;
  const std::int64_t members = strips < threads ? strips : threads;
  const std::int64_t strip_size = Strip<Row>::size(strip_depth, kept, of.D);
  const std::int64_t size = strip_size + (Targets::size(M, strip_depth, panels) + 15) / 16 * 16;
  Scratch<float> keys(panels * of.D * tile_columns), memory(members * size);
  prefer_large_pages(keys.data(), sizeof(float) * panels * of.D * tile_columns);
  prefer_large_pages(memory.data(), sizeof(float) * members * size);
  Scratch<std::int32_t> asked(of.Lq);
  for (std::int64_t bh = 0; bh < of.B * of.H; ++bh) {
    const std::int64_t b = bh / of.H, h = bh % of.H, g = h / (of.H / of.G);
    if (h % (of.H / of.G) == 0) {
      pack(of.key + (b * of.G + g) * of.Lk * of.D, of.Lk, of.D, keys.data(), threads);
      each.begin(b, g);
    }
    const std::int64_t count = list_asked(of, to && to->r ? to : nullptr, b, h, asked.data());
    const Scoring scoring(of, b, h);
    parallel_ranges(members, 1, threads, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t member = first; member < last; ++member) {
        Strip<Row> strip(memory.data() + member * size, strip_depth, kept, of);
        Targets targets(memory.data() + member * size + strip_size, M, strip_depth, panels);
        targets.clear();
        for (std::int64_t i = member * strip_depth; i < count; i += members * strip_depth) {
          const std::int64_t many = count - i < strip_depth ? count - i : strip_depth;
          strip.sweep(of.query + bh * of.Lq * of.D, asked.data() + i, many, keys.data(), scoring,
                      [&](std::int64_t p) { targets.add(p + 1); });
          targets.add(panels);
          each.strip(strip, member, b, h);
          if (!to) continue;
          targets.take(strip, [&](std::int64_t m, std::int64_t row) {
            const float share = 1.0f / strip.total(row);
            const float* r = to->r;
            if (!r) return share;
            return share * r[b * to->strides[0] + h * to->strides[1] + m * of.Lq + strip.at(row)];
          });
        }
        targets.add(panels);
      }
    });
    if (!to) continue;
    parallel_ranges(M * of.Lk, 1 << 14, threads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o) {
        float sum = 0;
        for (std::int64_t member = 0; member < members; ++member) {
          float* own = memory.data() + member * size + strip_size;
          sum += Targets(own, M, strip_depth, panels).at(o / of.Lk, o % of.Lk);
        }
        to->out[bh * M * of.Lk + o] = sum;
      }
    });
  }
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
