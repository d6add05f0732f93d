#pragma once

#include <array>
#include <utility>

#include "support/conv_tile.h"

// What a convolution multiplies: some channels of some rows with packed weights, into a register
// tile. It is a function of its own, so that all registers are the sums' and what is multiplied.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// Rows of a tile that many registers hold: 24 sums, 4 vectors of weights, and one number of a row.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int most_rows = 6;
#else
constexpr int most_rows = tile_rows;
#endif

/// Some channels of some rows and one tap. In is what is multiplied: numbers, or pairs of bfloat16.
template <class In>
struct Segment {
  const In* given;            // first row of the tile, at the group's first channel
  const std::uint32_t* list;  // channels to multiply
  std::int64_t count;
  const In* weight;  // [C_in / G, 16] of this tap and the tile's first block of columns
};

/// How far behind a row of packed weights a tile's vectors of columns lie, from `vector` on;
/// `block` numbers from one block of columns to the next.
template <class T>
inline void columns_at(std::int64_t vector, int count, std::int64_t block, std::int64_t* at) {
  for (int v = 0; v < count; ++v) {
    const std::int64_t column = (vector + v) * lanes<T>;
    at[v] = column / weight_block * block + column % weight_block;
  }
}

/// sums[R, V] of a tile += the products of its segments: row r lies rows_at[r] behind a segment's
/// first, vector v of columns columns_at[v] behind its weight. They are added up by themselves,
/// from 0, and then to `sums`: short sums have a third of the error that one long sum has.
template <class T, class In, int R, int V>
__attribute__((noinline)) void multiply(const Segment<In>* segments, std::int64_t count,
                                        const std::int64_t* rows_at, const std::int64_t* columns_at,
                                        bool first, T* sums) {
  Tile<T, R, V> tile;
  tile.clear();
  for (const Segment<In>* each = segments; each < segments + count; ++each) {
    const In* rows[R];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) rows[r] = each->given + rows_at[r];
    const In* weights[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) weights[v] = each->weight + columns_at[v];
    const std::uint32_t* list = each->list;
    for (std::int64_t i = 0; i < each->count; ++i) {
      const std::int64_t channel = list[i];
      Vector<In> values[R];
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) values[r] = all<In>(rows[r][channel]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        Vector<In> weight = load(weights[v] + channel * 16);
        hold(weight);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r)
          tile.sums[r][v] = multiply_add(tile.sums[r][v], values[r], weight);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) settle(tile.sums[r][v]);
      }
    }
  }
  if (!first) tile.join(sums);
  tile.leave(sums);
}

template <class T, class In>
using Multiply = void (*)(const Segment<In>*, std::int64_t, const std::int64_t*,
                          const std::int64_t*, bool, T*);

/// `multiply` for a tile of so many rows and vectors.
template <class T, class In>
inline Multiply<T, In> multiply_of(std::int64_t rows, std::int64_t vectors) {
  static constexpr auto all = []<int... I>(std::integer_sequence<int, I...>) {
    return std::array<Multiply<T, In>, sizeof...(I)>{
        multiply<T, In, I / tile_vectors + 1, I % tile_vectors + 1>...};
  }(std::make_integer_sequence<int, most_rows * tile_vectors>{});
  return all[(rows - 1) * tile_vectors + vectors - 1];
}

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
