#pragma once

#include "support/conv_tile.h"

// A register tile of a whole layer: what is added to it, and what it is finished with.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// A null pointer: nothing to do. Pointers are at the tile's first row and column.
template <class T>
struct Ending {
  const T* bias;
  const T* residual;
  bool residual_first, relu;
  T* made;
  std::uint8_t* open;
  std::int64_t stride, columns;  // rows of residual, made and open are `stride` apart
};

/// A byte a lane.
template <class T>
struct BytesOf {
  typedef std::uint8_t Vector __attribute__((vector_size(lanes<T>), aligned(1), may_alias));
};
template <class T>
using Bytes = typename BytesOf<T>::Vector;

/// sums += given[:, list] @ weight[list]; rows `stride` apart, vector v of columns `at[v]` behind
/// weight.
template <class T, int R, int V>
inline __attribute__((always_inline)) void add_channels(Tile<T, R, V>& tile,
                                                        const Segment<T>& segment,
                                                        std::int64_t stride,
                                                        const std::int64_t* at) {
  const T* rows[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) rows[r] = segment.given + r * stride;
  const T* weights[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) weights[v] = segment.weight + at[v];
  for (std::int64_t i = 0; i < segment.count; ++i) {
    const std::int64_t channel = segment.list[i];
    Vector<T> values[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) values[r] = all<T>(rows[r][channel]);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      Vector<T> weight = load(weights[v] + channel * 16);
      hold(weight);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r)
        tile.sums[r][v] = multiply_add(tile.sums[r][v], values[r], weight);
    }
  }
}

/// One vector of a tile, of which the first n lanes are columns.
template <class T>
inline __attribute__((always_inline)) void end_vector(Vector<T> sum, const Ending<T>& end,
                                                      std::int64_t place, std::int64_t column,
                                                      std::int64_t n) {
  const bool whole = n >= lanes<T>;
  const auto take = [whole, n](const T* from) { return whole ? load(from) : load_first(from, n); };
  Vector<T> residual{};
  if (end.residual) residual = take(end.residual + place);
  if (end.bias) sum += take(end.bias + column);
  if (end.residual_first) sum += residual;
  if (end.relu) {
    const auto shut = sum <= Vector<T>{};  // a NaN passes, as it does in torch
    if (end.open) {
      const Bytes<T> open = __builtin_convertvector(shut + 1, Bytes<T>);
      if (whole)
        *reinterpret_cast<Bytes<T>*>(end.open + place) = open;
      else
        for (std::int64_t i = 0; i < n; ++i) end.open[place + i] = open[i];
    }
    sum = shut ? Vector<T>{} : sum;
  }
  if (!end.residual_first) sum += residual;
  if (whole)
    store(end.made + place, sum);
  else
    store_first(end.made + place, sum, n);
}

template <class T, int R, int V>
inline __attribute__((always_inline)) void finish(const Tile<T, R, V>& tile, const Ending<T>& end) {
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    const std::int64_t c = v * lanes<T>;
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
      end_vector<T>(tile.sums[r][v], end, r * end.stride + c, c, end.columns - c);
  }
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
