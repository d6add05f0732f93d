#pragma once

#include "support/attention_scores.h"

// A strip of attention: some queries of one head and every key that they see, as e = 2^(logit -
// reference) with the sums of its rows. A row's reference is near the largest logit met so far: a
// whole number, so that moving it is exact. Where e would be above 2^8, it is moved there
// and what the row holds is scaled: exp can then neither overflow nor lose what counts.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// Sum of a row.
struct RowSum {
  Vector<float> sum;

  void clear() { sum = Vector<float>{}; }
  void add(Vector<float>, Vector<float> e) { sum += e; }
  void scale(float, float factor) { sum *= factor; }
};

/// Sums of powers of a row, of e * log2(e), and its largest lanes.
struct RowMoments {
  Vector<float> sum, bits, squares, cubes, peak;

  void clear() { sum = bits = squares = cubes = peak = Vector<float>{}; }
  void add(Vector<float> x, Vector<float> e) {
    sum += e;
    bits += e * larger(x, all<float>(-127));  // of -inf: 0
    squares += e * e;
    cubes += e * e * e;
    peak = larger(peak, e);
  }
  void scale(float moved, float factor) {
    bits = (bits - moved * sum) * factor;
    sum *= factor;
    squares *= factor * factor;
    cubes *= factor * factor * factor;
    peak *= factor;
  }
};

template <class Row>
class Strip {
 public:
  /// Floats of memory for strips of so many queries; `kept` panels of e, 0 if e is not wanted.
  static std::int64_t size(std::int64_t depth, std::int64_t kept, std::int64_t D) {
    const std::int64_t row = sizeof(Row) / sizeof(float) + 3;
    return (depth * (D + kept * tile_columns + row) + 31) / 16 * 16;
  }

  Strip(float* memory, std::int64_t depth, std::int64_t kept, const Attention& call)
      : call_(call),
        depth_(depth),
        e_(kept ? memory : nullptr),
        query_(memory + depth * kept * tile_columns),
        rows_(reinterpret_cast<Row*>(query_ + depth * call.D)),
        reference_(reinterpret_cast<float*>(rows_ + depth)),
        alive_(reinterpret_cast<std::int32_t*>(reference_ + depth)),
        at_(alive_ + depth) {}

  /// Takes `count` queries of a head, ascending, and sums them up against its packed keys. Panel p
  /// of the strip before, and those behind it, are whole until before(p) returns.
  template <class Before>
  void sweep(const float* query, const std::int32_t* at, std::int64_t count, const float* keys,
             const Scoring& scoring, const Before& before) {
    take(query, at, count);
    const std::int64_t size = call_.D * tile_columns;
    for (std::int64_t p = begin_; p < end_; ++p) {
      before(p);
      for (std::int64_t t = 0; t < used_; t += tile_rows) {
        look_ahead(keys, p + 1 < end_ ? p + 1 : begin_, t);
        Products<tile_rows> tile;
        tile.multiply(call_.D, query_ + t * call_.D, keys + p * size);
        const bool plain = scoring.plain(at_ + t, p * tile_columns);
        if (plain && p != begin_ && !exceeds(tile, t)) [[likely]] {
          gather(tile, t, p);
        } else {
          Products<tile_rows> other = tile;  // whose address is taken; that of `tile` never is
          settle(other, t, p, scoring);
        }
      }
    }
  }

  std::int64_t count() const { return count_; }  // queries
  std::int64_t used() const { return used_; }    // rows, filled up to whole tiles
  std::int64_t begin() const { return begin_; }  // panels
  std::int64_t end() const { return end_; }
  std::int64_t at(std::int64_t row) const { return at_[row]; }  // its query
  const Row& row(std::int64_t row) const { return rows_[row]; }
  /// Of e, [used, columns]: in the same place for every strip.
  float* panel(std::int64_t p) { return e_ + p * depth_ * tile_columns; }

  float total(std::int64_t row) const { return total_of(rows_[row].sum); }
  float lse(std::int64_t row) const {  // in nats
    constexpr double log_2 = 0.6931471805599453;
    return static_cast<float>((reference_[row] + __builtin_log2(total(row))) * log_2);
  }

  static float total_of(Vector<float> lanes_of) {
    double sum = 0;
    for (int i = 0; i < lanes<float>; ++i) sum += lanes_of[i];
    return static_cast<float>(sum);
  }

 private:
  static constexpr float most = 8;  // log2 of how far above its reference e may lie

