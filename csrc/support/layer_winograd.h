#pragma once

#include <cstring>

#include "support/layer_rows.h"
#include "support/layer_tile.h"
#include "support/parallel.h"
#include "support/products.h"
#include "support/scratch.h"
#include "support/winograd.h"

// A whole layer of stride 1 by Winograd's convolution. A cell is four neighbouring outputs, a step
// of the dilation apart; more than four taps are several parts, each of which reads the cells
// further on: made values at points once, they serve all parts.

namespace nucleoscope::NUCLEOSCOPE_ISA {

template <class T, int P, class Call>
class LayerWinograd {
 public:
  explicit LayerWinograd(const Call& call)
      : call(call),
        parts((call.K + taps - 1) / taps),
        pad(call.transposed ? (call.K - 1) * call.dilation - call.pad : call.pad),
        longer(call.L % call.dilation),
        many(cells_of(call.L / call.dilation + 1)),
        fewer(cells_of(call.L / call.dilation)),
        cells(longer * many + (call.dilation - longer) * fewer),
        at_once(within(bytes / (P * call.C_in * static_cast<std::int64_t>(sizeof(T))))),
        blocks((cells + at_once - 1) / at_once) {}

  /// What it costs, as a share of what tap by tap costs with no zero among the inputs.
  double share() const {
    std::int64_t products = 0;  // positions that a tap meets
    for (std::int64_t t = 0; t < call.K; ++t) {
      const std::int64_t shift = t * call.dilation - pad;  // the input that output 0 reads
      const std::int64_t first = shift < 0 ? -shift : 0, behind = call.V - shift;
      const std::int64_t last = behind < call.L ? behind : call.L;
      products += last > first ? last - first : 0;
    }
    const double square = static_cast<double>(call.C_in * call.C_out);
    const double there_and_back = 12.0 * static_cast<double>(call.C_in + call.C_out);
    return static_cast<double>(cells * P) * (static_cast<double>(parts) * square + there_and_back) /
           (static_cast<double>(products) * square + 1);
  }

  /// Makes the samples that are `chosen`; those that hold what is not finite, or neighbours that
  /// are alike, it leaves, unchosen.
  void run(std::uint8_t* chosen, int threads) const {
    parallel_ranges(call.N * blocks, 1, threads, [&](std::int64_t begin, std::int64_t end) {
      Work work(*this);
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t n = i / blocks, b = i % blocks;
        if (!__atomic_load_n(chosen + n, __ATOMIC_RELAXED)) continue;
        if (lay(work, n, cells * b / blocks, cells * (b + 1) / blocks))
          multiply_all(work, n);
        else
          __atomic_store_n(chosen + n, std::uint8_t{0}, __ATOMIC_RELAXED);
      }
    });
  }

 private:
  static constexpr int outputs = Winograd<P>::outputs, taps = Winograd<P>::taps;
  static constexpr std::int64_t bytes = 256 << 10;  // of values at points that are kept at once
  static constexpr std::int64_t short_sum = 128;    // products that are added up by themselves
  static constexpr std::int64_t tile_size = tile_rows * tile_vectors * lanes<T>;

  const Call& call;
  const std::int64_t parts, pad;
  const std::int64_t longer;       // phases of the dilation with a position more than the others
  const std::int64_t many, fewer;  // cells of each of them, of each of the others
  const std::int64_t cells, at_once, blocks;

  struct Group {       // cells whose sums share a register tile
    std::int64_t row;  // of the first, among the values at points
    int rows;
  };

  struct Work {
    explicit Work(const LayerWinograd& of)
        : points(P * of.at_once * of.parts * of.call.C_in),
          came(P * of.call.C_in),
          zero(of.call.C_in),
          every(of.call.C_in * of.parts),
          sums(P * of.at_once * tile_size),
          groups(of.at_once),
          positions(of.at_once) {
      for (std::int64_t c = 0; c < of.call.C_in; ++c) zero[c] = 0;
      for (std::int64_t i = 0; i < of.call.C_in * of.parts; ++i)
        every[i] = static_cast<std::uint32_t>(i);
    }
    Scratch<T> points;  // [P, rows, C_in]
    Scratch<T> came;    // [P, C_in] inputs behind the gate
    Scratch<T> zero;    // [C_in]
    Scratch<std::uint32_t> every;
    Scratch<T> sums;  // [P, groups, tile]
    Scratch<Group> groups;
    Scratch<std::int64_t> positions;              // first output of each cell, group by group
    std::int64_t rows = 0, count = 0, cells = 0;  // of points, at most; groups; cells
  };

