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

template <class T>
T largest(const T* values, std::int64_t N) {
  Vector<T> most{};
  for_blocks<T>(N, [&](std::int64_t c, std::int64_t n) {
    const Vector<T> value = take(values + c, n);
    most = larger(most, larger(value, -value));
  });
  T held[lanes<T>], found = 0;
  store(held, most);
  for (int i = 0; i < lanes<T>; ++i) found = held[i] > found ? held[i] : found;
  return found;
}

/// One group of channels at one position, before the edit.
template <class T>
struct Group {
  const T* z;  // [N]
  std::int64_t N;
  T eps, limit, middle, size, was;  // z's mean, its largest, one over its standard deviation

  Group(const T* z, const DeltaLayerNorm<T>& call)
      : z(z), N(call.N), eps(call.eps), limit(call.limit), middle(mean(z, N)), size(largest(z, N)) {
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

  bool lost(T changed, T now) const {
    const bool hidden = size * (now > was ? now : was) > limit;
    return changed > 0 && (hidden || changed * now > limit);
  }

  void change(const T* given, const T* weight, T* delta) const {
    const T shift = mean(given, N);
    Vector<T> rise{}, squares{};
    for_blocks<T>(N, [&](std::int64_t c, std::int64_t n) {
      const Vector<T> value = centred(z + c, middle, n), d = centred(given + c, shift, n);
      rise += d * (value + value + d);
      squares += (value + d) * (value + d);
    });
    const T now = inverse(squares);
    if (lost(largest(given, N), now)) {
      for (std::int64_t c = 0; c < N; ++c) delta[c] = static_cast<T>(__builtin_nan(""));
      return;
    }
    const T wider = sum_of<T>(rise) / static_cast<T>(N);
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
        const Group<T> group(z + c, call);
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
