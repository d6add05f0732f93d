#include "ops/delta_max_pool.h"

#include "support/find.h"
#include "support/parallel.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

constexpr std::int64_t elements_per_thread = 1 << 16;

/// One member of a cell, for some channels: best = max(best, d - (m - z)), or the first of them.
/// A NaN in d stays; where m and z are both -inf the gap is 0.
template <class T>
void meet(const T* __restrict d, const T* __restrict z, const T* __restrict m, T* __restrict best,
          std::int64_t channels, bool first) {
  for (std::int64_t c = 0; c < channels; ++c) {
    const T gap = z[c] == m[c] ? T(0) : m[c] - z[c];
    const T candidate = (d ? d[c] : T(0)) - gap;
    best[c] = first || candidate > best[c] || candidate != candidate ? candidate : best[c];
  }
}

template <class T>
void pool_row(const DeltaMaxPool<T>& call, std::int64_t w, std::int64_t s, T* out) {
  const std::int64_t o = position(call.out, w, s);
  if (o < 0 || o >= call.length) {
    for (std::int64_t i = 0; i < call.E * call.C; ++i) out[i] = 0;
    return;
  }
  const T* m = at(call.pooled, o, s);
  bool first = !call.relu;
  if (call.relu)
    for (std::int64_t e = 0; e < call.E; ++e)
      for (std::int64_t c = 0; c < call.C; ++c) out[e * call.C + c] = -m[c];
  for (std::int64_t t = 0; t < call.K; ++t) {
    const std::int64_t p = o * call.stride - call.pad + t * call.dilation;
    if (p < 0 || p >= call.length_in) continue;
    const T* z = at(call.original, p, s);
    const std::int64_t row = find(call.in, p, s);
    for (std::int64_t e = 0; e < call.E; ++e) {
      const T* d = row < 0 ? nullptr : call.given + ((row * call.in.S + s) * call.E + e) * call.C;
      meet(d, z, m, out + e * call.C, call.C, first);
    }
    first = false;
  }
  if (first)  // a cell of padding alone
    for (std::int64_t i = 0; i < call.E * call.C; ++i) out[i] = -static_cast<T>(__builtin_inf());
}

}  // namespace

template <class T>
void delta_max_pool(const DeltaMaxPool<T>& call, int threads) {
  const std::int64_t S = call.out.S, row = call.E * call.C;
  if (row == 0) return;
  const auto pool_rows = [&call, S, row](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) pool_row(call, i / S, i % S, call.delta + i * row);
  };
  parallel_ranges(width(call.out) * S, elements_per_thread / row + 1, threads, pool_rows);
}

template void delta_max_pool<float>(const DeltaMaxPool<float>&, int);
template void delta_max_pool<double>(const DeltaMaxPool<double>&, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
