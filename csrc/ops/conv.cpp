#include "ops/conv.h"

#include "support/conv_runs.h"
#include "support/layer_depthwise.h"
#include "support/layer_letters.h"
#include "support/layer_rows.h"
#include "support/layer_tile.h"
#include "support/layer_winograd.h"
#include "support/parallel.h"
#include "support/products.h"

namespace nucleoscope::NUCLEOSCOPE_ISA {
namespace {

// As in delta_conv.cpp: weights that a pass over the rows keeps near.
constexpr std::int64_t weight_bytes = vector_bytes == 64 ? 192 << 10 : 24 << 10;
constexpr std::int64_t grain = 1 << 16;           // multiply-adds that are worth a thread
constexpr std::int64_t output_bytes = 256 << 10;  // that all columns of some groups fill
constexpr double worth_lists = 0.2;               // zeros that pay for lists of the other channels
constexpr std::int64_t least_at_once = 32, most_at_once = 256;  // groups whose sums wait

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

template <class T>
class Layer {
 public:
  explicit Layer(const Conv<T>& call)
      : call(call),
        abreast(call.N < tile_rows || zeros(call, tile_rows) < worth_lists),
        wide(call.C_in / call.G),
        made(call.spread ? call.K * call.C_out : call.C_out / call.G),
        K(call.spread ? 1 : call.K),
        chunks(ceil_div(wide, most_channels)),
        chunk(ceil_div(wide, chunks)),
        taps_at_once(chunks > 1 ? 1 : most_channels / wide),
        passes(chunks * ceil_div(K, taps_at_once)),
        tiles(ceil_div(ceil_div(made, lanes<T>), tile_vectors)),
        block(K * wide * weight_block),
        joined(passes == 1 && call.G == 1 && call.dilation == 1 &&
               (abreast || (wide < few && (call.transposed || !comes_through(call))))),
        at_once(
            within(output_bytes / (tile_rows * call.C_out * static_cast<std::int64_t>(sizeof(T))))),
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
  const std::int64_t at_once;  // groups
  const Runs runs;

  /// Rows that come through a gate lie sample beside sample: the next tap's is not behind this
  /// one's.
  static bool comes_through(const Conv<T>& call) { return call.gated || call.slope; }

  static std::int64_t within(std::int64_t groups) {
    return groups < least_at_once ? least_at_once : groups < most_at_once ? groups : most_at_once;
  }

  Reach reach() const {
    if (call.spread) return {call.V, call.V, 1, 1, 1, 0, false};
    return {call.V, call.L, call.K, call.stride, call.dilation, call.pad, call.transposed};
  }

  /// `many` samples from n on: all positions.
  void batch(LayerRows<T>& rows, std::int64_t n, std::int64_t many, int threads) const {
    rows.begin(n, many);
    if (threads > 1) rows.ready(call.V, threads);
    if (call.spread) clear(n, many);
    const std::int64_t work = many * call.C_in * call.C_out * K / call.G + 1;
    parallel_ranges(runs.count, grain / work + 1, call.spread ? 1 : threads,
                    [&](std::int64_t begin, std::int64_t end) {
                      Scratch<Segment<T>> segments(K);
                      Scratch<T> partial((passes > 1 ? at_once : 1) * tile_size);
                      for (std::int64_t i = begin; i < end; i += at_once) {
                        const std::int64_t last = i + at_once < end ? i + at_once : end;
                        rows.ready(runs.beyond(i, last), 1);
                        groups({rows, segments.data(), partial.data(), n, 0, 0, i, last}, many);
                      }
                    });
  }

  struct Place {
    const LayerRows<T>& rows;
    Segment<T>* segments;                   // [K] of one tile
    T* partial;                             // [groups, tile] sums
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
        const int some = static_cast<int>(vectors * (j + 1) / tiles - place.vector);
        place.begin = begin, place.end = between;
        if (begin < between) columns(place, tile_rows, some);
        place.begin = between, place.end = end;
        if (between < end) columns(place, abreast ? 1 : static_cast<int>(many), some);
      }
  }

  /// Pass after pass over the groups, each with weights that stay in the cache.
  void columns(const Place& place, int R, int V) const {
    std::int64_t at[tile_vectors];
    columns_at<T>(place.vector, V, block, at);
    const T* weight = call.weight + place.g * ceil_div(made, weight_block) * block;
    const std::int64_t stride = abreast ? runs.step_in * call.C_in : place.rows.sample;
    std::int64_t rows_at[tile_rows];
    for (int r = 0; r < R; ++r) rows_at[r] = r * stride;
    const Multiply<T, T> multiply = multiply_of<T, T>(R, V);
    std::int64_t next[most_at_once];
    for (std::int64_t pass = 0; pass < passes; ++pass) {
      const std::int64_t k = pass % chunks, beyond = (pass / chunks + 1) * taps_at_once;
      for (std::int64_t i = place.begin; i < place.end; ++i) {
        std::int64_t& from = next[i - place.begin];
        if (pass == 0) from = runs.ends[i];
        T* sums = place.partial + (passes > 1 ? i - place.begin : 0) * tile_size;
        std::int64_t p = from, count = 0;
        for (; p < runs.ends[i + 1] && runs.runs[p].tap < beyond; ++p)
          place.segments[count++] = segment(runs.runs[p], place, k, weight);
        if (k == chunks - 1) from = p;
        if (count || pass == 0) multiply(place.segments, count, rows_at, at, pass == 0, sums);
        if (pass < passes - 1) continue;
        if (call.spread)
          lay(sums, R, V, place, i);
        else
          end(sums, R, V, place, i);
      }
    }
  }

