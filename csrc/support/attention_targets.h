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

  /// Adds a strip whose row i weighs weigh(target, i).
  template <class Row, class Weigh>
  void add(Strip<Row>& strip, const Weigh& weigh) {
    for (std::int64_t m = 0; m < M_; m += rows_at(m)) switch (rows_at(m)) {
        case 1:
          add_block<1>(strip, weigh, m);
          break;
        case 2:
          add_block<2>(strip, weigh, m);
          break;
        case 4:
          add_block<4>(strip, weigh, m);
          break;
        default:
          add_block<tile_rows>(strip, weigh, m);
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

  template <int R, class Row, class Weigh>
  void add_block(Strip<Row>& strip, const Weigh& weigh, std::int64_t m) {
    for (std::int64_t i = 0; i < strip.used(); ++i)
      for (std::int64_t r = 0; r < R; ++r)
        weights_[i * R + r] = i < strip.count() && m + r < M_ ? weigh(m + r, i) : 0.0f;
    float* sums = sums_ + (m * panels_ + strip.begin() * R) * tile_columns;
    for (std::int64_t p = strip.begin(); p < strip.end(); ++p, sums += R * tile_columns) {
      Products<R> made;
      made.multiply(strip.used(), weights_, strip.panel(p));
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 3
        for (int v = 0; v < tile_vectors; ++v) {
          float* to = sums + r * tile_columns + v * lanes<float>;
          store(to, load(to) + made.sums[r][v]);
        }
    }
  }

  std::int64_t M_, depth_, panels_;
  float *sums_, *weights_;
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