  static std::int64_t within(std::int64_t rows) {
    const std::int64_t whole = rows / tile_rows * tile_rows;
    return whole < 4 * tile_rows ? 4 * tile_rows : whole < 256 ? whole : 255;
  }

  std::int64_t cells_of(std::int64_t positions) const {
    return (positions + outputs - 1) / outputs;
  }

  /// Values at points of the inputs that cells [first, last) read, and how the cells are grouped.
  bool lay(Work& work, std::int64_t n, std::int64_t first, std::int64_t last) const {
    bool finite = true;
    std::int64_t cell = first, made = 0;
    work.rows = (last - first) * parts;  // so much one point's values lie behind another's
    work.count = 0;
    work.cells = last - first;
    std::int64_t row = 0;
    while (cell < last) {
      const bool early = cell < longer * many;
      const std::int64_t of = early ? many : fewer, at = early ? cell : cell - longer * many;
      const std::int64_t phase = at / of + (early ? 0 : longer), j = at % of;
      const std::int64_t run = of - j < last - cell ? of - j : last - cell;
      const std::int64_t begin = phase + j * outputs * call.dilation;
      for (std::int64_t k = 0; k < run + parts - 1; ++k)
        finite &= lay_row(work, n, row + k, begin + k * outputs * call.dilation - pad);
      for (std::int64_t k = 0; k < run; ++k)
        work.positions[made++] = begin + k * outputs * call.dilation;
      group(work, row, run);
      row += run + parts - 1;
      cell += run;
    }
    return finite;
  }

  /// Cells of one part lie side by side from phase to phase, so their tiles may as well.
  void group(Work& work, std::int64_t row, std::int64_t run) const {
    while (run > 0) {
      Group* last = work.count ? &work.groups[work.count - 1] : nullptr;
      if (parts == 1 && last && last->rows < tile_rows) {
        ++last->rows, ++row, --run;
        continue;
      }
      const int rows = run < tile_rows ? static_cast<int>(run) : tile_rows;
      work.groups[work.count++] = {row, rows};
      row += rows, run -= rows;
    }
  }

  bool lay_row(Work& work, std::int64_t n, std::int64_t row, std::int64_t from) const {
    const T* rows[P];
    for (int q = 0; q < P; ++q) {
      const std::int64_t i = from + q * call.dilation, at = (n * call.V + i) * call.C_in;
      rows[q] = work.zero.data();
      if (i < 0 || i >= call.V) continue;
      rows[q] = call.given + at;
      if (!call.gated && !call.slope) continue;
      T* came = work.came.data() + q * call.C_in;
      through(call.given + at, call.gated ? call.gated + at : nullptr,
              call.slope ? call.slope + at : nullptr, came, call.C_in);
      rows[q] = came;
    }
    if (alike(work, rows)) return false;
    return at_points<T, P>(rows, call.C_in, work.points.data() + row * call.C_in,
                           work.rows * call.C_in);
  }

  /// Whether some row is the next one's double, as where letters are missing. Tap by tap, outputs
  /// are then 0 or one another's doubles to the bit; rounded at points they are nearly so, and a
  /// ReLU would open or a max-pool pick another. On the way back nothing is decided.
  bool alike(const Work& work, const T* const (&rows)[P]) const {
    for (int q = 1; q < P && !call.transposed; ++q)
      if (rows[q] != work.zero.data() &&
          std::memcmp(rows[q - 1], rows[q], static_cast<std::size_t>(call.C_in) * sizeof(T)) == 0)
        return true;
    return false;
  }

