#pragma once

#include "meaning.h"
#include "ops/delta_layer_norm.h"
#include "ops/delta_softmax_pool.h"

// What the ops come to that divide by a norm: as meaning.h, but held to a tolerance, since their
// numbers are not exact in float.

namespace nucleoscope::checks {

/// Numbers of one group, divided by their standard deviation.
struct Normed {
  double mean = 0, inverse = 0, largest = 0;

  Normed(const std::vector<double>& group, double eps) {
    const double N = static_cast<double>(group.size());
    for (const double each : group) mean += each / N, largest = std::fmax(largest, std::fabs(each));
    double variance = 0;
    for (const double each : group) variance += (each - mean) * (each - mean) / N;
    inverse = 1 / std::sqrt(variance + eps);
  }
};

template <class T>
Values meaning(const DeltaLayerNorm<T>& call) {
  Values made(static_cast<std::size_t>(wide(call.rows) * call.rows.S * call.E * call.C));
  for_each_inside(
      call.rows, call.E, call.C, call.length, [&](auto o, auto s, auto, auto c, auto to) {
        std::vector<double> z, d, edited;
        for (std::int64_t i = 0; i < call.N; ++i) {
          z.push_back(original_at(call.original, o, s, c / call.N * call.N + i));
          d.push_back(call.given[to - c % call.N + i]);
          edited.push_back(z.back() + d.back());
        }
        const Normed was(z, call.eps), now(edited, call.eps), by(d, call.eps);
        const std::size_t at = static_cast<std::size_t>(c % call.N);
        made[to] = (edited[at] - now.mean) * now.inverse - (z[at] - was.mean) * was.inverse;
        if (call.weight) made[to] *= call.weight[at];
        const bool lost = was.largest * std::fmax(was.inverse, now.inverse) > call.limit ||
                          by.largest * now.inverse > call.limit;
        if (lost && by.largest > 0) made[to] = std::numeric_limits<double>::quiet_NaN();
      });
  return made;
}

template <class T>
Values meaning(const DeltaSoftmaxPool<T>& call) {
  Values made(static_cast<std::size_t>(wide(call.out) * call.out.S * call.E * call.C));
  for_each_inside(
      call.out, call.E, call.C, call.length, [&](auto o, auto s, auto e, auto c, auto to) {
        double was = 0, now = 0, mean = 0, edited = 0;
        for (std::int64_t t = 0; t < call.K && o * call.stride + t < call.length_in; ++t) {
          const std::int64_t p = o * call.stride + t;
          const double x = original_at(call.original, p, s, c),
                       l = original_at(call.original_logits, p, s, c),
                       dx = delta_at(call.given, call.in, call.E, call.C, p, s, e, c),
                       dl = delta_at(call.logits, call.beside, call.E, call.C, p, s, e, c);
          was += std::exp(l), mean += std::exp(l) * x;
          now += std::exp(l + dl), edited += std::exp(l + dl) * (x + dx);
        }
        if (was > 0) made[to] = edited / now - mean / was;
      });
  return made;
}

}  // namespace nucleoscope::checks