  Segment<T> segment(const Run& run, const Place& place, std::int64_t k, const T* weight) const {
    const auto [list, count] = place.rows.list(run.row, place.g, k);
    return {place.rows.given + run.row * place.rows.row + place.g * wide, list, count * run.taps,
            weight + run.tap * wide * weight_block};
  }

  void end(const T* sums, int R, int V, const Place& place, std::int64_t i) const {
    const std::int64_t c = place.vector * lanes<T>, column = place.g * made + c;
    const std::int64_t first = (place.n * call.L + runs.positions[i]) * call.C_out + column;
    const std::int64_t other = first - (call.beside_each ? 0 : place.n * call.L * call.C_out);
    const std::int64_t next = abreast ? runs.step * call.C_out : call.L * call.C_out;
    finish(sums, R, V,
           ending_of<T>(call, first, other, column, made - c, next,
                        abreast || call.beside_each ? next : 0));
  }

  /// Adds the products of an input row with all taps to the outputs, which lie one after the other.
  void lay(const T* sums, int R, int V, const Place& place, std::int64_t i) const {
    const std::int64_t size = call.L * call.C_out, c = place.vector * lanes<T>;
    for (int r = 0; r < R; ++r) {
      const std::int64_t row = runs.positions[i] + (abreast ? r : 0);
      T* made_of = call.made + (place.n + (abreast ? 0 : r)) * size;
      const std::int64_t first = (row * call.stride - call.pad) * call.C_out + c;
      for (int v = 0; v < V; ++v) {
        const std::int64_t left = made - c - v * lanes<T>, at = first + v * lanes<T>;
        const T* held = sums + (r * V + v) * lanes<T>;
        if (left >= lanes<T> && at >= 0 && at + lanes<T> <= size) {
          store<T>(made_of + at, load(made_of + at) + load(held));
          continue;
        }
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

/// `many` samples of a call, from n on.
template <class T>
Conv<T> samples(const Conv<T>& call, std::int64_t n, std::int64_t many) {
  const std::int64_t in = n * call.V * call.C_in, out = n * call.L * call.C_out;
  Conv<T> some = call;
  some.N = many;
  some.given += in;
  if (some.gated) some.gated += in;
  if (some.slope) some.slope += in;
  if (some.residual) some.residual += out;
  some.made += out;
  if (some.open) some.open += out;
  if (some.beside && some.beside_each) some.beside += out;
  if (some.chord) some.chord += out;
  return some;
}

/// The samples that were not made otherwise.
template <class T>
void by_taps(const Conv<T>& call, const std::uint8_t* made, int threads) {
  for (std::int64_t n = 0, end = 0; n < call.N; n = end) {
    for (end = n; end < call.N && made[end] == made[n]; ++end) {
    }
    if (!made[n]) Layer<T>(samples(call, n, end - n)).run(threads);
  }
}

/// Each sample as is faster for its own zeros, so that it is the same whatever lies beside it. Tap
/// by tap skips most of them; its lists cost something, and samples together share fewer.
template <class T, int P>
void by_points(const Conv<T>& call, int threads) {
  const LayerWinograd<T, P, Conv<T>> layer(call);
  const double share = layer.share();
  Scratch<std::uint8_t> chosen(call.N);
  for (std::int64_t n = 0; n < call.N; ++n)
    chosen[n] = share < 1 && share < 0.05 + 1.15 * (1 - zeros(samples(call, n, 1), 1));
  layer.run(chosen.data(), threads);
  by_taps(call, chosen.data(), threads);
}

template <class T>
void by_letters(const Conv<T>& call, int threads) {
  Scratch<std::uint8_t> made(call.N);
  LayerLetters<T, Conv<T>>(call).run(made.data(), threads);
  by_taps(call, made.data(), threads);
}

}  // namespace

template <class T>
void conv(const Conv<T>& call, int threads) {
  if (call.N * call.L * call.C_out == 0) return;
  if (call.C_in == call.G) return layer_depthwise<T>(call, threads);
  if (LayerLetters<T, Conv<T>>::takes(call)) return by_letters(call, threads);
  if (!call.winograd || call.stride > 1) return Layer<T>(call).run(threads);
  call.K == 3 ? by_points<T, 6>(call, threads) : by_points<T, 7>(call, threads);
}

template void conv<float>(const Conv<float>&, int);
template void conv<double>(const Conv<double>&, int);

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
