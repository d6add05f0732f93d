#pragma once

#include "support/conv_tile.h"
#include "support/find.h"
#include "support/scratch.h"

// Which input rows meet which taps at each output position of each site.

namespace nucleoscope::NUCLEOSCOPE_ISA {

/// The live pairs of a delta convolution. A group is the alternatives at one site and position.
template <class Call>
class LivePairs {
 public:
  explicit LivePairs(const Call& call)
      : groups(width(call.out) * call.out.S),
        pairs(groups * call.K),
        ends(groups + 1),
        positions(groups),
        sites(groups) {
    std::int64_t n = 0, i = 0;
    for (std::int64_t w = 0; w < width(call.out); ++w)
      for (std::int64_t s = 0; s < call.out.S; ++s, ++i) {
        const std::int64_t o = position(call.out, w, s);
        ends[i] = n;
        sites[i] = s;
        positions[i] = o < 0 || o >= call.length ? -1 : o;
        if (positions[i] < 0) continue;
        for (std::int64_t t = 0; t < call.K; ++t) {
          const std::int64_t row = find(call.in, o * call.stride - call.pad + t * call.dilation, s);
          if (row >= 0)
            pairs[n++] = {static_cast<std::int32_t>(t),
                          static_cast<std::int32_t>(row * call.out.S + s)};
        }
      }
    ends[groups] = n;
  }

  const std::int64_t groups;
  Scratch<Pair> pairs;              // group after group, by tap
  Scratch<std::int64_t> ends;       // [groups + 1]
  Scratch<std::int64_t> positions;  // [groups] of the output; -1 beyond its ends
  Scratch<std::int64_t> sites;      // [groups]
};

}  // namespace nucleoscope::NUCLEOSCOPE_ISA
