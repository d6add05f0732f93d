#include "ops/delta_concat.h"

#include "support/find.h"
#include "support/parallel.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

constexpr std::int64_t elements_per_thread = 1 << 16;

/// Copies what a part has at position o of site s.
template <class T>
void put(const DeltaConcat<T>& call, const Part<T>& part, std::int64_t o, std::int64_t s,
         T* __restrict delta) {
  const bool inside = part.given && o >= 0 && o < call.length;
  const std::int64_t row = inside ? find(part.in, o, s) : -1;
  if (row < 0) return;
  const T* given = part.given + (row * part.in.S + s) * call.E * part.C;
  for (std::int64_t e = 0; e < call.E; ++e)
    for (std::int64_t c = 0; c < part.C; ++c)
      delta[e * call.C + part.first + c] = given[e * part.C + c];
}

}  // namespace

template <class T>
void delta_concat(const DeltaConcat<T>& call, int threads) {
  const std::int64_t S = call.out.S, row = call.E * call.C;
  if (row == 0) return;
  const auto fill_rows = [&call, S, row](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      T* delta = call.delta + i * row;
      for (std::int64_t c = 0; c < row; ++c) delta[c] = 0;
      for (const Part<T>& part : call.parts)
        put(call, part, position(call.out, i / S, i % S), i % S, delta);
    }
  };
  parallel_ranges(width(call.out) * S, elements_per_thread / row + 1, threads, fill_rows);
}

template void delta_concat<float>(const DeltaConcat<float>&, int);
template void delta_concat<double>(const DeltaConcat<double>&, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
