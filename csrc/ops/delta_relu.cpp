#include "ops/delta_relu.h"

#include "support/find.h"
#include "support/parallel.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

constexpr std::int64_t elements_per_thread = 1 << 16;

template <class T>
void change(const T* given, const T* __restrict z, T* delta, std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; ++c) {
    const T above = z[c] > 0 ? z[c] : T(0);
    const T moved = given[c] + (z[c] > 0 ? T(0) : z[c]);
    delta[c] = moved < -above ? -above : moved;  // a NaN stays
  }
}

}  // namespace

template <class T>
void delta_relu(const DeltaRelu<T>& call, int threads) {
  const std::int64_t S = call.rows.S, row = call.E * call.C;
  if (row == 0) return;
  const auto change_rows = [&call, S, row](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t s = i % S, o = position(call.rows, i / S, s);
      const T* given = call.given + i * row;
      T* delta = call.delta + i * row;
      if (o < 0 || o >= call.length) {
        for (std::int64_t c = 0; c < row; ++c) delta[c] = 0;
        continue;
      }
      const T* z = at(call.original, o, s);
      for (std::int64_t e = 0; e < call.E; ++e)
        change(given + e * call.C, z, delta + e * call.C, call.C);
    }
  };
  parallel_ranges(width(call.rows) * S, elements_per_thread / row + 1, threads, change_rows);
}

template void delta_relu<float>(const DeltaRelu<float>&, int);
template void delta_relu<double>(const DeltaRelu<double>&, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
