#include "ops/conv.h"

#include "support/conv_runs.h"
#include "support/layer_depthwise.h"
#include "support/layer_rows.h"
#include "support/layer_tile.h"
#include "support/parallel.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

// As in delta_conv.cpp: weights that a pass over the rows keeps near.
constexpr std::int64_t weight_bytes = vector_bytes == 64 ? 192 << 10 : 24 << 10;
constexpr std::int64_t grain = 1 << 16;       // multiply-adds that are worth a thread
constexpr std::int64_t groups_at_once = 256;  // whose sums wait between two passes

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

template <class T>
class Layer {
 public:
  explicit Layer(const Conv<T>& call)
      : call(call),
        abreast(call.N < tile_rows),
        wide(call.C_in / call.G),
        made(call.spread ? call.K * call.C_out : call.C_out / call.G),
        K(call.spread ? 1 : call.K),
        chunks(ceil_div(wide, most_channels)),
        chunk(ceil_div(wide, chunks)),
        taps_at_once(chunks > 1 ? 1 : most_channels / wide),
        passes(chunks * ceil_div(K, taps_at_once)),
        tiles(ceil_div(ceil_div(made, lanes<T>), tile_vectors)),
        block(K * wide * weight_block),
        joined(passes == 1 && call.G == 1 && call.dilation == 1 && (abreast || wide < few)),
        runs(reach(), abreast ? tile_rows : 1, joined) {}

  void run(int threads) const {
    const std::int64_t batches = abreast ? call.N : ceil_div(call.N, tile_rows);
    const bool many = call.spread || batches >= threads;  // then a thread a batch
    parallel_ranges(batches, 1, many ? threads : 1,
                    [this, batches, many, threads](std::int64_t begin, std::int64_t end) {
                      LayerRows<T> rows(call, abreast ? 1 : tile_rows, chunks, chunk,
                                        abreast || joined);
                      for (std::int64_t i = begin; i < end; ++i) {
                        const std::int64_t n = call.N * i / batches;
                        batch(rows, n, call.N * (i + 1) / batches - n, many ? 1 : threads);
                      }
                    });
  }

 private:
  static constexpr std::int64_t few = 16;  // channels, which joined taps serve better than lists
  static constexpr std::int64_t most_channels = weight_bytes / (tile_vectors * vector_bytes);
  static constexpr std::int64_t tile_size = tile_rows * tile_vectors * lanes<T>;

  const Conv<T>& call;
  const bool abreast;             // whether the rows of a tile are positions, not samples
  const std::int64_t wide, made;  // channels in and out of one of the G parts
  const std::int64_t K, chunks, chunk, taps_at_once, passes, tiles, block;
  const bool joined;
  const Runs runs;

  Reach reach() const {
    if (call.spread) return {call.V, call.V, 1, 1, 1, 0, false};
    return {call.V, call.L, call.K, call.stride, call.dilation, call.pad, call.transposed};
  }

  /// `many` samples from n on: all positions.
  void batch(LayerRows<T>& rows, std::int64_t n, std::int64_t many, int threads) const {
    rows.read(n, many, threads);
    if (call.spread) clear(n, many);
    const std::int64_t work = many * call.C_in * call.C_out * K / call.G + 1;
    parallel_ranges(runs.count, grain / work + 1, call.spread ? 1 : threads,
                    [&](std::int64_t begin, std::int64_t end) {
                      Scratch<T> partial(passes > 1 ? groups_at_once * tile_size : 0);
                      for (std::int64_t i = begin; i < end; i += groups_at_once) {
                        const std::int64_t beyond = i + groups_at_once;
                        groups({rows, partial.data(), n, 0, 0, i, beyond < end ? beyond : end},
                               many);
                      }
                    });
  }

  struct Place {
    const LayerRows<T>& rows;
    T* partial;
    std::int64_t n, g, vector, begin, end;  // sample, part, first vector of columns, groups
  };

  /// All columns of some groups: those of several positions, then the others.
  void groups(Place place, std::int64_t many) const {
    const std::int64_t begin = place.begin, end = place.end;
    const std::int64_t between = runs.wide < begin ? begin : runs.wide < end ? runs.wide : end;
    for (place.g = 0; place.g < call.G; ++place.g)
      for (std::int64_t j = 0; j < tiles; ++j) {
        const std::int64_t vectors = ceil_div(made, lanes<T>);
        place.vector = vectors * j / tiles;
        const std::int64_t some = vectors * (j + 1) / tiles - place.vector;
        place.begin = begin, place.end = between;
        if (begin < between) columns(place, tile_rows, some);
        place.begin = between, place.end = end;
        if (between < end) columns(place, abreast ? 1 : many, some);
      }
  }

