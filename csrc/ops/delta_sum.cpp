#include "ops/delta_sum.h"

#include "support/find.h"
#include "support/parallel.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

constexpr std::int64_t elements_per_thread = 1 << 16;

template <class T>
void add(const T* given, T factor, T* __restrict delta, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) delta[i] += factor * given[i];
}

/// Adds the rows of one term at the positions [first, last) of site s.
template <class T>
void add_cell(const Term<T>& term, std::int64_t first, std::int64_t last, std::int64_t s,
              std::int64_t size, T* delta) {
  std::int64_t before = 0;  // rows of the pieces before this one
  for (std::int64_t j = 0; j < term.in.P; ++j) {
    const std::int64_t start = term.in.starts[j * term.in.S + s], end = start + term.in.widths[j];
    for (std::int64_t p = first > start ? first : start; p < last && p < end; ++p)
      add(term.given + ((before + p - start) * term.in.S + s) * size, term.factor, delta, size);
    before += term.in.widths[j];
  }
}

template <class T>
void sum_row(const DeltaSum<T>& call, std::int64_t w, std::int64_t s, T* delta) {
  const std::int64_t o = position(call.out, w, s), size = call.E * call.C;
  for (std::int64_t i = 0; i < size; ++i) delta[i] = 0;
  if (o < 0 || o >= call.length) return;
  const std::int64_t first = o * call.stride - call.pad;
  for (const Term<T>& term : call.terms)
    if (term.given) add_cell(term, first, first + call.K, s, size, delta);
  if (call.scale)
    for (std::int64_t e = 0; e < call.E; ++e)
      for (std::int64_t c = 0; c < call.C; ++c) delta[e * call.C + c] *= call.scale[c];
}

}  // namespace

template <class T>
void delta_sum(const DeltaSum<T>& call, int threads) {
  const std::int64_t S = call.out.S, row = call.E * call.C;
  if (row == 0) return;
  parallel_ranges(width(call.out) * S, elements_per_thread / row + 1, threads,
                  [&call, S, row](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i)
                      sum_row(call, i / S, i % S, call.delta + i * row);
                  });
}

template void delta_sum<float>(const DeltaSum<float>&, int);
template void delta_sum<double>(const DeltaSum<double>&, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
