#pragma once

#include "support/conv_tile.h"
#include "support/find.h"
#include "support/scratch.h"

// Which input rows meet which taps at each output position of each site, and which of these go
// together in a tile.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// The live pairs of a delta convolution. A group is the alternatives at one site and position;
/// where there is one alternative a tile may take several of them, `side_by_side`.
template <class Call>
class LivePairs {
 public:
  LivePairs(const Call& call, int side_by_side)
      : pairs(width(call.out) * call.in.S * call.K),
        ends(width(call.out) * call.in.S + 1),
        positions(width(call.out) * call.in.S),
        abreast(width(call.out) * call.in.S),
        S(call.in.S),
        groups(width(call.out) * S),
        side_by_side(side_by_side) {
    list(call);
    if (side_by_side > 1) join();
  }

  Scratch<Pair> pairs;              // group after group, by tap
  Scratch<std::int64_t> ends;       // [groups + 1]
  Scratch<std::int64_t> positions;  // [groups] of the output; -1 beyond its ends
  Scratch<int> abreast;   // [groups] groups from there on in one tile; 0: in an earlier one's
  std::int64_t step = 0;  // from one of them to the next: S, positions of a site, or 1, sites

 private:
  const std::int64_t S, groups;
  const int side_by_side;

  void list(const Call& call) {
    std::int64_t n = 0, i = 0;
    for (std::int64_t w = 0; w < width(call.out); ++w)
      for (std::int64_t s = 0; s < S; ++s, ++i) {
        const std::int64_t o = position(call.out, w, s);
        ends[i] = n;
        positions[i] = o < 0 || o >= call.length ? -1 : o;
        if (positions[i] < 0) continue;
        for (std::int64_t t = 0; t < call.K; ++t) {
          const std::int64_t row = find(call.in, o * call.stride - call.pad + t * call.dilation, s);
          if (row >= 0)
            pairs[n++] = {static_cast<std::int32_t>(t), static_cast<std::int32_t>(row * S + s)};
        }
      }
    ends[groups] = n;
    for (i = 0; i < groups; ++i) abreast[i] = 1;
  }

  /// Has one tile take neighbouring positions of a site, or neighbouring sites, whichever finds
  /// more that meet the same taps. A window no wider than the taps has no two such positions.
  void join() {
    const std::int64_t sites = tiles(1);
    if (3 * side_by_side * sites >= 2 * groups) return;
    if (tiles(S) < sites) tiles(1);
  }

  /// How many tiles are full when the groups in one are `step` apart.
  std::int64_t tiles(std::int64_t apart) {
    step = apart;
    std::int64_t full = 0;
    for (std::int64_t i = 0; i < groups; ++i) abreast[i] = 1;
    for (std::int64_t i = 0; i + (side_by_side - 1) * step < groups; ++i) {
      if (abreast[i] != 1 || (step == 1 && i % S + side_by_side > S) || !alike(i)) continue;
      for (int r = 1; r < side_by_side; ++r) abreast[i + r * step] = 0;
      abreast[i] = side_by_side;
      ++full;
    }
    return full;
  }

  /// Whether the next groups meet the same taps as this, of rows that lie as far apart.
  bool alike(std::int64_t i) const {
    const std::int64_t count = ends[i + 1] - ends[i];
    for (int r = 1; r < side_by_side; ++r) {
      const std::int64_t other = i + r * step;
      if (abreast[other] != 1 || positions[i] < 0 || positions[other] < 0) return false;
      if (ends[other + 1] - ends[other] != count) return false;
      for (std::int64_t n = 0; n < count; ++n) {
        const Pair& mine = pairs[ends[i] + n];
        const Pair& its = pairs[ends[other] + n];
        if (mine.tap != its.tap || mine.row + r * step != its.row) return false;
      }
    }
    return true;
  }
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
