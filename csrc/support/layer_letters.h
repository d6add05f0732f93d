#pragma once

#include "support/layer_tile.h"
#include "support/parallel.h"
#include "support/products.h"
#include "support/scratch.h"

// A whole layer whose input is letters: at each position one channel is 1 and the others are 0, or
// all are. What a tap adds is then a row of its weights: there is nothing to multiply.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// sums[R, V] of R outputs `step` apart among the letters: of each tap the weights of the letter it
/// meets, which is `apart` behind that of the tap before; vector v of columns at[v] behind a row.
template <class T, int R, int V>
__attribute__((noinline)) void gather(const std::int32_t* letters, std::int64_t step,
                                      std::int64_t apart, std::int64_t taps, const T* weight,
                                      std::int64_t wide, const std::int64_t* at, T* sums) {
  Tile<T, R, V> tile;
  tile.clear();
  const T* columns[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) columns[v] = weight + at[v];
  for (std::int64_t t = 0; t < taps; ++t) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const std::int64_t letter = letters[r * step + t * apart];
      if (letter < 0) continue;
      const std::int64_t row = (t * wide + letter) * weight_block;
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) tile.sums[r][v] += load(columns[v] + row);
    }
  }
  tile.leave(sums);
}

template <class T, class Call>
class LayerLetters {
 public:
  explicit LayerLetters(const Call& call)
      : call(call),
        blocks((call.L + at_once - 1) / at_once),
        block(call.K * call.C_in * weight_block) {}

  /// Whether a layer is one that letters may enter, and that has columns enough.
  static bool takes(const Call& call) {
    const bool plain = !call.gated && !call.slope && !call.transposed && !call.spread;
    return plain && call.G == 1 && call.C_in <= most && call.C_out >= lanes<T>;
  }

  /// Makes the samples that are letters throughout, which are then `chosen`, 1, and the others 0.
  void run(std::uint8_t* chosen, int threads) const {
    for (std::int64_t n = 0; n < call.N; ++n) chosen[n] = 1;
    parallel_ranges(call.N * blocks, 1, threads, [&](std::int64_t begin, std::int64_t end) {
      Scratch<std::int32_t> letters((at_once - 1) * call.stride + (call.K - 1) * call.dilation + 1);
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t n = i / blocks, b = i % blocks;
        if (!__atomic_load_n(chosen + n, __ATOMIC_RELAXED)) continue;
        const std::int64_t first = call.L * b / blocks, last = call.L * (b + 1) / blocks;
        if (read(letters.data(), n, first, last))
          make(letters.data(), n, first, last);
        else
          __atomic_store_n(chosen + n, std::uint8_t{0}, __ATOMIC_RELAXED);
      }
    });
  }

 private:
  static constexpr std::int64_t most = 15;      // channels: more are no letters
  static constexpr std::int64_t at_once = 256;  // outputs

  const Call& call;
  const std::int64_t blocks, block;

  /// Which channel each position that outputs [first, last) read holds, -1: none of them, or beyond
  /// an end. False where there is anything else than letters.
  bool read(std::int32_t* letters, std::int64_t n, std::int64_t first, std::int64_t last) const {
    const std::int64_t begin = first * call.stride - call.pad;
    const std::int64_t count = (last - 1 - first) * call.stride + (call.K - 1) * call.dilation + 1;
    for (std::int64_t j = 0; j < count; ++j) {
      letters[j] = -1;
      if (begin + j < 0 || begin + j >= call.V) continue;
      const T* given = call.given + (n * call.V + begin + j) * call.C_in;
      for (std::int64_t c = 0; c < call.C_in; ++c) {
        if (given[c] == 0) continue;
        if (given[c] != 1 || letters[j] >= 0) return false;
        letters[j] = static_cast<std::int32_t>(c);
      }
    }
    return true;
  }

  void make(const std::int32_t* letters, std::int64_t n, std::int64_t first,
            std::int64_t last) const {
    const std::int64_t vectors = (call.C_out + lanes<T> - 1) / lanes<T>;
    const std::int64_t tiles = (vectors + tile_vectors - 1) / tile_vectors;
    for (std::int64_t j = 0; j < tiles; ++j) {
      const std::int64_t vector = vectors * j / tiles, column = vector * lanes<T>;
      const int some = static_cast<int>(vectors * (j + 1) / tiles - vector);
      std::int64_t at[tile_vectors];
      columns_at<T>(vector, some, block, at);
      for (std::int64_t o = first; o < last; o += tile_rows) {
        const int rows = static_cast<int>(last - o < tile_rows ? last - o : tile_rows);
        T sums[tile_rows * tile_vectors * lanes<T>];
        gather_of(rows, some)(letters + (o - first) * call.stride, call.stride, call.dilation,
                              call.K, call.weight, call.C_in, at, sums);
        const std::int64_t place = (n * call.L + o) * call.C_out + column;
        finish(sums, rows, some,
               ending_of<T>(call, place, place - (call.beside_each ? 0 : n * call.L * call.C_out),
                            column, call.C_out - column, call.C_out, call.C_out));
      }
    }
  }

  using Gather = void (*)(const std::int32_t*, std::int64_t, std::int64_t, std::int64_t, const T*,
                          std::int64_t, const std::int64_t*, T*);

  static Gather gather_of(int rows, int vectors) {
    static constexpr Gather all[tile_rows][tile_vectors] = {
        {gather<T, 1, 1>, gather<T, 1, 2>, gather<T, 1, 3>, gather<T, 1, 4>},
        {gather<T, 2, 1>, gather<T, 2, 2>, gather<T, 2, 3>, gather<T, 2, 4>},
        {gather<T, 3, 1>, gather<T, 3, 2>, gather<T, 3, 3>, gather<T, 3, 4>}};
    return all[rows - 1][vectors - 1];
  }
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
