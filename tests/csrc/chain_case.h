#pragma once

#include <deque>
#include <string>
#include <vector>

#include "conv_case.h"
#include "ops/delta_chain.h"

namespace nucleoscope::checks {

struct Geometry {
  std::int64_t K = 1, stride = 1, dilation = 1, pad = 0;
};

/// A chain in the making: each layer's rows are around a position that an edit reaches.
template <class T>
class ChainCase {
 public:
  static constexpr std::int64_t letters = 4;  // that edits use; a table may have more

  /// `bf16`: whether some of float's convolutions multiply bfloat16.
  ChainCase(Random& random, std::int64_t S, std::int64_t E, std::int64_t length, bool bf16 = true)
      : random_(random),
        bf16_(bf16 && sizeof(T) == sizeof(float)),
        S_(S),
        E_(E),
        length_(length),
        sequence_(random.integers<std::int32_t>(S, 0, HeldOriginal<T>::sequences - 1)),
        site_(random.integers<std::int64_t>(S, 0, length - 1)),
        old_(random.integers<std::int32_t>(S, -1, letters - 1)),
        fresh_(random.integers<std::int32_t>(S * E, -1, letters - 1)) {}

  std::int64_t last() const { return static_cast<std::int64_t>(values_.size()) - 1; }
  std::int64_t channels(std::int64_t v) const { return values_[v].channels; }
  std::int64_t length(std::int64_t v) const { return values_[v].length; }

  /// A value from outside; these come before all links.
  std::int64_t bring(std::int64_t C, const Widths& widths) {
    values_.push_back({C, length_, site_, rows_around(random_, site_, widths)});
    given_.push_back(random_.deltas<T>(values_.back().rows.groups(), E_, C, 3, 1));
    return last();
  }

  std::int64_t look_up(std::int64_t C, const Widths& widths, const Geometry& at, bool relu) {
    const std::int64_t A = random_.between(letters, letters + 2);
    numbers_.push_back(random_.numbers<T>(at.K * A * C, 3));
    return link({.op = Op::edit_lookup,
                 .given = -1,
                 .beside = -1,
                 .C_in = A,
                 .C_out = C,
                 .weight = numbers_.back().data()},
                widths, at, relu);
  }

  /// Without `given`, the input has `wide` channels a group, and no edit reaches it.
  std::int64_t conv(std::int64_t given, std::int64_t C, const Widths& widths, const Geometry& at,
                    bool relu, std::int64_t beside = -1, std::int64_t G = 1,
                    std::int64_t wide = 1) {
    const bool bf16 = bf16_ && random_.once_in(3);
    if (given >= 0) wide = channels(given) / G;
    weights_.emplace_back(random_, G, C / G, at.K, wide, 1, bf16);
    return link({.op = Op::delta_conv,
                 .given = given,
                 .beside = beside,
                 .C_in = wide * G,
                 .C_out = C,
                 .G = G,
                 .residual_first = random_.once_in(2),
                 .bf16 = bf16 && wide > 1,
                 .weight = weights_.back().address()},
                widths, at, relu);
  }

  std::int64_t pool(std::int64_t given, const Widths& widths, const Geometry& at) {
    const std::int64_t C = channels(given);
    originals_.emplace_back(random_, random_.between(1, 9), C, 1);
    return link({.op = Op::delta_max_pool,
                 .given = given,
                 .beside = -1,
                 .C_in = C,
                 .C_out = C,
                 .length_in = length(given),
                 .relu = random_.once_in(2),
                 .pooled = originals_.back().values.data(),
                 .pooled_first = 1,
                 .pooled_length = originals_.back().L},
                widths, at, true);
  }

  std::int64_t relu(std::int64_t given) {
    const Value value = values_[given];
    link({.op = Op::delta_pointwise, .given = given, .beside = -1, .C_out = value.channels}, {}, {},
         true);
    values_.back().rows = value.rows;
    return last();
  }

  std::int64_t sum(std::int64_t given, const Widths& widths, const Geometry& at,
                   std::int64_t beside = -1) {
    const bool scaled = random_.once_in(2);
    if (scaled) numbers_.push_back(random_.numbers<T>(channels(given), 2));
    return link({.op = Op::delta_sum,
                 .given = given,
                 .beside = beside,
                 .C_out = channels(given),
                 .weight = scaled ? numbers_.back().data() : nullptr,
                 .factors = {T(-0.5), T(1)}},
                widths, at, false);
  }

