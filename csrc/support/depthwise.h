#pragma once

#include "support/conv_tile.h"
#include "support/find.h"
#include "support/parallel.h"
#include "support/scratch.h"

// Convolution of one channel a group. There is nothing to sum over channels, so vectors run along
// them: each meets the weights [K, C_out] of its own channels. The last vector of a row goes back
// as far as it must to be whole, and makes some channels twice.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// Call is a DeltaConv, with as many channels in as out.
template <class T, class Call>
class Depthwise {
 public:
  Depthwise(const Call& call, const T* given)
      : call(call),
        given(given),
        weight(static_cast<const T*>(call.weight)),
        C(call.C_out),
        S(call.out.S),
        groups(width(call.out) * S),
        live(groups * call.K) {}

  void run(int threads) {
    parallel_ranges(groups, grain / (call.E * C * call.K + 1) + 1, threads,
                    [this](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) group(i);
                    });
  }

 private:
  static constexpr std::int64_t grain = 1 << 16;  // multiply-adds that are worth a thread

  const Call& call;
  const T* given;
  const T* weight;
  const std::int64_t C, S, groups;  // a group: the alternatives at one site and position
  Scratch<Pair> live;               // [groups, K]

  /// What a tile works on: `count` live pairs, rows from e on, columns from c on.
  struct Place {
    const Pair* pairs;
    std::int64_t count, group, position, e, c;
  };

  void group(std::int64_t i) {
    const std::int64_t s = i % S, o = position(call.out, i / S, s);
    const bool inside = o >= 0 && o < call.length;
    Pair* pairs = live.data() + i * call.K;
    std::int64_t count = 0;
    for (std::int64_t t = 0; inside && t < call.K; ++t) {
      const std::int64_t row = find(call.in, o * call.stride - call.pad + t * call.dilation, s);
      if (row >= 0)
        pairs[count++] = {static_cast<std::int32_t>(t), static_cast<std::int32_t>(row * S + s)};
    }
    const std::int64_t parts = (call.E + tile_rows - 1) / tile_rows;
    for (std::int64_t part = 0; part < parts; ++part) {
      const std::int64_t e = call.E * part / parts, beyond = call.E * (part + 1) / parts;
      const Place place{pairs, count, i, inside ? o : -1, e, 0};
      if (beyond - e == 3)
        columns<3>(place);
      else if (beyond - e == 2)
        columns<2>(place);
      else
        columns<1>(place);
    }
  }

  template <int R>
  void columns(Place place) {
    if (C < lanes<T>) return tile<R, 1, false>(place);
    for (; place.c + 4 * lanes<T> <= C; place.c += 4 * lanes<T>) tile<R, 4, true>(place);
    for (; place.c + lanes<T> <= C; place.c += lanes<T>) tile<R, 1, true>(place);
    if (place.c == C) return;
    place.c = C - lanes<T>;
    tile<R, 1, true>(place);
  }

  template <bool whole>
  Vector<T> load_columns(const T* from) const {
    return whole ? load(from) : load_first(from, C);
  }

  template <int R, int V, bool whole>
  void tile(const Place& place) {
    Tile<T, R, V> tile;
    tile.clear();
    for (std::int64_t p = 0; p < place.count; ++p) {
      const Pair& pair = place.pairs[p];
      const T* rows = given + (pair.row * call.E + place.e) * C + place.c;
      const T* weights = weight + pair.tap * C + place.c;
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        Vector<T> of_tap = load_columns<whole>(weights + v * lanes<T>);
        hold(of_tap);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r)
          tile.sums[r][v] = multiply_add(tile.sums[r][v],
                                         load_columns<whole>(rows + r * C + v * lanes<T>), of_tap);
      }
    }
    const Finish<T> end = end_of(place, whole ? V * lanes<T> : C);
    by_what_is_there(end, [&](auto residual, auto first, auto accumulate) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const std::int64_t c = v * lanes<T>, n = whole ? lanes<T> : C;
        const Bent<T> bent(end.original ? end.original + c : nullptr, n);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r)
          finish_vector<T, residual, first, accumulate>(tile.sums[r][v], end, bent,
                                                        r * end.stride + c, n);
      }
    });
  }

  Finish<T> end_of(const Place& place, std::int64_t columns) const {
    Finish<T> made{.original = nullptr,
                   .residual = nullptr,
                   .residual_first = call.residual_first,
                   .accumulate = false,
                   .delta = call.delta + (place.group * call.E + place.e) * C + place.c,
                   .stride = C,
                   .columns = columns};
    const std::int64_t o = place.position, s = place.group % S;
    if (o < 0) return made;
    if (call.original.values) made.original = at(call.original, o, s) + place.c;
    const std::int64_t row = call.residual ? find(call.beside, o, s) : -1;
    if (row >= 0) made.residual = call.residual + ((row * S + s) * call.E + place.e) * C + place.c;
    return made;
  }
};

/// The convolution of a DeltaConv whose groups have one channel in, and one or more out.
template <class T, class Call>
void convolve_depthwise(const Call& call, int threads) {
  const std::int64_t rows = width(call.in) * call.in.S * call.E, many = call.C_out / call.G;
  if (many == 1) return Depthwise<T, Call>(call, call.given).run(threads);
  Scratch<T> repeated(rows * call.C_out);  // each channel as often as its group has columns
  for (std::int64_t i = 0; i < rows * call.G; ++i)
    for (std::int64_t j = 0; j < many; ++j) repeated[i * many + j] = call.given[i];
  Depthwise<T, Call>(call, repeated.data()).run(threads);
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
