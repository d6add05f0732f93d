#pragma once

#include "ops/delta_concat.h"
#include "ops/delta_layer_norm.h"
#include "ops/delta_max_pool.h"
#include "ops/delta_pointwise.h"
#include "ops/delta_product.h"
#include "ops/delta_softmax_pool.h"
#include "ops/delta_sum.h"
#include "random_rows.h"

// One call of each op that multiplies no channels, of a size that layers have.

namespace nucleoscope::checks {

/// Deltas of 40 positions and 64 channels, three edits at each of four sites, and what is beside.
class CountedRows {
 public:
  static constexpr std::int64_t S = 4, E = 3, C = 64, width = 40, first = 500, length = 1000;

  DeltaMaxPool<float> max_pool() {
    return {.given = one_.data(),
            .in = in_.rows(),
            .out = cells_.rows(),
            .original = x_.original(sequence_),
            .pooled = y_.original(sequence_),
            .delta = made_.data(),
            .E = E,
            .C = C,
            .K = 4,
            .stride = 4,
            .dilation = 1,
            .length_in = length,
            .length = length / 4};
  }

  DeltaPointwise<float> gelu() {
    return {.given = one_.data(),
            .rows = in_.rows(),
            .original = x_.original(sequence_),
            .delta = made_.data(),
            .E = E,
            .C = C,
            .length = length,
            .function = Function::gelu};
  }

  DeltaSum<float> sum() {
    return {.terms = {{one_.data(), in_.rows(), 1.0f}, {other_.data(), in_.rows(), -1.0f}},
            .out = in_.rows(),
            .delta = made_.data(),
            .E = E,
            .C = C,
            .K = 1,
            .stride = 1,
            .length = length};
  }

  DeltaProduct<float> product() {
    return {.factors = {{one_.data(), in_.rows(), x_.original(sequence_)},
                        {other_.data(), in_.rows(), y_.original(sequence_)}},
            .out = in_.rows(),
            .delta = made_.data(),
            .E = E,
            .C = C,
            .length = length};
  }

  DeltaConcat<float> concat() {
    return {.parts = {{one_.data(), in_.rows(), C, 0}, {other_.data(), in_.rows(), C, C}},
            .out = in_.rows(),
            .delta = made_.data(),
            .E = E,
            .C = 2 * C,
            .length = length};
  }

  DeltaLayerNorm<float> layer_norm() {
    return {.given = one_.data(),
            .rows = in_.rows(),
            .original = x_.original(sequence_),
            .delta = made_.data(),
            .E = E,
            .C = C,
            .N = C,
            .eps = 1e-5f,
            .limit = 128.0f,
            .length = length};
  }

  DeltaSoftmaxPool<float> softmax_pool() {
    return {.given = one_.data(),
            .logits = other_.data(),
            .in = in_.rows(),
            .beside = in_.rows(),
            .out = cells_.rows(),
            .original = x_.original(sequence_),
            .original_logits = y_.original(sequence_),
            .delta = made_.data(),
            .E = E,
            .C = C,
            .K = 4,
            .stride = 4,
            .length_in = length,
            .length = length / 4};
  }

 private:
  Random random_{0};
  const HeldRows in_ = neighbours(S, width, first),
                 cells_{{first / 4, first / 4, first / 4, first / 4}, {width / 4 + 1}, S};
  const std::vector<float> one_ = random_.deltas<float>(in_.groups(), E, C, 8, 2),
                           other_ = random_.deltas<float>(in_.groups(), E, C, 8, 2);
  const std::vector<std::int32_t> sequence_ = random_.integers<std::int32_t>(S, 0, 2);
  const HeldOriginal<float> x_{random_, 60, C, first}, y_{random_, 60, C, first};
  std::vector<float> made_ = std::vector<float>(static_cast<std::size_t>(in_.groups() * E * 2 * C));
};

}  // namespace nucleoscope::checks
