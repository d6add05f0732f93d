#pragma once

#include <cstdint>

#include "support/scratch.h"

// Which input rows meet which taps at each output position of a whole layer.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// Taps from `tap` on, that meet the input rows from `row` on.
struct Run {
  std::int32_t tap, row, taps;
};

/// V input rows, L output rows, K taps between them.
struct Reach {
  std::int64_t V, L, K, stride, dilation, pad;
  bool transposed;

  /// The row that a tap of output o meets, or -1.
  std::int64_t row(std::int64_t o, std::int64_t tap) const {
    if (!transposed) {
      const std::int64_t i = o * stride - pad + tap * dilation;
      return i < V ? i : -1;
    }
    const std::int64_t times = o + pad - tap * dilation;
    return times < 0 || times % stride || times / stride >= V ? -1 : times / stride;
  }

  /// Whether o and o + step meet the same taps, of rows that lie one step further.
  bool alike(std::int64_t o, std::int64_t step) const {
    for (std::int64_t t = 0; t < K; ++t)
      if ((row(o, t) < 0) != (row(o + step, t) < 0)) return false;
    return true;
  }
};

/// The runs of all output positions. Where `abreast`, as many positions as a tile has rows are one
/// group if they meet the same taps; the positions that are left have a group each, behind those.
class Runs {
 public:
  Runs(const Reach& reach, int abreast, bool joined)
      : step(reach.transposed ? reach.stride : 1),
        step_in(reach.transposed ? 1 : reach.stride),
        runs(reach.L * reach.K),
        ends(reach.L + 1),
        positions(reach.L),
        reach(reach),
        abreast(abreast),
        joined(joined) {
    ends[0] = 0;
    if (abreast > 1) each(true);
    wide = count;
    each(false);
  }

  /// Before which input row all lie that the groups [begin, end) meet.
  std::int64_t beyond(std::int64_t begin, std::int64_t end) const {
    std::int64_t last = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t more = i < wide ? (abreast - 1) * step_in : 0;
      for (std::int64_t p = ends[i]; p < ends[i + 1]; ++p) {
        const std::int64_t row = runs[p].row + runs[p].taps + more;
        last = row > last ? row : last;
      }
    }
    return last;
  }

  std::int64_t wide = 0, count = 0;  // groups of several positions, groups in all
  const std::int64_t step, step_in;  // from one position of a group to the next, and its rows
  Scratch<Run> runs;                 // group after group, by tap
  Scratch<std::int64_t> ends;        // [count + 1]
  Scratch<std::int64_t> positions;   // [count] the first of each group

 private:
  const Reach reach;
  const int abreast;
  const bool joined;  // whether neighbouring taps that meet neighbouring rows are one run

  /// Adds the groups of several positions, or those of one that these leave.
  void each(bool several) {
    for (std::int64_t first = 0; first < step; ++first)
      for (std::int64_t o = first; o < reach.L;) {
        const bool whole = abreast > 1 && fits(o);
        if (whole == several) add(o);
        o += whole ? abreast * step : step;
      }
  }

  bool fits(std::int64_t o) const {
    if (o + (abreast - 1) * step >= reach.L) return false;
    for (int r = 1; r < abreast; ++r)
      if (!reach.alike(o + (r - 1) * step, step)) return false;
    return true;
  }

  void add(std::int64_t o) {
    std::int64_t n = ends[count];
    for (std::int64_t t = 0; t < reach.K; ++t) {
      const std::int64_t row = reach.row(o, t);
      if (row < 0) continue;
      Run* before = n > ends[count] ? &runs[n - 1] : nullptr;
      if (joined && before && before->tap + before->taps == t && before->row + before->taps == row)
        ++before->taps;
      else
        runs[n++] = {static_cast<std::int32_t>(t), static_cast<std::int32_t>(row), 1};
    }
    positions[count++] = o;
    ends[count] = n;
  }
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