  void multiply_all(Work& work, std::int64_t n) const {
    const std::int64_t vectors = (call.C_out + lanes<T> - 1) / lanes<T>;
    const std::int64_t tiles = (vectors + tile_vectors - 1) / tile_vectors;
    for (std::int64_t j = 0; j < tiles; ++j) {
      const std::int64_t vector = vectors * j / tiles;
      const int some = static_cast<int>(vectors * (j + 1) / tiles - vector);
      for (int p = 0; p < P; ++p) multiply_point(work, p, vector, some);
      finish_cells(work, n, vector, some);
    }
  }

  void multiply_point(Work& work, int p, std::int64_t vector, int some) const {
    const std::int64_t deep = call.C_in * parts, block = deep * weight_block;
    const std::int64_t all_blocks = (call.C_out + weight_block - 1) / weight_block;
    std::int64_t at[tile_vectors];
    columns_at<T>(vector, some, block, at);
    std::int64_t rows_at[most_rows];
    for (int r = 0; r < most_rows; ++r) rows_at[r] = r * call.C_in;
    const T* weight = call.winograd + p * all_blocks * block;
    const T* points = work.points.data() + p * work.rows * call.C_in;
    // At infinity a part is its last tap, which the last part may not have.
    const std::int64_t used = p == P - 1 && call.K % taps ? deep - call.C_in : deep;
    const std::int64_t chunks = (used + short_sum - 1) / short_sum;
    for (std::int64_t k = 0; k < chunks; ++k) {
      const std::int64_t first = used * k / chunks, last = used * (k + 1) / chunks;
      for (std::int64_t i = 0; i < work.count; ++i) {
        const Group& group = work.groups[i];
        const Segment<T> segment{points + group.row * call.C_in + first, work.every.data(),
                                 last - first, weight + first * weight_block};
        multiply_of<T, T>(group.rows, some)(&segment, 1, rows_at, at, k == 0,
                                            work.sums.data() + (p * work.count + i) * tile_size);
      }
    }
  }

  void finish_cells(Work& work, std::int64_t n, std::int64_t vector, int some) const {
    std::int64_t cell = 0;
    for (std::int64_t i = 0; i < work.count; ++i)
      for (int r = 0; r < work.groups[i].rows; ++r, ++cell) {
        T held[outputs * tile_vectors * lanes<T>];
        if (cell + 2 < work.cells) fetch(work.positions[cell + 2], n, vector * lanes<T>, some);
        for (int v = 0; v < some; ++v) {
          Vector<T> products[P], made[outputs];
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p)
            products[p] = load(work.sums.data() + (p * work.count + i) * tile_size +
                               (r * some + v) * lanes<T>);
          from_points<T, P>(products, made);
#pragma GCC unroll 4
          for (int u = 0; u < outputs; ++u) store(held + (u * some + v) * lanes<T>, made[u]);
        }
        finish_cell(held, n, work.positions[cell], vector * lanes<T>, some);
      }
  }

  /// What a cell is finished with, on its way before it is needed: its rows lie far apart.
  void fetch(std::int64_t position, std::int64_t n, std::int64_t column, int some) const {
    for (int u = 0; u < outputs && position + u * call.dilation < call.L; ++u) {
      const std::int64_t first = (n * call.L + position + u * call.dilation) * call.C_out + column;
      for (int v = 0; v < some; ++v) {
        if (call.residual) __builtin_prefetch(call.residual + first + v * lanes<T>, 0);
        __builtin_prefetch(call.made + first + v * lanes<T>, 1);
      }
    }
  }

  void finish_cell(const T* sums, std::int64_t n, std::int64_t position, std::int64_t column,
                   int some) const {
    const std::int64_t left = (call.L - position + call.dilation - 1) / call.dilation;
    const std::int64_t first = (n * call.L + position) * call.C_out + column;
    const std::int64_t other = first - (call.beside_each ? 0 : n * call.L * call.C_out);
    const std::int64_t next = call.dilation * call.C_out;
    finish(sums, static_cast<int>(left < outputs ? left : outputs), some,
           ending_of<T>(call, first, other, column, call.C_out - column, next, next));
  }
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