  /// Either factor may be -1: one that no edit reaches.
  std::int64_t product(std::int64_t given, std::int64_t beside, const Widths& widths) {
    const std::int64_t C = channels(given < 0 ? beside : given);
    originals_.emplace_back(random_, random_.between(1, 9), C, 1);
    return link({.op = Op::delta_product,
                 .given = given,
                 .beside = beside,
                 .C_out = C,
                 .pooled = originals_.back().values.data(),
                 .pooled_first = 1,
                 .pooled_length = originals_.back().L},
                widths, {}, true);
  }

  /// Either value may be -1; `more` channels between them do not change.
  std::int64_t concat(std::int64_t given, std::int64_t beside, const Widths& widths,
                      std::int64_t more) {
    const std::int64_t C =
        more + (given < 0 ? 0 : channels(given)) + (beside < 0 ? 0 : channels(beside));
    return link({.op = Op::delta_concat, .given = given, .beside = beside, .C_out = C}, widths, {},
                false);
  }

  /// Keeps the last value and some of the others, each with what it was poisoned with.
  void ask() {
    for (std::size_t i = 0; i < links_.size(); ++i) {
      const Value& value = values_[given_.size() + i];
      const bool asked = i + 1 == links_.size() || random_.once_in(2);
      kept_.push_back(poisoned<T>(asked ? value.rows.groups() * E_ * value.channels : 0));
    }
    for (std::vector<T>& each : kept_) kept_at_.push_back(each.empty() ? nullptr : each.data());
    for (const std::vector<T>& each : given_) given_at_.push_back(each.data());
    for (const Value& each : values_) {
      rows_.push_back(each.rows.rows());
      channels_.push_back(each.channels);
    }
  }

  DeltaChain<T> call() const {
    return {links_.data(),
            static_cast<std::int64_t>(links_.size()),
            rows_.data(),
            given_at_.data(),
            channels_.data(),
            static_cast<std::int64_t>(given_.size()),
            kept_at_.data(),
            sequence_.data(),
            site_.data(),
            old_.data(),
            fresh_.data(),
            S_,
            E_};
  }

  const std::deque<std::vector<T>>& kept() const { return kept_; }

 private:
  struct Value {
    std::int64_t channels, length;
    Positions reached;
    HeldRows rows;
  };

  std::int64_t link(Link<T> link, const Widths& widths, const Geometry& at, bool relu) {
    const bool layer = link.given >= 0;
    const std::int64_t length_in = layer ? length(link.given) : length_;
    link.K = at.K, link.stride = at.stride, link.dilation = at.dilation, link.pad = at.pad;
    link.length = std::max<std::int64_t>(
        (length_in + 2 * at.pad - (at.K - 1) * at.dilation - 1) / at.stride + 1, 1);
    if (relu) {
      link.original_first = random_.between(-1, 2);
      originals_.emplace_back(random_, random_.between(1, 9), link.C_out);
      link.original = originals_.back().values.data();
      link.original_length = originals_.back().L;
    }
    Positions reached = layer ? values_[link.given].reached : site_;
    for (std::int64_t& each : reached) {
      each = (each + at.pad - random_.between(0, at.K - 1) * at.dilation) / at.stride;
      each = std::min(std::max<std::int64_t>(each, 0), link.length - 1);
    }
    values_.push_back({link.C_out, link.length, reached, rows_around(random_, reached, widths)});
    links_.push_back(link);
    return last();
  }

  Random& random_;
  const bool bf16_;
  const std::int64_t S_, E_, length_;
  const std::vector<std::int32_t> sequence_;
  const std::vector<std::int64_t> site_;
  const std::vector<std::int32_t> old_, fresh_;
  std::deque<Value> values_;  // what lies in a deque stays where it is
  std::deque<std::vector<T>> given_, numbers_, kept_;
  std::deque<HeldWeight<T>> weights_;
  std::deque<HeldOriginal<T>> originals_;
  std::vector<Link<T>> links_;
  std::vector<Rows> rows_;
  std::vector<std::int64_t> channels_;
  std::vector<const T*> given_at_;
  std::vector<T*> kept_at_;
};

}  // namespace nucleoscope::checks
