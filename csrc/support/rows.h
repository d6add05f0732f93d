#pragma once

#include <cstdint>

namespace nucleoscope {

/// The rows of one layer that a batch of edits keeps: piece j of site s covers the positions
/// [starts[j, s], starts[j, s] + widths[j]). Row w counts through the pieces in turn.
struct Rows {
  const std::int64_t* starts;  // [P, S]
  const std::int64_t* widths;  // [P]
  std::int64_t P, S;
};

/// Positions [begin, end) of a layer.
struct Interval {
  std::int64_t begin, end;
};

/// Original activations of one layer, at positions [first, first + L) of N sequences.
template <class T>
struct Original {
  const T* values;               // [N, L, C], null where an op reads none
  const std::int32_t* sequence;  // [S] which of the N each site edits
  std::int64_t first, L, C;
};

}  // namespace nucleoscope
