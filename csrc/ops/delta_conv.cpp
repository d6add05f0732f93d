#include "ops/delta_conv.h"

#include "support/conv_pairs.h"
#include "support/conv_tile.h"
#include "support/depthwise.h"
#include "support/find.h"
#include "support/nonzero.h"
#include "support/parallel.h"
#include "support/scratch.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

// Weights that a pass over the rows keeps near: in the L1 cache beside some rows, or, where
// products of 64 bytes a cycle want no more than the L2 cache gives, in that.
constexpr std::int64_t weight_bytes = vector_bytes == 64 ? 192 << 10 : 24 << 10;

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

template <class T, class In>
class Convolution {
 public:
  /// `given` and `weight` as they are multiplied, with `channels` of them a row.
  Convolution(const DeltaConv<T>& call, const In* given, const In* weight, std::int64_t channels)
      : call(call),
        given(given),
        weight(weight),
        C_in(channels),
        S(call.in.S),
        given_groups(width(call.in) * S),
        groups(width(call.out) * S),
        side_by_side(call.E == 1 ? tile_rows : 1),
        wide(C_in / call.G),
        made(call.C_out / call.G),
        chunks(ceil_div(wide, most_channels)),
        chunk(ceil_div(wide, chunks)),
        taps_at_once(chunks > 1 ? 1 : most_channels / wide),
        passes(chunks * ceil_div(call.K, taps_at_once)),
        lists(given_groups * call.G * list_room()),
        ends(given_groups * call.G * (chunks + 1)),
        live(call, side_by_side),
        partial(passes > 1 ? groups * tile_size : 0),
        next(groups) {}

