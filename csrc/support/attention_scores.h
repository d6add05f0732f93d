#pragma once

#include "support/attention.h"
#include "support/attention_tile.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {

constexpr float log2_e = 1.44269504f;

/// What makes the logits of one head out of products that were scaled already. Logits are in units
/// of log 2: their exp is 2^x.
class Scoring {
 public:
  Scoring(const Attention& call, std::int64_t b, std::int64_t h)
      : call_(call),
        mask_(from(call.mask, b, h)),
        bias_(from(call.bias, b, h)),
        table_(from(call.table, b, h)),
        slope_(call.slopes ? call.slopes[h] * log2_e : 0),
        cap_(call.softcap * log2_e),
        window_only_(!mask_ && !bias_ && !table_ && !call.slopes && cap_ == 0) {}

  /// Whether products are logits as they are, of queries at[0], at[1], ... (ascending) and the keys
  /// from `column` on.
  bool plain(const std::int32_t* at, std::int64_t column) const {
    const std::int64_t nearest = column - at[tile_rows - 1] - call_.first;
    const std::int64_t farthest = column + tile_columns - 1 - at[0] - call_.first;
    const bool all_seen = nearest >= -call_.behind && farthest <= call_.ahead;
    return window_only_ && all_seen && column + tile_columns <= call_.Lk;
  }

  /// The logits of the same, in their place; -inf behind the last key.
  __attribute__((noinline)) void operator()(Products<tile_rows>& tile, const std::int32_t* at,
                                            std::int64_t column) const {
    for (int r = 0; r < tile_rows; ++r) score(tile.sums[r], at[r], column);
  }

 private:
  template <class T>
  static const T* from(const Spread<T>& of, std::int64_t b, std::int64_t h) {
    return of.values ? of.values + b * of.strides[0] + h * of.strides[1] : nullptr;
  }

  void score(Vector<float> (&row)[tile_vectors], std::int64_t i, std::int64_t column) const {
    float added[tile_columns] = {};
    const std::int64_t keys = call_.Lk - column < tile_columns ? call_.Lk - column : tile_columns;
    if (table_) look_up(i, column, keys, added);
    if (bias_) bias(i, column, keys, added);
    Floats distance = fill<Floats>(static_cast<float>(column - i - call_.first)) + count();
    Floats behind_last = fill<Floats>(static_cast<float>(keys)) - count();
    for (int v = 0; v < tile_vectors; ++v) {
      Floats x = row[v];
      x += load(added + v * lanes<float>) * log2_e;
      if (cap_ != 0) x = cap_ * tanh(x / cap_);
      x -= slope_ * absolute(distance);
      Ints seen = (behind_last > 0.0f) & (distance >= -static_cast<float>(call_.behind)) &
                  (distance <= static_cast<float>(call_.ahead));
      if (mask_) seen &= shown(i, column + v * lanes<float>, keys - v * lanes<float>) != 0.0f;
      row[v] = seen ? x : fill<Floats>(-__builtin_inff());
      distance += static_cast<float>(lanes<float>);
      behind_last -= static_cast<float>(lanes<float>);
    }
  }

  void look_up(std::int64_t i, std::int64_t column, std::int64_t keys, float* added) const {
    const float* row = table_ + i * call_.table.strides[2];
    const std::int64_t half = call_.kinds / 2, least = column - i - call_.first + half;
    for (std::int64_t c = 0; c < keys; ++c) {
      std::int64_t kind = least + c;
      kind = kind < 0 ? 0 : kind >= call_.kinds ? call_.kinds - 1 : kind;
      added[c] = row[(call_.index ? call_.index[kind] : kind) * call_.table.strides[3]];
    }
  }

  void bias(std::int64_t i, std::int64_t column, std::int64_t keys, float* added) const {
    const float* row = bias_ + i / call_.step_rows * call_.bias.strides[2];
    std::int64_t block = column / call_.step_columns, within = column % call_.step_columns;
    for (std::int64_t c = 0; c < keys; ++c) {
      added[c] += row[block * call_.bias.strides[3]];
      if (++within == call_.step_columns) within = 0, ++block;
    }
  }

  /// 1 for the keys that the mask shows, of one vector.
  Floats shown(std::int64_t i, std::int64_t column, std::int64_t keys) const {
    float made[lanes<float>] = {};
    const std::uint8_t* row = mask_ + i * call_.mask.strides[2];
    for (std::int64_t c = 0; c < lanes<float> && c < keys; ++c)
      made[c] = row[(column + c) * call_.mask.strides[3]];
    return load(made);
  }

  /// Without cancelling: of a small x it is x.
  static Floats tanh(Floats x) {
    const Floats near = expm1(2.0f * smaller(larger(x, fill<Floats>(-15)), fill<Floats>(15)));
    return near / (near + 2.0f);
  }

  static Floats count() {
    float made[lanes<float>];
    for (int i = 0; i < lanes<float>; ++i) made[i] = static_cast<float>(i);
    return load(made);
  }

  const Attention& call_;
  const std::uint8_t* mask_;
  const float *bias_, *table_;
  float slope_, cap_;
  bool window_only_;
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
