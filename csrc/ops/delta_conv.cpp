#include "ops/delta_conv.h"

#include "support/conv_abreast.h"
#include "support/conv_pairs.h"
#include "support/conv_tile.h"
#include "support/depthwise.h"
#include "support/find.h"
#include "support/nonzero.h"
#include "support/parallel.h"
#include "support/products.h"
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
        wide(C_in / call.G),
        made(call.C_out / call.G),
        parts(ceil_div(call.E, most_rows)),
        chunks(ceil_div(wide, most_channels)),
        chunk(ceil_div(wide, chunks)),
        taps_at_once(chunks > 1 ? 1 : most_channels / wide),
        passes(chunks * ceil_div(call.K, taps_at_once)),
        lists(given_groups * call.G * list_room()),
        ends(given_groups * call.G * (chunks + 1)),
        live(call),
        together(call, live, parts > 1 ? 1 : static_cast<int>(most_rows / call.E)),
        partial(passes > 1 ? live.groups * group_size() : 0),
        next(together.count) {}

  void run(int threads) {
    const std::int64_t work = call.E * C_in * call.K + 1;
    parallel_ranges(given_groups, grain / (call.E * C_in) + 1, threads,
                    [this](std::int64_t begin, std::int64_t end) { list_channels(begin, end); });
    parallel_ranges(together.count, grain / work + 1, threads,
                    [this](std::int64_t begin, std::int64_t end) {
                      Scratch<Segment<In>> segments(call.K);
                      const std::int64_t vectors = ceil_div(made, lanes<T>);
                      const std::int64_t tiles = ceil_div(vectors, tile_vectors);
                      for (std::int64_t g = 0; g < call.G; ++g)
                        for (std::int64_t j = 0; j < tiles * parts; ++j) {
                          const std::int64_t tile = j / parts, part = j % parts;
                          const std::int64_t vector = vectors * tile / tiles;
                          const std::int64_t e = call.E * part / parts;
                          sweep({segments.data(), g, vector, vectors * (tile + 1) / tiles - vector,
                                 e, call.E * (part + 1) / parts - e, begin, end});
                        }
                    });
  }

 private:
  static constexpr std::int64_t most_channels =
      weight_bytes / (tile_vectors * vector_bytes);  // of weights in one pass
  static constexpr std::int64_t grain = 1 << 16;     // multiply-adds that are worth a thread
  static constexpr std::int64_t list_slack = 16;

  std::int64_t list_room() const { return wide + list_slack; }

  /// Sums of a group that a tile holds at most. Threads are not at the same columns at one time.
  std::int64_t group_size() const { return ceil_div(call.E, parts) * tile_vectors * lanes<T>; }

  const DeltaConv<T>& call;
  const In* given;
  const In* weight;
  const std::int64_t C_in;
  const std::int64_t S, given_groups;
  const std::int64_t wide, made;  // channels in and out of one of the G parts
  const std::int64_t parts;       // of the alternatives, where they are more than a tile's rows
  const std::int64_t chunks, chunk, taps_at_once, passes;
  Scratch<std::uint32_t> lists;  // [given_groups, G, wide + slack] channels that are not zero
                                 // there, or in what lies beside it in a tile
  Scratch<std::int32_t> ends;    // [given_groups, G, chunks + 1] where each chunk of them ends
  const LivePairs<DeltaConv<T>> live;
  const Together<DeltaConv<T>> together;
  Scratch<T> partial;          // sums between two passes, tile after tile
  Scratch<std::int64_t> next;  // [tiles] the first pair of the next pass

  void list_channels(std::int64_t begin, std::int64_t end) {
    const std::int64_t most = parts > 1 ? call.E : most_rows;
    Scratch<std::int64_t> rows_at(most);
    for (std::int64_t i = begin; i < end; ++i) {
      std::int64_t many = 0;
      for (std::int64_t j = i; j >= 0 && many + call.E <= most; j = together.next_in[j])
        for (std::int64_t e = 0; e < call.E; ++e) rows_at[many++] = ((j - i) * call.E + e) * C_in;
      for (std::int64_t g = 0; g < call.G; ++g) {
        const In* rows = given + i * call.E * C_in + g * wide;
        std::uint32_t* list = lists.data() + (i * call.G + g) * list_room();
        std::int32_t* at = ends.data() + (i * call.G + g) * (chunks + 1);
        at[0] = 0;
        for (std::int64_t k = 0; k < chunks; ++k) {
          const std::int64_t last = (k + 1) * chunk < wide ? (k + 1) * chunk : wide;
          at[k + 1] = at[k] + static_cast<std::int32_t>(list_nonzero(
                                  rows, rows_at.data(), many, k * chunk, last, list + at[k]));
        }
      }
    }
  }

  /// What a pass over tiles [begin, end) makes: a part's columns and alternatives.
  struct Place {
    Segment<In>* segments;  // [K] of one tile
    std::int64_t g, vector, vectors, e, rows, begin, end;
  };

  /// Pass after pass over the tiles, each with weights that stay in the cache.
  void sweep(const Place& place) {
    std::int64_t at[tile_vectors];
    columns_at<T>(place.vector, static_cast<int>(place.vectors), block(), at);
    const In* columns = weight + place.g * ceil_div(made, weight_block) * block();
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      const std::int64_t k = pass % chunks, beyond = (pass / chunks + 1) * taps_at_once;
      const bool first = pass == 0, last = pass == passes - 1;
      for (std::int64_t i = place.begin; i < place.end; ++i) {
        const Abreast& tile = together.tiles[i];
        if (first) next[i] = live.ends[tile.first];
        std::int64_t p = next[i], count = 0;
        for (; p < live.ends[tile.first + 1] && live.pairs[p].tap < beyond; ++p)
          place.segments[count++] = segment(live.pairs[p], place, k, columns);
        if (k == chunks - 1) next[i] = p;
        if (count == 0 && !first && !last) continue;
        T here[most_rows * tile_vectors * lanes<T>];
        T* sums = passes == 1 ? here : partial.data() + tile.before * group_size();
        if (count || first) multiply(tile, place, count, at, first, sums);
        if (last) finish_tile(tile, place, sums);
      }
    }
  }

  void multiply(const Abreast& tile, const Place& place, std::int64_t count,
                const std::int64_t* columns_at, bool first, T* sums) const {
    std::int64_t rows_at[most_rows], apart = 0;
    if (tile.many > 1) {
      const std::int64_t other = together.next[tile.first];
      apart = live.pairs[live.ends[other]].row - live.pairs[live.ends[tile.first]].row;
    }
    int r = 0;
    for (int k = 0; k < tile.many; ++k)
      for (std::int64_t e = 0; e < place.rows; ++e) rows_at[r++] = (k * apart * call.E + e) * C_in;
    multiply_of<T, In>(r, place.vectors)(place.segments, count, rows_at, columns_at, first, sums);
  }

  std::int64_t block() const { return call.K * wide * weight_block; }

  Segment<In> segment(const Pair& pair, const Place& place, std::int64_t k,
                      const In* columns) const {
    const std::int64_t part = pair.row * call.G + place.g;
    const std::int32_t* at = &ends[part * (chunks + 1) + k];
    return {given + (pair.row * call.E + place.e) * C_in + place.g * wide,
            &lists[part * list_room() + at[0]], at[1] - at[0],
            columns + pair.tap * wide * weight_block};
  }

  void finish_tile(const Abreast& tile, const Place& place, const T* sums) const {
    const bool summed = call.summed.begin < call.summed.end;
    std::int64_t group = tile.first;
    for (int k = 0; k < tile.many; ++k, group = together.next[group]) {
      const std::int64_t here = live.positions[group];
      if (!summed || (here >= call.summed.begin && here < call.summed.end))
        finish(sums, place.rows, place.vectors, end_of(group, summed, place));
      sums += place.rows * place.vectors * lanes<T>;
    }
  }

  Finish<T> end_of(std::int64_t group, bool summed, const Place& place) const {
    const std::int64_t c = place.vector * lanes<T>, column = place.g * made + c;
    const std::int64_t here = live.positions[group], s = live.sites[group];
    Finish<T> end{
        .original = nullptr,
        .residual = nullptr,
        .residual_first = call.residual_first,
        .accumulate = summed,
        .delta = call.delta + ((summed ? s : group) * call.E + place.e) * call.C_out + column,
        .stride = call.C_out,
        .columns = made - c < place.vectors * lanes<T> ? made - c : place.vectors * lanes<T>};
    if (here >= 0) {  // beyond the ends no tap is live, and the sums are zero
      if (call.original.values) end.original = at(call.original, here, s) + column;
      const std::int64_t row = call.residual ? find(call.beside, here, s) : -1;
      if (row >= 0)
        end.residual = call.residual + ((row * S + s) * call.E + place.e) * call.C_out + column;
    }
    return end;
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
