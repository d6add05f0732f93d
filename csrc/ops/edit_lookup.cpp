#include "ops/edit_lookup.h"

#include "support/parallel.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

// About 0.1 ms of writing. Opening a team costs 3 us, but milliseconds where other work holds a
// core.
constexpr std::int64_t elements_per_thread = 1 << 18;

// out = fresh - old over the channels of one edit; a null row counts as zero. Written out four
// ways, so that each loop is a plain vector loop.
template <class T>
void subtract(const T* fresh, const T* old, T* __restrict out, std::int64_t channels) {
  if (fresh && old) {
    for (std::int64_t c = 0; c < channels; ++c) out[c] = fresh[c] - old[c];
  } else if (fresh) {
    for (std::int64_t c = 0; c < channels; ++c) out[c] = fresh[c];
  } else if (old) {
    for (std::int64_t c = 0; c < channels; ++c) out[c] = T(0) - old[c];
  } else {
    for (std::int64_t c = 0; c < channels; ++c) out[c] = T(0);
  }
}

// All edits of one site, as one output row sees them through `tap`.
template <class T>
void fill_row(const EditLookup<T>& call, std::int32_t tap, std::int64_t site, T* out) {
  const auto letter_row = [&call, tap](std::int32_t letter) -> const T* {
    if (tap < 0 || letter < 0) return nullptr;
    return call.table + (tap * call.A + letter) * call.C;
  };
  const T* old = letter_row(call.old[site]);
  for (std::int64_t e = 0; e < call.E; ++e)
    subtract(letter_row(call.fresh[site * call.E + e]), old, out + e * call.C, call.C);
}

}  // namespace

template <class T>
void edit_lookup(const EditLookup<T>& call, int threads) {
  const std::int64_t row = call.E * call.C;  // elements that one (w, s) writes
  if (row == 0) return;
  const auto fill_rows = [&call, row](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      fill_row(call, call.taps[i], i % call.S, call.out + i * row);
  };
  parallel_ranges(call.W * call.S, elements_per_thread / row + 1, threads, fill_rows);
}

template void edit_lookup<float>(const EditLookup<float>&, int);
template void edit_lookup<double>(const EditLookup<double>&, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
