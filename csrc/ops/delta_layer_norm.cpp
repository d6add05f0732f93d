#include "ops/delta_layer_norm.h"

#include "support/blocks.h"
#include "support/find.h"
#include "support/parallel.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

constexpr std::int64_t elements_per_thread = 1 << 14;

template <class T>
T mean(const T* values, std::int64_t N) {
  Vector<T> sum{};
  for_blocks<T>(N, [&](std::int64_t c, std::int64_t n) { sum += take(values + c, n); });
  return sum_of<T>(sum) / static_cast<T>(N);
}

/// One group of channels at one position, before the edit.
template <class T>
struct Group {
  const T* z;  // [N]
  std::int64_t N;
  T eps, middle, was;  // the mean of z, and one over its standard deviation

  Group(const T* z, std::int64_t N, T eps) : z(z), N(N), eps(eps), middle(mean(z, N)) {
    Vector<T> squares{};
    for_blocks<T>(N, [&](std::int64_t c, std::int64_t n) {
      const Vector<T> value = centred(z + c, middle, n);
      squares += value * value;
    });
    was = inverse(squares);
  }

  static Vector<T> centred(const T* values, T middle, std::int64_t n) {
    return first<T>(take(values, n) - all(middle), n);
  }

  T inverse(Vector<T> squares) const {
    return T(1) / __builtin_sqrt(sum_of<T>(squares) / static_cast<T>(N) + eps);
  }

  void change(const T* given, const T* weight, T* delta) const {
    const T shift = mean(given, N);
    Vector<T> rise{}, squares{};
    for_blocks<T>(N, [&](std::int64_t c, std::int64_t n) {
      const Vector<T> value = centred(z + c, middle, n), d = centred(given + c, shift, n);
      rise += d * (value + value + d);
      squares += (value + d) * (value + d);
    });
    const T now = inverse(squares), wider = sum_of<T>(rise) / static_cast<T>(N);
    const T slope = -wider * was * now * (was * now / (was + now));  // now - was
    const bool tighter = now > was;
    const Vector<T> factor = all(tighter ? was : now), by = all(slope);
    for_blocks<T>(N, [&](std::int64_t c, std::int64_t n) {
      const Vector<T> value = centred(z + c, middle, n), d = centred(given + c, shift, n);
      const Vector<T> made = d * factor + (tighter ? value + d : value) * by;
      put(delta + c, weight ? made * take(weight + c, n) : made, n);
    });
  }
};

}  // namespace

template <class T>
void delta_layer_norm(const DeltaLayerNorm<T>& call, int threads) {
  const std::int64_t S = call.rows.S, row = call.E * call.C;
  if (row == 0) return;
  const auto norm_rows = [&call, S, row](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t s = i % S, o = position(call.rows, i / S, s);
      const T* given = call.given + i * row;
      T* delta = call.delta + i * row;
      if (o < 0 || o >= call.length) {
        for (std::int64_t c = 0; c < row; ++c) delta[c] = 0;
        continue;
      }
      const T* z = at(call.original, o, s);
      for (std::int64_t c = 0; c < call.C; c += call.N) {
        const Group<T> group(z + c, call.N, call.eps);
        for (std::int64_t e = 0; e < call.E; ++e)
          group.change(given + e * call.C + c, call.weight, delta + e * call.C + c);
      }
    }
  };
  parallel_ranges(width(call.rows) * S, elements_per_thread / row + 1, threads, norm_rows);
}

template void delta_layer_norm<float>(const DeltaLayerNorm<float>&, int);
template void delta_layer_norm<double>(const DeltaLayerNorm<double>&, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
