#include "ops/delta_product.h"

#include "support/find.h"
#include "support/parallel.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

constexpr std::int64_t elements_per_thread = 1 << 16;

template <class T>
void both(const T* a, const T* of_a, const T* b, const T* of_b, T* __restrict delta,
          std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; ++c)
    delta[c] = a[c] * of_b[c] + (b[c] + of_b[c]) * of_a[c];
}

template <class T>
void one(const T* given, const T* other, T* __restrict delta, std::int64_t channels) {
  for (std::int64_t c = 0; c < channels; ++c) delta[c] = given[c] * other[c];
}

/// A factor's deltas [E, C] at a position of site s, null where it does not change.
template <class T>
const T* change(const Factor<T>& factor, std::int64_t o, std::int64_t s, std::int64_t size) {
  const std::int64_t row = factor.given ? find(factor.in, o, s) : -1;
  return row < 0 ? nullptr : factor.given + (row * factor.in.S + s) * size;
}

template <class T>
void multiply_row(const DeltaProduct<T>& call, std::int64_t w, std::int64_t s, T* delta) {
  const std::int64_t o = position(call.out, w, s), size = call.E * call.C;
  const auto& [first, second] = call.factors;
  const bool inside = o >= 0 && o < call.length;
  const T* of_a = inside ? change(first, o, s, size) : nullptr;
  const T* of_b = inside ? change(second, o, s, size) : nullptr;
  if (!of_a && !of_b) {
    for (std::int64_t i = 0; i < size; ++i) delta[i] = 0;
    return;
  }
  for (std::int64_t i = 0; i < size; i += call.C)
    if (!of_a)
      one(of_b + i, at(first.original, o, s), delta + i, call.C);
    else if (!of_b)
      one(of_a + i, at(second.original, o, s), delta + i, call.C);
    else
      both(at(first.original, o, s), of_a + i, at(second.original, o, s), of_b + i, delta + i,
           call.C);
}

}  // namespace

template <class T>
void delta_product(const DeltaProduct<T>& call, int threads) {
  const std::int64_t S = call.out.S, row = call.E * call.C;
  if (row == 0) return;
  parallel_ranges(width(call.out) * S, elements_per_thread / row + 1, threads,
                  [&call, S, row](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i)
                      multiply_row(call, i / S, i % S, call.delta + i * row);
                  });
}

template void delta_product<float>(const DeltaProduct<float>&, int);
template void delta_product<double>(const DeltaProduct<double>&, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
