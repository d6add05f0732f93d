#pragma once

#include "support/attention_strip.h"

// What keys get of strips: for each target row, the sum over queries of weight * e. A second
// product, of the weights of a block of targets with the panels of a strip.

namespace nucleoscope::NUCLEOSCOPE_ISA {

class Targets {
 public:
  /// Floats of memory for M targets and strips of `depth` queries.
  static std::int64_t size(std::int64_t M, std::int64_t depth, std::int64_t panels) {
    return padded(M) * (panels * tile_columns + depth) + 16;
  }

  Targets(float* memory, std::int64_t M, std::int64_t depth, std::int64_t panels)
      : M_(M), depth_(depth), panels_(panels), sums_(memory) {
    weights_ = memory + padded(M) * panels * tile_columns;
  }

  void clear() {
    for (std::int64_t i = 0; i < padded(M_) * panels_ * tile_columns; ++i) sums_[i] = 0;
  }

  /// Takes a strip whose row i weighs weigh(target, i), to be added by and by.
  template <class Row, class Weigh>
  void take(Strip<Row>& strip, const Weigh& weigh) {
    e_ = strip.panel(0);
    used_ = strip.used();
    next_ = strip.begin();
    end_ = strip.end();
    for (std::int64_t m = 0; m < M_; m += rows_at(m)) {
      const std::int64_t R = rows_at(m);
      float* weights = weights_ + m * depth_;
      for (std::int64_t i = 0; i < used_; ++i)
        for (std::int64_t r = 0; r < R; ++r)
          weights[i * R + r] = i < strip.count() && m + r < M_ ? weigh(m + r, i) : 0.0f;
    }
  }

  /// Adds the panels before `end` of the strip taken, those that were not added yet.
  void add(std::int64_t end) {
    for (; next_ < end && next_ < end_; ++next_)
      for (std::int64_t m = 0; m < M_; m += rows_at(m)) switch (rows_at(m)) {
          case 1:
            add_block<1>(m);
            break;
          case 2:
            add_block<2>(m);
            break;
          case 4:
            add_block<4>(m);
            break;
          default:
            add_block<tile_rows>(m);
        }
  }

  float at(std::int64_t m, std::int64_t key) const {
    const std::int64_t block = m / tile_rows * tile_rows, R = rows_at(block);
    return sums_[(block * panels_ + key / tile_columns * R + (m - block)) * tile_columns +
                 key % tile_columns];
  }

 private:
  /// Targets of the block that begins with m: as many as a tile has rows, or the last few filled
  /// up.
  std::int64_t rows_at(std::int64_t m) const {
    std::int64_t rows = 1;
    while (rows < tile_rows && rows < M_ - m) rows *= 2;
    return rows < tile_rows ? rows : tile_rows;
  }

  static std::int64_t padded(std::int64_t M) { return (M + tile_rows - 1) / tile_rows * tile_rows; }

  template <int R>
  void add_block(std::int64_t m) {
    // A product waits for the one before it in its sum: few sums are kept in several parts, each
    // of every so many queries.
    constexpr int parts = R == 1 ? tile_rows / 2 : R == 2 ? 2 : 1;
    Products<R> part[parts];
    const float* weights = weights_ + m * depth_;
    const float* e = e_ + next_ * depth_ * tile_columns;
    for (std::int64_t i = 0; i < used_; i += parts)
#pragma GCC unroll 4
      for (int s = 0; s < parts; ++s)
        part[s].step(weights + (i + s) * R, e + (i + s) * tile_columns);
    float* to = sums_ + (m * panels_ + next_ * R) * tile_columns;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
      for (int v = 0; v < tile_vectors; ++v, to += lanes<float>) {
        Vector<float> sum = load(to);
#pragma GCC unroll 4
        for (int s = 0; s < parts; ++s) sum += part[s].sums[r][v];
        store(to, sum);
      }
  }

  std::int64_t M_, depth_, panels_, used_ = 0, next_ = 0, end_ = 0;
  float *sums_, *weights_, *e_ = nullptr;
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