  void run(int threads) {
    const std::int64_t work = call.E * C_in * call.K + 1;
    parallel_ranges(given_groups, grain / (call.E * C_in) + 1, threads,
                    [this](std::int64_t begin, std::int64_t end) { list_channels(begin, end); });
    parallel_ranges(groups, grain / work + 1, threads,
                    [this](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t g = 0; g < call.G; ++g)
                        for (std::int64_t c = 0; c < made; c += tile_vectors * lanes<T>)
                          columns(g, c, begin, end);
                    });
  }

 private:
  static constexpr std::int64_t most_channels =
      weight_bytes / (tile_vectors * vector_bytes);  // of weights in one pass
  static constexpr std::int64_t tile_size = tile_rows * tile_vectors * lanes<T>;
  static constexpr std::int64_t grain = 1 << 16;  // multiply-adds that are worth a thread
  static constexpr std::int64_t list_slack = 16;

  std::int64_t list_room() const { return wide + list_slack; }

  const DeltaConv<T>& call;
  const In* given;
  const In* weight;
  const std::int64_t C_in;
  const std::int64_t S, given_groups, groups;  // a group: the alternatives at one site and position
  const int side_by_side;  // groups that a tile takes at once, where there is one alternative
  const std::int64_t wide, made;  // channels in and out of one of the G parts
  const std::int64_t chunks, chunk, taps_at_once, passes;
  Scratch<std::uint32_t> lists;  // [given_groups, G, wide + slack] channels that are not zero
                                 // there, or in the next rows of the same tile
  Scratch<std::int32_t> ends;    // [given_groups, G, chunks + 1] where each chunk of them ends
  const LivePairs<DeltaConv<T>> live;
  Scratch<T> partial;          // [groups, tile] sums between two passes
  Scratch<std::int64_t> next;  // [groups] the first pair of the next pass

  void list_channels(std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t there = live.step == 1 ? S - i % S : (given_groups - i + S - 1) / S;
      const std::int64_t next_ones = side_by_side < there ? side_by_side : there;
      const std::int64_t many = call.E > 1 ? call.E : next_ones;
      for (std::int64_t g = 0; g < call.G; ++g) {
        const In* rows = given + i * call.E * C_in + g * wide;
        std::uint32_t* list = lists.data() + (i * call.G + g) * list_room();
        std::int32_t* at = ends.data() + (i * call.G + g) * (chunks + 1);
        at[0] = 0;
        for (std::int64_t k = 0; k < chunks; ++k) {
          const std::int64_t last = (k + 1) * chunk < wide ? (k + 1) * chunk : wide;
          at[k + 1] = at[k] + static_cast<std::int32_t>(list_nonzero(
                                  rows, many, row_stride(), k * chunk, last, list + at[k]));
        }
      }
    }
  }

  /// From one row of a tile to the next: alternatives, or what groups are taken side by side.
  std::int64_t row_stride() const { return call.E > 1 ? C_in : live.step * C_in; }

  /// One tile of columns, for the groups [begin, end).
  void columns(std::int64_t g, std::int64_t c, std::int64_t begin, std::int64_t end) {
    const std::int64_t left = made - c;
    const int vectors =
        static_cast<int>(left >= tile_vectors * lanes<T> ? tile_vectors : ceil_div(left, lanes<T>));
    const std::int64_t parts = ceil_div(call.E, tile_rows);
    for (std::int64_t part = 0; part < parts; ++part) {
      const std::int64_t first = call.E * part / parts, last = call.E * (part + 1) / parts;
      const Place place{g, c, first, begin, end, 1};
      switch ((last - first) * 8 + vectors) {
#define NUCLEOSCOPE_TILE(R, V) \
  case R * 8 + V:              \
    sweep<R, V>(place);        \
    break;
#define NUCLEOSCOPE_TILES(R) \
  NUCLEOSCOPE_TILE(R, 1) NUCLEOSCOPE_TILE(R, 2) NUCLEOSCOPE_TILE(R, 3) NUCLEOSCOPE_TILE(R, 4)
        NUCLEOSCOPE_TILES(1)
        NUCLEOSCOPE_TILES(2)
        NUCLEOSCOPE_TILES(3)
#undef NUCLEOSCOPE_TILES
#undef NUCLEOSCOPE_TILE
      }
    }
    if (side_by_side == 1) return;
    const Place place{g, c, 0, begin, end, side_by_side};
    switch (vectors) {
#define NUCLEOSCOPE_TILE(V)     \
  case V:                       \
    sweep<tile_rows, V>(place); \
    break;
      NUCLEOSCOPE_TILE(1) NUCLEOSCOPE_TILE(2) NUCLEOSCOPE_TILE(3) NUCLEOSCOPE_TILE(4)
#undef NUCLEOSCOPE_TILE
    }
  }

  struct Place {
    std::int64_t g, c, e, begin, end;  // part, first column, first alternative, groups
    int abreast;                       // of which those are meant that go so many in a tile
  };

  /// Pass after pass over the groups, each with weights that stay in the cache.
  template <int R, int V>
  __attribute__((noinline)) void sweep(const Place& place) {
    for (std::int64_t i = place.begin; i < place.end; ++i) next[i] = live.ends[i];
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      const std::int64_t k = pass % chunks, beyond = (pass / chunks + 1) * taps_at_once;
      const bool first = pass == 0, last = pass == passes - 1;
      for (std::int64_t i = place.begin; i < place.end; ++i) {
        if (live.abreast[i] != place.abreast) continue;
        std::int64_t to = next[i];
        while (to < live.ends[i + 1] && live.pairs[to].tap < beyond) ++to;
        if (to == next[i] && !first && !last) continue;
        T* held = partial.data() + i * tile_size;
        Tile<T, R, V> tile;
        if (first)
          tile.clear();
        else
          tile.take(held);
        for (std::int64_t p = next[i]; p < to; ++p)
          tile.add(segment(live.pairs[p], place, k), row_stride(), block());
        if (last && place.abreast > 1)
          for (int r = 0; r < R; ++r) {
            Tile<T, 1, V> row = tile.row(r);
            finish(row, place, i + r * live.step);
          }
        else if (last)
          finish(tile, place, i);
        else
          tile.leave(held);
        if (k == chunks - 1) next[i] = to;
      }
    }
  }

  std::int64_t block() const { return call.K * wide * weight_block; }

  Segment<In> segment(const Pair& pair, const Place& place, std::int64_t k) const {
    const std::int64_t part = pair.row * call.G + place.g;
    const std::int32_t* at = &ends[part * (chunks + 1) + k];
    const std::int64_t blocks = ceil_div(made, weight_block);
    return {given + (pair.row * call.E + place.e) * C_in + place.g * wide,
            &lists[part * list_room() + at[0]], at[1] - at[0],
            weight + (place.g * blocks + place.c / weight_block) * block() +
                pair.tap * wide * weight_block + place.c % weight_block};
  }

  template <int R, int V>
  inline __attribute__((always_inline)) void finish(Tile<T, R, V>& tile, const Place& place,
                                                    std::int64_t group) {
    const std::int64_t column = place.g * made + place.c, left = made - place.c;
    const std::int64_t here = live.positions[group], s = group % S;
    const bool summed = call.summed.begin < call.summed.end;
    if (summed && (here < call.summed.begin || here >= call.summed.end)) return;
    Finish<T> end{
        .original = nullptr,
        .residual = nullptr,
        .residual_first = call.residual_first,
        .accumulate = summed,
        .delta = call.delta + ((summed ? s : group) * call.E + place.e) * call.C_out + column,
        .stride = call.C_out,
        .columns = left < V * lanes<T> ? left : V * lanes<T>};
    if (here >= 0) {  // beyond the ends no tap is live, and the sums are zero
      if (call.original.values) end.original = at(call.original, here, s) + column;
      const std::int64_t row = call.residual ? find(call.beside, here, s) : -1;
      if (row >= 0)
        end.residual = call.residual + ((row * S + s) * call.E + place.e) * call.C_out + column;
    }
    tile.finish(end);
  }
};

template <class T>
void in_pairs(const DeltaConv<T>&, int) {}

template <>
void in_pairs(const DeltaConv<float>& call, int threads) {
  const std::int64_t rows = width(call.in) * call.in.S * call.E;
  const std::int64_t channels = (call.C_in / call.G + 1) / 2 * call.G;
  Scratch<Bf16Pair> pairs(rows * channels);
  round_pairs(call.given, rows * call.G, call.C_in / call.G, pairs.data());
  Convolution<float, Bf16Pair>(call, pairs.data(), static_cast<const Bf16Pair*>(call.weight),
                               channels)
      .run(threads);
}

}  // namespace

template <class T>
void delta_conv(const DeltaConv<T>& call, int threads) {
  const std::int64_t size = call.out.S * call.E * call.C_out;
  if (call.summed.begin < call.summed.end) {
    for (std::int64_t i = 0; i < size; ++i) call.delta[i] = 0;
    threads = 1;  // rows are added to one place
  }
  if (width(call.out) * size == 0) return;
  if (call.C_in == call.G) return convolve_depthwise<T>(call, threads);
  if (call.bf16) return in_pairs(call, threads);
  Convolution<T, T>(call, call.given, static_cast<const T*>(call.weight), call.C_in).run(threads);
}

template void delta_conv<float>(const DeltaConv<float>&, int);
template void delta_conv<double>(const DeltaConv<double>&, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