  void columns(const Place& place, std::int64_t R, std::int64_t V) const {
    switch (R * 8 + V) {
#define NUCLEOSCOPE_TILE(R, V) \
  case R * 8 + V:              \
    return sweep<R, V>(place);
#define NUCLEOSCOPE_TILES(R) \
  NUCLEOSCOPE_TILE(R, 1) NUCLEOSCOPE_TILE(R, 2) NUCLEOSCOPE_TILE(R, 3) NUCLEOSCOPE_TILE(R, 4)
      NUCLEOSCOPE_TILES(1)
      NUCLEOSCOPE_TILES(2)
      NUCLEOSCOPE_TILES(3)
#undef NUCLEOSCOPE_TILES
#undef NUCLEOSCOPE_TILE
    }
  }

  /// Pass after pass over the groups, each with weights that stay in the cache.
  template <int R, int V>
  __attribute__((noinline)) void sweep(const Place& place) const {
    std::int64_t at[V];
    for (int v = 0; v < V; ++v) {
      const std::int64_t column = (place.vector + v) * lanes<T>;
      at[v] = column / weight_block * block + column % weight_block;
    }
    const T* weight = call.weight + place.g * ceil_div(made, weight_block) * block;
    const std::int64_t stride = abreast ? runs.step_in * call.C_in : call.V * call.C_in;
    std::int64_t next[groups_at_once];
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      const std::int64_t k = pass % chunks, beyond = (pass / chunks + 1) * taps_at_once;
      for (std::int64_t i = place.begin; i < place.end; ++i) {
        std::int64_t& from = next[i - place.begin];
        if (pass == 0) from = runs.ends[i];
        T* held = place.partial + (i - place.begin) * tile_size;
        Tile<T, R, V> tile;
        if (pass == 0)
          tile.clear();
        else
          tile.take(held);
        std::int64_t p = from;
        for (; p < runs.ends[i + 1] && runs.runs[p].tap < beyond; ++p)
          add_channels(tile, segment(runs.runs[p], place, k, weight), stride, at);
        if (k == chunks - 1) from = p;
        if (pass < passes - 1)
          tile.leave(held);
        else if (call.spread)
          lay(tile, place, i);
        else
          end(tile, place, i);
      }
    }
  }

  Segment<T> segment(const Run& run, const Place& place, std::int64_t k, const T* weight) const {
    const auto [list, count] = place.rows.list(run.row, place.g, k);
    return {place.rows.given + run.row * call.C_in + place.g * wide, list, count * run.taps,
            weight + run.tap * wide * weight_block};
  }

  template <int R, int V>
  inline __attribute__((always_inline)) void end(const Tile<T, R, V>& tile, const Place& place,
                                                 std::int64_t i) const {
    const std::int64_t c = place.vector * lanes<T>, column = place.g * made + c;
    const std::int64_t first = (place.n * call.L + runs.positions[i]) * call.C_out + column;
    finish(tile, Ending<T>{.bias = call.bias ? call.bias + column : nullptr,
                           .residual = call.residual ? call.residual + first : nullptr,
                           .residual_first = call.residual_first,
                           .relu = call.relu,
                           .made = call.made + first,
                           .open = call.open ? call.open + first : nullptr,
                           .stride = abreast ? runs.step * call.C_out : call.L * call.C_out,
                           .columns = made - c});
  }

  /// Adds the products of an input row with all taps to the outputs, which lie one after the other.
  template <int R, int V>
  void lay(const Tile<T, R, V>& tile, const Place& place, std::int64_t i) const {
    const std::int64_t size = call.L * call.C_out, c = place.vector * lanes<T>;
    for (int r = 0; r < R; ++r) {
      const std::int64_t row = runs.positions[i] + (abreast ? r : 0);
      T* made_of = call.made + (place.n + (abreast ? 0 : r)) * size;
      const std::int64_t first = (row * call.stride - call.pad) * call.C_out + c;
      for (int v = 0; v < V; ++v) {
        const std::int64_t left = made - c - v * lanes<T>, at = first + v * lanes<T>;
        if (left >= lanes<T> && at >= 0 && at + lanes<T> <= size) {
          store(made_of + at, load(made_of + at) + tile.sums[r][v]);
          continue;
        }
        T held[lanes<T>];
        store<T>(held, tile.sums[r][v]);
        for (std::int64_t j = 0; j < lanes<T> && j < left; ++j)
          if (at + j >= 0 && at + j < size) made_of[at + j] += held[j];
      }
    }
  }

  void clear(std::int64_t n, std::int64_t many) const {
    const std::int64_t size = call.L * call.C_out;
    for (std::int64_t i = n * size; i < (n + many) * size; ++i)
      call.made[i] = call.residual ? call.residual[i] : 0;
  }
};

}  // namespace

template <class T>
void conv(const Conv<T>& call, int threads) {
  if (call.N * call.L * call.C_out == 0) return;
  if (call.C_in == call.G) return layer_depthwise<T>(call, threads);
  Layer<T>(call).run(threads);
}

template void conv<float>(const Conv<float>&, int);
template void conv<double>(const Conv<double>&, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