  void take(const float* query, const std::int32_t* at, std::int64_t count) {
    count_ = count;
    used_ = (count + tile_rows - 1) / tile_rows * tile_rows;
    share_ = call_.D * tile_rows / used_;
    const float scale = call_.scale * log2_e;
    for (std::int64_t i = 0; i < used_; ++i) {
      at_[i] = at[i < count ? i : count - 1];
      const float* row = query + at_[i] * call_.D;
      float* to = query_ + i / tile_rows * tile_rows * call_.D + i % tile_rows;
      for (std::int64_t k = 0; k < call_.D; ++k) to[k * tile_rows] = row[k] * scale;
      rows_[i].clear();
      reference_[i] = lowest;
    }
    std::int64_t from = at[0] + call_.first - call_.behind;
    std::int64_t to = at[count - 1] + call_.first + call_.ahead + 1;
    from = from < 0 ? 0 : from;
    to = to > call_.Lk ? call_.Lk : to;
    begin_ = from / tile_columns;
    end_ = from < to ? panels_of(to) : begin_;
    for (std::int64_t i = 0; i < used_; ++i) alive_[i] = static_cast<std::int32_t>(begin_);
  }

  /// Asks for what the next panel will read, the keys of `next` by equal shares of the tiles. (The
  /// processor looks ahead by itself, but not beyond a page of memory, which is a panel or two. As
  /// a call it would be taken for one without effect, and left out.)
  inline __attribute__((always_inline)) void look_ahead(const float* keys, std::int64_t next,
                                                        std::int64_t t) const {
    constexpr std::int64_t line = 16, lines = tile_rows * tile_columns / line;
    const float* key = keys + (next * call_.D + t / tile_rows * share_) * tile_columns;
    for (std::int64_t k = 0; k < share_ * tile_columns; k += line) __builtin_prefetch(key + k);
    if (!e_) return;
    const float* e = e_ + (next * depth_ + t) * tile_columns;
#pragma GCC unroll 16
    for (std::int64_t i = 0; i < lines; ++i) __builtin_prefetch(e + i * line);
  }

  bool exceeds(const Products<tile_rows>& tile, std::int64_t t) const {
    Vector<float> above = all<float>(lowest);
#pragma GCC unroll 8
    for (int r = 0; r < tile_rows; ++r) {
      Vector<float> top = tile.sums[r][0];
#pragma GCC unroll 3
      for (int v = 1; v < tile_vectors; ++v) top = quick_larger(top, tile.sums[r][v]);
      above = quick_larger(above, top - all(reference_[t + r]));
    }
    return any_above(above, all<float>(most));
  }

  /// The tile on its long way: not inlined, or it would keep the sums of the short one in memory.
  __attribute__((noinline)) void settle(Products<tile_rows>& tile, std::int64_t t, std::int64_t p,
                                        const Scoring& scoring) {
    if (!scoring.plain(at_ + t, p * tile_columns)) scoring(tile, at_ + t, p * tile_columns);
    if (p == begin_ || exceeds(tile, t)) move(tile, t, p);
    gather(tile, t, p);
  }

  void move(const Products<tile_rows>& tile, std::int64_t t, std::int64_t p) {
    for (int r = 0; r < tile_rows; ++r) {
      const std::int64_t i = t + r;
      float top = lowest;
      for (int v = 0; v < tile_vectors; ++v)
        for (int l = 0; l < lanes<float>; ++l)
          top = tile.sums[r][v][l] > top ? tile.sums[r][v][l] : top;
      if (top - reference_[i] <= (p == begin_ ? 0 : most)) continue;
      top = __builtin_ceilf(top);
      const float moved = top - reference_[i], factor = __builtin_exp2f(-moved);
      rows_[i].scale(moved, factor);
      reference_[i] = top;
      if (e_) shrink(i, p, factor);
    }
  }

  /// Scales what a row holds before panel p; panels where nothing is left are not visited again.
  void shrink(std::int64_t i, std::int64_t p, float factor) {
    for (std::int64_t q = alive_[i]; q < p; ++q) {
      float* e = panel(q) + i * tile_columns;
      bool any = false;
      for (std::int64_t c = 0; c < tile_columns; ++c) {
        e[c] *= factor;
        any |= e[c] != 0;
      }
      if (!any && q == alive_[i]) ++alive_[i];
    }
  }

  void gather(Products<tile_rows>& tile, std::int64_t t, std::int64_t p) {
    float* to = e_ ? panel(p) + t * tile_columns : nullptr;
#pragma GCC unroll 8
    for (int r = 0; r < tile_rows; ++r) {
      const Vector<float> reference = all(reference_[t + r]);
      Row row = rows_[t + r];
#pragma GCC unroll 3
      for (int v = 0; v < tile_vectors; ++v) {
        const Vector<float> x = tile.sums[r][v] - reference;
        const Vector<float> e = exp2_flushed(x);
        row.add(x, e);
        if (to) store(to + r * tile_columns + v * lanes<float>, e);
      }
      rows_[t + r] = row;
    }
  }

  static constexpr float lowest = -1e30f;  // reference of a row that saw no key yet

  const Attention& call_;
  std::int64_t depth_, count_ = 0, used_ = 0, begin_ = 0, end_ = 0;
  std::int64_t share_ = 0;  // rows of a panel of keys that a tile asks for ahead
  float *e_, *query_;
  Row* rows_;
  float* reference_;
  std::int32_t *alive_, *at_;
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
