#pragma once

#include "support/simd.h"

// The register tile of a convolution: up to three rows, which are the alternatives at one site and
// one position or, where there is one alternative, neighbouring sites or positions, by up to four
// vectors of output channels. Twelve accumulators hide the latency of the multiply-add on every x86
// and ARM core there is, and four loads of weights serve three rows.

namespace nucleoscope::NUCLEOSCOPE_ISA {

constexpr int tile_rows = 3;
constexpr int tile_vectors = 4;

/// A live (row, tap) pair.
struct Pair {
  std::int32_t tap;
  std::int32_t row;  // of the input, over rows and sites
};

/// Some channels of one live pair. In is what is multiplied: numbers, or pairs of bfloat16.
template <class In>
struct Segment {
  const In* given;            // first row of the tile, at the group's first channel
  const std::uint32_t* list;  // channels to multiply
  std::int64_t count;
  const In* weight;  // [C_in / G, 16] of this tap and the tile's first block of columns
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
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[r][v] = Vector<T>{};
  }

  void take(const T* partial) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[r][v] = load(partial + (r * V + v) * lanes<T>);
  }

  void join(const T* partial) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[r][v] += load(partial + (r * V + v) * lanes<T>);
  }

  void leave(T* partial) const {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) store(partial + (r * V + v) * lanes<T>, sums[r][v]);
  }

  /// One of the rows, as a tile of its own.
  Tile<T, 1, V> row(int r) const {
    Tile<T, 1, V> one;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) one.sums[0][v] = sums[r][v];
    return one;
  }

  /// sums += given[:, list] @ weight[list]; rows `stride` apart, blocks of 16 columns `block`
  /// apart.
  template <class In>
  inline __attribute__((always_inline)) void add(const Segment<In>& segment, std::int64_t stride,
                                                 std::int64_t block) {
    const In* rows[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) rows[r] = segment.given + r * stride;
    const In* weights[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      weights[v] = segment.weight + v * lanes<T> / 16 * block + v * lanes<T> % 16;
    for (std::int64_t i = 0; i < segment.count; ++i) {
      const std::int64_t channel = segment.list[i];
      Vector<In> values[R];
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) values[r] = all<In>(rows[r][channel]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        Vector<In> weight = load(weights[v] + channel * 16);
        hold(weight);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) sums[r][v] = multiply_add(sums[r][v], values[r], weight);
      }
    }
  }

  inline __attribute__((always_inline)) void finish(const Finish<T>& end) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const std::int64_t left = end.columns - v * lanes<T>, c = v * lanes<T>;
      const bool whole = left >= lanes<T>;
      Vector<T> below{}, above{};
      if (end.original) {  // max(d + min(z, 0), -max(z, 0)): no two large values meet
        const Vector<T> z = whole ? load(end.original + c) : load_first(end.original + c, left);
        below = smaller(z, Vector<T>{});
        above = -larger(z, Vector<T>{});
      }
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const std::int64_t place = r * end.stride + c;
        Vector<T> residual{};
        if (end.residual)
          residual = whole ? load(end.residual + place) : load_first(end.residual + place, left);
        Vector<T> d = sums[r][v];
        if (end.residual_first) d += residual;
        if (end.original) d = larger(d + below, above);
        if (!end.residual_first) d += residual;
        if (end.accumulate)
          d += whole ? load(end.delta + place) : load_first(end.delta + place, left);
        if (whole)
          store(end.delta + place, d);
        else
          store_first(end.delta + place, d, left);
      }
    }
  }
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
