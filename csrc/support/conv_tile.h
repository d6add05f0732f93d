#pragma once

#include <limits>
#include <type_traits>

#include "support/blocks.h"

// The register tile of a convolution: some rows, which are the alternatives at one site and one
// position, and those of other sites or positions beside them, by up to four vectors of output
// channels. Twelve accumulators, three rows', hide the latency of the multiply-add on every x86 and
// ARM core there is; the more rows, the fewer loads of weights.

namespace nucleoscope::NUCLEOSCOPE_ISA {

constexpr int tile_rows = 3;
constexpr int tile_vectors = 4;

/// A live (row, tap) pair.
struct Pair {
  std::int32_t tap;
  std::int32_t row;  // of the input, over rows and sites
};

/// What a tile is finished with. A null pointer: nothing to do.
template <class T>
struct Finish {
  const T* original;  // z, at the tile's first column
  const T* residual;  // at the tile's first row and column, rows `stride` apart
  bool residual_first;
  bool accumulate;  // to what delta holds
  T* delta;         // rows `stride` apart
  std::int64_t stride, columns;
};

template <class T, int R, int V>
struct Tile {
  Vector<T> sums[R][V];

  void clear() {
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[r][v] = Vector<T>{};
  }

  void join(const T* partial) {
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[r][v] += load(partial + (r * V + v) * lanes<T>);
  }

  void leave(T* partial) const {
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) store(partial + (r * V + v) * lanes<T>, sums[r][v]);
  }
};

/// The change of a ReLU at the original z: max(d + min(z, 0), -max(z, 0)). No two large values
/// meet. Without one, a change stays what it is.
template <class T>
struct Bent {
  Vector<T> below{}, above;

  Bent(const T* z, std::int64_t n) : above(all<T>(-std::numeric_limits<T>::infinity())) {
    if (!z) return;
    const Vector<T> at = take(z, n);
    below = smaller(at, Vector<T>{});
    above = -larger(at, Vector<T>{});
  }

  Vector<T> operator()(Vector<T> d) const { return larger(d + below, above); }
};

/// The finished sums: n lanes of them go to delta + place.
template <class T, bool residual, bool first, bool accumulate>
inline __attribute__((always_inline)) void finish_vector(Vector<T> d, const Finish<T>& end,
                                                         const Bent<T>& bent, std::int64_t place,
                                                         std::int64_t n) {
  if constexpr (residual && first) d += take(end.residual + place, n);
  d = bent(d);
  if constexpr (residual && !first) d += take(end.residual + place, n);
  if constexpr (accumulate) d += take(end.delta + place, n);
  put(end.delta + place, d, n);
}

/// Calls body with what is there beside the sums, told to the compiler.
template <class T, class Body>
inline void by_what_is_there(const Finish<T>& end, const Body& body) {
  using std::bool_constant;
  const auto so = [&](auto accumulate) {
    if (!end.residual) return body(bool_constant<false>{}, bool_constant<false>{}, accumulate);
    if (end.residual_first) return body(bool_constant<true>{}, bool_constant<true>{}, accumulate);
    body(bool_constant<true>{}, bool_constant<false>{}, accumulate);
  };
  if (end.accumulate) return so(bool_constant<true>{});
  so(bool_constant<false>{});
}

/// Finishes a tile's sums [rows, vectors].
template <class T>
inline void finish(const T* sums, std::int64_t rows, std::int64_t vectors, const Finish<T>& end) {
  by_what_is_there(end, [&](auto residual, auto first, auto accumulate) {
    for (std::int64_t v = 0; v < vectors; ++v) {
      const std::int64_t c = v * lanes<T>, left = end.columns - c;
      const std::int64_t n = left < lanes<T> ? left : lanes<T>;
      const Bent<T> bent(end.original ? end.original + c : nullptr, n);
      for (std::int64_t r = 0; r < rows; ++r)
        finish_vector<T, residual, first, accumulate>(load(sums + (r * vectors + v) * lanes<T>),
                                                      end, bent, r * end.stride + c, n);
    }
  });
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
