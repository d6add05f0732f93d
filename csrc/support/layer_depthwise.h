#pragma once

#include "support/conv_runs.h"
#include "support/layer_rows.h"

// A whole layer of one channel in a group. Vectors run along the channels; the weights are
// [K, C_out].

namespace nucleoscope::NUCLEOSCOPE_ISA {

template <class T, class Call>
class LayerDepthwise {
 public:
  explicit LayerDepthwise(const Call& call)
      : call(call),
        many(call.C_out / call.G),
        runs(Reach{call.V, call.L, call.K, call.stride, call.dilation, call.pad, call.transposed},
             1, false) {}

  void run(int threads) const {
    parallel_ranges(call.N, 1, threads, [this](std::int64_t begin, std::int64_t end) {
      LayerRows<T> rows(call, 1, 1, 1, true);
      Scratch<T> repeated(many > 1 ? call.V * call.C_out : 0);
      for (std::int64_t n = begin; n < end; ++n) {
        rows.begin(n, 1);
        rows.ready(call.V, 1);
        const T* given = rows.given;
        if (many > 1) {  // each channel as often as its group has columns
          for (std::int64_t i = 0; i < call.V * call.C_in; ++i)
            for (std::int64_t j = 0; j < many; ++j) repeated[i * many + j] = given[i];
          given = repeated.data();
        }
        for (std::int64_t i = 0; i < runs.count; ++i) position(given, n, i);
      }
    });
  }

 private:
  const Call& call;
  const std::int64_t many;
  const Runs runs;

  void position(const T* given, std::int64_t n, std::int64_t i) const {
    const std::int64_t C = call.C_out, first = (n * call.L + runs.positions[i]) * C;
    for (std::int64_t c = 0; c < C; c += lanes<T>) {
      const std::int64_t left = C - c < lanes<T> ? C - c : std::int64_t{lanes<T>};
      Vector<T> sum{};
      for (std::int64_t p = runs.ends[i]; p < runs.ends[i + 1]; ++p)
        sum = multiply_add(sum, take(given + runs.runs[p].row * C + c, left),
                           take(call.weight + runs.runs[p].tap * C + c, left));
      end_vector<T>(sum,
                    Ending<T>{.bias = call.bias,
                              .residual = call.residual,
                              .residual_first = call.residual_first,
                              .relu = call.relu,
                              .made = call.made,
                              .open = call.open,
                              .beside = call.beside,
                              .chord = call.chord,
                              .stride = 0,
                              .columns = C,
                              .stride_beside = 0},
                    first + c, first + c - (call.beside_each ? 0 : n * call.L * C), c, left);
    }
  }
};

template <class T, class Call>
void layer_depthwise(const Call& call, int threads) {
  LayerDepthwise<T, Call>(call).run(threads);
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
